"""The servers that some tests talk to, and what to do where one is not running."""

import getpass
import os
import socket
from dataclasses import dataclass, field

import pytest

#: What this run names its databases, keys and queues by, so that runs side by
#: side do not meet. Child processes inherit it, and so find the same ones.
RUN = os.environ.setdefault(
    "WORKFLOWS_TEST_RUN",
    f"{os.environ.get('TOX_ENV_NAME', 'pytest')}_{os.getpid()}".replace("-", "_"),
)

#: Whether a server that is not running fails the tests that need it.
REQUIRED = os.environ.get("WORKFLOWS_REQUIRE_SERVICES") == "1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A server: its name for people, and where it listens."""

    title: str
    host: str
    port: int
    user: str = ""
    password: str = field(default="", repr=False)

    def __str__(self) -> str:
        return f"{self.title} at {self.host}:{self.port}"


def _service(title: str, host: str, port: str, default: int, **login: str) -> Service:
    """Return the service that the environment variables ``host`` and ``port`` name."""
    return Service(
        title=title,
        host=os.environ.get(host, "127.0.0.1"),
        port=int(os.environ.get(port, default)),
        **login,
    )


# The variables are those that the servers' own clients read, where they read any.
SERVICES = {
    "postgres": _service(
        "PostgreSQL",
        "PGHOST",
        "PGPORT",
        5432,
        user=os.environ.get("PGUSER") or getpass.getuser(),
        password=os.environ.get("PGPASSWORD", ""),
    ),
    "mariadb": _service(
        "MariaDB",
        "MYSQL_HOST",
        "MYSQL_TCP_PORT",
        3306,
        user=os.environ.get("MYSQL_USER", "root"),
        password=os.environ.get("MYSQL_PWD", ""),
    ),
    "redis": _service("Redis", "REDIS_HOST", "REDIS_PORT", 6379),
    "rabbitmq": _service(
        "RabbitMQ",
        "RABBITMQ_HOST",
        "RABBITMQ_PORT",
        5672,
        user=os.environ.get("RABBITMQ_USER", "guest"),
        password=os.environ.get("RABBITMQ_PASSWORD", "guest"),
    ),
}

_answers: dict[str, bool] = {}


def reachable(name: str) -> bool:
    """Return whether something listens where ``name`` should; asked once a run."""
    if name not in _answers:
        service = SERVICES[name]
        try:
            socket.create_connection((service.host, service.port), timeout=1).close()
        except OSError:
            _answers[name] = False
        else:
            _answers[name] = True
    return _answers[name]


def require(name: str) -> Service:
    """
    Return the service ``name``, or skip the test that asks where it is not running.

    Under ``WORKFLOWS_REQUIRE_SERVICES=1`` the test fails instead.
    """
    service = SERVICES[name]
    if not reachable(name):
        give_up = pytest.fail if REQUIRED else pytest.skip
        give_up(f"{service} is not reachable")
    return service


def not_reached() -> list[Service]:
    """Return the services that were asked for and were not running."""
    return [SERVICES[name] for name, answer in _answers.items() if not answer]
