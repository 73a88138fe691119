-- Where models are: a directory, the cache that `hf download` fills, what ARGENT_MODEL names, or
-- the demo voice that comes with Argent.

local check = require 'argent.check'
local lfs = require 'lfs'
local models = require 'argent.models'
local posix = require 'argent.posix'
local suggest = require 'argent.text.suggest'

local M = {}

--- The released models, by their names on the hub.
M.RELEASED = {}
for _, model in ipairs(models.all()) do
  for _, name in ipairs(model.released) do M.RELEASED[#M.RELEASED + 1] = name end
end

-- models/ lies beside lua/, in the tree as in an installation. The path is made absolute now, as a
-- script may change its directory later.
local root = debug.getinfo(1, 'S').source:match '^@(.*)lua/argent/hub%.lua$' or ''
local demo_dir = posix.realpath(root .. 'models/demo')

local function set(name)
  local v = os.getenv(name)
  return v ~= '' and v or nil
end

local function is_directory(path)
  return lfs.attributes(path, 'mode') == 'directory'
end

--- The folders in which the hub keeps what it has fetched, the one it would use now first.
---@return {path: string, from: string}[] from: the variable that names it
function M.caches()
  local list, home = {}, set 'HOME' or '~'
  local function add(path, from)
    for _, c in ipairs(list) do
      if c.path == path then return end
    end
    if path then list[#list + 1] = {path = path, from = from} end
  end
  add(set 'HF_HUB_CACHE', 'HF_HUB_CACHE')
  add(set 'HF_HOME' and set 'HF_HOME' .. '/hub', 'HF_HOME')
  add(set 'XDG_CACHE_HOME' and set 'XDG_CACHE_HOME' .. '/huggingface/hub', 'XDG_CACHE_HOME')
  add(home .. '/.cache/huggingface/hub', 'HOME')
  return list
end

-- The snapshot of a repository's folder: that of its main branch, else the newest.
local function snapshot(folder)
  local f = io.open(folder .. '/refs/main')
  local revision = f and f:read '*l'
  if f then f:close() end
  local main = revision and folder .. '/snapshots/' .. revision
  if main and is_directory(main) then return main end
  local best, newest
  if is_directory(folder .. '/snapshots') then
    for name in lfs.dir(folder .. '/snapshots') do
      local path = folder .. '/snapshots/' .. name
      local time = lfs.attributes(path, 'modification')
      if name:sub(1, 1) ~= '.' and is_directory(path) and (not newest or time > newest) then
        best, newest = path, time
      end
    end
  end
  return best
end

--- Which of the files that a model of its kind has are not in a directory.
---@param dir string
---@param model argent.Model
---@return string[]
function M.missing_files(dir, model)
  local missing = {}
  for _, name in ipairs(model.files) do
    local path = dir .. '/' .. name
    local indexed = name:find '%.safetensors$' and lfs.attributes(path .. '.index.json', 'mode')
    if lfs.attributes(path, 'mode') ~= 'file' and not indexed then missing[#missing + 1] = name end
  end
  return missing
end

--- The directory of the demo voice; nil where Argent came without it.
---@return string? dir
function M.demo()
  local missing = demo_dir and M.missing_files(demo_dir, models.get 'qwen3_tts')
  if missing and #missing == 0 then return demo_dir end
end

--- Whether a directory is that of the demo voice.
---@param dir string
---@return boolean
function M.is_demo(dir)
  local demo = M.demo()
  return demo ~= nil and posix.realpath(dir) == demo
end

--- Every model in the caches: named like one that Argent runs, or one by its config.json.
---@return {id: string, dir: string, model: argent.Model, missing: string[]}[]
function M.cached()
  local list = {}
  for _, cache in ipairs(M.caches()) do
    local names = {}
    if is_directory(cache.path) then
      for name in lfs.dir(cache.path) do names[#names + 1] = name end
      table.sort(names)
    end
    for _, name in ipairs(names) do
      local owner, repository = name:match '^models%-%-(.-)%-%-(.*)$'
      local dir = owner and snapshot(cache.path .. '/' .. name)
      local model = dir and (models.named(repository) or models.of(dir))
      if model then
        list[#list + 1] = {
          id = owner .. '/' .. repository, dir = dir, model = model,
          missing = M.missing_files(dir, model),
        }
      end
    end
  end
  return list
end

local function searched()
  local list = {}
  for _, c in ipairs(M.caches()) do
    local there = is_directory(c.path) and '' or ', not there'
    list[#list + 1] = ('%s (%s%s)'):format(c.path, c.from, there)
  end
  return table.concat(list, ', ')
end

local function incomplete(id, dir, missing)
  return nil, ('%s in %s is incomplete: %s missing; fetch the rest with: hf download %s'):format(id,
    dir, table.concat(missing, ', '), id), 'model'
end

-- Whether a model on the hub is called so, in any letter case; the owner may be left out.
local function called(id, name)
  id, name = id:lower(), name:lower()
  return id == name or id:match '/(.*)$' == name
end

-- A model of the caches by its name on the hub.
local function find_id(name)
  for _, m in ipairs(M.cached()) do
    if called(m.id, name) then
      if #m.missing > 0 then return incomplete(m.id, m.dir, m.missing) end
      return m.dir
    end
  end
  local known, whole = {}, {} -- as the person writes them, and with their owner
  for _, id in ipairs(M.RELEASED) do
    if called(id, name) then
      return nil, ('%s is not here: searched %s; fetch it with: hf download %s'):format(id,
        searched(), id), 'model'
    end
    known[#known + 1] = name:find '/' and id or id:match '/(.*)$'
    whole[known[#known]] = id
  end
  local guess = whole[suggest.closest(name, known)]
  return nil, ('no such model directory, and no model %s in %s%s'):format(name, searched(),
    guess and (', did you mean %s?'):format(guess) or ''), 'model'
end

local function able(list, need)
  local out = {}
  for _, m in ipairs(list) do
    if m.model.provides[need] then out[#out + 1] = m end
  end
  return out
end

-- The only complete model of the caches that does what is needed, or the demo voice where they hold
-- none. A model that speaks brings its codec along, so a codec alone does not compete with it.
local function find_any(need)
  local all, whole, ids = able(M.cached(), need), {}, {}
  local speaking = able(all, 'speech')
  if #speaking > 0 then all = speaking end
  for _, m in ipairs(all) do
    if #m.missing == 0 then
      whole[#whole + 1] = m
      ids[#ids + 1] = m.id
    end
  end
  if #whole == 1 then return whole[1].dir end
  if #whole > 1 then
    return nil, ('several models are here, choose one with -m: %s'):format(table.concat(ids, ', ')),
      'model'
  end
  if #all > 0 then return incomplete(all[1].id, all[1].dir, all[1].missing) end
  local demo = M.demo()
  if demo then return demo end
  return nil, ('no model: ARGENT_MODEL is not set, and there is none in %s; fetch one with: hf '
    .. 'download %s, or give -m DIR'):format(searched(), M.RELEASED[1]), 'model'
end

--- A model's directory.
---@param name? string a directory; a name on the hub (`Qwen/Qwen3-TTS-12Hz-0.6B-Base`, where the
---owner may be left out), looked up in the hub's cache; nil: what ARGENT_MODEL says, else the only
---model of the cache, else the demo voice
---@param source? string where the name comes from, for messages: '-m'
---@param need? string what a model that is not named has to do: 'speech' (default), 'codec'
---@return string? dir
---@return string? err one line: every place that was searched, and the command that fetches a model
---@return string? code 'model'
function M.find(name, source, need)
  if name ~= nil then check.type(name, 'find: name', 'string') end
  if not name then name, source = set 'ARGENT_MODEL', 'ARGENT_MODEL' end
  if not name then return find_any(need or 'speech') end
  source = source and (' (from %s)'):format(source) or ''
  if is_directory(name) then return name end
  local id = name:match '^[%w][%w._-]*/[%w][%w._-]*$' or name:match '^[%w][%w._-]*$'
  if not id or lfs.attributes(name, 'mode') then
    return nil, ('%s: no such model directory%s'):format(name:gsub('%c', '?'), source), 'model'
  end
  local dir, err, code = find_id(id)
  if not dir then err = ('%s: %s%s'):format(name, err, source) end
  return dir, err, code
end

return M
