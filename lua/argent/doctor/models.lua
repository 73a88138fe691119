-- The models that are here: of which kind, and whether each is whole. Every network is assembled
-- once, which asks for every tensor by name and shape; the numbers in them are not read.

local Backend = require 'argent.backend'
local hub = require 'argent.hub'

local M = {}

-- The model's code, which needs the tokenizer's libraries. A module that failed once fails with
-- another message the second time, so the first is kept.
local code, reason
local function reader()
  if not code and not reason then
    local ok, qwen3_tts = pcall(require, 'argent.qwen3_tts')
    if ok then code = qwen3_tts else reason = tostring(qwen3_tts):match '^[^\n]*' end
  end
  return code, reason
end

-- What keeps a directory's networks from being assembled; nil when all is well.
local function fault_of(dir, be)
  local qwen3_tts, err = reader()
  if not qwen3_tts then return err end
  local tts
  tts, err = qwen3_tts.open(dir, {backend = be})
  if not tts then return err end
  return require('argent.qwen3_tts.analysis').lacks(tts)
end

local function describe(m, be)
  m.missing = hub.missing_files(m.dir)
  local cfg = require('argent.qwen3_tts.config').read(m.dir)
  if cfg then m.kind, m.size = cfg.kind, cfg.size end
  if #m.missing > 0 then
    m.fault = 'without ' .. table.concat(m.missing, ', ')
  else
    m.fault = fault_of(m.dir, be)
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
  local function add(name, from, dir, err)
    local m = dir and by_dir[dir]
    if m then
      m.from = m.from or from
      return
    end
    m = {name = name, from = from, dir = dir, missing = {}, fault = err}
    list[#list + 1] = dir and describe(m, be) or m
    if dir then by_dir[dir] = m end
  end
  local named = os.getenv 'ARGENT_MODEL'
  local function find(name, from)
    local dir, err = hub.find(name, from)
    add(name, from, dir, err)
  end
  if asked then find(asked, '-m') end
  if named and named ~= '' then find(named, 'ARGENT_MODEL') end
  for _, m in ipairs(hub.cached()) do add(m.id, nil, m.dir) end
  return list
end

return M
