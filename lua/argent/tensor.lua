-- Tensors: the Lua face of ag_tensor. Names and 1-based indices follow torch7; ids, codes and
-- positions held in tensors are values and stay 0-based. Here is what every tensor is made and read
-- by; the vocabulary of scripts is in the files of `tensor/` and in operators.lua. Models call
-- argent.ops with their own outputs.

local ffi = require 'ffi'
local lib = require 'argent.ffi'
local backends = require 'argent.backend'
local check = require 'argent.check'
local dtypes = require 'argent.dtype'
local status = require 'argent.status'

local M = {}

local MAX_DIMS = lib.AG_MAX_DIMS

-- Arrays that C reads or fills are made for each call: while Lua collects garbage, a finalizer may
-- make or look at tensors of its own, and would write into those that are shared.
local dims_of, out_of = ffi.typeof('int64_t[' .. MAX_DIMS .. ']'), ffi.typeof 'ag_tensor *[1]'

--- Takes over the one reference that a C function returned.
---@param raw ffi.cdata* ag_tensor *
---@return ag.Tensor
function M.own(raw)
  return ffi.gc(raw[0], lib.ag_tensor_free) -- a reference: see below
end

--- The C constant of a dtype name; raises for others.
function M.dtype(name, level)
  return dtypes.code[name] or dtypes.code[check.one_of(name, 'dtype', dtypes.names, level or 1)]
end

