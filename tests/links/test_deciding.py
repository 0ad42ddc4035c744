"""POST: the decision is taken once, by the link's person, as the link says."""

import pytest

from django_workflows import api, registry, run, wiring
from django_workflows.core.execution import ExecutionStatus
from django_workflows.exceptions import NotResumable, StoreUnavailable
from django_workflows.links import decision_url
from django_workflows.models import WorkflowWait
from django_workflows.steps import Approval, End, Parallel
from django_workflows.supervisor import sweep

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("tests.links.urls")]


def answers(wait):
    [stored] = [one for one in wiring.store().waits(wait.execution_id) if one.id == wait.id]
    return [(answer.approved, answer.by, answer.response) for answer in stored.answers]


def result(wait):
    return api.get(wait.execution_id).result


@pytest.mark.parametrize(("approved", "ended"), [(True, "shipped"), (False, "refused")])
def test_link_decides_as_it_says(client, wait, ann, approved, ended):
    url = decision_url(wait, ann, approved)

    response = client.post(url, {"comment": "  as agreed "})

    assert response.status_code == 200
    assert ("Approved" if approved else "Rejected") in response.content.decode()
    assert answers(wait) == [(approved, "ann", "as agreed")]
    assert result(wait) == ended


def test_comment_may_be_left_out(client, wait, ann, links):
    assert client.post(links(wait, ann).approve).status_code == 200
    assert answers(wait) == [(True, "ann", None)]


@pytest.mark.parametrize("name", ["approved", "by", "step", "decision", "response"])
def test_form_cannot_say_anything_else(client, wait, ann, links, name):
    client.post(links(wait, ann).approve, {name: "false", "comment": "c"})

    assert answers(wait) == [(True, "ann", "c")]


def test_person_is_the_links_whoever_is_logged_in(client, wait, ann, bob, links):
    client.force_login(bob)

    client.post(links(wait, ann).approve)

    assert answers(wait) == [(True, "ann", None)]


def test_approval_that_has_to_say_more_is_left_to_the_inbox(client, asking, ann, links):
    wait = asking("user:ann", response_schema={"type": "object"})
    pair = links(wait, ann)

    for ask in (client.get, client.post):
        response = ask(pair.approve)
        assert response.status_code == 409
        assert "This takes more than a yes" in response.content.decode()
    assert answers(wait) == []
    assert client.post(pair.reject, {"comment": "no"}).status_code == 200
    assert answers(wait) == [(False, "ann", "no")]


def test_comment_that_is_too_long(client, wait, ann, links):
    response = client.post(links(wait, ann).approve, {"comment": "x" * 4001})

    assert response.status_code == 400
    assert "at most 4000 characters" in response.content.decode()
    assert answers(wait) == []


def test_comment_that_cannot_be_kept(client, wait, ann, links, settings):
    url = links(wait, ann).approve
    settings.WORKFLOWS = {"MAX_PAYLOAD_BYTES": 10}

    response = client.post(url, {"comment": "far too much"})

    assert response.status_code == 400
    assert "too long to be kept" in response.content.decode()
    assert answers(wait) == []


# One use ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("again", ["approve", "reject"])
def test_after_the_decision_both_links_are_dead(client, wait, ann, links, again):
    made = links(wait, ann)
    client.post(made.approve, {"comment": "first"})

    for method in (client.get, client.post):
        response = method(getattr(made, again))
        assert response.status_code == 409
        assert "You approved it on" in response.content.decode()
    assert answers(wait) == [(True, "ann", "first")]


@pytest.mark.parametrize(
    ("approved", "told"), [(True, "ann approved it on"), (False, "ann rejected it on")]
)
def test_who_comes_later_is_told_who_was_first(
    client, asking, managers, ann, bob, links, approved, told
):
    wait = asking("group:managers")
    client.post(decision_url(wait, ann, approved))

    for url in (links(wait, bob).approve, links(wait, bob).reject):
        response = client.post(url)
        assert response.status_code == 409
        assert told in response.content.decode()
    assert [by for _, by, _ in answers(wait)] == ["ann"]


def test_decided_elsewhere(client, wait, ann, links):
    api.resume(wait.execution_id, approved=False, by=ann)

    response = client.get(links(wait, ann).approve)

    assert response.status_code == 409
    assert "You rejected it on" in response.content.decode()


