"""Children of a step that is run again: driven on where they failed, under their own keys."""

from dataclasses import dataclass

import pytest
from django.db.models import F

from django_workflows.core import control
from django_workflows.core.chores import Chore, ChoreKind
from django_workflows.core.decisions import Change
from django_workflows.core.engine.orphans import end
from django_workflows.core.execution import EntryAction, ExecutionStatus
from django_workflows.core.retry import Retry
from django_workflows.core.steps import Call, End, ForEach, Halt, SubWorkflow
from tests.core.fanning import again, all_chores, do_chores, statuses
from tests.core.flows import answered, engine_of, flow, history
from tests.core.shopping import KINDS, Shop, by_each, by_sub, children_ids, order, retried, unlucky


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_child_has_done_is_not_done_again(kind):
    shop = Shop()
    engine = engine_of(*kind(shop))
    failed = engine.run()
    shop.is_open = True

    result = again(engine, failed.execution_id)

    assert failed.status == ExecutionStatus.FAILED
    assert result.status == ExecutionStatus.COMPLETED
    assert len(shop.charged) == len(shop.shipped) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_child_that_fails_once_more_is_the_failure_of_the_step_and_goes_on_at_the_next(kind):
    shop = Shop()
    engine = engine_of(*kind(shop))
    failed = engine.run()

    again(engine, failed.execution_id)
    twice = engine.result(failed.execution_id)
    shop.is_open = True
    result = again(engine, failed.execution_id)

    assert "closed" in twice.error
    assert result.status == ExecutionStatus.COMPLETED
    assert len(shop.charged) == 1


@pytest.mark.parametrize("kind", [by_sub, by_each])
def test_child_that_was_driven_on_by_hand_to_its_end_is_not_run_again(kind):
    shop = Shop()
    engine = engine_of(*kind(shop))
    failed = engine.run()
    (child,) = engine.store.execution_ids(parent=failed.execution_id)
    shop.is_open = True
    retried(engine, child)
    engine.sibling("order").drive(child)

    result = again(engine, failed.execution_id)

    assert result.output in (1, [1])
    assert len(shop.charged) == len(shop.shipped) == 1


@pytest.mark.parametrize("kind", [by_sub, by_each])
def test_child_that_somebody_has_driven_on_is_waited_for(kind):
    shop = Shop()
    engine = engine_of(*kind(shop))
    failed = engine.run()
    (child,) = engine.store.execution_ids(parent=failed.execution_id)
    shop.is_open = True
    retried(engine, child)

    result = again(engine, failed.execution_id)

    assert result.status == ExecutionStatus.COMPLETED
    assert engine.store.execution_ids(parent=failed.execution_id) == [child]
    assert len(shop.charged) == 1


def test_child_that_somebody_gave_another_input_is_still_about_the_same():
    class Fussy(Shop):
        def ship(self, state):
            if state.input["size"] > 1:
                raise ValueError("too large")
            return state.input["size"]

    shop = Fussy()
    engine = engine_of(*by_sub(shop, input={"size": 2}))
    failed = engine.run()
    (child,) = engine.store.execution_ids(parent=failed.execution_id)
    retried(engine, child, {"size": 1})
    engine.sibling("order").drive(child)

    result = again(engine, failed.execution_id)

    assert result.output == 1
    assert len(shop.charged) == 1


@pytest.mark.parametrize("kind", [by_sub, by_each])
def test_child_that_has_undone_something_is_replaced(kind):
    shop = Shop()
    parent, _ = kind(shop)
    child = flow(
        "Order",
        **shop.steps(compensate="refund"),
        done=End(result=F("ship")),
        refund=Call(shop.refund),
    )
    engine = engine_of(parent, child)
    failed = engine.run()
    shop.is_open = True

    result = again(engine, failed.execution_id)

    assert result.status == ExecutionStatus.COMPLETED
    assert len({*shop.charged}) == 2
    assert len(shop.refunded) == 1


def test_child_with_another_input_is_replaced():
    shop = Shop()
    engine = engine_of(*by_sub(shop, input={"n": "$input.n"}))
    failed = engine.run({"n": 1})
    shop.is_open = True

    result = again(engine, failed.execution_id, input={"n": 2})

    assert result.status == ExecutionStatus.COMPLETED
    assert len({*shop.charged}) == 2
    inputs = [engine.store.load(name).input for name in children_ids(engine, result)]
    assert sorted(given["n"] for given in inputs) == [1, 2]


def test_completed_child_of_a_step_that_is_run_again_is_not_run_again():
    shop = Shop(is_open=True)
    broken = [1]
    parent = flow(
        "Parent", sub=SubWorkflow("order"), after=Call(lambda: unlucky() if broken else 5)
    )
    engine = engine_of(parent, order(shop))
    failed = engine.run()
    broken.clear()

    result = again(engine, failed.execution_id, from_step="sub")

    assert failed.status == ExecutionStatus.FAILED
    assert result.output == 5
    assert len(shop.charged) == 1


