"""How a scope is walked: step after step, until it ends or halts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from django_workflows.core.engine.driving import Drive
from django_workflows.core.engine.staging import MOST_STAGED
from django_workflows.core.engine.visiting import StepRun
from django_workflows.core.execution import HaltResult, State
from django_workflows.core.frames import Cursor
from django_workflows.core.records import evolve
from django_workflows.core.steps.base import ScopeEnd
from django_workflows.exceptions import StepError

if TYPE_CHECKING:
    from django_workflows.core.definition import Graph
    from django_workflows.core.engine import Engine

Put = Callable[[Cursor, State], None]


class ScopeWalk:
    """
    Walks one scope: the workflow itself, a loop's body, a parallel's branch.

    ``put`` carries a move up to the root of the tree; ``prefix`` is the scope's part of the path.
    """

    def __init__(
        self,
        engine: Engine,
        drive: Drive,
        put: Put,
        *,
        prefix: str = "",
        names: Mapping[str, Any] | None = None,
        isolated: bool = False,
        stopped: Callable[[], bool] | None = None,
    ) -> None:
        self.engine = engine
        self.drive = drive
        self.put = put
        self.prefix = prefix
        self.names = names or {}
        self.isolated = isolated
        self.stopped = stopped

    @property
    def is_root(self) -> bool:
        """Say whether this is the workflow's own scope."""
        return not self.prefix

    def walk(self, graph: Graph, cursor: Cursor, state: State) -> ScopeEnd | HaltResult:
        """
        Run the steps of ``graph`` from ``cursor`` on until they end or halt.

        Raise what a step raised that nothing handles, and Stop.
        """
        if cursor.at is None and cursor.end is None:
            cursor = graph.advance(cursor, graph.first)
            self.put(cursor, state)
        while cursor.end is None:
            if self.stopped is not None and self.stopped():
                return ScopeEnd(state=state, cursor=cursor, stopped=True)
            self.drive.refuse_to_go_on()
            name = cursor.at or ""
            if name not in graph.steps:
                raise StepError(
                    f"Step {self.prefix}{name} is not in this version of the workflow any more."
                )
            visit = cursor.visits.get(name, 1)
            self._refuse_endless(name, visit)
            path = f"{self.prefix}{name}" + (f"#{visit}" if visit > 1 else "")
            here = evolve(state, current_step=name, path=path, attempt=cursor.attempt)
            accepted = StepRun(self, graph, graph.steps[name], cursor, here).go()
            if accepted.halt is not None:
                return accepted.halt
            cursor, state = accepted.cursor, accepted.state
            if accepted.stopped:
                return ScopeEnd(state=state, cursor=cursor, stopped=True)
        return ScopeEnd(state=state, cursor=cursor)

    def _refuse_endless(self, name: str, visit: int) -> None:
        if visit > self.drive.limits.visits:
            raise StepError(
                f"Step {name!r} was entered more than {self.drive.limits.visits} times: is the"
                " circle it lies on without end?"
            )
        if len(self.drive.entries) >= MOST_STAGED:
            self.drive.checkpoint()

    def nested(
        self,
        prefix: str,
        put: Put,
        *,
        names: Mapping[str, Any] | None,
        isolated: bool,
        stopped: Callable[[], bool] | None,
    ) -> ScopeWalk:
        """Return the scope below ``prefix``, in this one."""
        return ScopeWalk(
            self.engine,
            self.drive,
            put,
            prefix=prefix,
            names={**self.names, **(names or {})},
            isolated=isolated or self.isolated,
            stopped=stopped or self.stopped,
        )
