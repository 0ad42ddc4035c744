import os
import socket
import time
from dataclasses import replace

import pytest
from django.core.cache.backends.locmem import LocMemCache

from django_workflows import get, start, wiring
from django_workflows.core import clock
from django_workflows.core.execution import ExecutionStatus
from django_workflows.exceptions import ConfigurationError
from django_workflows.steps import Call
from tests.factories import ExecutionFactory
from tests.runners.conftest import in_project
from tests.runners.contract import AdapterContract

pytest.importorskip("django_rq")

import django_rq
from redis import Redis
from redis.exceptions import RedisError

from django_workflows.runners import rq
from django_workflows.runners.rq import RqAdapter
from tests.runners.rq_station import JSON, OTHER, QUEUE


class TestRqAdapter(AdapterContract):
    @pytest.fixture
    def station(self, rq_station):
        return rq_station


@pytest.fixture
def adapter(rq_station):
    return RqAdapter(print, queue=QUEUE)


@pytest.fixture
def queue(rq_station):
    return django_rq.get_queue(QUEUE)


def declared(settings, **changes):
    """Change what RQ_QUEUES says of the queue."""
    settings.RQ_QUEUES = {**settings.RQ_QUEUES, QUEUE: settings.RQ_QUEUES[QUEUE] | changes}


def job_id(execution):
    return f"{execution.id}-{execution.fence}"


# What is put into Redis ------------------------------------------------------------------------


def test_rq_neither_stops_a_job_nor_keeps_what_it_did(adapter, rq_station):
    execution = ExecutionFactory(fence=3, input={"card": "4111"})

    adapter.dispatch(execution)

    job = rq_station.job(f"{execution.id}-3")
    assert (job.timeout, job.result_ttl, job.failure_ttl) == (-1, 0, rq.FAILURE_TTL)
    assert job.description == f"orders {execution.id}"


def test_a_job_that_waits_is_not_added_again(adapter, queue):
    execution = ExecutionFactory()

    for _ in range(3):
        adapter.dispatch(execution)

    assert queue.get_job_ids() == [job_id(execution)]


def test_a_job_that_was_evicted_keeps_its_place(adapter, queue, rq_station):
    first, second = ExecutionFactory(), ExecutionFactory()
    adapter.dispatch(first)
    adapter.dispatch(second)
    queue.connection.delete(f"rq:job:{job_id(first)}")

    adapter.dispatch(first)

    assert queue.get_job_ids() == [job_id(first), job_id(second)]
    assert rq_station.job(job_id(first)).args == [first.id]


def test_a_job_that_was_taken_and_not_done_is_added_again(adapter, queue):
    execution = ExecutionFactory()
    adapter.dispatch(execution)
    assert queue.pop_job_id() == job_id(execution)

    adapter.dispatch(execution)

    assert queue.get_job_ids() == [job_id(execution)]


def test_a_job_that_failed_and_is_added_again_is_no_failed_one(adapter, queue, rq_station):
    execution = ExecutionFactory()
    adapter.dispatch(execution)
    queue.pop_job_id()
    queue.failed_job_registry.add(rq_station.job(job_id(execution)), ttl=60)

    adapter.dispatch(execution)

    assert queue.get_job_ids() == [job_id(execution)]
    assert queue.failed_job_registry.get_job_ids() == []


def test_another_turn_of_an_execution_is_another_job(adapter, queue):
    execution = ExecutionFactory()

    adapter.dispatch(execution)
    adapter.dispatch(replace(execution, fence=1))

    assert len(queue.get_job_ids()) == 2


def test_what_has_priority_comes_first(adapter, queue):
    usual, urgent, idle = (ExecutionFactory(priority=priority) for priority in (0, 1, -1))

    for execution in (usual, urgent, idle):
        adapter.dispatch(execution)

    assert queue.get_job_ids() == [job_id(urgent), job_id(usual), job_id(idle)]


# A queue that cannot be used -------------------------------------------------------------------


@pytest.mark.parametrize("serializer", [None, "rq.serializers.DefaultSerializer"])
def test_a_queue_that_pickles_is_refused(settings, adapter, queue, serializer):
    declared(settings, SERIALIZER=serializer)

    with pytest.raises(ConfigurationError, match="never a pickle"):
        adapter.dispatch(ExecutionFactory())

    assert queue.get_job_ids() == []
    (problem,) = adapter.problems()
    assert problem == (
        f"The queue {QUEUE!r} does not write JSON, but a job is JSON and never a pickle."
        f" Set RQ_QUEUES[{QUEUE!r}]['SERIALIZER'] = 'rq.serializers.JSONSerializer'."
    )


def test_a_serializer_that_is_not_there_is_a_problem(settings, adapter):
    declared(settings, SERIALIZER="missing.Serializer")

    (problem,) = adapter.problems()

    assert problem.startswith(f"The queue {QUEUE!r} has a SERIALIZER that cannot be used:")
    assert problem.endswith(f"Set RQ_QUEUES[{QUEUE!r}]['SERIALIZER'] = {JSON!r}.")


@pytest.mark.parametrize(
    ("queues", "known"), [({"emails": {}}, "'emails'"), ({}, "none"), (None, "none")]
)
def test_a_queue_that_is_not_declared_is_refused(settings, adapter, queues, known):
    if queues is None:
        del settings.RQ_QUEUES
    else:
        settings.RQ_QUEUES = queues

    with pytest.raises(ConfigurationError, match="is not in RQ_QUEUES"):
        adapter.dispatch(ExecutionFactory())

    (problem,) = adapter.problems()
    assert problem == (
        f"The queue {QUEUE!r} is not in RQ_QUEUES; there are: {known}. Add"
        f" RQ_QUEUES[{QUEUE!r}], or name another in WORKFLOWS['ADAPTER']['OPTIONS']['queue']."
    )


