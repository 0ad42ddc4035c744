"""send_event: what is sent meets what waits, whichever came first."""

import pytest
from django.contrib.auth.models import User

from django_workflows import api, run, send_event, wiring
from django_workflows.core.execution import ExecutionStatus
from django_workflows.exceptions import PayloadError
from django_workflows.models import WorkflowEvent
from django_workflows.steps import Assign, Call, End, Parallel, WaitForEvent
from django_workflows.supervisor import sweep

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def paying(registered):
    return registered("paying", paid=WaitForEvent("paid", key="$input.order"), after=Assign(done=1))


def test_event_wakes_what_waits_for_it(paying):
    halted = paying.run(order=7)

    sent = send_event("paid", key=7, data={"euros": 12}, by=User(username="alice"))

    assert (sent.name, sent.key, sent.by) == ("paid", "7", "alice")
    assert api.get(halted.execution_id).result == {"euros": 12}
    assert wiring.store().waits(halted.execution_id)[0].answer.by == "alice"


def test_event_that_is_sent_again_with_its_key_is_the_first(paying):
    first, second = paying.run(order=7), paying.run(order=7)

    sent = send_event("paid", key=7, data="one", idempotency_key="webhook-1")
    again = send_event("paid", key=7, data="again", idempotency_key="webhook-1")

    assert (again.id, again.data) == (sent.id, "one")
    assert api.get(first.execution_id).result == "one"
    assert api.get(second.execution_id).status == ExecutionStatus.HALTED
    assert send_event("paid", key=8, idempotency_key="webhook-1").id != sent.id
    assert send_event("sent", key=7, idempotency_key="webhook-1").id != sent.id


@pytest.mark.parametrize("key", ["", 7, b"x"])
def test_idempotency_key_that_is_none_is_refused(key):
    with pytest.raises(PayloadError, match="idempotency_key"):
        send_event("paid", idempotency_key=key)

    assert not WorkflowEvent.objects.exists()


def test_event_that_came_first_is_not_lost(paying):
    send_event("paid", key=7, data="early")

    assert paying.run(order=7).output == "early"


def test_events_are_taken_in_the_order_in_which_they_were_sent(registered):
    workflow = registered("twice", first=WaitForEvent("paid"), second=WaitForEvent("paid"))
    send_event("paid", data=1)
    send_event("paid", data=2)

    done = run(workflow)

    ctx = api.get(done.execution_id).ctx
    assert (ctx["first"], ctx["second"]) == (1, 2)


def test_event_goes_to_the_oldest_of_two_that_wait(paying):
    first, second = paying.run(order=7), paying.run(order=7)

    send_event("paid", key=7, data="one")

    assert api.get(first.execution_id).result == "one"
    assert api.get(second.execution_id).status == ExecutionStatus.HALTED
    send_event("paid", key=7, data="two")
    assert api.get(second.execution_id).result == "two"


@pytest.mark.parametrize(("name", "key"), [("paid", 8), ("paid", ""), ("refunded", 7)])
def test_event_of_another_name_or_key_wakes_nobody(paying, name, key):
    halted = paying.run(order=7)

    send_event(name, key)

    assert api.get(halted.execution_id).status == ExecutionStatus.HALTED
    assert WorkflowEvent.objects.get().taken_by is None


def test_event_goes_to_one_branch_of_several(registered):
    workflow = registered(
        "branching",
        both=Parallel(a=WaitForEvent("paid", name="x"), b=WaitForEvent("paid", name="y")),
    )
    halted = run(workflow)

    send_event("paid", data=1)
    (open_wait,) = api.wait(halted.execution_id).waits
    send_event("paid", data=2)

    assert open_wait.step == "both/b/y"
    assert api.get(halted.execution_id).result == {"a": 1, "b": 2}


@pytest.mark.parametrize("name", ["", "order:paid"])
def test_event_has_a_name_without_a_colon(name):
    with pytest.raises(PayloadError, match="must be a name without a colon"):
        send_event(name)

    assert not WorkflowEvent.objects.exists()


def test_key_may_have_a_colon(paying):
    halted = paying.run(order="a:b")

    send_event("paid", key="a:b", data=1)

    assert api.get(halted.execution_id).result == 1


def test_wait_for_an_event_times_out(registered, travel):
    workflow = registered(
        "impatient",
        paid=WaitForEvent("paid", timeout=60, on_timeout="give_up"),
        end=End(result="paid"),
        give_up=Call(lambda: "given up"),
    )
    halted = run(workflow)
    travel(61)

    sweep()

    assert api.get(halted.execution_id).result == "given up"


def test_event_after_the_timeout_waits_for_the_next(registered, travel):
    workflow = registered("impatient", paid=WaitForEvent("paid", timeout=60))
    late = run(workflow)
    travel(61)
    sweep()

    send_event("paid", data="late")

    assert api.get(late.execution_id).status == ExecutionStatus.FAILED
    assert run(workflow).output == "late"
