"""Start executions, each once."""

from dataclasses import dataclass
from datetime import date

import pytest

from django_workflows import start
from django_workflows.core.execution import ExecutionStatus
from django_workflows.models import WorkflowExecution
from django_workflows.steps import Call

pytestmark = pytest.mark.django_db

LIST = "/api/executions/"


@pytest.fixture
def parcel(registered):
    @dataclass
    class Input:
        order_id: int
        due: date | None = None

    return registered("parcel", Input=Input, work=Call(lambda state: state.input["order_id"] * 2))


def begin(client, body, key=None):
    headers = {} if key is None else {"Idempotency-Key": key}
    return client.post(LIST, body, "json", headers=headers)


def test_start(client_of, user, parcel):
    body = {"workflow": "parcel", "input": {"order_id": 21, "due": "2026-01-31"}}

    reply = begin(client_of(user("sam", "start")), body)

    assert reply.status_code == 201
    made = WorkflowExecution.objects.get()
    assert reply["Location"] == f"http://testserver{LIST}{made.id}/"
    assert reply.json()["id"] == made.id
    assert made.started_by == "sam"
    assert made.input == {"order_id": 21, "due": date(2026, 1, 31)}
    # What was shown can be sent back.
    again = begin(client_of("sam"), {**body, "input": reply.json()["input"]})
    assert again.json()["input"] == reply.json()["input"]


def test_start_runs_once_the_transaction_commits(
    client_of, user, parcel, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        begin(client_of(user("sam", "start")), {"workflow": "parcel", "input": {"order_id": 21}})

    assert WorkflowExecution.objects.get().result == 42


def test_start_later(root, parcel):
    body = {"workflow": "parcel", "input": {"order_id": 1}, "delay": 60}

    assert begin(root, body).json()["status"] == "halted"


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({}, {"workflow": ["This field is required."]}),
        ({"workflow": 5}, {"workflow": ["Not a valid string."]}),
        (
            {"workflow": "lost"},
            {"workflow": ["There is no workflow 'lost'; workflows/ lists those there are."]},
        ),
        (
            {"workflow": "parcel", "input": {"order_id": "x", "colour": "red"}},
            {
                "input": {
                    "order_id": [
                        "Input should be a valid integer, unable to parse string as an integer"
                    ],
                    "colour": ["unknown field; known are order_id, due"],
                }
            },
        ),
        ({"workflow": "parcel"}, {"input": {"order_id": ["Field required"]}}),
        ({"workflow": "parcel", "input": [1]}, {"input": ["Must be an object, not list."]}),
        (
            {"workflow": "parcel", "input": {"$set": [1]}},
            {"input": ["Must be an object, not set."]},
        ),
        (
            {"workflow": "parcel", "imput": {}},
            {"imput": ["There is no such field; there are workflow, input, delay."]},
        ),
        (
            {"workflow": "parcel", "delay": -1},
            {"delay": ["Ensure this value is greater than or equal to 0."]},
        ),
        ({"workflow": "parcel", "delay": "1"}, {"delay": ["A valid number is required."]}),
        ({"workflow": "parcel", "delay": True}, {"delay": ["A valid number is required."]}),
        ({"workflow": "pa\x00rcel"}, {"workflow": ["Null characters are not allowed."]}),
        ([], {"non_field_errors": ["Invalid data. Expected a dictionary, but got list."]}),
    ],
)
def test_start_says_what_is_wrong_with_each_field(root, parcel, body, errors):
    reply = begin(root, body)

    assert reply.status_code == 400
    assert reply.json() == errors
    assert not WorkflowExecution.objects.exists()


def test_start_too_late_for_any_clock(root, parcel):
    reply = begin(root, {"workflow": "parcel", "input": {"order_id": 1}, "delay": 1e300})

    assert reply.status_code == 400
    assert [*reply.json()] == ["delay"]


