"""Watch an execution live while it is driven here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from django_workflows.core.execution import Event, ExecutionResult
from django_workflows.core.store import Store
from django_workflows.runners.base import Driven, engine_of

Subscriber = Callable[[Event], object]


class Stream:
    """
    A thin driver around an engine that tells its subscribers of every event, in order.

    A subscriber that raises is logged; the others, and the execution, do not notice.
    """

    def __init__(self, driven: Driven, store: Store | None = None) -> None:
        """Take an engine, or a workflow and a store."""
        self.engine = engine_of(driven, store)
        self._before = self.engine.emit
        self._subscribers: list[tuple[Subscriber, frozenset[str] | None]] = []
        self.engine.emit = self._tell

    def subscribe(
        self, events: Iterable[str] | None = None, callback: Subscriber | None = None
    ) -> Callable[..., Any]:
        """
        Tell ``callback`` of the named events, of all if left out; return what ends it.

        Without ``callback``, return a decorator: ``@stream.subscribe(["step.completed"])``.
        """
        names = None if events is None else frozenset(events)

        def add(subscriber: Subscriber) -> Callable[[], None]:
            entry = (subscriber, names)
            self._subscribers.append(entry)
            return lambda: self._end(entry)

        if callback is not None:
            return add(callback)

        def decorate(subscriber: Subscriber) -> Subscriber:
            add(subscriber)
            return subscriber

        return decorate

    def run(
        self, input: Mapping[str, Any] | None = None, execution_id: str | None = None, **fields: Any
    ) -> ExecutionResult:
        """See Engine.run()."""
        return self.engine.run(input, execution_id, **fields)

    def resume(self, execution_id: str, **answer: Any) -> ExecutionResult:
        """See Engine.resume()."""
        return self.engine.resume(execution_id, **answer)

    def _end(self, entry: tuple[Subscriber, frozenset[str] | None]) -> None:
        if entry in self._subscribers:
            self._subscribers.remove(entry)

    def _tell(self, event: Event) -> None:
        if self._before is not None:
            self.engine.robustly(self._before, event)
        for subscriber, names in list(self._subscribers):
            if names is None or event.name in names:
                self.engine.robustly(subscriber, event)
