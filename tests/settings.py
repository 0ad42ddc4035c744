"""Django settings of the tests; WORKFLOWS_TEST_DB says on which database they run."""

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.services import RUN, SERVICES

# Its apps, for whoever reads these settings: pytest, its child processes, mypy, Sphinx.
sys.path.append(str(Path(__file__).resolve().parent.parent / "example_project"))

TEST_DB = os.environ.get("WORKFLOWS_TEST_DB", "sqlite")


def _database(alias: str) -> dict[str, Any]:
    name = f"workflows_{RUN}_{alias}"
    database: dict[str, Any]
    match TEST_DB:
        case "sqlite":
            # A file, not memory: other threads and processes are to see the data.
            name = str(Path(tempfile.gettempdir(), f"{name}.sqlite3"))
            database = {
                "ENGINE": "django.db.backends.sqlite3",
                "OPTIONS": {
                    "transaction_mode": "IMMEDIATE",
                    "timeout": 20,
                    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
                },
            }
        case "postgres":
            database = {"ENGINE": "django.db.backends.postgresql"}
        case "mariadb":
            database = {
                "ENGINE": "django.db.backends.mysql",
                "OPTIONS": {"charset": "utf8mb4"},
            }
        case other:
            message = f"WORKFLOWS_TEST_DB is sqlite, postgres or mariadb, not {other!r}"
            raise ValueError(message)
    if TEST_DB != "sqlite":
        server = SERVICES[TEST_DB]
        database |= {
            "HOST": server.host,
            "PORT": server.port,
            "USER": server.user,
            "PASSWORD": server.password,
        }
    # The test database is the only one there is: a child process with these
    # settings works on the data of the test that started it.
    return database | {"NAME": name, "TEST": {"NAME": name}}


DATABASES = {alias: _database(alias) for alias in ("default", "other")}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

SECRET_KEY = "not a secret"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "tests.urls"
USE_TZ = True
STATIC_URL = "static/"

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "django_workflows",
    "shop",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# Read where the views are made: it is what `manage.py spectacular` asks for.
REST_FRAMEWORK = {"DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema"}

# Asked for since Django 6.1; those before take no notice of it.
MAILERS = {"default": {"BACKEND": "django.core.mail.backends.locmem.EmailBackend"}}

# Users are made in nearly every test; none of them needs protection.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

# What the example shop asks for; see example_project/config/settings.py.
PAYMENTS_URL = "http://127.0.0.1:9"
WORKFLOWS = {"SERVICES": {"stock": "shop.stock"}}
