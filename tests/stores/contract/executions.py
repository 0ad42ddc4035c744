import json
from dataclasses import fields, replace
from datetime import datetime

import pytest

from django_workflows.core.execution import Execution
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

    def test_create_with_a_key_that_was_taken_from_another_is_new(self, store):
        first = store.create(make_execution(idempotency_key="7"))
        store.save(replace(first, idempotency_key="8"))
        second = make_execution(idempotency_key="7")

        assert store.create(second) == second
        assert store.create(make_execution(idempotency_key="8")).id == first.id

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

        with pytest.raises(PayloadError, match="store plain data"):
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
