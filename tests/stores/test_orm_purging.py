"""What a purge does that is OrmStore's own: its rows, its locks, and what comes across it."""

import threading
from dataclasses import replace
from types import SimpleNamespace

import pytest
from django.contrib.auth.models import Group
from django.db import connection, connections, transaction
from django.db.models.signals import pre_delete

from django_workflows import fork, retry, run
from django_workflows.core import clock
from django_workflows.core.execution import ExecutionStatus
from django_workflows.core.store import Purged
from django_workflows.exceptions import ExecutionNotFound, InvalidTransition
from django_workflows.models import (
    WorkflowChore,
    WorkflowEntry,
    WorkflowEvent,
    WorkflowExecution,
    WorkflowWait,
)
from django_workflows.steps import Call, SubWorkflow
from django_workflows.stores.orm import OrmStore, purging
from tests import settings
from tests.stores.contract.purging import BEFORE, begin_again, ended, ended_child, took_an_event
from tests.stores.contract.threads import Threads

pytestmark = pytest.mark.django_db(transaction=True)

locks_rows = pytest.mark.skipif(settings.TEST_DB == "sqlite", reason="SQLite locks no rows")


@pytest.fixture
def store():
    return OrmStore()


class OwnConnections(Threads):
    def leave_thread(self):
        connections.close_all()


@pytest.fixture
def referred(monkeypatch):
    """Make it look as if a model of the project had a foreign key to executions."""
    theirs = SimpleNamespace(related_model=Group)
    own = WorkflowExecution._meta.related_objects
    monkeypatch.setattr(WorkflowExecution._meta, "related_objects", (*own, theirs))


def test_where_models_of_the_project_refer_to_it_django_deletes(store, referred):
    root = ended(store)
    child = ended_child(store, root)
    took = took_an_event(store)
    deleted = []

    def note(sender, instance, **kwargs):
        deleted.append(str(instance.pk))

    pre_delete.connect(note, WorkflowExecution)
    try:
        assert store.purge([root.id, took.id], BEFORE) == Purged(roots=2, executions=3)
    finally:
        pre_delete.disconnect(note, WorkflowExecution)

    assert sorted(deleted) == sorted([root.id, child.id, took.id])
    assert not WorkflowEntry.objects.exists()
    assert not WorkflowWait.objects.exists()
    assert not WorkflowEvent.objects.exists()


def test_where_none_does_it_is_quicker(store):
    assert not store._is_referred_to


def test_an_event_is_purged_with_the_wait_that_took_it(store):
    purged, kept = took_an_event(store), took_an_event(store)

    store.purge([purged.id], BEFORE)

    (wait,) = store.waits(kept.id)
    assert [event.taken_by for event in WorkflowEvent.objects.all()] == [wait.id]


def test_more_than_one_statement_may_be_given(store, monkeypatch):
    monkeypatch.setattr(purging, "MOST_ROWS", 2)
    roots = [ended(store, age) for age in range(5)]
    for root in roots:
        for item in range(3):
            ended_child(store, root, item)

    assert store.purge([root.id for root in roots], BEFORE) == Purged(roots=5, executions=20)
    assert store.find() == []


def test_what_goes_wrong_leaves_all_as_it_was(store, monkeypatch):
    root = took_an_event(store)
    ended_child(store, root)
    models = (WorkflowExecution, WorkflowWait, WorkflowEntry, WorkflowEvent, WorkflowChore)
    before = [model.objects.count() for model in models]
    whole = OrmStore._delete

    def torn(store, table, name, values):
        if name == "id":
            raise RuntimeError("killed")
        whole(store, table, name, values)

    monkeypatch.setattr(OrmStore, "_delete", torn)

    with pytest.raises(RuntimeError):
        store.purge([root.id], BEFORE)

    assert [model.objects.count() for model in models] == before


