"""
What every script of RedisStore begins with: the names of the keys, and how sets follow the rows.

Keys, all under the prefix:

    execution:ID  wait:ID  event:ID  chore:ID
                                         hashes: the records
    entries:ID                           list: the history of an execution
    waits:ID                             sorted set: the waits of an execution, by opened_at
    all  workflow:…  status:…  parent:…  parent_step:…  subject:…
                                         sorted sets of executions, by created_at
    children:PARENT:STEP:STATUS          sorted set: the children of a step, by item
    held:PARENT:STEP                     sorted set: those that wait for their turn, by item
    pending                              sorted set of places, in their order
    ready:WORKFLOW  ready:WORKFLOW:QUEUE sorted sets of places, by the negative priority
    due:pending  due:expired  due:deadline
                                         sorted sets of executions, by the moment since which it is
    open  kind:…  key:…                  sorted sets of open waits, by opened_at
    due:wait  due:reminder               sorted sets of open waits, by the moment
    keys:WORKFLOW                        hash: idempotency key to execution
    inbox:TOPIC                          sorted set: untaken events, by sent_at
    chores                               sorted set: chores, by due_at
    chores_of:EXECUTION                  set: its chores
    ended                                sorted set: executions that have ended and that nobody is
                                         above of, by finished_at
    present                              hash: who is at work
    graphs:WORKFLOW                      hash: version to graph

Where a name ends in a value, the value is the JSON text that the record's hash has. A place is
created_at, in digits enough to be in order as text, and the id of a pending execution. The hash of
a wait has one field more, event: the id of the one that it took.
"""

