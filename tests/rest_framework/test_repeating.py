"""The same answer again, and many answers in one moment."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.db import connection

from django_workflows import run, wiring
from django_workflows.exceptions import StoreUnavailable
from django_workflows.models import WorkflowEntry, WorkflowWait
from django_workflows.steps import Approval, Call, Loop
from tests.rest_framework.test_deciding import answers, decide, post, wait_of

pytestmark = pytest.mark.django_db

KEY = {"Idempotency-Key": "k1"}

# The same again ---------------------------------------------------------------------------------


def test_repeated_answer_is_answered_alike(managers, asking):
    execution = asking("group:managers")

    first = post(managers["ann"], execution, "approve", {"response": {"n": 1}}, **KEY)
    again = post(managers["ann"], execution, "approve", {"response": {"n": 1}}, **KEY)
    by_inbox = decide(managers["ann"], wait_of(execution), body={"response": {"n": 1}}, **KEY)

    assert first.status_code == 200
    assert again.json() == by_inbox.json() == first.json()
    assert len(answers(execution)) == 1
    resumed = WorkflowEntry.objects.filter(execution=execution.id, action="resumed")
    assert resumed.count() == 1


def test_other_answer_with_the_key_is_a_conflict(managers, asking):
    execution = asking("group:managers")
    post(managers["ann"], execution, "approve", **KEY)

    for reply in (
        post(managers["ann"], execution, "reject", **KEY),
        post(managers["ann"], execution, "approve", {"response": 1}, **KEY),
        post(managers["bob"], execution, "approve", **KEY),
    ):
        assert reply.status_code == 409
        assert reply.json()["by"] == "ann"


def test_without_a_key_it_is_a_conflict(managers, asking):
    execution = asking("group:managers")
    post(managers["ann"], execution, "approve")

    assert post(managers["ann"], execution, "approve").status_code == 409


def test_repeated_answer_does_not_answer_the_next_question(managers, registered):

    review = Approval("?", approvers=["group:managers"], name="review")
    made = registered("rounds", each=Loop(over=[1, 2], do=review))
    execution = wiring.store().load(run(made).execution_id)
    first = post(managers["ann"], execution, "approve", **KEY)
    wiring.drive(execution.id)
    first_wait, second_wait = WorkflowWait.objects.order_by("opened_at")

    again = post(managers["ann"], execution, "approve", **KEY)

    assert again.status_code == 409
    assert f"step='{second_wait.id}'" in again.json()["detail"]
    assert again.json()["open_steps"] == ["each[1]/review"]
    assert len(answers(execution)) == 1
    # Named, both are clear.
    named = post(managers["ann"], execution, "approve", {"step": first_wait.id}, **KEY)
    other = post(managers["ann"], execution, "approve", {"step": second_wait.id}, **KEY)
    assert named.json() == first.json()
    assert other.json()["step"] == "each[1]/review"


# At one time ------------------------------------------------------------------------------------


def at_once(calls):
    """Make the calls in the same moment, each in a thread; return what they return."""
    barrier = Barrier(len(calls))

    def one(call):
        try:
            barrier.wait(10)
            return call()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(one, calls))


@pytest.mark.django_db(transaction=True)
def test_of_many_deciders_one_wins(managers, asking):
    execution = asking("group:managers")
    wait = wait_of(execution)
    calls = [
        lambda client=client, yes=yes: decide(client, wait, approved=yes)
        for client, yes in zip([*managers.values()] * 2, [True, False] * 3, strict=True)
    ]

    replies = at_once(calls)

    statuses = sorted(reply.status_code for reply in replies)
    (won,) = [reply.json() for reply in replies if reply.status_code == 200]
    assert statuses == [200, 409, 409, 409, 409, 409]
    assert {reply.json()["by"] for reply in replies} == {won["by"]}
    assert len(answers(execution)) == 1


@pytest.mark.django_db(transaction=True)
def test_of_many_with_one_key_all_are_answered_alike(managers, asking):
    execution = asking("group:managers")

    replies = at_once([lambda: post(managers["ann"], execution, "approve", **KEY)] * 6)

    assert {reply.status_code for reply in replies} == {200}
    assert len({str(reply.json()) for reply in replies}) == 1
    assert len(answers(execution)) == 1


@pytest.mark.django_db(transaction=True)
def test_of_many_starts_with_one_key_one_starts(root, registered):

    registered("quick", work=Call(lambda: 1))
    calls = [lambda: root.post("/api/executions/", {"workflow": "quick"}, "json", headers=KEY)] * 6

    replies = at_once(calls)

    assert sorted(reply.status_code for reply in replies) == [200] * 5 + [201]
    assert len({reply.json()["id"] for reply in replies}) == 1


@pytest.mark.django_db(transaction=True)
def test_of_many_events_with_one_key_one_is_sent(root):
    calls = [lambda: root.post("/api/events/", {"name": "paid"}, "json", headers=KEY)] * 6

    replies = at_once(calls)

    assert sorted(reply.status_code for reply in replies) == [200] * 5 + [201]
    assert len({str(reply.json()) for reply in replies}) == 1


# When the store goes away -----------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_what_was_written_before_the_store_went_away_is_asked_for_again(
    managers, asking, monkeypatch
):
    execution, kind = asking("group:managers"), type(wiring.store())
    settle = kind.settle

    def late(*args, **options):
        settle(*args, **options)
        raise StoreUnavailable("OrmStore", "went away")

    with monkeypatch.context() as patch:
        patch.setattr(kind, "settle", late)
        reply = post(managers["ann"], execution, "approve", **KEY)
    again = post(managers["ann"], execution, "approve", **KEY)

    assert reply.status_code == 503
    assert reply["Retry-After"] == "5"
    assert "may have been done" in reply.json()["detail"]
    assert "the same Idempotency-Key" in reply.json()["detail"]
    assert again.status_code == 200
    assert len(answers(execution)) == 1
