"""Children of a step that is run again, while somebody dies, or was quicker."""

import pytest

from django_workflows.core.engine.orphans import end
from django_workflows.core.execution import EntryAction, ExecutionStatus
from tests.core.fanning import again, work_off
from tests.core.flows import Crash, engine_of, history
from tests.core.shopping import KINDS, Shop, by_sub, children_ids, retried


@pytest.mark.parametrize("kind", KINDS)
def test_crash_after_the_child_was_driven_on_finds_it(kind, recovered, monkeypatch):
    shop = Shop()
    engine = engine_of(*kind(shop))
    failed = engine.run()
    retried(engine, failed.execution_id)
    shop.is_open = True

    def dying(*_):
        raise Crash

    with monkeypatch.context() as patched:
        patched.setattr(engine.store, "create_children", dying)
        with pytest.raises(Crash):
            engine.drive(failed.execution_id)
    between = [engine.store.load(name).status for name in children_ids(engine, failed)]
    recovered(engine, failed.execution_id)

    assert between == [ExecutionStatus.PENDING]
    assert engine.result(failed.execution_id).status == ExecutionStatus.COMPLETED
    assert len(shop.charged) == len(shop.shipped) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_child_that_failed_again_while_its_parent_was_dead_is_not_driven_on_twice(
    kind, recovered, monkeypatch
):
    shop = Shop()
    engine = engine_of(*kind(shop))
    failed = engine.run()
    retried(engine, failed.execution_id)

    def dying(*_):
        raise Crash

    with monkeypatch.context() as patched:
        patched.setattr(engine.store, "create_children", dying)
        with pytest.raises(Crash):
            engine.drive(failed.execution_id)
    (child,) = children_ids(engine, failed)
    engine.sibling(engine.store.load(child).workflow_id).drive(child)
    recovered(engine, failed.execution_id)
    work_off(engine)

    assert "closed" in engine.result(failed.execution_id).error
    assert history(engine, child, EntryAction.FAILED) == ["ship", "ship"]
    assert len(children_ids(engine, failed)) == len(shop.charged) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_child_that_is_driven_on_for_a_parent_that_was_cancelled_is_cancelled(kind, monkeypatch):
    shop = Shop()
    engine = engine_of(*kind(shop))
    failed = engine.run()
    retried(engine, failed.execution_id)
    write = engine.store.create_children

    def late(*given):
        end(engine.store, failed.execution_id, "stop", None, lambda *told: None)
        return write(*given)

    monkeypatch.setattr(engine.store, "create_children", late)
    engine.drive(failed.execution_id)

    (child,) = children_ids(engine, failed)
    assert engine.store.load(child).status == ExecutionStatus.CANCELLED
    assert len(shop.charged) == 1


def test_child_that_somebody_drove_on_in_between_is_left_as_it_is(monkeypatch):
    shop = Shop()
    engine = engine_of(*by_sub(shop))
    failed = engine.run()
    (child,) = children_ids(engine, failed)
    read, calls = engine.store.entries, []

    def slow(execution_id):
        found = read(execution_id)
        calls.append(execution_id)
        if calls.count(child) == 2:
            retried(engine, child)
            engine.sibling("order").drive(child)
        return found

    monkeypatch.setattr(engine.store, "entries", slow)
    result = again(engine, failed.execution_id)

    assert result.status == ExecutionStatus.FAILED
    assert history(engine, child, EntryAction.FAILED) == ["ship", "ship"]


def test_child_under_way_is_replaced_where_too_much_is_left_to_be_done(monkeypatch):
    monkeypatch.setattr("django_workflows.core.engine.former.MOST_CHORES", 0)
    shop = Shop()
    engine = engine_of(*by_sub(shop))
    failed = engine.run()
    (child,) = children_ids(engine, failed)
    shop.is_open = True
    retried(engine, child)

    result = again(engine, failed.execution_id)

    assert result.status == ExecutionStatus.COMPLETED
    assert engine.store.load(child).status == ExecutionStatus.CANCELLED