def test_start_takes_the_right_to(client_of, user, parcel):
    body = {"workflow": "parcel", "input": {"order_id": 1}}

    reply = begin(client_of(user("viewer", "view")), body)

    assert reply.status_code == 403
    assert "start_workflowexecution" in reply.json()["detail"]
    # It is not told either whether there is such a workflow.
    assert begin(client_of("viewer"), {"workflow": "lost"}).status_code == 403


def test_start_with_a_key_starts_once(client_of, user, parcel):
    sam, body = client_of(user("sam", "start")), {"workflow": "parcel", "input": {"order_id": 1}}

    first, again = begin(sam, body, "k1"), begin(sam, body, "k1")
    other = begin(sam, body, "k2")

    assert (first.status_code, again.status_code, other.status_code) == (201, 200, 201)
    assert first.json()["id"] == again.json()["id"] != other.json()["id"]


def test_key_is_of_one_user(client_of, user, parcel):
    body = {"workflow": "parcel", "input": {"order_id": 1}}

    sams = begin(client_of(user("sam", "start")), body, "k")
    pats = begin(client_of(user("pat", "start")), body, "k")

    assert (sams.status_code, pats.status_code) == (201, 201)
    assert sams.json()["id"] != pats.json()["id"]


def test_key_with_another_input_is_a_conflict(root, parcel):
    first = begin(root, {"workflow": "parcel", "input": {"order_id": 1}}, "k")

    reply = begin(root, {"workflow": "parcel", "input": {"order_id": 2}}, "k")

    assert reply.status_code == 409
    assert reply.json()["code"] == "key_taken"
    assert reply.json()["execution"] == first.json()["id"]


def test_key_still_counts_once_the_input_was_replaced(root, registered):
    registered("strict", work=Call(lambda state: 1 / state.input["n"]))
    body = {"workflow": "strict", "input": {"n": 0}}
    first = begin(root, body, "k").json()["id"]
    run_id = WorkflowExecution.objects.get(pk=first)
    run_id.status = ExecutionStatus.FAILED
    run_id.save()
    root.post(f"{LIST}{first}/retry/", {"input": {"n": 1}}, "json")

    assert begin(root, body, "k").status_code == 200
    assert begin(root, {**body, "input": {"n": 1}}, "k").status_code == 409


@pytest.mark.parametrize("key", ["", " ", "a b", "é", "x" * 129, "a\tb"])
def test_key_that_is_none_is_a_field_error(root, parcel, key):
    reply = begin(root, {"workflow": "parcel", "input": {"order_id": 1}}, key)

    assert reply.status_code == 400
    assert [*reply.json()] == ["Idempotency-Key"]


def test_longest_key_fits(root, parcel):
    assert (
        begin(root, {"workflow": "parcel", "input": {"order_id": 1}}, "x" * 128).status_code == 201
    )


def test_started_by_code_is_listed(client_of, user, parcel):
    rita = user("rita", "start")
    start(parcel, {"order_id": 1}, by=rita)
    start(parcel, {"order_id": 1})

    assert len(client_of(rita).get(LIST).json()["results"]) == 1


def test_every_type_can_be_sent_back_as_it_is_shown(root, registered):
    registered("any", work=Call(lambda: 1))
    given = {
        "decimal": {"$decimal": "9.90"},
        "uuid": {"$uuid": "01a207d3-68da-72c9-b9a1-b3d66c04a39c"},
        "date": {"$date": "2026-01-31"},
        "datetime": {"$datetime": "2026-01-31T12:00:00+00:00"},
        "local": {"$datetime": ["2026-01-31T12:00:00", "Europe/Berlin", 0]},
        "time": {"$time": "12:00:00"},
        "timedelta": {"$timedelta": [1, 2, 3]},
        "bytes": {"$bytes": "AAE="},
        "tuple": {"$tuple": [1, {"$set": [1, 2]}]},
        "frozenset": {"$frozenset": ["a"]},
        "dict": {"$dict": {"$odd": None}},
    }

    reply = begin(root, {"workflow": "any", "input": given})

    assert reply.status_code == 201
    assert reply.json()["input"] == given
    again = begin(root, {"workflow": "any", "input": reply.json()["input"]})
    assert again.json()["input"] == given
