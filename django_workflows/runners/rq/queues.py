"""The queues that ``settings.RQ_QUEUES`` declares."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from django.conf import settings
from django_rq.queues import get_queues
from redis.retry import Retry
from rq import Queue
from rq.serializers import resolve_serializer

from django_workflows.exceptions import ConfigurationError, describe


def declared() -> Mapping[str, Mapping[str, Any]]:
    """Return the setting; empty where there is none."""
    return getattr(settings, "RQ_QUEUES", {})


def problem(name: str) -> str | None:
    """Return what keeps jobs from a queue, with the cure; asks no server."""
    if name not in declared():
        known = ", ".join(map(repr, declared())) or "none"
        return (
            f"The queue {name!r} is not in RQ_QUEUES; there are: {known}."
            f" Add RQ_QUEUES[{name!r}], or name another in"
            " WORKFLOWS['ADAPTER']['OPTIONS']['queue']."
        )
    why = _refusal(declared()[name].get("SERIALIZER"))
    if why is None:
        return None
    return (
        f"The queue {name!r} {why}. Set RQ_QUEUES[{name!r}]['SERIALIZER'] ="
        " 'rq.serializers.JSONSerializer'."
    )


def _refusal(named: Any) -> str | None:
    """Return what speaks against a serializer."""
    try:
        serializer = resolve_serializer(named)
    except Exception as error:  # noqa: BLE001  a module may raise anything
        return f"has a SERIALIZER that cannot be used: {describe(error)}"
    try:
        json.loads(serializer.dumps(["id"]))
    except ValueError:
        return "does not write JSON, but a job is JSON and never a pickle"
    return None


def queues_of(names: Sequence[str]) -> list[Queue]:
    """Return queues on one Redis, with a new connection. Raise ConfigurationError."""
    for name in names:
        found = problem(name)
        if found is not None:
            raise ConfigurationError(found)
    try:
        return list(get_queues(*names))
    except ValueError as error:
        raise ConfigurationError(
            f"The queues {', '.join(names)} are not on one Redis, as a worker's must be: {error}"
        ) from error


def hasten(queue: Queue, retry: Retry, *, timeout: float | None = None) -> None:
    """
    Let a queue's Redis answer within ``timeout`` seconds or not at all.

    Left alone, redis-py tries for seconds. The connection of a cache is not touched: it is the
    project's.
    """
    if "USE_REDIS_CACHE" in declared()[queue.name]:
        return
    queue.connection.set_retry(retry)
    if timeout is not None:
        queue.connection.connection_pool.connection_kwargs.update(
            socket_timeout=timeout, socket_connect_timeout=timeout
        )
