"""Where moments stand on a line, when the work took milliseconds and the waits took days."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

#: What waits may take of a line, where they lasted longer than all the work.
MOST_WAITING = 0.45

Span = tuple[datetime, datetime, bool]  # from, to, and whether it is a wait


@dataclass(frozen=True, slots=True)
class _Piece:
    """A part of the line in which time goes by at one pace."""

    begins: datetime
    seconds: float
    is_idle: bool
    left: float
    width: float


class Axis:
    """
    Places moments from 0 to ``width``.

    To scale, unless nothing but waits goes on for most of the time: these parts, ``shortened``,
    are then drawn so short that the work between them can be seen.
    """

    def __init__(self, spans: Sequence[Span], width: float) -> None:
        self.width = width
        self.begins = min(begins for begins, _, _ in spans)
        self.ends = max(ends for _, ends, _ in spans)
        self._pieces = self._cut(spans)

    def _cut(self, spans: Sequence[Span]) -> list[_Piece]:
        work = _joined(sorted((begins, ends) for begins, ends, is_wait in spans if not is_wait))
        cuts = sorted({self.begins, self.ends, *(moment for part in work for moment in part)})
        parts = [
            (begins, (ends - begins).total_seconds(), not _is_inside(begins, ends, work))
            for begins, ends in pairwise(cuts)
        ]
        idle = sum(seconds for _, seconds, is_idle in parts if is_idle)
        busy = sum(seconds for _, seconds, is_idle in parts if not is_idle)
        total = idle + busy
        share = idle / total if total else 0.0
        if busy:
            share = min(share, MOST_WAITING)
        pieces, left = [], 0.0
        for begins, seconds, is_idle in parts:
            whole, room = (idle, share) if is_idle else (busy, 1 - share)
            wide = self.width * room * seconds / whole if whole else 0.0
            pieces.append(_Piece(begins, seconds, is_idle, left, wide))
            left += wide
        self._is_short = share < (idle / total if total else 0.0)
        return pieces

    @property
    def shortened(self) -> list[tuple[float, float]]:
        """Return from where to where time is not to scale."""
        if not self._is_short:
            return []
        return [(piece.left, piece.left + piece.width) for piece in self._pieces if piece.is_idle]

    def at(self, moment: datetime) -> float:
        """Return the place of ``moment``; what lies outside stands at the nearer end."""
        for piece in reversed(self._pieces):
            if moment >= piece.begins:
                gone = (moment - piece.begins).total_seconds()
                part = min(1.0, gone / piece.seconds) if piece.seconds else 1.0
                return piece.left + part * piece.width
        return 0.0


def _joined(parts: Sequence[tuple[datetime, datetime]]) -> list[tuple[datetime, datetime]]:
    """Return what the sorted ``parts`` cover together."""
    joined: list[tuple[datetime, datetime]] = []
    for begins, ends in parts:
        if joined and begins <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(ends, joined[-1][1]))
        else:
            joined.append((begins, ends))
    return joined


def _is_inside(begins: datetime, ends: datetime, work: Sequence[tuple[datetime, datetime]]) -> bool:
    return any(first <= begins and ends <= last for first, last in work)
