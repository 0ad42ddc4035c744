"""sweep: what nobody drives is found and woken."""

from contextlib import contextmanager
from datetime import timedelta
from threading import Event

import pytest
from django.db import connections, transaction

from django_workflows import Retry, api, cancel, registry, run, start, wiring
from django_workflows.core import clock
from django_workflows.core.chores import Chore, ChoreKind
from django_workflows.core.execution import EntryAction, Execution, ExecutionStatus
from django_workflows.core.store import Due, DueReason
from django_workflows.core.waits import InboxEvent
from django_workflows.exceptions import ConfigurationError, StoreUnavailable
from django_workflows.models import WorkflowExecution
from django_workflows.steps import (
    Approval,
    Call,
    Halt,
    Parallel,
    Sleep,
    SubWorkflow,
    WaitForEvent,
)
from django_workflows.supervisor import Supervisor, sweep
from tests.stores.contract.threads import Threads

pytestmark = pytest.mark.django_db(transaction=True)


class SweepingThreads(Threads):
    def leave_thread(self):
        connections.close_all()


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

    assert sweep() == 1

    assert api.get(lost).status == ExecutionStatus.PENDING
    assert api.get(pending).status == ExecutionStatus.COMPLETED
    assert f"Execution {lost} of forgotten could not be dispatched" in caplog.text


@pytest.fixture
def seen(monkeypatch):
    """Let the store find what is not so any more, as between two statements of a sweep."""
    from django_workflows.core.store import Store

    def see(*due):
        left = [list(due)]
        monkeypatch.setattr(wiring.store(), "due", lambda now, limit: left.pop() if left else [])
        # The contract's own way, one by one.
        kept = Store.wake_due
        monkeypatch.setattr(
            wiring.store(), "wake_due", lambda now, limit: kept(wiring.store(), now, limit)
        )

    return see


def test_what_went_between_the_look_and_the_touch_is_passed_over(registered, seen):
    halted = run(registered("waiting", it=Sleep(60)))
    (timer,) = halted.waits
    gone = wiring.engine(registry["waiting"]).create().id
    wiring.store().delete(gone)
    cancel(halted.execution_id)
    seen(
        Due(reason=DueReason.EXPIRED, execution_id=gone),
        Due(reason=DueReason.DEADLINE, execution_id=gone),
        Due(reason=DueReason.WAIT, execution_id=halted.execution_id, wait_id=timer.id),
    )

    assert sweep() == 0


@pytest.mark.parametrize("reason", [DueReason.EXPIRED, DueReason.DEADLINE])
def test_execution_that_ended_before_it_was_looked_at_is_left_alone(counted, seen, reason):
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


@pytest.fixture
def dying(monkeypatch):
    """Within a block, let this process die after each commit, before it does its chores."""

    @contextmanager
    def block():
        with monkeypatch.context() as killed:
            killed.setattr(
                "django_workflows.core.engine.chores.Chores.do", lambda self, chores: None
            )
            yield

    return block


@pytest.fixture
def later(travel):
    """Sweep once the time has passed that a chore is left to whoever wrote it."""

    def sweep_later():
        assert sweep() == 0
        travel(6)
        return sweep()

    return sweep_later


def no_chores():
    return wiring.store().chores(clock.now() + timedelta(days=1)) == []


def test_event_is_delivered_whose_sender_died_before_it_could(registered, travel):
    halted = run(registered("paying", paid=WaitForEvent("paid")))
    event = InboxEvent(name="paid", data="at last")
    wiring.store().add_event(event, Chore(kind=ChoreKind.DELIVER, target=event.topic))
    assert sweep() == 0
    travel(6)

    sweep()

    assert api.get(halted.execution_id).result == "at last"
    assert no_chores()


def test_parent_is_told_of_a_child_whose_driver_died_before_it_could(registered, dying, later):
    registered("child", ask=Halt("?"))
    halted = run(registered("parent", kid=SubWorkflow("child")))
    with dying():
        api.resume(halted.waits[0].key, response="done")

    later()

    assert api.get(halted.execution_id).result == "done"
    assert no_chores()


