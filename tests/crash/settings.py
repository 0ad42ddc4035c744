"""
Django settings of the crash tests and of the workers that they kill.

The environment says where the servers are and which adapter is tried. Whoever reads these settings
first chooses the ports; child processes inherit them.
"""

import os

from tests.crash.servers import free_port

POSTGRES_PORT = int(os.environ.setdefault("CRASH_POSTGRES_PORT", str(free_port())))
REDIS_PORT = int(os.environ.setdefault("CRASH_REDIS_PORT", str(free_port())))

#: "database" or "rq".
ADAPTER = os.environ.get("CRASH_ADAPTER", "database")

#: Where the outside world is: see counting.py.
OUTSIDE = os.environ.get("CRASH_OUTSIDE", "http://127.0.0.1:9")


_AGE = os.environ.get("CRASH_CONN_MAX_AGE", "none")


def _database(name):
    return {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": "127.0.0.1",
        "PORT": POSTGRES_PORT,
        "USER": "root",
        "NAME": name,
        "CONN_MAX_AGE": None if _AGE == "none" else int(_AGE),
        "OPTIONS": {"connect_timeout": 5},
    }


DATABASES = {"default": _database("crash"), "second": _database("crash_second")}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
SECRET_KEY = "not a secret"
ALLOWED_HOSTS = ["*"]
USE_TZ = True
ROOT_URLCONF = "tests.crash.urls"
ATOMIC_REQUESTS = True
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django_rq",
    "django_workflows",
    "tests.crash.ledger",
]

RQ_QUEUES = {
    name: {
        "HOST": "127.0.0.1",
        "PORT": REDIS_PORT,
        "DB": 0,
        "SERIALIZER": "rq.serializers.JSONSerializer",
        "REDIS_CLIENT_KWARGS": {"socket_connect_timeout": 1, "socket_timeout": 5},
    }
    for name in ("default", "slow")
}

_ADAPTERS = {
    "database": "django_workflows.runners.database.DatabaseAdapter",
    "rq": "django_workflows.runners.rq.RqAdapter",
}

# Short, so that a test sees many recoveries in a minute.
WORKFLOWS = {
    "ADAPTER": {"BACKEND": _ADAPTERS[ADAPTER], "OPTIONS": {}},
    "STORE": {
        "BACKEND": "django_workflows.stores.orm.OrmStore",
        "OPTIONS": {"using": os.environ.get("CRASH_USING", "default")},
    },
    "LEASE": float(os.environ.get("CRASH_LEASE", "3")),
    "SWEEP_INTERVAL": float(os.environ.get("CRASH_SWEEP", "1")),
    # A test kills a worker in the same step far more often than a bug would.
    "MAX_CLAIMS": int(os.environ.get("CRASH_MAX_CLAIMS", "50")),
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"format": "%(asctime)s %(process)d %(levelname)s %(name)s %(message)s"}
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": os.environ.get("CRASH_LOG", "WARNING")},
}
