"""What RedisStore knows of the children of a step, each question and each change one script."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from django_workflows.core import clock
from django_workflows.core.execution import FINAL_STATUSES, Execution, ExecutionStatus
from django_workflows.core.store import LOST, ChildrenState
from django_workflows.exceptions import StaleExecution
from django_workflows.stores.redis import scripts
from django_workflows.stores.redis.connection import RedisConnection
from django_workflows.stores.redis.lua import PRELUDE
from django_workflows.stores.redis.rows import cells, record, score, text

#: What is read of each child.
_FIELDS = ("id", "workflow_id", "status", "item", "result", "error", "ctx", "parent")

#: parent, step, statuses -> how many there are of each.
_TALLY = (
    PRELUDE
    + """
local counts = {}
for i = 4, #ARGV do
  table.insert(counts, redis.call('ZCARD', key('children', ARGV[2], ARGV[3], ARGV[i])))
end
return counts
"""
)

#: parent, step, fields, statuses -> parts of those of these statuses.
_CHILDREN = (
    PRELUDE
    + """
local found, fields = {}, cjson.decode(ARGV[4])
for i = 5, #ARGV do
  local ids = redis.call('ZRANGE', key('children', ARGV[2], ARGV[3], ARGV[i]), 0, -1)
  for _, part in ipairs(parts('execution', ids, fields)) do table.insert(found, part) end
end
return found
"""
)

#: parent, step, token, statuses: take those of these statuses from the step.
_SUPERSEDE = (
    PRELUDE
    + """
for i = 5, #ARGV do
  local ids = redis.call('ZRANGE', key('children', ARGV[2], ARGV[3], ARGV[i]), 0, -1)
  for _, id in ipairs(ids) do
    change_execution(id, {'token', ARGV[4], 'parent_step', 'null'})
  end
end
"""
)

#: parent, step, token, now, most, statuses of those that live -> rows of the released ones, in
#: any order.
_RELEASE_HELD = (
    PRELUDE
    + """
local parent, step, token, now = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local released = done(key('due', 'pending'), now, token)
if #released > 0 then return rows('execution', released) end
local held = key('held', parent, step)
local free = tonumber(ARGV[6]) + redis.call('ZCARD', held)
for i = 7, #ARGV do
  free = free - redis.call('ZCARD', key('children', parent, step, ARGV[i]))
end
if free < 1 then return {} end
local ids = redis.call('ZRANGE', held, 0, free - 1)
for _, id in ipairs(ids) do
  change_execution(id, {
    'token', token,
    'status', '"pending"',
    'recover_to', 'null',
    'halt_data', 'null',
    'updated_at', now,
  })
end
return rows('execution', ids)
"""
)


class RedisChildren(RedisConnection):
    """The part of RedisStore that keeps parents and children together."""

    def create_children(
        self, parent: str, fence: int, children: Sequence[Execution]
    ) -> list[Execution]:
        new = [
            {"id": child.id, "cells": [*cells(child), "token", self._token()], "entries": []}
            for child in children
        ]
        guard = {"id": parent, "fence": text(fence)}
        found = self._run(scripts.CREATE, text(guard), text(new))
        if found is None:
            raise StaleExecution(parent, fence)
        return [
            child if row is None else record(Execution, row)
            for child, row in zip(children, found, strict=True)
        ]

    def children_state(self, parent: str, step: str) -> ChildrenState:
        statuses = set(self.tally(parent, step))
        return ChildrenState(live=bool(statuses - FINAL_STATUSES), lost=bool(statuses & LOST))

    def tally(self, parent: str, step: str) -> Mapping[ExecutionStatus, int]:
        counts = self._run(_TALLY, text(parent), text(step), *map(text, ExecutionStatus))
        return {
            status: count for status, count in zip(ExecutionStatus, counts, strict=True) if count
        }

    def children(self, parent: str, step: str) -> list[Execution]:
        found = self._run(
            _CHILDREN, text(parent), text(step), text(_FIELDS), *map(text, ExecutionStatus)
        )
        return _by_item(found)

    def supersede(self, parent: str, step: str) -> None:
        self._run(_SUPERSEDE, text(parent), text(step), self._token(), *map(text, LOST))

    def release_held(self, parent: str, step: str, most: int) -> list[Execution]:
        live = [text(status) for status in ExecutionStatus if status not in FINAL_STATUSES]
        now = score(clock.now())
        found = self._run(_RELEASE_HELD, text(parent), text(step), self._token(), now, most, *live)
        return _by_item(found)


def _by_item(rows: Iterable[Sequence[str]]) -> list[Execution]:
    children = [record(Execution, row) for row in rows]
    return sorted(children, key=lambda child: (child.item or 0, child.id))
