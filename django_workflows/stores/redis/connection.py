"""How RedisStore asks Redis, and what it says where Redis does not answer."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any

from django_workflows.core.store import Store
from django_workflows.exceptions import ConfigurationError, StoreUnavailable
from django_workflows.stores.redis.rows import moment

try:
    import redis
    from redis import exceptions as errors
except ImportError as error:  # pragma: no cover  the tests have it
    raise ConfigurationError(
        'RedisStore needs the redis library: pip install "django-durable-workflows[redis]"'
    ) from error

_UNAVAILABLE = (
    errors.ConnectionError,
    errors.OutOfMemoryError,
    errors.ReadOnlyError,
    errors.TimeoutError,
)


class RedisConnection(Store):
    """The part of RedisStore that talks to the server."""

    def __init__(
        self,
        url: str = "redis://127.0.0.1:6379/0",
        prefix: str = "workflows",
        timeout: float = 10,
        **options: Any,
    ) -> None:
        super().__init__(url=url, prefix=prefix, timeout=timeout, **options)
        self.prefix = prefix
        self.client = redis.Redis.from_url(
            url,
            decode_responses=True,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            **options,
        )
        self._scripts: dict[str, Any] = {}

    def now(self) -> datetime:
        seconds, microseconds = self._command("TIME")
        return moment(int(seconds) * 1_000_000 + int(microseconds))

    def _run(self, script: str, *arguments: str | float) -> Any:
        if script not in self._scripts:
            self._scripts[script] = self.client.register_script(script)
        return self._asked(self._scripts[script], args=[self.prefix, *arguments])

    def _command(self, *arguments: str | int) -> Any:
        return self._asked(self.client.execute_command, *arguments)

    def _asked(self, ask: Any, *arguments: Any, **options: Any) -> Any:
        try:
            return ask(*arguments, **options)
        except _UNAVAILABLE as error:
            raise StoreUnavailable(type(self).__name__, error) from error

    def _key(self, *parts: str) -> str:
        return ":".join((self.prefix, *parts))

    @staticmethod
    def _token() -> str:
        return secrets.token_hex(8)
