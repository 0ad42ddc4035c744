"""The workflows that the machine starts: each step kind that can go wrong in a way of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from django_workflows import F, Retry, Workflow, register, registry
from django_workflows.steps import (
    Approval,
    Assign,
    Call,
    End,
    ForEach,
    Halt,
    Loop,
    Parallel,
    Sleep,
    SubWorkflow,
    WaitForEvent,
)
from tests.machine.world import book, shaky, shaky_book, undo, work


class Plain(Workflow):
    first = Call(work)
    booked = Call(shaky_book, atomic=True, retry=Retry(attempts=2, delay=0))
    noted = Assign(seen=F("first"))
    last = Call(shaky, retry=Retry(attempts=3, delay=0))
    done = End(result={"last": F("last"), "seen": F("seen"), "booked": F("booked")})


class Looped(Workflow):
    each = Loop(
        over=["a", "b"],
        do=[Call(work, name="one"), Call(book, name="two", atomic=True), Halt("?", name="ask")],
    )
    done = End(result={"two": F("two")})


class Branched(Workflow):
    before = Call(work)
    both = Parallel(
        {
            "ask": Approval("ok?", name="asked"),
            "event": [
                WaitForEvent("paid", key="$input.key", name="paid"),
                Call(work, name="shipped"),
            ],
            "own": [
                Call(book, name="kept", atomic=True),
                Sleep(30, name="nap"),
                Call(shaky, name="called"),
            ],
        }
    )
    after = Call(work)
    done = End(result={"after": F("after"), "kept": F("kept"), "shipped": F("shipped")})


class Raced(Workflow):
    both = Parallel(
        {
            "left": [Approval("ok?", name="asked"), Call(work, name="told")],
            "kid": SubWorkflow("machine_child", input="$input", name="kid"),
            "event": WaitForEvent("paid", key="$input.key", name="paid"),
        },
        wait="any",
    )
    after = Call(book, atomic=True)
    done = End(result={"after": F("after")})


class Child(Workflow):
    begun = Call(book, atomic=True)
    ask = Halt("?")
    ended = Call(shaky)


class Parent(Workflow):
    before = Call(work)
    kid = SubWorkflow("machine_child", input="$input")
    after = Call(book, atomic=True)
    done = End(result={"kid": F("kid"), "after": F("after")})


class Grand(Workflow):
    each = Loop(
        over=["a", "b"],
        do=SubWorkflow("machine_parent", input="$input", name="son"),
        on_error="rescue",
    )
    after = Call(work)
    done = End(result={"after": F("after")})
    rescue = Call(book, atomic=True)
    rescued = End(result={"rescue": F("rescue")})


class Waiting(Workflow):
    nap = Sleep(30)
    paid = WaitForEvent("paid", key="$input.key", timeout=300, on_timeout="late")
    call = Call(shaky, retry=Retry(attempts=3, delay=60))
    done = End(result={"call": F("call")})
    late = Call(work)
    over = End(result={"late": F("late")})


class Saga(Workflow):
    reserve = Call(work, compensate="release")
    each = Loop(over=["a", "b"], do=Call(work, name="take", compensate="put_back"))
    pay = Call(book, atomic=True, compensate="refund")
    ask = Approval("ok?")
    ship = Call(shaky)
    done = End(result={"ship": F("ship")})
    release = Call(undo, retry=Retry(attempts=2, delay=60))
    put_back = Call(work)
    refund = Call(book, atomic=True)


class Rescued(Workflow):
    risky = Call(shaky_book, atomic=True, on_error="rescue")
    ask = Halt("?", on_error="rescue")
    done = End(result={"risky": F("risky")})
    rescue = Call(work)
    rescued = End(result={"rescue": F("rescue")})


class Late(Workflow):
    timeout = timedelta(seconds=300)

    first = Call(work, compensate="unfirst")
    ask = Approval("ok?", remind_after=30)
    kid = SubWorkflow("machine_child", input="$input")
    done = End(result={"first": F("first")})
    unfirst = Call(work)


class Quorum(Workflow):
    ask = Approval("ok?", required=2, timeout=300, on_reject="no", on_timeout="no")
    yes = Call(book, atomic=True)
    done = End(result={"yes": F("yes")})
    no = Call(work)
    refused = End(result={"no": F("no")})


class Fanned(Workflow):
    each = ForEach(
        ["a", "b", "c"],
        do=[Call(work, name="one"), Halt("?", name="ask"), Call(shaky, name="two")],
        concurrency=2,
        on_item_error="collect",
    )
    after = Call(book, atomic=True)
    done = End(result={"after": F("after")})


class Crowd(Workflow):
    first = Call(work, compensate="unfirst")
    each = ForEach(
        ["a", "b"],
        do="machine_child",
        input="$input",
        concurrency=1,
        compensate="call_off",
    )
    ask = Approval("ok?")
    done = End(result={"first": F("first")})
    unfirst = Call(work)
    call_off = Call(book, atomic=True)


class Spread(Workflow):
    both = Parallel(
        {
            "ask": [Approval("ok?", name="asked"), Call(book, name="kept", atomic=True)],
            "event": [
                WaitForEvent("paid", key="$input.key", name="paid"),
                Call(work, name="shipped"),
            ],
            "own": [Sleep(30, name="nap"), Call(shaky, name="called")],
        },
        wait=2,
        distributed=True,
    )
    after = Call(work)
    done = End(result={"after": F("after")})


class Eater(Workflow):
    paid = WaitForEvent("paid", key="$input.key")


#: Those that are started; Child and Parent are children as well, and Eater is for the end.
STARTED = (
    *(Plain, Looped, Branched, Raced, Child, Parent, Grand),
    *(Waiting, Saga, Rescued, Late, Quorum, Fanned, Crowd, Spread),
)


@contextmanager
def known() -> Iterator[None]:
    """Register the workflows for the block."""
    added = []
    try:
        for workflow in (*STARTED, Eater):
            workflow.id = f"machine_{workflow.__name__.lower()}"
            added.append(register(workflow).id)
        yield
    finally:
        for name in added:
            registry.remove(name)
