"""CeleryAdapter with a RabbitMQ that can be cut off."""

import json
from contextlib import contextmanager

from celery import Celery, _state, signals
from celery.contrib.testing.worker import start_worker
from kombu import Connection, Exchange
from kombu import Queue as KombuQueue

from tests import services
from tests.runners.contract import Job, Station

QUEUE, OTHER = f"{services.RUN}_usual", f"{services.RUN}_other"


class CeleryStation(Station):
    adapter = {
        "BACKEND": "django_workflows.runners.celery.CeleryAdapter",
        "OPTIONS": {"queue": QUEUE},
    }
    queue = QUEUE
    other_queue = OTHER

    def __init__(self, line, app):
        self.line = line
        self.app = app

    def heard(self):
        return [argument for job in self.jobs() for argument in job.arguments]

    def jobs(self):
        found = []
        for message in self.messages():
            assert message.content_type == "application/json"
            assert message.headers["task"] == "django_workflows.drive"
            arguments, named, _ = json.loads(message.body)
            assert named == {}
            rest = json.dumps([message.headers, message.properties], default=str).encode()
            found.append(Job(arguments, bytes(message.body, "utf-8") + rest))
        return found

    def messages(self):
        """Return what waits, and leave it there."""
        with self.app.connection() as connection:
            channel = connection.channel()
            taken = []
            for name in (QUEUE, OTHER):
                queue = declared(name)(channel)
                queue.declare()
                while message := queue.get():
                    taken.append(message)
            for message in taken:
                message.requeue()
            return taken

    def deliver_again(self):
        messages = self.messages()
        with self.app.producer_pool.acquire() as producer:
            for message in messages:
                properties = dict(message.properties)
                headers = properties.pop("application_headers")
                key = message.delivery_info["routing_key"]
                producer.publish(message.body, routing_key=key, headers=headers, **properties)

    def lose(self):
        with self.app.connection() as connection:
            for name in (QUEUE, OTHER):
                queue = declared(name)(connection.channel())
                queue.declare()
                queue.purge()

    def failure(self, execution):
        result = self.app.AsyncResult(f"{execution.id}-{execution.fence}")
        return f"{result.result!r}" if result.state == "FAILURE" else ""

    @contextmanager
    def worker(self, queue):
        with start_worker(self.app, perform_ping_check=False, queues=[queue]):
            yield

    def unplug(self):
        self.line.cut()


def declared(name):
    return KombuQueue(name, Exchange(name), name)


@contextmanager
def opened(rabbitmq, port):
    """Make the project's Celery app, on a broker at ``port``."""
    login = f"{rabbitmq.user}:{rabbitmq.password}"
    app = Celery("tests", set_as_current=False)
    app.conf.update(
        broker_url=f"amqp://{login}@127.0.0.1:{port}//",
        # So that what was sent is there for the test to see.
        broker_transport_options={"confirm_publish": True},
        result_backend="cache+memory://",
        # Both would let an idle worker sleep for long, and so notice late that it is to stop.
        broker_heartbeat=0,
        worker_enable_remote_control=False,
        broker_connection_retry_on_startup=True,
    )
    before = _state._tls.current_app, _state.default_app
    app.set_current()
    app.set_default()
    # Or Celery would take the logging over.
    signals.setup_logging.connect(_leave_logging_alone)
    try:
        yield app
    finally:
        signals.setup_logging.disconnect(_leave_logging_alone)
        app.close()
        _state._tls.current_app, _state.default_app = before
        with Connection(f"amqp://{login}@{rabbitmq.host}:{rabbitmq.port}//") as connection:
            for name in (QUEUE, OTHER):
                queue = declared(name)(connection.channel())
                queue.delete()
                queue.exchange.delete()


def _leave_logging_alone(**_):
    pass
