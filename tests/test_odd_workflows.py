"""Workflows as nobody drew them: what a second pair of eyes has found."""

import asyncio
import threading
import time
from contextlib import suppress
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.db import IntegrityError, connection, transaction
from django.db.models import F, Q

from django_workflows import (
    Retry,
    api,
    goto,
    run,
    skip,
    step,
)
from django_workflows.core.engine.heartbeat import Beat, Heartbeat
from django_workflows.core.engine.limits import Limits
from django_workflows.exceptions import InvalidTransition
from django_workflows.models import WorkflowExecution
from django_workflows.steps import (
    Assign,
    Call,
    End,
    Halt,
    Loop,
    Parallel,
    Router,
    Sleep,
    SubWorkflow,
    WaitForEvent,
    When,
)
from django_workflows.supervisor import sweep
from tests.core.flows import Crash, engine_of, flow
from tests.core.flows import run as run_in_memory

db = pytest.mark.django_db(transaction=True)


def boom(*args):
    raise ValueError("boom")


def test_goto_back_has_a_key_of_its_own_each_time():
    keys = []

    @step
    def charge(self, state):
        keys.append(state.idempotency_key)

    @step
    def again(self, state):
        return goto("charge") if len(keys) < 3 else "ok"

    run_in_memory(flow(charge=charge, again=again))
    assert len(set(keys)) == 3, keys


def test_goto_back_starts_a_new_child():
    seen, rounds = [], []

    def count():
        rounds.append(1)
        return len(rounds)

    @step
    def again(self, state):
        seen.append(state.ctx["sub"])
        return goto("count") if len(rounds) < 3 else "ok"

    kid = flow("Kid", a=Call(lambda state: state.input["n"], name="a"))
    run_in_memory(
        flow(count=Call(count), sub=SubWorkflow("kid", input={"n": F("count")}), again=again),
        None,
        kid,
    )
    assert seen == [1, 2, 3]


def test_goto_circle_is_bounded():
    calls = []

    @step
    def a(self, state):
        calls.append(1)
        if len(calls) > 50:
            raise Crash
        return goto("b")

    @step
    def b(self, state):
        return goto("a")

    assert engine_of(flow(a=a, b=b), limits=Limits(visits=10)).run().status == "failed"


@db
def test_atomic_step_is_not_done_thrice_where_an_on_commit_callback_raises(registered):
    def work(state):
        Group.objects.create(name=f"g{Group.objects.count()}")
        transaction.on_commit(boom)

    registered("oc", work=Call(work, atomic=True, retry=Retry(attempts=3, delay=0))).run()
    assert Group.objects.count() == 1


@db
def test_broken_transaction_is_the_failure_of_its_atomic_step(registered):
    Group.objects.create(name="g")

    def work(state):
        with suppress(IntegrityError):
            Group.objects.create(name="g")

    flow_ = registered(
        "ci", a=Call(work, atomic=True, on_error="h"), d=End(result=1), h=End(result="handled")
    )
    assert flow_.run().output == "handled"


@db
def test_event_key_too_long_is_the_failure_of_its_step(registered):
    flow_ = registered(
        "ek",
        a=WaitForEvent("paid", key=F("input__k"), on_error="h"),
        d=End(result=1),
        h=End(result="handled"),
    )
    assert run(flow_, {"k": "x" * 500}).output == "handled"


def test_literal_loop_item_that_cannot_be_kept_is_the_failure_of_the_loop():
    it = Loop(over=[object()], do=[Call(lambda: 1, name="c")])
    assert engine_of(flow(it=it)).run().status == "failed"


def test_cancelled_error_of_an_async_step_is_its_failure():
    async def work():
        raise asyncio.CancelledError

    assert engine_of(flow(a=Call(work))).run().status == "failed"


@db
def test_execution_that_cannot_be_read_does_not_stop_the_sweep(registered, travel):
    flow_ = registered("sp", a=Sleep(10), b=End(result=1))
    bad, good = run(flow_), run(flow_)
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {WorkflowExecution._meta.db_table} SET ctx=%s WHERE id=%s",
            ['{"x":{"$enum":["gone:Color","RED"]}}', bad.execution_id.replace("-", "")],
        )
        assert cursor.rowcount == 1
    travel(11)
    sweep()
    assert api.get(good.execution_id).status == "completed"


