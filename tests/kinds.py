"""One small workflow for each step kind and each place where it may stand, for the crash tests."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from django_workflows import F, Q, Retry, Workflow, goto
from django_workflows.core.steps import Step
from django_workflows.core.workflow import compile_workflow
from django_workflows.steps import (
    Approval,
    Assign,
    Call,
    End,
    ForEach,
    Halt,
    Loop,
    Parallel,
    Router,
    Sleep,
    SleepUntil,
    Start,
    SubWorkflow,
    Transform,
    WaitForEvent,
    When,
)

#: What the steps did to the world: their idempotency keys, in order.
effects: list[str] = []


def effect(state):
    effects.append(state.idempotency_key)
    return len(effects) and state.path


async def async_effect(state):
    return effect(state)


def flaky(state):
    effect(state)
    if state.attempt == 1:
        raise ConnectionError("not yet")
    return "at last"


def broken(state):
    effect(state)
    raise ValueError("broken")


def unlucky(state):
    if state.ctx["item"] == 1:
        raise ValueError("this one")
    return effect(state)


def jump(state):
    effect(state)
    return goto("landing", output="jumped")


def both_ways(name: str) -> list[Step]:
    return [Call(effect, name=f"{name}_before"), Call(effect, name=f"{name}_after")]


#: Kind to the steps that show it, made anew at each use.
KINDS: dict[str, Callable[[], list[Step]]] = {
    "start": lambda: [Start(name="begin")],
    "call": lambda: [Call(effect, name="work")],
    "call async": lambda: [Call(async_effect, name="work")],
    "call atomic": lambda: [Call(effect, name="work", atomic=True)],
    "call with timeout": lambda: [Call(effect, name="work", timeout=20)],
    "call retried": lambda: [Call(flaky, name="work", retry=Retry(attempts=3, delay=0))],
    "call retried later": lambda: [Call(flaky, name="work", retry=Retry(attempts=3, delay=60))],
    "call with on_error": lambda: [
        Call(broken, name="work", on_error="rescue"),
        Call(lambda state: state.ctx["_last_error"]["class"], name="rescue"),
    ],
    "call that goes elsewhere": lambda: [
        Call(jump, name="work"),
        Call(effect, name="passed_over"),
        Call(effect, name="landing"),
    ],
    "assign": lambda: [Assign(name="set", values_are="set", total=F("n") + 1)],
    "router": lambda: [
        Router(When(Q(n__gt=1), then="much"), default="little", name="choose"),
        Call(effect, name="little", next="merged"),
        Call(effect, name="much"),
        Call(effect, name="merged"),
    ],
    "transform": lambda: [Transform("$items", ["reverse", ("first", 2)], name="pipe")],
    "loop over": lambda: [Loop(over=F("items"), as_="one", do=both_ways("inner"), name="each")],
    "loop while": lambda: [
        Loop(
            while_=~Q(inner_count__gte=2),
            do=Call(lambda state: state.ctx.get("inner_count", 0) + 1, name="inner_count"),
            name="again",
        )
    ],
    "loop left early": lambda: [
        Loop(
            over=[1, 2, 3],
            as_="one",
            do=[*both_ways("inner"), Call(_leave, name="leave")],
            name="each",
        )
    ],
    "parallel": lambda: [Parallel({"left": both_ways("l"), "right": both_ways("r")}, name="both")],
    "parallel that halts": lambda: [
        Parallel({"ask": Halt("well?", name="q"), "tell": both_ways("r")}, name="both")
    ],
    "halt": lambda: [Halt("well?", name="ask")],
    "approval": lambda: [Approval("ok?", name="ask")],
    "sleep": lambda: [Sleep(timedelta(days=1), name="nap")],
    "sleep until": lambda: [SleepUntil(datetime(2100, 1, 1, tzinfo=UTC), name="nap")],
    "event": lambda: [WaitForEvent("paid", key="$n", name="pay")],
    "sub-workflow": lambda: [SubWorkflow("crash_grandchild", name="kid")],
}


#: The same for steps whose children are driven by whoever comes first.
FAN_OUTS: dict[str, Callable[[], list[Step]]] = {
    "for each": lambda: [ForEach("$items", as_="one", do=both_ways("inner"), name="every")],
    "for each in turn": lambda: [
        ForEach("$items", do="crash_grandchild", concurrency=1, name="every")
    ],
    "for each that loses items": lambda: [
        ForEach("$items", do=Call(unlucky, name="x"), on_item_error="collect", name="every")
    ],
    "for each that halts": lambda: [
        ForEach("$items", do=Halt("well?", name="q"), concurrency=2, name="every")
    ],
    "parallel distributed": lambda: [
        Parallel({"left": both_ways("l"), "right": both_ways("r")}, distributed=True, name="far")
    ],
}

#: Those that end before all of their children have: how far these come is chance.
CUT_SHORT: dict[str, Callable[[], list[Step]]] = {
    "for each that fails": lambda: [
        ForEach("$items", do=Call(unlucky, name="x"), on_error="rescue", name="every"),
        Call(lambda state: state.ctx["_last_error"]["class"], name="rescue"),
    ],
    "parallel distributed, any": lambda: [
        Parallel(
            {"ask": Sleep(timedelta(days=1), name="q"), "tell": both_ways("r")},
            distributed=True,
            wait="any",
            name="far",
        )
    ],
}


def _leave(state):
    return goto("break") if state.ctx["one"] == 2 else None


def _seeded(steps: list[Step]) -> dict[str, Step]:
    """Return the steps after the variables that some of them read, and before a last effect."""
    named = {step.name: step for step in steps}
    return {
        "seed": Assign(n=2, items=[3, 1, 2]),
        "first": Call(effect),
        **named,
        "last": Call(effect),
    }


def plain(steps: list[Step]) -> dict[str, Step]:
    return _seeded(steps)


def in_a_loop(steps: list[Step]) -> dict[str, Step]:
    return _seeded([Loop(over=["a", "b"], as_="round", do=steps, name="outer")])


def in_a_branch(steps: list[Step]) -> dict[str, Step]:
    branches = {"it": steps, "other": [Call(effect, name="beside")]}
    return _seeded([Parallel(branches, name="outer")])


def in_a_child(steps: list[Step]) -> dict[str, Step]:
    return _seeded([SubWorkflow("crash_child", name="outer")])


def in_an_item(steps: list[Step]) -> dict[str, Step]:
    return _seeded([ForEach([1, 2], do=[Assign(items=[3, 1]), *steps], name="outer")])


PLACES = {
    "plain": plain,
    "in a loop": in_a_loop,
    "in a branch": in_a_branch,
    "in a child": in_a_child,
    "in an item": in_an_item,
}


def workflow(name: str, steps: dict[str, Step]) -> type[Workflow]:
    done = {"done": End(result={"last": F("last")})}
    made = type(name, (Workflow,), {**steps, **done})
    made.id = name
    made.definition = compile_workflow(made)
    return made
