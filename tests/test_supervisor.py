"""sweep: what nobody drives is found and woken."""

from datetime import timedelta

import pytest
from django.db import transaction

from django_workflows import Retry, api, cancel, registry, run, start, wiring
from django_workflows.core import clock
from django_workflows.core.execution import ExecutionStatus
from django_workflows.core.store import Due, DueReason
from django_workflows.core.waits import InboxEvent
from django_workflows.exceptions import StoreUnavailable
from django_workflows.models import WorkflowExecution
from django_workflows.steps import Approval, Call, Halt, Sleep, SubWorkflow, WaitForEvent
from django_workflows.supervisor import sweep

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def silent(settings):
    settings.WORKFLOWS = {"ADAPTER": {"BACKEND": "tests.bells.SilentBell"}}


@pytest.fixture
def counted(registered):
    return registered("counted", work=Call(lambda: 1))


@pytest.fixture
def pending(counted):
    """An execution whose bell was not heard."""
    return wiring.engine(counted.definition).create().id


def test_nothing_is_due(counted):
    run(counted)

    assert sweep() == 0


def test_pending_execution_is_driven(pending):
    assert sweep() == 1

    assert api.get(pending).status == ExecutionStatus.COMPLETED


def test_expired_lease_is_taken_over(pending, travel):
    wiring.store().claim(pending, "a worker that died", timedelta(seconds=60))
    assert sweep() == 0
    travel(61)

    assert sweep() == 1

    assert api.get(pending).status == ExecutionStatus.COMPLETED


@pytest.mark.parametrize(
    ("step", "ended"),
    [
        (Sleep(60), ExecutionStatus.COMPLETED),
        (Approval("?", timeout=60), ExecutionStatus.FAILED),
    ],
)
def test_wait_whose_time_has_come_is_settled(registered, travel, step, ended):
    halted = run(registered("waiting", it=step))
    travel(59)
    assert sweep() == 0
    travel(2)

    assert sweep() == 1

    assert api.get(halted.execution_id).status == ended


def test_time_may_be_given(registered):
    halted = run(registered("waiting", it=Sleep(60)))

    assert sweep(clock.now() + timedelta(seconds=61)) == 1

    assert api.get(halted.execution_id).status == ExecutionStatus.COMPLETED


def test_retry_wait_ends(registered, travel):
    def work(state):
        if state.attempt == 1:
            raise ConnectionError("not yet")

    halted = run(registered("flaky", work=Call(work, retry=Retry(attempts=2, delay=60))))
    travel(61)

    assert sweep() == 1

    assert api.get(halted.execution_id).status == ExecutionStatus.COMPLETED


def test_deadline_passes_while_it_is_halted(registered, travel):
    workflow = registered("late", timeout=timedelta(seconds=60), ask=Halt("?"))
    halted = run(workflow)
    travel(61)

    assert sweep() == 1

    late = api.get(halted.execution_id)
    assert late.status == ExecutionStatus.FAILED
    assert late.error.startswith("WorkflowTimeout: The workflow passed its deadline of ")
    assert not wiring.store().find_waits()


def test_second_sweep_finds_nothing_more(pending, registered, travel):
    run(registered("waiting", it=Sleep(60)))
    travel(61)

    assert [sweep(), sweep()] == [2, 0]


@pytest.mark.usefixtures("silent")
def test_sweeping_twice_before_a_worker_comes_is_harmless(pending, registered, travel):
    halted = run(registered("waiting", it=Sleep(60))).execution_id
    travel(61)
    sweep()
    entries = wiring.store().entries(halted)

    sweep()

    assert wiring.store().entries(halted) == entries
    assert wiring.drive(halted).status == wiring.drive(pending).status == "completed"


def test_two_supervisors_at_once_drive_each_execution_once(registered):
    calls = []
    workflow = registered("counted_twice", work=Call(lambda: calls.append(1)))
    for _ in range(3):
        wiring.engine(workflow.definition).create()

    from tests.test_traps_api import together

    together(sweep, sweep)

    assert calls == [1, 1, 1]


def test_limit_bounds_each_reason(counted):
    for _ in range(3):
        wiring.engine(counted.definition).create()

    assert [sweep(limit=2), sweep(limit=2), sweep(limit=2)] == [2, 1, 0]


