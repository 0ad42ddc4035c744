"""
An execution's history as server-sent events (WHATWG HTML, section 9.2), while it grows.

What is sent is what the database has, so it does not matter who drives the execution, or where:
a client that comes back with the id of the last event misses nothing.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.db import DatabaseError, connections
from django.db.models import QuerySet
from django.http import HttpResponse, StreamingHttpResponse
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.utils.encoders import JSONEncoder

from django_workflows.models import WorkflowEntry, WorkflowExecution
from django_workflows.rest_framework.base import database
from django_workflows.rest_framework.pagination import MOST_NUMBER
from django_workflows.rest_framework.serializers import WorkflowEntrySerializer

CONTENT_TYPE = "text/event-stream"
LAST_EVENT_ID = "Last-Event-ID"

#: One event of the stream, as the document has it.
EVENT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["event", "data"],
    "properties": {
        "id": {"type": "string", "pattern": r"^\d+(-end)?$"},
        "event": {"type": "string", "pattern": r"^(status|end|step\.[a-z_]+)$"},
        "data": {"type": "string", "description": "JSON."},
    },
}

#: For who begins anew, as a browser's EventSource after a reload: it can set no header then.
LAST_EVENT_PARAMETER = "last_event_id"

#: As many lines of history as are read at once: each may be as large as what a step takes and
#: returns, and is held for each of those who follow.
BATCH = 10

_EVENT_ID = re.compile(r"(?P<entry>\d{1,19})(?P<end>-end)?")


#: Has to read anew who asks: a user remembers the permissions that it had.
Rows = Callable[[], QuerySet[WorkflowExecution]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long a connection lives, and how often it looks, in seconds."""

    poll: float = 1
    heartbeat: float = 10
    #: A thread of a WSGI server is held for as long; sync workers of Gunicorn have 30 seconds.
    wsgi: float = 25
    #: Under ASGI nothing but memory is held.
    asgi: float = 300
    #: After which the client comes again.
    again: float = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """How far a client has come: the last entry that it saw, and if it saw the end."""

    entry: int = 0
    is_end: bool = False

    @classmethod
    def of(cls, request: Request) -> Place:
        """Return the place that a request names. Raise ValidationError."""
        header = request.headers.get(LAST_EVENT_ID)
        parameter = request.query_params.get(LAST_EVENT_PARAMETER)
        named = {LAST_EVENT_ID: header, LAST_EVENT_PARAMETER: parameter}
        places = {name: cls._read(name, text) for name, text in named.items() if text is not None}
        # The header is the later one: it is what a client has come to since it began.
        return places.get(LAST_EVENT_ID) or places.get(LAST_EVENT_PARAMETER) or cls()

    @classmethod
    def _read(cls, name: str, text: str) -> Place:
        match = _EVENT_ID.fullmatch(text)
        if match is None or not text.isascii() or int(match["entry"]) > MOST_NUMBER:
            raise ValidationError({name: [_("Must be the id of an event of this stream.")]})
        return cls(entry=int(match["entry"]), is_end=match["end"] is not None)


class Tail:
    """
    What comes of an execution after a place, for as long as the user may view it.

    ``rows`` is called at each look, and returns the one execution if they may view it then.
    """

    def __init__(self, rows: Rows, place: Place) -> None:
        self.rows = rows
        self.place = place
        self.shown: tuple[Any, ...] | None = None

    @property
    def is_over(self) -> bool:
        """Say whether the client has seen all of it, and its end."""
        row = self._row()
        return bool(row and self.place.is_end and row.status.is_final and not self._entries(row))

    def blocks(self) -> Iterator[str | None]:
        """
        Generate the stream, without end where the execution has none; None is a pause.

        It ends with the execution, and where the user may not view it any more.
        """
        while (row := self._row()) is not None:
            yield from self._status(row)
            # Read after the row: where that has ended, these are all but for what a batch leaves.
            entries = self._entries(row)
            for entry in entries:
                self.place = Place(entry=entry.id)
                shown = WorkflowEntrySerializer(entry).data
                yield block(f"step.{entry.action}", shown, str(entry.id))
            if len(entries) == BATCH:
                continue  # a long history takes long to send: who may view it is asked again
            if row.status.is_final:
                last = {"status": str(row.status), "error": row.error}
                yield block("end", last, f"{self.place.entry}-end")
                return
            yield None

    def _status(self, row: WorkflowExecution) -> Iterator[str]:
        now = (str(row.status), row.current_step, row.attempt)
        if now != self.shown:
            self.shown = now
            # Without an id: it is told to everybody who comes, and no place to go on from.
            yield block("status", dict(zip(("status", "step", "attempt"), now, strict=True)))

    def _row(self) -> WorkflowExecution | None:
        return self.rows().only("status", "current_step", "attempt", "error").first()

    def _entries(self, row: WorkflowExecution) -> list[WorkflowEntry]:
        entries = WorkflowEntry.objects.using(database()).filter(execution=row.pk)
        return list(entries.filter(pk__gt=self.place.entry).order_by("pk")[:BATCH])


