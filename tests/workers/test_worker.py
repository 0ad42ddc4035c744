"""A worker in this process, over a store in this process."""

import logging
import time
from contextlib import contextmanager
from threading import Barrier, Event

import pytest

from django_workflows import api, start, wiring
from django_workflows.core import clock
from django_workflows.core.execution import EntryAction
from django_workflows.exceptions import ConfigurationError, StoreUnavailable, WorkflowError
from django_workflows.steps import Approval, Call, Halt, Loop, Sleep, SubWorkflow
from django_workflows.workers import Worker

# The store is in this process; but where the database can ring, the workers listen to it.
pytestmark = [pytest.mark.usefixtures("polling"), pytest.mark.django_db(transaction=True)]


def status(execution):
    return api.get(execution.id).status


def test_what_is_pending_is_driven(registered, working, eventually):
    workflow = registered("plain", work=Call(lambda: "done"))
    before = start(workflow)
    working()
    after = start(workflow)

    eventually(lambda: status(before) == status(after) == "completed")

    assert api.get(after.id).result == "done"


def test_as_many_are_driven_at_once_as_it_has_threads(registered, working, eventually):
    together = Barrier(3)
    workflow = registered("meeting", work=Call(lambda: together.wait(10) >= 0))
    working(threads=3)

    met = [start(workflow) for _ in range(3)]

    eventually(lambda: all(status(one) == "completed" for one in met))


@pytest.mark.parametrize(("threads", "counted"), [(1, []), (2, [1])])
def test_threads_may_write_together(registered, working, eventually, monkeypatch, threads, counted):
    counts = []

    @contextmanager
    def group_commit(busy):
        found.append(busy)
        yield

    found = []
    monkeypatch.setattr(wiring.store(), "group_commit", group_commit)
    workflow = registered("counting", work=Call(lambda: counts.extend(b() for b in found)))
    one = start(workflow)

    working(threads=threads)

    eventually(lambda: status(one) == "completed")
    assert counts == counted
    assert [busy() for busy in found] == [0] * len(counted)


def test_it_works_on_its_queues_only(registered, working, eventually):
    workflow = registered("plain", work=Call(lambda: 1))
    slow, unnamed, other = (start(workflow, queue=name) for name in ("slow", None, "other"))

    working(queues=["slow", "default"])

    eventually(lambda: status(slow) == status(unnamed) == "completed")
    assert status(other) == "pending"


def test_a_queue_of_its_own_leaves_the_unnamed_to_others(registered, working, eventually):
    workflow = registered("plain", work=Call(lambda: 1))
    slow, unnamed = (start(workflow, queue=name) for name in ("slow", None))

    working(queues=["slow"])

    eventually(lambda: status(slow) == "completed")
    assert status(unnamed) == "pending"


def test_what_has_a_higher_priority_goes_first(registered, working, eventually):
    order = []
    workflow = registered("noting", work=Call(lambda state: order.append(state.input["n"])))
    ends = [start(workflow, {"n": n}, priority=n) for n in (1, 3, 2)]

    working()

    eventually(lambda: all(status(one) == "completed" for one in ends))
    assert order == [3, 2, 1]


def test_what_it_does_not_know_is_left_to_others(registered, working, eventually):
    workflow = registered("forgotten", work=Call(lambda: 1))
    lost = start(workflow)
    from django_workflows import registry

    registry.remove("forgotten")
    known = start(registered("plain", work=Call(lambda: 1)))

    working()

    eventually(lambda: status(known) == "completed")
    assert status(lost) == "pending"
    assert api.get(lost.id).claims == 0


def test_it_supervises(registered, working, eventually):
    sleeping = start(registered("sleepy", nap=Sleep(0.3)))
    working()

    eventually(lambda: status(sleeping) == "completed")


def test_it_says_that_it_is_there_and_signs_off(polling, working, eventually):
    working(queues=["slow"], threads=2)
    eventually(lambda: [one for one in polling.present() if one.swept_at])

    (presence,) = polling.present()
    working.stop()
    eventually(lambda: not polling.present())

    assert (presence.queues, presence.threads, presence.drives) == (("slow",), 2, True)
    assert presence.adapter == "django_workflows.runners.database.DatabaseAdapter"
    assert abs(presence.skew) < 1


def test_it_may_be_there_before_its_tables(polling, registered, working, eventually, caplog):
    announce, asked = polling.announce, []

    def unmigrated(presence):
        asked.append(1)
        if len(asked) < 3:
            raise ConfigurationError("no such table")
        announce(presence)

    polling.announce = unmigrated
    sleeping = start(registered("sleepy", nap=Sleep(0.3)))

    working()

    eventually(lambda: polling.present() and status(sleeping) == "completed")
    assert "no such table" in caplog.text


def test_it_does_not_go_on_without_its_supervisor(polling, caplog):
    def end(now, limit):
        raise SystemExit(2)

    polling.wake_due = end
    stopping = Event()

    with pytest.raises(WorkflowError, match="The supervisor of this worker ended: SystemExit: 2"):
        Worker(stopping=stopping).run()

    assert stopping.is_set()
    assert "The supervisor of this worker ended" in caplog.text


