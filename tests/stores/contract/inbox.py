"""Events that are kept until a wait takes them, and graphs."""

from contextlib import suppress
from dataclasses import replace
from decimal import Decimal

import pytest

from django_workflows.core.chores import Chore, ChoreKind
from django_workflows.core.decisions import Change, take
from django_workflows.core.execution import ExecutionStatus
from django_workflows.core.waits import Answer, Cause, WaitKind, WaitStatus
from django_workflows.exceptions import AlreadyResumed, EventTaken, PayloadError
from tests.stores.contract.records import (
    at,
    halted,
    make_chore,
    make_entry,
    make_event,
)
from tests.stores.contract.threads import Threads
from tests.values import SAMPLES, exact

TOPIC = "paid:7"


def asking(store, **values):
    """Store an execution that waits for an event; return it and its wait."""
    execution = halted(store, {"kind": WaitKind.EVENT, "key": TOPIC} | values)
    (wait,) = store.waits(execution.id)
    return execution, wait


class InboxContract(Threads):
    # Look ---------------------------------------------------------------------------------------

    def test_there_is_no_event_in_an_empty_store(self, store):
        assert store.next_event(TOPIC) is None

    def test_an_event_keeps_every_field(self, store):
        event = make_event(data=SAMPLES, by="user:alice")

        store.add_event(event)

        assert exact(store.next_event(TOPIC).to_dict()) == exact(event.to_dict())

    def test_an_event_is_returned_once_it_is_kept(self, store):
        event = make_event()

        assert store.add_event(event) is event

    def test_an_event_of_a_known_id_is_the_one_that_is_kept(self, store):
        first = make_event(data="first")
        again = replace(first, data="again", sent_at=at(60))
        store.add_event(first)
        chore = Chore(kind=ChoreKind.DELIVER, target=again.topic, due_at=at(0))

        kept = store.add_event(again, chore)

        assert exact(kept.to_dict()) == exact(first.to_dict())
        assert exact(store.next_event(TOPIC).to_dict()) == exact(first.to_dict())
        assert store.chores(at(0)) == []

    def test_the_oldest_event_is_next(self, store):
        for age in (3, 1, 2):
            store.add_event(make_event(age, data=age))

        assert store.next_event(TOPIC).data == 1

    def test_looking_takes_nothing(self, store):
        store.add_event(make_event())

        assert store.next_event(TOPIC) == store.next_event(TOPIC) is not None

    @pytest.mark.parametrize(
        "topic", ["paid:8", "Paid:7", "paid:", "sent:7", "paid", ":7", ":", ""]
    )
    def test_an_event_of_another_topic_is_not_seen(self, store, topic):
        store.add_event(make_event())

        assert store.next_event(topic) is None

    def test_an_event_without_a_key(self, store):
        event = make_event(key="")
        store.add_event(event)

        assert store.next_event("paid:") == event

    @pytest.mark.parametrize("name", ["paid", "paid:a", "paid:a:b"])
    def test_a_key_and_a_name_may_have_colons(self, store, name):
        topic = "paid:a:b:c"
        event = make_event(name=name, key=topic.removeprefix(f"{name}:"))
        store.add_event(make_event(-1, name="paid", key="a"))
        store.add_event(event)

        assert store.next_event(topic) == event

    def test_events_of_one_topic_by_different_names_come_by_age(self, store):
        for age, name, key in ((3, "a", "b:c"), (1, "a:b", "c"), (2, "a", "b:c")):
            store.add_event(make_event(age, name=name, key=key, data=age))

        assert store.next_event("a:b:c").data == 1

    # Take ---------------------------------------------------------------------------------------

    def test_an_event_answers_the_wait_that_takes_it(self, store):
        event = make_event(data=SAMPLES, by="user:alice")
        store.add_event(event)
        execution, wait = asking(store)

        woken = store.transition(execution.id, take(wait.id, event))

        (settled,) = store.waits(execution.id)
        assert (settled.status, settled.answer.cause) == (WaitStatus.SETTLED, Cause.EVENT)
        assert settled.answer.by == "user:alice"
        assert exact(settled.answer.response) == exact(SAMPLES)
        assert woken.status == ExecutionStatus.PENDING
        assert store.load(execution.id) == woken
        assert store.next_event(TOPIC) is None

    def test_the_next_event_follows_the_one_that_was_taken(self, store):
        for age in (3, 1, 2):
            store.add_event(make_event(age, data=age))

        taken = []
        for _ in range(3):
            execution, wait = asking(store)
            event = store.next_event(TOPIC)
            store.transition(execution.id, take(wait.id, event))
            taken.append(event.data)

        assert taken == [1, 2, 3]
        assert store.next_event(TOPIC) is None

    @pytest.mark.parametrize("known", [True, False], ids=["taken", "unknown"])
    def test_an_event_that_is_not_there_to_be_taken_writes_nothing(self, store, known):
        event = make_event()
        if known:
            store.add_event(event)
            first, first_wait = asking(store)
            store.transition(first.id, take(first_wait.id, event))
        execution, wait = asking(store)

        def decide(stored, waits):
            change = take(wait.id, event)(stored, waits)
            return replace(change, chores=[make_chore(stored)])

        with pytest.raises(EventTaken) as caught:
            store.transition(execution.id, decide)

        assert caught.value.event_id == event.id
        assert store.load(execution.id) == execution
        assert store.waits(execution.id) == [wait]
        assert store.entries(execution.id) == []
        assert store.chores(at(1000)) == []
        assert store.next_event(TOPIC) is None

    def test_an_event_is_left_where_the_wait_is_closed(self, store):
        event = make_event()
        store.add_event(event)
        execution, wait = asking(store)
        store.settle(execution.id, wait.id, Answer(by="alice"))

        with pytest.raises(AlreadyResumed):
            store.transition(execution.id, take(wait.id, event))

        assert store.next_event(TOPIC) == event

    def test_an_event_is_left_where_the_answer_cannot_be_kept(self, store):
        event = make_event()
        store.add_event(event)
        execution, wait = asking(store)

        def decide(stored, waits):
            change = take(wait.id, event)(stored, waits)
            return replace(change, entries=[make_entry(stored, output=object())])

        with pytest.raises(PayloadError):
            store.transition(execution.id, decide)

        assert store.next_event(TOPIC) == event
        assert store.waits(execution.id) == [wait]

    def test_an_event_may_be_taken_without_any_other_change(self, store):
        event = make_event()
        store.add_event(event)
        execution, wait = asking(store)

        store.transition(
            execution.id,
            lambda stored, waits: Change(execution=stored, event=replace(event, taken_by=wait.id)),
        )

        assert store.next_event(TOPIC) is None
        assert store.load(execution.id) == execution

    def test_events_taken_at_once_are_each_taken_once(self, store):
        for age in range(5):
            store.add_event(make_event(age, data=age))
        rows = [asking(store) for _ in range(8)]

        def work(number):
            execution, wait = rows[number]
            for _ in rows:  # whenever another was quicker, there is one event less
                event = store.next_event(TOPIC)
                if event is None:
                    return None
                with suppress(EventTaken):
                    store.transition(execution.id, take(wait.id, event))
                    return event.data
            return "never its turn"

        outcomes = self.together(work)

        answers = [wait.answer for execution, _ in rows for wait in store.waits(execution.id)]
        assert sorted(data for data in outcomes if data is not None) == [0, 1, 2, 3, 4]
        assert sorted(answer.response for answer in answers if answer) == [0, 1, 2, 3, 4]
        assert outcomes.count(None) == 3
        assert len(store.find_waits(key=TOPIC)) == 3
        assert store.next_event(TOPIC) is None

    def test_one_event_offered_to_all_at_once_is_taken_by_one(self, store):
        event = make_event()
        store.add_event(event)
        rows = [asking(store) for _ in range(8)]

        def work(number):
            execution, wait = rows[number]
            return store.transition(execution.id, take(wait.id, event))

        outcomes = self.together(work)

        refused = [outcome for outcome in outcomes if isinstance(outcome, EventTaken)]
        assert len(refused) == 7
        assert len(store.find_waits(key=TOPIC)) == 7
        assert sorted(store.load(execution.id).status for execution, _ in rows) == [
            *["halted"] * 7,
            "pending",
        ]

    def test_one_wait_takes_one_of_the_events_offered_at_once(self, store):
        events = [make_event(age) for age in range(8)]
        for event in events:
            store.add_event(event)
        execution, wait = asking(store)

        outcomes = self.together(
            lambda number: store.transition(execution.id, take(wait.id, events[number]))
        )

        refused = [outcome for outcome in outcomes if isinstance(outcome, AlreadyResumed)]
        assert len(refused) == 7
        left = set()
        for _ in range(7):
            event = store.next_event(TOPIC)
            left.add(event.id)
            other, other_wait = asking(store)
            store.transition(other.id, take(other_wait.id, event))
        assert len(left) == 7
        assert store.next_event(TOPIC) is None

    # Graphs -------------------------------------------------------------------------------------

    def test_a_graph_is_kept_for_each_version(self, store):
        graph = {"steps": [{"id": "a", "delay": Decimal("1.5")}], "b": {}, "a": None}
        store.remember_graph("orders", "1", graph)
        store.remember_graph("orders", "2", {})

        assert exact(store.graph("orders", "1")) == exact(graph)
        assert store.graph("orders", "2") == {}

    @pytest.mark.parametrize(
        ("workflow_id", "version"), [("orders", "2"), ("Orders", "1"), ("other", "1"), ("", "")]
    )
    def test_an_unknown_graph_is_none(self, store, workflow_id, version):
        store.remember_graph("orders", "1", {})

        assert store.graph(workflow_id, version) is None

    def test_the_latest_graph_of_a_version_is_kept(self, store):
        for number in (1, 2):
            store.remember_graph("orders", "", {"n": number})

        assert store.graph("orders", "") == {"n": 2}

    def test_a_graph_remembered_at_once_is_kept(self, store):
        outcomes = self.together(lambda number: store.remember_graph("orders", "1", {"n": 1}))

        assert outcomes == [None] * 8
        assert store.graph("orders", "1") == {"n": 1}