PRELUDE = """
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

local function has_open_wait(id)
  for _, wait in ipairs(redis.call('ZRANGE', key('waits', id), 0, -1)) do
    if redis.call('HGET', key('wait', wait), 'status') == '"open"' then return true end
  end
  return false
end

local function has_parent(is)
  if is.parent == 'null' then return false end
  return redis.call('EXISTS', key('execution', cjson.decode(is.parent))) == 1
end

-- The sorted sets that an execution belongs in by what its hash says: its score and name in each.
local function execution_sets(id)
  local row = key('execution', id)
  local sets = {}
  if redis.call('EXISTS', row) == 0 then return sets end
  local function add(score, name, ...) sets[key(...)] = {score = score, name = name} end
  local is = pick(row, 'workflow_id', 'status', 'parent', 'parent_step', 'item', 'subject',
    'queue', 'priority', 'fence', 'created_at', 'updated_at', 'finished_at', 'lease_expires_at',
    'deadline_at')
  add(is.created_at, id, 'all')
  add(is.created_at, id, 'workflow', is.workflow_id)
  add(is.created_at, id, 'status', is.status)
  for _, field in ipairs({'parent', 'parent_step', 'subject'}) do
    if is[field] ~= 'null' then add(is.created_at, id, field, is[field]) end
  end
  if is.parent ~= 'null' and is.parent_step ~= 'null' then
    local item = is.item == 'null' and '0' or is.item
    add(item, id, 'children', is.parent, is.parent_step, is.status)
    if is.status == '"halted"' and is.fence == '0' and not has_open_wait(id) then
      add(item, id, 'held', is.parent, is.parent_step)
    end
  end
  if is.finished_at ~= 'null' and not has_parent(is) then add(is.finished_at, id, 'ended') end
  if is.status == '"pending"' then
    local place = string.format('%020.0f', is.created_at) .. ':' .. id
    local urgency = string.format('%d', -is.priority)
    add('0', place, 'pending')
    add(urgency, place, 'ready', is.workflow_id)
    add(urgency, place, 'ready', is.workflow_id, is.queue)
    add(is.updated_at, id, 'due', 'pending')
  elseif is.status == '"running"' then
    local lease = is.lease_expires_at
    add(lease == 'null' and '-inf' or lease, id, 'due', 'expired')
  elseif is.status == '"halted"' and is.deadline_at ~= 'null' then
    add(is.deadline_at, id, 'due', 'deadline')
  end
  return sets
end

local function wait_sets(id)
  local row = key('wait', id)
  local sets = {}
  if redis.call('EXISTS', row) == 0 then return sets end
  local function add(score, ...) sets[key(...)] = {score = score, name = id} end
  local is = pick(row, 'execution_id', 'status', 'kind', 'key', 'opened_at', 'wake_at', 'remind_at')
  add(is.opened_at, 'waits', cjson.decode(is.execution_id))
  if is.status ~= '"open"' then return sets end
  add(is.opened_at, 'open')
  add(is.opened_at, 'kind', is.kind)
  if is.key ~= 'null' then add(is.opened_at, 'key', is.key) end
  if is.wake_at ~= 'null' then add(is.wake_at, 'due', 'wait') end
  if is.remind_at ~= 'null' then add(is.remind_at, 'due', 'reminder') end
  return sets
end

-- Write the cells of a row; without cells, delete it.
local function put(row, cells)
  if cells then
    redis.call('HSET', row, unpack(cells))
  else
    redis.call('DEL', row)
  end
end

-- Do what write() does to a record, and bring its sets in line.
local function change(id, sets_of, write)
  local before = sets_of(id)
  write()
  local after = sets_of(id)
  for set, was in pairs(before) do
    local is = after[set]
    if not is or is.name ~= was.name then redis.call('ZREM', set, was.name) end
  end
  for set, is in pairs(after) do
    local was = before[set]
    if not was or was.name ~= is.name or was.score ~= is.score then
      redis.call('ZADD', set, is.score, is.name)
    end
  end
end

-- Write an execution and waits of it: as one, as its sets depend on both.
local function change_execution(id, cells, waits)
  local row = key('execution', id)
  local was = pick(row, 'workflow_id', 'idempotency_key')
  change(id, execution_sets, function()
    put(row, cells)
    for _, wait in ipairs(waits or {}) do
      change(wait.id, wait_sets, function() put(key('wait', wait.id), wait.cells) end)
    end
  end)
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
  for _, entry in ipairs(entries) do redis.call('RPUSH', key('entries', id), entry) end
end

local function leave(chores)
  for _, chore in ipairs(chores) do
    local row = key('chore', chore.id)
    put(row, chore.cells)
    local is = pick(row, 'due_at', 'execution_id')
    redis.call('ZADD', key('chores'), is.due_at, chore.id)
    if is.execution_id ~= 'null' then
      redis.call('SADD', key('chores_of', is.execution_id), chore.id)
    end
  end
end

local function finish(chore)
  local row = key('chore', chore)
  local execution = redis.call('HGET', row, 'execution_id')
  if execution then redis.call('SREM', key('chores_of', execution), chore) end
  put(row, nil)
  redis.call('ZREM', key('chores'), chore)
end

local function rows(kind, ids)
  local found = {}
  for _, id in ipairs(ids) do table.insert(found, redis.call('HGETALL', key(kind, id))) end
  return found
end

-- What this write has done already, where the script is sent again because the reply was lost: of
-- those that are in a set since this very moment, the ones that bear its token.
local function done(set, moment, token)
  local found = {}
  for _, id in ipairs(redis.call('ZRANGE', set, moment, moment, 'BYSCORE')) do
    if redis.call('HGET', key('execution', id), 'token') == token then table.insert(found, id) end
  end
  return found
end

-- Like rows(), with no more than the fields that are asked for.
local function parts(kind, ids, fields)
  local found = {}
  for _, id in ipairs(ids) do
    local part = {}
    for i, value in ipairs(redis.call('HMGET', key(kind, id), unpack(fields))) do
      if value then
        table.insert(part, fields[i])
        table.insert(part, value)
      end
    end
    table.insert(found, part)
  end
  return found
end
"""
