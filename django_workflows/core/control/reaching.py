"""Where an execution may begin again: where it has been, and never behind a decision of others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from django_workflows.core.definition import Graph, WorkflowDefinition
from django_workflows.core.execution import Entry, EntryAction, Execution
from django_workflows.core.frames import LoopFrame, ParallelFrame
from django_workflows.core.waits import WaitKind
from django_workflows.exceptions import InvalidTransition

_DONE = {EntryAction.COMPLETED, EntryAction.SKIPPED}


def own_step(path: str) -> str:
    """Return the workflow's own step that a path leads through: of ``each[3]/pay`` ``each``."""
    return path.partition("/")[0].partition("[")[0].partition("#")[0]


@dataclass(slots=True)
class Asked:
    """An approval that was asked for, as it stands by now."""

    step: str  # the workflow's own step that it is, or lies in
    at: int  # where in the history it was asked for, or decided
    said_yes: bool = False  # the latest answer
    stands: bool = False  # approved, and the execution went on behind it


@dataclass(slots=True)
class Trail:
    """The own steps that an execution came to, by their places in its history."""

    first: dict[str, int] = field(default_factory=dict)
    last: dict[str, int] = field(default_factory=dict)
    asked: dict[str, Asked] = field(default_factory=dict)  # by path
    input_since: int = -1  # where it got the input that it has

    def reach(self, step: str, place: int) -> None:
        """Note that it stood at ``step``."""
        self.first.setdefault(step, place)
        self.last[step] = place

    def approve(self, step: str, place: int) -> None:
        """Note that all that ``step`` has asked was decided in favour."""
        for asked in self.asked.values():
            if asked.step == step:
                asked.at, asked.stands = place, True

    def is_ahead(self, asked: Asked, step: str) -> bool:
        """Say whether an approval comes after ``step``, or is it: from there it is asked anew."""
        return self.first[step] <= self.first[asked.step]

    def unapproved(self, step: str) -> str | None:
        """Return the own step of an approval which who begins at ``step`` would get round."""
        for asked in self.asked.values():
            is_valid = asked.stands and asked.at > self.input_since
            # After a rejection, the flow itself may have come there.
            led_there = self.last[step] > max(asked.at, self.input_since)
            if not (is_valid or led_there or self.is_ahead(asked, step)):
                return asked.step
        return None

    def decided_before(self, step: str) -> list[str]:
        """Return the own steps of the approvals that lie before ``step``, in their order."""
        steps = {asked.step for asked in self.asked.values() if not self.is_ahead(asked, step)}
        return sorted(steps, key=self.first.__getitem__)


def trail_of(
    definition: WorkflowDefinition, execution: Execution, history: Sequence[Entry]
) -> Trail:
    """Return where an execution has been, and what it has asked."""
    trail = Trail()
    for place, entry in enumerate(history):
        _note(trail, place, entry)
    stands_at = execution.frames.at
    here = next(iter(definition.graph.steps)) if stands_at is None else stands_at
    trail.reach(here, len(history))
    instead = _instead_of(here, definition.graph, trail, history)
    if instead is not None:
        trail.reach(instead, len(history))
    return trail


def _instead_of(gone: str, graph: Graph, trail: Trail, history: Sequence[Entry]) -> str | None:
    """
    Return the step that took the place of one which the workflow has no more.

    It is the one to which the step before it leads, where that leads nowhere else: of several, or
    for an approval that was asked, nobody can say which way it was on.
    """
    if gone in graph.steps or any(asked.step == gone for asked in trail.asked.values()):
        return None
    done = (own_step(one.step_id) for one in reversed(history) if one.action in _DONE)
    before = next((name for name in done if name in graph.steps), None)
    if before is None or graph.steps[before].chooses:
        return None
    after = graph.successors(before)
    return after[0] if len(after) == 1 else None


def _note(trail: Trail, place: int, entry: Entry) -> None:
    path, step = entry.step_id, own_step(entry.step_id)
    told = entry.output if isinstance(entry.output, Mapping) else {}
    if entry.action == EntryAction.FORKED:
        behind = told.get("approvals", ())
        for before, name in enumerate(behind, start=place - len(behind)):
            trail.reach(name, before)
            trail.asked[name] = Asked(step=name, at=place, said_yes=True, stands=True)
    trail.reach(step, place)
    asked, is_approval = trail.asked.get(path), entry.step_type == WaitKind.APPROVAL
    if entry.action == EntryAction.RETRIED and "input_before" in told:
        if told.get("input") != told["input_before"]:
            trail.input_since = place
    elif entry.action == EntryAction.SKIPPED:
        trail.approve(step, place)  # it takes those who may decide it
    elif entry.action == EntryAction.HALTED and (asked or is_approval):
        trail.asked[path] = Asked(step=step, at=place)
    elif entry.action == EntryAction.RESUMED and is_approval:
        said_yes = told.get("approved") is True
        trail.asked[path] = Asked(step=step, at=place, said_yes=said_yes)
    elif entry.action == EntryAction.COMPLETED and asked:
        asked.at, asked.stands = place, asked.said_yes


def refuse_unreached(execution: Execution, trail: Trail, step: str, verb: str) -> None:
    """Raise InvalidTransition where ``step`` is none to begin at: ``trail`` does not lead there."""
    if step not in trail.first:
        raise InvalidTransition(
            execution.id, execution.status, f"{verb} from {step!r}", "past that step"
        )
    passed = trail.unapproved(step)
    if passed is not None:
        stands = f"not approved at {passed!r} as it is"
        needed = f"begun at or before step {passed!r}"
        raise InvalidTransition(execution.id, stands, f"{verb} from {step!r}", needed)


def refuse_other_input(execution: Execution, trail: Trail, from_step: str | None) -> None:
    """
    Raise InvalidTransition where another input would go on behind an approval of the former one.

    ``from_step`` is where it is to begin; None is where it stands, also inside of that step.
    """
    step = from_step or execution.frames.at
    if step is None:
        return
    passed = trail.decided_before(step)
    frame = execution.frames.frame
    if from_step is None and isinstance(frame, LoopFrame | ParallelFrame):
        passed += [step for asked in trail.asked.values() if asked.step == step]
    for name in passed[:1]:
        needed = f"begin at or before step {name!r}, whose approval was given for another input"
        raise InvalidTransition(
            execution.id,
            f"past the approval {name!r}",
            "retry with another input",
            f"told to {needed}",
        )


def unsaid(
    definition: WorkflowDefinition, execution: Execution, trail: Trail
) -> Mapping[str, object]:
    """Return ctx without what the workflow's own approvals have set: it was for another input."""
    steps = (definition.graph.steps.get(own_step(path)) for path in trail.asked if "/" not in path)
    keys = {key for step in steps if step is not None for key in step.sets()}
    return {key: value for key, value in execution.ctx.items() if key not in keys}
