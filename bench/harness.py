"""What a measure is, and how its contestants take turns."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

#: Takes one figure.
Contestant = Callable[[], float]

#: Gets the contestants ready by name, the bare limit first, and clears up after them.
Prepare = Callable[[], AbstractContextManager[Mapping[str, Contestant]]]

#: Figures by contestant, one for each round.
Figures = dict[str, list[float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is to be reached: so much of another contestant's figure, or so much at all."""

    who: str
    least: float | None = None
    most: float | None = None
    of: str | None = None  # the contestant to compare with

    def judge(self, figures: Figures) -> tuple[str, bool] | None:
        """Return a line and whether it is reached; None where a contestant was not there."""
        if self.who not in figures or (self.of is not None and self.of not in figures):
            return None
        value = statistics.median(figures[self.who])
        if self.of is not None:
            value /= statistics.median(figures[self.of])
        reached = (self.least is None or value >= self.least) and (
            self.most is None or value <= self.most
        )
        bound = f"at least {self.least:g}" if self.most is None else f"at most {self.most:g}"
        unit = f" x {self.of}" if self.of is not None else ""
        verdict = "reached" if reached else "MISSED"
        return f"{self.who}: {value:.2f}{unit}, {bound} wanted: {verdict}", reached


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One measure: contestants side by side, and what is to be reached."""

    name: str
    unit: str
    prepare: Prepare
    targets: tuple[Target, ...] = ()
    about: str = field(default="")

    def take(self, rounds: int) -> Figures:
        """Return the figures of ``rounds`` alternating rounds, after one that does not count."""
        with self.prepare() as contestants:
            for run in contestants.values():
                run()
            figures: Figures = {name: [] for name in contestants}
            for _ in range(rounds):
                for name, run in contestants.items():
                    figures[name].append(run())
        return figures

    def lines(self, figures: Figures) -> Iterator[str]:
        """Yield the figures as a table; the share is that of the first contestant, the limit."""
        first = statistics.median(next(iter(figures.values())))
        yield f"{self.name} ({self.unit}: median, lowest to highest, share of the first)"
        for who, values in figures.items():
            median = statistics.median(values)
            spread = f"{min(values):8.1f} to {max(values):8.1f}"
            yield f"  {who:<44} {median:9.1f}   {spread}   {median / first:6.2f}"

    def verdicts(self, figures: Figures) -> Iterator[tuple[str, bool]]:
        """Yield what became of each target that could be looked at."""
        for target in self.targets:
            if (judged := target.judge(figures)) is not None:
                yield judged