def test_child_is_cancelled_whose_parents_canceller_died_before_it_could(registered, dying, later):
    registered("child", ask=Halt("?"))
    halted = run(registered("parent", kid=SubWorkflow("child")))
    with dying():
        cancel(halted.execution_id, reason="no need")

    later()

    child = api.get(halted.waits[0].key)
    assert (child.status, child.error) == (ExecutionStatus.CANCELLED, "Cancelled: no need")
    assert no_chores()


def test_event_that_came_while_the_waiter_died_is_given_to_it(registered, dying, later):
    workflow = registered("paying", paid=WaitForEvent("paid"))
    with dying():
        wiring.store().add_event(InboxEvent(name="paid", data="early"))
        halted = run(workflow)

    later()

    assert api.get(halted.execution_id).result == "early"
    assert no_chores()


def test_lease_that_ran_out_leaves_a_line_in_the_history(pending, travel):
    wiring.store().claim(pending, "a worker that died", timedelta(seconds=60))
    travel(61)

    sweep()

    (entry,) = [
        entry for entry in wiring.store().entries(pending) if entry.action == EntryAction.ABANDONED
    ]
    assert entry.output["driver"] == "a worker that died"


def test_reminder_is_sent_once_and_again_where_its_sender_died(registered, travel, dying):
    from django_workflows.signals import workflow_reminded

    told = []

    def remind(sender, event, **_):
        told.append(event)

    workflow_reminded.connect(remind)
    halted = run(registered("asking", ask=Approval("Well?", remind_after=60)))
    travel(61)
    with dying():
        sweep()
    assert told == []

    sweep()
    sweep()

    (event,) = told
    assert (event.execution_id, event.step) == (halted.execution_id, "ask")
    assert api.get(halted.execution_id).status == ExecutionStatus.HALTED


def test_reminder_names_the_one_of_several_waits_that_it_is_about(registered, travel):
    from django_workflows.signals import workflow_reminded

    told = []

    def remind(sender, event, **_):
        told.append(event.step)

    workflow_reminded.connect(remind)
    first, second = Approval("One?", name="one"), Approval("Two?", name="two", remind_after=60)
    run(registered("asking_two", both=Parallel(a=first, b=second)))
    travel(61)

    sweep()

    assert told == ["both/b/two"]


def test_reminder_of_what_was_decided_meanwhile_is_not_sent(registered, travel, dying):
    from django_workflows.signals import workflow_reminded

    told = []

    def remind(sender, event, **_):
        told.append(event)

    workflow_reminded.connect(remind)
    halted = run(registered("asking", ask=Approval("Well?", remind_after=60)))
    travel(61)
    with dying():
        sweep()
    api.resume(halted.execution_id, approved=True)

    sweep()

    assert told == []
    assert no_chores()


def test_chore_that_cannot_be_done_keeps_nothing_else_from_being_done(
    registered, travel, monkeypatch, caplog
):
    halted = run(registered("paying", paid=WaitForEvent("paid")))
    store = wiring.store()
    store.add_event(
        InboxEvent(name="paid", data=1), Chore(kind=ChoreKind.DELIVER, target="broken:")
    )
    store.add_event(InboxEvent(name="paid", data=2), Chore(kind=ChoreKind.DELIVER, target="paid:"))
    find_waits = store.find_waits

    def broken(**wanted):
        if wanted["key"] == "broken:":
            raise ValueError("unreadable")
        return find_waits(**wanted)

    monkeypatch.setattr(store, "find_waits", broken)
    travel(6)

    sweep()

    assert api.get(halted.execution_id).result == 1
    assert "Chore deliver of execution None could not be done" in caplog.text
    (left,) = store.chores(clock.now())
    assert left.target == "broken:"


@pytest.fixture
def stuck(registered):
    """Leave so many chores undone: a parent that runs is not asked to let its children go."""
    now = clock.now()
    hold = {
        "workflow_id": registered("stuck", work=Call(lambda: 1)).id,
        "status": ExecutionStatus.RUNNING,
        "lease_owner": "alive",
        "lease_expires_at": now + timedelta(hours=1),
        "fence": 1,
    }

    def leave(count):
        store = wiring.store()
        for number in range(count):
            parent = store.create(Execution(**hold))
            store.create(Execution(**hold, parent=parent.id, parent_step="each"))
            chore = Chore(
                kind=ChoreKind.CANCEL_CHILDREN, execution_id=parent.id, target="each", due_at=now
            )
            store.add_event(InboxEvent(name=f"unheard{number}"), chore)

    return leave


