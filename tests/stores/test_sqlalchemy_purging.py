"""What a purge does that is SqlAlchemyStore's own, on each of its databases."""

import pytest

from django_workflows.core.store import Purged
from tests.stores.contract.purging import BEFORE, ended, ended_child, took_an_event
from tests.stores.contract.records import UNKNOWN_ID

sa = pytest.importorskip("sqlalchemy")

from django_workflows.stores.sqlalchemy import tables, writing  # noqa: E402
from django_workflows.stores.sqlalchemy.locking import locked  # noqa: E402
from tests.stores.databases import emptied  # noqa: E402


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def store(request):
    return emptied(request.getfixturevalue(request.param))


@pytest.fixture(params=["postgres", "mariadb"])
def server(request):
    """Those that lock rows."""
    return emptied(request.getfixturevalue(request.param))


def test_an_event_is_purged_with_the_wait_that_took_it(store):
    purged, kept = took_an_event(store), took_an_event(store)

    store.purge([purged.id], BEFORE)

    (wait,) = store.waits(kept.id)
    with store.engine.connect() as connection:
        takers = connection.scalars(sa.select(tables.events.c.taken_by)).all()
    assert takers == [wait.id]


def test_what_ended_below_a_parent_that_is_gone_is_a_root(store):
    child = ended(store, parent=UNKNOWN_ID)
    ended_child(store, child)

    assert [one.id for one in store.ended(BEFORE)] == [child.id]
    assert store.purge([child.id], BEFORE) == Purged(roots=1, executions=2)


def test_more_than_one_statement_may_be_given(store, monkeypatch):
    monkeypatch.setattr(writing, "_BATCH", 2)
    roots = [ended(store, age) for age in range(5)]
    for root in roots:
        for item in range(3):
            ended_child(store, root, item)

    assert store.purge([root.id for root in roots], BEFORE) == Purged(roots=5, executions=20)
    assert store.find() == []


@pytest.mark.parametrize("place", [0, 1])
def test_a_tree_that_somebody_holds_is_left_and_not_waited_for(server, place):
    root = ended(server)
    child = ended_child(server, root)
    other = ended(server, 1)
    of_rows = sa.select(tables.executions.c.id).where(
        tables.executions.c.id == (root.id, child.id)[place]
    )

    with server.engine.connect() as connection:
        connection.execute(locked(of_rows)).all()
        purged = server.purge([root.id, other.id], BEFORE)
        connection.rollback()

    assert purged == Purged(roots=2, executions=1)
    assert set(server.execution_ids()) == {root.id, child.id}
    assert server.purge([root.id], BEFORE).executions == 2