def given_up(loop_of):
    gate = threading.Event()

    def slow():
        gate.wait(5)
        time.sleep(0.3)
        return 1

    def fast():
        time.sleep(0.1)
        gate.set()
        return "f"

    engine = engine_of(
        flow(p=Parallel(a=Call(fast, name="fast"), b=loop_of(Call(slow, name="slow")), wait="any"))
    )
    result = engine.run()
    return result, [
        e.action for e in engine.store.entries(result.execution_id) if e.step_id == "p/b/lp"
    ]


def test_loop_that_is_given_up_has_no_output():
    result, actions = given_up(lambda slow: Loop(over=[1, 2, 3], do=[slow], name="lp"))
    assert (result.output, actions) == ({"a": "f"}, [])  # is {"a": "f", "b": [1, None, None]}


def test_loop_that_is_given_up_does_not_fail():
    _, actions = given_up(lambda slow: Loop(while_=lambda s: True, max=5, do=[slow], name="lp"))
    assert actions == []


def test_compensation_sees_the_variables_of_its_own_round():
    undone = []
    run_in_memory(
        flow(
            each=Loop(
                over=[1, 2, 3],
                do=[
                    Call(lambda state: state.ctx["item"] * 10, name="quote"),
                    Call(lambda: None, name="pay", compensate="undo"),
                ],
            ),
            b=Call(boom),
            e=End(),
            undo=Call(lambda state: undone.append((state.ctx["item"], state.ctx["quote"]))),
        )
    )
    assert undone == [(3, 30), (2, 20), (1, 10)]


def test_compensation_sees_the_variables_of_its_own_branch():
    undone = []
    run_in_memory(
        flow(
            p=Parallel(
                a=[
                    Call(lambda: "R1", name="reserve"),
                    Call(lambda: None, name="pay", compensate="undo"),
                ],
                b=[Call(boom, name="b")],
            ),
            e=End(),
            undo=Call(lambda state: undone.append(state.ctx.get("reserve"))),
        )
    )
    assert undone == ["R1"]


def test_compensation_that_kills_its_worker_is_poisoned(travel):
    def undo():
        raise Crash

    engine = engine_of(flow(a=Call(lambda: 1, compensate="u"), b=Call(boom), x=End(), u=Call(undo)))
    execution = engine.create()
    for count in range(1, 30):
        try:
            engine.drive(execution.id)
        except Crash:
            travel(61 * count)
    stored = engine.store.load(execution.id)
    assert stored.status == "failed"
    assert "ValueError: boom" in stored.error


@db
def test_skip_of_a_loop_leaves_none_of_its_names(registered):
    halted = registered(
        "sl",
        s=Assign(item="mine"),
        it=Loop(over=[1], do=[Halt("x", name="h")]),
        a=Call(lambda state: dict(state.ctx), name="a"),
    ).run()
    skip(halted.execution_id)
    assert api.get(halted.execution_id).result == {"item": "mine", "it": None}


@db
def test_skip_gives_a_new_deadline_as_retry_does(registered, travel):
    failed = registered(
        "sd", timeout=timedelta(hours=1), a=Call(boom, name="a"), b=Call(lambda: 1, name="b")
    ).run()
    travel(7200)
    skip(failed.execution_id)
    assert api.get(failed.execution_id).status == "completed"


@db
def test_skip_of_a_router_does_not_end_the_workflow(registered):
    flow_ = registered("sr", r=Router(When(Q(input__x=1), then="b")), b=Call(lambda: "b", name="b"))
    failed = run(flow_, {"x": 2})
    try:
        skip(failed.execution_id)
    except InvalidTransition:
        return
    assert api.get(failed.execution_id).result == "b"  # is completed with b never run


def test_heartbeat_goes_on_after_a_connection_that_cannot_be_closed(monkeypatch):
    monkeypatch.setattr(threading, "excepthook", lambda args: None)
    heart, beats = Heartbeat(), []
    with heart.keep(Beat(renew=lambda: None, every=0.01, clean_up=boom)):
        time.sleep(0.1)
    with heart.keep(Beat(renew=lambda: beats.append(1), every=0.01, clean_up=lambda: None)):
        time.sleep(0.2)
    assert beats
