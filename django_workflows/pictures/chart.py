"""How much was started, finished and failed, hour by hour."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Protocol

from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from django_workflows.core.graph.shapes import element, text, text_width
from django_workflows.pictures.drawing import LOST, WAIT, WORK, cross, picture, titled

_LEFT, _TOP, _HEIGHT, _BOTTOM, _SLOT = 48.0, 34.0, 110.0, 26.0, 27.0
_BAR = 7.0


class Hour(Protocol):
    """One hour, as reports.per_hour() counts it."""

    @property
    def at(self) -> datetime:
        """When it begins."""

    @property
    def started(self) -> int:
        """How many executions were started in it."""

    @property
    def finished(self) -> int:
        """How many came to their end, failed ones not among them."""

    @property
    def failed(self) -> int:
        """How many failed in it."""


def svg(hours: Sequence[Hour]) -> SafeString:
    """
    Return the hours as groups of three bars, in the order given.

    Started is hollow, finished is filled, failed has a cross on top.
    """
    width = _LEFT + max(10, len(hours)) * _SLOT + 12
    height = _TOP + _HEIGHT + _BOTTOM
    most = max((n for hour in hours for n in (hour.started, hour.finished, hour.failed)), default=0)
    parts = [*_legend(), *_grid(most, width)]
    for place, hour in enumerate(hours):
        left = _LEFT + place * _SLOT
        parts.append(_hour(hour, left, most))
        if place % 3 == 0:
            at = timezone.localtime(hour.at)
            parts.append(text(left + 11, height - 8, f"{at:%H:%M}", size=10, faint=True))
    return picture(width, height, _name(hours), *parts)


def _name(hours: Sequence[Hour]) -> str:
    count = len(hours)
    text = ngettext(
        "Executions in the last hour: %(started)s started, %(finished)s finished, %(failed)s"
        " failed",
        "Executions in the last %(count)s hours: %(started)s started, %(finished)s finished,"
        " %(failed)s failed",
        count,
    )
    return text % {
        "count": count,
        "started": f"{sum(hour.started for hour in hours):,}",
        "finished": f"{sum(hour.finished for hour in hours):,}",
        "failed": f"{sum(hour.failed for hour in hours):,}",
    }


def _hour(hour: Hour, left: float, most: int) -> str:
    title = _("%(time)s: %(started)s started, %(finished)s finished, %(failed)s failed") % {
        "time": f"{timezone.localtime(hour.at):%H:%M}",
        "started": f"{hour.started:,}",
        "finished": f"{hour.finished:,}",
        "failed": f"{hour.failed:,}",
    }
    # As wide and high as its place, so that pointing near a small bar tells as well.
    ground = element(
        "rect", x=left, y=_TOP, width=_SLOT, height=_HEIGHT, fill="currentColor", fill_opacity=0
    )
    counts = (("started", hour.started), ("finished", hour.finished), ("failed", hour.failed))
    bars = [
        _bar(kind, left + 1 + number * (_BAR + 1), _TOP + _HEIGHT, _high(count, most))
        for number, (kind, count) in enumerate(counts)
        if count
    ]
    return titled(title, ground, *bars)


def _high(count: int, most: int) -> float:
    return max(3.0, _HEIGHT * count / most)


def _bar(kind: str, left: float, bottom: float, height: float) -> str:
    box = {"x": left, "y": bottom - height, "width": _BAR, "height": height}
    named = {"class": f"wf-{kind}"}
    if kind == "started":
        inset = {**box, "x": left + 0.7, "width": _BAR - 1.4}
        return element("rect", stroke=WAIT, stroke_width=1.4, **inset, **named)
    if kind == "finished":
        return element("rect", fill=WORK, **box, **named)
    top = bottom - height
    sign = element("circle", cx=left + _BAR / 2, cy=top - 1, r=4.6, fill=LOST, **named)
    mark = cross(left + _BAR / 2, top - 1, 1.8)
    return element("rect", fill=LOST, **box, **named) + sign + mark


def _legend() -> Iterator[str]:
    left = _LEFT
    for kind, words in (
        ("started", _("started")),
        ("finished", _("finished")),
        ("failed", _("failed")),
    ):
        yield _bar(kind, left, 17, 10)
        yield text(left + 14, 17, words, size=11, text_anchor="start")
        left += text_width(words, 11) + 34


def _grid(most: int, width: float) -> Iterator[str]:
    bottom = _TOP + _HEIGHT
    lines = f"M{_LEFT:.1f},{bottom:.1f} H{width - 12:.1f}"
    if most:
        lines += f" M{_LEFT:.1f},{_TOP:.1f} H{width - 12:.1f}"
        yield text(_LEFT - 8, _TOP + 4, f"{most:,}", size=10, faint=True, text_anchor="end")
    yield text(_LEFT - 8, bottom + 3, "0", size=10, faint=True, text_anchor="end")
    yield element(
        "path", d=lines, stroke="currentColor", stroke_opacity=0.25, **{"class": "wf-grid"}
    )
