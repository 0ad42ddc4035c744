"""Who may do what by which URL; a URL without an expectation here fails."""

import pytest
from django.contrib.auth.models import Group, User
from django.urls import get_resolver
from rest_framework.test import APIClient

from django_workflows import run, wiring
from django_workflows.core.ids import new_id
from django_workflows.models import WorkflowWait
from django_workflows.steps import Approval, Call, Halt

pytestmark = pytest.mark.django_db

ACTIONS = ("view", "start", "resume", "decide", "retry", "cancel", "skip", "fork")

#: Each with the rights that it has. The requester has started "own"; the approver is asked.
PEOPLE = {
    "anonymous": (),
    "user": (),
    "viewer": ("view",),
    "operator": ("view", "resume", "retry", "cancel", "skip", "fork"),
    "approver": (),
    "requester": ("start",),
    "superuser": ACTIONS,
}

#: Executions that the people below may view; what is "own" was started by the requester, asks the
#: approver, and "foreign" is neither.
SEES = {
    "own": {"viewer", "operator", "approver", "requester", "superuser"},
    "foreign": {"viewer", "operator", "superuser"},
    "missing": set(),
}

ROWS = {"executions-detail", "executions-entries", "executions-events"}

VERBS = {
    "executions-resume": "resume",
    "executions-approve": "decide",
    "executions-reject": "decide",
    "executions-retry": "retry",
    "executions-skip": "skip",
    "executions-cancel": "cancel",
    "executions-fork": "fork",
}

#: What has no execution in it; who may, and what the others get.
WHOLE = {
    ("workflows-list", "get"): (set(PEOPLE) - {"anonymous"}, 403),
    ("workflows-detail", "get"): ({"viewer", "operator", "requester", "superuser"}, 404),
    ("executions-list", "get"): (set(PEOPLE) - {"anonymous"}, 403),
    ("executions-list", "post"): ({"requester", "superuser"}, 403),
    ("approvals-list", "get"): (set(PEOPLE) - {"anonymous"}, 403),
    ("events-list", "post"): ({"operator", "superuser"}, 403),
}

METHODS = ("get", "post", "put", "patch", "delete")


def names():
    return {
        pattern.name
        for pattern in get_resolver("django_workflows.rest_framework.urls").url_patterns
    }


def test_every_url_has_an_expectation():
    expected = {*ROWS, *VERBS, *(name for name, _ in WHOLE)}

    assert names() == expected | {"approvals-detail", "approvals-decide"}


@pytest.fixture
def people(user):
    made = {}
    for name, rights in PEOPLE.items():
        made[name] = client = APIClient()
        if name == "superuser":
            client.force_authenticate(User.objects.create_superuser(name))
        elif name != "anonymous":
            client.force_authenticate(user(name, *rights))
    return made


@pytest.fixture
def targets(registered):
    """Ids of executions: one that is the requester's and asks the approver, one of others."""

    def make(verb):
        steps = {"first": Call(lambda: 1)}
        steps |= {"ask": Halt("?")} if verb == "resume" else {}
        own = registered(
            "own", **steps, review=Approval("?", approvers=["user:approver", "group:none"])
        )
        foreign = registered("foreign", **steps, review=Approval("?", approvers=["user:else"]))
        return {
            "own": run(own, by="requester").execution_id,
            "foreign": run(foreign, by="else").execution_id,
            "missing": new_id(),
        }

    return make


def status_of(client, method, url, body=None):
    reply = getattr(client, method)(url, *([] if method == "get" else [body or {}, "json"]))
    return reply.status_code


@pytest.mark.parametrize("name", sorted(ROWS))
@pytest.mark.parametrize("target", SEES)
def test_rows(people, targets, name, target):
    ids = targets("")
    url = _url(name, ids[target])
    for person, client in people.items():
        expected = 200 if person in SEES[target] else 404
        expected = 403 if person == "anonymous" else expected

        assert status_of(client, "get", url) == expected, person
        assert status_of(client, "delete", url) == (403 if person == "anonymous" else 405), person


