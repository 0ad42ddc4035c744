"""Timeouts, retries and on_error."""

import asyncio
import time
from datetime import timedelta
from threading import Event

import pytest
from django.db.models import F, Q

from django_workflows.core.execution import EntryAction, ExecutionStatus
from django_workflows.core.retry import Retry
from django_workflows.core.steps import Assign, Call, End, Loop, Parallel, Router, When, step
from django_workflows.core.threads import Threads
from django_workflows.core.waits import Cause, WaitKind
from django_workflows.core.workflow import Workflow
from django_workflows.exceptions import StepTimeout
from tests.core.flows import answered, engine_of, flow, history, run


class InThisThread(Threads):
    """As where another thread would not see the data, such as inside a TestCase."""

    def allowed(self):
        return False


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


# Timeouts ---------------------------------------------------------------------------------------


def test_step_that_takes_too_long_fails_and_its_late_result_is_not_used(store):
    late = Event()
    ended = Event()

    def work():
        late.wait(5)
        ended.set()
        return "late"

    result = run(Call(work, timeout=0.02), store=store)
    late.set()
    ended.wait(5)

    assert isinstance(result.exception, StepTimeout)
    assert result.error == "StepTimeout: Step 'it' took longer than its timeout of 0.02 s."
    assert store.load(result.execution_id).ctx == {}


def test_timeout_may_be_a_timedelta():
    result = run(Call(lambda: time.sleep(0.1), timeout=timedelta(milliseconds=10)))

    assert result.error.startswith("StepTimeout")


def test_asynchronous_step_that_takes_too_long_is_cancelled():
    ended = []

    async def work():
        try:
            await asyncio.sleep(5)
        finally:
            ended.append(True)

    result = run(Call(work, timeout=0.02))

    assert result.error == "StepTimeout: Step 'it' took longer than its timeout of 0.02 s."
    assert ended == [True]


@pytest.mark.parametrize("timeout", [0.02, None])
def test_step_that_is_quick_enough(timeout):
    async def work():
        return 7

    assert run(Call(lambda: 7, timeout=5)).output == 7
    assert run(Call(work, timeout=5)).output == 7


@pytest.mark.parametrize("options", [{}, {"timeout": 5}, {"timeout": 5, "atomic": True}])
def test_timeout_error_of_the_step_itself_is_not_ours(options):
    def work():
        raise TimeoutError("the bank does not answer")

    async def waiting():
        raise TimeoutError("the bank does not answer")

    for service in (work, waiting):
        result = run(Call(service, **options))

        assert result.error == "TimeoutError: the bank does not answer"
        assert type(result.exception) is TimeoutError


def test_atomic_step_that_took_too_long_is_rolled_back_when_it_returns(store):
    def work(state):
        store.remember_graph("written", "by the step", {})
        time.sleep(0.03)

    result = run(Call(work, atomic=True, timeout=0.01), store=store)

    assert result.error.startswith("StepTimeout")
    assert store.graph("written", "by the step") is None


def test_timeout_is_noticed_at_the_end_where_no_thread_may_be_used():
    result = run(Call(lambda: time.sleep(0.03), timeout=0.01), threads=InThisThread())

    assert result.error.startswith("StepTimeout")
    assert run(Call(lambda: 7, timeout=5), threads=InThisThread()).output == 7


# Retries ----------------------------------------------------------------------------------------


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
    from tests.core.flows import Crash, crashed

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


# on_error ---------------------------------------------------------------------------------------


def fail():
    raise ValueError("no such order")


ERROR = {"step": "it", "class": "ValueError", "message": "no such order"}


def test_on_error_sees_the_error_and_the_steps_after_do_not():
    workflow = flow(
        it=Call(fail, on_error="refuse"),
        never=Call(fail),
        refuse=Call(lambda state: state.ctx["_last_error"]),
        after=Call(lambda state: dict(state.ctx)),
    )
    engine = engine_of(workflow)

    result = engine.run()

    assert result.output == {"refuse": ERROR}
    assert "_last_error" not in engine.store.load(result.execution_id).ctx


def test_on_error_is_gone_after_a_router_too():
    workflow = flow(
        it=Call(fail, on_error="which"),
        which=Router(
            When(Q(_last_error__class="KeyError"), then="it"),
            When(Q(_last_error__class="ValueError"), then="done"),
        ),
        done=End(result={"ctx": F("ctx")}),
    )

    assert run(workflow).output == {"ctx": {}}


