import inspect
import os

import pytest

from django_workflows import get, start, wiring
from django_workflows.core.execution import ExecutionStatus
from django_workflows.exceptions import ConfigurationError
from django_workflows.steps import Call, ForEach
from tests.factories import ExecutionFactory
from tests.runners.conftest import in_project
from tests.runners.contract import (
    AdapterContract,
    DrivingContract,
    JobsContract,
    QueuesContract,
    TransactionsContract,
)

pytest.importorskip("django_workflows.runners.tasks")

from django_workflows.runners.tasks import TasksAdapter, _any_queue, tasks
from tests.runners.tasks_station import DatabaseStation, ImmediateStation

IMMEDIATE = f"{tasks.__name__}.backends.immediate.ImmediateBackend"


class TestImmediateBackend(DrivingContract, TransactionsContract):
    @pytest.fixture
    def station(self, calls):
        return ImmediateStation(calls)


class TestDatabaseBackend(DrivingContract, QueuesContract, JobsContract, TransactionsContract):
    @pytest.fixture
    def station(self, database_backend):
        yield DatabaseStation()
        DatabaseStation().lose()


class TestRqBackend(AdapterContract):
    @pytest.fixture
    def station(self, rq_backend):
        return rq_backend


# Its settings ----------------------------------------------------------------------------------


def test_immediate_tasks_drive_it_here():
    assert TasksAdapter(print).drives_here


@pytest.mark.django_db(transaction=True)
def test_items_that_wake_one_another_are_not_driven_deeper_and_deeper(settings, registered):
    settings.TASKS = {"default": {"BACKEND": IMMEDIATE}}
    settings.WORKFLOWS = {"ADAPTER": {"BACKEND": "django_workflows.runners.tasks.TasksAdapter"}}
    depth = []
    body = Call(lambda: depth.append(len(inspect.stack())), name="work")
    registered("each", all=ForEach(over=list(range(60)), do=body, concurrency=1))

    execution = start("each")

    assert get(execution.id).status == ExecutionStatus.COMPLETED
    assert len(depth) == 60
    assert max(depth[30:]) <= max(depth[:30])


def test_other_tasks_do_not(rq_backend):
    assert not TasksAdapter(print, backend="redis").drives_here


def test_a_backend_that_is_not_there_is_a_problem(settings):
    settings.TASKS = {"default": {"BACKEND": IMMEDIATE}}
    adapter = TasksAdapter(print, backend="rows")

    (problem,) = adapter.problems()

    assert problem.startswith("TASKS has no backend 'rows' that can be used: The connection")
    assert problem.endswith(
        ". Correct TASKS['rows'], or name another in WORKFLOWS['ADAPTER']['OPTIONS']['backend']."
    )


@pytest.mark.django_db(transaction=True)
def test_a_backend_that_cannot_be_imported_stops_nobody(settings, registered, caplog):
    settings.TASKS = {"default": {"BACKEND": "missing.Backend"}}
    settings.WORKFLOWS = {"ADAPTER": ImmediateStation.adapter}

    execution = start(registered("working", work=Call(lambda: 1)))

    assert get(execution.id).status == ExecutionStatus.PENDING
    assert "could not be dispatched" in caplog.text
    (problem,) = wiring.adapter().problems()
    assert "Could not find backend 'missing.Backend'" in problem


@pytest.mark.parametrize(
    "backends", [{}, {"rows": {"BACKEND": "missing.Backend"}}], ids=["none", "missing"]
)
def test_settings_without_a_backend_to_declare_the_task_on_are_refused(settings, backends):
    settings.TASKS = backends

    with pytest.raises(ConfigurationError, match="TASKS cannot be used: "):
        _any_queue()


def test_a_queue_that_the_backend_does_not_have_is_a_problem(settings):
    settings.TASKS = {"default": {"BACKEND": IMMEDIATE, "QUEUES": ["slow", "quick"]}}

    (problem,) = TasksAdapter(print).problems()

    assert problem == (
        "The queue 'default' is not in TASKS['default']['QUEUES']; there are: 'quick', 'slow'."
        " Add it, or name another in WORKFLOWS['ADAPTER']['OPTIONS']['queue']."
    )


