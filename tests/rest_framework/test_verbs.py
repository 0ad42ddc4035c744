"""What can be done to an execution."""

import pytest

from django_workflows import run, start, wiring
from django_workflows.core.execution import ExecutionStatus
from django_workflows.core.ids import new_id
from django_workflows.core.waits import WaitKind
from django_workflows.models import WorkflowEntry, WorkflowExecution
from django_workflows.steps import Call, Halt, Sleep

pytestmark = pytest.mark.django_db

VERBS = ["resume", "approve", "reject", "retry", "skip", "cancel", "fork"]


def post(client, execution, verb, body=None, **headers):
    url = f"/api/executions/{getattr(execution, 'id', execution)}/{verb}/"
    return client.post(url, body or {}, "json", headers=headers)


def status_of(execution):
    return WorkflowExecution.objects.get(pk=execution.id).status


def test_resume(root, halted):
    reply = post(root, halted, "resume", {"response": {"$decimal": "1.5"}})

    assert reply.status_code == 200
    told = reply.json()
    assert (told["execution"], told["step"], told["by"]) == (halted.id, "ask", "root")
    assert told["response"] == {"$decimal": "1.5"}
    assert told["approved"] is None
    assert told["settles"] is True
    assert status_of(halted) == "pending"


def test_resume_again_is_a_conflict_with_who_and_when(root, halted):
    at = post(root, halted, "resume").json()["at"]

    reply = post(root, halted, "resume")

    assert reply.status_code == 409
    told = reply.json()
    assert (told["code"], told["step"], told["by"]) == ("already_resumed", "ask", "root")
    assert told["at"] == at
    assert "was answered by root at" in told["detail"]


@pytest.mark.parametrize(
    ("response", "errors"),
    [
        ({"lines": [{"n": "x"}]}, {"lines.0.n": ["'x' is not of type 'integer'"]}),
        ("x", ["'x' is not of type 'object'"]),
        (
            {"lines": 1, "a": 1},
            {
                "non_field_errors": ["{'lines': 1, 'a': 1} has too many properties"],
                "lines": ["1 is not of type 'array'"],
            },
        ),
    ],
)
def test_response_that_is_not_what_the_step_asks_for(root, registered, response, errors):
    line = {"type": "object", "properties": {"n": {"type": "integer"}}}
    lines = {
        "type": "object",
        "maxProperties": 1,
        "properties": {"lines": {"type": "array", "items": line}},
    }
    asked = run(registered("asks", ask=Halt("?", response_schema=lines))).execution_id

    reply = post(root, asked, "resume", {"response": response})

    assert reply.status_code == 400
    assert reply.json() == {"response": errors}
    assert post(root, asked, "resume", {"response": {"lines": []}}).status_code == 200


def test_bytes_where_the_step_asks_for_something_else(root, registered):
    number = {"type": "integer"}
    asked = run(registered("asks", ask=Halt("?", response_schema=number))).execution_id

    reply = post(root, asked, "resume", {"response": {"$bytes": "/w=="}})

    assert reply.json() == {"response": ["'_w==' is not of type 'integer'"]}


def test_skip_of_a_halt_is_checked_as_its_answer(root, registered):
    number = {"type": "integer"}
    asked = run(registered("asks", ask=Halt("?", response_schema=number))).execution_id

    assert post(root, asked, "skip", {"output": "x"}).status_code == 400
    assert post(root, asked, "skip", {"output": 1}).status_code == 200


def test_resume_of_an_approval_is_refused(root, asking):
    reply = post(root, asking(), "resume", {"response": "yes"})

    assert reply.status_code == 409
    assert reply.json()["code"] == "not_resumable"
    assert "answer approved=True or False" in reply.json()["detail"]


def test_what_asks_nobody_is_ended_by_name_only(root, registered):
    execution = wiring.store().load(run(registered("naps", nap=Sleep(60))).execution_id)

    unnamed = post(root, execution, "resume")

    assert unnamed.status_code == 409
    assert unnamed.json()["open_steps"] == ["nap"]
    assert post(root, execution, "resume", {"step": "nap"}).status_code == 200


def test_retry(root, broken):
    execution, _ = broken

    reply = post(root, execution, "retry", {"from_step": "look", "input": {"order": 2}})

    assert reply.status_code == 200
    shown = reply.json()
    assert (shown["status"], shown["current_step"], shown["input"]) == (
        "pending",
        "look",
        {"order": 2},
    )


@pytest.mark.parametrize("body", [{"from_step": "ship"}, {"from_step": "ship", "input": {}}])
def test_retry_from_a_step_it_never_came_to_is_a_conflict(root, registered, body):
    def fail():
        raise ValueError("no")

    failed = run(registered("never", pay=Call(fail), ship=Call(lambda: 1))).execution_id

    reply = post(root, failed, "retry", body)

    assert reply.status_code == 409
    assert reply.json()["code"] == "invalid_transition"
    assert "retry from 'ship' needs one that is past that step" in reply.json()["detail"]


@pytest.mark.parametrize("verb", ["retry", "skip", "cancel", "fork"])
def test_verb_for_what_was_shown(root, broken, halted, verb):
    execution = halted if verb == "cancel" else broken[0]
    revision = root.get(f"/api/executions/{execution.id}/").json()["revision"]
    body = {"from_step": "look"} if verb == "fork" else {}

    stale = post(root, execution, verb, {**body, "expected_revision": "0-pending"})
    assert stale.status_code == 409
    assert stale.json()["code"] == "invalid_transition"
    assert "has moved on since it was shown" in stale.json()["detail"]

    assert post(root, execution, verb, {**body, "expected_revision": revision}).status_code < 300


