"""A fresh database for a measure, with Django set up on it."""

from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.core.management import call_command
from django.db import connections

NAME = f"workflows_bench_{os.getpid()}"


def postgres_answers() -> bool:
    """Say whether somebody listens where PGHOST and PGPORT point, 127.0.0.1:5432 if unset."""
    address = (os.environ.get("PGHOST", "127.0.0.1"), int(os.environ.get("PGPORT", "5432")))
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
        "postgres": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": NAME,
            "HOST": os.environ.get("PGHOST", "127.0.0.1"),
            "PORT": os.environ.get("PGPORT", "5432"),
            "USER": os.environ.get("PGUSER", "root"),
        },
    }


def set_up(alias: str) -> None:
    """Configure Django, and create and migrate the database behind ``alias``."""
    if not settings.configured:
        settings.configure(
            DATABASES=declared(),
            INSTALLED_APPS=[
                "django.contrib.auth",
                "django.contrib.contenttypes",
                "django_workflows",
            ],
            SECRET_KEY="bench",
            USE_TZ=True,
        )
        django.setup()
    if alias == "postgres":
        create_postgres()
    call_command("migrate", database=alias, verbosity=0)


def create_postgres() -> None:
    """Create the database, for this process, through Django's own test machinery."""
    connections["postgres"].creation.create_test_db(
        verbosity=0, autoclobber=True, serialize=False, keepdb=False
    )


def tear_down(alias: str) -> None:
    """Drop what set_up() created."""
    connection = connections[alias]
    if alias == "postgres":
        connection.creation.destroy_test_db(NAME, verbosity=0)
    else:
        connection.close()
        for path in Path(tempfile.gettempdir()).glob(f"{NAME}.sqlite3*"):
            path.unlink()