def test_of_several_required_a_person_counts_once(client, asking, managers, ann, bob, links):
    wait = asking("group:managers", required=2)
    assert "one more person has to" in client.post(links(wait, ann).approve).content.decode()

    for url in (links(wait, ann).approve, links(wait, ann).reject):
        for method in (client.get, client.post):
            assert method(url).status_code == 409
    assert api.get(wait.execution_id).status == ExecutionStatus.HALTED

    assert client.post(links(wait, bob).approve).status_code == 200
    assert [by for _, by, _ in answers(wait)] == ["ann", "bob"]
    assert result(wait) == "shipped"


def test_link_of_one_branch_decides_no_other(client, registered, ann, links):
    both = Parallel(
        law=Approval("Legal?", name="legal", approvers=["user:ann"]),
        money=Approval("Payable?", name="payable", approvers=["user:ann"]),
    )
    execution_id = run(registered("signing", both=both, done=End())).execution_id
    law, money = wiring.store().waits(execution_id)

    client.post(links(money, ann).approve)

    assert answers(law) == []
    assert client.get(links(law, ann).approve).status_code == 200
    assert client.get(links(money, ann).reject).status_code == 409


def test_link_does_not_serve_the_next_round(client, wait, ann, links):
    made = links(wait, ann)
    client.post(made.approve)
    api.fork(wait.execution_id, "review")
    again = next(one for one in wiring.store().find_waits() if one.id != wait.id)

    assert client.post(made.approve).status_code == 409
    assert answers(again) == []
    assert client.post(links(again, ann).approve).status_code == 200


# Who may not any more ---------------------------------------------------------------------------


def leaves(ann):
    ann.groups.clear()


def is_closed(ann):
    ann.is_active = False
    ann.save()


def is_gone(ann):
    ann.delete()


@pytest.mark.parametrize("change", [leaves, is_closed, is_gone])
def test_who_may_not_decide_any_more(client, asking, managers, ann, links, change):
    wait = asking("group:managers", prompt="Buy Umbrella Inc?")
    made = links(wait, ann)
    change(ann)

    for url in (made.approve, made.reject):
        for method in (client.get, client.post):
            response = method(url)
            assert response.status_code == 403
            for secret in ("Umbrella", "asking", "review", "ann", wait.id):
                assert secret not in response.content.decode()
    assert answers(wait) == []


def test_who_takes_over_the_name_does_not_take_over_the_link(client, wait, ann, bob, links):
    made = links(wait, ann)
    ann.delete()
    bob.username = "ann"
    bob.save()

    assert client.post(made.approve).status_code == 403
    assert answers(wait) == []


def test_who_asked_may_not_decide(client, asking, ann, links):
    wait = asking("user:ann", by="ann")

    assert client.get(links(wait, ann).approve).status_code == 403
    assert client.post(links(wait, ann).approve).status_code == 403
    assert answers(wait) == []


def test_right_that_is_lost_between_look_and_lock(client, wait, ann, links, monkeypatch):
    original = api.resume

    def late(*args, **options):
        is_closed(ann)
        return original(*args, **options)

    monkeypatch.setattr(api, "resume", late)
    response = client.post(links(wait, ann).approve)

    assert response.status_code == 403
    assert answers(wait) == []


def test_decision_that_comes_between_look_and_lock(
    client, asking, managers, ann, bob, links, monkeypatch
):
    wait = asking("group:managers")
    original = api.resume

    def late(*args, **options):
        original(wait.execution_id, approved=False, by=bob)
        return original(*args, **options)

    monkeypatch.setattr(api, "resume", late)
    response = client.post(links(wait, ann).approve)

    assert response.status_code == 409
    assert "bob rejected it on" in response.content.decode()
    assert [by for _, by, _ in answers(wait)] == ["bob"]


def test_refusal_that_nothing_explains(client, wait, ann, links, monkeypatch):
    def refuse(*args, **options):
        raise NotResumable(wait.execution_id, "of the moon")

    monkeypatch.setattr(api, "resume", refuse)
    response = client.post(links(wait, ann).approve)

    assert response.status_code == 409
    assert "moon" not in response.content.decode()