def test_on_error_of_the_on_error_step_sees_its_own_error():
    workflow = flow(
        it=Call(fail, on_error="refuse"),
        refuse=Call(fail, on_error="worse"),
        worse=Call(lambda state: state.ctx["_last_error"]["step"]),
        after=Call(lambda state: dict(state.ctx)),
    )

    assert run(workflow).output == {"worse": "refuse"}


def test_on_error_step_may_halt_and_still_sees_the_error_when_resumed():
    class Refusal(Workflow):
        it = Call(fail, on_error="ask")

        @step
        def ask(self, state):
            from django_workflows.core.steps import halt

            return halt("What now?", resume_step="tell", error=state.ctx["_last_error"]["message"])

        tell = Call(lambda state: "_last_error" in state.ctx)

    engine = engine_of(Refusal)

    halted = engine.run()
    ended = engine.resume(halted.execution_id, response="x")

    assert halted.halt.data == {"reason": "What now?", "error": "no such order"}
    assert ended.output is False


def test_on_error_of_a_nesting_step_names_the_step_inside_that_failed():
    workflow = flow(
        it=Loop(over=[1], do=Call(fail, name="pay"), on_error="refuse"),
        refuse=Call(lambda state: state.ctx["_last_error"]["step"]),
    )

    assert run(workflow).output == "it[0]/pay"


@pytest.mark.parametrize("target", ["continue", "break"])
def test_on_error_that_ends_a_round_leaves_no_error_behind(target):
    workflow = flow(
        each=Loop(over=[1, 2], do=[Call(fail, name="pay", on_error=target)]),
        done=End(result=F("ctx")),
    )

    assert run(workflow).output == {"each": [None] * (2 if target == "continue" else 1)}


def test_on_error_that_ends_the_workflow_leaves_no_error_behind(store):
    result = run(flow(it=Call(fail, on_error="__FINISHED__")), store=store)

    assert result.status == ExecutionStatus.COMPLETED
    assert store.load(result.execution_id).ctx == {}


def test_failure_without_on_error_fails_the_execution(store):
    engine = engine_of(flow(a=Call(lambda: 1), it=Call(fail)), store=store)

    result = engine.run()

    entry = store.entries(result.execution_id)[-1]
    execution = store.load(result.execution_id)
    assert (result.status, result.error) == ("failed", "ValueError: no such order")
    assert (entry.action, entry.step_id, entry.error) == (EntryAction.FAILED, "it", result.error)
    assert entry.traceback.endswith("ValueError: no such order\n")
    assert (execution.current_step, execution.ctx) == ("it", {"a": 1})
    assert execution.finished_at is not None


def test_failure_of_the_first_step_names_it(store):
    result = run(Call(fail), store=store)

    assert store.load(result.execution_id).current_step == "it"


@pytest.mark.parametrize("handled", [True, False])
def test_error_whose_text_cannot_be_stored_is_no_silent_failure(store, handled):
    def work():
        raise OSError("no file 'caf\udce9'")

    workflow = flow(
        it=Call(work, on_error="refuse" if handled else None),
        never=End(),
        refuse=End(result=F("_last_error__message")),
    )
    result = run(workflow, store=store)

    if handled:
        assert result.output == r"no file 'caf\udce9'"
    else:
        assert result.error == r"OSError: no file 'caf\udce9'"
    assert history_errors(store, result) == [r"OSError: no file 'caf\udce9'"]


def history_errors(store, result):
    return [entry.error for entry in store.entries(result.execution_id) if entry.error]


def test_error_that_takes_no_attributes_is_told_as_it_is():
    class Frozen(Exception):
        def __setattr__(self, name, value):
            raise AttributeError("frozen")

    def work():
        raise Frozen("as it is")

    workflow = flow(
        it=Call(work, on_error="refuse"), never=End(), refuse=End(result=F("_last_error__step"))
    )

    assert run(workflow).output == "it"


def test_history_of_a_handled_failure():
    engine = engine_of(flow(it=Call(fail, on_error="end"), never=End(), end=End(result=1)))

    result = engine.run()

    assert history(engine, result.execution_id) == ["it", "end"]
