"""RqAdapter with a Redis that can be cut off."""

import json
import zlib

import django_rq
from rq.job import Job as RqJob
from rq.serializers import JSONSerializer

from tests import services
from tests.runners.contract import Job, Station
from tests.runners.contract.hands import working

QUEUE, OTHER = f"{services.RUN}_usual", f"{services.RUN}_other"
JSON = "rq.serializers.JSONSerializer"


class RqStation(Station):
    adapter = {
        "BACKEND": "django_workflows.runners.rq.RqAdapter",
        "OPTIONS": {"queue": QUEUE},
    }
    queue = QUEUE
    other_queue = OTHER
    #: What a job calls.
    function = "django_workflows.performing.perform"

    def __init__(self, line):
        self.line = line

    @property
    def queues(self):
        return [django_rq.get_queue(name) for name in (QUEUE, OTHER)]

    def heard(self):
        return [argument for job in self.jobs() for argument in job.arguments]

    def jobs(self):
        found = []
        for queue in self.queues:
            for job_id in queue.get_job_ids():
                fields = queue.connection.hgetall(f"rq:job:{job_id}")
                if b"data" not in fields:
                    continue  # it was taken meanwhile
                data = zlib.decompress(fields[b"data"])
                function, _, arguments, named = json.loads(data)
                assert (function, named) == (self.function, {})
                found.append(Job(arguments, data + b"".join(fields.values())))
        return found

    def deliver_again(self):
        for queue in self.queues:
            for job_id in queue.get_job_ids():
                # Under a name of its own, as RQ forgets a job that is done.
                queue.connection.copy(f"rq:job:{job_id}", f"rq:job:{job_id}-again")
                queue.push_job_id(f"{job_id}-again")

    def lose(self):
        for queue in self.queues:
            queue.empty()

    def failure(self, execution):
        queue = django_rq.get_queue(QUEUE)
        for job_id in queue.failed_job_registry.get_job_ids():
            job = self.job(job_id)
            if job.args == [execution.id]:
                return job.latest_result().exc_string
        return ""

    def worker(self, queue):
        return working(queue)

    def unplug(self):
        self.line.cut()

    @staticmethod
    def job(job_id):
        """Return RQ's job."""
        connection = django_rq.get_queue(QUEUE).connection
        return RqJob.fetch(job_id, connection, JSONSerializer)


def forget(queue):
    """Take away all that RQ keeps of a queue."""
    registries = (
        queue.failed_job_registry,
        queue.started_job_registry,
        queue.finished_job_registry,
    )
    for registry in registries:
        for job_id in registry.get_job_ids():
            queue.connection.delete(f"rq:job:{job_id}", f"rq:results:{job_id}")
        queue.connection.delete(registry.key)
    for worker in queue.connection.smembers(f"rq:workers:{queue.name}"):
        # One that lost its line could not sign off.
        queue.connection.srem("rq:workers", worker)
        queue.connection.delete(worker, f"rq:workers:{queue.name}")
    queue.connection.delete(queue.intermediate_queue_key, queue.registry_cleaning_key)
    queue.delete(delete_jobs=True)
