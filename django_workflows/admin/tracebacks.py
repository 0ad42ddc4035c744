"""Tracebacks in which the project's own lines stand out, and the others are folded."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

#: Where a frame begins.
_FRAME = re.compile(r'^  File "(?P<file>.*)", line (?P<line>\d+)')

#: Frames of other people: of libraries, of Python (any, for a worker may run another), and of the
#: engine itself.
_FOREIGN = re.compile(
    r"[/\\](site|dist)-packages[/\\]|[/\\]python[\d.]+[/\\]|^<frozen |^"
    + re.escape(str(Path(__file__).resolve().parent.parent) + os.sep)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Lines of a traceback that belong together."""

    text: str
    folded: int = 0  # as so many frames of other people


def cleaned(traceback: str | None) -> Sequence[Part]:
    """
    Return a traceback in parts; without a frame of the project's own, as a whole.

    The project's own files are named from where they are imported, as nobody looks for the way
    there; on the machine of a worker that has them elsewhere, they keep their whole path.
    """
    if not traceback:
        return ()
    blocks = list(_blocks(traceback))
    frames = [is_foreign for _text, is_foreign in blocks if is_foreign is not None]
    if all(frames) or not any(frames):
        return (Part(text="\n".join(text for text, _is_foreign in blocks).rstrip()),)
    return list(_joined(blocks))


def _blocks(traceback: str) -> Iterator[tuple[str, bool | None]]:
    """Generate frames with whether they are foreign, and what stands between them with None."""
    lines: list[str] = []
    kind: bool | None = None
    for line in traceback.splitlines():
        frame = _FRAME.match(line)
        begins = frame is not None or (kind is not None and not line.startswith("    "))
        if begins and lines:
            yield "\n".join(lines), kind
            lines = []
        if begins:
            kind = None if frame is None else _is_foreign(frame["file"])
        lines.append(_shortened(line, frame["file"]) if frame and not kind else line)
    yield "\n".join(lines), kind


def _is_foreign(file: str) -> bool:
    return _FOREIGN.search(file) is not None


def _shortened(line: str, file: str) -> str:
    """Return the line with the file named from where it is imported: "shop/steps.py"."""
    path = Path(file)
    roots = [root for root in filter(None, sys.path) if path.is_relative_to(root)]
    if not roots:
        return line
    return line.replace(file, os.fspath(path.relative_to(max(roots, key=len))), 1)


def _joined(blocks: Sequence[tuple[str, bool | None]]) -> Iterator[Part]:
    texts: list[str] = []
    was_foreign = False
    for text, is_foreign in blocks:
        if texts and bool(is_foreign) != was_foreign:
            yield Part(text="\n".join(texts), folded=len(texts) if was_foreign else 0)
            texts = []
        was_foreign = bool(is_foreign)
        texts.append(text)
    yield Part(text="\n".join(texts), folded=len(texts) if was_foreign else 0)
