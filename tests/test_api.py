"""start, run, resume and wait, as a project calls them: on its database, driven inline."""

from dataclasses import dataclass
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, User

from django_workflows import (
    ExecutionResult,
    ExecutionStatus,
    F,
    Q,
    Retry,
    api,
    goto,
    resume,
    run,
    start,
    wait,
    wiring,
)
from django_workflows.core.ids import new_id
from django_workflows.core.waits import WaitKind
from django_workflows.exceptions import (
    ExecutionFailed,
    ExecutionNotFound,
    PayloadError,
)
from django_workflows.steps import (
    Approval,
    Assign,
    Call,
    End,
    Router,
    Sleep,
    When,
)
from django_workflows.supervisor import sweep

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def calls():
    return []


@pytest.fixture
def counted(registered, calls):
    """A workflow of one step that leaves a trace of each call."""

    def work(state):
        calls.append(state.execution_id)
        return len(calls)

    return registered("counted", work=Call(work))


@pytest.fixture
def reviewed(registered):
    return registered("reviewed", review=Approval("Really?"), after=Assign(done=True))


# start ------------------------------------------------------------------------------------------


def test_start_returns_a_pending_execution_that_is_driven_at_once(counted):
    execution = start(counted)

    assert execution.status == ExecutionStatus.PENDING
    assert api.get(execution.id).status == ExecutionStatus.COMPLETED
    assert api.get(execution.id).result == 1


def test_workflow_is_named_by_class_definition_or_id(counted):
    started = [start(counted), start(counted.definition), start("counted"), counted.start()]

    assert [execution.workflow_id for execution in started] == ["counted"] * 4


def test_start_keeps_who_what_and_where(counted):
    user = User.objects.create_user("alice")
    group = Group.objects.create(name="managers")

    started = start(counted, by=user, subject=group, queue="slow", priority=5)

    kept = api.get(started.id)
    assert kept.started_by == "alice"
    assert kept.subject == f"auth.group:{group.pk}"
    assert (kept.queue, kept.priority) == ("slow", 5)


def test_subject_may_be_given_as_its_label(counted):
    assert start(counted, subject="shop.order:7").subject == "shop.order:7"


@pytest.mark.parametrize("name", ["execution_id", "idempotency_key"])
@pytest.mark.parametrize("again", [start, run])
def test_same_id_or_key_again_is_the_first_execution_and_runs_once(counted, calls, name, again):
    same = {name: new_id()}
    first = start(counted, **same)

    second = again(counted, **same)

    assert getattr(second, "id", None) or second.execution_id == first.id
    assert calls == [first.id]


def test_key_belongs_to_its_workflow(counted, reviewed):
    first = start(counted, idempotency_key="order 7")

    assert start(reviewed, idempotency_key="order 7").id != first.id


def test_input_is_typed_and_its_defaults_are_filled(registered):
    @dataclass
    class Input:
        order_id: int
        express: bool = False

    workflow = registered("typed", Input=Input, done=End(result=F("input")))

    assert workflow.run(order_id="7").output == {"order_id": 7, "express": False}


@pytest.mark.parametrize("delay", [60, timedelta(minutes=1)])
def test_delayed_execution_waits_for_its_time(counted, calls, travel, delay):
    execution = start(counted, delay=delay)
    (timer,) = api.wait(execution.id).waits

    assert timer.kind == WaitKind.TIMER
    assert sweep() == 0
    travel(61)
    assert sweep() == 1
    assert api.get(execution.id).status == ExecutionStatus.COMPLETED
    assert calls == [execution.id]


def test_delay_counts_for_the_first_start_alone(counted, travel):
    first = start(counted, delay=60, idempotency_key="one")
    travel(61)
    sweep()

    assert start(counted, delay=60, idempotency_key="one").id == first.id
    assert api.get(first.id).status == ExecutionStatus.COMPLETED


def test_delayed_execution_may_be_begun_by_hand(counted, calls):
    execution = start(counted, delay=3600)

    assert resume(execution.id, wait=True).status == ExecutionStatus.COMPLETED


# run --------------------------------------------------------------------------------------------


def test_run_returns_the_result(counted):
    result = run(counted)

    assert isinstance(result, ExecutionResult)
    assert (result.status, result.output) == (ExecutionStatus.COMPLETED, 1)
    assert result.raise_for_status() is result


def test_failed_step_does_not_raise_until_it_is_asked_to(registered):
    error = ValueError("no such card")

    def charge():
        raise error

    result = run(registered("charged", charge=Call(charge)))

    assert (result.status, result.error) == (ExecutionStatus.FAILED, "ValueError: no such card")
    with pytest.raises(ExecutionFailed, match="failed: ValueError: no such card") as caught:
        result.raise_for_status()
    assert caught.value.__cause__ is error


def test_run_goes_the_way_the_router_and_goto_say(registered):
    workflow = registered(
        "routed",
        route=Router(When(Q(input__big=True), then="big"), default="small"),
        small=Call(lambda: goto("end", output="small")),
        big=Call(lambda: "big"),
        end=End(result={"small": F("small"), "big": F("big")}),
    )

    assert workflow.run(big=True).output == {"small": None, "big": "big"}
    assert workflow.run(big=False).output == {"small": "small", "big": None}


def test_run_attempts_a_step_again_by_its_policy(registered, calls):
    def work(state):
        calls.append(state.idempotency_key)
        if len(calls) < 3:
            raise ConnectionError("not yet")

    run(registered("flaky", work=Call(work, retry=Retry(attempts=3, delay=0)))).raise_for_status()

    assert len(calls) == 3
    assert len(set(calls)) == 1


# wait -------------------------------------------------------------------------------------------


def test_wait_returns_once_it_has_ended_or_halted(counted, reviewed):
    assert wait(start(counted).id).output == 1
    assert wait(start(reviewed).id).waits[0].kind == WaitKind.APPROVAL


def test_wait_gives_up_after_its_timeout(counted, registered):
    with api.wiring.store().atomic():
        started = start(counted)
        with pytest.raises(TimeoutError, match=f"{started.id} is pending still, after 0.1 s"):
            wait(started.id, timeout=0.1)


def test_wait_for_an_unknown_execution_is_refused():
    with pytest.raises(ExecutionNotFound):
        wait(new_id(), timeout=1)


def test_sleeping_execution_counts_as_halted(registered):
    assert wait(start(registered("sleepy", nap=Sleep(3600))).id).status == ExecutionStatus.HALTED


def test_empty_idempotency_key_is_refused(registered):
    workflow = registered("keyed", work=Call(lambda: 1))

    with pytest.raises(PayloadError, match="idempotency_key: is empty"):
        start(workflow, idempotency_key="")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("delay", -1),
        ("delay", timedelta(seconds=-1)),
        ("delay", -(10**400)),
        ("delay", 999_999_999_999),
        ("delay", 10**400),
        ("delay", timedelta(days=9_999_999)),
        ("delay", float("nan")),
        ("delay", float("inf")),
        ("delay", "soon"),
        ("delay", True),
        ("priority", "high"),
        ("priority", 1.5),
        ("priority", True),
        ("priority", 2**31),
        ("priority", -(2**31)),
        ("queue", ""),
        ("queue", 7),
    ],
)
def test_options_of_start_that_make_no_sense_are_refused_by_name(registered, option, value):
    workflow = registered("plain", work=Call(lambda: 1))

    with pytest.raises(PayloadError, match=f"^{option}: must be"):
        start(workflow, **{option: value})

    assert wiring.store().find() == []
