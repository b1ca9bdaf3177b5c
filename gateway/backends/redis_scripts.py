"""What Redis is asked to do, in Lua: each script atomic, whoever else is at it.

House rules
- KEYS are always the same: the memory's own hash, one hash for each kind, that of the epochs, and
  one sorted set for each kind (when what is gone may be forgotten). A document's key, or a
  person, is a field of a hash, never a part of a name: none reaches another kind.
- A hash of a kind has a field without a name with the generation: a hash that was evicted, or
  deleted, is missed, also when nobody has asked for its documents yet.
- A script first looks whether the memory is the one that the caller has seen, gone on with, and
  says `look` instead of anything else if not. It repeats the caller's word, so that no answer is
  taken for another's.
- Numbers are doubles: exact up to 2^53, and written with `%.0f`.
- What is read is read first; a key of another type is an error before anything is written. A
  script that is carried out twice does once what it does.
"""

from gateway.backends.redis_memory import DEPTH, NOTED_DEPTH
from gateway.ports import DEVICE_FLOOR_DAYS, Kind

KINDS = (Kind.LOCK, *(kind for kind in Kind if kind is not Kind.LOCK))  # locks are KEYS[2]
HASHES = (*KINDS, "epochs")
EPOCHS = 1 + len(HASHES)  # which of the KEYS
_NAMES = "{" + ",".join(f"'{name}'" for name in HASHES) + "}"
_MADE = ",".join(f"'made:{name}'" for name in HASHES)