def block(event: str, data: Any, event_id: str = "") -> str:
    """Return one event as the stream has it."""
    named = f"id: {event_id}\n" if event_id else ""
    text = json.dumps(data, cls=JSONEncoder, allow_nan=False)
    return f"{named}event: {event}\ndata: {text}\n\n"


def stream(request: Request, rows: Rows, pace: Pace) -> HttpResponse | Any:
    """
    Return the answer that follows an execution, as the server's kind wants it; see Tail.

    With 204, which has an EventSource stop asking, where the client has seen it end.
    """
    tail = Tail(rows, Place.of(request))
    if tail.is_over:
        return HttpResponse(status=204)
    if request.method == "HEAD":
        return HttpResponse(content_type=CONTENT_TYPE)
    is_async = isinstance(request._request, ASGIRequest)  # noqa: SLF001  what it wraps
    driver: Callable[..., Any] = driven_async if is_async else driven
    headers = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}
    return StreamingHttpResponse(driver(tail, pace), content_type=CONTENT_TYPE, headers=headers)


class Clock:
    """When a connection has to say something, and when it has to end."""

    def __init__(self, pace: Pace, seconds: float) -> None:
        self.pace = pace
        self.ends = time.monotonic() + seconds
        self.speaks = time.monotonic() + pace.heartbeat

    @property
    def opening(self) -> str:
        """Return what comes first: when to come again, and something for a proxy to pass on."""
        return f"retry: {round(self.pace.again * 1000)}\n\n"

    def heartbeat(self, *, spoke: bool) -> str:
        """Return a comment where nothing was said for long, else nothing."""
        now = time.monotonic()
        if not spoke and now < self.speaks:
            return ""
        self.speaks = now + self.pace.heartbeat
        return "" if spoke else ": still here\n\n"

    def is_over(self, text: str | None) -> bool:
        """
        Say whether the connection is to end after ``text``, for having lasted as long as it may.

        Not after what has no id: whoever comes again has to get further each time.
        """
        is_place = text is None or text.startswith("id: ")
        return is_place and time.monotonic() >= self.ends


def driven(tail: Tail, pace: Pace) -> Iterator[str]:
    """Generate the stream for a WSGI server, whose thread sleeps between two looks."""
    clock = Clock(pace, pace.wsgi)
    yield clock.opening
    for text in _quietly(tail):
        if beat := clock.heartbeat(spoke=text is not None):
            yield beat
        if text is not None:
            yield text
        if clock.is_over(text):
            return
        if text is None:
            time.sleep(pace.poll)


async def driven_async(tail: Tail, pace: Pace) -> AsyncIterator[str]:
    """Generate the stream for an ASGI server; see driven()."""
    clock = Clock(pace, pace.asgi)
    yield clock.opening
    blocks = _quietly(tail)
    while (text := await sync_to_async(_next)(blocks)) != "":
        if beat := clock.heartbeat(spoke=text is not None):
            yield beat
        if text is not None:
            yield text
        if clock.is_over(text):
            return
        if text is None:
            await sync_to_async(_let_go)()
            await asyncio.sleep(pace.poll)


def _quietly(tail: Tail) -> Iterator[str | None]:
    """Generate the blocks, and end where the database does not answer: the client comes again."""
    try:
        yield from tail.blocks()
    except DatabaseError:
        yield ": the database does not answer\n\n"


def _next(blocks: Iterator[str | None]) -> str | None:
    return next(blocks, "")


def _let_go() -> None:
    """Give the connections back: of a thousand that listen, few read at one time."""
    # All of them: users may be in another database than executions.
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close()
