"""
The Lua that RedisStore runs: each script is one atomic step, and leaves rows and sets agreeing.

See lua.py for the keys. What children and the inbox need beyond it is in their modules.
"""

from django_workflows.stores.redis.lua import PRELUDE

#: guard (null, or the id of a parent and its fence), list of id, cells and entries -> for each the
#: row that is there already, or nothing; nothing at all where the guard does not hold.
CREATE = (
    PRELUDE
    + """
if ARGV[2] ~= 'null' then
  local guard = cjson.decode(ARGV[2])
  if redis.call('HGET', key('execution', guard.id), 'fence') ~= guard.fence then return false end
end
local found = {}
for _, new in ipairs(cjson.decode(ARGV[3])) do
  local known = redis.call('EXISTS', key('execution', new.id)) == 1 and new.id
  local is = {}
  for i = 1, #new.cells, 2 do is[new.cells[i]] = new.cells[i + 1] end
  if not known and is.idempotency_key ~= 'null' then
    known = redis.call('HGET', key('keys', is.workflow_id), is.idempotency_key)
  end
  if known then
    table.insert(found, redis.call('HGETALL', key('execution', known)))
  else
    change_execution(new.id, new.cells)
    append(new.id, new.entries)
    table.insert(found, false)
  end
end
return found
"""
)

#: id, token, change -> "written", "taken" where its event is, or "guarded" where its guard, what
#: fields of the stored row must be, did not hold. The token names this write: a client that lost
#: the reply and sends the script again finds its token there, and nothing is written twice.
WRITE = (
    PRELUDE
    + """
-- What is purged with a wait is found by it.
local function note_taken(event)
  local wait = key('wait', cjson.decode(event.taken_by))
  if redis.call('EXISTS', wait) == 1 then redis.call('HSET', wait, 'event', event.id) end
end

local id, token, new = ARGV[2], ARGV[3], cjson.decode(ARGV[4])
local row = key('execution', id)
if redis.call('HGET', row, 'token') == token then return 'written' end
for field, expected in pairs(new.guard) do
  if redis.call('HGET', row, field) ~= expected then return 'guarded' end
end
if new.event then
  local event = key('event', new.event.id)
  if redis.call('HGET', event, 'taken_by') ~= 'null' then return 'taken' end
  redis.call('HSET', event, 'taken_by', new.event.taken_by)
  redis.call('ZREM', key('inbox', new.event.topic), new.event.id)
end
table.insert(new.cells, 'token')
table.insert(new.cells, token)
local waits = {}
for _, wait in ipairs(new.waits) do
  local known = redis.call('EXISTS', key('wait', wait.id)) == 1
  if known or not wait.known_only then table.insert(waits, wait) end
end
change_execution(id, new.cells, waits)
if new.event then note_taken(new.event) end
append(id, new.entries)
leave(new.chores)
return 'written'
"""
)

_CLAIMING = (
    PRELUDE
    + """
local token, owner, now, until_when = ARGV[2], ARGV[3], ARGV[4], ARGV[5]

local function claim(id)
  local is = pick(key('execution', id), 'fence', 'claims', 'started_at')
  change_execution(id, {
    'token', token,
    'status', '"running"',
    'lease_owner', owner,
    'lease_expires_at', until_when,
    'fence', string.format('%d', is.fence + 1),
    'claims', string.format('%d', is.claims + 1),
    'started_at', is.started_at == 'null' and now or is.started_at,
    'updated_at', now,
  })
end
"""
)

#: token, owner, now, end of the lease, id -> the row as claimed, or nothing.
CLAIM = (
    _CLAIMING
    + """
local id = ARGV[6]
local row = key('execution', id)
if redis.call('HGET', row, 'token') ~= token then
  local is = pick(row, 'status', 'lease_expires_at')
  local lease = is.lease_expires_at
  local is_over = lease == 'null' or tonumber(lease) < tonumber(now)
  if is.status ~= '"pending"' and not (is.status == '"running"' and is_over) then return false end
  claim(id)
end
return redis.call('HGETALL', row)
"""
)

#: token, owner, now, end of the lease, limit, names of sets -> the rows as claimed, in any order.
CLAIM_PENDING = (
    _CLAIMING
    + """
local limit = tonumber(ARGV[6])
if limit < 1 then return {} end
local taken = done(key('due', 'expired'), until_when, token)
if #taken > 0 then return rows('execution', taken) end
local first = {}
for i = 7, #ARGV do
  local found = redis.call('ZRANGE', key(ARGV[i]), 0, limit - 1, 'WITHSCORES')
  for j = 1, #found, 2 do
    table.insert(first, {place = found[j], urgency = tonumber(found[j + 1])})
  end
end
table.sort(first, function(one, other)
  if one.urgency ~= other.urgency then return one.urgency < other.urgency end
  return one.place < other.place
end)
for i = 1, math.min(limit, #first) do
  local id = string.match(first[i].place, ':(.*)')
  claim(id)
  table.insert(taken, id)
end
return rows('execution', taken)
"""
)

