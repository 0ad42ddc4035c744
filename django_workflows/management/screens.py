"""What verbs show, and how: plain lines in a pipe, columns on a terminal, JSON for programs."""

from __future__ import annotations

import json
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, Protocol, Self

from django_workflows.core import codec

Tone = Literal["", "good", "bad", "busy", "waiting", "faint", "strong"]

#: What a terminal would take for an order: everything but printable signs.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")

_GAP = "  "


class Output(Protocol):
    """What a verb writes its lines to: the command's ``stdout``."""

    def write(self, text: str = "", /, *, ending: str | None = None) -> object:
        """Write one line, or with another ``ending`` a part of one."""

    def flush(self) -> object:
        """Let what was written be read."""

    def isatty(self) -> bool:
        """Say whether somebody looks at it."""


class Words(str):
    """Text with a tone, which a terminal shows as a colour."""

    __slots__ = ("tone",)
    tone: Tone

    def __new__(cls, text: object, tone: Tone = "") -> Self:
        """Take the text as it is; a screen takes out what is no text."""
        made = super().__new__(cls, text)
        made.tone = tone
        return made


class Bar(Protocol):
    """How far something has come."""

    def advance(self, done: float, text: str = "") -> None:
        """Say how much is done by now, and what is being done."""


class Screen(ABC):
    """One way to show things. What is shown is data: no sign in it is an order to a terminal."""

    #: Does somebody look at it who sees things change in their place?
    is_live = False
    #: Does it say what the columns and the parts are?
    has_headings = True

    def __init__(self, out: Output) -> None:
        self.out = out

    def say(self, text: str) -> None:
        """Show one sentence."""
        self.write(clean(text))

    def title(self, text: str) -> None:
        """Show what the part is that follows."""
        self.write("")
        self.say(Words(text, "strong"))

    def document(self, text: str) -> None:
        """Show a text of several lines."""
        for line in text.rstrip("\n").split("\n"):
            self.say(line)

    @abstractmethod
    def table(self, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Show rows of texts."""

    @abstractmethod
    def facts(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Show what is named by what."""

    @contextmanager
    def progress(self, total: float | None, label: str) -> Iterator[Bar]:
        """Show how far a long work has come, where somebody looks at it."""
        yield _Unseen()

    def write(self, text: str) -> None:
        """Write a line that is clean already, and let it be read."""
        self.out.write(encodable(text, self.out))
        self.out.flush()


class _Unseen:
    """A bar that nobody sees."""

    def advance(self, done: float, text: str = "") -> None:
        """See Bar.advance()."""


class Lines(Screen):
    """For pipes: a line for each row, its fields separated by tabs; no headings."""

    has_headings = False

    def title(self, text: str) -> None:
        """See Screen.title(); each line says itself what it is."""

    def document(self, text: str) -> None:
        """See Screen.document(); as it is, for programs to read."""
        self.write(text.rstrip("\n"))

    def table(self, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """See Screen.table()."""
        for row in rows:
            self.write("\t".join(clean(cell) for cell in row))

    def facts(self, pairs: Sequence[tuple[str, str]]) -> None:
        """See Screen.facts()."""
        self.table((), pairs)


class Columns(Screen):
    """For a terminal without the library ``rich``: columns under their headings."""

    is_live = True

    def table(self, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """See Screen.table()."""
        cells = [[clean(cell) for cell in row] for row in [headings, *rows] if row]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)] if cells else []
        for row in cells:
            padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            self.write(_GAP.join(padded).rstrip())

    def facts(self, pairs: Sequence[tuple[str, str]]) -> None:
        """See Screen.facts()."""
        width = max((len(name) for name, _ in pairs), default=0)
        for name, value in pairs:
            self.write(f"{clean(name).ljust(width)}{_GAP}{clean(value)}")


def screen_of(options: Mapping[str, Any], out: Output) -> Screen:
    """Return the screen that fits what the command writes to."""
    is_forced = bool(options.get("force_color"))
    if not (out.isatty() or is_forced):
        return Lines(out)
    try:
        # The library may be missing: it is an extra.
        from django_workflows.management.rich import RichScreen
    except ImportError:
        return Columns(out)
    is_plain = bool(options.get("no_color")) or bool(os.environ.get("NO_COLOR"))
    return RichScreen(out, colours=is_forced or not is_plain, live=out.isatty())


def clean(text: object) -> str:
    """Return text on one line, in which nothing is an order to a terminal."""
    return _CONTROLS.sub(_spelt, " ".join(str(text).splitlines()).replace("\t", " "))


def _spelt(found: re.Match[str]) -> str:
    return repr(found[0])[1:-1]


def encodable(text: str, out: Output) -> str:
    """Return text that ``out`` can write, whatever its encoding."""
    encoding = getattr(out, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def clip(text: str, longest: int) -> str:
    """Return text that is not longer than that."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def compact(value: object) -> str:
    """Return any value of an execution as JSON on one line."""
    return json.dumps(codec.encode(value), ensure_ascii=False, sort_keys=False)


def write_json(out: Output, data: object, *, is_line: bool = False) -> None:
    """Write plain JSON data: one document, or with ``is_line`` one line of several."""
    # ASCII, so that no encoding stands in its way, and no sign in it is an order to a terminal.
    out.write(json.dumps(data, indent=None if is_line else 2))
    out.flush()
