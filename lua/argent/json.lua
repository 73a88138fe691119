-- JSON: files, text, and the fields of an object. Parsing and the escaping of strings are those of
-- lua-cjson; here are the limits that make a foreign file safe to open (size, depth, a plain file),
-- arrays that stay arrays when empty, and checked reading of fields (`json.object`). Of duplicate
-- keys the last one counts, and integers above 2^53 are rounded, so headers of safetensors files
-- are not read with it.

local cjson = require 'cjson'
local check = require 'argent.check'
local files = require 'argent.files'

local M = {}

local MAX_DEPTH = 64
local MAX_BYTES = 2 ^ 20 -- a configuration is a few kilobytes

local codec = cjson.new() -- our own settings: the shared instance belongs to other users of cjson
codec.decode_max_depth(MAX_DEPTH)
codec.decode_invalid_numbers(false)

--- What JSON's null becomes.
M.null = cjson.null

local ARRAY = {}

local function one_line(s)
  return (s:gsub('%c', '?'))
end

--- Parses JSON text.
---@param text string UTF-8
---@param name string where the text is from, for messages
---@return any? value null is `json.null`
---@return string? err one line
function M.decode(text, name)
  check.type(text, 'text', 'string')
  check.type(name, 'name', 'string')
  local ok, value = pcall(codec.decode, text)
  if not ok then return nil, one_line(('%s: not valid JSON: %s'):format(name, value)) end
  return value
end

--- Reads a JSON file that holds an object or an array.
---@param path string
---@param limit? integer largest size in bytes, default 1 MiB
---@return table? value
---@return string? err one line that begins with the path
function M.read(path, limit)
  check.type(path, 'path', 'string')
  limit = check.int(limit or MAX_BYTES, 'limit', 1)
  local text, err = files.read(path, limit)
  if not text then return nil, err end
  local value, decode_err = M.decode(text, path)
  if decode_err then return nil, decode_err end
  if type(value) ~= 'table' then
    return nil, one_line(('%s: expected an object or an array, found %s'):format(path,
      value == M.null and 'null' or check.show(value)))
  end
  return value
end

--- Marks a table as an array, so that it is written as [] also when it is empty.
---@param t? table default a new one
---@return table t
function M.array(t)
  return setmetatable(t or {}, ARRAY)
end

local function fail(fmt, ...)
  error(fmt:format(...), 0)
end

local function number(v)
  if v ~= v or math.abs(v) == math.huge then fail('cannot encode %s as JSON', tostring(v)) end
  local short = ('%.14g'):format(v)
  return tonumber(short) == v and short or ('%.17g'):format(v)
end

local function quoted(s)
  -- cjson escapes slashes, which JSON allows, but paths are hard to read that way.
  return (codec.encode(s):gsub('\\(.)', function(c) return c == '/' and c or '\\' .. c end))
end

local write -- (v, out, depth): appends the pieces of v to out

