import json
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta

import pytest

from django_workflows.core import clock
from django_workflows.core.execution import Execution, ExecutionStatus
from django_workflows.exceptions import ExecutionNotFound, PayloadError
from tests.stores.contract.records import (
    CHANGED,
    FULL_ENTRY,
    MALFORMED_IDS,
    MINUTE,
    PARENT,
    UNKNOWN_ID,
    halted,
    make_entry,
    make_execution,
)
from tests.stores.contract.threads import Threads
from tests.values import SAMPLES, exact

FIELDS = [field.name for field in fields(Execution) if field.name != "id"]


class ExecutionsContract(Threads):
    # Create -------------------------------------------------------------------------------------

    def test_create_returns_what_load_returns(self, store):
        execution = make_execution(input={"order": 7})

        created = store.create(execution)

        assert created == execution
        assert store.load(execution.id) == execution

    def test_create_writes_its_entries(self, store):
        execution = make_execution()
        entries = [make_entry(execution, "first"), make_entry(execution, "second")]

        store.create(execution, entries)

        assert store.entries(execution.id) == entries

    def test_create_with_a_known_id_returns_the_first_and_writes_nothing(self, store):
        first = make_execution(input={"order": 1})
        store.create(first, [make_entry(first, "first")])
        second = replace(first, input={"order": 2}, workflow_id="other")

        created = store.create(second, [make_entry(first, "second")])

        assert created == first
        assert store.load(first.id) == first
        assert [entry.step_id for entry in store.entries(first.id)] == ["first"]

    def test_create_with_a_known_key_returns_the_first_and_writes_nothing(self, store):
        first = make_execution(idempotency_key="order 7")
        second = make_execution(idempotency_key="order 7", input={"late": True})
        store.create(first)

        created = store.create(second, [make_entry(second)])

        assert created == first
        assert store.execution_ids() == [first.id]
        assert store.entries(second.id) == []

    def test_create_with_the_key_of_another_workflow_is_another_execution(self, store):
        first = make_execution(idempotency_key="7")
        second = make_execution(idempotency_key="7", workflow_id="other")

        created = [store.create(first), store.create(second)]

        assert created == [first, second]

    @pytest.mark.parametrize(
        "key",
        [
            pytest.param("ORDER-7", id="another_case"),
            pytest.param("order-7 ", id="a_trailing_space"),
            pytest.param("ördér-7", id="accents"),
            pytest.param("", id="empty"),
            pytest.param(None, id="none"),
        ],
    )
    def test_create_with_a_similar_key_is_another_execution(self, store, key):
        store.create(make_execution(idempotency_key="order-7"))
        similar = make_execution(idempotency_key=key)

        assert store.create(similar) == similar

    def test_create_without_a_key_any_number_of_times(self, store):
        executions = [make_execution() for _ in range(3)]

        for execution in executions:
            store.create(execution)

        assert len(store.find()) == 3

    def test_an_empty_key_is_a_key(self, store):
        first = make_execution(idempotency_key="")
        store.create(first)

        assert store.create(make_execution(idempotency_key="")) == first

    def test_create_with_the_key_of_a_deleted_execution_is_new(self, store):
        first = make_execution(idempotency_key="7")
        second = make_execution(idempotency_key="7")
        store.create(first)
        store.delete(first.id)

        assert store.create(second) == second

    def test_create_at_once_with_one_key_makes_one_execution(self, store):
        attempts = [make_execution(idempotency_key="7") for _ in range(8)]

        def create(number):
            execution = attempts[number]
            return store.create(execution, [make_entry(execution, str(number))])

        created = self.together(create)

        assert {execution.id for execution in created} == set(store.execution_ids())
        assert len(store.entries(created[0].id)) == 1

    def test_create_at_once_with_one_id_makes_one_execution(self, store):
        execution = make_execution()

        created = self.together(lambda number: store.create(execution, [make_entry(execution)]))

        assert created == [execution] * 8
        assert len(store.entries(execution.id)) == 1

    def test_create_of_what_cannot_be_kept_writes_nothing(self, store):
        execution = make_execution()

        with pytest.raises(PayloadError, match="model|plain data"):
            store.create(execution, [make_entry(execution), make_entry(execution, input=object())])

        assert store.find() == []
        assert store.entries(execution.id) == []

    # Save and load ------------------------------------------------------------------------------

    def test_save_writes_a_new_execution(self, store):
        execution = make_execution()

        assert store.save(execution) == execution
        assert store.load(execution.id) == execution

    @pytest.mark.parametrize("name", FIELDS)
    def test_save_writes_every_field(self, store, name):
        store.create(PARENT)
        execution = make_execution()
        store.create(execution)

        changed = replace(execution, **{name: CHANGED[name]})
        saved = store.save(changed)

        assert saved == changed
        assert exact(store.load(execution.id).to_dict()) == exact(changed.to_dict())

    def test_create_writes_every_field(self, store):
        store.create(PARENT)
        execution = Execution(**CHANGED)

        store.create(execution)

        assert exact(store.load(execution.id).to_dict()) == exact(execution.to_dict())

    def test_save_writes_whatever_the_fence(self, store):
        execution = make_execution()
        store.create(execution)
        store.claim(execution.id, "worker", MINUTE)

        store.save(execution)

        assert store.load(execution.id).fence == 0

    def test_save_leaves_entries_and_waits(self, store):
        execution = halted(store, {})
        store.record(make_entry(execution))

        store.save(replace(execution, priority=1))

        assert len(store.entries(execution.id)) == 1
        assert len(store.waits(execution.id)) == 1

    def test_loaded_values_are_copies(self, store):
        execution = make_execution(ctx={"items": [1]})
        store.create(execution)

        store.load(execution.id).ctx["items"].append(2)

        assert store.load(execution.id).ctx == {"items": [1]}

    def test_moments_in_other_zones_are_the_same_moments(self, store):
        started = datetime(2026, 7, 1, 12, 0, tzinfo=SAMPLES["datetime_zone"].tzinfo)
        execution = make_execution(started_at=started)

        store.create(execution)

        assert store.load(execution.id).started_at == started

    def test_load_of_an_unknown_id_is_refused(self, store):
        with pytest.raises(ExecutionNotFound, match=UNKNOWN_ID):
            store.load(UNKNOWN_ID)

    @pytest.mark.parametrize("execution_id", MALFORMED_IDS, ids=repr)
    def test_no_method_stumbles_over_a_malformed_id(self, store, execution_id):
        store.create(make_execution())

        for call in (
            lambda: store.load(execution_id),
            lambda: store.claim(execution_id, "worker", MINUTE),
            lambda: store.transition(execution_id, None),
        ):
            with pytest.raises(ExecutionNotFound) as caught:
                call()
            assert caught.value.execution_id == execution_id

        assert store.entries(execution_id) == []
        assert store.waits(execution_id) == []
        assert store.find(parent=execution_id) == []
        assert store.delete(execution_id) is False
        assert store.renew(execution_id, 0, MINUTE) is False

    @pytest.mark.parametrize("name", SAMPLES)
    def test_values_keep_their_type_everywhere(self, store, name):
        value = SAMPLES[name]
        execution = make_execution(
            input={"value": value}, ctx={"value": value}, result=value, halt_data={"value": value}
        )
        entry = make_entry(execution, **FULL_ENTRY | {"input": value, "output": value})

        store.create(execution, [entry])
        loaded = store.load(execution.id)
        read = store.entries(execution.id)[0]

        kept = [
            loaded.input["value"],
            loaded.ctx["value"],
            loaded.result,
            loaded.halt_data["value"],
            read.input,
            read.output,
        ]
        assert [exact(copy) for copy in kept] == [exact(value)] * 6

    def test_keys_keep_their_order(self, store):
        execution = make_execution(ctx=dict.fromkeys("zyxabc", 1))

        store.create(execution)

        assert json.dumps(store.load(execution.id).ctx) == json.dumps(execution.ctx)

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
        store.create(make_execution(age=3, queue="c", workflow_id="x", status=failed, subject=subject))
        store.create(make_execution(age=2, queue="b", parent=PARENT.id, subject=subject))
        store.create(make_execution(age=5, queue="e", workflow_id="Orders", parent=PARENT.id))
        store.create(make_execution(age=4, queue="d", status=failed, subject=subject))

        names = [execution.queue for execution in store.find(**wanted) if execution.queue]

        assert names == found

    @pytest.mark.parametrize("changed", ["workflow_id", "status", "parent", "subject", "created_at"])
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


_LONG_AGO = datetime(2001, 1, 1, tzinfo=UTC)
