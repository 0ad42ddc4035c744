"""What the pictures are drawn with, besides the core's elements."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.utils import formats, timezone
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _

from django_workflows.core.graph.shapes import (
    CURRENT,
    FAILED,
    SKIPPED,
    TAKEN,
    UNDONE,
    WAITING,
    Mark,
    element,
    safe,
)

WORK, WAIT, LOST, PASSED = TAKEN, WAITING, FAILED, SKIPPED

#: The inks of the signs that tell marks apart, for whoever draws a legend.
COLOURS: dict[Mark, str] = {
    "taken": TAKEN,
    "within": CURRENT,
    "current": CURRENT,
    "waiting": WAITING,
    "failed": FAILED,
    "skipped": SKIPPED,
    "undone": UNDONE,
}

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))


def picture(width: float, height: float, name: str, *children: str) -> SafeString:
    """Return an SVG element of that size; ``children`` are markup made by element()."""
    markup = element(
        "svg",
        element("title", safe(name)),
        *children,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width:.0f} {height:.0f}",
        width=round(width),
        height=round(height),
        role="img",
        aria_label=name,
        font_family="system-ui, -apple-system, 'Segoe UI', sans-serif",
        fill="none",
    )
    return trusted(markup)


def trusted(markup: str) -> SafeString:
    """Return markup that came from element(), which has escaped every text in it."""
    return mark_safe(markup)  # noqa: S308


def titled(title: str, *children: str, **attributes: str | float | None) -> str:
    """Return a group that says what it is: on hover, and to who cannot see it."""
    return element("g", element("title", safe(title)), *children, **attributes)


def cross(x: float, y: float, arm: float = 3.0) -> str:
    """Return the sign of a failure: a white cross with its middle there."""
    lines = (
        f"M{x - arm:.1f},{y - arm:.1f} L{x + arm:.1f},{y + arm:.1f}"
        f" M{x + arm:.1f},{y - arm:.1f} L{x - arm:.1f},{y + arm:.1f}"
    )
    return element("path", d=lines, stroke="#fff", stroke_width=1.6, stroke_linecap="round")


def hatching(left: float, top: float, width: float, height: float, gap: float = 6.0) -> str:
    """
    Return slanting lines that fill a rectangle, as the data of a path.

    Computed rather than a pattern, which would need an id that another picture might have.
    """
    lines = []
    offset = gap
    while offset < width + height:
        x1, y1 = min(offset, width), max(0.0, offset - width)
        x2, y2 = max(0.0, offset - height), min(offset, height)
        lines.append(f"M{left + x1:.1f},{top + y1:.1f} L{left + x2:.1f},{top + y2:.1f}")
        offset += gap
    return " ".join(lines)


def duration(lasted: timedelta) -> str:
    """Return a duration as people read it: "20 ms", "2.3 s", "4 min 10 s", "2 d 3 h"."""
    seconds = max(0.0, lasted.total_seconds())
    if seconds < 0.001:  # noqa: PLR2004  as exact as it is measured
        return "<1 ms"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:  # noqa: PLR2004  a minute
        return f"{seconds:.1f} s"
    for place, (size, unit) in enumerate(_UNITS):
        if seconds >= size:
            number, rest = divmod(int(seconds), size)
            below, name = (*_UNITS, (1, "s"))[place + 1]
            smaller = f" {rest // below} {name}" if rest // below else ""
            return f"{number} {unit}{smaller}"
    raise AssertionError(seconds)  # pragma: no cover  a minute is one of the units


def moment(at: datetime) -> str:
    """Return date and time in the reader's zone and format, with seconds."""
    local = timezone.localtime(at)
    day = formats.date_format(local, "DATE_FORMAT")
    return f"{day} {local:%H:%M:%S}"


def span(begins: datetime, ends: datetime | None, now: datetime) -> str:
    """Return from when until when, and how long that is."""
    lasted = duration((ends or now) - begins)
    if ends is None:
        text = _("since %(begins)s, for %(duration)s by now")
        return text % {"begins": moment(begins), "duration": lasted}
    text = _("%(begins)s to %(ends)s, %(duration)s")
    return text % {"begins": moment(begins), "ends": moment(ends), "duration": lasted}
