"""A progress bar and a table, in plain text."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Protocol, TypeVar

from django.core.management.base import OutputWrapper

T = TypeVar("T")

WIDTH = 30

#: Lines that a bar becomes where nobody watches it move.
LINES_ON_A_PIPE = 5

#: Seconds between two lines where nobody watches one change.
SECONDS_ON_A_PIPE = 5.0


class SizedIterable(Sized, Iterable[T], Protocol[T]):  # type: ignore[misc]
    """What can be counted before it is gone through."""


def progress(items: SizedIterable[T], label: str, out: OutputWrapper) -> Iterator[T]:
    """Yield ``items``, and show how far it has come: a bar on a terminal, some lines elsewhere."""
    total, began = len(items), time.monotonic()
    is_terminal = out.isatty()
    steps = {total * part // LINES_ON_A_PIPE for part in range(1, LINES_ON_A_PIPE + 1)}
    for done, item in enumerate(items, start=1):
        yield item
        line = f"{label} {done}/{total}, {time.monotonic() - began:.1f} s"
        if is_terminal:
            filled = WIDTH * done // total
            out.write(f"\r  [{'#' * filled}{'.' * (WIDTH - filled)}] {line} ", ending="")
            out.flush()
        elif done in steps:
            out.write(f"  {line}")
    if is_terminal and total:
        out.write()


class Line:
    """One line that changes: in its place on a terminal, every few seconds elsewhere."""

    def __init__(self, out: OutputWrapper) -> None:
        self.out = out
        self._shown = ""
        self._wrote_at = 0.0
        self._latest = ""

    def show(self, text: str) -> None:
        """Show ``text`` now, or where nobody watches it change, if it is time."""
        self._latest = text
        if self.out.isatty():
            self.out.write(f"\r  {text.ljust(len(self._shown))}", ending="")
            self.out.flush()
            self._shown = text
        elif time.monotonic() - self._wrote_at >= SECONDS_ON_A_PIPE:
            self._write()

    def close(self) -> None:
        """Leave the last text there."""
        if self.out.isatty():
            self.out.write()
        elif self._latest != self._shown:
            self._write()

    def _write(self) -> None:
        self.out.write(f"  {self._latest}")
        self.out.flush()
        self._shown, self._wrote_at = self._latest, time.monotonic()


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return the rows in columns, under their headings; numbers to the right."""
    cells = [[_text(value) for value in row] for row in rows]
    kinds = [[isinstance(value, (int, float)) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(headings, *cells, strict=True)]
    numeric = [bool(column) and all(column) for column in zip(*kinds, strict=True)]

    def line(texts: Sequence[str]) -> str:
        aligned = (
            text.rjust(width) if to_right else text.ljust(width)
            for text, width, to_right in zip(texts, widths, numeric, strict=True)
        )
        return "  " + "  ".join(aligned).rstrip()

    return "\n".join([line(headings), line(["-" * width for width in widths]), *map(line, cells)])


def verdict(looked_for: str, exceptions: Sequence[str]) -> str:
    """Return a line that says whether it is so, and one for each case where it is not."""
    cases = [f"          but not {case}" for case in exceptions]
    return "\n".join([f"  {'NOT SO' if cases else 'ok':6}  {looked_for}", *cases])


def _text(value: object) -> str:
    return f"{value:,}" if isinstance(value, (int, float)) else str(value)
