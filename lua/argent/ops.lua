-- The ops as Lua functions, made from the prototypes in the library's own header text:
-- ops.linear(out, x, w, bias) and so on, in the order of runtime/ops.def, which is their
-- documentation. Optional tensors may be nil, and what an op computes of several things is a name:
-- ops.map(out, x, 'exp'). Misuse raises at the caller's line.

local ffi = require 'ffi'
local lib = require 'argent.ffi'
local check = require 'argent.check'
local status = require 'argent.status'
local strict = require 'argent.strict'
local tensor = require 'argent.tensor'

local M = {}

-- The names of an enum of the header, as `exp` for AG_MAP_EXP of ag_map, and their numbers.
local function choices_of(enum)
  local list = ffi.string(lib.ag_cdef()):match(('enum %s {(.-)}'):format(enum))
  local prefix, values, names = enum:upper() .. '_', {}, {}
  for constant in list:gmatch '[%u_]+' do
    names[#names + 1] = constant:sub(#prefix + 1):lower()
    values[names[#names]] = #names - 1
  end
  return {values = values, names = names}
end

-- One argument of a prototype: its name, its kind, and the check that FFI does not do (1.9
-- would arrive as 1).
local function parse(declaration)
  local kind, name = declaration:match('^%s*(.-)%s*([%w_]+)%s*$')
  local optional = name:match('^opt_(.*)$')
  return {
    name = optional or name, optional = optional ~= nil, int = kind == 'int32_t',
    tensor = kind:find('ag_tensor', 1, true) ~= nil, enum = kind:match '^enum ([%w_]+)$',
  }
end

local function wrap(op, declarations)
  local args, names, body, choices = {}, {}, {}, {}
  for declaration in declarations:gmatch('[^,]+') do args[#args + 1] = parse(declaration) end
  for i, a in ipairs(args) do
    local v = 'a' .. i
    names[i] = v
    local label = ('%q'):format(op .. ': ' .. a.name)
    if a.tensor then
      local absent = a.optional and (' and %s ~= nil'):format(v) or ''
      body[i] = ('if not is(%s)%s then refuse(%s, %s) end'):format(v, absent, v, label)
    elseif a.enum then
      choices[i] = choices_of(a.enum)
      body[i] = ('%s = choices[%d].values[%s] or one_of(%s, %s, choices[%d].names)'):format(v, i, v,
        v, label, i)
    else
      body[i] = ('%s(%s, %s)'):format(a.int and 'int' or 'number', v, label)
    end
  end
  local list = table.concat(names, ', ')
  local source = ([[
    local lib, is, int, number, one_of, choices, refuse, raise = ...
    return function(%s)
      %s
      local rc = lib.ag_%s(%s)
      if rc ~= 0 then raise(rc, 2) end
    end]]):format(list, table.concat(body, '\n      '), op, list)
  local function refuse(v, label)
    error(('%s: expected a tensor, got %s'):format(label, check.show(v)), 3)
  end
  local make = assert(loadstring(source, '=ops.' .. op))
  return make(lib, tensor.is, check.int, check.number, check.one_of, choices, refuse, status.raise)
end

-- The ops are the prototypes after the header's own functions: those whose first parameter is a
-- tensor and which are not ag_tensor_*.
local PROTOTYPE = 'int ag_([%w_]+)%((ag_tensor %*%a[^%)]*)%);'
for name, declarations in ffi.string(lib.ag_cdef()):gmatch(PROTOTYPE) do
  if not name:find('^tensor_') then M[name] = wrap(name, declarations) end
end

return strict.table(M, 'ag.ops')
