"""
Servers, workers and figures of the crash tests.

``tox -e crash`` runs them; anywhere else this folder is passed over, for it needs PostgreSQL's and
Redis's programs and some minutes.
"""

import os
import random

import pytest

if os.environ.get("WORKFLOWS_CRASH") != "1":
    collect_ignore_glob = ["test_*.py"]


def pytest_configure(config):
    config.figures = []


def pytest_report_header(config):
    form = "long" if config.getoption("--long") else "short"
    return f"crash tests: {form} form, seed {_seed(config)}"


def pytest_terminal_summary(terminalreporter, config):
    if config.figures:
        terminalreporter.section("figures")
        for name, values in config.figures:
            told = ", ".join(f"{key} {value}" for key, value in values.items())
            terminalreporter.write_line(f"{name}: {told}")


def _seed(config):
    if config.getoption("--seed") is None:
        config.option.seed = random.SystemRandom().randrange(1_000_000)
    return config.getoption("--seed")


@pytest.fixture(scope="session")
def is_long(pytestconfig):
    return pytestconfig.getoption("--long")


@pytest.fixture
def seed(pytestconfig):
    return _seed(pytestconfig)


@pytest.fixture
def figures(request):
    """Tell a figure, to be printed at the end of the run: ``figures(kills=20)``."""

    def tell(**values):
        rounded = {
            key: round(value, 2) if isinstance(value, float) else value
            for key, value in values.items()
        }
        request.config.figures.append((request.node.name, rounded))

    return tell


@pytest.fixture(scope="session")
def postgres():
    """A cluster of the run's own."""
    from django.conf import settings

    from tests.crash.servers import Postgres

    server = Postgres(settings.POSTGRES_PORT)
    server.create()
    yield server
    server.destroy()


@pytest.fixture(scope="session")
def redis_server():
    """A Redis of the run's own."""
    from django.conf import settings

    from tests.crash.servers import RedisServer

    server = RedisServer(settings.REDIS_PORT)
    server.start()
    yield server
    server.destroy()


@pytest.fixture(scope="session")
def schema(postgres, django_db_blocker):
    """The databases with their tables and the SQL function of the invariants."""
    import psycopg
    from django.conf import settings
    from django.core.management import call_command

    from tests.crash import invariants

    django_db_blocker.unblock()
    with psycopg.connect(
        host="127.0.0.1", port=postgres.port, user="root", dbname="postgres", autocommit=True
    ) as connection:
        for database in settings.DATABASES.values():
            connection.execute(f"CREATE DATABASE {database['NAME']}")
    for alias in settings.DATABASES:
        call_command("migrate", database=alias, verbosity=0, interactive=False)
    invariants.install()


@pytest.fixture
def database(schema, redis_server):
    """Empty databases, an empty Redis, and a user who may decide."""
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from django.db import connections

    from django_workflows import wiring

    wiring.forget()
    wiring.stopping.clear()
    redis_server.connection().flushall()
    for alias in connections:
        call_command("flush", database=alias, verbosity=0, interactive=False)
    User.objects.create_user("robot")
    yield
    connections.close_all()


@pytest.fixture
def outside(monkeypatch, settings):
    """The HTTP server that counts."""
    from tests.crash.counting import CountingServer

    server = CountingServer()
    monkeypatch.setenv("CRASH_OUTSIDE", server.url)
    settings.OUTSIDE = server.url
    yield server
    server.close()


@pytest.fixture(params=["database", "rq"])
def adapter(request, monkeypatch, settings):
    """Each of the adapters, for this process and its workers."""
    from tests.crash.settings import _ADAPTERS

    monkeypatch.setenv("CRASH_ADAPTER", request.param)
    settings.WORKFLOWS = {
        **settings.WORKFLOWS,
        "ADAPTER": {"BACKEND": _ADAPTERS[request.param], "OPTIONS": {}},
    }
    return request.param


@pytest.fixture
def fleet(request, database, seed):
    """Start workers: ``fleet("worker", "--processes", "2", size=4)``; all are killed at the end."""
    from tests.crash.fleet import Fleet

    fleets = []

    def start(*arguments, **options):
        fleets.append(Fleet(*arguments, **{"seed": seed, **options}))
        return fleets[-1]

    yield start
    for one in fleets:
        written = one.close()
        if written.strip():
            request.node.add_report_section("teardown", "workers", written[-20_000:])


@pytest.fixture
def robot(database):
    """Somebody who approves whatever asks for it."""
    from tests.crash.robot import Robot

    robot = Robot()
    yield robot
    robot.stop()
