-- Fetches a model from the hub by `hf`, the hub's own program, which knows its rules: HF_ENDPOINT,
-- HF_TOKEN, the layout of the cache, and how to go on where a download was cut off. Before it there
-- is a look at the space that is left, and after it one at the checksums and at what a model needs.

local check = require 'argent.check'
local files = require 'argent.files'
local hub = require 'argent.hub'
local json = require 'argent.json'
local lfs = require 'lfs'
local models = require 'argent.models'
local posix = require 'argent.posix'
local status = require 'argent.status'

local M = {}

local MOST_OUTPUT = 2 ^ 24
local UNITS = {[''] = 1, K = 1e3, M = 1e6, G = 1e9, T = 1e12, P = 1e15}

local function quote(s) return "'" .. s:gsub("'", "'\\''") .. "'" end

-- Runs hf; what it writes to standard error is shown, or kept for the message of a failure.
local function hf(words, shown)
  local quoted, err_file = {}, os.tmpname()
  for i, word in ipairs(words) do quoted[i] = quote(word) end
  local p = assert(io.popen(('HF_HUB_DISABLE_UPDATE_CHECK=1 hf %s %s; echo $?'):format(
    table.concat(quoted, ' '), shown and '' or '2>' .. quote(err_file))))
  local out, code = p:read '*a':match '^(.-)(%d+)\n$'
  p:close()
  status.heed_interrupt() -- Ctrl-C has reached both
  local said = files.read(err_file, MOST_OUTPUT) or ''
  os.remove(err_file)
  return code == '0', out, said
end

-- What hf said last, without colours.
local function reason(said)
  local text = said:gsub('\27%[[%d;]*m', ''):gsub('%s+$', '')
  return text:match '(Client error [^\n]-) for url' or text:match '(Server error [^\n]-) for url'
    or text:match 'ConnectError: ([^\n]*)' or text:match '[^\n]*$'
end

local function elsewhere(id)
  return ('on a machine that has it run: hf download %s --local-dir DIR; carry DIR here and give '
    .. 'it with -m'):format(id)
end

local function refused(id, said)
  local why = reason(said)
  if said:find 'No such option' or said:find 'unrecognized arguments' then
    return nil, ('this hf is too old (%s): pip install -U huggingface_hub'):format(why),
      'unsupported'
  elseif why:find "error '40[13]" then
    return nil, ('%s: the hub asks for a token (%s): set HF_TOKEN, or hf auth login'):format(id,
      why), 'model'
  elseif why:find "error '404" then
    return nil, ('%s: the hub has no such model (%s)'):format(id, why), 'model'
  end
  return nil, ('%s: the hub cannot be reached (%s); where there is a network, %s'):format(id, why,
    elsewhere(id)), 'io'
end

-- Bytes that are still to be fetched, from sizes such as '13.8M'; '-' is there already.
local function to_fetch(list)
  local sum = 0
  for _, file in ipairs(list) do
    local number, unit = tostring(file.size):match '^([%d.]+)(%a?)$'
    sum = sum + (tonumber(number) or 0) * (UNITS[unit] or 1)
  end
  return sum
end

local function check_space(id, bytes)
  local cache = hub.caches()[1].path
  local folder = cache
  while not lfs.attributes(folder, 'mode') and folder:find '/' do
    folder = folder:match '^(.+)/' or '/'
  end
  local free = posix.free_space(folder)
  if not free or free >= bytes then return true end
  return nil, ('%s: needs %.1f GB in %s, where %.1f GB are free; HF_HUB_CACHE names another place')
    :format(id, bytes / 1e9, cache, free / 1e9), 'io'
end

--- Fetches a model into the hub's cache, or what is missing of it. Progress is shown where standard
--- error is a terminal.
---@param name string on the hub; of a released model its owner may be left out
---@return string? dir
---@return string? err one line: what is wrong, and what to do or to run elsewhere
---@return string? code 'unsupported' without a fitting hf, 'model', 'io', 'format' for checksums
function M.pull(name)
  check.type(name, 'pull: name', 'string')
  local id, err, code = hub.id(name)
  if not id then return nil, err, code end
  if os.execute 'command -v hf >/dev/null 2>&1' ~= 0 then
    return nil, ("%s: fetching needs hf, the hub's own program: pip install -U huggingface_hub (or "
      .. 'pipx install huggingface_hub); or %s'):format(id, elsewhere(id)), 'unsupported'
  end
  local ok, out, said, _ = hf {'download', id, '--dry-run', '--format', 'json'}
  local list = ok and json.decode(out, 'hf')
  if not list then return refused(id, said) end
  ok, err, code = check_space(id, to_fetch(list))
  if not ok then return nil, err, code end
  ok, _, said = hf({'download', id, '--format', 'quiet'}, posix.isatty(2))
  if not ok then
    return nil, ('%s: not all was fetched%s; run this again to go on'):format(id,
      said ~= '' and ' (' .. reason(said) .. ')' or ''), 'io'
  end
  local whole, _, found = hf {'cache', 'verify', id}
  if not whole then
    return nil, ('%s: what was fetched is damaged (%s): hf download %s --force-download'):format(id,
      found:match 'Error: ([^\n]*)' or reason(found), id), 'format'
  end
  local dir
  dir, err, code = hub.find(id)
  if not dir then return nil, err, code end
  ok, err, code = models.of(dir)
  if not ok then return nil, err, code end
  return dir
end

return M