local function to_dims(shape)
  check.type(shape, 'shape', 'table', 1)
  check.int(#shape, 'number of dimensions', 0, MAX_DIMS, 1)
  local dims = dims_of()
  for i, n in ipairs(shape) do dims[i - 1] = check.int(n, 'shape', 0, 2 ^ 53, 1) end
  return dims, #shape
end

-- Dead tensors are a few bytes to Lua and may be most of the memory to us: so the collector runs
-- whenever this many bytes have been asked for since it last did, and when memory ran out.
local COLLECT_EVERY = 256 * 2 ^ 20
local asked = 0

-- The tensor that make(out) puts into `out`.
local function create(make, level, bytes)
  asked = asked + (bytes or 0)
  if asked > COLLECT_EVERY then
    asked = 0
    collectgarbage()
  end
  local out = out_of()
  local rc = make(out)
  if rc == lib.AG_ENOMEM then
    collectgarbage()
    collectgarbage()
    rc = make(out)
  end
  status.raise(rc, level + 1)
  return M.own(out[0])
end

--- A zeroed tensor.
---@param backend ag.Backend
---@param shape integer[]
---@param dtype? string 'f32' (default), 'bf16', 'f16', 'i32'
---@return ag.Tensor
function M.zeros(backend, shape, dtype)
  backends.check(backend, 'backend')
  local kind, dims, n = M.dtype(dtype or 'f32'), to_dims(shape)
  local bytes = dtypes.size[dtype or 'f32']
  for _, d in ipairs(shape) do bytes = bytes * d end
  -- Not a tail call: the caller's line is counted from here.
  local t = create(function(out)
    return lib.ag_tensor_new(out, backend, kind, n, dims)
  end, 2, bytes)
  return t
end

--- A tensor that can grow without moving: addresses for `shape` [S, N, ...], and no memory yet;
--- `t:commit(row, n)` adds some to one of the S rows.
---@param backend ag.Backend
---@param shape integer[] two dimensions at least
---@param dtype? string default 'f32'
---@return ag.Tensor
function M.reserve(backend, shape, dtype)
  backends.check(backend, 'backend')
  local kind, dims, n = M.dtype(dtype or 'f32'), to_dims(shape)
  -- Not a tail call, as in zeros.
  local t = create(function(out)
    return lib.ag_tensor_reserve(out, backend, kind, n, dims)
  end, 2)
  return t
end

-- The shape of nested tables, and their numbers in order.
local function flatten(v, depth, shape, flat)
  local caller = depth + 2 -- flatten `depth` times, tensor.from, its caller
  if type(v) == 'number' then
    if depth <= #shape then error('values: nested tables of unequal depth', caller) end
    flat[#flat + 1] = v
    return
  end
  check.type(v, 'values', 'table', depth)
  if shape[depth] == nil then
    if #flat > 0 then error('values: nested tables of unequal depth', caller) end
    shape[depth] = #v
  elseif shape[depth] ~= #v then
    error(('values: rows of %d and %d elements'):format(shape[depth], #v), caller)
  end
  for i = 1, #v do flatten(v[i], depth + 1, shape, flat) end
end

--- A tensor with the numbers of (nested) tables.
---@param backend ag.Backend
---@param values number[]|table
---@param dtype? string 'f32' (default), 'bf16', 'f16', 'i32'
---@return ag.Tensor
function M.from(backend, values, dtype)
  backends.check(backend, 'backend')
  dtype = dtype or 'f32'
  M.dtype(dtype)
  local shape, flat = {}, {}
  if type(values) == 'number' then values = {values} end
  flatten(values, 1, shape, flat)
  local range, kind = dtypes.range[dtype], dtypes.float[dtype] and 'f32' or dtype
  if range then
    for _, v in ipairs(flat) do check.int(v, 'values', range[1], range[2], 1) end
  end
  local host = dtypes.array[kind](#flat + 1)
  for i, v in ipairs(flat) do host[i - 1] = v end
  local t = M.zeros(backend, shape, kind)
  status.raise(lib.ag_tensor_write(t, host, #flat * dtypes.size[kind]), 2)
  return kind == dtype and t or t:to(dtype)
end

---@class ag.Tensor
---@field shape integer[]
---@field dtype string
---@field backend ag.Backend
local Tensor = {}

local function view(t, shape, stride, offset, level)
  local dims, strides = dims_of(), dims_of()
  for i = 1, #shape do
    dims[i - 1] = shape[i]
    strides[i - 1] = stride[i]
  end
  return create(function(out)
    return lib.ag_tensor_view(out, t, #shape, dims, strides, offset)
  end, (level or 2) + 1)
end

-- What the files of `tensor/` and operators share.
M.inner = {strided = view}

local function read_dims(t, get)
  local dims = dims_of()
  get(t, dims)
  local r = {}
  for i = 1, lib.ag_tensor_ndim(t) do r[i] = tonumber(dims[i - 1]) end
  return r
end

--- Number of elements.
---@return integer
function Tensor:count()
  local n = 1
  for _, d in ipairs(self.shape) do n = n * d end
  return n
end

--- The same, by torch's name.
---@return integer
function Tensor:numel()
  return self:count()
end

--- The part first .. first + length - 1 of dimension dim (both 1-based), sharing memory.
function Tensor:narrow(dim, first, length)
  local shape, stride = self.shape, self.stride
  check.int(dim, 'narrow: dim', 1, #shape)
  check.int(length, 'narrow: length', 0, shape[dim])
  check.int(first, 'narrow: first', 1, shape[dim] - length + 1)
  shape[dim] = length
  return view(self, shape, stride, (first - 1) * stride[dim])
end

--- Index i of dimension dim; the result has one dimension less and shares memory.
function Tensor:select(dim, i)
  local shape, stride = self.shape, self.stride
  check.int(dim, 'select: dim', 1, #shape)
  check.int(i, 'select: index', 1, shape[dim])
  local offset = (i - 1) * stride[dim]
  table.remove(shape, dim)
  table.remove(stride, dim)
  return view(self, shape, stride, offset)
end

--- The same elements in another shape; one dimension may be -1. Only for contiguous tensors.
function Tensor:view(...)
  local shape = {...}
  if type(shape[1]) == 'table' then shape = {unpack(shape[1])} end
  if not self.contiguous_p then error('view: the tensor is not contiguous; use contiguous()', 2) end
  check.int(#shape, 'view: number of dimensions', 0, MAX_DIMS)
  local known, free = 1, nil
  for i, d in ipairs(shape) do
    check.int(d, 'view: shape', -1, 2 ^ 53)
    if d == -1 then
      if free then error('view: more than one -1', 2) end
      free = i
    else
      known = known * d
    end
  end
  local count = self:count()
  if free then
    if known == 0 or count % known
      ~= 0 then error(('view: %d elements do not fill the shape'):format(count), 2) end
    shape[free] = count / known
    known = count
  end
  if known ~= count then error(('view: %d elements, the shape holds %d'):format(count, known),
    2) end
  local stride, step = {}, 1
  for i = #shape, 1, -1 do
    stride[i] = step
    step = step * math.max(shape[i], 1)
  end
  return view(self, shape, stride, 0)
end

--- Dimensions a and b exchanged, sharing memory.
function Tensor:transpose(a, b)
  local shape, stride = self.shape, self.stride
  check.int(a, 'transpose: dim', 1, #shape)
  check.int(b, 'transpose: dim', 1, #shape)
  shape[a], shape[b] = shape[b], shape[a]
  stride[a], stride[b] = stride[b], stride[a]
  return view(self, shape, stride, 0)
end

--- The tensor itself when its elements lie in order, else a copy that does.
function Tensor:contiguous()
  return self.contiguous_p and self or self:clone()
end

--- A contiguous copy.
function Tensor:clone()
  local t = M.zeros(self.backend, self.shape, self.dtype)
  status.raise(lib.ag_copy(t, self), 2)
  return t
end

--- A copy in another dtype (the tensor itself when it has it already).
function Tensor:to(dtype)
  M.dtype(dtype)
  if dtype == self.dtype then return self end
  local t = M.zeros(self.backend, self.shape, dtype)
  status.raise(lib.ag_copy(t, self), 2)
  return t
end

--- Copies the elements of src (same shape, any float dtype) into this tensor.
function Tensor:copy(src)
  if not M.is(src) then check.type(src, 'copy: source', 'tensor') end
  status.raise(lib.ag_copy(self, src), 2)
  return self
end

--- Sets every element.
function Tensor:fill(value)
  status.raise(lib.ag_fill(self, check.number(value, 'fill: value')), 2)
  return self
end

--- Writes the numbers of a flat Lua table, in order, into a contiguous f32 or i32 tensor; as many
--- as it has elements.
function Tensor:set(values)
  local n, dtype = self:count(), self.dtype
  check.type(values, 'set: values', 'table')
  if #values ~= n then error(('set: %d values for %d elements'):format(#values, n), 2) end
  check.one_of(dtype, 'set: dtype', {'f32', 'i32'})
  local host = dtypes.array[dtype](n + 1)
  for i = 1, n do
    host[i - 1] = dtype == 'i32' and check.int(values[i], 'set: value') or check.number(values[i],
      'set: value')
  end
  status.raise(lib.ag_tensor_write(self, host, n * 4), 2)
  return self
end

-- The elements on the host; `level` counts from here to the line to blame, as in status.raise.
local function read(t, level)
  t = t:contiguous()
  if dtypes.float[t.dtype] and t.dtype ~= 'f32' then t = t:to('f32') end
  local n = t:count()
  local host = dtypes.array[t.dtype](n + 1)
  status.raise(lib.ag_tensor_read(t, host, n * dtypes.size[t.dtype]), level)
  if t.dtype == 'f32' then lib.ag_canonical_nan(host, n) end
  return host, n
end

--- The elements as a host array (float for every float dtype, int32_t for i32) and their count.
---@return ffi.cdata* array
---@return integer n
function Tensor:host()
  local host, n = read(self, 3)
  return host, n
end

--- Nested Lua tables of numbers (a number for a tensor of rank 0).
function Tensor:totable()
  local host = read(self, 3)
  local shape, at = self.shape, 0
  local function level(d)
    if d > #shape then
      at = at + 1
      return host[at - 1]
    end
    local r = {}
    for i = 1, shape[d] do r[i] = level(d + 1) end
    return r
  end
  return level(1)
end

--- The number in a tensor of one element.
function Tensor:item()
  local n = self:count()
  if n ~= 1 then error(('item: the tensor has %d elements'):format(n), 2) end
  local host = read(self, 3)
  return host[0]
end

--- Commits memory for the first n elements [n, ...] of one row of a reserved tensor. Running out is
--- `nil, err, 'capacity'|'memory'`.
---@param row integer of the first dimension
---@param n integer of the second
---@return boolean? ok
---@return string? err
---@return string? code
function Tensor:commit(row, n)
  row, n = check.int(row, 'commit: row', 1, 2 ^ 31), check.int(n, 'commit: n', 0, 2 ^ 53)
  local ok, err, code = status.check(lib.ag_tensor_commit(self, row - 1, n), true)
  return ok, err, code
end

--- Takes the memory of one row of a reserved tensor back, and what lies there; the row can be
--- committed again. A GPU keeps it.
---@param row integer of the first dimension
function Tensor:decommit(row)
  row = check.int(row, 'decommit: row', 1, 2 ^ 31)
  status.raise(lib.ag_tensor_decommit(self, row - 1))
end

--- Gives the memory back now; every later use of the tensor is an error. Views of it keep theirs.
function Tensor:release()
  lib.ag_tensor_release(self)
end

local fields = {
  shape = function(t) return read_dims(t, lib.ag_tensor_shape) end,
  stride = function(t) return read_dims(t, lib.ag_tensor_stride) end,
  dtype = function(t) return ffi.string(lib.ag_dtype_name(lib.ag_tensor_dtype(t))) end,
  contiguous_p = function(t) return lib.ag_tensor_contiguous(t) ~= 0 end,
  released = function(t) return lib.ag_tensor_released(t) ~= 0 end,
  backend = function(t)
    local be = lib.ag_tensor_backend(t)
    if be == nil then error('the tensor has been released', 3) end
    lib.ag_backend_retain(be) -- it may outlive the tensor, and whoever opened it
    return ffi.gc(be, lib.ag_backend_free)
  end,
}

-- For operators, completion and documentation: a tensor's methods, the names of its fields.
M.methods, M.fields, M.read = Tensor, fields, read

-- LuaJIT compares, adds to and indexes pointers itself and asks a metatable only about the rest. So
-- in Lua a tensor is a reference to a struct, `ag_tensor &`, which C functions take as a pointer;
-- and for there to be references the struct needs a body, which holds nothing.
if not ffi.sizeof 'struct ag_tensor' then ffi.cdef 'struct ag_tensor {};' end

local tensor_type = ffi.typeof 'ag_tensor'

--- Whether v is a tensor.
function M.is(v)
  return type(v) == 'cdata' and ffi.istype(tensor_type, v)
end

for _, part in ipairs {'views', 'elementwise', 'reductions', 'products', 'make'} do
  require('argent.tensor.' .. part)(M, Tensor)
end

check.methods(Tensor, 'tensor', M.is)

ffi.metatype(tensor_type, require('argent.operators').of(M, Tensor, fields))

return M
