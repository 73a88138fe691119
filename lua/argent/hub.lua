-- Where models are: a directory, the cache that `argent pull` and `hf download` fill, what
-- ARGENT_MODEL names, or the demo voice that comes with Argent.

local check = require 'argent.check'
local lfs = require 'lfs'
local models = require 'argent.models'
local place = require 'argent.place'
local posix = require 'argent.posix'
local suggest = require 'argent.text.suggest'

local M = {}

--- The released models, by their names on the hub.
M.RELEASED = {}
for _, model in ipairs(models.all()) do
  for _, name in ipairs(model.released) do M.RELEASED[#M.RELEASED + 1] = name end
end

local demo_dir = posix.realpath(place.models .. '/demo')

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

local LONGEST = 255 -- bytes of a name in a folder

-- The names in a folder, sorted; nil and why not when it cannot be read.
local function entries(path)
  local ok, iterate, state = pcall(lfs.dir, path)
  if not ok then return nil, tostring(iterate):match '[^:]*$':gsub('^%s+', '') end
  local names = {}
  for name in iterate, state do
    if name:sub(1, 1) ~= '.' then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

-- What refs/main of a repository's folder names: nil when there is none, false and why not when it
-- is no plain file with one name in it. Whatever lies there is not opened before it is known to be
-- a file, and not followed out of the folder.
local function main_revision(folder)
  local path = folder .. '/refs/main'
  local kind = lfs.attributes(path, 'mode')
  if not kind then return nil end
  local f = kind == 'file' and io.open(path)
  local text = f and f:read(LONGEST + 1)
  if f then f:close() end
  local revision = text and text:match '^(%w[%w._-]*)%s*$'
  if revision and #revision <= LONGEST then return revision end
  return false, ('%s: expected a file with the name of a snapshot%s'):format(path,
    kind ~= 'file' and ', found a ' .. kind or '')
end

-- What is wrong with a folder of a snapshot: a link, of which the cache is made, that leads to a
-- folder, or elsewhere than into one of `blobs`. What lies there is not opened then.
local function bad_link(folder, blobs)
  for _, name in ipairs(entries(folder) or {}) do
    local path = folder .. '/' .. name
    if lfs.symlinkattributes(path, 'mode') ~= 'link' then
      local err = is_directory(path) and bad_link(path, blobs)
      if err then return err end
    else
      local real = posix.realpath(path)
      local inside = not real
      for _, b in ipairs(blobs) do inside = inside or real:sub(1, #b) == b end
      if not inside or real and is_directory(real) then
        return ('%s: is a link to %s, which is no file of this model in the cache; if it is meant, '
          .. 'give the folder with -m'):format(path, real)
      end
    end
  end
end

-- The snapshot of a repository's folder: that of its main branch, else the newest; nil and why not
-- where that cannot be told.
local function pick_snapshot(folder)
  local revision, err = main_revision(folder)
  if revision == false then return nil, err end
  local main = revision and folder .. '/snapshots/' .. revision
  if main and is_directory(main) then return main end
  if not is_directory(folder .. '/snapshots') then return nil end
  local names
  names, err = entries(folder .. '/snapshots')
  if not names then return nil, ('%s/snapshots: %s'):format(folder, err) end
  local best, newest
  for _, name in ipairs(names) do
    local path = folder .. '/snapshots/' .. name
    local time = lfs.attributes(path, 'modification')
    if is_directory(path) and (not newest or time > newest) then best, newest = path, time end
  end
  return best
end

local function snapshot(folder)
  local dir, err = pick_snapshot(folder)
  if not dir then return nil, err end
  local own = posix.realpath(folder) -- the cache's own blobs are shared by repositories
  err = bad_link(dir, {own .. '/blobs/', own:match '^.*/' .. 'blobs/'})
  if err then return nil, err end
  return dir
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
---@return {id: string, dir: string, model: argent.Model, missing: string[], fault: string?}[] list
---fault: why the cache does not say which files are the model's; dir is then all of its folder
function M.cached()
  local list = {}
  for _, cache in ipairs(M.caches()) do
    for _, name in ipairs(is_directory(cache.path) and entries(cache.path) or {}) do
      local owner, repository = name:match '^models%-%-(.-)%-%-(.*)$'
      local folder, dir, fault = cache.path .. '/' .. name, nil, nil
      if owner then dir, fault = snapshot(folder) end
      local model = (dir or fault) and models.named(repository) or dir and models.of(dir)
      if model then
        list[#list + 1] = {
          id = owner .. '/' .. repository, dir = dir or folder, model = model, fault = fault,
          missing = dir and M.missing_files(dir, model) or model.files,
        }
      end
    end
  end
  return list
end

local function searched()
  local list = {}
  for _, c in ipairs(M.caches()) do
    local there = ', not there'
    if is_directory(c.path) then
      local names, err = entries(c.path)
      there = names and '' or ', ' .. err
    end
    list[#list + 1] = ('%s (%s%s)'):format(c.path, c.from, there)
  end
  return table.concat(list, ', ')
end

-- What to say of a model of the caches that cannot be used.
local function unusable(m)
  if m.fault then return nil, m.fault, 'model' end
  return nil, ('%s in %s is incomplete: %s missing; fetch the rest with: argent pull %s'):format(
    m.id, m.dir, table.concat(m.missing, ', '), m.id), 'model'
end

-- Whether a model on the hub is called so, in any letter case; the owner may be left out.
local function called(id, name)
  id, name = id:lower(), name:lower()
  return id == name or id:match '/(.*)$' == name
end

--- The whole name on the hub of a released model, or of any that is given with its owner.
---@param name string in any letter case, of a released one with or without its owner
---@return string? id
---@return string? err
---@return string? code 'model'
function M.id(name)
  check.type(name, 'id: name', 'string')
  for _, id in ipairs(M.RELEASED) do
    if called(id, name) then return id end
  end
  if name:find '^[%w][%w._-]*/[%w][%w._-]*$' then return name end
  local guess = suggest.closest(name, M.RELEASED)
  return nil, ('%s: is no name on the hub, OWNER/MODEL, and none of the released models (%s)%s')
    :format(name:gsub('%c', '?'), table.concat(M.RELEASED, ', '), guess
    and (', did you mean %s?'):format(guess) or ''), 'model'
end

-- A model of the caches by its name on the hub.
local function find_id(name)
  for _, m in ipairs(M.cached()) do
    if called(m.id, name) then
      if #m.missing > 0 then return unusable(m) end
      return m.dir
    end
  end
  local known, whole = {}, {} -- as the person writes them, and with their owner
  for _, id in ipairs(M.RELEASED) do
    if called(id, name) then
      return nil, ('%s is not here: searched %s; fetch it with: argent pull %s'):format(id,
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
  local sounds = need == 'speech' or need == 'codec'
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
  if #all > 0 then return unusable(all[1]) end
  local demo = sounds and M.demo()
  if demo then return demo end
  return nil, ('no model: ARGENT_MODEL is not set, and there is none in %s; fetch one with: '
    .. 'argent pull %s, or give -m %s'):format(searched(), models.providing(need)[1].released[1],
    need == 'text' and 'DIR or FILE.gguf' or 'DIR'), 'model'
end

--- A model's directory, or its GGUF file.
---@param name? string a directory or a GGUF file; a name on the hub
---(`Qwen/Qwen3-TTS-12Hz-0.6B-Base`, where the owner may be left out), looked up in the hub's cache;
---nil: what ARGENT_MODEL says, else the only model of the cache, else the demo voice
---@param source? string where the name comes from, for messages: '-m'
---@param need? string what a model that is not named has to do: 'speech' (default), 'codec',
---'text', 'embedding'
---@return string? dir
---@return string? err one line: every place that was searched, and the command that fetches a model
---@return string? code 'model'
function M.find(name, source, need)
  if name ~= nil then check.type(name, 'find: name', 'string') end
  if not name then name, source = set 'ARGENT_MODEL', 'ARGENT_MODEL' end
  if not name then return find_any(need or 'speech') end
  source = source and (' (from %s)'):format(source) or ''
  if is_directory(name) or models.is_gguf(name) then return name end
  local id = name:match '^[%w][%w._-]*/[%w][%w._-]*$' or name:match '^[%w][%w._-]*$'
  if not id or lfs.attributes(name, 'mode') then
    return nil, ('%s: no such model directory%s'):format(name:gsub('%c', '?'), source), 'model'
  end
  local dir, err, code = find_id(id)
  if not dir then err = ('%s: %s%s'):format(name, err, source) end
  return dir, err, code
end

return M