def test_child_that_failed_at_a_step_that_is_no_more_fails_again_with_nothing_done_twice():
    shop = Shop()
    engine = engine_of(*by_sub(shop))
    failed = engine.run()
    renamed = flow("Order", charge=Call(shop.charge), send=Call(lambda: "sent"))
    now = engine_of(by_sub(shop)[0], renamed, store=engine.store)

    twice = again(now, failed.execution_id)
    (child,) = children_ids(now, failed)
    decide = control.retry(
        now.sibling("order").definition,
        from_step="send",
        input=None,
        by=None,
        history=now.store.entries(child),
    )
    now.store.transition(child, decide)
    result = again(now, failed.execution_id)

    assert "Step ship is not in this version of the workflow any more" in twice.error
    assert result.output == "sent"
    assert len(shop.charged) == 1


def test_grandchild_is_driven_on_as_well():
    shop = Shop()
    middle = flow("Middle", inner=SubWorkflow("order"))
    engine = engine_of(flow("Parent", sub=SubWorkflow("middle")), middle, order(shop))
    failed = engine.run()
    shop.is_open = True

    result = again(engine, failed.execution_id)

    assert result.output == 1
    assert len(shop.charged) == 1


def test_child_that_was_cancelled_with_its_parent_goes_on():
    shop = Shop(is_open=True)
    steps = shop.steps()
    child = flow("Order", charge=steps["charge"], ask=Halt("?"), ship=steps["ship"])
    engine = engine_of(flow("Parent", sub=SubWorkflow("order")), child)
    halted = engine.run()
    end(engine.store, halted.execution_id, "stop", None, lambda *told: None)
    do_chores(engine)

    again(engine, halted.execution_id)
    result = engine.resume(halted.execution_id, "go on")

    assert result.status == ExecutionStatus.COMPLETED
    assert len(shop.charged) == len(children_ids(engine, result)) == 1


def test_child_that_something_may_cancel_is_replaced():
    shop = Shop(is_open=True)
    child = flow("Order", ask=Halt("?"), **shop.steps())
    engine = engine_of(flow("Parent", sub=SubWorkflow("order")), child)
    halted = engine.run()
    (old,) = children_ids(engine, halted)
    # Cancelled by a process that died before it came to the child.
    end(engine.store, halted.execution_id, "stop", None, lambda *told: None)

    again(engine, halted.execution_id)
    do_chores(engine)
    result = engine.resume(halted.execution_id, "go on")

    assert result.status == ExecutionStatus.COMPLETED
    assert engine.store.load(old).status == ExecutionStatus.CANCELLED


def test_order_to_cancel_a_child_that_has_ended_is_crossed_off():
    shop = Shop()
    engine = engine_of(*by_sub(shop))
    failed = engine.run()
    (child,) = children_ids(engine, failed)
    shop.is_open = True
    # Done, but not crossed off by a process that died.
    chore = Chore(kind=ChoreKind.CANCEL, execution_id=failed.execution_id, target=child)
    engine.store.transition(failed.execution_id, with_chore(chore))

    result = again(engine, failed.execution_id)

    assert result.status == ExecutionStatus.COMPLETED
    assert chore.id not in [left.id for left in all_chores(engine)]


def with_chore(chore):
    return lambda execution, waits: Change(execution=execution, chores=[chore])


# Its own retry ----------------------------------------------------------------------------------


@pytest.mark.parametrize("delay", [0, 3600])
def test_attempt_again_drives_the_child_on(delay, travel):
    shop = Shop()
    engine = engine_of(*by_each(shop, retry=Retry(attempts=3, delay=delay)))

    result = engine.run()
    while result.status == ExecutionStatus.HALTED:
        result = answered(engine, result.execution_id, "retry")

    assert "1 of 1 items of 'each' failed: [0] ValueError: closed" in result.error
    assert history(engine, result.execution_id, EntryAction.RETRIED) == ["each", "each"]
    (child,) = children_ids(engine, result)
    assert history(engine, child, EntryAction.FAILED) == ["ship", "ship", "ship"]
    assert len(shop.charged) == 1


def test_item_whose_input_does_not_fit_fails_once_more():
    @dataclass
    class Input:
        n: int

    child = flow("Picky", Input=Input, it=Call(lambda state: state.input["n"]))
    parent = flow(
        "Parent",
        each=ForEach(
            "$input.items",
            do="picky",
            input={"n": "$item"},
            on_item_error="collect",
            concurrency=1,
        ),
        after=Call(unlucky),
    )
    engine = engine_of(parent, child)
    failed = engine.run({"items": [1, "x"]})

    result = again(engine, failed.execution_id, from_step="each")

    assert result.error == "ValueError: unlucky"
    assert statuses(engine, failed.execution_id) == ["completed", "failed"]
