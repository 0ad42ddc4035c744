"""Executions of each status and with each kind of wait, for the API to be asked about."""

from dataclasses import dataclass
from datetime import date

from django_workflows import cancel, goto, run, send_event
from django_workflows.models import WorkflowExecution, WorkflowWait
from django_workflows.steps import (
    Approval,
    Assign,
    Call,
    ForEach,
    Halt,
    Loop,
    Parallel,
    Sleep,
    SubWorkflow,
    WaitForEvent,
)


@dataclass
class Typed:
    number: int
    due: date | None = None


def fail():
    raise ValueError("broken \x00 \ud800 <b>")


def back(state):
    return goto("ask")


STEPS = {
    "done": {"work": Call(lambda: {"on": date(2026, 1, 31), "$odd": {1, 2}}), "set": Assign(a=1)},
    "typed": {"Input": Typed, "work": Call(lambda state: state.input["number"])},
    "failing": {"look": Call(lambda: 1), "fail": Call(fail), "after": Call(lambda: 2)},
    "halting": {"ask": Halt("Well?"), "work": Call(lambda: 1)},
    "endless": {"ask": Halt("Again?"), "back": Call(back)},
    "asking": {"review": Approval("Well?", required=2, on_reject="no"), "no": Assign(said="no")},
    "asking_root": {"review": Approval("Root?", approvers=["user:root"])},
    "sleeping": {"nap": Sleep(3600), "work": Call(lambda: 1)},
    "waiting": {"paid": WaitForEvent("paid", key="1")},
    "looping": {"each": Loop(over=[1, 2, 3], do=Approval("Next?", name="review"))},
    "branching": {"both": Parallel({"a": Halt("a", name="qa"), "b": Halt("b", name="qb")})},
    "parent": {"kid": SubWorkflow("halting"), "after": Call(lambda: 1)},
    "many": {"each": ForEach([1, 2], do=Halt("item?", name="q"))},
}

#: What the ids of steps can be told from.
PATHS = ["work", "fail", "look", "ask", "review", "nap", "paid", "both/a/qa", "each[0]/review"]


def make(registered, rounds=3):
    """Run each workflow some times; return what there is to be named in requests."""
    for name, steps in STEPS.items():
        workflow = registered(name, **steps)
        given = {"number": 1} if name == "typed" else {}
        made = [run(workflow, given, by="root").execution_id for _ in range(rounds)]
        if name == "halting":
            cancel(made[0], "not needed")
    for key in ("2", "3"):
        send_event("paid", key)
    return {
        "executions": [row.id for row in WorkflowExecution.objects.all()],
        "waits": [row.id for row in WorkflowWait.objects.all()],
        "approvals": [row.id for row in WorkflowWait.objects.filter(kind="approval")],
        "workflows": [*STEPS],
        "steps": PATHS,
    }
