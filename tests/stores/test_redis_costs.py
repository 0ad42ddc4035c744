"""What RedisStore is asked all the time costs the same, whatever else is stored."""

import secrets

import pytest

from django_workflows.core.chores import Chore, ChoreKind
from django_workflows.core.execution import ExecutionStatus
from django_workflows.core.waits import InboxEvent, WaitKind
from tests.stores.contract.records import MINUTE, at, halted, make_child, make_execution
from tests.stores.keyspace import clear, open_store


@pytest.fixture(scope="module")
def store():
    yield from open_store()


def commands(store, ask):
    """Return how many commands ``ask()`` makes Redis do, those of its scripts included."""
    over = secrets.token_hex(8)
    with store.client.monitor() as monitor:
        ask()
        store.client.echo(over)
        count = 0
        while over not in (command := monitor.next_command()["command"]):
            count += store.prefix in command
    return count


def crowd(store, parent, ages):
    """Store what none of the questions below is about, ``ages`` after what they are about."""
    for age in ages:
        store.create(make_execution(age))
        store.create(make_execution(age, queue="fast", priority=9))
        store.create(make_execution(age, workflow_id="other", priority=9))
        running = make_execution(age, status=ExecutionStatus.RUNNING, lease_expires_at=at(9000))
        store.create(running)
        later = {"wake_at": at(9000), "remind_at": at(9000)}
        halted(store, {"kind": WaitKind.EVENT, "key": "paid:8"} | later, deadline_at=at(9000))
        store.add_event(InboxEvent(name="paid", key="7", sent_at=at(age)))
        store.add_event(InboxEvent(name="paid", key="9", sent_at=at(-age)))
        store.add_event(
            InboxEvent(name="sent"), Chore(kind=ChoreKind.DELIVER, due_at=at(9000 + age))
        )
        other = {"fence": 1, "parent_step": "other", "lease_expires_at": at(9000)}
        children = [
            make_child(parent, age, status=ExecutionStatus.HALTED),
            make_child(parent, age, status=ExecutionStatus.COMPLETED, fence=1),
            *(make_child(parent, age, status=status, **other) for status in ExecutionStatus),
        ]
        store.create_children(parent.id, parent.fence, children)


def stock(store):
    """Store what the questions are about, and return the parent of the children among it."""
    parent = store.create(make_execution(-1, workflow_id="parents", status="halted"))
    for age in range(3):
        store.create(make_execution(age))
    for age in range(2):
        running = make_execution(age, status=ExecutionStatus.RUNNING, lease_expires_at=at(age))
        store.create(running)
        soon = {"wake_at": at(age), "remind_at": at(age)}
        halted(store, soon, deadline_at=at(age))
        event = InboxEvent(name="paid", key="7", sent_at=at(age))
        store.add_event(event, Chore(kind=ChoreKind.DELIVER, due_at=at(age)))
    lost = make_child(parent, 1000, status=ExecutionStatus.FAILED, fence=1)
    store.create_children(parent.id, parent.fence, [lost])
    return parent


@pytest.mark.parametrize(
    ("ask", "found"),
    [
        pytest.param(lambda store, parent: store.due(at(50), 3), 8, id="due"),
        pytest.param(lambda store, parent: store.pending(at(50), 2), 2, id="pending"),
        pytest.param(
            lambda store, parent: store.pending(at(50), 2, *store.pending(at(50), 1)),
            2,
            id="pending_after",
        ),
        pytest.param(
            lambda store, parent: store.pending(at(-1), 2), 0, id="pending_where_none_is_old"
        ),
        pytest.param(
            lambda store, parent: store.claim_pending(
                "worker", MINUTE, 2, workflow_ids=["orders", "refunds"], queues=[None, "slow"]
            ),
            2,
            id="claim_pending",
        ),
        pytest.param(
            lambda store, parent: store.claim_pending("w", MINUTE, 0, workflow_ids=["orders"]),
            0,
            id="claim_pending_of_none",
        ),
        pytest.param(lambda store, parent: store.chores(at(50), 3), 2, id="chores"),
        pytest.param(lambda store, parent: [store.next_event("paid:7")], 1, id="next_event"),
        pytest.param(lambda store, parent: store.tally(parent.id, "each"), 3, id="tally"),
        pytest.param(
            lambda store, parent: [store.children_state(parent.id, "each")], 1, id="children_state"
        ),
        pytest.param(
            lambda store, parent: store.release_held(parent.id, "each", 2), 2, id="release_held"
        ),
        pytest.param(
            lambda store, parent: store.create_children(parent.id, 0, [make_child(parent)]),
            1,
            id="create_children",
        ),
    ],
)
def test_a_question_costs_the_same_in_a_full_store(store, ask, found):
    counts, answers = [], []
    for size in (5, 50):
        clear(store)
        parent = stock(store)
        crowd(store, parent, range(100, 100 + size))
        counts.append(commands(store, lambda: answers.append(ask(store, parent))))  # noqa: B023

    assert [len(answer) for answer in answers] == [found, found]
    assert counts[0] == counts[1]
