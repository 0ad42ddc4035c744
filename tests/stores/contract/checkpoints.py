from dataclasses import fields, replace
from decimal import Decimal

import pytest

from django_workflows.core.execution import Execution, ExecutionStatus
from django_workflows.core.waits import Answer, WaitStatus
from django_workflows.exceptions import PayloadError, StaleExecution
from tests.stores.contract.records import (
    CHANGED,
    ENDED,
    FULL_WAIT,
    MINUTE,
    PARENT,
    UNKNOWN_ID,
    at,
    make_entry,
    make_execution,
    make_wait,
)
from tests.stores.contract.threads import Threads
from tests.values import exact

#: The id names the row and the fence guards it; neither is a checkpoint's to change.
FIELDS = [field.name for field in fields(Execution) if field.name not in {"id", "fence"}]


def claimed(store, **values):
    execution = store.create(make_execution(**values))
    return store.claim(execution.id, "worker", MINUTE)


class CheckpointsContract(Threads):
    @pytest.mark.parametrize("known", [True, False], ids=["previous", "no_previous"])
    @pytest.mark.parametrize("name", FIELDS)
    def test_checkpoint_writes_every_field(self, store, name, known):
        store.create(PARENT)
        execution = claimed(store)
        after = replace(execution, **{name: CHANGED[name]})

        store.checkpoint(after, [], execution.fence, previous=execution if known else None)

        assert exact(store.load(execution.id).to_dict()) == exact(after.to_dict())

    @pytest.mark.parametrize("known", [True, False], ids=["previous", "no_previous"])
    @pytest.mark.parametrize("name", FIELDS)
    def test_checkpoint_takes_every_field_back(self, store, name, known):
        store.create(PARENT)
        execution = claimed(store)
        changed = replace(execution, **{name: CHANGED[name]})
        store.save(changed)

        store.checkpoint(execution, [], execution.fence, previous=changed if known else None)

        assert exact(store.load(execution.id).to_dict()) == exact(execution.to_dict())

    def test_checkpoint_writes_entries_in_their_order(self, store):
        execution = claimed(store)
        entries = [make_entry(execution, str(number)) for number in range(12)]

        store.checkpoint(execution, entries[:5], execution.fence)
        store.checkpoint(execution, entries[5:], execution.fence)

        assert store.entries(execution.id) == entries

    def test_checkpoint_opens_waits(self, store):
        execution = claimed(store)
        waits = [make_wait(execution, age=1), make_wait(execution, age=2, **FULL_WAIT)]

        store.checkpoint(execution, [], execution.fence, waits)

        kept = [exact(wait.to_dict()) for wait in store.waits(execution.id)]
        assert kept == [exact(wait.to_dict()) for wait in waits]

    @pytest.mark.parametrize("status", ["settled", "taken", "withdrawn"])
    def test_checkpoint_writes_only_the_status_of_other_waits(self, store, status):
        execution = claimed(store)
        wait = make_wait(execution)
        answered = replace(wait, answers=(Answer(response=1, at=at(1)),), settled_at=at(1))
        store.checkpoint(execution, [], execution.fence, [answered])

        closed = replace(wait, status=WaitStatus(status), step="other", prompt="other")
        store.checkpoint(execution, [], execution.fence, [closed])

        assert store.waits(execution.id) == [replace(answered, status=WaitStatus(status))]

    def test_checkpoint_passes_over_a_closed_wait_that_was_never_opened(self, store):
        execution = claimed(store)

        closed = make_wait(execution, status=WaitStatus.TAKEN)
        store.checkpoint(execution, [], execution.fence, [closed])

        assert store.waits(execution.id) == []

    def test_checkpoint_leaves_a_lease_that_was_renewed_meanwhile(self, store):
        execution = claimed(store)
        store.renew(execution.id, execution.fence, 10 * MINUTE)
        renewed = store.load(execution.id).lease_expires_at

        after = replace(execution, ctx={"done": True})
        store.checkpoint(after, [], execution.fence, previous=execution)

        assert store.load(execution.id) == replace(after, lease_expires_at=renewed)

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            ({"n": 1}, {"n": True}),
            ({"n": 1}, {"n": 1.0}),
            ({"n": Decimal("1.0")}, {"n": Decimal("1.00")}),
            ({"n": 0.0}, {"n": -0.0}),
            ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ],
        ids=str,
    )
    def test_checkpoint_writes_what_is_equal_but_not_the_same(self, store, before, after):
        execution = claimed(store, ctx=before)
        changed = replace(execution, ctx=after)

        store.checkpoint(changed, [], execution.fence, previous=execution)

        assert exact(store.load(execution.id).ctx) == exact(after)

    def test_checkpoint_without_any_difference_writes_its_entries(self, store):
        execution = claimed(store)

        store.checkpoint(execution, [make_entry(execution)], execution.fence, previous=execution)

        assert len(store.entries(execution.id)) == 1

    def test_checkpoint_by_the_last_of_several_claims_is_written(self, store):
        execution = store.create(make_execution())
        store.claim(execution.id, "first", ENDED)
        second = store.claim(execution.id, "second", MINUTE)

        store.checkpoint(replace(second, ctx={"n": 2}), [], second.fence)

        assert store.load(execution.id).ctx == {"n": 2}

    @pytest.mark.parametrize("known", [True, False], ids=["previous", "no_previous"])
    def test_stale_checkpoint_writes_nothing_at_all(self, store, known):
        execution = store.create(make_execution())
        first = store.claim(execution.id, "first", ENDED)
        wait = make_wait(first)
        store.checkpoint(first, [make_entry(first, "before")], first.fence, [wait])
        second = store.claim(execution.id, "second", MINUTE)
        late = replace(first, ctx={"late": True}, status=ExecutionStatus.COMPLETED)
        waits = [make_wait(first, "late"), replace(wait, status=WaitStatus.WITHDRAWN)]

        with pytest.raises(StaleExecution) as caught:
            store.checkpoint(
                late, [make_entry(first)], first.fence, waits, previous=first if known else None
            )

        assert (caught.value.execution_id, caught.value.fence) == (execution.id, 1)
        assert store.load(execution.id) == second
        assert [entry.step_id for entry in store.entries(execution.id)] == ["before"]
        assert store.waits(execution.id) == [wait]

    def test_checkpoint_with_a_fence_of_the_future_is_stale(self, store):
        execution = claimed(store)

        with pytest.raises(StaleExecution):
            store.checkpoint(execution, [], execution.fence + 1)

    @pytest.mark.parametrize("execution_id", [UNKNOWN_ID, "no uuid"])
    def test_checkpoint_of_a_deleted_execution_is_stale(self, store, execution_id):
        gone = make_execution(id=execution_id, fence=1)

        with pytest.raises(StaleExecution):
            store.checkpoint(gone, [make_entry(gone)], 1, [make_wait(gone)])

        assert store.find() == []
        assert store.find_waits() == []

    @pytest.mark.parametrize("part", ["ctx", "entry", "wait"])
    def test_checkpoint_of_what_cannot_be_kept_writes_nothing(self, store, part):
        execution = claimed(store)
        bad = {part: {"value": object()}}
        after = replace(execution, attempt=2, ctx=bad.get("ctx", {"n": 1}))
        entries = [make_entry(execution), make_entry(execution, output=bad.get("entry"))]
        waits = [make_wait(execution), make_wait(execution, data=bad.get("wait", {}))]

        with pytest.raises(PayloadError, match="value"):
            store.checkpoint(after, entries, execution.fence, waits)

        assert store.load(execution.id) == execution
        assert store.entries(execution.id) == []
        assert store.waits(execution.id) == []

    def test_checkpoints_at_once_are_all_written(self, store):
        execution = claimed(store)

        def checkpoint(number):
            store.checkpoint(
                replace(execution, ctx={"last": number}),
                [make_entry(execution, str(number))],
                execution.fence,
                [make_wait(execution, str(number), age=number)],
            )

        outcomes = self.together(checkpoint)

        assert outcomes == [None] * 8
        assert {entry.step_id for entry in store.entries(execution.id)} == set("01234567")
        assert [wait.step for wait in store.waits(execution.id)] == list("01234567")
