"""Workflows, and events."""

from dataclasses import dataclass

import pytest

from django_workflows import run, wiring
from django_workflows.models import WorkflowEvent, WorkflowVersion
from django_workflows.permissions import Policy
from django_workflows.steps import Call, WaitForEvent

pytestmark = pytest.mark.django_db


@pytest.fixture
def parcel(registered):
    @dataclass
    class Input:
        order_id: int

    return registered(
        "parcel", Input=Input, version="2", pack=Call(lambda: 1), ship=Call(lambda: 1)
    )


class OnlyParcels(Policy):
    def allows(self, user, action, *, workflow_id=None, execution=None):
        allowed = super().allows(user, action, workflow_id=workflow_id, execution=execution)
        return allowed and workflow_id in {None, "parcel"}


def listed(client):
    return {row["id"]: row for row in client.get("/api/workflows/").json()}


# Workflows --------------------------------------------------------------------------------------


def test_workflows_are_those_one_may_start_or_view(client_of, user, parcel):
    assert listed(client_of(user("nobody"))) == {}
    assert listed(client_of(user("viewer", "view")))["parcel"]["may_start"] is False
    assert listed(client_of(user("starter", "start")))["parcel"]["may_start"] is True


def test_policy_narrows_them(client_of, user, parcel, settings):
    settings.WORKFLOWS = {**settings.WORKFLOWS, "POLICY": f"{__name__}.OnlyParcels"}
    client = client_of(user("starter", "start"))

    assert [*listed(client)] == ["parcel"]
    assert client.get("/api/workflows/order_fulfilment/").status_code == 404
    reply = client.post("/api/executions/", {"workflow": "order_fulfilment"}, "json")
    assert reply.status_code == 403


def test_workflow_has_its_graph_and_what_it_takes(root, parcel):
    run(parcel, {"order_id": 1})

    shown = root.get("/api/workflows/parcel/").json()

    assert (shown["id"], shown["version"], shown["versions"]) == ("parcel", "2", ["2"])
    assert [node["id"] for node in shown["graph"]["nodes"]] == ["pack", "ship"]
    assert shown["graph"]["edges"][0]["to"] == "ship"
    assert shown["input_schema"]["required"] == ["order_id"]


def test_old_graph_is_kept(root, parcel):
    old = {"id": "parcel", "nodes": [], "edges": [], "exits": []}
    WorkflowVersion.objects.create(workflow_id="parcel", version="1", graph=old)

    assert root.get("/api/workflows/parcel/?version=1").json()["graph"] == old
    for version in ("3", "\x00"):
        assert root.get("/api/workflows/parcel/", {"version": version}).status_code == 404


@pytest.mark.parametrize("unknown", ["lost", "parcel/part", "%00", "é", "%2F", "x" * 5000])
def test_missing_workflow_is_404(root, parcel, unknown):
    reply = root.get(f"/api/workflows/{unknown}/")

    assert reply.status_code == 404
    assert reply.json() == {"detail": "Not found."}


def test_workflow_may_have_any_id(root, registered):
    registered("a b/ü.1", pack=Call(lambda: 1))

    assert root.get("/api/workflows/a b/ü.1/").json()["id"] == "a b/ü.1"


# Events -----------------------------------------------------------------------------------------


def send(client, body, **headers):
    return client.post("/api/events/", body, "json", headers=headers)


@pytest.mark.django_db(transaction=True)
def test_event_reaches_who_waits(root, registered):
    made = registered("waiting", paid=WaitForEvent("paid", key="$input.order"))
    execution = run(made, {"order": 7}).execution_id

    reply = send(root, {"name": "paid", "key": "7", "data": {"amount": {"$decimal": "9.90"}}})

    assert reply.status_code == 201
    told = reply.json()
    assert (told["name"], told["key"], told["by"]) == ("paid", "7", "root")
    assert told["data"] == {"amount": {"$decimal": "9.90"}}
    ended = wiring.store().load(execution)
    assert ended.status == "completed"
    assert str(ended.ctx["paid"]["amount"]) == "9.90"


def test_event_without_a_wait_is_kept(root):
    send(root, {"name": "paid"})

    (kept,) = WorkflowEvent.objects.all()
    assert (kept.name, kept.key, kept.data, kept.by) == ("paid", "", None, "root")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "a:b"}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": "x", "key": 5}, "key"),
        ({"name": "x", "key": "x" * 201}, "key"),
        ({"name": "x", "data": {"$what": 1}}, "data"),
        ({"name": "x", "data": "x" * 1_100_000}, "data"),
        ({"name": "x", "to": "y"}, "to"),
    ],
)
def test_event_that_cannot_be_is_a_field_error(root, body, field):
    reply = send(root, body)

    assert reply.status_code == 400
    assert [*reply.json()] == [field]
    assert not WorkflowEvent.objects.exists()


def test_event_takes_the_right_to_resume(client_of, user):
    reply = send(client_of(user("viewer", "view")), {"name": "paid"})

    assert reply.status_code == 403
    assert send(client_of(user("able", "resume")), {"name": "paid"}).status_code == 201


def test_event_is_sent_once_for_each_key_of_a_user(root, client_of, user):
    body = {"name": "paid", "key": "7", "data": {"amount": {"$decimal": "9.90"}}}
    once = {"Idempotency-Key": "k"}

    first, again = send(root, body, **once), send(root, body, **once)
    another = send(root, body, **{"Idempotency-Key": "l"})
    others = send(client_of(user("able", "resume")), body, **once)

    assert (first.status_code, again.status_code) == (201, 200)
    assert (another.status_code, others.status_code) == (201, 201)
    assert again.json() == first.json()
    assert len({reply.json()["id"] for reply in (first, another, others)}) == 3
    assert WorkflowEvent.objects.count() == 3


def test_key_of_an_event_with_other_data_is_a_conflict(root):
    once = {"Idempotency-Key": "k"}
    sent = send(root, {"name": "paid", "data": 1}, **once).json()

    reply = send(root, {"name": "paid", "data": 2}, **once)

    assert reply.status_code == 409
    assert (reply.json()["code"], reply.json()["event"]) == ("key_taken", sent["id"])
    assert WorkflowEvent.objects.get().data == 1
