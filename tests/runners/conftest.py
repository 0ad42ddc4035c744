import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import services
from tests.runners.line import Line


@pytest.fixture
def rq_station(settings):
    """RqAdapter on two queues, which are empty."""
    pytest.importorskip("django_rq")
    from tests.runners.rq_station import JSON, OTHER, QUEUE, RqStation, django_rq, forget

    redis = services.require("redis")
    line = Line(redis.host, redis.port)
    queue = {"HOST": "127.0.0.1", "PORT": line.port, "DB": 0, "SERIALIZER": JSON}
    settings.RQ_QUEUES = {QUEUE: queue, OTHER: queue}
    yield RqStation(line)
    line.cut()
    straight = {**queue, "HOST": redis.host, "PORT": redis.port}
    settings.RQ_QUEUES = {QUEUE: straight, OTHER: straight}
    for name in (QUEUE, OTHER):
        forget(django_rq.get_queue(name))


@pytest.fixture
def celery_station():
    """CeleryAdapter on two queues, which are empty."""
    pytest.importorskip("celery")
    from tests.runners.celery_station import CeleryStation, opened

    rabbitmq = services.require("rabbitmq")
    line = Line(rabbitmq.host, rabbitmq.port)
    with opened(rabbitmq, line.port) as app:
        yield CeleryStation(line, app)
        line.cut()


@pytest.fixture
def database_backend(settings, transactional_db):
    """``TASKS["rows"]``, with its table."""
    pytest.importorskip("django_tasks_db")
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "django_tasks_db"]
    settings.TASKS = {
        "rows": {
            "BACKEND": "django_tasks_db.DatabaseBackend",
            "QUEUES": ["usual", "other"],
        }
    }
    from django.core.management import call_command
    from django.db import connection
    from django_tasks_db.models import DBTaskResult

    if DBTaskResult._meta.db_table not in connection.introspection.table_names():
        call_command("migrate", "django_tasks_database", verbosity=0)


@pytest.fixture
def rq_backend(settings, rq_station):
    """``TASKS["redis"]``, as its backend has to be set up for workflows."""
    pytest.importorskip("django_tasks_rq")
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    from tests.runners.tasks_rq_station import TasksRqStation

    settings.RQ = {"JOB_CLASS": "django_tasks_rq.Job"}
    settings.RQ_QUEUES = {
        name: {
            **queue,
            "DEFAULT_TIMEOUT": -1,
            "REDIS_CLIENT_KWARGS": {"retry": Retry(NoBackoff(), 0)},
        }
        for name, queue in settings.RQ_QUEUES.items()
    }
    settings.TASKS = {
        "redis": {"BACKEND": "django_tasks_rq.RQBackend", "QUEUES": list(settings.RQ_QUEUES)}
    }
    return TasksRqStation(rq_station.line)


@contextmanager
def in_project(*arguments, adapter, apps=()):
    """Run a Python module in a process of its own: of the project beside this file."""
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments],
        cwd=Path(__file__).parents[2],
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.runners.project.settings",
            "PROJECT_ADAPTER": json.dumps(adapter),
            "PROJECT_APPS": " ".join(apps),
        },
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture
def answering(registered):
    """The workflow of that project, as whoever starts it has it."""
    from django_workflows.steps import Call

    return registered("answering", think=Call(lambda: "nobody"))
