-- Files of NumPy, which hold one array: a header of text that says dtype and shape, then the values
-- row by row (NEP 1, version 1.0). `numpy.load` reads them.

local ffi = require 'ffi'
local check = require 'argent.check'
local dtypes = require 'argent.dtype'
local files = require 'argent.files'
local tensor = require 'argent.tensor'

local M = {}

-- NumPy's names of dtypes, little-endian.
local NAMES = {f32 = '<f4', i32 = '<i4', i8 = '|i1', u8 = '|u1'}

-- NumPy wants the values to begin at a multiple of this.
local ALIGN = 64

local function header(t)
  local shape = table.concat(t.shape, ', ') .. (#t.shape == 1 and ',' or '')
  local text = ("{'descr': '%s', 'fortran_order': False, 'shape': (%s), }"):format(NAMES[t.dtype],
    shape)
  text = text .. (' '):rep(-(10 + #text + 1) % ALIGN) .. '\n'
  return '\147NUMPY\1\0' .. string.char(#text % 256, math.floor(#text / 256)) .. text
end

--- Writes a tensor as a .npy file, whole or not at all.
---@param path string replaced when it exists
---@param t ag.Tensor f32, i32, i8 or u8; other floats are written as f32
---@return boolean? ok
---@return string? err
---@return string? code 'io'
function M.write(path, t)
  check.type(path, 'npy: path', 'string')
  if not tensor.is(t) then check.type(t, 'npy: tensor', 'tensor') end
  if not NAMES[t.dtype] then t = t:to 'f32' end
  local values, n = t:host()
  local ok, err = files.write(path, header(t) .. ffi.string(values, n * dtypes.size[t.dtype]))
  if not ok then return nil, err, 'io' end
  return true
end

return M