@pytest.mark.parametrize("count", [1, 2, 5])
def test_chores_that_are_left_do_not_keep_those_behind_them_from_being_done(
    registered, travel, monkeypatch, stuck, count
):
    monkeypatch.setattr("django_workflows.supervisor.BATCH", 2)
    stuck(count)
    halted = [run(registered(f"paying{n}", paid=WaitForEvent(f"paid{n}"))) for n in range(5)]
    for number in range(5):
        wiring.store().add_event(
            InboxEvent(name=f"paid{number}", data=number),
            Chore(kind=ChoreKind.DELIVER, target=f"paid{number}:"),
        )
    travel(6)

    sweep()

    assert [api.get(one.execution_id).result for one in halted] == [0, 1, 2, 3, 4]
    left = wiring.store().chores(clock.now())
    assert [chore.kind for chore in left] == [ChoreKind.CANCEL_CHILDREN] * count


def test_chores_that_one_sweep_does_are_bounded(travel, monkeypatch, stuck):
    monkeypatch.setattr("django_workflows.supervisor.BATCH", 2)
    monkeypatch.setattr("django_workflows.supervisor.MOST_CHORES", 4)
    stuck(5)
    looked = []
    monkeypatch.setattr(
        "django_workflows.core.engine.chores.Chores.do",
        lambda self, chores: looked.extend(chore.id for chore in chores),
    )
    travel(6)

    sweep()

    assert len(looked) == len(set(looked)) == 4


def test_who_is_to_stop_leaves_the_chores_to_others(travel, monkeypatch, stuck):
    stuck(1)
    stopping = Event()
    stopping.set()
    monkeypatch.setattr(wiring, "stopping", stopping)
    monkeypatch.setattr(
        "django_workflows.core.engine.chores.Chores.do", lambda self, chores: pytest.fail("done")
    )
    travel(6)

    assert sweep() == 0


def test_all_reminders_that_are_due_are_sent_in_one_sweep(registered, travel, monkeypatch):
    monkeypatch.setattr("django_workflows.supervisor.BATCH", 2)
    from django_workflows.signals import workflow_reminded

    told = []

    def remind(sender, event, **_):
        told.append(event.execution_id)

    workflow_reminded.connect(remind)
    workflow = registered("asking", ask=Approval("Well?", remind_after=60))
    halted = [run(workflow).execution_id for _ in range(5)]
    travel(61)

    sweep()

    assert sorted(told) == sorted(halted)


def test_sweep_that_can_decide_nothing_ends(registered, travel, monkeypatch):
    run(registered("waiting", it=Sleep(60)))
    looks = []

    def undecided(now, limit):
        looks.append(1)
        return []

    monkeypatch.setattr(wiring.store(), "wake_due", undecided)
    travel(61)

    assert sweep() == 0

    assert len(looks) == 1


def test_event_whose_sender_died_comes_before_the_timeout_of_its_wait(registered, travel):
    halted = run(registered("paying", paid=WaitForEvent("paid", timeout=60)))
    chore = Chore(kind=ChoreKind.DELIVER, target="paid:")
    wiring.store().add_event(InboxEvent(name="paid", data=7), chore)
    travel(61)

    sweep()

    assert api.get(halted.execution_id).result == 7


