"""
The Lua that RedisStore runs: each script is one atomic step, and leaves rows and indexes agreeing.

Keys, all under the prefix:

    execution:ID  wait:ID  event:ID      hashes: the records
    entries:ID                           list: the history of an execution
    waits:ID                             sorted set: the waits of an execution, by opened_at
    all  workflow:…  status:…  parent:…  subject:…
                                         sorted sets of executions, by created_at
    open  kind:…  key:…                  sorted sets of open waits, by opened_at
    due:pending  due:expired  due:wait  due:deadline
                                         sorted sets, by the moment since which it is due
    keys:WORKFLOW                        hash: idempotency key to execution
    inbox:TOPIC  taken                   sorted set of untaken events; hash: wait to its event
    graphs:WORKFLOW                      hash: version to graph

Where a name ends in a value, the value is the JSON text that the record's hash has.
"""

_PRELUDE = """
local prefix = ARGV[1]

local function key(...)
  return prefix .. ':' .. table.concat({...}, ':')
end

local function pick(row, ...)
  local found = {}
  for i, value in ipairs(redis.call('HMGET', row, ...)) do
    found[select(i, ...)] = value or 'null'
  end
  return found
end

-- The sorted sets that an execution belongs in by what its hash says, and its score in each.
local function execution_sets(id)
  local row = key('execution', id)
  local sets = {}
  if redis.call('EXISTS', row) == 0 then return sets end
  local is = pick(row, 'workflow_id', 'status', 'parent', 'subject', 'created_at',
    'updated_at', 'lease_expires_at', 'deadline_at')
  sets[key('all')] = is.created_at
  sets[key('workflow', is.workflow_id)] = is.created_at
  sets[key('status', is.status)] = is.created_at
  if is.parent ~= 'null' then sets[key('parent', is.parent)] = is.created_at end
  if is.subject ~= 'null' then sets[key('subject', is.subject)] = is.created_at end
  if is.status == '"pending"' then
    sets[key('due', 'pending')] = is.updated_at
  elseif is.status == '"running"' then
    local lease = is.lease_expires_at
    sets[key('due', 'expired')] = lease == 'null' and '-inf' or lease
  elseif is.status == '"halted"' and is.deadline_at ~= 'null' then
    sets[key('due', 'deadline')] = is.deadline_at
  end
  return sets
end

local function wait_sets(id)
  local row = key('wait', id)
  local sets = {}
  if redis.call('EXISTS', row) == 0 then return sets end
  local is = pick(row, 'execution_id', 'status', 'kind', 'key', 'opened_at', 'wake_at')
  sets[key('waits', cjson.decode(is.execution_id))] = is.opened_at
  if is.status ~= '"open"' then return sets end
  sets[key('open')] = is.opened_at
  sets[key('kind', is.kind)] = is.opened_at
  if is.key ~= 'null' then sets[key('key', is.key)] = is.opened_at end
  if is.wake_at ~= 'null' then sets[key('due', 'wait')] = is.wake_at end
  return sets
end

-- Write the cells of a row (none: delete it) and bring its sets in line.
local function change(row, member, sets_of, cells)
  local before = sets_of(member)
  if cells then
    redis.call('HSET', row, unpack(cells))
  else
    redis.call('DEL', row)
  end
  local after = sets_of(member)
  for set in pairs(before) do
    if not after[set] then redis.call('ZREM', set, member) end
  end
  for set, score in pairs(after) do
    if before[set] ~= score then redis.call('ZADD', set, score, member) end
  end
end

local function change_execution(id, cells)
  local row = key('execution', id)
  local was = pick(row, 'workflow_id', 'idempotency_key')
  change(row, id, execution_sets, cells)
  local is = pick(row, 'workflow_id', 'idempotency_key')
  if was.workflow_id == is.workflow_id and was.idempotency_key == is.idempotency_key then return end
  if was.idempotency_key ~= 'null' then
    redis.call('HDEL', key('keys', was.workflow_id), was.idempotency_key)
  end
  if is.idempotency_key ~= 'null' then
    redis.call('HSET', key('keys', is.workflow_id), is.idempotency_key, id)
  end
end

local function append(id, entries)
  for _, entry in ipairs(cjson.decode(entries)) do
    redis.call('RPUSH', key('entries', id), entry)
  end
end
"""

#: id, cells, entries -> the row that is there already, or nothing.
CREATE = (
    _PRELUDE
    + """
local id, cells = ARGV[2], cjson.decode(ARGV[3])
local known = redis.call('EXISTS', key('execution', id)) == 1 and id
local new = {}
for i = 1, #cells, 2 do new[cells[i]] = cells[i + 1] end
if not known and new.idempotency_key ~= 'null' then
  known = redis.call('HGET', key('keys', new.workflow_id), new.idempotency_key)
end
if known then return redis.call('HGETALL', key('execution', known)) end
change_execution(id, cells)
append(id, ARGV[4])
return false
"""
)

