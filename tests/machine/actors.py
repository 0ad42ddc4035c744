"""Processes, played in this one: each may run on, die, freeze or be told to stop, at any write."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from threading import Event, Thread, local
from typing import Any

from django_workflows import wiring
from django_workflows.testing import SimulatedCrash

#: Seconds in which a process that does not freeze must come to its end.
PATIENCE = 60


class End(StrEnum):
    """What happens to a process at one of its points."""

    RUN = "run"  # nothing: it runs on to its end
    DIE = "die"  # it is killed
    FREEZE = "freeze"  # it stands still until somebody lets it go on
    DRAIN = "drain"  # it is told to stop after its current step


@dataclass(frozen=True, slots=True)
class Fate:
    """What happens to a process, and how many points it passes by before."""

    end: End = End.RUN
    after: int = 0

    def __repr__(self) -> str:
        return f"Fate({self.end.value!r}, {self.after})"


#: An ordinary process.
RUN = Fate()


class Actor:
    """
    A process at work.

    One that is to freeze has a thread of its own, and only one of all threads runs at a time: the
    order of what they do is what the test says, and the same each time.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[], Any],
        *,
        refused: tuple[type[Exception], ...] = (),
        then: Callable[[Any], object] | None = None,
    ) -> None:
        self.name = name
        self.work = work
        self.refused = refused  # what may be answered instead
        self.then = then
        self.points: list[str] = []
        self.is_frozen = False
        self.is_dead = False
        self.result: Any = None
        self.error: Exception | None = None
        self._fate = RUN
        self._left = 0
        self._thread: Thread | None = None
        self._rests, self._goes = Event(), Event()

    def __repr__(self) -> str:
        return f"<{self.name} at {self.points[-1] if self.points else 'its start'}>"

    def go(self, fate: Fate) -> None:
        """Run to the end, or to where ``fate`` wants it."""
        self._fate, self._left = fate, fate.after
        if self._thread is not None:
            self._rests.clear()
            self._goes.set()
            self._wait()
        elif fate.end == End.FREEZE:
            self._thread = Thread(target=self._body, name=self.name, daemon=True)
            self._thread.start()
            self._wait()
        else:
            self._act()

    def pass_by(self, point: str, *, may_freeze: bool) -> None:
        """Meet the fate here, if this is the point."""
        self.points.append(point)
        if self._fate.end == End.RUN:
            return
        if self._left > 0:
            self._left -= 1
        elif self._fate.end == End.DIE:
            raise SimulatedCrash(point)
        elif self._fate.end == End.DRAIN:
            wiring.stopping.set()
        elif may_freeze:
            self._freeze()

    def _freeze(self) -> None:
        self.is_frozen = True
        self._goes.clear()
        self._rests.set()
        self._goes.wait()
        self.is_frozen = False
        if self._fate.end == End.DIE and self._left == 0:
            raise SimulatedCrash(self.points[-1])

    def _wait(self) -> None:
        if not self._rests.wait(PATIENCE):
            raise AssertionError(f"{self} neither came to its end nor to where it was to freeze.")

    def _body(self) -> None:
        try:
            self._act()
        finally:
            wiring_threads_clean_up()
            self._rests.set()

    def _act(self) -> None:
        _me.actor = self
        try:
            self.result = self.work()
        except SimulatedCrash:
            self.is_dead = True
        except Exception as error:  # noqa: BLE001  whoever let it act looks at it
            self.error = error
        finally:
            _me.actor = None
            wiring.stopping.clear()


def wiring_threads_clean_up() -> None:
    """Close what a thread holds before it ends."""
    from django.db import connections

    connections.close_all()


_me = local()


def pass_by(point: str, *, may_freeze: bool = True) -> None:
    """Let whoever acts in this thread meet its fate here."""
    actor: Actor | None = getattr(_me, "actor", None)
    if actor is not None:
        actor.pass_by(point, may_freeze=may_freeze)
