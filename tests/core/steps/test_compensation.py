from datetime import timedelta

import pytest
from django.db.models import F

from django_workflows.core.engine.threads import Threads
from django_workflows.core.execution import EntryAction, ExecutionStatus
from django_workflows.core.retry import Retry
from django_workflows.core.steps import Assign, Call, Halt, Loop, Parallel, halt
from django_workflows.core.waits import Cause, WaitKind
from tests.core.flows import Crash, answered, crashed, engine_of, flow, history, run


def fail():
    raise ValueError("boom")


def booking(log, *names, **undo):
    """Return a workflow that books ``names``, then fails; each is undone by a step of its own."""
    booked = {
        name: Call(lambda name=name: log.append(name) or name, compensate=f"no_{name}")
        for name in names
    }
    undone = {
        f"no_{name}": Call(lambda name=name: log.append(f"-{name}"), **undo) for name in names
    }
    return flow(**booked, bad=Call(fail), **undone)


def test_completed_steps_are_undone_the_latest_first():
    log = []
    engine = engine_of(booking(log, "flight", "hotel"))

    result = engine.run()

    assert log == ["flight", "hotel", "-hotel", "-flight"]
    assert (result.status, result.error) == (ExecutionStatus.FAILED, "ValueError: boom")
    assert isinstance(result.exception, ValueError)
    assert history(engine, result.execution_id, EntryAction.COMPENSATED) == [
        "no_hotel:hotel",
        "no_flight:flight",
    ]
    assert engine.store.load(result.execution_id).compensations == ()


def test_step_that_failed_itself_is_not_undone():
    log = []
    workflow = flow(
        pay=Call(fail, compensate="refund"), refund=Call(lambda: log.append("refunded"))
    )

    run(workflow)

    assert log == []


def test_nothing_is_undone_where_the_failure_was_handled():
    log = []
    workflow = flow(
        pay=Call(lambda: 1, compensate="refund"),
        bad=Call(fail, on_error="done"),
        refund=Call(lambda: log.append("refunded")),
        done=Assign(ok=True),
    )

    assert run(workflow).status == ExecutionStatus.COMPLETED
    assert log == []


def test_compensation_sees_the_output_of_its_step_and_ctx_as_it_is_now():
    seen = []
    workflow = flow(
        pay=Call(lambda: "receipt 1", compensate="refund"),
        more=Assign(pay="overwritten", note="x"),
        bad=Call(fail),
        refund=Call(lambda state: seen.append((dict(state.ctx), state.path))),
    )

    run(workflow)

    assert seen == [({"pay": "receipt 1", "note": "x"}, "refund:pay")]


def test_compensation_in_a_loop_sees_its_own_item():
    undone = []
    workflow = flow(
        each=Loop(
            over=["a", "b", "c"],
            as_="sku",
            do=Call(
                lambda state: fail() if state.ctx["sku"] == "c" else f"{state.ctx['sku']} reserved",
                name="reserve",
                compensate="release",
            ),
        ),
        release=Call(
            lambda state: undone.append(
                (state.ctx["sku"], state.ctx["index"], state.ctx["reserve"], state.path)
            )
        ),
    )

    run(workflow)

    assert undone == [
        ("b", 1, "b reserved", "release:each[1]/reserve"),
        ("a", 0, "a reserved", "release:each[0]/reserve"),
    ]


def test_compensation_of_a_step_in_a_branch():
    undone = []
    workflow = flow(
        both=Parallel(a=Call(lambda: 1, name="pay", compensate="refund"), b=Call(fail, name="bad")),
        refund=Call(lambda state: undone.append(state.ctx["pay"])),
    )

    run(workflow, threads=Threads(0))

    assert undone == [1]


def test_compensation_without_an_output_key_sees_ctx_alone():
    seen = []
    workflow = flow(
        pay=Call(lambda: 1, output=None, compensate="refund"),
        bad=Call(fail),
        refund=Call(lambda state: seen.append(dict(state.ctx))),
    )

    run(workflow)

    assert seen == [{}]


def test_compensation_that_fails_is_attempted_again_with_the_same_key(store):
    keys = []

    def refund(state):
        keys.append((state.idempotency_key, state.attempt))
        if state.attempt < 2:
            raise KeyError("bank")

    workflow = flow(
        pay=Call(lambda: 1, compensate="refund"),
        bad=Call(fail),
        refund=Call(refund, retry=Retry(attempts=2, delay=0)),
    )

    result = run(workflow, store=store)

    key = f"{result.execution_id}:refund:pay"
    assert keys == [(key, 1), (key, 2)]
    assert result.error == "ValueError: boom"


