"""What Redis is asked to do with documents, in Lua: each script atomic, whoever else is at it.

House rules
- KEYS are always the same: the memory's own hash, one hash for each kind, one sorted set for each
  kind (when what is gone may be forgotten). A document's key is a field of a hash, never a part
  of a name: no key reaches another kind.
- A hash of a kind has a field without a name with the generation: a hash that was evicted, or
  deleted, is missed, also when nobody has asked for its documents yet.
- A script first looks whether the memory is the one that the caller has seen, and says `look`
  instead of anything else if not. It repeats the caller's word, so that no answer is taken for
  another's.
- Numbers are doubles: exact up to 2^53, and written with `%.0f`.
- What is read is read first; a key of another type is an error before anything is written. A
  script that is carried out twice does once what it does.
"""

from gateway.backends.redis_memory import DEPTH
from gateway.ports import Kind

KINDS = (Kind.LOCK, *(kind for kind in Kind if kind is not Kind.LOCK))  # locks are KEYS[2]
_NAMES = "{" + ",".join(f"'{kind}'" for kind in KINDS) + "}"
_MADE = ",".join(f"'made:{kind}'" for kind in KINDS)

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
# ARGV: the caller's word; generation, number, word and last lock that the caller has seen.
_SEEN = f"""{_STATE}
local generation, seen = ARGV[2], tonumber(ARGV[3])
local meta = fields(KEYS[1], 'generation', 'sequence', 'word', 'locks',
  string.format('w%.0f', seen % {DEPTH}))
local sequence = tonumber(string.match(meta[2] or '', '^%d+$') or '')
if meta[1] ~= generation or meta[4] ~= ARGV[5] or not sequence or sequence < seen
  or (sequence - seen < {DEPTH} and meta[5] ~= ARGV[3] .. ':' .. ARGV[4])
  or not whole(generation) then
  return {{echo, 'look'}}
end
"""
VERSION = f"""{_SEEN}
return {{echo, 'is', meta[2], meta[3], false}}
"""
# ARGV: ..., which kind, key.
GET = f"""{_SEEN}
return {{echo, 'is', meta[2], meta[3], redis.call('HGET', KEYS[1 + ARGV[6]], ARGV[7])}}
"""
# ARGV: ..., which kind.
ALL = f"""{_SEEN}
return {{echo, 'is', meta[2], meta[3], redis.call('HGETALL', KEYS[1 + ARGV[6]])}}
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
  if by == word then return {{echo, 'is', meta[2], meta[3], number}} end
  revision = tonumber(number)
  if mark == '=' and (until_then == '-' or tonumber(until_then) > tonumber(now)) then
    standing = number
  end
end
if standing ~= replaces then return {{echo, 'is', meta[2], meta[3], false}} end
local next_number = string.format('%.0f', sequence + 1)
local stamp = next_number .. ':' .. word
local made = redis.call('HGET', KEYS[1], 'made:' .. names[kind])
if names[kind] == '{Kind.LOCK}' then
  redis.call('HSET', KEYS[1], 'locks', stamp)
else
  if gone == '-' then redis.call('ZREM', going, key) else redis.call('ZADD', going, gone, key) end
  local dead = redis.call('ZRANGEBYSCORE', going, '-inf', ARGV[12], 'LIMIT', 0, ARGV[13])
  for _, one in ipairs(dead) do
    if one ~= key then
      redis.call('HDEL', hash, one)
      redis.call('ZREM', going, one)
    end
  end
end
redis.call('HSET', KEYS[1], 'sequence', next_number, 'word', word,
  string.format('w%.0f', (sequence + 1) % {DEPTH}), stamp, 'made:' .. names[kind], '1')
if not made then redis.call('HSET', hash, '', generation) end
local number = string.format('%.0f', revision + 1)
redis.call('HSET', hash, key, number .. ' ' .. ARGV[14])
return {{echo, 'is', next_number, word, number}}
"""
# What is there? ARGV: the caller's word, and the number that it has seen.
LOOK = f"""{_STATE}
local meta = fields(KEYS[1], 'generation', 'sequence', 'word', 'locks', 'after',
  string.format('w%.0f', tonumber(ARGV[2]) % {DEPTH}))
local locks = {{}}
if redis.call('TYPE', KEYS[2]).ok == 'hash' then locks = redis.call('HGETALL', KEYS[2]) end
return {{echo, meta[1] or false, meta[2] or false, meta[3] or false, meta[4] or false,
  meta[5] or false, meta[6] or false, whole(meta[1]) and 1 or 0,
  redis.call('EXISTS', unpack(KEYS)), locks}}
"""
# The first generation, where there is nothing. ARGV: the caller's word, a generation, a word.
BEGIN = f"""{_STATE}
if redis.call('EXISTS', unpack(KEYS)) == 0 then
  local stamp = '0:' .. ARGV[3]
  redis.call('HSET', KEYS[1], 'generation', ARGV[2], 'sequence', '0', 'word', ARGV[3],
    'locks', stamp, 'w0', stamp, 'after', '')
end
return {{echo}}
"""
# ARGV: the caller's word; generation and number as they were found; generation, number
# and word from now on; the generations before it; locks: key, entry, key, entry, ...
REPAIR = f"""{_STATE}
local found = fields(KEYS[1], 'generation', 'sequence')
if (found[1] or '') ~= ARGV[2] or (found[2] or '') ~= ARGV[3] then return {{echo, 'look'}} end
for i = 2, #KEYS do
  local wanted = i <= 1 + #names and 'hash' or 'zset'
  if redis.call('TYPE', KEYS[i]).ok ~= wanted then redis.call('DEL', KEYS[i]) end
end
redis.call('DEL', KEYS[1])
local stamp = ARGV[5] .. ':' .. ARGV[6]
redis.call('HSET', KEYS[1], 'generation', ARGV[4], 'sequence', ARGV[5], 'word', ARGV[6],
  'locks', stamp, string.format('w%.0f', tonumber(ARGV[5]) % {DEPTH}), stamp, 'after', ARGV[7])
for i = 1, #names do
  redis.call('HSET', KEYS[1 + i], '', ARGV[4])
  redis.call('HSET', KEYS[1], 'made:' .. names[i], '1')
end
for i = 8, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
return {{echo, 'done'}}
"""
