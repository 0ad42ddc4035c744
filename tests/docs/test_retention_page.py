"""The migrations of the page on retention, made on PostgreSQL, and what works after them."""

import pytest
from django.db import connection

from django_workflows.core import clock
from django_workflows.models import WorkflowEntry
from django_workflows.stores.orm import OrmStore
from tests import settings
from tests.docs.blocks import ROOT, blocks_of
from tests.stores.contract.purging import BEFORE, ended
from tests.stores.contract.records import MINUTE, make_entry, make_execution

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(settings.TEST_DB != "postgres", reason="PostgreSQL's own"),
]

FILES = {
    block.caption: block.code
    for block in blocks_of(ROOT / "docs" / "howto" / "retention.md")
    if block.caption
}


def names_of(caption):
    names = {}
    exec(compile(FILES[caption], caption, "exec", dont_inherit=True), names)
    return names


def migrate(caption):
    """Say the SQL of a migration: PostgreSQL undoes that, too, with the test's transaction."""
    with connection.cursor() as cursor:
        for operation in names_of(caption)["Migration"].operations:
            cursor.execute(operation.sql)


@pytest.fixture
def store():
    return OrmStore()


@pytest.fixture
def divided(store):
    """A store whose entries are divided, with an execution from before and its history."""
    old = ended(store)
    store.record(make_entry(old))
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    migrate("operations/migrations/0002_partitioned_entries.py")
    return old


def rows_of(partition):
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {partition}")
        return cursor.fetchone()[0]


def test_autovacuum_is_told_to_come_sooner():
    migrate("operations/migrations/0001_autovacuum.py")

    with connection.cursor() as cursor:
        cursor.execute("SELECT relname FROM pg_class WHERE reloptions::text LIKE '%=0.02%'")
        assert {name for (name,) in cursor} == set(
            names_of("operations/migrations/0001_autovacuum.py")["TABLES"]
        )


def test_divided_entries_are_written_read_and_purged(store, divided):
    new = store.create(make_execution())
    claimed = store.claim(new.id, "worker", MINUTE)
    moments = ["2026-12-31T23:59:59Z", "2027-01-01T00:00:00Z", "2028-01-01T00:00:00Z"]
    entries = [
        make_entry(new, step, timestamp=clock.now().fromisoformat(moment))
        for step, moment in zip("abc", moments, strict=True)
    ]

    store.checkpoint(claimed, entries, claimed.fence)

    assert [entry.step_id for entry in store.entries(new.id)] == ["a", "b", "c"]
    assert [entry.step_id for entry in store.entries(divided.id)] == ["charge"]
    ids = list(WorkflowEntry.objects.values_list("id", flat=True))
    assert len(set(ids)) == 4
    assert rows_of("workflow_entries_first") == 2
    assert rows_of("workflow_entries_2027_q1") == 1
    assert rows_of("workflow_entries_rest") == 1

    assert store.purge([divided.id], BEFORE).executions == 1
    assert store.entries(divided.id) == []
    assert len(store.entries(new.id)) == 3


def test_a_partition_is_dropped_once_nobody_needs_it(store, divided):
    drop = names_of("operations/partitions.py")["drop"]
    alive = store.create(make_execution(), [])
    store.record(make_entry(alive, timestamp=clock.now().fromisoformat("2027-02-01T00:00:00Z")))

    with pytest.raises(RuntimeError, match="has 1 entries of what may go on"):
        drop("workflow_entries_2027_q1")
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    drop("workflow_entries_first")

    assert store.entries(divided.id) == []
    assert store.purge([divided.id], BEFORE).executions == 1
