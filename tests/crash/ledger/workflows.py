"""The workflows under which processes are killed."""

import time
import urllib.request
from dataclasses import dataclass

from django.conf import settings

from django_workflows import Q, Retry, Workflow, register, step
from django_workflows.steps import (
    Approval,
    Call,
    End,
    ForEach,
    Loop,
    Parallel,
    Sleep,
    SubWorkflow,
    WaitForEvent,
)
from tests.crash.ledger.models import Effect

#: Nobody is patient for long in a test, and a worker that is killed comes back soon.
STUBBORN = Retry(attempts=20, delay=0.2, backoff=1.5, max_delay=2)


def book(state):
    """Write a line in the transaction of the step, which takes a moment."""
    Effect.objects.create(execution=state.execution_id, name=state.path, key=state.idempotency_key)
    time.sleep(state.input.get("pause", 0.02))
    return state.path


def call(state):
    """Do something in the outside world, which counts how often it was asked."""
    request = urllib.request.Request(
        f"{settings.OUTSIDE}/{state.execution_id}/{state.path}",
        data=b"",
        headers={"Idempotency-Key": state.idempotency_key},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read().decode()


@register
class Chaos(Workflow):
    """Something of everything: what R1 of the crash tests is run with."""

    id = "chaos"

    @dataclass
    class Input:
        number: int = 0
        pause: float = 0.02

    @step(atomic=True)
    def reserve(self, state):
        return book(state)

    @step(retry=STUBBORN)
    def pay(self, state):
        return call(state)

    rounds = Loop(over=[1, 2, 3, 4, 5], do=Call(book, name="round", atomic=True))

    three = Parallel(
        left=Call(book, name="left", atomic=True),
        middle=Call(call, name="middle", retry=STUBBORN),
        right=[
            Call(book, name="right", atomic=True),
            Call(book, name="after", atomic=True),
        ],
    )

    review = Approval("Ship it?", approvers=["user:robot"])

    @step(atomic=True)
    def ship(self, state):
        return book(state)

    done = End(result={"shipped": "$ship"})


#: What each of them leaves behind: lines of Effect, and calls of the outside world.
CHAOS_EFFECTS = 1 + 5 + 3 + 1
CHAOS_CALLS = 2


@register
class Pair(Workflow):
    """Two atomic steps and a call between them: short, and slow enough to be met in a step."""

    id = "pair"

    @dataclass
    class Input:
        number: int = 0
        pause: float = 0.02

    @step(atomic=True)
    def before(self, state):
        return book(state)

    @step(retry=STUBBORN)
    def between(self, state):
        return call(state)

    @step(atomic=True)
    def after(self, state):
        return book(state)


PAIR_EFFECTS = 2


@register
class Decided(Workflow):
    """One question, answered by whoever is first."""

    id = "decided"

    review = Approval("Well?", exclude_requester=False, on_reject="no")

    @step(atomic=True)
    def yes(self, state):
        return book(state)

    end = End(result="yes")

    no = Call(book, atomic=True)


@register
class Asking(Workflow):
    """A parent that waits for its child, and that for a decision."""

    id = "asking"

    child = SubWorkflow("decided")


@register
class Timer(Workflow):
    """Something that is due in a while, and notes when it comes about."""

    id = "timer"

    @dataclass
    class Input:
        seconds: float

    nap = Sleep("$input.seconds")

    @step(atomic=True)
    def rise(self, state):
        Effect.objects.create(
            execution=state.execution_id, name=state.path, key=state.idempotency_key
        )


@register
class Signalled(Workflow):
    """Waits for three events of one key, in their order."""

    id = "signalled"

    @dataclass
    class Input:
        key: str

    one = WaitForEvent("sent", key="$input.key")
    two = WaitForEvent("sent", key="$input.key")
    three = WaitForEvent("sent", key="$input.key")
    end = End(result=["$one", "$two", "$three"])


def one(state):
    """Do the work of one item; some of them are no good."""
    if state.ctx["item"] % 10 == state.input.get("bad", -1):
        raise ValueError(f"item {state.ctx['item']} is no good")
    book(state)
    return state.ctx["item"] * 2


@register
class FanOut(Workflow):
    """Items over the whole fleet, some of which fail, and branches beside them."""

    id = "fan_out"

    @dataclass
    class Input:
        items: int
        concurrency: int | None = None
        bad: int = -1

    @step
    def numbers(self, state):
        return list(range(state.input["items"]))

    each = ForEach(
        "$numbers", do=Call(one, name="one", atomic=True), concurrency=7, on_item_error="collect"
    )
    apart = Parallel(
        left=Call(book, name="left", atomic=True),
        right=Call(book, name="right", atomic=True),
        distributed=True,
    )
    deep = SubWorkflow("deep", input={"depth": 3})

    @step(atomic=True)
    def joined(self, state):
        return book(state)

    end = End(result={"each": "$each", "apart": "$apart"})


@register
class Deep(Workflow):
    """A child, and that has one, and that as well."""

    id = "deep"

    @dataclass
    class Input:
        depth: int

    @step(atomic=True)
    def mine(self, state):
        return book(state)

    @step
    def below(self, state):
        return state.input["depth"] - 1

    further = Loop(
        while_=Q(below__gt=0, iteration__lt=1),
        do=SubWorkflow("deep", input={"depth": "$below"}, name="deeper"),
    )