#: id -> the row of an execution and those of its waits, oldest first.
READ = (
    PRELUDE
    + """
local waits = redis.call('ZRANGE', key('waits', ARGV[2]), 0, -1)
return {redis.call('HGETALL', key('execution', ARGV[2])), rows('wait', waits)}
"""
)

#: id, chore -> whether it was there. Takes entries, waits and children along, and leaves the chore
#: to its parent.
DELETE = (
    PRELUDE
    + """
local function delete(id)
  local is = pick(key('execution', id), 'id', 'parent')
  local waits = {}
  for _, wait in ipairs(redis.call('ZRANGE', key('waits', id), 0, -1)) do
    table.insert(waits, {id = wait})
  end
  change_execution(id, nil, waits)
  redis.call('DEL', key('entries', id))
  for _, child in ipairs(redis.call('ZRANGE', key('parent', is.id), 0, -1)) do delete(child) end
  return is.parent
end

if redis.call('EXISTS', key('execution', ARGV[2])) == 0 then return 0 end
local parent = delete(ARGV[2])
if parent ~= 'null' and redis.call('EXISTS', key('execution', cjson.decode(parent))) == 1 then
  local chore = cjson.decode(ARGV[3])
  table.insert(chore.cells, 'execution_id')
  table.insert(chore.cells, parent)
  leave({chore})
end
return 1
"""
)

#: what is listed, "oldest" or "newest" first, limit, "id" or "row", names of sets -> members that
#: are in all of the sets, or their rows. With "-" before its name: in none of these sets.
SELECT = (
    PRELUDE
    + """
local kind, order, limit, form = ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5]
if limit < 1 then return {} end
local sets, others = {}, {}
for i = 6, #ARGV do
  local name = string.match(ARGV[i], '^-(.*)')
  table.insert(name and others or sets, key(name or ARGV[i]))
end
local members
if #sets > 1 then
  table.insert(sets, 1, #sets)
  table.insert(sets, 'AGGREGATE')
  table.insert(sets, 'MAX')
  members = redis.call('ZINTER', unpack(sets))
elseif #others > 0 then
  members = redis.call('ZRANGE', sets[1], 0, -1)
elseif order == 'newest' then
  members = redis.call('ZRANGE', sets[1], -limit, -1)
else
  members = redis.call('ZRANGE', sets[1], 0, limit - 1)
end
local function is_other(member)
  for _, set in ipairs(others) do
    if redis.call('ZSCORE', set, member) then return true end
  end
end
local found = {}
for i = 1, #members do
  if #found == limit then break end
  local member = members[order == 'newest' and #members + 1 - i or i]
  if not is_other(member) then table.insert(found, member) end
end
return form == 'id' and found or rows(kind, found)
"""
)

#: moment, limit, where to begin, fields -> a page of parts of pending executions, by created_at and
#: id; an empty one where none has been pending since the moment.
PENDING = (
    PRELUDE
    + """
local before, limit, from = ARGV[2], ARGV[3], ARGV[4]
if redis.call('ZCOUNT', key('due', 'pending'), '-inf', before) == 0 then return {} end
local ids = {}
local page = redis.call('ZRANGE', key('pending'), from, '+', 'BYLEX', 'LIMIT', 0, limit)
for _, place in ipairs(page) do
  table.insert(ids, string.match(place, ':(.*)'))
end
return parts('execution', ids, cjson.decode(ARGV[5]))
"""
)

#: now, limit -> ids of executions whose lease ended, and whose deadline has passed; then, as pairs
#: with their execution, of waits whose time has come, and of those to remind of.
DUE = (
    PRELUDE
    + """
local now, limit = ARGV[2], ARGV[3]
local function until_now(name, last)
  return redis.call('ZRANGE', key('due', name), '-inf', last, 'BYSCORE', 'LIMIT', 0, limit)
end
local function waits(name)
  local found = {}
  for _, wait in ipairs(until_now(name, now)) do
    local execution = redis.call('HGET', key('wait', wait), 'execution_id')
    table.insert(found, {cjson.decode(execution), wait})
  end
  return found
end
return {until_now('expired', '(' .. now), until_now('deadline', now), waits('wait'),
  waits('reminder')}
"""
)
