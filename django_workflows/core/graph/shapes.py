"""What the picture of a graph is made of: elements, outlines, text and lines, as SVG markup."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from typing import Literal
from unicodedata import east_asian_width

from django_workflows.core.graph.layout import Band, Size

Point = tuple[float, float]
Mark = Literal["", "taken", "within", "current", "waiting", "failed", "skipped", "undone"]

#: Readable on white as on black.
TAKEN, CURRENT, WAITING, FAILED, SKIPPED = "#2b8a3e", "#e8590c", "#1c7ed6", "#e03131", "#868e96"
UNDONE = "#ae3ec9"

_COLOURS: dict[Mark, str] = {
    "": "currentColor",
    "taken": TAKEN,
    "waiting": WAITING,
    "failed": FAILED,
    "skipped": SKIPPED,
    "undone": UNDONE,
}
#: Marks of steps that need somebody, or that are at work: a double border shows them from afar.
_HERE = frozenset({"current", "waiting", "failed"})
#: What stands in the badge of a mark: a tick, an arrow, a pause, a cross, a double arrow, and an
#: arrow that turns back.
_SIGNS: dict[Mark, str] = {
    "taken": "M-3.6,0.2 L-1.2,2.8 L3.8,-2.8",
    "current": "M-2.2,-3.4 L3.4,0 L-2.2,3.4 Z",
    "waiting": "M-2,-3.2 V3.2 M2,-3.2 V3.2",
    "failed": "M-2.8,-2.8 L2.8,2.8 M2.8,-2.8 L-2.8,2.8",
    "skipped": "M-3.6,-3 L-0.6,0 L-3.6,3 M0.6,-3 L3.6,0 L0.6,3",
    "undone": "M-1.2,-4 L-3.8,-1.6 L-1.2,0.8 M-3.8,-1.6 H1.4 A2.6,2.6 0 0 1 1.4,3.6 H-2",
}

#: The borders of steps whose work is not there: it was never done, or it was undone.
_DASHES: dict[Mark, str] = {"skipped": "5 3", "undone": "2 3"}

_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LONGEST = 36
_ARROW = 8.0


def element(tag: str, *children: str, **attributes: str | float | None) -> str:
    """Return an element; its children are markup, its attributes are not."""
    given = "".join(
        f' {name.replace("_", "-")}="{_value(value)}"'
        for name, value in attributes.items()
        if value is not None
    )
    inner = "".join(children)
    return f"<{tag}{given}>{inner}</{tag}>" if inner else f"<{tag}{given}/>"


def _value(value: str | float) -> str:
    return safe(value) if isinstance(value, str) else f"{round(value, 1):g}"


def safe(words: str) -> str:
    """Return text as markup, without the characters that XML cannot have."""
    return escape(_NO_XML.sub("\ufffd", words))


def clipped(words: str, longest: int = _LONGEST) -> str:
    """Return text on one line that is not longer than ``longest``."""
    line = " ".join(words.split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def text_width(words: str, size: float) -> float:
    """Return about how wide the text is; Chinese, Japanese and Korean signs are twice as wide."""
    units = sum(2 if east_asian_width(sign) in "WF" else 1 for sign in clipped(words))
    return units * size * 0.58


def text(
    x: float, y: float, words: str, *, size: float = 13, faint: bool = False, **more: str
) -> str:
    """Return text with its middle at ``x`` and its baseline at ``y``."""
    return element(
        "text",
        safe(clipped(words)),
        x=x,
        y=y,
        font_size=size,
        fill="currentColor",
        fill_opacity=0.72 if faint else None,
        **{"text_anchor": "middle", **more},
    )


def outline(shape: str, size: Size, mark: Mark = "") -> str:
    """Return the outline of a box around 0, 0; where it stands or failed, with a double border."""
    colour = _COLOURS.get(mark, CURRENT)
    width = 1.3 if mark == "" else 3.2 if mark in _HERE else 2.4
    once = _outline(
        shape,
        size,
        stroke=colour,
        stroke_width=width,
        stroke_dasharray=_DASHES.get(mark),
        fill=colour,
        fill_opacity=0.1 if mark else 0.04,
    )
    if mark not in _HERE:
        return once
    around = (size[0] + 10, size[1] + 10)
    return once + _outline(shape, around, stroke=colour, stroke_width=1.6)


def _outline(shape: str, size: Size, **ink: str | float | None) -> str:
    width, height = size
    corners = {
        "decision": [(-width / 2, 0), (0, -height / 2), (width / 2, 0), (0, height / 2)],
        "wait": _hexagon(width / 2, height / 2),
    }.get(shape)
    if corners is not None:
        points = " ".join(f"{x:g},{y:g}" for x, y in corners)
        return element("polygon", points=points, stroke_linejoin="round", **ink)
    radius = {"terminal": height / 2, "group": 12.0}.get(shape, 8.0)
    return element(
        "rect", x=-width / 2, y=-height / 2, width=width, height=height, rx=radius, **ink
    )


def _hexagon(x: float, y: float) -> list[Point]:
    flat = x - 14
    return [(-x, 0), (-flat, -y), (flat, -y), (x, 0), (flat, y), (-flat, y)]


def reach(shape: str, size: Size) -> float:
    """Return how far from the middle of its edge a line may touch a box."""
    width, height = size
    room = {
        "decision": width * 0.2,
        "terminal": (width - height) / 2,
        "wait": width / 2 - 22,
        "label": width / 2 - 4,
    }
    return max(0.0, room.get(shape, width / 2 - 14))


def edge_of(shape: str, size: Size, x: float) -> float:
    """Return how far below the middle of a box its edge is at ``x``."""
    width, height = size
    return height / 2 * (1 - abs(x) / (width / 2)) if shape == "decision" else height / 2


def corner(shape: str, size: Size) -> Point:
    """Return where on the outline of a box its badge stands."""
    x, y = size[0] / 2, size[1] / 2
    if shape == "decision":
        return -x * 0.7, -y * 0.3
    return (-x + 14 if shape == "wait" else -x + 4), -y + 2


def badge(mark: Mark) -> str:
    """Return the sign of a mark, around 0, 0; none for what is not marked, or only within."""
    sign = _SIGNS.get(mark)
    if sign is None:
        return ""
    fill = "#fff" if mark == "current" else "none"
    return element("circle", r=8, fill=_COLOURS.get(mark, CURRENT)) + element(
        "path", d=sign, stroke="#fff", stroke_width=1.8, stroke_linecap="round", fill=fill
    )


def tally(number: int) -> str:
    """Return how often a step was visited, with its middle at 0, 0; nothing for once."""
    if number < 2:  # noqa: PLR2004
        return ""
    words = f"\u00d7{number:,}"  # a multiplication sign
    return element(
        "rect",
        x=-text_width(words, 11) / 2 - 5,
        y=-8,
        width=text_width(words, 11) + 10,
        height=16,
        rx=8,
        fill=TAKEN,
    ) + element("text", words, y=4, font_size=11, fill="#fff", text_anchor="middle")


def curve(
    start: Point, end: Point, bands: Sequence[Band], *, has_head: bool, **ink: str | float
) -> str:
    """
    Return a line from ``start`` to ``end``, straight within the layers and bent between them.

    An arrow head of its own needs no marker, whose id another picture on the page might have.
    """
    down = 1 if bands[-1].leaves > bands[-1].enters else -1
    stop = end[1] - (down * (_ARROW - 1) if has_head else 0)
    steps = [f"M{start[0]:.1f},{start[1]:.1f}"]
    at = (start[0], bands[0].leaves)
    steps.append(f"V{at[1]:.1f}")
    for band in [*bands[1:-1], Band(end[0], bands[-1].enters, stop)]:
        middle = (at[1] + band.enters) / 2
        steps.append(
            f"C{at[0]:.1f},{middle:.1f} {band.x:.1f},{middle:.1f} {band.x:.1f},{band.enters:.1f}"
            f" V{band.leaves:.1f}"
        )
        at = (band.x, band.leaves)
    line = element("path", d=" ".join(steps), **ink)
    return line + head(end, down, ink) if has_head else line


def head(tip: Point, down: int, ink: dict[str, str | float]) -> str:
    """Return an arrow head that points down (1) or up (-1) at ``tip``."""
    x, y = tip
    back = y - down * _ARROW
    points = f"{x:.1f},{y:.1f} {x - 4:.1f},{back:.1f} {x + 4:.1f},{back:.1f}"
    opacity = ink.get("stroke_opacity")
    return element("polygon", points=points, fill=ink["stroke"], fill_opacity=opacity)
