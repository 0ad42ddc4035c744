"""How a drive ends where others interfere: poisoned, overtaken, given up."""

from contextlib import suppress
from dataclasses import replace

import pytest

from django_workflows.core.decisions import Change, wake
from django_workflows.core.engine.orphans import end
from django_workflows.core.execution import ExecutionStatus
from django_workflows.core.retry import Retry
from django_workflows.core.steps import Call, End, Halt, Parallel, WaitForEvent
from django_workflows.core.store import Store
from django_workflows.core.waits import InboxEvent
from django_workflows.exceptions import ConfigurationError
from django_workflows.stores.memory import MemoryStore
from tests.core.flows import Crash, define, engine_of, flow


def fail():
    raise ValueError("broken")


def die():
    raise Crash


class WithoutTransactions(MemoryStore):
    supports_atomic = False


def test_atomic_step_is_refused_early_where_the_store_cannot():
    with pytest.raises(ConfigurationError, match=r"WithoutTransactions cannot .* it of 'flow'"):
        engine_of(Call(lambda: 1, atomic=True), store=WithoutTransactions())


def test_store_without_transactions_runs_the_rest():
    result = engine_of(Call(lambda: 1), store=WithoutTransactions()).run()

    assert result.output == 1


def test_block_of_a_store_without_transactions_is_no_transaction(store):
    with Store.atomic(store):
        pass


def test_step_that_kills_its_worker_each_time_is_poisoned(recovered):
    engine = engine_of(Call(die))
    execution = engine.create()
    for _ in range(engine.limits.claims):
        with suppress(Crash):
            recovered(engine, execution.id)

    result = recovered(engine, execution.id)

    assert result.status == ExecutionStatus.FAILED
    assert result.error.startswith("StepError: Poisoned: claimed 6 times in a row")


def test_undone_execution_that_was_never_written_as_failed_is_so_now():
    engine = engine_of(Call(lambda: 1))
    execution = engine.create()
    engine.store.save(replace(execution, error="ValueError: broken", claims=9))

    result = engine.drive(execution.id)

    assert (result.status, result.error) == (ExecutionStatus.FAILED, "ValueError: broken")


def test_compensation_that_waits_for_its_retry_is_not_hurried():
    workflow = flow(
        book=Call(lambda: 1, compensate="unbook"),
        bad=Call(fail),
        end=End(),
        unbook=Call(fail, retry=Retry(attempts=2, delay=60)),
    )
    engine = engine_of(workflow)
    halted = engine.run()
    engine.store.transition(halted.execution_id, lambda stored, _: Change(execution=wake(stored)))

    result = engine.drive(halted.execution_id)

    assert result.status == ExecutionStatus.HALTED
    assert [wait.step for wait in result.waits] == ["unbook:book"]


def test_halt_of_an_execution_that_was_cancelled_meanwhile_is_refused():
    engine = engine_of(Halt("well?"))

    def emit(event):
        if event.name == "step.started":
            end(engine.store, event.execution_id, "no", None, lambda *told: None)

    engine.emit = emit

    result = engine.run()

    assert result.status == ExecutionStatus.CANCELLED
    assert engine.store.waits(result.execution_id) == []


def test_execution_that_another_took_between_halt_and_event_is_left_to_it():
    class Quicker(MemoryStore):
        def claim(self, *arguments):
            return None

    engine = engine_of(WaitForEvent("paid"), store=Quicker())
    engine.store.add_event(InboxEvent(name="paid"))

    result = engine.run()

    assert engine.store.load(result.execution_id).status == ExecutionStatus.PENDING


def test_two_branches_that_write_one_variable_are_refused_before_they_run():
    both = Parallel(left=[Call(fail)], right=[Call(fail)])

    problems = list(define(flow(both=both)).graph.steps["both"].problems())

    (problem,) = problems
    assert problem.startswith("steps of its branches 'left' and 'right' both write 'fail': give")


def test_two_branches_may_write_one_variable_under_a_rule():
    both = Parallel(left=[Call(fail)], right=[Call(fail)], merge="last")

    assert list(define(flow(both=both)).graph.steps["both"].problems()) == []


def test_compensation_whose_checkpoint_is_refused_takes_no_other_with_it():
    undone = []

    class Refusing(MemoryStore):
        def checkpoint(self, execution, entries, *arguments, **options):
            if any(entry.step_id.startswith("unpay") and not entry.error for entry in entries):
                raise ValueError("the database will not have it")
            super().checkpoint(execution, entries, *arguments, **options)

    workflow = flow(
        book=Call(lambda: 1, compensate="unbook"),
        pay=Call(lambda: 1, compensate="unpay"),
        bad=Call(fail),
        end=End(),
        unbook=Call(lambda: undone.append("book")),
        unpay=Call(lambda: undone.append("pay")),
    )

    result = engine_of(workflow, store=Refusing()).run()

    assert undone == ["pay", "book"]
    assert result.error == (
        "ValueError: broken (and 'pay' could not be undone: ValueError: the database will not have"
        " it)"
    )
