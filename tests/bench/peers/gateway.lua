-- The gateway's work in nginx, as somebody would write it: verify an HS256 token, look the rules
-- up in tables, cut four fields out of the JSON with cjson. Less than ours: no opening hours, no
-- records judged, no refused questions, a log line that nobody syncs; and cjson rounds numbers.
local cjson = require "cjson"
local ffi = require "ffi"
ffi.cdef [[
    const void *EVP_sha256(void);
    unsigned char *HMAC(const void *md, const void *key, int key_len, const unsigned char *data,
                        size_t n, unsigned char *out, unsigned int *out_len);
]]
local mac, mac_length = ffi.new("unsigned char[64]"), ffi.new("unsigned int[1]")
local classes = { contact = { "phone", "email", "address" }, health = { "notes" },
                  personal = { "birthday" } }
local secret
local effects, roles = {}, {}  -- "who,what,action" -> effect; person -> list of roles
local epochs = {}
local M = {}

function M.load(secret_file, policy_file)
    local file = assert(io.open(secret_file))
    secret = file:read("*a"):gsub("%s+$", "")
    file:close()
    for line in io.lines(policy_file) do
        local kind, one, two, three, four = line:match("^(%w+), ([^,]+), ([^,]+),? ?([^,]*),? ?(%w*)")
        if kind == "p" then
            local key = one .. "," .. two .. "," .. three
            if effects[key] ~= "deny" then effects[key] = four end
        elseif kind == "g" then
            roles[one] = roles[one] or { one }
            table.insert(roles[one], two)
        end
    end
end

local function is_allowed(who, what, action)
    local allowed = false
    for _, role in ipairs(roles[who] or {}) do
        local effect = effects[role .. "," .. what .. "," .. action]
        if effect == "deny" then return false end
        allowed = allowed or effect == "allow"
    end
    return allowed
end

local function unbase64url(text)
    text = text:gsub("-", "+"):gsub("_", "/")
    return ngx.decode_base64(text .. ("="):rep(-#text % 4))
end

local function is_equal(one, other)  -- in constant time
    if #one ~= #other then return false end
    local difference = 0
    for at = 1, #one do difference = bit.bor(difference, bit.bxor(one:byte(at), other:byte(at))) end
    return difference == 0
end

local function claims_of(header)
    local signed, head, payload, signature = (header or ""):match("^Bearer (([%w_-]+)%.([%w_-]+))%.([%w_-]+)$")
    if not signed then return nil end
    ffi.C.HMAC(ffi.C.EVP_sha256(), secret, #secret, signed, #signed, mac, mac_length)
    if not is_equal(ffi.string(mac, mac_length[0]), unbase64url(signature) or "") then return nil end
    if cjson.decode(unbase64url(head)).alg ~= "HS256" then return nil end
    local claims = cjson.decode(unbase64url(payload))
    if claims.iss ~= "salon-gateway" or claims.aud ~= "salon-crm" then return nil end
    if claims.exp <= ngx.time() or claims.epoch < (epochs[claims.sub] or 0) then return nil end
    return claims
end

function M.admit()
    local fine, claims = pcall(claims_of, ngx.var.http_authorization)
    if not fine or not claims then return ngx.exit(401) end
    local who = claims.sub
    ngx.var.staff = who
    local action = ngx.var.uri == "/api/clients" and "list" or "read"
    if not is_allowed(who, "client", action) then return ngx.exit(403) end
    local hidden = {}
    for class, fields in pairs(classes) do
        if not is_allowed(who, "client." .. class, "read") then
            for _, field in ipairs(fields) do table.insert(hidden, field) end
        end
    end
    ngx.ctx.hidden = hidden
    ngx.shared.counts:incr(action, 1, 0)
end

function M.head()
    if ngx.ctx.hidden then ngx.header.content_length = nil end
end

function M.body()
    local hidden = ngx.ctx.hidden
    if not hidden then return end
    local pieces = ngx.ctx.pieces or {}
    ngx.ctx.pieces = pieces
    table.insert(pieces, ngx.arg[1])
    if not ngx.arg[2] then
        ngx.arg[1] = nil
        return
    end
    local document = cjson.decode(table.concat(pieces))
    for _, record in ipairs(document[1] and document or { document }) do
        for _, field in ipairs(hidden) do record[field] = nil end
    end
    ngx.arg[1] = cjson.encode(document)
end

return M