# A Redis that is slow, or somebody else's ------------------------------------------------------


def test_a_redis_that_hangs_is_not_waited_for(settings, monkeypatch, adapter):
    monkeypatch.setattr(rq, "PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        declared(settings, PORT=silent.getsockname()[1])

        began = time.monotonic()
        with pytest.raises(RedisError):
            adapter.dispatch(ExecutionFactory())

    assert time.monotonic() - began < 2


def test_a_redis_that_was_restarted_is_found_at_once(adapter, queue, rq_station):
    adapter.dispatch(ExecutionFactory())
    rq_station.line.cut()
    rq_station.line.mend()

    adapter.dispatch(ExecutionFactory())

    assert len(queue.get_job_ids()) == 2


class Cache(LocMemCache):
    """A cache that lends its connection, as django-redis-cache does."""

    _client = Redis()


def test_the_connection_of_a_cache_is_left_as_it_is(settings, adapter):
    settings.CACHES = {"jobs": {"BACKEND": f"{__name__}.Cache"}}
    before = dict(Cache._client.connection_pool.connection_kwargs)
    declared(settings, USE_REDIS_CACHE="jobs")

    queue = adapter._queue(QUEUE)

    assert queue.connection is Cache._client
    assert Cache._client.connection_pool.connection_kwargs == before


# Who is not heard, and who listens -------------------------------------------------------------


@pytest.fixture
def pending(rq_station, settings, registered, db):
    """Pending executions, not rung for: of two queues and one that is not declared."""
    settings.WORKFLOWS = {"ADAPTER": rq_station.adapter}
    workflow = registered("waiting", work=Call(lambda: 1))
    for name in (None, None, OTHER, "undeclared"):
        wiring.engine(workflow.definition).create(queue=name)
    return wiring.store().pending(clock.now())


def test_those_with_a_job_in_the_queue_are_heard(adapter, pending):
    usual, heard, other, _ = pending
    for execution in (heard, other):
        adapter.dispatch(execution)

    assert [one.id for one in adapter.unheard(pending)] == [usual.id, pending[3].id]


def test_a_queue_is_read_once_for_all(adapter, pending, monkeypatch):
    from rq import Queue

    read = []
    real = Queue.get_job_ids
    monkeypatch.setattr(Queue, "get_job_ids", lambda queue: read.append(queue.name) or real(queue))

    list(adapter.unheard(pending * 10))

    assert sorted(read) == sorted([QUEUE, OTHER])


def test_where_redis_is_away_all_are_unheard(adapter, pending, rq_station):
    for execution in pending[:3]:
        adapter.dispatch(execution)
    rq_station.unplug()

    assert list(adapter.unheard(pending)) == pending


def test_the_workers_of_rq_listen(adapter, queue, settings):
    pickling = {**settings.RQ_QUEUES[QUEUE], "SERIALIZER": None}
    settings.RQ_QUEUES = {**settings.RQ_QUEUES, "pickling": pickling}
    assert adapter.listeners([]) == set()
    worker = django_rq.get_worker(OTHER, serializer=JSON)
    worker.register_birth()

    listening = adapter.listeners([])
    worker.register_death()

    assert listening == {OTHER}
    assert adapter.listeners([]) == set()


def test_where_redis_is_away_nobody_can_tell_who_listens(adapter, rq_station):
    rq_station.unplug()

    assert adapter.listeners([]) is None


# RQ without our worker -------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_plain_rqworker_drives_it(rq_station, settings, answering):
    settings.WORKFLOWS = {"ADAPTER": rq_station.adapter}
    execution = start(answering, {"seconds": 0})

    worker = ["django", "rqworker", QUEUE, "--serializer", JSON, "--burst"]
    with in_project(*worker, adapter=rq_station.adapter, apps=["django_rq"]) as process:
        assert process.wait(60) == 0

    assert get(execution.id).status == ExecutionStatus.COMPLETED
    assert get(execution.id).result != os.getpid()
    assert rq_station.jobs() == []


@pytest.mark.django_db(transaction=True)
def test_a_queue_that_is_not_async_drives_it_here(rq_station, settings, registered):
    declared(settings, ASYNC=False)
    settings.WORKFLOWS = {"ADAPTER": rq_station.adapter}

    execution = start(registered("working", work=Call(lambda: 1)))

    assert get(execution.id).result == 1
    assert wiring.adapter().drives_here


def test_the_command_of_a_worker_does_not_unpickle(adapter):
    assert adapter.worker_command == (
        "`manage.py workflows worker`, or `manage.py rqworker"
        f" --serializer rq.serializers.JSONSerializer {QUEUE}`"
    )


def test_redis_that_does_not_answer_is_told_of_for_each_queue(adapter, rq_station, settings):
    declared(settings, SERIALIZER="rq.serializers.DefaultSerializer")  # no execution can be on it
    assert list(adapter.outages()) == []

    rq_station.line.cut()

    ((what, cure),) = adapter.outages()
    assert what.startswith(f"The Redis of the queue {OTHER!r} does not answer: ")
    assert cure.startswith(f"Start it, or correct RQ_QUEUES[{OTHER!r}].")
