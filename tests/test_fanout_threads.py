"""Fan-outs with several workers at once, on the database."""

import time
from collections import Counter
from threading import Thread

import pytest
from django.db import connection, connections

from django_workflows import api, start, wiring
from django_workflows.core.execution import EntryAction
from django_workflows.steps import Call, ForEach, Parallel
from django_workflows.workers import Worker

pytestmark = pytest.mark.django_db(transaction=True)

WORKERS = 6

#: Seconds that thousands of items may take, on a machine with much else to do.
LONGEST = 600

only_once = pytest.mark.skipif(
    connection.vendor != "postgresql", reason="it takes minutes, and once is enough"
)


@pytest.fixture(autouse=True)
def adapter(settings):
    settings.WORKFLOWS = {"ADAPTER": {"BACKEND": "tests.bells.SilentBell"}}


def drain(claims=1):
    """Drive what is pending with several workers, until nothing has been for a while."""
    problems = []

    def work():
        worker = Worker()
        quiet_since = time.monotonic()
        try:
            while time.monotonic() - quiet_since < 1:
                claimed = worker.claim(claims)
                for execution in claimed:
                    worker.drive(execution)
                if claimed:
                    quiet_since = time.monotonic()
                else:
                    time.sleep(0.01)
        except BaseException as error:
            problems.append(error)
            raise
        finally:
            connections.close_all()

    threads = [Thread(target=work) for _ in range(WORKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []


def resumed(execution_id):
    actions = Counter(entry.action for entry in wiring.store().entries(execution_id))
    return actions[EntryAction.RESUMED]


@pytest.mark.parametrize("concurrency", [None, 1, 3])
def test_every_item_is_done_once_and_the_parent_goes_on_once(registered, concurrency):
    done = []
    each = ForEach(
        "$input.items",
        do=[Call(lambda state: done.append(state.ctx["item"]), name="x"), Call(_item, name="y")],
        concurrency=concurrency,
    )
    workflow = registered("parent", each=each)
    parents = [start(workflow, {"items": [n * 10 + k for k in range(4)]}) for n in range(5)]

    drain()

    assert sorted(done) == sorted(n * 10 + k for n in range(5) for k in range(4))
    for n, parent in enumerate(parents):
        assert api.get(parent.id).result == [n * 10 + k for k in range(4)]
        assert resumed(parent.id) == 1


def _item(state):
    return state.ctx["item"]


def test_branches_on_several_workers(registered):
    branches = {name: Call(lambda: 1, name=f"x_{name}") for name in "abcd"}
    workflow = registered("parent", far=Parallel(branches, distributed=True))
    parents = [start(workflow) for _ in range(5)]

    drain()

    for parent in parents:
        assert api.get(parent.id).result == dict.fromkeys("abcd", 1)
        assert resumed(parent.id) == 1


def test_items_that_fail_at_once_fail_the_parent_once(registered):
    work = Call(lambda state: 1 / (state.ctx["item"] % 2), name="x")
    workflow = registered("parent", each=ForEach("$input.items", do=work))
    parents = [start(workflow, {"items": list(range(6))}) for _ in range(3)]

    drain()

    for parent in parents:
        failed = api.get(parent.id)
        assert failed.status == "failed"
        assert "of 6 items of 'each' failed: " in failed.error
        assert not {"pending", "running", "halted"} & {
            str(child.status) for child in wiring.store().children(parent.id, "each")
        }


@only_once
@pytest.mark.slow
# Ten thousand are in tests/crash, where they are driven by workers.
@pytest.mark.parametrize(("count", "concurrency"), [(4_000, None), (1_000, 50)])
def test_thousands_of_items(registered, count, concurrency):
    registered("child", x=Call(lambda state: state.input["item"] % 7))
    each = ForEach("$input.items", do="child", concurrency=concurrency)
    workflow = registered("parent", each=each)
    began = time.monotonic()
    parent = start(workflow, {"items": list(range(count))})

    drain(claims=20)

    assert api.get(parent.id).result == [n % 7 for n in range(count)]
    assert resumed(parent.id) == 1
    assert time.monotonic() - began < LONGEST