def test_whoever_sweeps_may_dispatch_differently(pending):
    rung = []

    sweep(dispatch=rung.append)

    assert [execution.id for execution in rung] == [pending]
    assert api.get(pending).status == ExecutionStatus.PENDING


def test_broken_bell_does_not_keep_the_others_from_being_heard(
    pending, counted, registered, caplog
):
    registered("forgotten", work=Call(lambda: 1))
    lost = wiring.engine(registry["forgotten"]).create().id
    WorkflowExecution.objects.filter(id=lost).update(priority=9)  # so that it comes first
    registry.remove("forgotten")

    assert sweep() == 2

    assert api.get(lost).status == ExecutionStatus.PENDING
    assert api.get(pending).status == ExecutionStatus.COMPLETED
    assert f"Execution {lost} of forgotten could not be dispatched" in caplog.text


@pytest.fixture
def seen(monkeypatch):
    """Let the store find what is not so any more, as between two statements of a sweep."""
    return lambda *due: monkeypatch.setattr(wiring.store(), "due", lambda now, limit: list(due))


def test_what_went_between_the_look_and_the_touch_is_passed_over(registered, seen):
    halted = run(registered("waiting", it=Sleep(60)))
    (timer,) = halted.waits
    gone = wiring.engine(registry["waiting"]).create().id
    wiring.store().delete(gone)
    cancel(halted.execution_id)
    seen(
        Due(reason=DueReason.PENDING, execution_id=gone),
        Due(reason=DueReason.DEADLINE, execution_id=gone),
        Due(reason=DueReason.WAIT, execution_id=halted.execution_id, wait_id=timer.id),
    )

    assert sweep() == 0


@pytest.mark.parametrize("reason", [DueReason.PENDING, DueReason.EXPIRED, DueReason.DEADLINE])
def test_execution_that_ended_before_it_was_rung_for_is_left_alone(counted, seen, reason):
    done = api.get(run(counted).execution_id)
    seen(Due(reason=reason, execution_id=done.id))

    sweep()

    assert api.get(done.id) == done


def test_sweep_inside_a_transaction_rings_after_it(pending):
    with transaction.atomic():
        sweep()
        assert api.get(pending).status == ExecutionStatus.PENDING

    assert api.get(pending).status == ExecutionStatus.COMPLETED


def test_delayed_start_is_begun(counted, travel):
    delayed = start(counted, delay=60)
    travel(61)

    assert sweep() == 1

    assert api.get(delayed.id).status == ExecutionStatus.COMPLETED


def test_event_is_delivered_whose_sender_died_before_it_could(registered):
    halted = run(registered("paying", paid=WaitForEvent("paid")))
    wiring.store().add_event(InboxEvent(name="paid", data="at last"))

    assert sweep() == 1

    assert api.get(halted.execution_id).result == "at last"


def test_parent_is_told_of_a_child_whose_driver_died_before_it_could(registered, monkeypatch):
    registered("child", ask=Halt("?"))
    halted = run(registered("parent", kid=SubWorkflow("child")))
    with monkeypatch.context() as killed:
        killed.setattr("django_workflows.core.engine.tell_parent", lambda *told: None)
        api.resume(halted.waits[0].key, response="done")

    assert sweep() == 1

    assert api.get(halted.execution_id).result == "done"


def test_waits_for_what_has_not_come_are_left_alone(registered):
    registered("child", ask=Halt("?"))
    run(registered("parent", kid=SubWorkflow("child")))
    run(registered("paying", paid=WaitForEvent("paid")))

    assert sweep() == 0


def test_child_that_was_deleted_is_started_anew(registered):
    registered("child", ask=Halt("?"))
    halted = run(registered("parent", kid=SubWorkflow("child")))
    wiring.store().delete(halted.waits[0].key)

    assert sweep() == 1

    (child,) = wiring.store().find(parent=halted.execution_id)
    assert child.status == ExecutionStatus.HALTED
    assert api.get(halted.execution_id).status == ExecutionStatus.HALTED


def test_store_that_goes_away_ends_the_sweep(pending):
    def gone(execution):
        raise StoreUnavailable("test", "gone")

    with pytest.raises(StoreUnavailable):
        sweep(dispatch=gone)
