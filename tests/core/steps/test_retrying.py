import time
from datetime import timedelta

import pytest
from django.db.models import F

from django_workflows.core.engine.threads import Threads
from django_workflows.core.execution import ExecutionStatus
from django_workflows.core.retry import Retry
from django_workflows.core.steps import Assign, Call, End, Loop, Parallel, Router, When
from django_workflows.core.waits import Cause, WaitKind
from tests.core.flows import Crash, answered, crashed, engine_of, flow, run


class Flaky:
    """Raises its errors one after another, then returns "fine"."""

    def __init__(self, *errors):
        self.errors = list(errors)
        self.keys = []
        self.attempts = []

    def __call__(self, state):
        self.keys.append(state.idempotency_key)
        self.attempts.append(state.attempt)
        if self.errors:
            raise self.errors.pop(0)
        return "fine"


def test_step_is_attempted_again_until_it_succeeds(store):
    flaky = Flaky(ValueError("one"), KeyError("two"))

    result = run(Call(flaky, name="it", input=None, retry=Retry(attempts=3, delay=0)), store=store)

    entries = store.entries(result.execution_id)
    assert result.output == "fine"
    assert [(entry.action, entry.attempt, entry.error) for entry in entries] == [
        ("retried", 1, "ValueError: one"),
        ("retried", 2, "KeyError: 'two'"),
        ("completed", 3, None),
    ]
    assert "ValueError: one" in entries[0].traceback
    assert flaky.attempts == [1, 2, 3]


def test_idempotency_key_is_the_same_at_every_attempt():
    flaky = Flaky(ValueError(), ValueError())

    result = run(Call(flaky, retry=Retry(attempts=3, delay=0)))

    assert flaky.keys == [f"{result.execution_id}:it"] * 3


def test_last_attempt_that_fails_is_the_failure(store):
    flaky = Flaky(*[ValueError(str(n)) for n in range(5)])

    result = run(Call(flaky, retry=Retry(attempts=2, delay=0)), store=store)

    assert result.status == ExecutionStatus.FAILED
    assert result.error == "ValueError: 1"
    assert [entry.action for entry in store.entries(result.execution_id)] == ["retried", "failed"]


@pytest.mark.parametrize(
    ("policy", "attempts"),
    [
        (Retry(attempts=3, delay=0, give_up=(LookupError,)), 1),
        (Retry(attempts=3, delay=0, on=(ValueError,)), 1),
        (Retry(attempts=3, delay=0, on=(KeyError,)), 2),
    ],
)
def test_policy_says_which_errors_are_attempted_again(policy, attempts):
    flaky = Flaky(KeyError("x"))

    run(Call(flaky, retry=policy))

    assert len(flaky.attempts) == attempts


def test_timed_out_step_may_be_attempted_again():
    pauses = [0.2, 0]

    result = run(
        Call(lambda: time.sleep(pauses.pop(0)), timeout=0.05, retry=Retry(attempts=2, delay=0))
    )

    assert result.status == ExecutionStatus.COMPLETED


def test_atomic_step_is_rolled_back_at_each_attempt(store):
    def work(state):
        store.remember_graph("attempt", str(state.attempt), {})
        if state.attempt < 2:
            raise ValueError("not yet")

    result = run(Call(work, atomic=True, retry=Retry(attempts=2, delay=0)), store=store)

    assert result.status == ExecutionStatus.COMPLETED
    assert store.graph("attempt", "1") is None
    assert store.graph("attempt", "2") == {}


def test_long_pause_is_a_wait_that_holds_no_worker(store, travel):
    flaky = Flaky(ValueError("one"))
    engine = engine_of(Call(flaky, retry=Retry(attempts=2, delay=60)), store=store)

    halted = engine.run()
    ended = answered(engine, halted.execution_id, Cause.RETRY)

    (wait,) = halted.waits
    assert (halted.status, wait.kind) == (ExecutionStatus.HALTED, WaitKind.RETRY)
    assert wait.data == {"error": "ValueError: one", "attempt": 2}
    assert wait.wake_at - wait.opened_at > timedelta(seconds=59)
    assert (ended.output, flaky.attempts) == ("fine", [1, 2])


def test_attempt_counts_on_after_a_crash(recovered):
    flaky = Flaky(ValueError(), Crash(), ValueError())
    engine = engine_of(Call(flaky, retry=Retry(attempts=3, delay=0)))

    execution_id = crashed(engine)
    result = recovered(engine, execution_id)

    assert flaky.attempts == [1, 2, 2, 3]
    assert result.output == "fine"


@pytest.mark.parametrize(
    ("workflow", "paths"),
    [
        # each iteration is another piece of work
        (
            lambda work: flow(each=Loop(over=[1, 2], do=Call(work, name="pay"))),
            ["each[0]/pay", "each[1]/pay"],
        ),
        # each visit on a cycle, too
        (
            lambda work: flow(
                pay=Call(work),
                count=Assign(n=F("input__n") + 1),
                again=Router(When(lambda state: len(state.history) < 5, then="pay"), default="end"),
                end=End(),
            ),
            ["pay", "pay#2"],
        ),
        (
            lambda work: flow(both=Parallel(a=Call(work, name="pay"), b=Call(work, name="pay"))),
            ["both/a/pay", "both/b/pay"],
        ),
    ],
    ids=["loop", "cycle", "parallel"],
)
def test_idempotency_key_differs_by_place(workflow, paths):
    flaky = Flaky()

    result = run(workflow(flaky), {"n": 1}, threads=Threads(0))

    assert flaky.keys == [f"{result.execution_id}:{path}" for path in paths]
