"""
Settings of the example shop, which needs Django, the workflows and an SQLite file.

The REST API and its pages are there where their libraries are: the extra `rest`.

Environment variables make more of it: see docs/howto/workers.md.

    SHOP_DATABASE        the SQLite file, or postgresql://user:password@host:port/name
    SHOP_ADAPTER         who drives executions: inline, database or rq
    SHOP_REDIS_URL       where the queue of rq is
    SHOP_LEASE           seconds after which the work of a process that died is taken over
    SHOP_SWEEP_INTERVAL  seconds between two looks of a supervisor
    SHOP_PAYMENTS_URL    where `manage.py payment_service` listens
    SHOP_URL             where the shop is reached; then managers are mailed links to decide by
"""

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

BASE_DIR = Path(__file__).resolve().parent.parent

# For your own machine only.
SECRET_KEY = "not a secret"
DEBUG = True
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "testserver"]

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "django_workflows",
    "shop",
]

#: What makes the API under /api/; the last brings the scripts of its Swagger page along.
API_APPS = ["rest_framework", "django_filters", "drf_spectacular", "drf_spectacular_sidecar"]
INSTALLED_APPS += [name for name in API_APPS if find_spec(name)]


def _database(place: str) -> dict[str, Any]:
    url = urlsplit(place)
    if url.scheme in {"postgres", "postgresql"}:
        # What is left out is up to PostgreSQL's own PGHOST, PGUSER and so on.
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": url.path.removeprefix("/"),
            "HOST": url.hostname or "",
            "PORT": url.port or "",
            "USER": unquote(url.username or ""),
            "PASSWORD": unquote(url.password or ""),
        }
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": place,
        "OPTIONS": {
            # Writers queue up instead of failing, and readers do not wait for them.
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
    }


DATABASES = {"default": _database(os.environ.get("SHOP_DATABASE", str(BASE_DIR / "shop.sqlite3")))}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

ADAPTERS = {
    "inline": "django_workflows.runners.inline.InlineAdapter",  # whoever starts one drives it
    "database": "django_workflows.runners.database.DatabaseAdapter",
    "rq": "django_workflows.runners.rq.RqAdapter",
}
ADAPTER = os.environ.get("SHOP_ADAPTER", "inline")

# All of this has defaults. Executions live in the database above.
WORKFLOWS: dict[str, Any] = {
    "ADAPTER": {"BACKEND": ADAPTERS[ADAPTER]},
    "LEASE": float(os.environ.get("SHOP_LEASE", "60")),
    "SWEEP_INTERVAL": float(os.environ.get("SHOP_SWEEP_INTERVAL", "5")),
    # The names by which shop/reorder.yaml may call into the shop.
    "SERVICES": {"stock": "shop.stock"},
}

if ADAPTER == "rq":
    INSTALLED_APPS.append("django_rq")
    RQ_QUEUES = {
        "default": {
            "URL": os.environ.get("SHOP_REDIS_URL", "redis://127.0.0.1:6379/0"),
            "SERIALIZER": "rq.serializers.JSONSerializer",
        },
    }

PAYMENTS_URL = os.environ.get("SHOP_PAYMENTS_URL", "http://127.0.0.1:8001")

REST_FRAMEWORK = {
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
}
SPECTACULAR_SETTINGS = {
    "TITLE": "The example shop's workflows",
    # From this server: nothing is fetched from elsewhere.
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}

# Where decision links lead; see shop/apps.py. Mail is printed by the process that sends it.
SITE_URL = os.environ.get("SHOP_URL", "")
EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
DEFAULT_FROM_EMAIL = "shop@example.com"

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
ASGI_APPLICATION = "config.asgi.application"
STATIC_URL = "static/"
LOGIN_URL = "shop:login"
LOGIN_REDIRECT_URL = "shop:orders"
USE_TZ = True
TIME_ZONE = "UTC"

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
