from datetime import timedelta

import pytest
from django.db.models import F

from django_workflows.core.execution import ExecutionStatus
from django_workflows.core.steps import (
    Approval,
    End,
    WaitForEvent,
)
from django_workflows.core.waits import Cause, WaitKind, WaitStatus
from django_workflows.exceptions import AlreadyResumed, NotResumable, Rejected
from tests.core.flows import answered, engine_of, flow, run


def approval(**options):
    return flow(
        review=Approval("Ship $input.id?", **options),
        shipped=End(result=F("review")),
        refused=End(result={"refused": F("review")}),
        forgotten=End(result={"forgotten": F("ctx")}),
    )


def test_approval_asks():
    engine = engine_of(
        approval(
            context={"id": F("input__id")},
            approvers=["group:managers", "$input.boss"],
            required=2,
            exclude_requester=False,
            timeout=timedelta(days=2),
            remind_after=3600,
        )
    )

    result = engine.run({"id": 7, "boss": "user:eve"})

    (wait,) = result.waits
    assert result.halt.data == {
        "prompt": "Ship 7?",
        "context": {"id": 7},
        "approvers": ["group:managers", "user:eve"],
        "required": 2,
    }
    assert (wait.kind, wait.prompt) == (WaitKind.APPROVAL, "Ship 7?")
    assert (wait.approvers, wait.required) == (("group:managers", "user:eve"), 2)
    assert not wait.exclude_requester
    assert wait.wake_at - wait.remind_at == timedelta(days=2) - timedelta(hours=1)


def test_approval_without_a_timeout_waits_for_ever():
    (wait,) = run(approval(), {"id": 7}).waits

    assert (wait.wake_at, wait.remind_at, wait.exclude_requester) == (None, None, True)


def test_approved():
    engine = engine_of(approval(on_reject="refused"))
    halted = engine.run({"id": 7})

    result = engine.resume(halted.execution_id, response="go", approved=True, by="alice")

    (wait,) = engine.store.waits(halted.execution_id)
    assert result.output == {
        "approved": True,
        "by": "alice",
        "response": "go",
        "at": wait.answer.at,
    }
    assert wait.status == WaitStatus.TAKEN
    assert engine.store.entries(halted.execution_id)[-2].by == "alice"


def test_rejected_goes_to_on_reject():
    engine = engine_of(approval(on_reject="refused"))
    halted = engine.run({"id": 7})

    result = engine.resume(halted.execution_id, response="too dear", approved=False, by="alice")

    refused = result.output["refused"]
    assert (refused["approved"], refused["by"], refused["response"]) == (False, "alice", "too dear")


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ({"by": "alice", "response": "too dear"}, "was rejected by alice: too dear"),
        ({}, "was rejected: no reason"),
    ],
)
def test_rejected_without_on_reject_fails(said, error):
    engine = engine_of(approval())
    halted = engine.run({"id": 7})

    result = engine.resume(halted.execution_id, approved=False, **said)

    assert result.error == f"Rejected: Step 'review' {error}"


def test_rejection_may_be_handled_by_on_error():
    engine = engine_of(approval(on_error="refused"))
    halted = engine.run({"id": 7})

    assert engine.resume(halted.execution_id, approved=False).output == {"refused": None}


def test_approval_that_runs_out_of_time_goes_to_on_timeout():
    engine = engine_of(approval(timeout=60, on_timeout="forgotten"))
    halted = engine.run({"id": 7})

    result = answered(engine, halted.execution_id, Cause.TIMEOUT)

    assert result.output == {"forgotten": {}}


def test_approval_that_runs_out_of_time_without_on_timeout_fails():
    engine = engine_of(approval(timeout=60))
    halted = engine.run({"id": 7})

    result = answered(engine, halted.execution_id, Cause.TIMEOUT)

    assert result.error == "WaitTimeout: Step 'review' waited longer than 60 s."


def test_approval_by_two():
    engine = engine_of(approval(required=2))
    halted = engine.run({"id": 7})

    first = engine.resume(halted.execution_id, approved=True, by="alice")
    second = engine.resume(halted.execution_id, approved=True, by="bob")

    assert first.status == ExecutionStatus.HALTED
    assert [answer.by for answer in first.waits[0].answers] == ["alice"]
    assert (second.status, second.output["by"]) == ("completed", "bob")


def test_approval_by_two_is_not_given_by_one_person_twice():
    engine = engine_of(approval(required=2))
    halted = engine.run({"id": 7})
    engine.resume(halted.execution_id, approved=True, by="alice")

    with pytest.raises(AlreadyResumed) as caught:
        engine.resume(halted.execution_id, approved=True, by="alice")

    assert (caught.value.by, caught.value.step) == ("alice", "review")
    assert engine.result(halted.execution_id).status == ExecutionStatus.HALTED


def test_approval_by_two_is_refused_by_one():
    engine = engine_of(approval(required=2))
    halted = engine.run({"id": 7})
    engine.resume(halted.execution_id, approved=True, by="alice")

    result = engine.resume(halted.execution_id, approved=False, by="bob")

    assert isinstance(result.exception, Rejected) or result.error.startswith("Rejected")


@pytest.mark.parametrize("approved", [None, "yes", 1])
def test_approval_takes_a_yes_or_a_no(approved):
    engine = engine_of(approval())
    halted = engine.run({"id": 7})

    with pytest.raises(NotResumable, match="answer approved=True or False"):
        engine.resume(halted.execution_id, approved=approved)


def test_approval_may_keep_the_response_apart():
    engine = engine_of(
        flow(
            review=Approval("?", response_key="response"),
            done=End(result=[F("response"), F("review__approved")]),
        )
    )
    halted = engine.run()

    result = engine.resume(halted.execution_id, response={"note": "x"}, approved=True)

    assert result.output == [{"note": "x"}, True]


def test_approval_says_where_it_may_go_what_it_reads_and_what_it_sets():
    step = Approval(
        "$a",
        name="it",
        context=F("b"),
        approvers=["$c"],
        on_reject="x",
        on_timeout="y",
        response_key="r",
    )

    assert list(step.targets()) == ["x", "y"]
    assert [str(ref) for ref in step.references()] == ["$a", "$b", "$c"]
    assert list(step.sets()) == ["it", "r"]
    assert list(Approval("?", name="it").targets()) == []
    assert list(Approval("?", name="it").sets()) == ["it"]


@pytest.mark.parametrize(
    ("step", "problem"),
    [
        (Approval("?", required=0), "required must be at least 1, not 0"),
        (
            Approval("?", required=2, approvers=["user:alice", "user:alice"]),
            "required=2 people, but only 1 may approve",
        ),
        (Approval("?", approvers=["alice"]), "approver 'alice' must be 'user:NAME'"),
        (Approval("?", approvers=["user:"]), "approver 'user:' must be"),
        (Approval("?", on_timeout="x"), "has on_timeout but no timeout"),
        (WaitForEvent("a:b"), "event 'a:b' must be a name without a colon"),
        (WaitForEvent(""), "event '' must be a name without a colon"),
        (WaitForEvent("a", on_timeout="x"), "has on_timeout but no timeout"),
    ],
)
def test_problem(step, problem):
    (found,) = step.problems()

    assert problem in found


@pytest.mark.parametrize(
    "step",
    [
        Approval("?", approvers=["user:a", "group:b", "perm:c.d", "$who"]),
        Approval("?", timeout=1, on_timeout="x"),
        WaitForEvent("a", timeout=1, on_timeout="x"),
    ],
)
def test_sound_options_are_no_problem(step):
    assert list(step.problems()) == []
