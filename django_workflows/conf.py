"""The WORKFLOWS setting: its defaults in one place, read late, so that tests may change it."""

from __future__ import annotations

from typing import Any

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured

#: Where executions live, unless said otherwise: the project's default database.
DEFAULT_STORE = {"BACKEND": "django_workflows.stores.orm.OrmStore", "OPTIONS": {}}

#: Who drives them: this process, at once.
DEFAULT_ADAPTER = {"BACKEND": "django_workflows.runners.inline.InlineAdapter", "OPTIONS": {}}


class Settings:
    """
    The settings, as attributes. Each is looked up in ``settings.WORKFLOWS`` when it is read.

    An unknown attribute raises AttributeError, a WORKFLOWS that is no dict ImproperlyConfigured.
    """

    STORE: dict[str, Any] = DEFAULT_STORE
    ADAPTER: dict[str, Any] = DEFAULT_ADAPTER
    #: Seconds that a driver may be silent before another may take over.
    LEASE: float = 60
    #: Seconds between two looks of a supervisor.
    SWEEP_INTERVAL: float = 5
    #: Claims in a row without a finished step after which an execution is failed as poisoned.
    MAX_CLAIMS: int = 5
    #: Branches at once; 0 runs them in turn in the same thread.
    PARALLEL_THREADS: int = 8
    #: Who may do what: the dotted path of a subclass of permissions.Policy.
    POLICY: str = "django_workflows.permissions.Policy"
    #: Seconds for which a decision link can be used.
    LINK_MAX_AGE: float = 604_800
    #: Services that documents may call: name to dotted path.
    SERVICES: dict[str, str] = {}
    #: Days after which supervisors delete what has ended; None keeps it.
    RETENTION_DAYS: int | None = None
    #: The largest single value a step may store, in bytes of JSON.
    MAX_PAYLOAD_BYTES: int = 1_048_576
    #: Entries into one step on a circle, in one execution, before it is called endless.
    MAX_VISITS: int = 10_000
    #: Children within children.
    MAX_DEPTH: int = 20

    def __getattribute__(self, name: str) -> Any:
        default = super().__getattribute__(name)
        if not name.isupper():
            return default
        return given().get(name, default)


def given() -> dict[str, Any]:
    """Return ``settings.WORKFLOWS`` as the project wrote it."""
    configured = getattr(django_settings, "WORKFLOWS", {})
    if not isinstance(configured, dict):
        raise ImproperlyConfigured(f"WORKFLOWS must be a dict, not {configured!r}.")
    return configured


settings = Settings()
