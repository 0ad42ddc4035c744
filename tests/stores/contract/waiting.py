from dataclasses import replace

import pytest

from django_workflows.core.waits import Answer, WaitKind, WaitStatus
from tests.stores.contract.records import (
    FULL_WAIT,
    MINUTE,
    UNKNOWN_ID,
    halted,
    make_execution,
    make_wait,
)
from tests.stores.contract.threads import Threads


class WaitingContract(Threads):
    def test_waits_come_oldest_first(self, store):
        execution = store.create(make_execution())
        claimed = store.claim(execution.id, "worker", MINUTE)
        waits = [make_wait(execution, str(age), age=age) for age in (3, 1, 2)]

        store.checkpoint(claimed, [], claimed.fence, waits)

        assert [wait.step for wait in store.waits(execution.id)] == ["1", "2", "3"]

    @pytest.mark.parametrize(
        ("status", "steps"),
        [
            (None, ["a", "b", "c"]),
            (WaitStatus.OPEN, ["b", "c"]),
            (WaitStatus.SETTLED, ["a"]),
            (WaitStatus.TAKEN, []),
        ],
    )
    def test_waits_by_status(self, store, status, steps):
        execution = halted(store, {"step": "a"}, {"step": "b"}, {"step": "c"})
        store.settle(execution.id, "a", Answer())

        assert [wait.step for wait in store.waits(execution.id, status=status)] == steps

    def test_waits_of_an_unknown_execution_are_none(self, store):
        assert store.waits(UNKNOWN_ID) == []

    @pytest.mark.parametrize(
        ("wanted", "steps"),
        [
            ({}, ["approval", "event", "timer", "other event"]),
            ({"kind": WaitKind.EVENT}, ["event", "other event"]),
            ({"kind": WaitKind.CHILD}, []),
            ({"key": "paid:7"}, ["event", "timer"]),
            ({"key": "Paid:7"}, ["other event"]),
            ({"key": "paid:"}, []),
            ({"kind": WaitKind.EVENT, "key": "paid:7"}, ["event"]),
            ({"limit": 2}, ["approval", "event"]),
            ({"limit": 0}, []),
            ({"kind": WaitKind.EVENT, "limit": 1}, ["event"]),
            ({"key": "paid:7", "limit": 1}, ["event"]),
        ],
        ids=str,
    )
    def test_find_waits_lists_open_ones_oldest_first(self, store, wanted, steps):
        halted(
            store,
            {"step": "approval", "kind": WaitKind.APPROVAL},
            {"step": "event", "kind": WaitKind.EVENT, "key": "paid:7"},
        )
        younger = store.create(make_execution())
        claimed = store.claim(younger.id, "worker", MINUTE)
        waits = [
            make_wait(claimed, "timer", age=20, kind=WaitKind.TIMER, key="paid:7"),
            make_wait(claimed, "other event", age=30, kind=WaitKind.EVENT, key="Paid:7"),
            make_wait(claimed, "answered", age=10, kind=WaitKind.EVENT, key="paid:7"),
        ]
        store.checkpoint(claimed, [], claimed.fence, waits)
        store.settle(younger.id, "answered", Answer())

        assert [wait.step for wait in store.find_waits(**wanted)] == steps

    def test_find_waits_returns_whole_waits(self, store):
        values = {name: FULL_WAIT[name] for name in FULL_WAIT if name != "answers"}
        execution = halted(store, values)

        assert store.find_waits() == store.waits(execution.id)

    def test_find_waits_forgets_what_a_checkpoint_closed(self, store):
        execution = store.create(make_execution())
        claimed = store.claim(execution.id, "worker", MINUTE)
        wait = make_wait(claimed, key="paid:7")
        store.checkpoint(claimed, [], claimed.fence, [wait])

        withdrawn = replace(wait, status=WaitStatus.WITHDRAWN)
        store.checkpoint(claimed, [], claimed.fence, [withdrawn])

        assert store.find_waits(key="paid:7") == []
