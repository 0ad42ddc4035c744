"""Children of OrmStore: by the thousand, and without a look at what is inside of them."""

from dataclasses import replace

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from django_workflows.core.decisions import Change
from django_workflows.core.execution import ExecutionStatus
from django_workflows.stores.orm import OrmStore
from tests import settings
from tests.stores.contract.records import make_child, make_execution, make_wait
from tests.stores.contract.threads import Threads

pytestmark = pytest.mark.django_db(transaction=True)

#: Columns that may hold much, and that nobody asks for who counts.
LARGE = {"input", "ctx", "frames", "result", "compensations"}


@pytest.fixture
def store():
    return OrmStore()


class OwnConnections(Threads):
    def leave_thread(self):
        connections.close_all()


def held(parent, item, **values):
    return make_child(parent, item, status=ExecutionStatus.HALTED, **values)


def columns(said):
    """Return the large columns that were read by each of the statements that read."""
    return [
        {name for name in LARGE if f".{connection.ops.quote_name(name)}" in query["sql"]}
        for query in said
        if query["sql"].startswith("SELECT")
    ]


# Create -----------------------------------------------------------------------------------------


def test_children_are_added_in_batches_between_those_that_are_there(store):
    parent = store.create(make_execution())
    children = [make_child(parent, item, age=item) for item in range(1100)]
    known = [replace(children[item], ctx={"known": item}) for item in (3, 600, 1099)]
    store.create_children(parent.id, 0, known)

    created = store.create_children(parent.id, 0, children)

    assert [child.id for child in created] == [child.id for child in children]
    assert [child for child in created if child.ctx] == known
    assert len(store.execution_ids(parent=parent.id, limit=2000)) == 1100


def test_a_child_twice_in_one_batch_is_written_once(store):
    parent = store.create(make_execution())
    child = make_child(parent)

    assert store.create_children(parent.id, 0, [child, child]) == [child, child]
    assert store.execution_ids(parent=parent.id) == [child.id]


def test_a_child_whose_key_is_taken_is_the_one_that_has_it(store):
    parent = store.create(make_execution())
    first = store.create(make_execution(idempotency_key="7"))
    others = [make_child(parent, item) for item in range(2)]
    again = make_child(parent, 2, idempotency_key="7")

    created = store.create_children(parent.id, 0, [others[0], again, others[1]])

    assert created == [others[0], first, others[1]]


def test_a_parent_is_locked_and_not_read(store):
    parent = store.create(make_execution(ctx={"large": 1}))

    with CaptureQueriesContext(connection) as said:
        store.create_children(parent.id, 0, [held(parent, item) for item in range(3)])
        store.release_held(parent.id, "each", 0)
        store.children_state(parent.id, "each")
        store.tally(parent.id, "each")

    assert not set().union(*columns(said))


def test_of_children_is_read_what_a_parent_asks_for(store):
    parent = store.create(make_execution())
    store.create_children(parent.id, 0, [make_child(parent, 0)])

    with CaptureQueriesContext(connection) as said:
        store.children(parent.id, "each")

    assert columns(said) == [{"ctx", "result"}]


@pytest.mark.parametrize("other", ["Each", "each ", "éach", "each[0]"])
def test_steps_are_compared_character_by_character(store, other):
    parent = store.create(make_execution())
    child = store.create(make_child(parent, parent_step="each"))
    store.create(make_child(parent, parent_step=other))

    assert [one.id for one in store.children(parent.id, "each")] == [child.id]
    assert store.execution_ids(parent=parent.id, parent_step="each") == [child.id]
    assert sum(store.tally(parent.id, other).values()) == 1


def test_a_step_may_be_nested_however_deep(store):
    parent = store.create(make_execution())
    path = "/".join(f"each_of_them[{number}]" for number in range(500))
    child = store.create(make_child(parent, parent_step=path))

    assert store.load(child.id) == child
    assert store.children_state(parent.id, path).live


# Held -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("waiting", range(5))
@pytest.mark.parametrize("most", [1, 2, 4])
def test_one_that_waits_though_never_claimed_is_under_way(store, waiting, most):
    parent = store.create(make_execution())
    children = store.create_children(parent.id, 0, [held(parent, item) for item in range(5)])
    store.checkpoint(children[waiting], [], 0, [make_wait(children[waiting])])

    released = store.release_held(parent.id, "each", most)

    free = [item for item in range(5) if item != waiting]
    assert [child.item for child in released] == free[: most - 1]


@pytest.mark.skipif(settings.TEST_DB == "sqlite", reason="SQLite has one lock for all")
def test_one_that_was_cancelled_while_it_was_chosen_stays_cancelled(store):
    parent = store.create(make_execution())
    first, second = store.create_children(parent.id, 0, [held(parent, item) for item in range(2)])
    cancelled = []

    def cancel():
        decide = lambda stored, waits: Change(  # noqa: E731
            execution=replace(stored, status=ExecutionStatus.CANCELLED)
        )
        return store.transition(first.id, decide)

    def cancel_before_the_lock(execute, sql, params, many, context):
        if "UPDATE" in sql and first.id.replace("-", "") in str(params).replace("-", ""):
            cancelled.extend(OwnConnections().together(lambda number: cancel(), 1))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(cancel_before_the_lock):
        released = store.release_held(parent.id, "each", 2)

    assert cancelled[0].status == ExecutionStatus.CANCELLED
    assert [child.id for child in released] == [second.id]
    assert store.load(first.id) == cancelled[0]
