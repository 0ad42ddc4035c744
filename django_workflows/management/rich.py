"""The terminal, by the library ``rich``: the extra ``cli``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any, cast

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from django_workflows.management.screens import Bar, Output, Screen, Tone, Words, clean, encodable

_STYLES: dict[Tone, str] = {
    "": "",
    "good": "green",
    "bad": "bold red",
    "busy": "cyan",
    "waiting": "yellow",
    "faint": "dim",
    "strong": "bold",
}

#: Signs on a line that the last column has at least, where it needs so many.
_ROOM = 24


class _Stream:
    """What rich writes to: the command's output, which would end each part with a new line."""

    def __init__(self, out: Output) -> None:
        self.out = out

    @property
    def encoding(self) -> str:
        """How what is written will be encoded."""
        return getattr(self.out, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        """Write a part of a line."""
        self.out.write(encodable(text, self.out), ending="")
        return len(text)

    def flush(self) -> None:
        """See Output.flush()."""
        self.out.flush()


class RichScreen(Screen):
    """Tables, colours and bars that move."""

    def __init__(self, out: Output, *, colours: bool, live: bool) -> None:
        super().__init__(out)
        self.is_live = live
        self.console = Console(
            file=cast("IO[str]", _Stream(out)),
            force_terminal=True,
            force_interactive=live,
            no_color=not colours,
            # Nothing in data is markup, a number to be coloured or the name of an emoji.
            markup=False,
            highlight=False,
            emoji=False,
            # Only a terminal tells how wide it is.
            width=None if live else 160,
        )

    def say(self, text: str) -> None:
        """See Screen.say()."""
        self.console.print(_styled(text), soft_wrap=True)

    def table(self, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """See Screen.table(); what is empty takes no room."""
        count = len(rows[0]) if rows else len(headings)
        filled = [n for n in range(count) if n == 0 or any(row[n] for row in rows)]
        lines = [[_styled(row[n]) for n in filled] for row in rows]
        names = [Text(clean(headings[n]), style="bold") for n in filled] if headings else []
        needs = [max(len(line[n]) for line in [names, *lines] if line) for n in range(len(filled))]
        before = sum(needs[:-1]) + 2 * len(needs[:-1])
        if before + min(_ROOM, needs[-1]) > self.console.width:
            self._stacked(names, lines, needs)
            return
        table = Table.grid(padding=(0, 2, 0, 0))
        for place in range(len(filled)):
            # Only the last is text that is worth several lines.
            table.add_column(no_wrap=place < len(filled) - 1, overflow="fold")
        for line in [names, *lines]:
            table.add_row(*line)
        self.console.print(table)

    def _stacked(
        self, names: Sequence[Text], lines: Sequence[Sequence[Text]], needs: Sequence[int]
    ) -> None:
        """Show rows whose last cell has no room beside the others: it stands below them."""
        for line in [names, *lines] if names else lines:
            first = Text("  ").join(
                Text.assemble(cell, " " * (width - len(cell)))
                for cell, width in zip(line[:-1], needs[:-1], strict=True)
            )
            first.rstrip()
            self.console.print(first, soft_wrap=True)
            if line[-1] and line is not names:
                self.console.print(Text.assemble("    ", line[-1]), soft_wrap=True)

    def facts(self, pairs: Sequence[tuple[str, str]]) -> None:
        """See Screen.facts()."""
        table = Table.grid(padding=(0, 2))
        table.add_column(style="bold", no_wrap=True)
        table.add_column(overflow="fold")
        for name, value in pairs:
            table.add_row(clean(name), _styled(value))
        self.console.print(table)

    @contextmanager
    def progress(self, total: float | None, label: str) -> Iterator[Bar]:
        """See Screen.progress()."""
        if not self.is_live:
            with super().progress(total, label) as unseen:
                yield unseen
            return
        columns: list[Any] = [
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[words]}", markup=False),
            TimeElapsedColumn(),
        ]
        with Progress(*columns, console=self.console, transient=True) as shown:
            yield _Moving(shown, label, total)


class _Moving:
    """A bar on the terminal."""

    def __init__(self, shown: Progress, label: str, total: float | None) -> None:
        self._shown = shown
        self._task = shown.add_task(clean(label), total=total, words="")

    def advance(self, done: float, text: str = "") -> None:
        """See Bar.advance()."""
        self._shown.update(self._task, completed=done, words=clean(text), refresh=True)


def _styled(text: str) -> Text:
    tone: Tone = text.tone if isinstance(text, Words) else ""
    return Text(clean(text), style=_STYLES[tone])
