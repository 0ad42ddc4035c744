"""Branches at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Self

from django_workflows.core.definition import Graph, compile_graph
from django_workflows.core.execution import HaltResult, State, StepOutcome
from django_workflows.core.frames import BranchFrame, BranchStatus, Cursor, Frame, ParallelFrame
from django_workflows.core.steps.base import Run, Step, StepOptions
from django_workflows.core.steps.distributed import join, start
from django_workflows.core.steps.merging import MISSING, MergeRule, merged
from django_workflows.core.steps.nested import Steps, listed
from django_workflows.exceptions import ParallelError, describe

if TYPE_CHECKING:
    from django_workflows.core.document.steps import StepReader


class Parallel(Step):
    """
    Run named branches, each a step or a list of steps, at once.

    ``wait`` is "all", "any" or how many branches must be done. A finished branch is not run again
    after a crash. Each branch has ctx as it was before, and what it sets is merged in branch
    order: two branches that set one key to different values are a MergeConflict, unless ``merge``
    is "first", "last" or a callable ``(key, earlier, later) -> value``. The output maps each done
    branch to its output (``as_list``: a list in branch order). Raise ParallelError with the error
    of every failed branch where too few can be done.

    With ``distributed`` each branch is a child execution, driven by whatever worker is free, and
    ``compensate`` may name the step that undoes all of them. Once the outcome is settled, branches
    that are still under way are cancelled.
    """

    type = "parallel"
    nested = True
    merges = True

    def __init__(
        self,
        branches: Mapping[str, Steps] | None = None,
        *,
        wait: Literal["all", "any"] | int = "all",
        merge: MergeRule = "error",
        as_list: bool = False,
        distributed: bool = False,
        options: StepOptions | None = None,
        **named: Any,
    ) -> None:
        """Take the branches as a mapping or as keywords; options of every step as keywords too."""
        given: StepOptions = options or {}
        for key in ("name", "next", "on_error", "output", "description"):
            if key in named and not isinstance(named[key], (Step, list, tuple)):
                given = {**given, key: named.pop(key)}  # type: ignore[misc]
        super().__init__(**given)
        if isinstance(named.get("compensate"), str):
            self.compensate = named.pop("compensate")
        self.branches = {
            name: listed(steps) for name, steps in {**(branches or {}), **named}.items()
        }
        self.wait = wait
        self.merge = merge
        self.as_list = as_list
        self.distributed = self.fans_out = self.waits = distributed
        self.nested = not distributed
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
            distributed=reader.boolean("distributed", default=False),
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
        step.graphs = {name: graph.bound(workflow) for name, graph in self.graphs.items()}
        return step

    @property
    def needed(self) -> int:
        """Return how many branches must be done."""
        if self.wait == "all":
            return len(self.branches)
        return 1 if self.wait == "any" else min(int(self.wait), len(self.branches))

    def execute(self, state: State, run: Run) -> StepOutcome:
        """Run what is not done yet. Raise ParallelError or MergeConflict."""
        if self.distributed:
            return (start if run.answer is None else join)(self, state, run)
        return _Join(self, state, run).execute()

    def joined(self, state: State, done: Mapping[str, BranchFrame]) -> StepOutcome:
        """Return the outcome of enough branches that are done. Raise MergeConflict."""
        state = replace(state, ctx=merged(self.name, self.merge, state.ctx, done))
        outputs = {name: branch.output for name, branch in done.items()}
        listed = [outputs.get(name) for name in self.graphs]  # None where one is not done
        return self.proceed(state, listed if self.as_list else outputs)

    def failure(self, errors: Mapping[str, str]) -> ParallelError:
        """Return the error of branches of which too few can be done."""
        return ParallelError(
            self.name, errors, "" if self.wait == "all" else f" ({self.needed} needed)"
        )

    def scopes(self) -> Mapping[str, Graph]:
        """See Step.scopes()."""
        return self.graphs

    def parts(self) -> Mapping[str, Graph]:
        """See Step.parts()."""
        return self.graphs if self.distributed else {}

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
        if self.compensate is not None and not self.distributed:
            yield "compensate is for distributed branches; here the steps of a branch may have it"


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
            return self.step.joined(self.state, {name: self.branches[name] for name in done})
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
        failure = self.step.failure(errors)
        failure.__cause__ = next(iter(self.errors.values()), None)
        return failure


def _moved(
    before: BranchFrame,
    cursor: Cursor,
    base: Mapping[str, Any],
    ctx: Mapping[str, Any],
    status: BranchStatus,
) -> BranchFrame:
    """Return the frame of a branch at ``cursor`` whose ``ctx`` is what it made of ``base``."""
    changes = {key: value for key, value in ctx.items() if base.get(key, MISSING) is not value}
    removed = tuple(key for key in base if key not in ctx)
    return replace(before, body=cursor, changes=changes, removed=removed, status=status)
