"""What goes into a store comes out of it, types included, whatever it is."""

import secrets
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from django_workflows.core import clock
from django_workflows.core.chores import ChoreKind
from django_workflows.core.decisions import take
from django_workflows.core.execution import Compensation, Execution
from django_workflows.core.frames import BranchFrame, Cursor, LoopFrame, ParallelFrame, StepFrame
from django_workflows.core.presence import Presence
from django_workflows.core.records import Record
from django_workflows.core.waits import Answer, InboxEvent, WaitKind
from django_workflows.stores.memory import MemoryStore
from tests import services
from tests.stores.contract.records import (
    MINUTE,
    halted,
    make_child,
    make_chore,
    make_entry,
    make_event,
    make_execution,
    make_wait,
)
from tests.values import exact, text, values

#: What columns of text are given: no database keeps NUL in one.
words = text.map(lambda said: said.replace("\x00", "")[:60])
#: No database has to tell 0.0 from -0.0.
finite = st.floats(-1e6, 1e6, allow_subnormal=False).map(lambda number: number + 0.0)
moments = st.datetimes(min_value=datetime(2000, 1, 1)).map(  # noqa: DTZ001
    lambda moment: moment.replace(tzinfo=UTC, fold=0)
)
mappings = st.dictionaries(text, values, max_size=3)


@st.composite
def frames(draw):
    """Return a cursor in a loop, in whose body a step of a parallel's branch waits."""
    waiting = Cursor(at="ask", frame=StepFrame(data=draw(mappings), halted=True))
    branch = BranchFrame(body=waiting, changes=draw(mappings), removed=("x",), output=draw(values))
    body = Cursor(at="both", frame=ParallelFrame(branches={"left": branch}), output=draw(values))
    items = tuple(draw(st.lists(values, max_size=2)))
    return Cursor(at="each", frame=LoopFrame(items=items, results=items, body=body))


@st.composite
def executions(draw):
    return make_execution(
        input=draw(mappings),
        ctx=draw(mappings),
        result=draw(values),
        halt_data=draw(st.none() | mappings),
        frames=draw(frames()),
        compensations=(Compensation(step="pay", target="refund", ctx=draw(mappings)),),
        error=draw(st.none() | text.map(lambda words: words.replace("\x00", ""))),
    )


def plain(*records: Record):
    return [exact(record.to_dict()) for record in records]


@settings(max_examples=30)
@given(executions())
def test_an_execution_is_the_same_after_its_plain_form(execution):
    copy = Execution.from_dict(execution.to_dict())

    assert exact(copy.ctx) == exact(execution.ctx)
    assert plain(copy) == plain(execution)


@settings(max_examples=30)
@given(executions())
def test_an_execution_is_the_same_after_being_a_state(execution):
    copy = Execution.from_state(execution.to_state(), execution.to_result())

    assert plain(copy) == plain(execution)


# Every store that is there ----------------------------------------------------------------------


@pytest.fixture
def memory():
    return MemoryStore()


@pytest.fixture
def orm():
    return pytest.importorskip("django_workflows.stores.orm").OrmStore()


@pytest.fixture
def redis():
    RedisStore = pytest.importorskip("django_workflows.stores.redis").RedisStore  # noqa: N806
    service = services.require("redis")
    store = RedisStore(url=f"redis://{service.host}:{service.port}", prefix=secrets.token_hex(8))
    yield store
    for key in store.client.scan_iter(f"{store.prefix}:*", count=1000):
        store.client.delete(key)
    store.client.close()


@pytest.fixture
def sqlalchemy(tmp_path):
    module = pytest.importorskip("django_workflows.stores.sqlalchemy")
    store = module.SqlAlchemyStore(url=f"sqlite:///{tmp_path}/store.sqlite3")
    store.create_tables()
    yield store
    store.engine.dispose()


@pytest.fixture(
    params=[
        "memory",
        pytest.param("orm", marks=pytest.mark.django_db(transaction=True)),
        "redis",
        "sqlalchemy",
    ]
)
def store(request):
    return request.getfixturevalue(request.param)


several = settings(
    max_examples=20,
    # One store for all examples of a test: each makes an execution of its own.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@several
@given(execution=executions())
def test_an_execution_is_the_same_after_a_store(store, execution):
    store.create(execution)

    assert plain(store.load(execution.id)) == plain(execution)


@several
@given(execution=executions(), changed=executions(), value=values, data=mappings)
def test_a_checkpoint_is_the_same_after_a_store(store, execution, changed, value, data):
    store.create(execution)
    claimed = store.claim(execution.id, "worker", MINUTE)
    after = replace(claimed, ctx=changed.ctx, result=changed.result, frames=changed.frames)
    entry = make_entry(after, input=value, output=value)
    wait = make_wait(after, data=data, answers=(Answer(response=value),))

    store.checkpoint(after, [entry], after.fence, [wait], previous=claimed)

    kept = plain(store.load(execution.id), *store.entries(execution.id), *store.waits(execution.id))
    assert kept == plain(after, entry, wait)


@several
@given(value=values)
def test_an_event_is_the_same_after_a_store(store, value):
    event = InboxEvent(name="paid", key=secrets.token_hex(8), data=value)

    store.add_event(event)

    assert plain(store.next_event(event.topic)) == plain(event)


@several
@given(value=values)
def test_an_event_is_the_same_as_an_answer(store, value):
    event = InboxEvent(name="paid", key=secrets.token_hex(8), data=value)
    store.add_event(event)
    execution = halted(store, {"kind": WaitKind.EVENT, "key": event.topic})
    (wait,) = store.waits(execution.id)

    store.transition(execution.id, take(wait.id, event))

    (settled,) = store.waits(execution.id)
    assert exact(settled.answer.response) == exact(value)


@several
@given(kind=st.sampled_from(ChoreKind), target=words, reason=words, by=st.none() | words)
def test_a_chore_is_the_same_after_a_store(store, kind, target, reason, by):
    chore = make_chore(kind=kind, target=target, reason=reason, by=by)

    store.add_event(make_event(), chore)

    chores = store.chores(clock.now())
    store.finish_chore(chore.id)  # or the next example would meet it
    assert plain(*chores) == plain(chore)


@several
@given(queues=st.lists(words, max_size=3), host=words, skew=finite, swept=st.none() | moments)
def test_a_presence_is_the_same_after_a_store(store, queues, host, skew, swept):
    presence = Presence(queues=tuple(queues), host=host, skew=skew, swept_at=swept)

    store.announce(presence)

    present = store.present()
    store.dismiss(presence.id)  # or the next example would meet it
    assert plain(*present) == plain(presence)


@several
@given(result=values, ctx=mappings)
def test_a_child_is_the_same_to_its_parent(store, result, ctx):
    parent = store.create(make_execution())
    child = make_child(parent, result=result, ctx=ctx)

    store.create_children(parent.id, parent.fence, [child])

    (read,) = store.children(parent.id, "each")
    assert exact([read.result, read.ctx]) == exact([result, ctx])
