-- What a line could go on with: names in tables, methods, words of the language and of the prompt,
-- and, inside quotes, files.

local lfs = require 'lfs'
local backend = require 'argent.backend'
local tensor = require 'argent.tensor'

local M = {}

local WORDS = {}
for word in ([[and break do else elseif end false for function if in local nil not or repeat return
  then true until while]]):gmatch '%S+' do WORDS[#WORDS + 1] = word end

local function add_keys(set, t)
  for k in pairs(t) do
    if type(k) == 'string' and k:find '^[%a_][%w_]*$' and not k:find '^__' then set[k] = true end
  end
end

-- Every name that can stand behind a value and a dot.
local function members(value)
  local set = {}
  if tensor.is(value) then
    add_keys(set, tensor.methods)
    add_keys(set, tensor.fields)
  elseif backend.is(value) then
    add_keys(set, backend.methods)
    add_keys(set, backend.fields)
  elseif type(value) == 'string' then
    add_keys(set, string)
  end
  local seen = {}
  while type(value) == 'table' and not seen[value] do
    seen[value] = true
    add_keys(set, value)
    local meta = getmetatable(value)
    if type(meta) ~= 'table' then break end
    if type(meta.__names) == 'table' then add_keys(set, meta.__names) end
    value = meta.__index
  end
  return set
end

-- The value of a chain of names; nil where one is missing. Nothing is called.
local function resolve(chain, env)
  local value = env
  for name in chain:gmatch '[%a_][%w_]*' do
    local ok, v = pcall(function() return value[name] end)
    if not ok or v == nil then return nil end
    value = v
  end
  return value
end

local function starting(set, prefix)
  local list = {}
  for name in pairs(set) do
    if name:sub(1, #prefix) == prefix then list[#list + 1] = name end
  end
  table.sort(list)
  return list
end

local function files(prefix)
  local folder, name = prefix:match '^(.*/)([^/]*)$'
  folder, name = folder or '', name or prefix
  local path = folder == '' and '.' or folder:gsub('^~/', (os.getenv 'HOME' or '~') .. '/')
  local list = {}
  if lfs.attributes(path, 'mode') ~= 'directory' then return list end
  local ok, iterate, dir = pcall(lfs.dir, path)
  if not ok then return list end
  for entry in iterate, dir do
    local hidden = entry:sub(1, 1) == '.' and name:sub(1, 1) ~= '.'
    if entry ~= '.' and entry ~= '..' and not hidden and entry:sub(1, #name) == name then
      local slash = lfs.attributes(path .. '/' .. entry, 'mode') == 'directory' and '/' or ''
      list[#list + 1] = folder .. entry .. slash
    end
  end
  table.sort(list)
  return list
end

-- Where the quoted text begins in which the line ends; nil outside of quotes.
local function open_quote(line)
  local quote, from, at = nil, nil, 1
  while at <= #line do
    local c = line:sub(at, at)
    if quote then
      if c == '\\' then at = at + 1 elseif c == quote then quote = nil end
    elseif c == '"' or c == "'" then
      quote, from = c, at + 1
    elseif line:sub(at, at + 1) == '--' then
      return nil
    end
    at = at + 1
  end
  return quote and from
end

--- What the text up to the cursor could go on with.
---@param line string up to the cursor
---@param env table the names that are known
---@param commands string[] words that begin a line with a colon
---@return string[] candidates sorted; each replaces the line from `from` on
---@return integer from byte, from 1
function M.complete(line, env, commands)
  if line:find '^:%a*$' then
    local set = {}
    for _, c in ipairs(commands) do set[':' .. c] = true end
    return starting(set, line), 1
  end
  local quoted = open_quote(line)
  if quoted then return files(line:sub(quoted)), quoted end
  local chain, name = line:match '([%a_][%w_.:]*[.:])([%w_]*)$'
  if chain then
    local value = resolve(chain, env)
    return value ~= nil and starting(members(value), name) or {}, #line - #name + 1
  end
  name = line:match '[%a_][%w_]*$' or ''
  if line:find '[.:%)%]]%s*$' and name == '' then return {}, #line + 1 end
  local set = members(env)
  for _, word in ipairs(WORDS) do set[word] = true end
  return starting(set, name), #line - #name + 1
end

--- The longest text that all candidates begin with.
---@param list string[]
---@return string
function M.common_prefix(list)
  local prefix = list[1] or ''
  for _, s in ipairs(list) do
    while s:sub(1, #prefix) ~= prefix do prefix = prefix:sub(1, -2) end
  end
  return prefix
end

return M