class TestRinging:
    """For whom a supervisor rings, and how often."""

    @pytest.fixture
    def rung(self):
        return []

    @pytest.fixture
    def supervisor(self, settings, rung):
        settings.WORKFLOWS = {"ADAPTER": {"BACKEND": "tests.bells.SilentBell"}}
        return Supervisor(lambda execution: rung.append(execution.id))

    def test_who_does_not_come_is_rung_for_less_and_less_often(
        self, supervisor, rung, pending, travel
    ):
        times = []
        for second in range(40):
            supervisor.sweep()
            if rung:
                times.append(second)
                rung.clear()
            travel(1)

        assert times == [0, 5, 15, 35]

    def test_who_was_driven_since_is_rung_for_at_once(self, supervisor, rung, pending, travel):
        supervisor.sweep()
        wiring.store().claim(pending, "a worker that dies", timedelta(seconds=1))
        travel(2)

        supervisor.sweep()

        assert rung == [pending, pending]

    def test_what_ended_is_forgotten(self, supervisor, pending):
        supervisor.sweep()
        cancel(pending)

        supervisor.sweep()

        assert supervisor._rung == {}

    def test_who_has_just_become_pending_is_left_to_the_bell_that_was_rung(
        self, settings, rung, pending, travel
    ):
        settings.WORKFLOWS = {"ADAPTER": {"BACKEND": "tests.bells.SilentBell"}}
        supervisor = Supervisor(
            lambda execution: rung.append(execution.id), grace=timedelta(seconds=5)
        )
        supervisor.sweep()
        assert rung == []
        travel(6)

        supervisor.sweep()

        assert rung == [pending]

    def test_all_pages_are_rung_for(self, supervisor, rung, counted, monkeypatch):
        monkeypatch.setattr("django_workflows.supervisor.BATCH", 2)
        ids = [wiring.engine(counted.definition).create().id for _ in range(5)]

        supervisor.sweep()

        assert sorted(rung) == sorted(ids)

    def test_next_sweep_goes_on_where_one_stopped(self, supervisor, rung, counted, monkeypatch):
        monkeypatch.setattr("django_workflows.supervisor.BATCH", 2)
        monkeypatch.setattr("django_workflows.supervisor.MOST_RUNG", 4)
        ids = [wiring.engine(counted.definition).create().id for _ in range(5)]

        supervisor.sweep()
        first = list(rung)
        supervisor.sweep()

        assert (first, rung) == (ids[:4], ids)

    def test_bell_that_is_out_of_order_is_not_rung_for_each(
        self, settings, counted, caplog, travel
    ):
        settings.WORKFLOWS = {"ADAPTER": {"BACKEND": "tests.bells.BrokenBell"}}
        ids = [wiring.engine(counted.definition).create().id for _ in range(3)]
        supervisor = Supervisor()

        assert supervisor.sweep() == 0

        assert caplog.text.count("could not be dispatched") == 1
        settings.WORKFLOWS = {}
        assert supervisor.sweep() == 3
        assert {api.get(one).status for one in ids} == {ExecutionStatus.COMPLETED}

    def test_workers_that_look_by_themselves_are_not_rung_for(self, settings, rung, pending):
        settings.WORKFLOWS = {
            "ADAPTER": {"BACKEND": "django_workflows.runners.database.DatabaseAdapter"}
        }

        assert Supervisor(lambda execution: rung.append(execution.id)).sweep() == 0

        assert rung == []

    def test_one_that_cannot_be_rung_for_keeps_nobody_waiting(
        self, settings, counted, rung, caplog
    ):
        settings.WORKFLOWS = {"ADAPTER": {"BACKEND": "tests.bells.SilentBell"}}
        bad, good = (wiring.engine(counted.definition).create().id for _ in range(2))

        def dispatch(execution):
            if execution.id == bad:
                raise RuntimeError("odd")
            rung.append(execution.id)

        assert Supervisor(dispatch).sweep() == 1

        assert rung == [good]
        assert f"Execution {bad} could not be dispatched" in caplog.text


class TestRunning:
    """A supervisor that looks again and again."""

    def test_store_that_is_away_is_logged_once_and_asked_again(self, monkeypatch, caplog):
        stopping, asked = Event(), []

        def due(now, limit):
            asked.append(1)
            if len(asked) < 3:
                raise StoreUnavailable("test", "restarting")
            return []

        monkeypatch.setattr(wiring.store(), "wake_due", due)
        monkeypatch.setattr("django_workflows.supervisor.SHORTEST_PAUSE", 0.01)

        Supervisor().run(stopping, interval=0.01, swept=stopping.set)

        assert len(asked) == 3
        assert caplog.text.count("The supervisor cannot look") == 1

    @pytest.mark.parametrize(
        ("error", "is_traced"),
        [(RuntimeError("odd"), True), (ConfigurationError("Has migrate been run?"), False)],
    )
    def test_sweep_that_fails_is_logged_and_the_next_one_tries_again(
        self, monkeypatch, caplog, error, is_traced
    ):
        stopping, asked = Event(), []

        def due(now, limit):
            asked.append(1)
            if len(asked) < 2:
                raise error
            return []

        monkeypatch.setattr(wiring.store(), "wake_due", due)

        Supervisor().run(stopping, interval=0.01, swept=stopping.set)

        assert "A sweep failed" in caplog.text
        assert str(error) in caplog.text
        assert ("Traceback" in caplog.text) is is_traced
        assert len(asked) == 2

    def test_interval_is_that_of_the_settings(self, settings):
        from time import monotonic

        settings.WORKFLOWS = {"SWEEP_INTERVAL": 0.2}
        stopping, times = Event(), []

        def swept():
            times.append(monotonic())
            if len(times) == 3:
                stopping.set()

        Supervisor().run(stopping, swept=swept)

        assert 0.35 < times[-1] - times[0] < 2


