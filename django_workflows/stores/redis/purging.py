"""How RedisStore deletes what ended long ago, each batch of trees by one script."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from django_workflows.core.execution import FINAL_STATUSES, ExecutionStatus
from django_workflows.core.store import MOST_PURGED, Ended, Purged
from django_workflows.stores.redis.connection import RedisConnection
from django_workflows.stores.redis.lua import PRELUDE
from django_workflows.stores.redis.rows import moment, score, text

_ENDED = (
    PRELUDE
    + """
local function set(list)
  local found = {}
  for _, one in ipairs(list) do found[one] = true end
  return found
end
"""
)

#: How many of the set one script looks at: others are to have their turn in between.
_PAGE = 1000

#: first and last moment, where in it to begin, how many to look at, statuses, workflows or null
#: -> how many were looked at, and of these ids and moments of those that are as asked.
_FIND = (
    _ENDED
    + """
local statuses, workflows = set(cjson.decode(ARGV[6])), cjson.decode(ARGV[7])
workflows = workflows ~= cjson.null and set(workflows)
local page = redis.call(
  'ZRANGE', key('ended'), ARGV[2], ARGV[3], 'BYSCORE', 'LIMIT', ARGV[4], ARGV[5], 'WITHSCORES')
local found = {}
for i = 1, #page, 2 do
  local is = pick(key('execution', page[i]), 'status', 'workflow_id', 'parent', 'finished_at')
  local wanted = not workflows or workflows[is.workflow_id]
  if statuses[is.status] and wanted and not has_parent(is) then
    table.insert(found, {page[i], is.finished_at})
  end
end
return {#page / 2, found}
"""
)

#: moment, most, statuses, ids -> how many of the ids were dealt with, and how many executions
#: deleted.
_PURGE = (
    _ENDED
    + """
local before, most, final = tonumber(ARGV[2]), tonumber(ARGV[3]), set(cjson.decode(ARGV[4]))

-- A root and all below it, where they have ended; else nothing.
local function ended_tree(root)
  local is = pick(key('execution', root), 'finished_at', 'parent')
  local is_young = is.finished_at == 'null' or tonumber(is.finished_at) >= before
  if is_young or has_parent(is) then return {} end
  local tree, i = {root}, 1
  while i <= #tree do
    local one = pick(key('execution', tree[i]), 'id', 'status')
    if not final[one.status] then return {} end
    for _, child in ipairs(redis.call('ZRANGE', key('parent', one.id), 0, -1)) do
      table.insert(tree, child)
    end
    i = i + 1
  end
  return tree
end

local function delete(id)
  local is, waits = pick(key('execution', id), 'id'), {}
  for _, wait in ipairs(redis.call('ZRANGE', key('waits', id), 0, -1)) do
    local event = redis.call('HGET', key('wait', wait), 'event')
    if event then redis.call('DEL', key('event', event)) end
    table.insert(waits, {id = wait})
  end
  for _, chore in ipairs(redis.call('SMEMBERS', key('chores_of', is.id))) do finish(chore) end
  change_execution(id, nil, waits)
  redis.call('DEL', key('entries', id))
end

local dealt_with, deleted = 0, 0
for i = 5, #ARGV do
  local tree = ended_tree(ARGV[i])
  if dealt_with > 0 and deleted + #tree > most then break end
  for _, id in ipairs(tree) do delete(id) end
  dealt_with, deleted = dealt_with + 1, deleted + #tree
end
return {dealt_with, deleted}
"""
)


class RedisPurging(RedisConnection):
    """The part of RedisStore that is about retention."""

    def ended(
        self,
        before: datetime,
        limit: int = 100,
        *,
        workflow_ids: Collection[str] | None = None,
        statuses: Collection[ExecutionStatus] | None = None,
        after: Ended | None = None,
    ) -> list[Ended]:
        wanted = [text(status) for status in (FINAL_STATUSES if statuses is None else statuses)]
        names = None if workflow_ids is None else [text(name) for name in workflow_ids]
        since = "-inf" if after is None else score(after.finished_at)
        found: list[Ended] = []
        begin, seen = 0, _PAGE
        while seen == _PAGE and len(found) < limit:
            seen, page = self._run(
                *(_FIND, since, f"({score(before)}", begin, _PAGE, text(wanted), text(names))
            )
            found += [Ended(id=name, finished_at=moment(int(ended))) for name, ended in page]
            if after is not None:
                found = [one for one in found if _place(one) > _place(after)]
            begin += seen
        return found[:limit]

    def purge(self, roots: Sequence[str], before: datetime, most: int = MOST_PURGED) -> Purged:
        final = text([text(status) for status in FINAL_STATUSES])
        dealt_with, deleted = self._run(_PURGE, score(before), most, final, *roots)
        return Purged(roots=dealt_with, executions=deleted)


def _place(ended: Ended) -> tuple[datetime, str]:
    return ended.finished_at, ended.id
