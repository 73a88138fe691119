-- What there is to know about dtypes, from the library, which has it from runtime/dtype.def.

local ffi = require 'ffi'
local lib = require 'argent.ffi'

local M = {
  names = {}, ---@type string[] of the element types: 'f32', 'bf16', ...
  floats = {}, ---@type string[] those of them that are no integers
  float = {}, ---@type table<string, true>
  weights = {}, ---@type string[] the kinds of weights that linear, conv1d and embedding read
  weight = {}, ---@type table<string, true>
  code = {}, ---@type table<string, integer> C's constant of a name
  size = {}, ---@type table<string, integer> bytes of an element
  range = {}, ---@type table<string, integer[]> of an integer type: the least and the most
  array = {}, ---@type table<string, ffi.ctype*> arrays on the host: array.f32(n)
}

for code = 0, lib.AG_DTYPES - 1 do
  local name, host = ffi.string(lib.ag_dtype_name(code)), ffi.string(lib.ag_dtype_host(code))
  M.names[code + 1] = name
  M.code[name] = code
  M.size[name] = ffi.sizeof(host)
  M.array[name] = ffi.typeof(host .. '[?]')
  if lib.ag_dtype_float(code) ~= 0 then
    M.floats[#M.floats + 1] = name
    M.float[name] = true
  else
    local signed, values = ffi.cast(host, -1) < 0, 2 ^ (8 * M.size[name])
    M.range[name] = signed and {-values / 2, values / 2 - 1} or {0, values - 1}
  end
end

while lib.ag_weight_name(#M.weights) ~= nil do
  local name = ffi.string(lib.ag_weight_name(#M.weights))
  M.weights[#M.weights + 1] = name
  M.weight[name] = true
end

return M
