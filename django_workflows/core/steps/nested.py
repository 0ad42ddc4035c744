"""Steps that hold steps: loops, parallels, and other workflows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self, Unpack

from django_workflows.core import codec
from django_workflows.core.conditions import Condition, condition
from django_workflows.core.definition import BREAK, Graph, compile_graph
from django_workflows.core.execution import (
    ContinueResult,
    ExecutionStatus,
    HaltResult,
    State,
    StepOutcome,
)
from django_workflows.core.expressions import Reference, references, resolve
from django_workflows.core.frames import Cursor, Frame, LoopFrame
from django_workflows.core.steps.base import (
    Run,
    ScopeEnd,
    Step,
    StepOptions,
    duration,
)
from django_workflows.core.waits import WaitKind
from django_workflows.exceptions import ChildFailed, LoopExhausted, StepError

if TYPE_CHECKING:
    from django_workflows.core.document.steps import StepReader
    from django_workflows.core.workflow import Workflow

    WorkflowClass = type[Workflow]

Steps = Step | Sequence[Step]


def listed(steps: Steps) -> list[Step]:
    """Return one step or several as a list."""
    return [steps] if isinstance(steps, Step) else list(steps)


class Loop(Step):
    """
    Run the steps of ``do`` for each item of ``over``, or as long as ``while_`` holds.

    ``over`` is a reference to a list, or a list; the item is ``ctx[as_]`` and its number, from 0,
    ``ctx[index_as]``. In a while loop ``ctx["iteration"]`` counts from 1. More than ``max`` rounds
    go to ``on_exhausted``, or raise LoopExhausted. A step of the body ends the loop by
    ``goto("break")`` and the round by ``goto("continue")``. The output lists the last output of
    each round. After a crash or a halt the loop goes on in the round it had reached.
    """

    type = "loop"
    nested = True
    breakable = True

    def __init__(
        self,
        *,
        do: Steps,
        over: Any = None,
        while_: object = None,
        as_: str = "item",
        index_as: str = "index",
        max: int = 100,
        on_exhausted: str | None = None,
        break_key: str | None = None,
        **options: Unpack[StepOptions],
    ) -> None:
        super().__init__(**options)
        self.over = over
        self.while_: Condition | None = None if while_ is None else condition(while_)
        self.do = listed(do)
        self.as_ = as_
        self.index_as = index_as
        self.max = max
        self.on_exhausted = on_exhausted
        self.break_key = break_key
        self.body = Graph(steps={}, follow={})

    @classmethod
    def from_document(cls, reader: StepReader) -> Self:
        """See Step.from_document(). A variable ``break_loop`` that is truthy ends the loop."""
        over, while_ = reader.items("over"), reader.condition("while")
        if (over is None) is (while_ is None):
            reader.problem("needs either over or while, not both and not neither")
            over, while_ = [], None
        return cls(
            over=over,
            while_=while_,
            as_=reader.text("as", "item"),
            index_as=reader.text("index_as", "index"),
            do=reader.steps("do"),
            max=reader.integer("max", 100, least=1),
            on_exhausted=reader.key("on_exhausted"),
            break_key="break_loop",
            **reader.options(output=reader.key("output")),
        )

    def compiled(self, name: str, *, follow: bool = True) -> Self:
        """See Step.compiled()."""
        step = super().compiled(name, follow=follow)
        step.body = compile_graph(self.do, breakable=True)
        return step

    def bound(self, workflow: object) -> Self:
        """See Step.bound()."""
        step = super().bound(workflow)
        steps = {name: inner.bound(workflow) for name, inner in self.body.steps.items()}
        step.body = replace(self.body, steps=steps)
        return step

    def execute(self, state: State, run: Run) -> StepOutcome:
        """Go round. Raise LoopExhausted past ``max``."""
        frame = run.frame if isinstance(run.frame, LoopFrame) else self._begin(state)
        while True:
            if frame.body.at is None and frame.body.end is None:  # a round not begun
                verdict = self._ask(state, frame)
                if verdict is not None:
                    return self._finish(state, frame, verdict)
                state = state.with_ctx(**self._names(frame))
            ended = self._round(state, run, frame)
            if isinstance(ended, HaltResult):
                return self.stop(state, ended)
            if ended.stopped:
                return StepOutcome(state=state, result=ContinueResult(stopped=True))
            state = ended.state
            frame = replace(
                frame,
                index=frame.index + 1,
                results=(*frame.results, ended.cursor.result(state.ctx)),
                body=Cursor(),
            )
            if ended.cursor.end == BREAK or (self.break_key and state.ctx.get(self.break_key)):
                return self._finish(state, frame, None)
            run.keep(frame, state)

    def _begin(self, state: State) -> LoopFrame:
        hidden = {name: state.ctx[name] for name in self.scope_sets() if name in state.ctx}
        if self.over is None:
            return LoopFrame(hidden=hidden)
        items = resolve(self.over, state)
        if not isinstance(items, (list, tuple)):
            raise StepError(f"Loop {self.name!r} needs a list to go over, not {items!r}.")
        if len(items) > self.max and self.on_exhausted is None:
            raise LoopExhausted(
                f"Loop {self.name!r} has {len(items)} items and its max is {self.max}."
            )
        return LoopFrame(items=tuple(codec.normalise(list(items))), hidden=hidden)

    def _ask(self, state: State, frame: LoopFrame) -> str | None:
        """Return None to go round once more, else why not: "done" or "exhausted"."""
        if frame.items is not None:
            if len(frame.items) > self.max:
                return "exhausted"
            return "done" if frame.index >= len(frame.items) else None
        counted = state.with_ctx(iteration=frame.index)
        if self.while_ is None or not self.while_.matches(counted):
            return "done"
        return "exhausted" if frame.index >= self.max else None

    def _names(self, frame: LoopFrame) -> dict[str, Any]:
        if frame.items is None:
            return {"iteration": frame.index + 1}
        return {self.as_: frame.items[frame.index], self.index_as: frame.index}

    def _round(self, state: State, run: Run, frame: LoopFrame) -> ScopeEnd | HaltResult:
        def place(cursor: Cursor, _: State) -> Frame:
            return replace(frame, body=cursor)

        scope = run.scope(f"[{frame.index}]/", place, names=self._names(frame))
        return scope.walk(self.body, frame.body, state)

    def _finish(self, state: State, frame: LoopFrame, verdict: str | None) -> StepOutcome:
        state = self.abandoned(state, frame)
        if verdict != "exhausted":
            return self.proceed(state, list(frame.results))
        if self.on_exhausted is None:
            raise LoopExhausted(
                f"Loop {self.name!r} did not end within its max of {self.max} rounds."
            )
        return self.proceed(state, list(frame.results), to=self.on_exhausted)

    def abandoned(self, state: State, frame: Frame | None) -> State:
        """See Step.abandoned(): what its names hid is there again."""
        if not isinstance(frame, LoopFrame):
            return state  # it has not begun
        if frame.body.at is not None:
            state = self.body.steps[frame.body.at].abandoned(state, frame.body.frame)
        own = {*self.scope_sets(), *((self.break_key,) if self.break_key else ())}
        return state.without_ctx(*own).with_ctx(**frame.hidden)

    def targets(self) -> Iterator[str]:
        """See Step.targets()."""
        if self.on_exhausted is not None:
            yield self.on_exhausted

    def references(self) -> Iterator[Reference]:
        """See Step.references(); those of the body belong to the body."""
        yield from references(self.over)
        if self.while_ is not None:
            # A condition may ask for what the body sets: it is None in the first round.
            inner = {key for step in self.body.steps.values() for key in step.sets()}
            own = inner | set(self.scope_sets())
            yield from (ref for ref in self.while_.references() if ref.root not in own)

    def sets(self) -> Iterator[str]:
        """See Step.sets()."""
        yield from super().sets()
        for step in self.body.steps.values():
            yield from step.sets()

    def scope_sets(self) -> Iterator[str]:
        """See Step.scope_sets()."""
        yield from ("iteration",) if self.over is None else (self.as_, self.index_as)

    def scopes(self) -> Mapping[str, Graph]:
        """See Step.scopes()."""
        return {"": self.body}

    def children(self) -> Iterator[Step]:
        """See Step.children()."""
        yield from self.do

    def problems(self) -> Iterator[str]:
        """See Step.problems()."""
        if (self.over is None) is (self.while_ is None):
            yield "needs either over= or while_=, not both and not neither"
        if not self.do:
            yield "has no steps to do"
        bound: object = self.max
        if isinstance(bound, bool) or not isinstance(bound, int) or bound < 1:
            yield f"max must be a positive number, not {self.max!r}: every loop has a bound"
        if self.while_ is not None:
            yield from self.while_.problems()


class SubWorkflow(Step):
    """
    Run another workflow, a class or an id, as a child execution; its result is the output.

    Its halt halts the parent, and resuming either resumes the child. Its failure is this step's
    failure. ``timeout`` bounds the child, in seconds.
    """

    type = "workflow"
    waits = True

    def __init__(
        self,
        workflow: str | WorkflowClass,
        *,
        input: Any = None,
        timeout: float | timedelta | None = None,
        **options: Unpack[StepOptions],
    ) -> None:
        super().__init__(**options)
        self.workflow = workflow
        self.input = input
        self.child_timeout = duration(timeout)

    @classmethod
    def from_document(cls, reader: StepReader) -> Self:
        """See Step.from_document()."""
        return cls(
            reader.text("workflow_id", required=True),
            input=reader.value("input"),
            timeout=reader.seconds("timeout"),
            **reader.options(output=reader.key("output")),
        )

    @property
    def workflow_id(self) -> str:
        """Return the id of the workflow it runs."""
        return self.workflow if isinstance(self.workflow, str) else self.workflow.id

    def execute(self, state: State, run: Run) -> StepOutcome:
        """Drive the child. Raise ChildFailed where it failed or was cancelled."""
        given: object = resolve(self.input, state) if self.input is not None else {}
        if not isinstance(given, Mapping):
            raise StepError(f"Step {self.name!r} needs a mapping as input, not {given!r}.")
        ended = run.child(self.workflow_id, given, self.child_timeout)
        if isinstance(ended, str):
            data = {"execution_id": ended, "workflow_id": self.workflow_id}
            return self.stop(state, HaltResult(data=data, kind=WaitKind.CHILD, key=ended))
        if ended.status != ExecutionStatus.COMPLETED:
            raise ChildFailed(
                f"Child {ended.execution_id} of step {self.name!r} is {ended.status}: {ended.error}"
            ) from ended.exception
        return self.proceed(state, ended.output)

    def workflows(self) -> Iterator[str]:
        """See Step.workflows()."""
        yield self.workflow_id

    def references(self) -> Iterator[Reference]:
        """See Step.references()."""
        return references(self.input)

    def problems(self) -> Iterator[str]:
        """See Step.problems()."""
        if self.child_timeout is not None and self.child_timeout <= 0:
            yield f"timeout must be positive, not {self.child_timeout:g}"
