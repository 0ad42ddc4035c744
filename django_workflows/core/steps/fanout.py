"""A step whose items are child executions of their own, over all workers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, Self, Unpack

from django_workflows.core import codec
from django_workflows.core.definition import Graph, compile_graph, plain_path
from django_workflows.core.execution import (
    Execution,
    ExecutionStatus,
    HaltResult,
    State,
    StepOutcome,
)
from django_workflows.core.expressions import Reference, references, resolve
from django_workflows.core.retry import ONCE, Retry
from django_workflows.core.steps.base import Run, Step, StepOptions, duration
from django_workflows.core.steps.groups import Planned
from django_workflows.core.steps.lists import place, readers, without_list
from django_workflows.core.steps.nested import Steps, listed
from django_workflows.core.waits import WaitKind
from django_workflows.exceptions import ItemsFailed, StepError

if TYPE_CHECKING:
    from django_workflows.core.document.steps import StepReader
    from django_workflows.core.workflow import Workflow

    WorkflowClass = type[Workflow]

OnItemError = Literal["fail", "skip", "collect"]

#: Of how many lost items the error tells more than their number.
MOST_ERRORS = 5

#: Roots of references that say something else at each look.
_PASSING = {"now", "history"}

_POLICIES = ("fail", "skip", "collect")


class ForEach(Step):
    """
    Run a workflow, or the steps of ``do``, for each item of ``over``: each as a child execution.

    ``over`` is a reference to a list, or a list. The children are driven by whatever workers there
    are, at most ``concurrency`` of them at once, and the step halts until they have ended.

    ``do`` is a registered workflow, a class or an id: its input is ``input``, in which references
    to ``as_`` and ``index_as`` stand for the item and its number, from 0; without ``input`` it is
    the item itself where that is a mapping, else ``{as_: item}``. Or ``do`` is a step or a list of
    steps, which see the input and ctx of this execution, but for the list itself, and besides the
    item and its number. What they set stays with the child; its result is their last output.

    The output lists the results in the order of the items. With ``output=None`` none is read.
    Where children fail or are cancelled, ``on_item_error`` says what then: "fail" cancels the
    others and raises ItemsFailed, "skip" leaves them out, and "collect" makes the output
    ``{"results": […], "errors": […]}``. Run again, by ``retry`` or by hand, the items that are done
    are not done again. ``timeout`` bounds each child, from its beginning. ``compensate`` names the
    step that undoes it all; what a child has done by then is nobody else's to undo.
    """

    type = "for_each"
    fans_out = True
    waits = True

    def __init__(
        self,
        over: Any,
        *,
        do: str | WorkflowClass | Steps | None = None,
        input: Any = None,
        as_: str = "item",
        index_as: str = "index",
        concurrency: int | None = None,
        on_item_error: OnItemError = "fail",
        timeout: float | timedelta | None = None,
        retry: Retry | None = None,
        compensate: str | None = None,
        **options: Unpack[StepOptions],
    ) -> None:
        super().__init__(**options)
        self.over = over
        self.workflow = do if isinstance(do, (str, type)) else None
        self.do = [] if do is None or isinstance(do, (str, type)) else listed(do)
        self.input = input
        self.as_ = as_
        self.index_as = index_as
        self.concurrency = concurrency
        self.on_item_error = on_item_error
        self.child_timeout = duration(timeout)
        self.retry = retry or ONCE
        self.compensate = compensate
        self.body = Graph(steps={}, follow={})

    @classmethod
    def from_document(cls, reader: StepReader) -> Self:
        """See Step.from_document()."""
        workflow_id, has_steps = reader.key("workflow_id"), "do" in reader.keys
        if has_steps is (workflow_id is not None):
            reader.problem("needs either do or workflow_id, not both and not neither")
        on_item_error: Any = reader.choice("on_item_error", _POLICIES, "fail")
        return cls(
            reader.items("over"),
            do=reader.steps("do") if has_steps else workflow_id or "?",
            input=reader.value("input"),
            as_=reader.text("as", "item"),
            index_as=reader.text("index_as", "index"),
            concurrency=reader.integer("concurrency", 0, least=1) or None,
            on_item_error=on_item_error,
            timeout=reader.seconds("timeout"),
            **reader.options(output=reader.key("output")),
        )

    def compiled(self, name: str, *, follow: bool = True) -> Self:
        """See Step.compiled()."""
        step = super().compiled(name, follow=follow)
        step.body = compile_graph(self.do)
        return step

    def bound(self, workflow: object) -> Self:
        """See Step.bound()."""
        step = super().bound(workflow)
        step.body = self.body.bound(workflow)
        return step

    # Running ------------------------------------------------------------------------------------

    def execute(self, state: State, run: Run) -> StepOutcome:
        """Start the children, or take up their results. Raise ItemsFailed."""
        # Attempted anew, what was answered before was the end of other children.
        is_same = run.answer is not None and run.asked.get("attempt") == state.attempt
        since = run.asked.get("since") if is_same else None
        if is_same and since is None:
            return self._join(state, run)
        items = self._items(state)
        if not items:
            return self.proceed(state, self._output([], 0))
        later = run.children.start(
            list(self._planned(state, items)),
            concurrency=self.concurrency,
            timeout=self.child_timeout,
            keeps_misfits=self.on_item_error != "fail",
            since=since or 0,
        )
        return self._wait(state, len(items), later)

    def _items(self, state: State) -> list[Any]:
        items = resolve(self.over, state)
        if not isinstance(items, (list, tuple)):
            raise StepError(f"Step {self.name!r} needs a list to go over, not {items!r}.")
        normalised: list[Any] = codec.normalise(list(items))
        return normalised

    def _planned(self, state: State, items: Sequence[Any]) -> Iterator[Planned]:
        workflow_id = self.workflow_id or f"{state.workflow_id}/{plain_path(state.path)}"
        seen = without_list(self.over, state)
        for index, item in enumerate(items):
            named = {self.as_: item, self.index_as: index}
            of_part = self.workflow is None
            yield Planned(
                item=index,
                workflow_id=workflow_id,
                input=seen.input if of_part else self._given(state, item, named),
                ctx={**seen.ctx, **named} if of_part else None,
                about=item,
                told=self._told(state.with_ctx(**named)),
            )

    def _given(self, state: State, item: Any, named: Mapping[str, Any]) -> Any:
        if self.input is not None:
            return resolve(self.input, state.with_ctx(**named))
        return item if isinstance(item, Mapping) else {self.as_: item}

    def _told(self, state: State) -> list[Any] | None:
        """Return what of the input is the same at every look, None where all of it is."""
        read = [*references(self.input)]
        kept = [reference for reference in read if reference.root not in _PASSING]
        return None if kept == read else [reference.lookup(state) for reference in kept]

    def _wait(self, state: State, total: int, later: int | None = None) -> StepOutcome:
        ends_early = self.on_item_error == "fail" and later is None
        data = {
            "total": total,
            "needed": total if ends_early else None,
            "concurrency": self.concurrency,
            "workflow_id": self.workflow_id or f"{state.workflow_id}/{plain_path(state.path)}",
            "attempt": state.attempt,
        }
        if later is not None:  # children of before, to be driven on when these have ended
            data["since"] = later
        return self.stop(state, HaltResult(data=data, kind=WaitKind.CHILD))

    def _join(self, state: State, run: Run) -> StepOutcome:
        total, tally = run.asked["total"], run.children.tally()
        live = sum(count for status, count in tally.items() if not status.is_final)
        lost = total - live - tally.get(ExecutionStatus.COMPLETED, 0)  # or deleted
        if lost and self.on_item_error == "fail":
            errors = {child.item or 0: _error(child) for child in run.children.lost(MOST_ERRORS)}
            raise ItemsFailed(self.name, lost, total, errors)
        if live:  # somebody has had one of them driven again
            return self._wait(state, total)
        if self.output_key is None:
            return self.proceed(state)
        return self.proceed(state, self._output(run.children.all(), total))

    def _output(self, children: Sequence[Execution], total: int) -> Any:
        done = {c.item: c.result for c in children if c.status == ExecutionStatus.COMPLETED}
        if self.on_item_error != "collect":
            return [done[item] for item in range(total) if item in done]
        there = {child.item: child for child in children}
        errors = [
            {
                "index": item,
                "execution_id": there[item].id if item in there else None,
                "error": _error(there.get(item)),
            }
            for item in range(total)
            if item not in done
        ]
        return {"results": [done.get(item) for item in range(total)], "errors": errors}

    # What is known of it before it runs ---------------------------------------------------------

    @property
    def workflow_id(self) -> str:
        """Return the id of the workflow that it runs, or nothing where it has steps of its own."""
        if isinstance(self.workflow, type):
            return self.workflow.id
        return self.workflow or ""

    def scopes(self) -> Mapping[str, Graph]:
        """See Step.scopes()."""
        return {"": self.body} if self.do else {}

    def parts(self) -> Mapping[str, Graph]:
        """See Step.parts()."""
        return self.scopes()

    def children(self) -> Iterator[Step]:
        """See Step.children()."""
        yield from self.do

    def scope_sets(self) -> Iterator[str]:
        """See Step.scope_sets()."""
        yield from (self.as_, self.index_as)

    def workflows(self) -> Iterator[str]:
        """See Step.workflows()."""
        if self.workflow is not None:
            yield self.workflow_id

    def references(self) -> Iterator[Reference]:
        """See Step.references()."""
        yield from references(self.over)
        own = [("ctx", name) for name in self.scope_sets()]
        yield from (found for found in references(self.input) if place(found)[:2] not in own)

    def problems(self) -> Iterator[str]:
        """See Step.problems()."""
        if self.workflow is None and not self.do:
            yield "has nothing to do: give do= a workflow, a step or a list of steps"
        if not isinstance(self.over, (list, tuple)) and not [*references(self.over)]:
            yield f"over must be a list or a reference to one, not {self.over!r}"
        if self.input is not None and self.do:
            yield "input is for a workflow: the steps of do see the input of this one"
        if self.as_ == self.index_as:
            yield f"as_ and index_as are both {self.as_!r}: give one another name"
        bound: object = self.concurrency
        is_count = isinstance(bound, int) and not isinstance(bound, bool) and bound > 0
        if bound is not None and not is_count:
            yield f"concurrency must be a whole number from 1 on, not {bound!r}"
        if self.on_item_error not in _POLICIES:
            yield f"on_item_error must be 'fail', 'skip' or 'collect', not {self.on_item_error!r}"
        if self.child_timeout is not None and self.child_timeout <= 0:
            yield f"timeout must be positive, not {self.child_timeout:g}"
        yield from self.retry.problems()
        for path in readers(self.over, self.body, self.scope_sets()):
            yield (
                f"its step {path!r} reads the list itself, {self.over}, which no child has; let it"
                " read its item, or a variable that is set before"
            )


def _error(child: Execution | None) -> str:
    if child is None:
        return "its execution was deleted"
    return child.error or f"it is {child.status}"