#: id, token, guard, cells, entries, waits -> whether the guard held and it was written.
#: The guard says what fields of the stored row must be. The token names this write: a client that
#: lost the reply and sends the script again finds its token there, and nothing is written twice.
WRITE = (
    _PRELUDE
    + """
local id, token = ARGV[2], ARGV[3]
local row = key('execution', id)
if redis.call('HGET', row, 'token') == token then return 1 end
for field, expected in pairs(cjson.decode(ARGV[4])) do
  if redis.call('HGET', row, field) ~= expected then return 0 end
end
local cells = cjson.decode(ARGV[5])
table.insert(cells, 'token')
table.insert(cells, token)
change_execution(id, cells)
append(id, ARGV[6])
for _, wait in ipairs(cjson.decode(ARGV[7])) do
  local known = redis.call('EXISTS', key('wait', wait.id)) == 1
  if known or not wait.known_only then
    change(key('wait', wait.id), wait.id, wait_sets, wait.cells)
  end
end
return 1
"""
)

#: id, token, owner, now, end of the lease -> the row as claimed, or nothing.
CLAIM = (
    _PRELUDE
    + """
local id, token, now = ARGV[2], ARGV[3], ARGV[5]
local row = key('execution', id)
if redis.call('HGET', row, 'token') == token then return redis.call('HGETALL', row) end
local is = pick(row, 'status', 'lease_expires_at', 'fence', 'claims', 'started_at')
local lease = is.lease_expires_at
local abandoned = is.status == '"running"' and (lease == 'null' or tonumber(lease) < tonumber(now))
if is.status ~= '"pending"' and not abandoned then return false end
change_execution(id, {
  'token', token,
  'status', '"running"',
  'lease_owner', ARGV[4],
  'lease_expires_at', ARGV[6],
  'fence', string.format('%d', is.fence + 1),
  'claims', string.format('%d', is.claims + 1),
  'started_at', is.started_at == 'null' and now or is.started_at,
  'updated_at', now,
})
return redis.call('HGETALL', row)
"""
)

#: id -> the row of an execution and those of its waits, oldest first.
READ = (
    _PRELUDE
    + """
local waits = {}
for _, id in ipairs(redis.call('ZRANGE', key('waits', ARGV[2]), 0, -1)) do
  table.insert(waits, redis.call('HGETALL', key('wait', id)))
end
return {redis.call('HGETALL', key('execution', ARGV[2])), waits}
"""
)

#: id -> whether it was there. Takes entries, waits and children along.
DELETE = (
    _PRELUDE
    + """
local function delete(id)
  local row = key('execution', id)
  local name = redis.call('HGET', row, 'id')
  if not name then return 0 end
  change_execution(id, nil)
  for _, wait in ipairs(redis.call('ZRANGE', key('waits', id), 0, -1)) do
    change(key('wait', wait), wait, wait_sets, nil)
  end
  redis.call('DEL', key('entries', id))
  for _, child in ipairs(redis.call('ZRANGE', key('parent', name), 0, -1)) do delete(child) end
  return 1
end
return delete(ARGV[2])
"""
)

#: what is listed, "oldest" or "newest" first, limit, "id" or "row", names of sets -> members that
#: are in all of the sets, or their rows.
SELECT = (
    _PRELUDE
    + """
local kind, order, limit, form = ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5]
if limit < 1 then return {} end
local sets = {}
for i = 6, #ARGV do table.insert(sets, key(ARGV[i])) end
local members
if #sets > 1 then
  table.insert(sets, 1, #sets)
  table.insert(sets, 'AGGREGATE')
  table.insert(sets, 'MAX')
  members = redis.call('ZINTER', unpack(sets))
elseif order == 'newest' then
  members = redis.call('ZRANGE', sets[1], -limit, -1)
else
  members = redis.call('ZRANGE', sets[1], 0, limit - 1)
end
local found = {}
for i = 1, math.min(limit, #members) do
  local member = members[order == 'newest' and #members + 1 - i or i]
  table.insert(found, form == 'id' and member or redis.call('HGETALL', key(kind, member)))
end
return found
"""
)

#: now, limit -> four lists of ids (for waits: pairs of execution and wait): pending, expired,
#: waiting, late.
DUE = (
    _PRELUDE
    + """
local now, limit = ARGV[2], ARGV[3]
local function until_now(name, last)
  return redis.call('ZRANGE', key('due', name), '-inf', last, 'BYSCORE', 'LIMIT', 0, limit)
end
local waits = {}
for _, wait in ipairs(until_now('wait', now)) do
  local execution = redis.call('HGET', key('wait', wait), 'execution_id')
  table.insert(waits, {cjson.decode(execution), wait})
end
return {until_now('pending', '+inf'), until_now('expired', '(' .. now), waits,
  until_now('deadline', now)}
"""
)

#: id, topic, cells
ADD_EVENT = (
    _PRELUDE
    + """
local id, cells = ARGV[2], cjson.decode(ARGV[4])
local row = key('event', id)
redis.call('HSET', row, unpack(cells))
local is = pick(row, 'sent_at', 'taken_by')
if is.taken_by == 'null' then redis.call('ZADD', key('inbox', ARGV[3]), is.sent_at, id) end
"""
)

#: id of a wait, the same as JSON, topic -> the row of its event, or nothing.
RESERVE_EVENT = (
    _PRELUDE
    + """
local wait, inbox = ARGV[2], key('inbox', ARGV[4])
local id = redis.call('HGET', key('taken'), wait)
if not id then
  id = redis.call('ZRANGE', inbox, 0, 0)[1]
  if not id then return false end
  redis.call('HSET', key('event', id), 'taken_by', ARGV[3])
  redis.call('HSET', key('taken'), wait, id)
  redis.call('ZREM', inbox, id)
end
return redis.call('HGETALL', key('event', id))
"""
)
