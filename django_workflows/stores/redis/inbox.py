"""What RedisStore keeps beside executions: events, chores, who is at work, and graphs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django_workflows.core import codec
from django_workflows.core.chores import Chore
from django_workflows.core.presence import Presence
from django_workflows.core.waits import InboxEvent
from django_workflows.stores.redis.connection import RedisConnection
from django_workflows.stores.redis.lua import PRELUDE
from django_workflows.stores.redis.rows import cells, left, record, score, text

#: id, topic, cells, chores -> the row that is there already, or none. Sent again, it neither gives
#: an event back nor leaves a chore anew.
_ADD_EVENT = (
    PRELUDE
    + """
local id = ARGV[2]
local row = key('event', id)
if redis.call('EXISTS', row) == 1 then return rows('event', {id}) end
put(row, cjson.decode(ARGV[4]))
local is = pick(row, 'sent_at', 'taken_by')
if is.taken_by == 'null' then redis.call('ZADD', key('inbox', ARGV[3]), is.sent_at, id) end
leave(cjson.decode(ARGV[5]))
return {}
"""
)

#: topic -> no or one row.
_NEXT_EVENT = (
    PRELUDE
    + """
return rows('event', redis.call('ZRANGE', key('inbox', ARGV[2]), 0, 0))
"""
)

#: now, limit -> rows.
_CHORES = (
    PRELUDE
    + """
local ids = redis.call('ZRANGE', key('chores'), '-inf', ARGV[2], 'BYSCORE', 'LIMIT', 0, ARGV[3])
return rows('chore', ids)
"""
)

#: id
_FINISH_CHORE = (
    PRELUDE
    + """
finish(ARGV[2])
"""
)


class RedisInbox(RedisConnection):
    """The part of RedisStore that keeps what belongs to no execution, or not yet."""

    def add_event(self, event: InboxEvent, chore: Chore | None = None) -> InboxEvent:
        chores = [] if chore is None else [chore]
        found = self._run(_ADD_EVENT, event.id, event.topic, text(cells(event)), text(left(chores)))
        return record(InboxEvent, found[0]) if found else event

    def next_event(self, topic: str) -> InboxEvent | None:
        for row in self._run(_NEXT_EVENT, topic):
            return record(InboxEvent, row)
        return None

    def chores(self, now: datetime, limit: int = 100) -> list[Chore]:
        return [record(Chore, row) for row in self._run(_CHORES, score(now), limit)]

    def finish_chore(self, chore_id: str) -> None:
        self._run(_FINISH_CHORE, chore_id)

    def announce(self, presence: Presence) -> None:
        self._command("HSET", self._key("present"), presence.id, text(presence.to_dict()))

    def present(self) -> list[Presence]:
        found = self._command("HVALS", self._key("present"))
        present = [Presence.from_dict(json.loads(one)) for one in found]
        return sorted(present, key=lambda presence: presence.started_at)

    def dismiss(self, presence_id: str) -> None:
        self._command("HDEL", self._key("present"), presence_id)

    def remember_graph(self, workflow_id: str, version: str, graph: Mapping[str, Any]) -> None:
        self._command("HSET", self._key("graphs", workflow_id), version, codec.dumps(dict(graph)))

    def graph(self, workflow_id: str, version: str) -> dict[str, Any] | None:
        kept = self._command("HGET", self._key("graphs", workflow_id), version)
        return None if kept is None else codec.loads(kept)
