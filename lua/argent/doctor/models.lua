-- The models that are here: of which kind, and whether each is whole. Every network is assembled
-- once, which asks for every tensor by name and shape; the numbers in them are not read.

local Backend = require 'argent.backend'
local hub = require 'argent.hub'
local models = require 'argent.models'

local M = {}

-- What keeps a directory's networks from being assembled; nil when all is well. The model's code
-- needs libraries of its own (the tokenizer's); a module that failed once fails with another
-- message the second time, so the first is kept.
local broken = {}
local function fault_of(kind, dir, be)
  if broken[kind] then return broken[kind] end
  local ok, fault = pcall(kind.fault, dir, be)
  if ok then return fault end
  broken[kind] = tostring(fault):match '^[^\n]*'
  return broken[kind]
end

local function describe(m, kind, be)
  if not kind then kind, m.fault = models.of(m.dir) end
  if not kind then return m end
  for key, value in pairs(kind.describe(m.dir) or {}) do m[key] = value end
  m.missing = hub.missing_files(m.dir, kind)
  if #m.missing > 0 then
    m.fault = 'without ' .. table.concat(m.missing, ', ')
  else
    m.fault = fault_of(kind, m.dir, be)
  end
  collectgarbage()
  return m
end

---@class argent.doctor.Model
---@field name string on the hub, or as it was given
---@field from? string '-m' or 'ARGENT_MODEL' where that names it
---@field dir? string nil where it was not found
---@field kind? string
---@field size? string
---@field missing string[] files
---@field fault? string what it lacks or why it was not found; nil: complete

--- Every model of the hub's caches, that of ARGENT_MODEL, and one that is asked for.
---@param asked? string a directory or a name, as `hub.find` takes it
---@return argent.doctor.Model[] the one that is asked for comes first
function M.all(asked)
  local list, by_dir = {}, {}
  local be = assert(Backend.open('cpu', {threads = 1, isa = 'plain'}))
  local function add(name, from, dir, err, kind)
    local m = dir and by_dir[dir]
    if m then
      m.from = m.from or from
      return
    end
    m = {name = name, from = from, dir = dir, missing = {}, fault = err}
    list[#list + 1] = dir and describe(m, kind, be) or m
    if dir then by_dir[dir] = m end
  end
  local named = os.getenv 'ARGENT_MODEL'
  local function find(name, from)
    local dir, err = hub.find(name, from)
    add(name, from, dir, err)
  end
  if asked then find(asked, '-m') end
  if named and named ~= '' then find(named, 'ARGENT_MODEL') end
  for _, m in ipairs(hub.cached()) do
    add(m.id, nil, not m.fault and m.dir or nil, m.fault, m.model)
  end
  return list
end

return M