@locks_rows
@pytest.mark.parametrize("place", [0, 1])
def test_a_tree_that_somebody_holds_is_left_and_not_waited_for(store, place):
    root = ended(store)
    child = ended_child(store, root)
    other = ended(store, 1)

    def purge(number):
        return store.purge([root.id, other.id], BEFORE)

    with transaction.atomic():
        store.transition((root.id, child.id)[place], lambda stored, waits: begin_again(stored, ()))
        (purged,) = OwnConnections().together(purge, 1)
        transaction.set_rollback(True)

    assert purged == Purged(roots=2, executions=1)
    assert set(store.execution_ids()) == {root.id, child.id}
    assert store.purge([root.id], BEFORE).executions == 2


@pytest.mark.skipif(settings.TEST_DB != "mariadb", reason="others have partial indexes")
def test_nobody_is_warned_of_the_index_that_is_whole_here():
    from django.core.checks import run_checks

    assert [one.id for one in run_checks(databases=["default"]) if one.id == "models.W037"] == []
    with connection.cursor() as cursor:
        names = connection.introspection.get_constraints(cursor, WorkflowExecution._meta.db_table)
    assert names["workflows_ex_ended"]["columns"] == ["finished_at", "status"]


# Verbs that come across it ----------------------------------------------------------------------


def rounds(verb, make, purge):
    """Do ``verb`` and ``purge`` at once, again and again; return what each pair came to."""
    for _ in range(8):
        ids = make()
        yield (
            ids,
            *OwnConnections().together(lambda number: (purge, verb)[number](ids[0]), 2),  # noqa: B023
        )


def test_a_retry_meets_a_whole_tree_or_none(registered, store):
    calls = []

    def once():
        calls.append(1)
        return len(calls)

    def fails(state):
        raise ValueError("no")

    registered("inner", work=Call(once))
    outer = registered("outer", child=SubWorkflow("inner"), then=Call(fails))

    def make():
        parent = run(outer).execution_id
        return [parent, WorkflowExecution.objects.get(parent=parent).id]

    def purge(root):
        return store.purge([root], clock.now())

    for ids, purged, retried in rounds(retry, make, purge):
        left = set(WorkflowExecution.objects.filter(pk__in=ids).values_list("id", flat=True))
        if isinstance(retried, ExecutionNotFound):
            assert (purged, left) == (Purged(roots=1, executions=2), set())
        else:
            # It failed again by now, and before its child had been run anew.
            assert purged.executions in {0, 2}
            assert left == (set(ids) if purged.executions == 0 else set())
    assert len(calls) == 8


def test_a_fork_lives_on_whether_its_original_does_or_not(registered, store):
    def fails(state):
        raise ValueError("no")

    failing = registered("failing", work=Call(fails))

    for _, purged, forked in rounds(
        lambda root: fork(root, "work"),
        lambda: [run(failing).execution_id],
        lambda root: store.purge([root], clock.now()),
    ):
        assert purged.executions == 1
        if not isinstance(forked, ExecutionNotFound):
            assert store.load(forked.id).status == ExecutionStatus.FAILED
            assert store.entries(forked.id)


def test_what_completed_cannot_be_retried_and_so_goes(registered, store):
    done = run(registered("counted", work=Call(lambda: 1)))

    with pytest.raises(InvalidTransition):
        retry(done.execution_id)

    assert store.purge([done.execution_id], clock.now()).executions == 1


@locks_rows
def test_children_are_not_added_below_what_is_being_purged(store):
    root = ended(store)
    has_locked, may_go = threading.Event(), threading.Event()

    class Slow(OrmStore):
        def _delete_levels(self, levels):
            has_locked.set()
            may_go.wait(10)
            super()._delete_levels(levels)

    def work(number):
        if number == 0:
            return Slow().purge([root.id], BEFORE)
        has_locked.wait(10)
        threading.Timer(0.2, may_go.set).start()
        return store.create_children(root.id, root.fence, [replace(root, parent=root.id)])

    purged, refused = OwnConnections().together(work, 2)

    assert purged.executions == 1
    assert type(refused).__name__ == "StaleExecution"
    assert store.find() == []