@pytest.mark.parametrize(("name", "action"), VERBS.items())
@pytest.mark.parametrize("target", SEES)
def test_verbs(people, targets, name, action, target):
    ids = targets(action)
    body = {"from_step": "first"} if action == "fork" else {}
    able = {name for name in PEOPLE if action in PEOPLE[name]}
    able |= {"approver"} if action == "decide" else set()
    for person in sorted(people, key=able.__contains__):  # who may not, before it is changed
        client, url = people[person], _url(name, ids[target])
        sees = person in SEES[target] - ({"approver"} if action == "resume" else set())
        may = person in able
        before = _snapshot()

        status = status_of(client, "post", url, body)

        if person == "anonymous":
            assert status == 403
        elif not sees:
            assert status == 404, person
        elif not may:
            assert status == 403, person
        else:
            # Who may is stopped by the state of the execution at most, or by its approvers.
            assert status in {200, 201, 409} | ({403} if action in {"decide", "skip"} else set())
        if person == "anonymous" or not (sees and may):
            assert _snapshot() == before, person
        assert status_of(client, "get", url) == (403 if person == "anonymous" else 405)


def test_decisions_are_the_approvers_alone(people, targets):
    ids = targets("decide")
    wait = WorkflowWait.objects.get(execution=ids["own"])
    url = f"/api/approvals/{wait.id}/"
    expected = {
        **dict.fromkeys(PEOPLE, 404),  # not even seen
        **dict.fromkeys(("viewer", "operator", "requester", "superuser"), 403),
        "anonymous": 403,
        "approver": 200,
    }

    for person in sorted(people, key="approver".__eq__):
        client = people[person]
        seen = {"anonymous": 403, "approver": 200}.get(person, 404)
        assert status_of(client, "get", url) == seen, person
        status = status_of(client, "post", f"{url}decide/", {"approved": True})
        assert status == expected[person], person
    (answer,) = wiring.store().waits(ids["own"])[0].answers
    assert answer.by == "approver"


@pytest.mark.parametrize(("name", "method"), WHOLE)
def test_what_has_no_execution(people, targets, name, method):
    targets("")
    url = _url(name, "own")
    body = {"workflow": "own"} if name == "executions-list" else {"name": "paid"}
    able, otherwise = WHOLE[name, method]
    for person, client in people.items():
        status = status_of(client, method, url, body)

        expected = (201 if method == "post" else 200) if person in able else otherwise
        assert status == (403 if person == "anonymous" else expected), person


def test_lists_have_what_each_may_view(people, targets):
    ids = targets("")
    for person in set(PEOPLE) - {"anonymous"}:
        listed = people[person].get("/api/executions/").json()["results"]
        inbox = people[person].get("/api/approvals/").json()["results"]

        seen = {name for name in ids if person in SEES[name]}
        assert {row["id"] for row in listed} == {ids[name] for name in seen}, person
        assert bool(inbox) == (person == "approver"), person


def test_anonymous_is_refused_before_anything_else(people, targets):
    ids = targets("")
    for name in names():
        for method in METHODS:
            assert status_of(people["anonymous"], method, _url(name, ids["own"])) == 403


def test_group_asked_sees_and_decides(people, targets):
    ids = targets("decide")
    Group.objects.create(name="none").user_set.add(User.objects.get(username="user"))

    assert status_of(people["user"], "get", _url("executions-detail", ids["own"])) == 200
    assert status_of(people["user"], "post", _url("executions-reject", ids["own"])) == 200


def _url(name, key):
    start, _, rest = name.partition("-")
    middle = {"list": "", "detail": f"{key}/"}.get(rest, f"{key}/{rest}/")
    return f"/api/{start}/{middle}"


def _snapshot():
    from django_workflows.models import WorkflowEntry, WorkflowExecution

    rows = WorkflowExecution.objects.order_by("pk").values_list("pk", "status", "updated_at")
    return list(rows), WorkflowEntry.objects.count()
