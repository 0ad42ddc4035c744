import time
from datetime import UTC, datetime, timedelta

import pytest

from django_workflows import Retry, wiring
from django_workflows.core.engine import Engine
from django_workflows.core.execution import ExecutionStatus, HaltResult
from django_workflows.core.steps import Step
from django_workflows.core.waits import WaitKind
from django_workflows.exceptions import AlreadyResumed, ConfigurationError, NotResumable
from django_workflows.runners.sync import Sync
from django_workflows.steps import (
    Approval,
    Call,
    Halt,
    Loop,
    Parallel,
    Sleep,
    SleepUntil,
    SubWorkflow,
    WaitForEvent,
)
from django_workflows.stores.memory import MemoryStore
from django_workflows.stores.orm import OrmStore


@pytest.fixture
def store():
    return MemoryStore()


def test_engine_or_workflow_and_store_may_be_driven(registered, store):
    workflow = registered("driven", work=Call(lambda: 1))
    engine = Engine(workflow.definition, store)

    for runner in (Sync(engine), Sync(workflow, store), Sync(workflow.definition, store)):
        assert runner.run().output == 1


def test_workflow_without_a_store_is_refused(registered):
    with pytest.raises(ConfigurationError, match="takes an engine, or a workflow and a store"):
        Sync(registered("driven", work=Call(lambda: 1)))


def test_run_and_resume(registered, store):
    runner = Sync(registered("asked", ask=Halt("?")), store)

    halted = runner.run({"a": 1}, idempotency_key="one")
    result = runner.resume(halted.execution_id, response=7, by="alice")

    assert result.output == 7
    assert store.load(result.execution_id).idempotency_key == "one"
    with pytest.raises(AlreadyResumed, match="by alice"):
        runner.resume(halted.execution_id, response=8)
    with pytest.raises(NotResumable):
        runner.resume(runner.run().execution_id, step="nowhere")


@pytest.mark.parametrize(
    ("step", "answer", "output"),
    [
        (Halt("?"), 7, 7),
        (Halt("?"), {"response": 7}, 7),
        (Halt("?"), {"colour": "blue"}, {"colour": "blue"}),
        (Halt("?"), {}, {}),
        (Halt("?"), False, False),
        (Approval("?"), True, True),
        (Approval("?"), {"approved": True, "by": "alice"}, True),
        (WaitForEvent("paid"), {"response": 7}, 7),
    ],
)
def test_respond_answers_a_halt(registered, store, step, answer, output):
    asked = []

    def respond(wait):
        asked.append(wait.step)
        return answer

    result = Sync(registered("asked", it=step), store).run_until_complete(respond=respond)

    assert asked == ["it"]
    given = result.output["approved"] if isinstance(step, Approval) else result.output
    assert given == output


def test_rejection(registered, store):
    runner = Sync(registered("asked", it=Approval("?")), store)

    result = runner.run_until_complete(respond=lambda wait: False)

    assert result.status == ExecutionStatus.FAILED
    assert result.error.startswith("Rejected: ")


@pytest.mark.parametrize("respond", [None, lambda wait: None])
def test_halt_that_nobody_answers_is_returned(registered, store, respond):
    runner = Sync(registered("asked", it=Halt("?")), store)

    result = runner.run_until_complete({}, respond)

    assert (result.status, result.waits[0].kind) == (ExecutionStatus.HALTED, WaitKind.HALT)


def test_every_halt_of_a_loop_is_answered(registered, store):
    workflow = registered("looping", each=Loop(over=["a", "b"], do=Halt("$item")))

    result = Sync(workflow, store).run_until_complete(respond=lambda wait: f"re: {wait.prompt}")

    assert result.output == ["re: a", "re: b"]


def test_timers_and_long_retries_are_waited_for(registered, store, monkeypatch):
    monkeypatch.setattr("django_workflows.core.engine.failing.LONGEST_PAUSE_IN_PROCESS", 0.01)

    def work(state):
        if state.attempt == 1:
            raise ConnectionError("not yet")
        return "done"

    soon = datetime.now(UTC) + timedelta(seconds=0.15)
    workflow = registered(
        "timed", nap=Sleep(0.1), until=SleepUntil(soon), work=Call(work, retry=Retry(delay=0.05))
    )
    began = time.monotonic()

    result = Sync(workflow, store).run_until_complete()

    assert result.output == "done"
    assert time.monotonic() - began >= 0.15


def test_timer_that_names_no_time_is_over_at_once(registered, store):
    class Instant(Step):
        def execute(self, state, run):
            if run.answer is not None:
                return self.proceed(state, run.answer.cause.value)
            return self.stop(state, HaltResult(kind=WaitKind.TIMER))

    assert Sync(registered("timed", it=Instant()), store).run_until_complete().output == "timer"


def test_people_are_asked_before_timers_are_waited_for_and_the_earliest_comes_first(
    registered, store
):
    workflow = registered(
        "raced",
        first=Parallel(
            slow=Sleep(60, name="x"),
            quick=[Sleep(0.05, name="y"), Call(lambda: "quick", name="z")],
            asked=[Halt("?", name="ask"), Sleep(30, name="w")],
            wait="any",
        ),
    )
    asked = []

    result = Sync(workflow, store).run_until_complete(respond=lambda w: asked.append(w.step) or 1)

    assert asked == ["first/asked/ask"]
    assert result.output == {"quick": "quick"}


def test_children_are_answered_and_waited_for(registered, store):
    registered("grandchild", nap=Sleep(0.05), ask=Halt("?"))
    registered("child", kid=SubWorkflow("grandchild"))
    runner = Sync(registered("parent", kid=SubWorkflow("child")), store)

    assert runner.run_until_complete(respond=lambda wait: wait.step).output == "ask"


def test_child_that_nobody_answers_leaves_its_parent_halted(registered, store):
    registered("child", ask=Halt("?"))
    workflow = registered(
        "parent", both=Parallel(a=SubWorkflow("child", name="kid"), b=Halt("own", name="ask"))
    )

    result = Sync(workflow, store).run_until_complete(
        respond=lambda wait: 1 if wait.prompt == "own" else None
    )

    assert [wait.kind for wait in result.waits] == [WaitKind.CHILD]


@pytest.mark.django_db(transaction=True)
def test_on_the_database(registered):
    workflow = registered("stored", nap=Sleep(0.05), ask=Approval("?"))

    result = Sync(workflow, OrmStore()).run_until_complete(respond=lambda wait: True)

    assert wiring.store().load(result.execution_id).status == ExecutionStatus.COMPLETED