def test_a_backend_without_queues_has_any(settings):
    settings.TASKS = {"default": {"BACKEND": IMMEDIATE, "QUEUES": []}}

    assert list(TasksAdapter(print, queue="any").problems()) == []


def test_a_queue_of_rq_that_pickles_is_refused(rq_backend, settings):
    name = rq_backend.queue
    pickling = {**settings.RQ_QUEUES[name], "SERIALIZER": None}
    settings.RQ_QUEUES = {**settings.RQ_QUEUES, name: pickling}
    adapter = TasksAdapter(print, backend="redis", queue=name)

    with pytest.raises(ConfigurationError, match="never a pickle"):
        adapter.dispatch(ExecutionFactory())

    assert rq_backend.queues[0].get_job_ids() == []
    (problem,) = adapter.problems()
    assert f"RQ_QUEUES[{name!r}]['SERIALIZER'] = 'rq.serializers.JSONSerializer'" in problem


def test_a_queue_of_rq_that_stops_jobs_is_a_problem(rq_backend, settings):
    name = rq_backend.queue
    settings.RQ_QUEUES = {name: {**settings.RQ_QUEUES[name], "DEFAULT_TIMEOUT": 180}}

    (problem,) = TasksAdapter(print, backend="redis", queue=name).problems()

    assert problem == (
        f"RQ stops each task of the queue {name!r} after a while, perhaps in the middle of a"
        f" commit. Set RQ_QUEUES[{name!r}]['DEFAULT_TIMEOUT'] = -1; steps have a timeout."
    )


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (0, 0),
        (7, 7),
        (1_000, 100),  # the highest that a task may have
        (-1_000, -100),  # the lowest
    ],
)
@pytest.mark.django_db(transaction=True)
def test_the_priority_is_cut_to_what_a_task_may_have(database_backend, given, kept):
    station = DatabaseStation()

    TasksAdapter(print, **station.adapter["OPTIONS"]).dispatch(ExecutionFactory(priority=given))

    assert station.rows.get().priority == kept
    station.lose()


def test_nobody_can_tell_who_listens():
    assert TasksAdapter(print).listeners([]) is None


def test_the_command_of_a_worker_is_the_backends():
    assert TasksAdapter(print, backend="rows").worker_command == (
        "the worker of TASKS['rows'], such as `manage.py db_worker`"
    )


# Processes of their own ------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_the_worker_of_the_database_backend_drives_it(database_backend, settings, answering):
    station = DatabaseStation()
    settings.WORKFLOWS = {"ADAPTER": station.adapter}
    execution = start(answering, {"seconds": 0})

    options = ["--backend", "rows", "--queue-name", "usual", "--batch", "--no-startup-delay"]
    apps = ["django_tasks_db", "django_rq"]
    with in_project("django", "db_worker", *options, adapter=station.adapter, apps=apps) as process:
        assert process.wait(60) == 0

    assert get(execution.id).status == ExecutionStatus.COMPLETED
    assert get(execution.id).result != os.getpid()
    station.lose()


@pytest.mark.django_db(transaction=True)
def test_the_worker_of_the_rq_backend_drives_it(rq_backend, settings, answering):
    settings.WORKFLOWS = {"ADAPTER": rq_backend.adapter}
    execution = start(answering, {"seconds": 0})

    worker = ["rqworker", rq_backend.queue, "--burst", "--job-class", "django_tasks_rq.Job"]
    json = ["--serializer", "rq.serializers.JSONSerializer"]
    # The project's TASKS has both backends, and each checks that its app is installed.
    apps = ["django_tasks_db", "django_rq"]
    with in_project("django", *worker, *json, adapter=rq_backend.adapter, apps=apps) as process:
        assert process.wait(60) == 0

    assert get(execution.id).status == ExecutionStatus.COMPLETED
    assert get(execution.id).result != os.getpid()