def test_waits_for_what_has_not_come_are_left_alone(registered):
    registered("child", ask=Halt("?"))
    run(registered("parent", kid=SubWorkflow("child")))
    run(registered("paying", paid=WaitForEvent("paid")))

    assert sweep() == 0


def test_child_that_was_deleted_is_started_anew(registered):
    registered("child", ask=Halt("?"))
    halted = run(registered("parent", kid=SubWorkflow("child")))
    wiring.store().delete(halted.waits[0].key)

    sweep(clock.now() + timedelta(seconds=6))

    (child,) = wiring.store().find(parent=halted.execution_id)
    assert child.status == ExecutionStatus.HALTED
    assert api.get(halted.execution_id).status == ExecutionStatus.HALTED


def test_store_that_goes_away_ends_the_sweep(pending):
    def gone(execution):
        raise StoreUnavailable("test", "gone")

    with pytest.raises(StoreUnavailable):
        sweep(dispatch=gone)


# Retention --------------------------------------------------------------------------------------


@pytest.fixture
def kept_for_a_day(settings):
    settings.WORKFLOWS = {"RETENTION_DAYS": 1}


def test_what_has_ended_is_kept_unless_said_otherwise(counted, travel):
    run(counted)
    travel(10_000 * 86400)

    sweep()

    assert WorkflowExecution.objects.count() == 1


def test_what_ended_long_ago_is_purged(counted, travel, kept_for_a_day):
    run(counted)
    travel(86_000)
    young = run(counted)
    sweep()
    assert WorkflowExecution.objects.count() == 2
    travel(1000)

    sweep()

    assert [row.id for row in WorkflowExecution.objects.all()] == [young.execution_id]


def test_each_sweep_purges_one_batch_and_goes_on_behind_it(
    counted, travel, kept_for_a_day, monkeypatch
):
    monkeypatch.setattr("django_workflows.supervisor.PURGED", 2)
    for _ in range(5):
        run(counted)
    travel(90_000)
    supervisor = Supervisor()

    left = []
    for _ in range(3):
        supervisor.sweep()
        left.append(WorkflowExecution.objects.count())

    assert left == [3, 1, 0]


def test_a_purge_that_fails_is_logged_and_the_sweep_is_done(
    pending, kept_for_a_day, caplog, monkeypatch
):
    def fails(*arguments, **options):
        raise RuntimeError("no")

    monkeypatch.setattr(type(wiring.store()), "ended", fails)

    assert sweep() == 1

    assert api.get(pending).status == ExecutionStatus.COMPLETED
    (record,) = caplog.records
    assert record.message.startswith("What has ended could not be purged")


def test_a_retention_that_does_not_fit_stops_no_sweep(pending, settings, caplog):
    settings.WORKFLOWS = {"RETENTION_DAYS": 10**9}

    assert sweep() == 1
    assert len(caplog.records) == 1


def test_a_supervisor_that_is_to_stop_purges_nothing(counted, travel, kept_for_a_day):
    run(counted)
    travel(90_000)
    wiring.stopping.set()
    try:
        sweep()
    finally:
        wiring.stopping.clear()

    assert WorkflowExecution.objects.count() == 1


def test_several_supervisors_purge_at_once(counted, travel, kept_for_a_day):
    for _ in range(20):
        run(counted)
    travel(90_000)

    def work(number):
        supervisor = Supervisor()
        supervisor.sweep()
        return supervisor.sweep()

    assert SweepingThreads().together(work, 3) == [0, 0, 0]
    assert not WorkflowExecution.objects.exists()
