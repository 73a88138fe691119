-- The documentation of public functions, read from where it stands: the `---` comments above them,
-- and for ops the header's own text.

local ffi = require 'ffi'
local check = require 'argent.check'
local lib = require 'argent.ffi'
local ops = require 'argent.ops'

local M = {}

---@class ag.Doc
---@field signature string
---@field text string[] lines of the comment, its @param and @return lines among them
---@field place string? 'lua/argent/io.lua:21'

local function lines_of(path)
  local f = io.open(path, 'r')
  if not f then return nil end
  local list = {}
  for line in f:lines() do list[#list + 1] = line end
  f:close()
  return list
end

-- An op's prototype and the comment above it.
local function of_op(name)
  local header = ffi.string(lib.ag_cdef())
  local at = header:find(('int ag_%s(ag_tensor '):format(name), 1, true)
  local comment = at and header:sub(1, at - 1):match '.*/%*(.-)%*/%s*$'
  if not at then return nil end
  local args = header:match('%b()', at):gsub('ag_tensor %*', ''):gsub('int32_t ', '')
    :gsub('double ', '')
  local text = {}
  for line in (comment or ''):gmatch '[^\n]+' do
    text[#text + 1] = line:match '^%s*%*?%s*(.-)%s*$'
  end
  return {signature = ('ops.%s%s'):format(name, args), text = text}
end

--- What is written about a function.
---@param fn function
---@return ag.Doc? nil when nothing is
function M.of(fn)
  check.type(fn, 'doc: function', 'function')
  for name, op in pairs(ops) do
    if op == fn then return of_op(name) end
  end
  local info = debug.getinfo(check.original(fn), 'S')
  local path = info.source:match '^@(.*)$'
  local lines = path and lines_of(path)
  if not lines then return nil end
  local first = info.linedefined
  local at = first - 1
  -- Some public functions are made by `return function` or assigned later.
  while at > 0 and lines[at]:find '^%s*%-%-%-' do at = at - 1 end
  local text = {}
  for i = at + 1, first - 1 do text[#text + 1] = lines[i]:match '^%s*%-%-%- ?(.*)$' end
  if #text == 0 then return nil end
  local head = lines[first]
  local signature = head:match 'function%s+([%w_.:]+%b())' or head:match '^%s*(.-)%s*$'
  return {signature = signature, text = text, place = ('%s:%d'):format(path, first)}
end

-- Where classes keep their methods, by the names that documentation uses.
local function class(name)
  local classes = {
    tensor = function() return require('argent.tensor').methods end,
    backend = function() return require('argent.backend').methods end,
    session = function() return require('argent.nn.session').methods end,
  }
  return classes[name] and classes[name]()
end

--- Finds the function of a name and what is written about it.
---@param name string 'ag.load', 'tts.say' or 'tts:say', 'tensor.narrow', 'ops.linear'
---@param env table where the first part of the name is looked up
---@return ag.Doc?
---@return string? err
function M.find(name, env)
  check.type(name, 'doc: name', 'string')
  local value, seen
  for part in name:gmatch '[^.:]+' do
    local ok, v
    if not seen then
      v = env[part]
      if v == nil then v = class(part) or (part == 'ops' and ops) or nil end
      seen = part
    else
      ok, v = pcall(function() return value[part] end)
      if not ok then v = nil end
      seen = seen .. '.' .. part
    end
    if v == nil then return nil, ("there is no '%s'"):format(seen) end
    value = v
  end
  if type(value) ~= 'function' then
    return nil, ("'%s' is a %s, not a function"):format(name, type(value))
  end
  local doc = M.of(value)
  if not doc then return nil, ("nothing is written about '%s'"):format(name) end
  return doc
end

--- The documentation as text.
---@param doc ag.Doc
---@return string
function M.text(doc)
  local out = {doc.signature}
  for _, line in ipairs(doc.text) do
    line = line:gsub('^@param%s+(%S+)%s+', '%1: '):gsub('^@return%s+', 'returns ')
    out[#out + 1] = '  ' .. line
  end
  if doc.place then out[#out + 1] = '  (' .. doc.place .. ')' end
  return table.concat(out, '\n')
end

return M