def test_retry_of_what_has_not_failed_is_a_conflict(root, halted):
    reply = post(root, halted, "retry")

    assert reply.status_code == 409
    assert reply.json()["code"] == "invalid_transition"
    assert reply.json()["status"] == "halted"
    assert "needs one that is failed or cancelled" in reply.json()["detail"]


def test_skip(root, broken):
    execution, _ = broken

    reply = post(root, execution, "skip", {"output": [1], "reason": "by hand"})

    assert reply.status_code == 200
    assert reply.json()["ctx"]["charge"] == [1]
    entry = WorkflowEntry.objects.filter(execution=execution.id).last()
    assert entry.output == {"output": [1], "reason": "by hand"}


def test_cancel(root, halted):
    reply = post(root, halted, "cancel", {"reason": "no more", "compensate": False})

    assert reply.status_code == 200
    assert reply.json()["status"] == "cancelled"
    assert reply.json()["error"] == "Cancelled: no more"
    assert post(root, halted, "cancel").status_code == 409


def test_fork(root, broken):
    execution, _ = broken

    reply = post(root, execution, "fork", {"from_step": "charge", "reason": "another try"})

    assert reply.status_code == 201
    made = WorkflowExecution.objects.get(pk=reply.json()["id"])
    assert made.id != execution.id
    assert made.ctx == {"look": 1}
    assert made.started_by == "root"
    assert reply["Location"] == f"http://testserver/api/executions/{made.id}/"


@pytest.mark.parametrize(
    ("verb", "body", "errors"),
    [
        ("retry", {"from_step": "lost"}, {"from_step"}),
        ("retry", {"from_step": 5}, {"from_step"}),
        ("retry", {"from_step": ""}, {"from_step"}),
        ("retry", {"from": "look"}, {"from"}),
        ("retry", {"reason": None}, {"reason"}),
        ("fork", {}, {"from_step"}),
        ("fork", {"from_step": "lost"}, {"from_step"}),
        ("cancel", {"compensate": "true"}, {"compensate"}),
        ("cancel", {"compensate": 1}, {"compensate"}),
        ("skip", {"output": {"$date": "tomorrow"}}, {"output"}),
        ("skip", {"output": {"$enum": ["os:environ", "x"]}}, {"output"}),
        ("skip", {"output": {"$datetime": ["2026-01-01", "Europe", 0]}}, {"output"}),
        ("skip", {"output": {"$ref": "x"}}, {"output"}),
        ("skip", {"output": {"$decimal": "NaN"}}, {"output"}),
        ("skip", {"output": {"$set": [[1]]}}, {"output"}),
        ("skip", {"output": "x" * 1_100_000}, {"output"}),
        ("resume", {"step": ["ask"]}, {"step"}),
    ],
)
def test_errors_are_those_of_fields(root, broken, verb, body, errors):
    execution, _ = broken

    reply = post(root, execution, verb, body)

    assert reply.status_code == 400
    assert {*reply.json()} == errors
    assert status_of(execution) == "failed"


def test_retry_with_an_input_that_does_not_fit(root, registered):
    class Input:
        n: int

    made = registered("typed", Input=Input, work=Call(lambda state: 1 / state.input["n"]))
    execution = run(made, {"n": 0})

    reply = post(root, execution.execution_id, "retry", {"input": {"n": "x"}})

    assert reply.status_code == 400
    assert [*reply.json()["input"]] == ["n"]


def test_workflow_that_is_no_more_is_a_conflict(root, registered):
    from django_workflows import registry

    execution = start(registered("gone", ask=Halt("?")))
    definition = registry["gone"]
    registry.remove("gone")
    try:
        assert root.get(f"/api/executions/{execution.id}/").status_code == 200
        reply = post(root, execution, "resume")
    finally:
        registry.add("gone", definition)

    assert reply.status_code == 409


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("unknown", [new_id(), "x", "%00"])
def test_missing_is_404(root, verb, unknown):
    body = {"from_step": "x"} if verb == "fork" else {}

    assert post(root, unknown, verb, body).status_code == 404
    assert post(root, unknown, verb, body, **_key(verb)).status_code == 404


def _key(verb):
    return {"Idempotency-Key": "k"} if verb in {"resume", "approve", "reject"} else {}


@pytest.mark.parametrize("verb", ["retry", "skip", "cancel", "fork"])
def test_key_that_would_not_be_kept_is_refused(root, halted, verb):
    reply = post(root, halted, verb, {}, **{"Idempotency-Key": "k"})

    assert reply.status_code == 400
    said = "Is kept of starts, answers and events, not here."
    assert reply.json() == {"Idempotency-Key": [said]}


@pytest.mark.parametrize("verb", [*VERBS, ""])
def test_get_changes_nothing(root, halted, verb):
    before = WorkflowExecution.objects.values().get(pk=halted.id)

    root.get(f"/api/executions/{halted.id}/{verb}{'/' if verb else ''}")

    assert WorkflowExecution.objects.values().get(pk=halted.id) == before


def test_child_is_resumed_through_its_parent(root, registered):
    from django_workflows.steps import SubWorkflow

    registered("kid", ask=Halt("?"))
    parent = wiring.store().load(run(registered("mum", kid=SubWorkflow("kid"))).execution_id)
    child = WorkflowExecution.objects.get(parent=parent.id)
    key = {"Idempotency-Key": "k"}

    first, again = (post(root, parent, "resume", {"response": 1}, **key) for _ in range(2))

    assert first.json()["execution"] == child.id
    assert again.json() == first.json()
    assert {wait.kind for wait in wiring.store().waits(parent.id)} == {WaitKind.CHILD}
    assert status_of(child) == ExecutionStatus.PENDING
