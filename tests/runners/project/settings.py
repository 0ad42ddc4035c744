"""The settings of the tests, and those of the libraries that the workers belong to."""

import json
import os

from tests.services import RUN, SERVICES
from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS, WORKFLOWS

QUEUE = f"{RUN}_usual"

INSTALLED_APPS = [*INSTALLED_APPS, "tests.runners.project", *os.environ["PROJECT_APPS"].split()]

RQ_QUEUES = {
    QUEUE: {
        "HOST": SERVICES["redis"].host,
        "PORT": SERVICES["redis"].port,
        "DB": 0,
        "SERIALIZER": "rq.serializers.JSONSerializer",
        "DEFAULT_TIMEOUT": -1,
    }
}

# None is called "default", and neither is a queue.
TASKS = {
    "rows": {"BACKEND": "django_tasks_db.DatabaseBackend", "QUEUES": ["usual"]},
    "redis": {"BACKEND": "django_tasks_rq.RQBackend", "QUEUES": [QUEUE]},
}

_rabbitmq = SERVICES["rabbitmq"]
CELERY_BROKER_URL = (
    f"amqp://{_rabbitmq.user}:{_rabbitmq.password}@{_rabbitmq.host}:{_rabbitmq.port}//"
)
# Other tasks of the project are stopped soon.
CELERY_TASK_SOFT_TIME_LIMIT = 1
CELERY_TASK_TIME_LIMIT = 2
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False

WORKFLOWS = {**WORKFLOWS, "ADAPTER": json.loads(os.environ["PROJECT_ADAPTER"])}
