-- The documentation of whatever has a name at the prompt, read from where it is written: functions
-- and methods, ops, modules, classes with their fields, and the options of functions.

local backend = require 'argent.backend'
local check = require 'argent.check'
local ffi = require 'ffi'
local lib = require 'argent.ffi'
local ops = require 'argent.ops'
local source = require 'argent.doc.source'
local tensor = require 'argent.tensor'

local M = {}

-- Columns of the text; letters that a line of a list spends on one name.
local WIDTH, SUMMARY = 100, 100

-- An op's prototype and the comment above it.
local function of_op(name)
  local header = ffi.string(lib.ag_cdef())
  local at = header:find(('int ag_%s(ag_tensor '):format(name), 1, true)
  local comment = at and header:sub(1, at - 1):match '.*/%*(.-)%*/%s*$'
  if not at then return nil end
  local args = header:match('%b()', at):gsub('ag_tensor %*', ''):gsub('int32_t ', '')
    :gsub('enum ag_%w+ ', '')
    :gsub('double ', ''):gsub('%s+', ' ')
  local text = {}
  for line in (comment or ''):gmatch '[^\n]+' do
    text[#text + 1] = line:match '^%s*%*?%s*(.-)%s*$'
  end
  return {signature = ('ops.%s%s'):format(name, args), text = text}
end

-- The classes that the parameters of a function name: their fields are its options.
local function option_classes(doc)
  local list = {}
  for name in table.concat(doc.text, ' '):gmatch '@param [^@]*' do
    for word in name:gmatch '[%w_.]+' do
      local c = word:find('.', 1, true) and source.class(function(k) return k.name == word end)
      if c and #c.fields > 0 and not c.owner then list[#list + 1] = c end
    end
  end
  return list
end

--- What is written about a function.
---@param fn function
---@return ag.Doc? nil when nothing is
function M.of(fn)
  check.type(fn, 'doc: function', 'function')
  for name, op in pairs(ops) do
    if op == fn then return of_op(name) end
  end
  local doc = source.of_function(fn)
  if not doc then return nil end
  for _, class in ipairs(option_classes(doc)) do
    local names = {}
    for i, f in ipairs(class.fields) do names[i] = f.name end
    doc.text[#doc.text + 1] = ('%s: %s'):format(class.name, table.concat(names, ', '))
  end
  return doc
end

-- The first sentence of what is written, or as much of it as a list has room for.
local function summary(text)
  local all = table.concat(text, ' '):gsub('@.*$', ''):gsub('%s+$', '')
  local sentence = all:match '^(.-[^%.]%.)%s+%u' or all
  if #sentence <= SUMMARY then return sentence end
  return sentence:sub(1, SUMMARY):match '^(.*) ' .. ' ...'
end

-- A line for each documented function of a table, and for each table the head of its file.
local function members(t, names, prefix)
  local list = {}
  for _, name in ipairs(names) do
    local ok, v = pcall(function() return t[name] end)
    local doc, line
    if ok and type(v) == 'function' then
      doc = M.of(v)
      local args = doc and doc.signature:match '%b()$' or '(...)'
      line = ('%s%s%s'):format(prefix, name, args)
    elseif ok and type(v) == 'table' then
      local path = source.module(v)
      doc, line = path and {text = source.header(path)}, prefix .. name
    end
    if doc then list[#list + 1] = ('%s  %s'):format(line, summary(doc.text)) end
  end
  return list
end

local function sorted_names(...)
  local set, list = {}, {}
  for _, t in ipairs {...} do
    for k in pairs(t) do
      if type(k) == 'string' and not k:find '^_' then set[k] = true end
    end
  end
  for k in pairs(set) do list[#list + 1] = k end
  table.sort(list)
  return list
end

local function append(list, more)
  for _, v in ipairs(more) do list[#list + 1] = v end
  return list
end

local function of_module(t, path, name)
  local meta = getmetatable(t)
  local lazy = type(meta) == 'table' and type(meta.__names) == 'table' and meta.__names or {}
  local text = source.header(path)
  append(text, members(t, sorted_names(t, lazy), name .. '.'))
  return {signature = name, text = text, place = path}
end

local function of_field(class, f)
  return {
    signature = ('%s.%s: %s'):format(class.name, f.name, f.type),
    text = f.text ~= '' and {f.text} or {}, place = ('%s:%d'):format(class.path, class.line),
  }
end

local function of_class(class, methods)
  local text = class.text ~= '' and {class.text} or {}
  for _, f in ipairs(class.fields) do
    text[#text + 1] = ('%s: %s  %s'):format(f.name, f.type, f.text):match '^(.-)%s*$'
  end
  if methods then append(text, members(methods, sorted_names(methods), ':')) end
  return {
    signature = class.name, text = text, place = ('%s:%d'):format(class.path, class.line),
  }
end

-- The methods of a value, if it is an object, and its class.
local function class_of(v)
  local methods
  if tensor.is(v) then
    methods = tensor.methods
  elseif backend.is(v) then
    methods = backend.methods
  elseif type(v) == 'table' then
    local meta = getmetatable(v)
    local index = type(meta) == 'table' and rawget(meta, '__index')
    methods = type(index) == 'table' and index or v -- the class itself
  end
  for _, fn in pairs(methods or {}) do
    if type(fn) == 'function' then
      local _, owner, path = source.of_function(fn)
      local class = owner and source.class(function(c)
        return c.path == path and c.owner == owner
      end)
      if class then return class, methods end
    end
  end
end

local function field(class, name)
  for _, f in ipairs(class and class.fields or {}) do
    if f.name == name then return of_field(class, f) end
  end
end

-- What is written about an option of a function: a field of a class, or of a table in braces.
local function of_option(fn, name)
  local doc = source.of_function(fn)
  if not doc then return nil end
  for _, class in ipairs(option_classes(doc)) do
    local found = field(class, name)
    if found then return found end
  end
  for param in table.concat(doc.text, ' '):gmatch '@param ([^@]*)' do
    local type_ = param:match('[{%s,]' .. name .. ': ([^,}]+)')
    if type_ then
      local text = param:match('[;}] ' .. name .. ': ([^;]+)')
        or param:match('[;}] [%w_, ]*' .. name .. '[%w_, ]*: ([^;]+)')
      return {signature = ('%s: %s'):format(name, type_), text = {text}, place = doc.place}
    end
  end
end

-- Where classes keep their methods, by the names that documentation uses.
local function methods_of(name)
  local classes = {
    tensor = function() return tensor.methods end,
    backend = function() return backend.methods end,
    session = function() return require('argent.nn.session').methods end,
  }
  return classes[name] and classes[name]()
end

-- The documentation of a value.
local function of_value(v, name)
  if type(v) == 'function' then return M.of(v) end
  if v == ops then
    return of_module(ops, source.ROOT .. 'ops.lua', 'ops')
  end
  local path = source.module(v)
  if path then return of_module(v, path, name) end
  local class, methods = class_of(v)
  return class and of_class(class, methods)
end

-- A name that no value has: a class, an op, or an option of something.
local function of_word(name)
  local whole = source.class(function(c) return c.name == name end)
  if whole then return of_class(whole) end
  if rawget(ops, name) then return of_op(name) end
  -- Several classes may have an option of the name: one that says more than its type goes first.
  local found
  for _, c in ipairs(source.classes()) do
    local f = c.name:find '^ag%.' and not c.owner and field(c, name)
    if f and (not found or #found.text == 0) then found = f end
  end
  return found
end

--- Finds what is written about a name.
---@param name string a function or method ('ag.load', 'tts:say', 'tensor.narrow'), an op
---('ops.linear', 'linear'), a module ('ag.plot'), a class ('ag.Speech', 'tts', 'tensor'), a field
---('tts.dir') or an option ('tts.say.seed', 'seed')
---@param env table where the first part of the name is looked up
---@return ag.Doc?
---@return string? err
function M.find(name, env)
  check.type(name, 'doc: name', 'string')
  local value, parent, seen = nil, nil, nil
  for part in name:gmatch '[^.:]+' do
    local ok, v
    local table_ = value
    if not seen then
      ok, v = pcall(function() return env[part] end)
      if not ok or v == nil then
        local known = methods_of(part) or part == 'ops' and ops
        if known then v, ok = known, true end
      end
      seen = part
    elseif type(value) == 'function' then
      local doc = of_option(value, part)
      if doc then return doc end
      seen = seen .. '.' .. part
    else
      ok, v = pcall(function() return value[part] end)
      seen = seen .. '.' .. part
    end
    if not ok or v == nil then
      local word = field(class_of(table_), part) or of_word(name)
      if word then return word end
      local guess = not ok and tostring(v):match 'did you mean ([^?]+)%?'
      guess = guess and seen:gsub('[^.]*$', '') .. guess
      return nil, ("there is no '%s'%s"):format(seen, guess and (', did you mean %s?'):format(guess)
        or '')
    end
    parent, value = table_, v
  end
  local doc = of_value(value, name) or field(class_of(parent), name:match '[^.:]+$')
  if not doc then return nil, ("nothing is written about '%s'"):format(name) end
  return doc
end

-- Adds a line, as several where it is long.
local function add_wrapped(out, line)
  local indent = '  '
  while #indent + #line > WIDTH do
    local cut = line:sub(1, WIDTH - #indent):match '^.*() ' or line:match '() '
    if not cut then break end
    out[#out + 1] = indent .. line:sub(1, cut - 1)
    indent, line = '      ', line:sub(cut + 1)
  end
  out[#out + 1] = indent .. line
end

--- The documentation as text.
---@param doc ag.Doc
---@return string
function M.text(doc)
  local out = {doc.signature}
  for _, line in ipairs(doc.text) do
    add_wrapped(out, (line:gsub('^@param%s+(%S+)%s+', '%1: '):gsub('^@return%s+', 'returns ')))
  end
  if doc.place then out[#out + 1] = '  (' .. doc.place .. ')' end
  return table.concat(out, '\n')
end

return M
