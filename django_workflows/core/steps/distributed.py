"""Branches of a parallel as child executions, each driven by whatever worker is free."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django_workflows.core import codec
from django_workflows.core.definition import plain_path
from django_workflows.core.execution import (
    Execution,
    ExecutionStatus,
    HaltResult,
    State,
    StepOutcome,
)
from django_workflows.core.frames import BranchFrame, BranchStatus
from django_workflows.core.steps.base import Run
from django_workflows.core.steps.groups import Planned
from django_workflows.core.waits import WaitKind

if TYPE_CHECKING:
    from django_workflows.core.steps.parallel import Parallel


def start(step: Parallel, state: State, run: Run) -> StepOutcome:
    """Start a child for each branch, and halt until enough of them have ended."""
    # What a branch changed is found by comparing, so with another ctx it is another branch.
    begins_with = hashlib.sha256(_text(state.ctx).encode()).hexdigest()
    workflow_id = f"{state.workflow_id}/{plain_path(state.path)}"
    planned = [
        Planned(
            item=item,
            workflow_id=f"{workflow_id}/{name}",
            input=state.input,
            ctx=state.ctx,
            about=begins_with,
        )
        for item, name in enumerate(step.graphs)
    ]
    run.children.start(planned)
    return _wait(step, state)


def join(step: Parallel, state: State, run: Run) -> StepOutcome:
    """Take up what the branches did. Raise ParallelError or MergeConflict."""
    children = {child.item: child for child in run.children.all()}
    done: dict[str, BranchFrame] = {}
    errors: dict[str, str] = {}
    for item, name in enumerate(step.graphs):
        child = children.get(item)
        if child is None:
            errors[name] = "its execution was deleted"
        elif child.status == ExecutionStatus.COMPLETED:
            done[name] = _frame(child, state.ctx)
        elif child.status.is_final:
            errors[name] = child.error or f"it is {child.status}"
    live = len(step.graphs) - len(done) - len(errors)
    if len(done) >= step.needed:
        if live:
            run.children.let_go()
        return step.joined(state, done)
    if len(done) + live < step.needed:
        raise step.failure(errors)
    return _wait(step, state)  # somebody has had one of them driven again


def _wait(step: Parallel, state: State) -> StepOutcome:
    data = {
        "total": len(step.graphs),
        "needed": step.needed,
        "concurrency": None,
        "workflow_id": f"{state.workflow_id}/{plain_path(state.path)}",
    }
    return step.stop(state, HaltResult(data=data, kind=WaitKind.CHILD))


def _frame(child: Execution, base: Mapping[str, Any]) -> BranchFrame:
    """Return the frame of a branch that is done: what it made of ``base``."""
    removed = tuple(key for key in base if key not in child.ctx)
    return BranchFrame(
        status=BranchStatus.DONE,
        changes=_changed(base, child.ctx),
        removed=removed,
        output=child.result,
    )


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: value
        for key, value in after.items()
        if key not in before or _text(before[key]) != _text(value)
    }


def _text(value: Any) -> str:
    """Return a text that two values share only where they are the same: True is not 1."""
    return json.dumps(codec.encode(value), sort_keys=True)
