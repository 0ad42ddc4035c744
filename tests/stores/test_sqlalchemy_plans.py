"""What SqlAlchemyStore asks its database, and which index the answer is read from."""

import re
from collections import Counter
from contextlib import contextmanager

import pytest

from django_workflows.core.execution import ExecutionStatus
from django_workflows.core.store import Ended
from django_workflows.core.waits import WaitKind
from tests.stores.contract.records import (
    MINUTE,
    UNKNOWN_ID,
    at,
    halted,
    make_child,
    make_execution,
)

sa = pytest.importorskip("sqlalchemy")

from tests.stores.databases import emptied  # noqa: E402


@pytest.fixture
def store(sqlite):
    return emptied(sqlite)


@contextmanager
def asked(store):
    """Give the statements that are executed in the block, with their parameters."""
    statements = []

    def listen(connection, cursor, statement, parameters, context, executemany):
        statements.append((statement, parameters))

    sa.event.listen(store.engine, "before_cursor_execute", listen)
    try:
        yield statements
    finally:
        sa.event.remove(store.engine, "before_cursor_execute", listen)


def plans(store, statements):
    """Return a line for each table that a SELECT among ``statements`` reads."""
    with store.engine.connect() as connection:
        return [
            step.detail
            for statement, parameters in statements
            if statement.startswith("SELECT")
            for step in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            if " workflow_" in step.detail
        ]


#: Which indexes each reads, as patterns: where two are as good, SQLite takes either.
QUERIES = [
    # The newest, and filters
    (lambda store: store.find(), ["newest"]),
    (lambda store: store.find("orders"), ["of_workflow"]),
    (lambda store: store.find(status="failed"), ["of_status"]),
    (lambda store: store.find(subject="shop.order:7"), ["of_subject"]),
    (lambda store: store.find(parent=UNKNOWN_ID), ["of_parent"]),
    (
        lambda store: store.execution_ids(parent=UNKNOWN_ID, parent_step="each", status="halted"),
        ["of_(parent|status|step)"],
    ),
    # What belongs to one execution
    (lambda store: store.entries(UNKNOWN_ID), ["history"]),
    (lambda store: store.waits(UNKNOWN_ID), ["of_execution"]),
    # Open waits and untaken events
    (lambda store: store.find_waits(), ["waits_open"]),
    (lambda store: store.find_waits(kind=WaitKind.EVENT), ["of_kind"]),
    (lambda store: store.find_waits(key="paid:7"), ["of_key"]),
    (lambda store: store.next_event("paid:7"), ["inbox"]),
    # What is to be driven and decided
    (lambda store: store.pending(at(0)), ["of_status"]),
    (lambda store: store.due(at(0)), ["executions_.+", "deadlines", "waits_due", "reminders"]),
    (lambda store: store.chores(at(0)), ["chores_due"]),
    (
        lambda store: store.claim_pending("worker", MINUTE, 5, workflow_ids=["orders"]),
        ["in_turn"],
    ),
    (
        lambda store: store.claim_pending(
            "worker", MINUTE, 5, workflow_ids=["orders"], queues=["slow"]
        ),
        ["in_turn_by_queue"],
    ),
    # What is purged
    (lambda store: store.ended(at(0)), ["executions_ended"]),
    (
        lambda store: store.ended(at(0), after=Ended(id=UNKNOWN_ID, finished_at=at(-1))),
        ["executions_ended"],
    ),
    # The children of a step
    (lambda store: store.children_state(UNKNOWN_ID, "each"), ["of_step"] * 5),
    (lambda store: store.tally(UNKNOWN_ID, "each"), ["of_(parent|step)"]),
    (lambda store: store.children(UNKNOWN_ID, "each"), ["of_(parent|step)"]),
]


@pytest.mark.parametrize(("ask", "indexes"), QUERIES, ids=[str(names) for _, names in QUERIES])
def test_a_list_is_read_from_its_index(store, ask, indexes):
    with asked(store) as statements:
        ask(store)

    lines = plans(store, statements)
    assert len(lines) == len(indexes)
    for line, index in zip(lines, indexes, strict=True):
        assert re.search(rf" USING (COVERING )?INDEX workflow_\w*{index}( \(|$)", line)


def test_releasing_held_ones_reads_no_more_than_those_under_way(store):
    parent = store.create(make_execution())
    held = [make_child(parent, item, status=ExecutionStatus.HALTED) for item in range(3)]
    store.create_children(parent.id, parent.fence, held)

    with asked(store) as statements:
        store.release_held(parent.id, "each", 1)

    assert [line.partition(" (")[2] for line in plans(store, statements)] == [
        "id=?)",  # the parent
        "fence=? AND status=?)",  # waits of what was never claimed
        "parent=? AND status=?)",  # pending and running
        "parent=? AND status=? AND fence>?)",  # halted after a claim
        "parent=? AND status=? AND fence=?)",  # held
    ]


def test_what_is_due_is_decided_in_a_few_statements(store):
    for age in range(20):
        halted(store, {"wake_at": at(age)})

    with asked(store) as statements:
        woken = store.wake_due(at(30))

    verbs = Counter(statement.partition(" ")[0] for statement, _ in statements)
    assert len(woken) == 20
    assert verbs == {
        "SELECT": 4 + 2,  # for each reason; the executions and their waits
        "BEGIN": 1,
        "INSERT": 1,
        "UPDATE": 2,
    }
