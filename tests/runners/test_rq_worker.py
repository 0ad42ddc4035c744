"""The worker of RqAdapter: what it does for many, and when Redis, or its user, stops it."""

import logging
import signal
import time
from threading import Barrier, Event, Thread, current_thread

import pytest

from django_workflows import get, start, wiring
from django_workflows.core.execution import ExecutionStatus
from django_workflows.exceptions import ConfigurationError
from django_workflows.steps import Call
from django_workflows.workers import Worker as Hands
from tests.runners.contract.hands import working
from tests.runners.contract.station import until

pytest.importorskip("django_rq")

import django_rq
from rq.suspension import resume, suspend
from rq.worker import Worker as RqWorker

from django_workflows.runners.rq import worker as rq_worker
from tests.runners.rq_station import OTHER, QUEUE

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def configured(rq_station, settings):
    settings.WORKFLOWS = {"ADAPTER": rq_station.adapter, "PARALLEL_THREADS": 0}


@pytest.fixture
def queue():
    return django_rq.get_queue(QUEUE)


@pytest.fixture
def quick(registered):
    return registered("quick", work=Call(lambda: current_thread().name))


def is_done(execution):
    return get(execution.id).status == ExecutionStatus.COMPLETED


def is_listening():
    return QUEUE in wiring.adapter().listeners([])


# What it listens to ----------------------------------------------------------------------------


def test_without_queues_it_listens_to_the_adapters_own(quick):
    with working():
        execution = start(quick)
        until(lambda: is_done(execution))

        assert wiring.adapter().listeners([]) == {QUEUE}


def test_it_listens_to_several_queues(quick):
    with working(OTHER, QUEUE):
        executions = [start(quick), start(quick, queue=OTHER)]
        until(lambda: all(map(is_done, executions)))


def test_each_thread_drives_one_at_a_time(registered):
    meeting = Barrier(2, timeout=10)
    both = registered("both", meet=Call(lambda: meeting.wait() >= 0))
    executions = [start(both), start(both)]

    with working(QUEUE, threads=2):
        until(lambda: all(map(is_done, executions)))


def test_queues_on_two_servers_are_refused(settings):
    other = {**settings.RQ_QUEUES[OTHER], "DB": 1}
    settings.RQ_QUEUES = {**settings.RQ_QUEUES, OTHER: other}

    with pytest.raises(ConfigurationError, match=f"{QUEUE}, {OTHER} are not on one Redis"):
        wiring.adapter().work(Hands([QUEUE, OTHER], stopping=Event()))


def test_a_queue_that_pickles_is_refused(settings):
    settings.RQ_QUEUES = {QUEUE: {**settings.RQ_QUEUES[QUEUE], "SERIALIZER": None}}

    with pytest.raises(ConfigurationError, match="never a pickle"):
        wiring.adapter().work(Hands([QUEUE], stopping=Event()))


def test_suspended_workers_wait(quick, queue, monkeypatch):
    monkeypatch.setattr("rq.suspension.WORKERS_SUSPENDED", f"rq:suspended:{QUEUE}")
    suspend(queue.connection, ttl=60)
    execution = start(quick)

    with working(QUEUE):
        until(is_listening)
        time.sleep(0.3)
        assert not is_done(execution)
        resume(queue.connection)
        until(lambda: is_done(execution))


# When it is to stop ----------------------------------------------------------------------------


def test_it_stops_within_a_second_or_so():
    with working(QUEUE) as thread:
        until(is_listening)
        began = time.monotonic()

    assert not thread.is_alive()
    assert time.monotonic() - began < 2
    assert not is_listening()


def test_it_stops_once_the_job_at_hand_is_done(registered, queue):
    entered, leave = Event(), Event()

    def work():
        entered.set()
        assert leave.wait(10)

    slow = registered("slow", work=Call(work))
    first, second = start(slow), start(slow)
    stopping = Event()
    thread = Thread(target=wiring.adapter().work, args=(Hands([QUEUE], stopping=stopping),))
    thread.start()
    assert entered.wait(10)

    stopping.set()
    thread.join(0.2)
    assert thread.is_alive()
    leave.set()
    thread.join(10)

    assert not thread.is_alive()
    assert is_done(first)
    assert get(second.id).status == ExecutionStatus.PENDING
    assert queue.get_job_ids() == [f"{second.id}-0"]


def test_it_leaves_signals_to_the_process_around_it():
    stopping = Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    Thread(target=lambda: until(is_listening) and stopping.set()).start()

    wiring.adapter().work(Hands([QUEUE], stopping=stopping))

    assert {number: signal.getsignal(number) for number in before} == before


def test_it_stops_while_redis_is_away(rq_station):
    with working(QUEUE) as thread:
        until(is_listening)
        rq_station.line.cut()
        time.sleep(0.5)
        began = time.monotonic()

    assert not thread.is_alive()
    assert time.monotonic() - began < 2


# When Redis goes away --------------------------------------------------------------------------


def test_it_goes_on_when_redis_is_back_and_says_so_once(rq_station, quick, caplog):
    caplog.set_level(logging.WARNING)
    with working(QUEUE, threads=2):
        until(is_listening)
        rq_station.line.cut()
        time.sleep(3)
        rq_station.line.mend()
        execution = start(quick)
        until(lambda: is_done(execution))

    away, back = caplog.records
    assert away.getMessage().startswith("This worker cannot reach its queue: ")
    assert away.exc_info is None
    assert back.getMessage() == "This worker has its queue back"


