"""What a step's outcome does to its scope: the codec, the entry, and where to go on."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django_workflows.core import codec
from django_workflows.core.definition import FINISHED
from django_workflows.core.engine.staging import Accepted
from django_workflows.core.execution import (
    Compensation,
    ContinueResult,
    Entry,
    EntryAction,
    HaltResult,
    State,
    StepOutcome,
)
from django_workflows.core.frames import Cursor, StepFrame
from django_workflows.core.records import evolve
from django_workflows.core.waits import Wait
from django_workflows.exceptions import OutputError, PayloadError, StepError

if TYPE_CHECKING:
    from django_workflows.core.definition import Graph
    from django_workflows.core.engine.visiting import StepRun

_MISSING = object()


def with_last_error(ctx: Mapping[str, Any], failure: Any) -> dict[str, Any]:
    """Return ``ctx`` with ``failure`` for an on_error step to see, or with none."""
    kept = {key: value for key, value in ctx.items() if key != "_last_error"}
    return kept if failure is None else {**kept, "_last_error": failure}


def accept(run: StepRun, outcome: StepOutcome) -> Accepted:
    """
    Stage what ``outcome`` means, and return where the scope stands now.

    Raise OutputError on a value that cannot be kept, StepError on what is no outcome at all.
    """
    run.close_taken()
    result = getattr(outcome, "result", None)
    if isinstance(result, HaltResult):
        return _halt(run, result)
    if not isinstance(result, ContinueResult):
        raise StepError(
            f"Step {run.state.path!r} returned {outcome!r}; execute() must return a StepOutcome."
        )
    if result.stopped:
        return Accepted(cursor=run.cursor, state=run.state, stopped=True)
    return _proceed(run, outcome.state, result)


def _halt(run: StepRun, halt: HaltResult) -> Accepted:
    if run.step.nested:
        # The wait belongs to the nested step, which has opened it.
        return Accepted(cursor=run.cursor, state=run.state, halt=halt)
    state = run.state
    if halt.resume_step is not None:
        # Told now rather than to whoever answers, perhaps in days.
        run.graph.advance(run.cursor, halt.resume_step)
    data = kept(run, "halt data", dict(halt.data))
    wait = Wait(
        execution_id=state.execution_id,
        step=state.path,
        kind=halt.kind,
        prompt=halt.prompt,
        data=data,
        resume_step=halt.resume_step,
        approvers=halt.approvers,
        required=halt.required,
        exclude_requester=halt.exclude_requester,
        wake_at=halt.wake_at,
        remind_at=halt.remind_at,
        key=halt.key,
    )
    run.drive.open(wait)
    run.drive.log(entry_of(run, EntryAction.HALTED, data), "step.halted", data=data)
    cursor = evolve(run.cursor, frame=StepFrame(halted=True))
    run.walk.put(cursor, state)
    return Accepted(cursor=cursor, state=state, halt=halt)


def _proceed(run: StepRun, after: State, result: ContinueResult) -> Accepted:
    ctx, changed = _variables(run, after.ctx)
    output = kept(run, "output", result.output) if result.has_output else None
    key = run.step.output_key
    cursor = run.cursor
    if result.has_output:
        if key is not None:
            ctx[key] = output
        cursor = evolve(cursor, last=key, output=output if key is None else None)
    if cursor.rescue:
        ctx = with_last_error(ctx, cursor.outer_error)
    state = evolve(after, ctx=ctx)
    target = FINISHED if result.finish else result.next_step or run.graph.follow[run.step.name]
    cursor = run.graph.advance(cursor, target)
    shown = output if result.has_output else changed or None
    entry = entry_of(run, EntryAction.COMPLETED, shown)
    if result.has_output and changed:
        entry = evolve(entry, sets=changed)
    run.drive.log(entry, "step.completed", output=shown)
    if run.step.compensate is not None:
        _remember(run, ctx)
    run.walk.put(cursor, state)
    changes: Mapping[str, Any] = {}
    if run.walk.is_root and cursor.end is not None:
        changes = run.drive.complete(_result(run, result, cursor, output, ctx))
    return Accepted(cursor=cursor, state=state, changes=changes)


def _result(
    run: StepRun, result: ContinueResult, cursor: Cursor, output: Any, ctx: Mapping[str, Any]
) -> Any:
    if result.finish and result.has_output:
        return output
    if result.finish and run.drive.definition.whole_ctx_result:
        return ctx
    return cursor.result(ctx)


def _variables(run: StepRun, ctx: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return ctx with what the step has set put through the codec, and that alone."""
    before = run.state.ctx
    changed = {key: value for key, value in ctx.items() if before.get(key, _MISSING) is not value}
    if not changed:
        return dict(ctx), changed
    changed = {key: kept(run, key, value) for key, value in changed.items()}
    return {**ctx, **changed}, changed


def _remember(run: StepRun, ctx: Mapping[str, Any]) -> None:
    key = run.step.output_key
    own = {key: ctx[key]} if run.walk.is_root and key is not None else set_here(run.graph, ctx)
    compensation = Compensation(
        step=run.state.path, target=run.step.compensate or "", ctx={**run.walk.names, **own}
    )
    run.drive.compensate_with(compensation)


def set_here(graph: Graph, ctx: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the steps of one scope have set: another round or branch may change it."""
    keys = {key for step in graph.steps.values() for key in step.sets()}
    return {key: ctx[key] for key in keys if key in ctx}


def entry_of(run: StepRun, action: EntryAction, output: Any) -> Entry:
    """Return the entry of what the step has just done."""
    return Entry(
        execution_id=run.state.execution_id,
        step_id=run.state.path,
        step_type=run.step.type,
        action=action,
        attempt=run.state.attempt,
        duration_ms=round((time.monotonic() - run.began) * 1000),
        input=run.given,
        output=output,
        by=run.answer.by if run.answer else None,
    )


def kept(run: StepRun, what: str, value: Any) -> Any:
    """Return ``value`` as it will read after storage; raise OutputError naming step and path."""
    if value is None or value is True or value is False:
        return value
    try:
        return codec.kept(what, value, run.drive.limits.payload_bytes)
    except PayloadError as error:
        raise OutputError(f"Step {run.state.path!r} cannot keep its {error}.") from error
