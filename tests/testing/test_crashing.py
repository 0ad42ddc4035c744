"""assert_crash_safe: it passes what is safe, and says where what is not safe breaks."""

from datetime import date

import pytest

from django_workflows import Retry
from django_workflows.core.execution import ExecutionStatus
from django_workflows.exceptions import UnknownWorkflow
from django_workflows.models import WorkflowExecution
from django_workflows.steps import (
    Approval,
    Assign,
    Call,
    End,
    Loop,
    Parallel,
    Sleep,
    SubWorkflow,
    WaitForEvent,
)
from django_workflows.stores.orm import OrmStore
from django_workflows.testing import SimulatedCrash, assert_crash_safe

#: What an author forgot to keep in the execution.
counted = []


@pytest.fixture(autouse=True)
def nothing_counted():
    counted.clear()


def count(state):
    counted.append(1)
    return len(counted)


@pytest.fixture
def safe(registered):
    def flaky(state):
        if state.attempt == 1:
            raise ConnectionError("not yet")
        return date(2026, 1, 31)

    registered("crash_safe_child", nap=Sleep(60), it=Call(lambda: "child"))
    return registered(
        "crash_safe",
        begin=Assign(a=1),
        work=Call(flaky, retry=Retry(attempts=2, delay=0)),
        review=Approval("?"),
        paid=WaitForEvent("paid"),
        each=Loop(over=[1, 2], do=[Call(lambda state: state.ctx["item"], name="x")]),
        both=Parallel(a=Sleep(60, name="nap"), b=SubWorkflow("crash_safe_child", name="kid")),
        end=End(result={"each": "$each", "both": "$both"}),
    )


@pytest.fixture
def small(registered):
    return registered("crash_small", review=Approval("?"), nap=Sleep(60), it=Call(lambda: 1))


def test_safe_workflow_passes_and_the_report_says_what_was_tried(safe):
    report = assert_crash_safe(safe)

    assert report.undisturbed["status"] == ExecutionStatus.COMPLETED
    assert report.undisturbed["result"]["both"]["b"] == "child"
    assert {
        "before create",
        "after create",
        "before step begin",
        "before step both/b/kid",
        "before checkpoint",
        "after checkpoint",
        "before suspend",
        "after settle",
    } <= set(report.points)


def test_workflow_may_be_named_by_its_id_or_given_as_a_definition(small):
    assert assert_crash_safe("crash_small").points == assert_crash_safe(small.definition).points


def test_unknown_workflow_is_refused():
    with pytest.raises(UnknownWorkflow):
        assert_crash_safe("nope")


def test_workflow_that_counts_in_its_process_is_found_out(registered):
    workflow = registered("unsafe", first=Call(lambda: 1), count=Call(count), end=Assign(done=1))

    with pytest.raises(AssertionError) as caught:
        assert_crash_safe(workflow, before=counted.clear)

    # The count is done and its checkpoint is not written: recovered, it counts again.
    message = str(caught.value)
    assert "before checkpoint: " in message
    assert "differs from the undisturbed run" in message
    assert "undisturbed: 1" in message
    assert "recovered:   2" in message


def test_effect_that_happens_twice_is_found_out(registered):
    workflow = registered("unsafe", it=Call(lambda state: len(count(state) and "x")))

    with pytest.raises(AssertionError, match="effects differs from the undisturbed run"):
        assert_crash_safe(workflow, before=counted.clear, effects=lambda: len(counted))


def test_difference_in_a_child_is_found_out(registered):
    registered("unsafe_child", it=Call(count), end=End(result="same"))
    workflow = registered("unsafe", kid=SubWorkflow("unsafe_child"))

    with pytest.raises(AssertionError, match=r"child .* differs from the undisturbed run"):
        assert_crash_safe(workflow, before=counted.clear)


def test_input_and_answers_are_given(registered):
    workflow = registered(
        "decided",
        review=Approval("?", on_reject="refused"),
        end=End(result="approved"),
        refused=Call(lambda state: state.input["why"]),
    )

    report = assert_crash_safe(workflow, {"why": "too dear"}, respond=lambda wait: False)

    assert report.undisturbed["result"] == "too dear"


def test_what_is_ignored_is_compared_by_its_type_alone(registered):
    workflow = registered("unsafe", count=Call(count), end=End(result={"count": "$count"}))

    report = assert_crash_safe(workflow, before=counted.clear, ignore=["count"])

    assert report.undisturbed["ctx"] == {"count": "int"}


def test_failure_is_compared_as_well(registered):
    def fail():
        raise ValueError("broken")

    report = assert_crash_safe(registered("failing", it=Call(fail)))

    assert report.undisturbed["error"] == "ValueError: broken"


@pytest.mark.django_db(transaction=True)
def test_on_the_database_and_nothing_is_left_there(small):
    report = assert_crash_safe(small, store=OrmStore)

    assert report.undisturbed["status"] == ExecutionStatus.COMPLETED
    assert not WorkflowExecution.objects.exists()


def test_no_handler_sees_the_crash():
    assert not issubclass(SimulatedCrash, Exception)