def test_it_starts_before_redis_does(rq_station, quick, caplog):
    rq_station.line.cut()
    with working(QUEUE):
        until(lambda: "cannot reach its queue" in caplog.text)
        rq_station.line.mend()
        execution = start(quick)
        until(lambda: is_done(execution))


def test_what_it_does_while_redis_goes_away_is_done(rq_station, registered, monkeypatch, caplog):
    monkeypatch.setattr(rq_worker, "BEAT", 0.1)
    calls = []
    cutting = registered(
        "cutting", cut=Call(rq_station.line.cut), work=Call(lambda: calls.append(time.sleep(2)))
    )
    execution = start(cutting)

    with working(QUEUE):
        until(lambda: "cannot reach its queue" in caplog.text)
        rq_station.line.mend()
        until(is_listening)

    assert is_done(execution)
    assert calls == [None]
    assert "Traceback" not in caplog.text


def test_trouble_of_another_kind_is_told_with_its_traceback(rq_station, settings, quick, caplog):
    whole = settings.RQ_QUEUES
    with working(QUEUE):
        until(is_listening)
        settings.RQ_QUEUES = {}
        rq_station.line.cut()
        until(lambda: "is not in RQ_QUEUES" in caplog.text)
        settings.RQ_QUEUES = whole
        rq_station.line.mend()
        execution = start(quick)
        until(lambda: is_done(execution))

    assert "Traceback" in caplog.text


# During a long job -----------------------------------------------------------------------------


def test_it_is_seen_to_live_during_a_long_job(registered, queue, monkeypatch):
    # RQ counts whole seconds, and a busy machine may miss some beats.
    monkeypatch.setattr(rq_worker, "ALIVE", 3)
    monkeypatch.setattr(rq_worker, "BEAT", 0.2)
    leave = Event()
    execution = start(registered("long", work=Call(lambda: leave.wait(20))))

    with working(QUEUE):
        until(lambda: get(execution.id).status == ExecutionStatus.RUNNING)
        time.sleep(4.5)
        (worker,) = RqWorker.all(queue=queue)
        leave.set()
        until(lambda: is_done(execution))
        until(lambda: RqWorker.all(queue=queue)[0].get_state() == "idle")

    assert worker.get_state() == "busy"
    assert queue.failed_job_registry.get_job_ids() == []


@pytest.mark.parametrize(("is_over", "state"), [(False, "busy"), (True, "starting")])
def test_a_beat_that_comes_as_the_job_ends_says_nothing(is_over, state):
    worker = rq_worker.new_worker([QUEUE])
    worker.register_birth()

    worker._be_busy(rq_worker.LongJob(is_over=is_over))

    assert worker.get_state() == state
    worker.register_death()


# What becomes of jobs ---------------------------------------------------------------------------


def keys_of(queue, job_id):
    return [key for key in queue.connection.keys("rq:*") if job_id.encode() in key]


@pytest.mark.parametrize("names", [[QUEUE], [QUEUE, OTHER]], ids=["one queue", "two"])
def test_nothing_of_a_job_is_left_once_it_is_begun(registered, queue, names):
    entered, leave = Event(), Event()
    execution = start(registered("waiting", work=Call(lambda: entered.set() or leave.wait(10))))
    job_id = f"{execution.id}-0"
    assert keys_of(queue, job_id)

    with working(*names):
        assert entered.wait(10)
        assert queue.get_job_ids() == []
        assert not queue.connection.lrange(queue.intermediate_queue_key, 0, -1)
        assert keys_of(queue, job_id) == []
        leave.set()
        until(lambda: is_done(execution))

    assert keys_of(queue, job_id) == []


def test_job_that_failed_is_among_rqs_failed_with_its_traceback(registered, queue):
    execution = start(registered("failing", work=Call(lambda: 1 / 0)))

    with working(QUEUE):
        until(queue.failed_job_registry.get_job_ids)

    (job_id,) = queue.failed_job_registry.get_job_ids()
    job = queue.fetch_job(job_id)
    assert job_id == f"{execution.id}-0"
    assert job.args == [execution.id]
    assert "ZeroDivisionError" in job.latest_result().exc_string
    assert queue.started_job_registry.get_job_ids() == []


def test_jobs_of_others_are_done_as_rq_does_them(queue):
    job = queue.enqueue("math.hypot", 3, 4)

    with working(QUEUE):
        until(lambda: job.get_status() == "finished")

    assert job.return_value() == 5


def test_a_long_job_of_others_is_seen_to_live(queue, monkeypatch):
    monkeypatch.setattr(rq_worker, "BEAT", 0.2)
    beats = []
    beat = rq_worker.Worker.beat
    monkeypatch.setattr(rq_worker.Worker, "beat", lambda *args: beats.append(beat(*args)))
    job = queue.enqueue("time.sleep", 1)

    with working(QUEUE):
        until(lambda: job.get_status() == "started")
        assert queue.started_job_registry.get_job_ids() == [job.id]
        until(lambda: job.get_status() == "finished")

    assert beats


def test_job_that_cannot_be_read_is_told_of_by_rq(queue, caplog):
    job = queue.enqueue("math.hypot", 3, 4)
    queue.connection.hset(job.key, "data", b"no JSON")

    with working(QUEUE):
        until(queue.failed_job_registry.get_job_ids)

    assert queue.failed_job_registry.get_job_ids() == [job.id]
    assert "cannot reach its queue" not in caplog.text