# Locals of all scripts: `fields` reads a hash, and nothing from what is none; `whole` says whether
# every kind that was written is there.
_STATE = f"""
local echo, names = ARGV[1], {_NAMES}
local function fields(key, ...)
  if redis.call('TYPE', key).ok == 'hash' then return redis.call('HMGET', key, ...) end
  return {{}}
end
local function whole(generation)
  local made = fields(KEYS[1], {_MADE})
  for i = 1, #names do
    if made[i] and fields(KEYS[1 + i], '')[1] ~= generation then return false end
  end
  return true
end
"""
# ARGV: the caller's word; generation, number, word and last noted that the caller has seen. `is`
# says what is asked, and the state that it holds in.
_SEEN = f"""{_STATE}
local generation, seen = ARGV[2], tonumber(ARGV[3])
local seen_noted = tonumber(string.match(ARGV[5], '^%d+'))
local meta = fields(KEYS[1], 'generation', 'sequence', 'word', 'noted',
  string.format('w%.0f', seen % {DEPTH}), string.format('n%.0f', seen_noted % {NOTED_DEPTH}))
local sequence = tonumber(string.match(meta[2] or '', '^%d+$') or '')
local noted = tonumber(string.match(meta[4] or '', '^(%d+):') or '')
if meta[1] ~= generation or not sequence or sequence < seen
  or not noted or noted < seen_noted or noted - seen_noted >= {NOTED_DEPTH} or meta[6] ~= ARGV[5]
  or (sequence - seen < {DEPTH} and meta[5] ~= ARGV[3] .. ':' .. ARGV[4])
  or not whole(generation) then
  return {{echo, 'look'}}
end
local function is(value) return {{echo, 'is', meta[2], meta[3], meta[4], value}} end
-- One more write, into this hash; to_note = a lock or a logout. First of all it is counted: should
-- more than that not work, then nothing was written that nobody hears of.
local function begin_write(word, index, to_note)
  local number = string.format('%.0f', sequence + 1)
  local stamp, made = number .. ':' .. word, 'made:' .. names[index]
  if to_note then
    meta[4] = string.format('%.0f:%s', noted + 1, word)
    redis.call('HSET', KEYS[1], 'noted', meta[4],
      string.format('n%.0f', (noted + 1) % {NOTED_DEPTH}), meta[4])
  end
  local fresh = not redis.call('HGET', KEYS[1], made)
  redis.call('HSET', KEYS[1], 'sequence', number, 'word', word,
    string.format('w%.0f', (sequence + 1) % {DEPTH}), stamp, made, '1')
  if fresh then redis.call('HSET', KEYS[1 + index], '', generation) end
  meta[2], meta[3] = number, word
  return stamp
end
"""
VERSION = f"""{_SEEN}
return is(false)
"""
# ARGV: ..., which kind, key.
GET = f"""{_SEEN}
return is(redis.call('HGET', KEYS[1 + ARGV[6]], ARGV[7]))
"""
# ARGV: ..., which kind.
ALL = f"""{_SEEN}
return is(redis.call('HGETALL', KEYS[1 + ARGV[6]]))
"""
# ARGV: ..., which kind, key, the revision it replaces or nothing, milliseconds now, when it is
# gone or `-`, a word of chance, what was gone by when may be forgotten, how many of it, and the
# entry without its revision.
WRITE = f"""{_SEEN}
local kind, key, replaces, now, gone, word = tonumber(ARGV[6]), unpack(ARGV, 7, 11)
local hash, going = KEYS[1 + kind], KEYS[1 + #names + kind]
local old, revision, standing = redis.call('HGET', hash, key), 0, ''
if old then
  local number, until_then, by, mark, of_kind, of_key = string.match(
    old, '^([1-9]%d*) (%S+) (%x+) ([=x]) (%S+) ([^\\n]+)\\n')
  if of_kind ~= names[kind] or of_key ~= key or #by ~= 32 then
    return redis.error_reply('ERR a document that is not ours')
  end
  if by == word then return is(number) end
  revision = tonumber(number)
  if mark == '=' and (until_then == '-' or tonumber(until_then) > tonumber(now)) then
    standing = number
  end
end
if standing ~= replaces then return is(false) end
local is_lock = names[kind] == '{Kind.LOCK}'
if not is_lock then
  if gone == '-' then redis.call('ZREM', going, key) else redis.call('ZADD', going, gone, key) end
  local dead = redis.call('ZRANGEBYSCORE', going, '-inf', ARGV[12], 'LIMIT', 0, ARGV[13])
  for _, one in ipairs(dead) do
    if one ~= key then
      redis.call('HDEL', hash, one)
      redis.call('ZREM', going, one)
    end
  end
end
begin_write(word, kind, is_lock)
local number = string.format('%.0f', revision + 1)
redis.call('HSET', hash, key, number .. ' ' .. ARGV[14])
return is(number)
"""
# ARGV: ..., person.
FLOOR = f"""{_SEEN}
return is(redis.call('HGET', KEYS[{EPOCHS}], ARGV[6]))
"""
FLOORS = f"""{_SEEN}
return is(redis.call('HGETALL', KEYS[{EPOCHS}]))
"""
EPOCHS_VERSION = f"""{_SEEN}
return is(redis.call('HGET', KEYS[1], 'epochs'))
"""
# ARGV: ..., person, milliseconds now, a word of chance, and a device or nothing. Redis writes
# numbers with 14 digits, enough for milliseconds until year 5138; one above that comes back in a
# form that the reader refuses. The devices that go say nothing that the person's floor does not
# say, now and later, for that one never falls.
_OPENING = f"""{_SEEN}
local hash, staff, now, word, device = KEYS[{EPOCHS}], ARGV[6], tonumber(ARGV[7]), ARGV[8], ARGV[9]
local known, person = redis.call('HGET', hash, staff), nil
if known then
  person = cjson.decode(known)
  if type(person) ~= 'table' or person.staff ~= staff then
    return redis.error_reply('ERR the value is not of this person')
  end
  for name, own in pairs(person.devices) do
    if own.floor <= person.floor and own.changed_at < now - {DEVICE_FLOOR_DAYS * 86_400_000} then
      person.devices[name] = nil
    end
  end
end
local function begin(at)
  person = {{staff = staff, counter = at, floor = at, changed_at = now, devices = {{}}}}
end
local function close(to_note)
  local person_text = cjson.encode(person)
  redis.call('HSET', KEYS[1], 'epochs', begin_write(word, {len(HASHES)}, to_note))
  redis.call('HSET', hash, staff, person_text)
  return is(string.format('%.0f', person.counter))
end
"""
# A device that is enrolled starts at the person's floor: that logs nobody out.
ENROL = f"""{_OPENING}
if not known then begin(now) end
if device and not person.devices[device] then
  person.devices[device] = {{floor = person.floor, changed_at = now}}
end
return close(false)
"""
# Above the counter AND above now: nothing issued before is current, not even by a memory
# that was lost and begun anew since. Someone unknown becomes known with a floor above
# everything: other devices of theirs were refused and stay so.
REVOKE = f"""{_OPENING}
if not known then begin(now + 1) end
if known then person.counter = math.max(person.counter, now) + 1 end
if device then
  person.devices[device] = {{floor = person.counter, changed_at = now}}
else
  person.floor, person.changed_at = person.counter, now
end
return close(true)
"""
# What is there? ARGV: the caller's word, and the numbers that it has seen.
LOOK = f"""{_STATE}
local meta = fields(KEYS[1], 'generation', 'sequence', 'word', 'noted', 'after',
  string.format('w%.0f', tonumber(ARGV[2]) % {DEPTH}),
  string.format('n%.0f', tonumber(ARGV[3]) % {NOTED_DEPTH}))
local locks = {{}}
if redis.call('TYPE', KEYS[2]).ok == 'hash' then locks = redis.call('HGETALL', KEYS[2]) end
return {{echo, meta[1] or false, meta[2] or false, meta[3] or false, meta[4] or false,
  meta[5] or false, meta[6] or false, meta[7] or false, whole(meta[1]) and 1 or 0,
  redis.call('EXISTS', unpack(KEYS)), locks}}
"""
# The first generation, where there is nothing. ARGV: the caller's word, a generation, a word.
BEGIN = f"""{_STATE}
if redis.call('EXISTS', unpack(KEYS)) == 0 then
  local stamp = '0:' .. ARGV[3]
  redis.call('HSET', KEYS[1], 'generation', ARGV[2], 'sequence', '0', 'word', ARGV[3],
    'noted', stamp, 'w0', stamp, 'n0', stamp, 'after', '')
end
return {{echo}}
"""
# ARGV: the caller's word; generation and number as they were found; generation, number
# and word from now on; the generations before it; locks: key, entry, key, entry, ...
# All epochs go: a logout that was lost may be missing in them. Nobody is known then, and whoever
# comes begins above everything that was ever issued.
REPAIR = f"""{_STATE}
local found = fields(KEYS[1], 'generation', 'sequence')
if (found[1] or '') ~= ARGV[2] or (found[2] or '') ~= ARGV[3] then return {{echo, 'look'}} end
for i = 2, #KEYS do
  local wanted = i <= 1 + #names and 'hash' or 'zset'
  if redis.call('TYPE', KEYS[i]).ok ~= wanted then redis.call('DEL', KEYS[i]) end
end
redis.call('DEL', KEYS[1], KEYS[{EPOCHS}])
local stamp = ARGV[5] .. ':' .. ARGV[6]
redis.call('HSET', KEYS[1], 'generation', ARGV[4], 'sequence', ARGV[5], 'word', ARGV[6],
  'noted', stamp, string.format('w%.0f', tonumber(ARGV[5]) % {DEPTH}), stamp,
  string.format('n%.0f', tonumber(ARGV[5]) % {NOTED_DEPTH}), stamp, 'after', ARGV[7])
for i = 1, #names do
  redis.call('HSET', KEYS[1 + i], '', ARGV[4])
  redis.call('HSET', KEYS[1], 'made:' .. names[i], '1')
end
for i = 8, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
return {{echo, 'done'}}
"""