def test_approval_that_names_nobody_takes_the_permission(client, asking, ann, decider, links):
    wait = asking()

    assert client.post(links(wait, ann).approve).status_code == 403
    assert client.post(links(wait, decider).approve).status_code == 200
    assert answers(wait) == [(True, "dora", None)]


# Too late, and never ----------------------------------------------------------------------------


def test_expired(client, wait, ann, links, travel):
    made = links(wait, ann, max_age=60)
    travel(61)

    for method in (client.get, client.post):
        response = method(made.approve)
        assert response.status_code == 410
        assert "This link has expired" in response.content.decode()
        assert "Ship it?" not in response.content.decode()
    assert answers(wait) == []


def test_timed_out(client, asking, ann, links, travel):
    wait = asking("user:ann", timeout=60, on_timeout="refused")
    made = links(wait, ann)
    travel(61)
    sweep()

    response = client.post(made.approve)
    assert response.status_code == 409
    assert "Nobody decided in time" in response.content.decode()


def test_cancelled(client, wait, ann, links):
    api.cancel(wait.execution_id)

    for method in (client.get, client.post):
        response = method(links(wait, ann).approve)
        assert response.status_code == 410
        assert "No decision is needed any more" in response.content.decode()


def test_cancelled_after_one_of_two_approvals(client, asking, managers, ann, bob, links):
    wait = asking("group:managers", required=2)
    client.post(links(wait, ann).approve)
    api.cancel(wait.execution_id)

    assert "You approved it" in client.get(links(wait, ann).approve).content.decode()
    assert client.get(links(wait, bob).approve).status_code == 410


def test_execution_that_is_gone(client, wait, ann, links):
    made = links(wait, ann)
    wiring.store().delete(wait.execution_id)

    assert client.post(made.approve).status_code == 410


def test_wait_that_is_gone(client, wait, ann, links):
    made = links(wait, ann)
    WorkflowWait.objects.all().delete()

    assert client.post(made.approve).status_code == 410


@pytest.mark.parametrize("token", ["x", "a:b", "a:b:c", "%00", "é", "%F0%9F%92%A9", "a" * 5000])
def test_nonsense(client, token):
    for method in (client.get, client.post):
        response = method(f"/decide/{token}/")
        assert response.status_code == 404
        assert "This link is not valid" in response.content.decode()


def test_skipped(client, wait, ann, bob, links):
    api.skip(wait.execution_id, by=ann)

    assert client.get(links(wait, ann).approve).status_code == 410


# When it cannot be said -------------------------------------------------------------------------


def test_store_that_is_away(client, wait, ann, links, monkeypatch, caplog):
    made = links(wait, ann)

    def away(*args, **options):
        raise StoreUnavailable("OrmStore", "server at 10.0.0.7 is down")

    monkeypatch.setattr(type(wiring.store()), "load", away)
    response = client.post(made.approve)

    assert response.status_code == 503
    assert "Try again in a few minutes" in response.content.decode()
    assert "10.0.0.7" not in response.content.decode()
    assert "10.0.0.7" in caplog.text


def test_store_that_goes_away_once_it_has_decided(client, wait, ann, links, monkeypatch):
    kind, made = type(wiring.store()), links(wait, ann)
    settle = kind.settle

    def late(*args, **options):
        settle(*args, **options)
        raise StoreUnavailable("OrmStore", "went away")

    with monkeypatch.context() as patch:
        patch.setattr(kind, "settle", late)
        response = client.post(made.approve)
    again = client.post(made.approve)

    assert response.status_code == 503
    assert "Nothing was decided" not in response.content.decode()
    assert "may have been recorded" in response.content.decode()
    assert again.status_code == 409
    assert "You approved it on" in again.content.decode()
    assert answers(wait) == [(True, "ann", None)]


def test_workflow_that_is_not_registered_here(client, wait, ann, links):
    definition = registry["asking"]
    registry.remove("asking")
    try:
        page = client.get(links(wait, ann).reject)
        response = client.post(links(wait, ann).reject)
    finally:
        registry.add("asking", definition)

    assert (page.status_code, response.status_code) == (200, 503)
    assert answers(wait) == []