def test_what_was_not_seen_for_a_day_is_forgotten(polling, working, eventually, travel):
    from django_workflows.core.presence import Presence

    polling.announce(Presence(id="gone", seen_at=clock.now()))
    travel(25 * 3600)

    working()

    eventually(lambda: "gone" not in [one.id for one in polling.present()])


def test_once_it_is_to_stop_the_step_finishes_and_the_rest_is_given_back(
    registered, working, eventually
):
    began, go_on = Event(), Event()

    def first(state):
        began.set()
        assert go_on.wait(10)
        return "kept"

    workflow = registered("two_steps", first=Call(first), second=Call(lambda: "second"))
    execution = start(workflow)
    working()
    assert began.wait(10)

    working.stop()
    go_on.set()

    eventually(lambda: status(execution) == "pending")
    left = api.get(execution.id)
    assert (left.current_step, left.ctx["first"]) == ("second", "kept")
    assert (left.lease_owner, left.lease_expires_at, left.claims) == (None, None, 0)
    working.end()
    wiring.stopping.clear()
    assert wiring.drive(execution.id).output == "second"


def test_a_store_that_is_away_is_asked_again(polling, registered, working, eventually, caplog):
    asked = []
    claim_pending = polling.claim_pending

    def away(*arguments, **options):
        asked.append(1)
        if len(asked) < 4:
            raise StoreUnavailable("test", "gone for a while")
        return claim_pending(*arguments, **options)

    polling.claim_pending = away
    execution = start(registered("plain", work=Call(lambda: 1)))

    working()

    eventually(lambda: status(execution) == "completed")
    told = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert len([line for line in told if "finds no work" in line]) == 1
    assert "This worker has its store back" in told


def test_a_drive_that_lost_its_store_is_given_back_before_its_lease_ends(
    polling, registered, working, eventually
):
    checkpoint, failed = polling.checkpoint, []

    def away_once(*arguments, **options):
        if not failed:
            failed.append(1)
            raise StoreUnavailable("test", "restarted")
        return checkpoint(*arguments, **options)

    polling.checkpoint = away_once
    execution = start(registered("plain", work=Call(lambda: 1)))

    working()

    eventually(lambda: status(execution) == "completed", seconds=10)
    assert api.get(execution.id).fence == 3


@pytest.mark.parametrize("error", [RuntimeError("unreadable"), SystemExit(2)])
def test_an_execution_that_breaks_the_engine_is_logged_and_stops_nobody(
    polling, registered, working, eventually, caplog, error
):
    waits = polling.waits

    def broken(execution_id, **options):
        if execution_id == bad.id:
            raise error
        return waits(execution_id, **options)

    workflow = registered("plain", work=Call(lambda: 1))
    bad = start(workflow, delay=0)
    polling.settle(bad.id, None, _timer())
    polling.waits = broken
    good = start(workflow)

    working()

    eventually(lambda: status(good) == "completed")
    assert f"Execution {bad.id} of plain could not be driven" in caplog.text


def _timer():
    from django_workflows.core.waits import Answer, Cause

    return Answer(cause=Cause.TIMER)


def test_children_and_parents_find_each_other_across_workers(registered, working, eventually):
    registered("child", ask=Halt("?"))
    workflow = registered("parent", kid=SubWorkflow("child"), after=Call(lambda: "after"))
    working(threads=2)
    working(threads=2)
    parent = start(workflow)
    eventually(lambda: status(parent) == "halted")

    api.resume(parent.id, response="blue")

    eventually(lambda: status(parent) == "completed")
    assert api.get(parent.id).ctx["kid"] == "blue"


def test_reminder_of_an_approval_is_sent_once(registered, working, eventually):
    from django_workflows.signals import workflow_reminded

    told = []

    def remind(sender, event, **_):
        told.append(event)

    workflow_reminded.connect(remind)
    execution = start(registered("asking", ask=Approval("Well?", remind_after=0.2)))
    working()
    working()

    eventually(lambda: told)
    time.sleep(0.5)

    (event,) = told
    assert (event.execution_id, event.step) == (execution.id, "ask")
    entries = wiring.store().entries(execution.id)
    assert [entry.step_id for entry in entries if entry.action == EntryAction.REMINDED] == ["ask"]
    assert status(execution) == "halted"


def test_inline_adapter_has_no_worker(settings):
    settings.WORKFLOWS = {}

    with pytest.raises(ConfigurationError, match="InlineAdapter has no worker"):
        wiring.adapter().work(Worker())


def test_a_long_loop_stops_between_its_rounds(registered, working, eventually):
    rounds = []

    def work(state):
        rounds.append(state.ctx["index"])
        if len(rounds) == 4:
            working.stop()

    workflow = registered("looping", each=Loop(over=list(range(30)), do=Call(work, name="work")))
    execution = start(workflow)
    working()

    eventually(lambda: rounds and status(execution) == "pending")
    assert rounds == [0, 1, 2, 3]
    working.end()
    wiring.stopping.clear()
    wiring.drive(execution.id)
    assert rounds == list(range(30))


def test_help_says_what_a_worker_without_queues_works_on():
    from argparse import ArgumentParser

    from django_workflows.management.verbs.worker import Work

    parser = ArgumentParser()
    Work().add_arguments(parser)

    said = " ".join(parser.format_help().split())
    assert "default: all of them, with the RqAdapter its own" in said
