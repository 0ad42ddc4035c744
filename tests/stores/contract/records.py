"""Records to test stores with."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from django_workflows.core.chores import Chore, ChoreKind
from django_workflows.core.execution import (
    Compensation,
    Entry,
    EntryAction,
    Execution,
    ExecutionStatus,
)
from django_workflows.core.frames import (
    BranchFrame,
    BranchStatus,
    Cursor,
    LoopFrame,
    ParallelFrame,
    StepFrame,
)
from django_workflows.core.ids import derived_id
from django_workflows.core.presence import Presence
from django_workflows.core.waits import Answer, Cause, InboxEvent, Wait, WaitKind
from tests.values import SAMPLES

MINUTE = timedelta(minutes=1)
#: A lease that has ended as soon as it is given.
ENDED = timedelta(seconds=-1)

#: Of the right form, and never stored.
UNKNOWN_ID = "018f3f9e-0000-7000-8000-00000000dead"
MALFORMED_IDS = ["", "7", "no-uuid", UNKNOWN_ID + "0", "ž" * 36, "*", "x\x00"]


def at(seconds):
    """Return a fixed moment, ``seconds`` later."""
    return datetime(2026, 1, 31, 12, 0, 0, 123456, UTC) + timedelta(seconds=seconds)


def make_execution(age=0, **values):
    """Return an execution that came ``age`` seconds after the first one."""
    moments = {"created_at": at(age), "updated_at": at(age)}
    return Execution(**{"workflow_id": "orders"} | moments | values)


def make_entry(execution, step="charge", **values):
    return Entry(
        **{"execution_id": execution.id, "step_id": step, "action": EntryAction.COMPLETED} | values
    )


def make_wait(execution, step="review", age=0, **values):
    """Return an open wait that was opened ``age`` seconds after the first one."""
    return Wait(**{"execution_id": execution.id, "step": step, "opened_at": at(age)} | values)


def make_event(age=0, **values):
    """Return an event that was sent ``age`` seconds after the first one."""
    return InboxEvent(**{"name": "paid", "key": "7", "sent_at": at(age)} | values)


def make_chore(execution=None, due=0, **values):
    """Return a chore that is due ``due`` seconds after the first one."""
    execution_id = execution.id if execution is not None else None
    known = {"kind": ChoreKind.MEET, "execution_id": execution_id, "due_at": at(due)}
    return Chore(**known | values)


def make_child(parent, item=0, **values):
    """Return child number ``item`` of the step "each" of ``parent``."""
    known = {"parent": parent.id, "parent_step": "each", "item": item}
    return make_execution(**known | values)


def running(store, **values):
    """Store an execution that runs, as ``values`` say, and return it."""
    return store.create(make_execution(status=ExecutionStatus.RUNNING, **values))


def halted(store, *waits, **values):
    """Store an execution that halted at ``waits``, made from keyword arguments, and return it."""
    execution = make_execution(**values)
    store.create(execution)
    claimed = store.claim(execution.id, "worker", MINUTE)
    opened = [make_wait(claimed, age=age, **wait) for age, wait in enumerate(waits)]
    asleep = replace(
        claimed,
        status=ExecutionStatus.HALTED,
        recover_to="review",
        halt_data={"why": "to be tested"},
        lease_owner=None,
        lease_expires_at=None,
    )
    return store.suspend(asleep, [], claimed.fence, opened)


PARENT = make_execution(id=derived_id("the parent"))

_FRAME = ParallelFrame(
    branches={
        "left": BranchFrame(
            status=BranchStatus.HALTED,
            body=Cursor(at="ask", attempt=2, frame=StepFrame(data={"n": (1,)}, halted=True)),
            changes={"when": at(0)},
            removed=("old",),
        ),
        "right": BranchFrame(status=BranchStatus.FAILED, error="ValueError: no"),
    }
)

#: For every field of Execution, a value that differs from make_execution()'s.
CHANGED = {
    "workflow_id": "other_orders",
    "workflow_version": "2",
    "status": ExecutionStatus.COMPLETED,
    "input": SAMPLES,
    "ctx": {"b": 1, "a": [SAMPLES]},
    "current_step": "each_item[3]/charge",
    "frames": Cursor(
        at="each_item",
        frame=LoopFrame(
            index=1,
            items=(1, {2}),
            results=(SAMPLES["decimal"],),
            body=Cursor(at="both", frame=_FRAME, last="x", output=at(1), visits={"both": 2}),
        ),
    ),
    "result": [SAMPLES],
    "recover_to": "review",
    "halt_data": {"amount": SAMPLES["decimal"]},
    "error": "ValueError: it's “wrong”\nin two lines 🌍",
    "created_at": at(-1),
    "updated_at": at(2),
    "started_at": at(3),
    "finished_at": at(4),
    "deadline_at": at(5),
    "compensations": (
        Compensation(step="charge", target="refund", ctx={"paid": SAMPLES["decimal"]}),
        Compensation(step="each[1]/ship", target="unship", attempt=3),
    ),
    "lease_owner": "host:1:worker",
    "lease_expires_at": at(6),
    "fence": 41,
    "claims": 3,
    "attempt": 4,
    "parent": PARENT.id,
    "parent_step": "each_item[3]/children",
    "item": 2**31 - 1,
    "idempotency_key": "order 7",
    "subject": "shop.order:7",
    "started_by": "user:alice",
    "queue": "slow",
    "priority": -5,
}

#: A wait and an entry with every field set.
FULL_WAIT = {
    "step": "each[1]/review",
    "kind": WaitKind.APPROVAL,
    "prompt": "Order 7 is “over” 1,000 🌍",
    "data": SAMPLES,
    "resume_step": "charge",
    "approvers": ("group:managers", "user:alice"),
    "required": 2,
    "exclude_requester": True,
    "wake_at": at(7),
    "remind_at": at(8),
    "key": "paid:7",
    "settled_at": at(9),
    "answers": (
        Answer(response=SAMPLES, approved=True, by="alice", at=at(9), cause=Cause.PERSON),
        Answer(at=at(10), cause=Cause.TIMEOUT),
    ),
}
FULL_ENTRY = {
    "step_type": "call",
    "action": EntryAction.RETRIED,
    "attempt": 2,
    "duration_ms": 2**40,
    "input": SAMPLES,
    "output": [SAMPLES],
    "error": "ValueError: no",
    "traceback": "Traceback (most recent call last):\n  …\n",
    "by": "user:alice",
    "timestamp": at(11),
}
#: A chore and a presence with every field set.
FULL_CHORE = {
    "kind": ChoreKind.CANCEL_CHILDREN,
    "target": "each_item[3]/children",
    "reason": "Order 7 is “over” 🌍,\nand done",
    "by": "user:alice",
    "due_at": at(12),
}
FULL_PRESENCE = Presence(
    id="host:7:0123456789ab",
    host="host.example",
    pid=2**22,
    drives=True,
    queues=("slow", "a,b", "ž 🌍"),
    threads=16,
    adapter="django_workflows.runners.rq.RqAdapter",
    started_at=at(1),
    seen_at=at(2),
    swept_at=at(3),
    skew=-0.25,
)
