"""A step says what an answer has to be; others are refused on every way to it."""

from datetime import date

import pytest

from django_workflows import api, halt, load_workflow, registry, resume, run
from django_workflows.core.execution import ExecutionStatus
from django_workflows.exceptions import AlreadyResumed, DefinitionError, ResponseError
from django_workflows.models import WorkflowEntry
from django_workflows.steps import Approval, Call, Halt

pytestmark = pytest.mark.django_db(transaction=True)

AMOUNT = {
    "type": "object",
    "properties": {"amount": {"type": "integer", "minimum": 1}, "until": {"type": "string"}},
    "required": ["amount"],
}


@pytest.fixture
def priced(registered):
    """An execution that halts for a price."""
    return run(registered("priced", price=Halt("How much?", response_schema=AMOUNT))).execution_id


@pytest.fixture
def approved(registered):
    """An execution that asks whether something may cost so much."""
    step = Approval("Really?", on_reject="no", response_schema=AMOUNT)
    return run(registered("approved", ask=step, no=Call(lambda: "no"))).execution_id


def test_wrong_answer_is_refused_and_nothing_is_recorded(priced):
    entries = WorkflowEntry.objects.count()

    with pytest.raises(ResponseError, match="amount: 0 is less than the minimum of 1") as caught:
        resume(priced, response={"amount": 0, "until": 3})

    assert caught.value.errors == {
        "amount": "0 is less than the minimum of 1",
        "until": "3 is not of type 'string'",
    }
    assert (caught.value.execution_id, caught.value.step) == (priced, "price")
    assert WorkflowEntry.objects.count() == entries
    assert api.get(priced).status == ExecutionStatus.HALTED


def test_right_answer_goes_on_with_its_types(priced):
    answer = {"amount": 3, "until": date(2026, 12, 1)}

    assert resume(priced, response=answer, wait=True).output == answer


def test_no_answer_is_a_wrong_one(priced):
    with pytest.raises(ResponseError, match="None is not of type 'object'"):
        resume(priced)


def test_approval_is_checked_and_a_rejection_is_not(approved):
    with pytest.raises(ResponseError, match="'amount' is a required property"):
        resume(approved, approved=True, response={})

    assert resume(approved, approved=False, response="too much", wait=True).output == "no"


def test_late_answer_is_told_who_was_first(priced):
    resume(priced, response={"amount": 1}, by="alice", wait=True)

    with pytest.raises(AlreadyResumed, match="alice"):
        resume(priced, response={"amount": 0}, by="bob")


def test_method_step_asks_with_a_schema(registered):
    asked = run(registered("asks", ask=Call(lambda: halt("?", response_schema=AMOUNT, of="x"))))

    assert asked.halt.data == {"reason": "?", "of": "x", "response_schema": AMOUNT}
    with pytest.raises(ResponseError):
        resume(asked.execution_id, response="much")
    assert resume(asked.execution_id, response={"amount": 1}, wait=True).output == {"amount": 1}


def test_method_step_with_a_schema_that_is_none_fails(registered):
    failed = run(registered("asks", ask=Call(lambda: halt("?", response_schema={"type": "?"}))))

    assert failed.status == ExecutionStatus.FAILED
    assert "halt('?'): response_schema is no JSON Schema" in str(failed.error)


@pytest.mark.parametrize("step", [Halt, Approval])
def test_schema_that_is_none_is_a_problem_of_the_workflow(registered, step):
    with pytest.raises(DefinitionError, match="response_schema is no JSON Schema"):
        registered("asks", ask=step("?", response_schema={"type": "?"}))


def test_document_has_it_too():
    load_workflow("""
        id: asks
        name: Asks
        version: 1
        description: Asks twice.
        inputs: {}
        steps:
          - id: ask
            type: halt
            response_schema: {type: integer}
            next: sure
          - id: sure
            type: approval
            prompt: Really?
            response_schema: {type: string}
    """)
    try:
        asked = run("asks").execution_id
        with pytest.raises(ResponseError, match="'7' is not of type 'integer'"):
            resume(asked, response="7")
        resume(asked, response=7, wait=True)
        with pytest.raises(ResponseError, match="None is not of type 'string'"):
            resume(asked, approved=True)
        assert resume(asked, approved=True, response="yes", wait=True).output["response"] == "yes"
    finally:
        registry.remove("asks")
