"""Branches at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Self

from django_workflows.core.definition import Graph, compile_graph
from django_workflows.core.execution import HaltResult, State, StepOutcome
from django_workflows.core.frames import BranchFrame, BranchStatus, Cursor, Frame, ParallelFrame
from django_workflows.core.steps.base import Run, Step, StepOptions
from django_workflows.core.steps.nested import Steps, listed
from django_workflows.exceptions import MergeConflict, ParallelError, describe

if TYPE_CHECKING:
    from django_workflows.core.document.steps import StepReader

#: Decides between two branches that set one key: ``rule(key, earlier, later)`` in branch order.
MergeRule = Literal["error", "first", "last"] | Callable[[str, Any, Any], Any]

_MISSING = object()


class Parallel(Step):
    """
    Run named branches, each a step or a list of steps, at once.

    ``wait`` is "all", "any" or how many branches must be done. A finished branch is not run again
    after a crash. Each branch has ctx as it was before, and what it sets is merged in branch
    order: two branches that set one key to different values are a MergeConflict, unless ``merge``
    is "first", "last" or a callable ``(key, earlier, later) -> value``. The output maps each done
    branch to its output (``as_list``: a list in branch order). Raise ParallelError with the error
    of every failed branch where too few can be done.
    """

    type = "parallel"
    nested = True

    def __init__(
        self,
        branches: Mapping[str, Steps] | None = None,
        *,
        wait: Literal["all", "any"] | int = "all",
        merge: MergeRule = "error",
        as_list: bool = False,
        options: StepOptions | None = None,
        **named: Any,
    ) -> None:
        """Take the branches as a mapping or as keywords; options of every step as keywords too."""
        given: StepOptions = options or {}
        for key in ("name", "next", "on_error", "output", "description"):
            if key in named and not isinstance(named[key], (Step, list, tuple)):
                given = {**given, key: named.pop(key)}  # type: ignore[misc]
        super().__init__(**given)
        self.branches = {
            name: listed(steps) for name, steps in {**(branches or {}), **named}.items()
        }
        self.wait = wait
        self.merge = merge
        self.as_list = as_list
        self.graphs: dict[str, Graph] = {}

    @classmethod
    def from_document(cls, reader: StepReader) -> Self:
        """See Step.from_document(). A branch is one step; of two that set a key the last wins."""
        branches = reader.steps("branches", apart=True)
        wait = reader.value("wait")
        return cls(
            {step.name: step for step in branches},
            wait="all" if wait is None else wait,
            merge="last",
            as_list=True,
            options=reader.options(output=reader.key("output")),
        )

    def compiled(self, name: str, *, follow: bool = True) -> Self:
        """See Step.compiled()."""
        step = super().compiled(name, follow=follow)
        step.graphs = {branch: compile_graph(steps) for branch, steps in self.branches.items()}
        return step

    def bound(self, workflow: object) -> Self:
        """See Step.bound()."""
        step = super().bound(workflow)
        step.graphs = {
            name: replace(
                graph, steps={key: inner.bound(workflow) for key, inner in graph.steps.items()}
            )
            for name, graph in self.graphs.items()
        }
        return step

    @property
    def needed(self) -> int:
        """Return how many branches must be done."""
        if self.wait == "all":
            return len(self.branches)
        return 1 if self.wait == "any" else min(int(self.wait), len(self.branches))

    def execute(self, state: State, run: Run) -> StepOutcome:
        """Run what is not done yet. Raise ParallelError or MergeConflict."""
        return _Join(self, state, run).execute()

    def scopes(self) -> Mapping[str, Graph]:
        """See Step.scopes()."""
        return self.graphs

    def children(self) -> Iterator[Step]:
        """See Step.children()."""
        for steps in self.branches.values():
            yield from steps

    def sets(self) -> Iterator[str]:
        """See Step.sets()."""
        yield from super().sets()
        for graph in self.graphs.values():
            for step in graph.steps.values():
                yield from step.sets()

    def _clashes(self) -> Iterator[str]:
        """Yield the ctx keys to which steps of two branches would write their outputs."""
        owners: dict[str, str] = {}
        for branch, graph in self.graphs.items() if self.merge == "error" else ():
            for key in sorted({step.output_key for step in graph.steps.values()} - {None}, key=str):
                owner = owners.setdefault(str(key), branch)
                if owner != branch:
                    yield (
                        f"steps of its branches {owner!r} and {branch!r} both write {key!r}: give"
                        " one another name or output=, or the parallel a merge rule"
                    )

    def problems(self) -> Iterator[str]:
        """See Step.problems()."""
        if not self.branches:
            yield "has no branches"
        for name, steps in self.branches.items():
            if not steps:
                yield f"branch {name!r} has no steps"
        yield from self._clashes()
        known = self.wait in ("all", "any")  # a document may have a list there
        if not known and (isinstance(self.wait, bool) or not isinstance(self.wait, int)):
            yield f"wait must be 'all', 'any' or a number, not {self.wait!r}"
        elif not known and not 1 <= int(self.wait) <= max(len(self.branches), 1):
            yield f"wait={self.wait} does not fit its {len(self.branches)} branches"
        if self.merge not in {"error", "first", "last"} and not callable(self.merge):
            yield f"merge must be 'error', 'first', 'last' or a callable, not {self.merge!r}"


class _Join:
    """One pass over the branches of a parallel."""

    def __init__(self, step: Parallel, state: State, run: Run) -> None:
        self.step = step
        self.state = state
        self.run = run
        known = run.frame.branches if isinstance(run.frame, ParallelFrame) else {}
        self.branches = {name: known.get(name, BranchFrame()) for name in step.graphs}
        self.errors: dict[str, Exception] = {}
        self.halts: dict[str, HaltResult] = {}

    def execute(self) -> StepOutcome:
        ended = {BranchStatus.DONE, BranchStatus.FAILED}
        todo = [name for name, branch in self.branches.items() if branch.status not in ended]
        tasks = {name: partial(self._branch, name) for name in todo}
        self.run.together(tasks, self._enough)
        done = self._with(BranchStatus.DONE)
        if len(done) >= self.step.needed:
            self.run.withdraw("/")
            return self._merged(done)
        if len(done) + len(self._with(BranchStatus.HALTED)) < self.step.needed:
            self.run.withdraw("/")
            raise self._failure()
        return self.step.stop(self.state, next(iter(self.halts.values())))

    def _with(self, status: BranchStatus) -> list[str]:
        return [name for name, branch in self.branches.items() if branch.status == status]

    def _enough(self) -> bool:
        return len(self._with(BranchStatus.DONE)) >= self.step.needed

    def _branch(self, name: str) -> None:
        """Walk one branch; what becomes of it is kept in its frame."""
        before = self.branches[name]
        base = self.state.ctx

        def place(cursor: Cursor, state: State) -> Frame:
            self._put(name, _moved(before, cursor, base, state.ctx, BranchStatus.RUNNING))
            return ParallelFrame(branches=dict(self.branches))

        kept = {key: value for key, value in base.items() if key not in before.removed}
        state = replace(self.state, ctx={**kept, **before.changes})
        scope = self.run.scope(f"/{name}/", place, isolated=True, stopped=self._enough)
        try:
            ended = scope.walk(self.step.graphs[name], before.body, state)
        except Exception as error:  # noqa: BLE001  whatever the author's code raises
            self.errors[name] = error
            now = self.branches[name]
            self._keep(name, replace(now, status=BranchStatus.FAILED, error=describe(error)))
            return
        if isinstance(ended, HaltResult):
            self.halts[name] = ended
            self._keep(name, replace(self.branches[name], status=BranchStatus.HALTED))
            return
        if not ended.stopped:
            now = _moved(before, ended.cursor, base, ended.state.ctx, BranchStatus.DONE)
            self._keep(name, replace(now, output=ended.cursor.result(ended.state.ctx)))

    def _put(self, name: str, branch: BranchFrame) -> None:
        self.branches[name] = branch

    def _keep(self, name: str, branch: BranchFrame) -> None:
        def frame() -> Frame:
            self._put(name, branch)
            return ParallelFrame(branches=dict(self.branches))

        self.run.keep(frame)

    def _failure(self) -> ParallelError:
        errors = {
            name: branch.error or ""
            for name, branch in self.branches.items()
            if branch.status == BranchStatus.FAILED
        }
        wanted = "" if self.step.wait == "all" else f" ({self.step.needed} needed)"
        failure = ParallelError(self.step.name, errors, wanted)
        failure.__cause__ = next(iter(self.errors.values()), None)
        return failure

    def _merged(self, done: list[str]) -> StepOutcome:
        ctx = dict(self.state.ctx)
        owner: dict[str, str] = {}
        for name in done:
            branch = self.branches[name]
            for key in branch.removed:
                if key not in owner:
                    ctx.pop(key, None)
            for key, value in branch.changes.items():
                clash = key in owner and ctx.get(key, _MISSING) != value
                ctx[key] = self._decide(key, value, owner[key], name, ctx) if clash else value
                owner[key] = name
        state = replace(self.state, ctx=ctx)
        outputs = {name: self.branches[name].output for name in done}
        listed = [outputs.get(name) for name in self.branches]  # None where one is not done
        return self.step.proceed(state, listed if self.step.as_list else outputs)

    def _decide(self, key: str, later: Any, first: str, second: str, ctx: Mapping[str, Any]) -> Any:
        earlier = ctx.get(key)
        if callable(self.step.merge):
            return self.step.merge(key, earlier, later)
        if self.step.merge == "error":
            raise MergeConflict(
                f"Branches {first!r} and {second!r} of {self.step.name!r} both set {key!r}:"
                f" {earlier!r} and {later!r}. Give one another output=, or a merge rule."
            )
        return earlier if self.step.merge == "first" else later


def _moved(
    before: BranchFrame,
    cursor: Cursor,
    base: Mapping[str, Any],
    ctx: Mapping[str, Any],
    status: BranchStatus,
) -> BranchFrame:
    """Return the frame of a branch at ``cursor`` whose ``ctx`` is what it made of ``base``."""
    changes = {key: value for key, value in ctx.items() if base.get(key, _MISSING) is not value}
    removed = tuple(key for key in base if key not in ctx)
    return replace(before, body=cursor, changes=changes, removed=removed, status=status)
