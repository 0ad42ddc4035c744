from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from django_workflows.core import clock
from django_workflows.core.execution import ExecutionStatus
from django_workflows.exceptions import ExecutionNotFound
from tests.stores.contract.records import (
    CHANGED,
    FULL_ENTRY,
    MALFORMED_IDS,
    PARENT,
    UNKNOWN_ID,
    halted,
    make_entry,
    make_execution,
)
from tests.stores.contract.threads import Threads
from tests.values import exact

_LONG_AGO = datetime(2001, 1, 1, tzinfo=UTC)


class FindingContract(Threads):
    # Find ---------------------------------------------------------------------------------------

    @pytest.mark.parametrize(
        ("wanted", "found"),
        [
            ({}, ["e", "d", "c", "b", "a"]),
            ({"workflow_id": "orders"}, ["d", "b", "a"]),
            ({"workflow_id": "Orders"}, ["e"]),
            ({"workflow_id": "nothing"}, []),
            ({"status": ExecutionStatus.FAILED}, ["d", "c"]),
            ({"status": "failed"}, ["d", "c"]),
            ({"status": "no status"}, []),
            ({"parent": PARENT.id}, ["e", "b"]),
            ({"parent": UNKNOWN_ID}, []),
            ({"subject": "shop.order:7"}, ["d", "c", "b"]),
            ({"subject": "shop.order:"}, []),
            ({"workflow_id": "orders", "status": "failed"}, ["d"]),
            ({"workflow_id": "orders", "subject": "shop.order:7"}, ["d", "b"]),
            ({"status": "failed", "subject": "shop.order:7"}, ["d", "c"]),
            ({"status": "pending", "parent": PARENT.id}, ["e", "b"]),
            (
                {
                    "workflow_id": "orders",
                    "status": "pending",
                    "parent": PARENT.id,
                    "subject": "shop.order:7",
                },
                ["b"],
            ),
            ({"limit": 2}, ["e", "d"]),
            ({"limit": 0}, []),
            ({"workflow_id": "orders", "limit": 2}, ["d", "b"]),
            ({"status": "failed", "limit": 1}, ["d"]),
            ({"parent": PARENT.id, "limit": 1}, ["e"]),
        ],
        ids=str,
    )
    def test_find_lists_what_matches_newest_first(self, store, wanted, found):
        store.create(replace(PARENT, workflow_id="parents", subject="gone", created_at=_LONG_AGO))
        failed, subject = ExecutionStatus.FAILED, "shop.order:7"
        store.create(make_execution(age=1, queue="a"))
        store.create(
            make_execution(age=3, queue="c", workflow_id="x", status=failed, subject=subject)
        )
        store.create(make_execution(age=2, queue="b", parent=PARENT.id, subject=subject))
        store.create(make_execution(age=5, queue="e", workflow_id="Orders", parent=PARENT.id))
        store.create(make_execution(age=4, queue="d", status=failed, subject=subject))

        names = [execution.queue for execution in store.find(**wanted) if execution.queue]

        assert names == found

    @pytest.mark.parametrize(
        "changed", ["workflow_id", "status", "parent", "subject", "created_at"]
    )
    def test_find_follows_a_change(self, store, changed):
        store.create(PARENT)
        execution = make_execution(workflow_id="was", status="halted", parent=None, subject="was:1")
        store.create(execution)

        store.save(replace(execution, **{changed: CHANGED[changed]}))

        others = {"workflow_id": "was", "status": "halted", "subject": "was:1"}
        wanted = {changed: CHANGED[changed]} if changed != "created_at" else {}
        assert execution.id in [found.id for found in store.find(**wanted)]
        if changed in others:
            assert store.find(**{changed: others[changed]}) == []

    def test_find_lists_the_same_moment_by_id(self, store):
        executions = [make_execution() for _ in range(5)]
        for execution in executions:
            store.create(execution)

        ids = [execution.id for execution in store.find()]

        assert ids == sorted((execution.id for execution in executions), reverse=True)

    def test_find_stops_at_its_limit_of_100(self, store):
        for age in range(101):
            store.create(make_execution(age))

        assert len(store.find()) == 100
        assert len(store.execution_ids()) == 101

    @pytest.mark.parametrize(
        ("wanted", "found"),
        [
            ({}, [3, 2, 1]),
            ({"workflow_id": "orders"}, [2, 1]),
            ({"status": "failed"}, [3, 2]),
            ({"workflow_id": "orders", "status": ExecutionStatus.FAILED}, [2]),
            ({"limit": 1}, [3]),
            ({"limit": 0}, []),
        ],
        ids=str,
    )
    def test_execution_ids_are_those_that_find_lists(self, store, wanted, found):
        ids = {}
        for age, values in {
            1: {},
            2: {"status": ExecutionStatus.FAILED},
            3: {"status": ExecutionStatus.FAILED, "workflow_id": "x"},
        }.items():
            ids[age] = store.create(make_execution(age, **values)).id

        assert store.execution_ids(**wanted) == [ids[age] for age in found]

    # Delete -------------------------------------------------------------------------------------

    def test_delete_takes_entries_and_waits_along(self, store):
        execution = halted(store, {"key": "paid:7", "wake_at": _LONG_AGO})
        store.record(make_entry(execution))

        assert store.delete(execution.id) is True

        assert store.find() == []
        assert store.entries(execution.id) == []
        assert store.waits(execution.id) == []
        assert store.find_waits() == []
        assert store.due(clock.now()) == []
        with pytest.raises(ExecutionNotFound):
            store.load(execution.id)

    def test_delete_takes_children_and_theirs_along(self, store):
        parent = store.create(make_execution())
        child = store.create(make_execution(parent=parent.id))
        grandchild = store.create(make_execution(parent=child.id))
        bystander = store.create(make_execution())
        store.record(make_entry(grandchild))

        store.delete(parent.id)

        assert store.execution_ids() == [bystander.id]
        assert store.entries(grandchild.id) == []

    def test_delete_says_whether_it_was_there(self, store):
        execution = store.create(make_execution())

        assert [store.delete(execution.id), store.delete(execution.id)] == [True, False]

    # History ------------------------------------------------------------------------------------

    def test_entries_come_in_the_order_of_their_writing(self, store):
        execution = store.create(make_execution())
        moments = [clock.now() - timedelta(hours=number) for number in range(4)]
        entries = [make_entry(execution, str(age), timestamp=at) for age, at in enumerate(moments)]

        for entry in entries:
            store.record(entry)

        assert store.entries(execution.id) == entries

    def test_an_entry_keeps_every_field(self, store):
        execution = store.create(make_execution())
        entry = make_entry(execution, "each[1]/charge", **FULL_ENTRY)

        store.record(entry)

        assert exact(store.entries(execution.id)[0].to_dict()) == exact(entry.to_dict())

    def test_entries_of_others_are_not_listed(self, store):
        one, other = store.create(make_execution()), store.create(make_execution())
        store.record(make_entry(other))

        assert store.entries(one.id) == []

    @pytest.mark.parametrize("execution_id", [UNKNOWN_ID, *MALFORMED_IDS], ids=repr)
    def test_record_for_an_unknown_execution_is_refused(self, store, execution_id):
        entry = replace(make_entry(make_execution()), execution_id=execution_id)

        with pytest.raises(ExecutionNotFound):
            store.record(entry)

    def test_record_at_once_loses_nothing(self, store):
        execution = store.create(make_execution())

        self.together(lambda number: store.record(make_entry(execution, str(number))))

        steps = {entry.step_id for entry in store.entries(execution.id)}
        assert steps == set("01234567")

    def test_find_takes_workflow_status_and_limit_in_this_order(self, store):
        for _ in range(3):
            store.create(make_execution(workflow_id="ordered"))
        newest = store.execution_ids(workflow_id="ordered", status="pending")

        found = store.find("ordered", ExecutionStatus.PENDING, 2)

        assert [execution.id for execution in found] == newest[:2]
        assert store.execution_ids("ordered", "pending", 1) == newest[:1]
