from datetime import timedelta

import pytest

from django_workflows import Retry, api, run, start
from django_workflows.core import clock
from django_workflows.core.execution import ExecutionStatus
from django_workflows.core.waits import WaitKind
from django_workflows.exceptions import ResponseError
from django_workflows.steps import (
    Approval,
    Call,
    End,
    Halt,
    Loop,
    Parallel,
    Sleep,
    SubWorkflow,
    WaitForEvent,
)
from django_workflows.stores.memory import MemoryStore
from django_workflows.testing import driving, run_to_end, taken_path, travel

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def back_in_time():
    with travel():
        yield


# travel -----------------------------------------------------------------------------------------


def test_clock_goes_and_comes_back():
    before = clock.now()

    with travel(timedelta(days=2)) as on:
        assert clock.now() - before >= timedelta(days=2)
        on(timedelta(days=1))
        assert clock.now() - before >= timedelta(days=3)

    assert clock.now() - before < timedelta(minutes=1)


def test_clock_comes_back_after_an_error():
    before = clock.now()

    with pytest.raises(ValueError, match="lost"), travel(timedelta(days=2)):
        raise ValueError("lost")

    assert clock.now() - before < timedelta(minutes=1)


# run_to_end -------------------------------------------------------------------------------------


def test_everything_is_answered_and_timers_fire_at_once(registered):
    registered("child", nap=Sleep(60), ask=Halt("?"))

    def work(state):
        if state.attempt == 1:
            raise ConnectionError("not yet")
        return "done"

    workflow = registered(
        "waiting",
        review=Approval("?"),
        nap=Sleep(timedelta(days=30)),
        paid=WaitForEvent("paid"),
        work=Call(work, retry=Retry(attempts=2, delay=3600)),
        kid=SubWorkflow("child"),
        end=End(result="end"),
    )

    result = run_to_end(workflow)

    assert (result.status, result.output) == (ExecutionStatus.COMPLETED, "end")
    assert taken_path(result.execution_id) == ["review", "nap", "paid", "work", "kid", "end"]


def test_id_input_and_options_are_taken(registered):
    registered("waiting", it=Call(lambda state: state.input["a"]))

    result = run_to_end("waiting", {"a": 7}, idempotency_key="one")

    assert result.output == 7
    assert api.get(result.execution_id).idempotency_key == "one"


def test_decisions_are_given(registered):
    workflow = registered(
        "decided",
        review=Approval("?", on_reject="refused"),
        ask=Halt("Which?"),
        end=End(),
        refused=Call(lambda: "refused"),
    )
    asked = []

    def respond(wait):
        asked.append((wait.step, wait.prompt))
        return False if wait.kind == WaitKind.APPROVAL else 7

    assert run_to_end(workflow, respond=respond).output == "refused"
    assert run_to_end(workflow, respond=lambda w: True).output is True
    assert asked == [("review", "?")]


@pytest.mark.parametrize(
    ("step", "answer"),
    [(Halt, '{"response": …}'), (Approval, '{"approved": True, "response": …}')],
)
def test_step_that_asks_for_more_than_yes_is_named(registered, step, answer):
    workflow = registered("typed", ask=step("?", response_schema={"type": "integer"}))

    with pytest.raises(ResponseError, match="None is not of type 'integer'") as refused:
        run_to_end(workflow)

    [note] = refused.value.__notes__
    assert note.startswith("Step 'ask' has a response_schema")
    assert answer in note
    right = {"response": 1} | ({"approved": True} if step is Approval else {})
    assert run_to_end(workflow, respond=lambda wait: right).status == ExecutionStatus.COMPLETED


def test_wrong_answer_of_a_test_has_no_note(registered):
    workflow = registered("typed", ask=Halt("?", response_schema={"type": "integer"}))

    with pytest.raises(ResponseError) as refused:
        run_to_end(workflow, respond=lambda wait: "x")

    assert not hasattr(refused.value, "__notes__")


