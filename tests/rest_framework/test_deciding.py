"""Approvals: the inbox, and who decides first."""

import pytest
from django.contrib.auth.models import User

from django_workflows import cancel, resume, wiring
from django_workflows.core.ids import new_id
from django_workflows.models import WorkflowWait
from django_workflows.steps import Approval

pytestmark = pytest.mark.django_db

KEY = {"Idempotency-Key": "k1"}
INBOX = "/api/approvals/"


def post(client, execution, verb, body=None, **headers):
    return client.post(
        f"/api/executions/{execution.id}/{verb}/", body or {}, "json", headers=headers
    )


def decide(client, wait, approved=True, body=(), **headers):
    sent = {"approved": approved, **dict(body)}
    return client.post(f"{INBOX}{getattr(wait, 'id', wait)}/decide/", sent, "json", headers=headers)


def wait_of(execution):
    return WorkflowWait.objects.filter(execution=execution.id).last()


def answers(execution):
    return [one for wait in wiring.store().waits(execution.id) for one in wait.answers]


# The inbox --------------------------------------------------------------------------------------


def test_inbox_has_what_waits_for_me_the_oldest_first(managers, asking, client_of, user):
    old, _, new = asking("group:managers"), asking("user:else"), asking("user:ann")

    first = managers["ann"].get(f"{INBOX}?page_size=1").json()
    second = managers["ann"].get(first["next"]).json()

    assert [row["execution"]["id"] for row in first["results"]] == [old.id]
    assert [row["execution"]["id"] for row in second["results"]] == [new.id]
    assert second["next"] is None
    assert first["results"][0]["prompt"] == "Well?"
    assert client_of(user("nobody")).get(INBOX).json()["results"] == []


def test_one_of_the_inbox(managers, asking):
    mine, other = wait_of(asking("user:ann")), wait_of(asking("user:else"))

    assert managers["ann"].get(f"{INBOX}{mine.id}/").json()["id"] == mine.id
    for unseen in (other.id, new_id(), "x", "%00"):
        assert managers["ann"].get(f"{INBOX}{unseen}/").status_code == 404


def test_inbox_refuses_a_filter(root):
    assert root.get(INBOX, {"status": "open"}).status_code == 400


def test_what_the_requester_may_not_decide_is_not_offered(managers, asking):
    execution = asking("group:managers", by="ann", exclude_requester=True)

    assert managers["ann"].get(INBOX).json()["results"] == []
    assert len(managers["bob"].get(INBOX).json()["results"]) == 1
    reply = decide(managers["ann"], wait_of(execution))
    assert reply.status_code == 403
    assert "ann started execution" in reply.json()["detail"]


# Decide -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("verb", "approved"), [("approve", True), ("reject", False)])
def test_approver_decides_without_any_permission(managers, asking, verb, approved):
    execution = asking("group:managers", on_reject=None)

    reply = post(managers["ann"], execution, verb, {"response": "by phone"})

    assert reply.status_code == 200
    told = reply.json()
    assert (told["approved"], told["by"], told["response"]) == (approved, "ann", "by phone")
    (answer,) = answers(execution)
    assert (answer.approved, answer.by, answer.response) == (approved, "ann", "by phone")


def test_decide_by_the_inbox(managers, asking):
    execution = asking("group:managers")

    reply = decide(managers["ann"], wait_of(execution), approved=False)

    assert reply.status_code == 200
    assert reply.json()["wait"] == wait_of(execution).id
    assert answers(execution)[0].approved is False


@pytest.mark.parametrize("body", [{}, {"approved": None}, {"approved": "yes"}, {"approved": 1}])
def test_decision_has_to_be_one(managers, asking, body):
    wait = wait_of(asking("group:managers"))

    reply = managers["ann"].post(f"{INBOX}{wait.id}/decide/", body, "json")

    assert reply.status_code == 400
    assert [*reply.json()] == ["approved"]


def test_who_is_not_asked_is_told_nothing(asking, client_of, user):
    execution = asking("user:else")
    nobody = client_of(user("nobody"))

    for headers in ({}, KEY):
        assert post(nobody, execution, "approve", **headers).status_code == 404
        assert decide(nobody, wait_of(execution), **headers).status_code == 404
    assert decide(nobody, new_id()).status_code == 404


def test_who_may_decide_in_general_is_not_asked_here(asking, client_of, user):
    execution = asking("user:else")

    reply = post(client_of(user("boss", "view", "decide")), execution, "approve")

    assert reply.status_code == 403
    assert "which asks user:else" in reply.json()["detail"]


def test_who_may_view_may_not_decide(asking, client_of, user):
    execution = asking()

    reply = post(client_of(user("viewer", "view")), execution, "approve")

    assert reply.status_code == 403
    assert "decide_workflowexecution" in reply.json()["detail"]


@pytest.mark.parametrize("rights", [(), ("view", "decide")])
def test_second_decision_is_a_conflict_with_who_and_when(managers, asking, rights, user, client_of):
    execution = asking("group:managers", "user:dan")
    dan = client_of(user("dan", *rights))
    at = post(managers["ann"], execution, "approve").json()["at"]

    for reply in (post(dan, execution, "reject"), decide(dan, wait_of(execution), approved=False)):
        assert reply.status_code == 409
        told = reply.json()
        assert (told["code"], told["by"], told["at"]) == ("already_resumed", "ann", at)


def test_withdrawn_question_is_a_conflict(managers, asking):
    execution = asking("group:managers")
    cancel(execution.id)

    reply = decide(managers["ann"], wait_of(execution))

    assert reply.status_code == 409
    assert reply.json()["code"] == "not_resumable"


def test_halt_is_not_answered_by_who_was_asked_before(managers, registered, user, client_of):
    """To have been asked gives no right to what comes after."""
    from django_workflows import run
    from django_workflows.steps import Halt

    made = registered("both", review=Approval("?", approvers=["group:managers"]), ask=Halt("?"))
    execution = wiring.store().load(run(made).execution_id)
    resume(execution.id, approved=True, by="ann", wait=True)

    for verb in ("resume", "approve"):
        assert post(managers["bob"], execution, verb).status_code == 409
    assert len(answers(execution)) == 1


def test_several_approvals(managers, asking):
    execution = asking("group:managers", required=2)

    first = post(managers["ann"], execution, "approve")
    mine_again = post(managers["ann"], execution, "approve")
    repeated = post(managers["ann"], execution, "approve", **KEY)
    second = post(managers["bob"], execution, "approve")

    assert first.json()["settles"] is False
    assert (mine_again.status_code, mine_again.json()["by"]) == (409, "ann")
    assert repeated.json() == first.json()
    assert second.json()["settles"] is True


def test_approver_who_is_gone_decides_nothing(managers, asking):
    execution = asking("user:ann")
    User.objects.filter(username="ann").update(is_active=False)

    assert decide(managers["ann"], wait_of(execution)).status_code == 403
    assert answers(execution) == []
