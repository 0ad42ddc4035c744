"""A fresh database for a measure, with Django set up on it."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.core.management import call_command
from django.db import connections
from django.test import override_settings

NAME = f"workflows_bench_{os.getpid()}"

#: The variable that tells the workers of a measure which database of PostgreSQL is theirs.
SHARED = "WORKFLOWS_BENCH_DATABASE"

#: The one that tells them the adapter, "database" or "rq"; and the queue of the latter.
ADAPTER = "WORKFLOWS_BENCH_ADAPTER"
QUEUE = os.environ.setdefault("WORKFLOWS_BENCH_QUEUE", f"workflows-bench-{os.getpid()}")


def postgres_answers() -> bool:
    """Say whether somebody listens where PGHOST and PGPORT point, 127.0.0.1:5432 if unset."""
    return _answers("PGHOST", "PGPORT", 5432)


def redis_answers() -> bool:
    """Say whether somebody listens where REDIS_HOST and REDIS_PORT point, likewise."""
    return _answers("REDIS_HOST", "REDIS_PORT", 6379)


def _answers(host: str, port: str, usual: int) -> bool:
    address = (os.environ.get(host, "127.0.0.1"), int(os.environ.get(port, usual)))
    try:
        socket.create_connection(address, timeout=1).close()
    except OSError:
        return False
    return True


def declared() -> dict[str, dict[str, Any]]:
    """Return both databases as Django's DATABASES wants them."""
    return {
        "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"},
        "sqlite": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": Path(tempfile.gettempdir(), f"{NAME}.sqlite3"),
            "OPTIONS": {
                "transaction_mode": "IMMEDIATE",
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
            },
        },
        "postgres": _on_postgres(NAME),
        # Another beside it, where two are compared.
        "full": _on_postgres(f"{NAME}_full"),
    }


def _on_postgres(name: str) -> dict[str, Any]:
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": os.environ.get(SHARED, name),
        "HOST": os.environ.get("PGHOST", "127.0.0.1"),
        "PORT": os.environ.get("PGPORT", "5432"),
        "USER": os.environ.get("PGUSER", "root"),
    }


def workflows() -> dict[str, Any]:
    """Return the setting WORKFLOWS: PostgreSQL, and the adapter that the environment names."""
    options = {"using": "postgres"}
    adapters: dict[str, dict[str, Any]] = {
        "database": {
            "BACKEND": "django_workflows.runners.database.DatabaseAdapter",
            "OPTIONS": options,
        },
        "rq": {"BACKEND": "django_workflows.runners.rq.RqAdapter", "OPTIONS": {"queue": QUEUE}},
    }
    return {
        "STORE": {"BACKEND": "django_workflows.stores.orm.OrmStore", "OPTIONS": options},
        "ADAPTER": adapters[os.environ.get(ADAPTER, "database")],
    }


@contextmanager
def adapter(name: str) -> Iterator[None]:
    """Have this process, and those that it starts, use another adapter."""
    os.environ[ADAPTER] = name
    try:
        with override_settings(WORKFLOWS=workflows()):
            yield
    finally:
        del os.environ[ADAPTER]


def configure() -> None:
    """Configure Django, once; executions are kept in PostgreSQL where nobody says otherwise."""
    if settings.configured:
        return
    settings.configure(
        DATABASES=declared(),
        INSTALLED_APPS=[
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django_workflows",
        ],
        SECRET_KEY="bench",
        USE_TZ=True,
        RQ_QUEUES={
            QUEUE: {
                "HOST": os.environ.get("REDIS_HOST", "127.0.0.1"),
                "PORT": int(os.environ.get("REDIS_PORT", "6379")),
                "DB": 0,
                "SERIALIZER": "rq.serializers.JSONSerializer",
            }
        },
        WORKFLOWS=workflows(),
    )
    django.setup()


@contextmanager
def database(alias: str) -> Iterator[None]:
    """Have the database behind ``alias``, created and migrated, for as long as the block lasts."""
    configure()
    if alias != "sqlite":
        name = connections[alias].creation.create_test_db(
            verbosity=0, autoclobber=True, serialize=False, keepdb=False
        )
        if alias == "postgres":
            os.environ[SHARED] = name
    call_command("migrate", database=alias, verbosity=0)
    try:
        yield
    finally:
        _drop(alias)


@contextmanager
def shared(alias: str) -> Iterator[None]:
    """Have the processes that are started meanwhile work on the database behind ``alias``."""
    before = os.environ[SHARED]
    os.environ[SHARED] = connections[alias].settings_dict["NAME"]
    try:
        yield
    finally:
        os.environ[SHARED] = before


def _drop(alias: str) -> None:
    connection = connections[alias]
    if alias != "sqlite":
        os.environ.pop(SHARED, None)
        connection.creation.destroy_test_db(f"{NAME}{'_full' * (alias == 'full')}", verbosity=0)
        return
    connection.close()
    for path in Path(tempfile.gettempdir()).glob(f"{NAME}.sqlite3*"):
        path.unlink()


@contextmanager
def empty_postgres(name: str) -> Iterator[str]:
    """Have an empty database for a peer; yields its URL for SQLAlchemy."""
    configure()
    its = connections["postgres"].settings_dict
    whole = f"{NAME}_{name}"
    _on_server(f'CREATE DATABASE "{whole}"')
    try:
        yield f"postgresql+psycopg://{its['USER']}@{its['HOST']}:{its['PORT']}/{whole}"
    finally:
        _on_server(f'DROP DATABASE "{whole}" WITH (FORCE)')


def _on_server(sql: str) -> None:
    # Django's own way to a server's other databases.
    with connections["postgres"]._nodb_cursor() as cursor:  # noqa: SLF001
        cursor.execute(sql)