local function write_array(t, out, depth)
  out[#out + 1] = '['
  for i = 1, #t do
    if i > 1 then out[#out + 1] = ',' end
    write(t[i], out, depth)
  end
  out[#out + 1] = ']'
end

local function write_object(t, out, depth)
  local keys = {}
  for key in pairs(t) do
    if type(key) ~= 'string' then
      fail('cannot encode a table that is neither an array without gaps nor an object')
    end
    keys[#keys + 1] = key
  end
  table.sort(keys) -- the same value is always the same text
  out[#out + 1] = '{'
  for i, key in ipairs(keys) do
    out[#out + 1] = (i > 1 and ',' or '') .. quoted(key) .. ':'
    write(t[key], out, depth)
  end
  out[#out + 1] = '}'
end

local function is_array(t)
  local count = 0
  for _ in pairs(t) do count = count + 1 end
  return getmetatable(t) == ARRAY and count == #t or count > 0 and count == #t
end

function write(v, out, depth)
  local kind = type(v)
  if kind == 'table' then
    if depth == MAX_DEPTH then fail('cannot encode more than %d levels of tables', MAX_DEPTH) end
    return (is_array(v) and write_array or write_object)(v, out, depth + 1)
  elseif v == M.null then
    out[#out + 1] = 'null'
  elseif kind == 'string' then
    out[#out + 1] = quoted(v)
  elseif kind == 'number' then
    out[#out + 1] = number(v)
  elseif kind == 'boolean' then
    out[#out + 1] = tostring(v)
  else
    fail('cannot encode a %s as JSON', kind)
  end
end

--- Writes a value as one line of JSON: keys in alphabetical order, numbers with the digits needed
--- to read them back. A table with the keys 1 .. n is an array; an empty table is an object unless
--- `json.array` marked it. A table that is neither, one that contains itself, NaN, infinities and
--- functions raise an error.
---@param v any
---@return string
function M.encode(v)
  local out = {}
  local ok, err = pcall(write, v, out, 0)
  if not ok then error(err, 2) end
  return table.concat(out)
end

local Fault = {} -- marks an error value as a finding about a file, not a mistake in the program

local function show(v)
  if v == M.null then return 'null' end
  if type(v) ~= 'table' then return check.show(v) end
  return #v > 0 and 'a list' or next(v) == nil and 'an empty list or object' or 'an object'
end

local function is_integer(v, lo, hi)
  return type(v) == 'number' and v >= lo and v <= hi and v % 1 == 0
end

--- One JSON object of a file, read field by field. A field that is absent or null takes the default
--- where the method has one. What is wrong is raised as a fault, which `json.checked` turns into
--- `nil, err`, so that a long list of fields reads as one.
---@class argent.json.Object
---@field file string
---@field name string? dotted path of the object in the file
---@field values table the object as parsed
local Object = {}
Object.__index = Object

--- Wraps a parsed object for reading.
---@param values table
---@param file string for messages
---@param name? string dotted path of the object in the file
---@return argent.json.Object
function M.object(values, file, name)
  return setmetatable({values = values, file = file, name = name}, Object)
end

--- Raises `FILE: FIELD: message`.
---@param field string key below this object, or with an index: 'rates[2]'
function Object:fault(field, fmt, ...)
  local path = self.name and self.name .. '.' .. field or field
  local message = ('%s: %s: %s'):format(self.file, path, fmt:format(...))
  error(setmetatable({message = one_line(message:sub(1, 600))}, Fault), 0)
end

--- Raises a fault unless `ok`: `expected ..., got (the field's value)`.
function Object:expect(ok, key, fmt, ...)
  if not ok then self:fault(key, 'expected %s, got %s', fmt:format(...), show(self.values[key])) end
end

--- The value as it is; nil for null.
---@return any
function Object:get(key)
  local v = self.values[key]
  if v ~= M.null then return v end
end

---@return integer
function Object:int(key, lo, hi, default)
  local v = self:get(key)
  if v == nil and default ~= nil then return default end
  self:expect(is_integer(v, lo, hi), key, 'an integer from %.0f to %.0f', lo, hi)
  return v
end

---@return number
function Object:number(key, lo, hi, default)
  local v = self:get(key)
  if v == nil and default ~= nil then return default end
  self:expect(type(v) == 'number' and v >= lo and v <= hi, key, 'a number from %g to %g', lo, hi)
  return v
end

---@return boolean
function Object:boolean(key, default)
  local v = self:get(key)
  if v == nil and default ~= nil then return default end
  self:expect(type(v) == 'boolean', key, 'true or false')
  return v
end

---@return string
function Object:string(key)
  local v = self:get(key)
  self:expect(type(v) == 'string', key, 'a string')
  return v
end

---@return string one of `choices`
function Object:one_of(key, choices)
  local v = self:get(key)
  for _, choice in ipairs(choices) do
    if v == choice then return v end
  end
  self:expect(false, key, (#choices > 1 and 'one of ' or '') .. table.concat(choices, ', '))
end

--- The object below this one; an absent one is empty where it is optional.
---@return argent.json.Object
function Object:object(key, optional)
  local v = self:get(key)
  if v == nil and optional then v = {} end
  self:expect(type(v) == 'table' and #v == 0, key, 'an object')
  return M.object(v, self.file, self.name and self.name .. '.' .. key or key)
end

--- A list of 1 to `most` integers from `lo` to `hi`.
---@return integer[]
function Object:integers(key, most, lo, hi)
  local v = self:get(key)
  local is_list = type(v) == 'table' and #v >= 1 and #v <= most
  self:expect(is_list, key, 'a list of 1 to %d integers', most)
  for i, n in ipairs(v) do
    if not is_integer(n, lo, hi) then
      self:fault(('%s[%d]'):format(key, i - 1), 'expected an integer from %.0f to %.0f, got %s',
        lo, hi, show(n))
    end
  end
  return v
end

--- The keys in alphabetical order, so that of several faults the same one is reported each time.
---@return string[]
function Object:keys()
  local keys = {}
  for key in pairs(self.values) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

--- Reads a file that holds an object.
---@param path string
---@param file string how messages about its fields call it
---@return argent.json.Object
function M.open(path, file)
  local values, err = M.read(path)
  if not values then error(setmetatable({message = err}, Fault), 0) end
  local object = M.object(values, file)
  if #values > 0 then object:fault('the top level', 'expected an object, got a list') end
  return object
end

--- Reads a file that holds a list.
---@param path string
---@return table
function M.open_list(path)
  local values, err = M.read(path)
  if not values then error(setmetatable({message = err}, Fault), 0) end
  if #values == 0 then
    M.object({}, path):fault('the top level', 'expected a list, got %s', show(values))
  end
  return values
end

--- Calls a function that reads fields and returns its result, or nil and the fault it met.
---@param fn fun(...): any
---@return any? result
---@return string? err one line
function M.checked(fn, ...)
  local ok, result = pcall(fn, ...)
  if ok then return result end
  if getmetatable(result) == Fault then return nil, result.message end
  error(result, 0)
end

return M
