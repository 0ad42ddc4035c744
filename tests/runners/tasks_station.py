"""TasksAdapter with each kind of backend that there is."""

import json
from contextlib import contextmanager, nullcontext
from threading import Thread

from django.db import connections

from tests.runners.contract import Job, Station
from tests.runners.contract.station import LONG

TASK = "django_workflows.runners.tasks.drive"


class ImmediateStation(Station):
    """The bell is the work itself."""

    adapter = {"BACKEND": "django_workflows.runners.tasks.TasksAdapter"}
    queue = "default"

    def __init__(self, calls):
        self.calls = calls

    def heard(self):
        return self.calls

    def worker(self, queue):
        return nullcontext()


class DatabaseStation(Station):
    """Jobs are rows, of the database that holds the executions or of another."""

    adapter = {
        "BACKEND": "django_workflows.runners.tasks.TasksAdapter",
        "OPTIONS": {"backend": "rows", "queue": "usual"},
    }
    queue = "usual"
    other_queue = "other"

    @property
    def rows(self):
        from django_tasks_db.models import DBTaskResult

        return DBTaskResult.objects

    def heard(self):
        return [argument for job in self.jobs() for argument in job.arguments]

    def jobs(self):
        found = []
        for row in self.rows.ready():
            assert row.task_path == TASK
            assert row.args_kwargs["kwargs"] == {}
            values = self.rows.filter(pk=row.pk).values().get()
            raw = json.dumps(values, default=str).encode()
            found.append(Job(row.args_kwargs["args"], raw))
        return found

    def deliver_again(self):
        for row in self.rows.ready():
            row.pk = None
            row._state.adding = True
            row.pk = row._meta.pk.get_default()
            row.save(force_insert=True)

    def lose(self):
        self.rows.all().delete()

    def failure(self, execution):
        for row in self.rows.failed():
            if row.args_kwargs["args"] == [execution.id]:
                return row.traceback
        return ""

    @contextmanager
    def worker(self, queue):
        from django_tasks_db.management.commands.db_worker import Worker

        worker = Worker(
            queue_names=[queue],
            interval=0.05,
            batch=False,
            backend_name="rows",
            startup_delay=False,
            max_tasks=None,
            worker_id="tests",
            excluded_queue_names=[],
        )
        thread = Thread(target=_run, args=(worker,))
        thread.start()
        try:
            yield
        finally:
            worker.running = False
            thread.join(LONG)
            assert not thread.is_alive()


def _run(worker):
    try:
        worker.run()
    finally:
        connections.close_all()
