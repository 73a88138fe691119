-- Inputs that are changed at random, from a seed, so that a failure comes again: bytes of any file,
-- and JSON as what it is. How many: ARGENT_FUZZ, by default 20,000 of each kind.

local cjson = require 'cjson'
local lfs = require 'lfs'

local M = {}

M.rounds = tonumber(os.getenv 'ARGENT_FUZZ') or 20000

local codec = cjson.new()
codec.encode_sparse_array(true)
codec.encode_invalid_numbers 'null'

local function pick(list) return list[math.random(#list)] end

local WORDS = {
  '\0', '\n', '"', '{', '}', '[', ']', ',', ':', '\\', '\\u0000', '\\ud800', '\255', '\192\128',
  '\237\160\128', '-1', '1e999', '0x10', 'null', 'true', '..', '/', '\27[31m', ' ', '%', '%s',
  ('a'):rep(300), ('['):rep(70),
}

--- Bytes with one to three changes: cut, lost, repeated, replaced, put in.
---@param s string
---@return string
function M.bytes(s)
  for _ = 1, math.random(3) do
    local at = math.random(0, #s)
    local kind = math.random(6)
    if kind == 1 then s = s:sub(1, at)
    elseif kind == 2 then s = s:sub(1, at) .. s:sub(at + 1 + math.random(9))
    elseif kind == 3 then s = s:sub(1, at) .. s:sub(math.max(1, at - math.random(40)))
    elseif kind == 4 then s = s:sub(1, at) .. pick(WORDS) .. s:sub(at + 1)
    else s = s:sub(1, at) .. string.char(math.random(0, 255)) .. s:sub(at + 2) end
  end
  return s
end

local VALUES = {
  cjson.null, true, false, -1, 0, 1, 1.5, 7, 64, 1e9, 2 ^ 31, 2 ^ 53, -2 ^ 63, 1e308, -0.0, 0 / 0,
  '', 'x', '\0', '\255', ('long '):rep(60), '../../etc/passwd', 'a\nb',
}

local function copy(v)
  if type(v) ~= 'table' then return v end
  local t = {}
  for k, inner in pairs(v) do t[k] = copy(inner) end
  return t
end

-- Every place of a value in a table below v.
local function places(v, list)
  for k, inner in pairs(v) do
    list[#list + 1] = {v, k}
    if type(inner) == 'table' then places(inner, list) end
  end
  return list
end

local function change(t, k, all)
  local kind = math.random(5)
  if kind == 1 then
    t[k] = nil
  elseif kind == 2 and type(k) == 'string' then
    t[M.bytes(k)] = t[k]
    t[k] = nil
  elseif kind == 3 then
    local other = pick(all)
    t[k] = copy(other[1][other[2]])
  elseif kind == 4 then
    t[k] = pick {{}, {{}}, {1, 2, 3}, {a = 1}, {t[k]}}
  else
    t[k] = pick(VALUES)
  end
end

--- A JSON text of a value with one or two changes; now and then bytes of the text are changed too.
---@param value table as cjson has it
---@return string
function M.json(value)
  value = copy(value)
  for _ = 1, math.random(2) do
    local all = places(value, {})
    if #all > 0 then
      table.sort(all, function(a, b) return tostring(a[2]) < tostring(b[2]) end)
      local place = pick(all)
      change(place[1], place[2], all)
    end
  end
  local ok, text = pcall(codec.encode, value)
  if not ok then text = '{}' end
  return math.random() < 0.2 and M.bytes(text) or text
end

--- Whether an error is one for a person: one line, and no place in the program.
function M.is_plain(err)
  return type(err) == 'string' and #err > 0 and not err:find '[%z\1-\31\127]'
    and not err:find '%.lua:%d+:'
end

--- Calls fn(round) M.rounds / `share` times. What it raises fails the spec with the round and what
--- fn has named with `say`.
---@param seed integer
---@param share number
---@param fn fun(round: integer, say: fun(what: string))
function M.each(seed, share, fn)
  math.randomseed(seed)
  for round = 1, math.ceil(M.rounds / share) do
    local input = ''
    local ok, err = xpcall(fn, function(e)
      return type(e) == 'table' and e.message or debug.traceback(tostring(e))
    end, round, function(what) input = what end)
    if not ok then
      error(('round %d of seed %d, of %q: %s'):format(round, seed, input:sub(1, 2000),
        tostring(err)), 0)
    end
  end
end

--- A new folder, in memory where the system has such.
---@return string path
---@return fun() remove
function M.folder()
  local path = os.tmpname()
  os.remove(path)
  if lfs.attributes('/dev/shm', 'mode') == 'directory' then
    path = '/dev/shm/' .. path:match '[^/]*$'
  end
  assert(lfs.mkdir(path))
  return path, function() os.execute('rm -rf ' .. path) end
end

return M