def test_decision_names_who(registered):
    workflow = registered("decided", review=Approval("?"))

    result = run_to_end(workflow, respond=lambda wait: {"approved": True, "by": "alice"})

    assert result.output["by"] == "alice"


def test_branches_are_answered_one_after_another(registered):
    workflow = registered(
        "both", both=Parallel(a=Approval("A?", required=2, name="x"), b=Sleep(60, name="y"))
    )
    names = iter(["alice", "bob"])

    result = run_to_end(workflow, respond=lambda wait: {"approved": True, "by": next(names)})

    assert result.output["a"]["by"] == "bob"


def test_timeout_fires_where_nobody_answers(registered):
    workflow = registered(
        "overdue",
        review=Approval("?", timeout=timedelta(days=2), on_timeout="late"),
        end=End(),
        late=Call(lambda: "late"),
    )

    assert run_to_end(workflow, respond=lambda wait: None).output == "late"


def test_deadline_passes_where_nobody_answers(registered):
    workflow = registered("overdue", timeout=timedelta(days=2), review=Approval("?"))

    result = run_to_end(workflow, respond=lambda wait: None)

    assert result.error.startswith("WorkflowTimeout: ")


def test_halt_that_nothing_will_end_is_said(registered):
    workflow = registered("stuck", review=Approval("?"))

    with pytest.raises(AssertionError, match="is halted and nothing is due"):
        run_to_end(workflow, respond=lambda wait: None)


def test_workflow_that_does_not_end_is_said(registered, monkeypatch):
    monkeypatch.setattr(driving, "MOST_ROUNDS", 5)
    workflow = registered("endless", each=Loop(over=list(range(9)), do=Halt("?")))

    with pytest.raises(AssertionError, match="did not end in 5 rounds"):
        run_to_end(workflow)


def test_waits_of_other_executions_are_left_alone(registered):
    registered("other", review=Approval("?", timeout=60))
    other = run("other").execution_id
    late = start("other").id
    workflow = registered("mine", review=Approval("?"), nap=Sleep(3600))

    result = run_to_end(workflow)

    assert result.status == ExecutionStatus.COMPLETED
    assert api.get(other).status == ExecutionStatus.HALTED
    assert api.get(late).status == ExecutionStatus.PENDING


def test_failure_is_returned(registered):
    def fail():
        raise ValueError("broken")

    result = run_to_end(registered("failing", it=Call(fail)))

    assert (result.status, result.error) == (ExecutionStatus.FAILED, "ValueError: broken")


def test_execution_whose_driver_died_is_taken_over(registered):
    class Death(BaseException):
        pass

    attempts = []

    def work():
        attempts.append(1)
        if len(attempts) == 1:
            raise Death

    workflow = registered("dying", it=Call(work))
    engine = driving.wiring.engine(workflow.definition, here=True)
    with pytest.raises(Death):
        engine.run()
    (execution,) = engine.store.find()

    result = driving.bring_to_end(engine, execution.id, driving.yes)

    assert result.status == ExecutionStatus.COMPLETED


# taken_path -------------------------------------------------------------------------------------


def test_path_is_what_completed_was_skipped_or_undone(registered):
    def fail():
        raise ValueError("broken")

    workflow = registered(
        "undone",
        book=Call(lambda: 1, compensate="unbook"),
        each=Loop(over=[1], do=Call(lambda: 2, name="x")),
        work=Call(fail),
        end=End(),
        unbook=Call(lambda: 3),
    )

    result = run(workflow)

    assert taken_path(result.execution_id) == ["book", "each[0]/x", "each", "unbook:book"]


def test_path_may_be_read_from_another_store(registered):
    from django_workflows.core.engine import Engine

    store = MemoryStore()
    workflow = registered("elsewhere", it=Call(lambda: 1))
    result = Engine(workflow.definition, store).run()

    assert taken_path(result.execution_id, store) == ["it"]
    assert taken_path(result.execution_id) == []