def test_compensation_that_fails_for_good_is_named_and_the_others_still_run(store):
    log = []

    def refuse():
        raise KeyError("bank")

    workflow = flow(
        a=Call(lambda: 1, compensate="undo_a"),
        b=Call(lambda: 1, compensate="undo_b"),
        bad=Call(fail),
        undo_a=Call(lambda: log.append("a undone")),
        undo_b=Call(refuse),
    )

    result = run(workflow, store=store)

    assert log == ["a undone"]
    assert result.error == "ValueError: boom (and 'b' could not be undone: KeyError: 'bank')"
    assert store.load(result.execution_id).error == result.error
    failed = [e for e in store.entries(result.execution_id) if e.action == EntryAction.FAILED]
    assert [entry.step_id for entry in failed] == ["bad", "undo_b:b"]


def test_compensation_that_is_gone_from_the_workflow_is_named(store):
    before = flow(
        pay=Call(lambda: 1, compensate="refund"), stop=Halt(), bad=Call(fail), refund=Call(fail)
    )
    after = flow(pay=Call(lambda: 1), stop=Halt(), bad=Call(fail))
    halted = run(before, store=store)

    result = engine_of(after, store=store).resume(halted.execution_id)

    assert result.status == ExecutionStatus.FAILED
    assert (
        "'pay' could not be undone: StepError: Step refund is not in this version" in result.error
    )


def test_compensation_cannot_halt():
    workflow = flow(
        pay=Call(lambda: 1, compensate="refund"),
        bad=Call(fail),
        refund=Call(lambda: halt("what now?")),
    )

    result = run(workflow)

    assert "StepError: Step 'refund' is a compensation and cannot halt" in result.error


def test_compensation_whose_output_cannot_be_kept_is_named():
    workflow = flow(pay=Call(lambda: 1, compensate="refund"), bad=Call(fail), refund=Call(object))

    assert "OutputError: Step 'refund:pay' cannot keep its output" in run(workflow).error


def test_long_pause_of_a_compensation_is_a_wait(store):
    attempts = []

    def refund(state):
        attempts.append(state.attempt)
        if state.attempt < 2:
            raise KeyError("bank")

    workflow = flow(
        pay=Call(lambda: 1, compensate="refund"),
        bad=Call(fail),
        refund=Call(refund, retry=Retry(attempts=2, delay=60)),
    )
    engine = engine_of(workflow, store=store)

    halted = engine.run()
    ended = answered(engine, halted.execution_id, Cause.RETRY)

    (wait,) = halted.waits
    assert (halted.status, wait.kind, wait.step) == ("halted", WaitKind.RETRY, "refund:pay")
    assert wait.wake_at - wait.opened_at > timedelta(seconds=59)
    assert (ended.status, ended.error) == ("failed", "ValueError: boom")
    assert attempts == [1, 2]


@pytest.mark.parametrize("fails", [True, False])
def test_atomic_compensation_commits_with_its_checkpoint(store, fails):
    def refund(state):
        store.remember_graph("refund", str(state.attempt), {})
        if fails and state.attempt < 2:
            raise KeyError("bank")

    workflow = flow(
        pay=Call(lambda: 1, compensate="refund"),
        bad=Call(fail),
        refund=Call(refund, atomic=True, retry=Retry(attempts=2, delay=0)),
    )

    result = run(workflow, store=store)

    assert result.error == "ValueError: boom"
    assert [store.graph("refund", n) for n in ("1", "2")] == ([None, {}] if fails else [{}, None])


def test_compensating_goes_on_after_a_crash(recovered):
    log = []
    crash = [Crash()]

    def release():
        log.append("b")
        if crash:
            raise crash.pop()

    workflow = flow(
        a=Call(lambda: 1, compensate="undo_a"),
        b=Call(lambda: 1, compensate="undo_b"),
        c=Call(lambda: 1, compensate="undo_c"),
        bad=Call(fail),
        undo_a=Call(lambda: log.append("a")),
        undo_b=Call(release),
        undo_c=Call(lambda: log.append("c")),
    )
    engine = engine_of(workflow)

    execution_id = crashed(engine)
    result = recovered(engine, execution_id)

    assert log == ["c", "b", "b", "a"]  # what was undone before the crash is not undone again
    assert (result.status, result.error) == ("failed", "ValueError: boom")


def test_compensation_takes_its_input():
    seen = []
    workflow = flow(
        pay=Call(lambda: "receipt", compensate="refund"),
        bad=Call(fail),
        refund=Call(seen.append, input=F("pay")),
    )

    run(workflow)

    assert seen == ["receipt"]
