"""retry: what failed is driven again."""

import pytest

from django_workflows import api, cancel, resume, retry, run, wiring
from django_workflows.core.execution import EntryAction, ExecutionStatus
from django_workflows.exceptions import InvalidTransition, PayloadError
from django_workflows.steps import (
    Call,
    End,
    Halt,
    Loop,
    Parallel,
    SubWorkflow,
)
from django_workflows.testing import taken_path

pytestmark = pytest.mark.django_db(transaction=True)


def test_failed_execution_goes_on_at_the_step_that_failed(faulty, fault):
    failed = run(faulty)
    fault.broken = False

    again = retry(failed.execution_id, by="alice")

    assert again.status == ExecutionStatus.PENDING
    done = api.get(again.id)
    assert (done.status, done.error, done.result) == (ExecutionStatus.COMPLETED, None, "mended")
    assert taken_path(again.id) == ["first", "work", "last"]
    (entry,) = [
        entry for entry in wiring.store().entries(again.id) if entry.action == EntryAction.RETRIED
    ]
    assert (entry.by, entry.step_id) == ("alice", "work")


def test_retry_may_fail_again(faulty):
    failed = run(faulty)

    retry(failed.execution_id)

    assert api.get(failed.execution_id).status == ExecutionStatus.FAILED


def test_retry_goes_on_in_the_round_of_a_loop_that_failed(registered, fault):
    seen = []
    workflow = registered(
        "looping",
        each=Loop(
            over=["a", "b", "c"],
            do=[
                Call(lambda state: seen.append(state.ctx["item"]), name="see"),
                Call(lambda state: fault(state) if state.ctx["item"] == "b" else 0, name="work"),
            ],
        ),
    )
    failed = run(workflow)
    fault.broken = False

    retry(failed.execution_id)

    assert api.get(failed.execution_id).result == [0, "mended", 0]
    assert seen == ["a", "b", "c"]


def test_retry_runs_only_the_branch_that_failed(registered, fault):
    done = []
    workflow = registered(
        "branching",
        both=Parallel(
            a=Call(lambda: done.append("a"), name="x"),
            b=[Call(lambda: done.append("b"), name="y"), Call(fault, name="work")],
        ),
    )
    failed = run(workflow)
    fault.broken = False

    retry(failed.execution_id)

    assert api.get(failed.execution_id).result == {"a": None, "b": "mended"}
    assert sorted(done) == ["a", "b"]


def test_retry_asks_anew_what_a_branch_was_waiting_for(registered, fault):
    workflow = registered(
        "asking", both=Parallel(a=Halt("Which?", name="ask"), b=Call(fault, name="work"))
    )
    failed = run(workflow)
    fault.broken = False

    retry(failed.execution_id)

    result = resume(failed.execution_id, response=7, wait=True)
    assert result.output == {"a": 7, "b": "mended"}


def test_retry_from_an_earlier_step_runs_what_follows_again(registered, fault):
    calls = []
    workflow = registered("again", first=Call(lambda: calls.append(1)), work=Call(fault))
    failed = run(workflow)
    fault.broken = False

    retry(failed.execution_id, from_step="first")

    assert len(calls) == 2
    assert api.get(failed.execution_id).status == ExecutionStatus.COMPLETED


def test_retry_with_other_input(registered):
    workflow = registered("dividing", work=Call(lambda state: 6 / state.input["by"]))
    failed = workflow.run(by=0)

    retry(failed.execution_id, input={"by": 2})

    assert api.get(failed.execution_id).result == 3


def test_cancelled_execution_may_be_retried(reviewed):
    cancelled = cancel(run(reviewed).execution_id)

    retry(cancelled.id)

    assert resume(cancelled.id, approved=True, wait=True).status == ExecutionStatus.COMPLETED


@pytest.mark.parametrize("options", [{}, {"from_step": "kid"}])
def test_retry_of_a_step_with_a_child_drives_that_child_again(registered, fault, options):
    registered("child", work=Call(fault))
    failed = run(registered("parent", kid=SubWorkflow("child")))
    fault.broken = False

    retry(failed.execution_id, **options)

    assert api.get(failed.execution_id).result == "mended"
    (child,) = wiring.store().find(parent=failed.execution_id)
    assert child.status == "completed"


def test_retry_from_an_unknown_step_is_refused(faulty):
    failed = run(faulty)

    with pytest.raises(PayloadError, match="has no step 'nowhere'; it has first, work, last"):
        retry(failed.execution_id, from_step="nowhere")

    assert api.get(failed.execution_id).status == ExecutionStatus.FAILED


def test_what_has_not_failed_cannot_be_retried(reviewed):
    with pytest.raises(InvalidTransition, match=r"is halted; retry needs .* failed or cancelled"):
        retry(run(reviewed).execution_id)


def test_retry_after_compensations_must_say_where_to_begin(registered, fault):
    booked = []
    workflow = registered(
        "saga",
        book=Call(lambda: booked.append("book"), compensate="unbook"),
        work=Call(fault),
        end=End(result="fine"),
        unbook=Call(lambda: booked.append("unbook")),
    )
    failed = run(workflow)
    fault.broken = False

    with pytest.raises(InvalidTransition, match=r"undone by its compensations; .* from_step="):
        retry(failed.execution_id)
    retry(failed.execution_id, from_step="book")

    assert booked == ["book", "unbook", "book"]
    assert api.get(failed.execution_id).result == "fine"
