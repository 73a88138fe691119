-- Argument checks of the public functions. Misuse raises at the line of the function's caller:
-- every check takes the number of levels between itself and that line (default: the check is called
-- by the public function directly).

local M = {}

--- Says what a value is, for messages: `string 'abc'`, `1.5`, `nil`, `table`.
---@param v any
---@return string
function M.show(v)
  local kind = type(v)
  if kind == 'string' then
    return ("string '%s'"):format(#v > 40 and v:sub(1, 37) .. '...' or v)
  elseif kind == 'number' or kind == 'boolean' or kind == 'nil' then
    return tostring(v)
  end
  return kind
end

local function fail(level, fmt, ...)
  error(fmt:format(...), level + 3) -- fail, check, public function, its caller
end

--- An integer in [lo, hi]; NaN, fractions and numbers that do not fit are refused, because FFI
--- would bend them silently.
---@param v any
---@param name string how the caller knows the argument
---@param lo? number default -2^31
---@param hi? number default 2^31 - 1
---@param level? integer extra levels up to the caller's line
---@return integer v
function M.int(v, name, lo, hi, level)
  lo, hi = lo or -2147483648, hi or 2147483647
  if type(v) ~= 'number' or v ~= v or v < lo or v > hi or v % 1 ~= 0 then
    fail((level or 0) + 1, '%s: expected an integer from %.0f to %.0f, got %s', name, lo, hi,
      M.show(v))
  end
  return v
end

--- A finite number, by default of any size; NaN is refused.
---@return number v
function M.number(v, name, lo, hi, level)
  lo, hi = lo or -math.huge, hi or math.huge
  if type(v) ~= 'number' or v ~= v or v < lo or v > hi then
    local range = (lo == -math.huge and hi == math.huge) and '' or (' from %g to %g'):format(lo, hi)
    fail((level or 0) + 1, '%s: expected a number%s, got %s', name, range, M.show(v))
  end
  return v
end

--- A value of one Lua type ('string', 'table', 'function', ...).
---@return any v
function M.type(v, name, kind, level)
  if type(v) ~= kind then
    fail((level or 0) + 1, '%s: expected a %s, got %s', name, kind, M.show(v))
  end
  return v
end

--- One of the strings in `choices`.
---@return string v
function M.one_of(v, name, choices, level)
  for _, c in ipairs(choices) do
    if v == c then return v end
  end
  fail((level or 0) + 1, '%s: expected one of %s, got %s', name, table.concat(choices, ', '),
    M.show(v))
end

--- An options table whose keys are all known: a misspelt option is an error, not a default.
---@param opts table?
---@param name string
---@param known string[]
---@return table opts
function M.options(opts, name, known, level)
  if opts == nil then return {} end
  M.type(opts, name, 'table', (level or 0) + 1)
  for key in pairs(opts) do
    local found = false
    for _, k in ipairs(known) do found = found or k == key end
    if not found then
      fail((level or 0) + 1, '%s: unknown option %s (known: %s)', name, M.show(key),
        table.concat(known, ', '))
    end
  end
  return opts
end

-- Methods that `methods` has wrapped -> what was written in the file.
local original = setmetatable({}, {__mode = 'k'})

--- The function as it was written, which knows its lines, for one that `methods` has wrapped.
---@param fn function
---@return function
function M.original(fn) return original[fn] or fn end

-- One prototype for each method, so that LuaJIT compiles each by itself; the tail call leaves the
-- levels of the method's own errors as they are.
local GUARD = [[
  local method, is, refuse = ...
  return function(self, ...)
    if not is(self) then refuse(self) end
    return method(self, ...)
  end]]

--- Makes the methods of a class refuse what is not an object of it: `x.sync()`, with a dot, would
--- hand nil to C and crash.
---@param class table functions whose first parameter is called self are its methods
---@param what string what an object of it is called: 'plan'
---@param is? fun(v: any): boolean whether v is one; default: its metatable is the class
---@return table class
function M.methods(class, what, is)
  is = is or function(v) return getmetatable(v) == class end
  for name, fn in pairs(class) do
    if type(fn) == 'function' and name:sub(1, 2) ~= '__' and debug.getlocal(fn, 1) == 'self' then
      local function refuse(v)
        error(('%s: expected a %s, got %s (methods are called with a colon: x:%s())'):format(name,
          what, M.show(v), name), 3)
      end
      class[name] = assert(loadstring(GUARD, '=method.' .. name))(fn, is, refuse)
      original[class[name]] = fn
    end
  end
  return class
end

return M
