-- Views of tensors: other shapes and orders of the same elements, in the same memory. What is
-- written into a view is seen in the tensor, and the other way round.

local check = require 'argent.check'
local lib = require 'argent.ffi'

local MOST_PARTS = 2 ^ 20 -- of a list that split makes

-- The indices of dimensions 1 .. n; each of `dims` is one of them, and there once.
local function check_order(dims, n, name)
  check.int(#dims, name .. ': number of dimensions', n, n, 1)
  local seen = {}
  for _, d in ipairs(dims) do
    check.int(d, name .. ': dim', 1, n, 1)
    if seen[d] then error(('%s: dimension %d is there twice'):format(name, d), 3) end
    seen[d] = true
  end
end

local function list_of(...)
  local first = ...
  return type(first) == 'table' and {unpack(first)} or {...}
end

--- Adds the views to the methods of tensors.
---@param tensor table the module argent.tensor
---@param Tensor table its methods
return function(tensor, Tensor)
  local strided = tensor.inner.strided

  --- The sizes of all dimensions, or that of one.
  ---@param dim? integer
  ---@return integer[]|integer
  function Tensor:size(dim)
    local shape = self.shape
    if dim == nil then return shape end
    return shape[check.int(dim, 'size: dim', 1, #shape)]
  end

  --- The number of dimensions.
  ---@return integer
  function Tensor:dim()
    return lib.ag_tensor_ndim(self)
  end

  --- The dimensions in another order: `x:permute(3, 1, 2)` begins with the third.
  function Tensor:permute(...)
    local shape, stride, dims = self.shape, self.stride, list_of(...)
    check_order(dims, #shape, 'permute')
    local new, steps = {}, {}
    for i, d in ipairs(dims) do new[i], steps[i] = shape[d], stride[d] end
    return strided(self, new, steps, 0)
  end

  --- A matrix with rows and columns exchanged.
  function Tensor:t()
    local shape, stride = self.shape, self.stride
    if #shape ~= 2 then
      error(('t: [%s] is no matrix: x:transpose(a, b) exchanges two of its dimensions'):format(
        table.concat(shape, ', ')), 2)
    end
    return strided(self, {shape[2], shape[1]}, {stride[2], stride[1]}, 0)
  end

  --- Dimensions of size 1 as if they were as large as asked, without copying: each index of one
  --- leads to the same elements. -1 leaves a dimension as it is; there may be more in front. Such a
  --- view is for reading: ops refuse to write into it.
  function Tensor:expand(...)
    local shape, stride, new = self.shape, self.stride, list_of(...)
    local more = #new - #shape
    check.int(#new, 'expand: number of dimensions', #shape, lib.AG_MAX_DIMS)
    local steps = {}
    for i = 1, #new do
      local old = shape[i - more]
      check.int(new[i], 'expand: size', old and -1 or 0, 2 ^ 53)
      if new[i] == -1 then new[i] = old end
      if old and old ~= 1 and old ~= new[i] then
        error(('expand: dimension %d of [%s] is %d, which cannot become %d'):format(i - more,
          table.concat(shape, ', '), old, new[i]), 2)
      end
      steps[i] = (old == new[i]) and stride[i - more] or 0
    end
    return strided(self, new, steps, 0)
  end

  --- Without the dimensions of size 1, or without this one if its size is 1.
  ---@param dim? integer
  function Tensor:squeeze(dim)
    local shape, stride = self.shape, self.stride
    if dim ~= nil then check.int(dim, 'squeeze: dim', 1, #shape) end
    local new, steps = {}, {}
    for i, n in ipairs(shape) do
      if n ~= 1 or (dim and dim ~= i) then
        new[#new + 1] = n
        steps[#steps + 1] = stride[i]
      end
    end
    return strided(self, new, steps, 0)
  end

  --- With a dimension of size 1 more, which is then the dim-th.
  ---@param dim integer
  function Tensor:unsqueeze(dim)
    local shape, stride = self.shape, self.stride
    check.int(dim, 'unsqueeze: dim', 1, #shape + 1)
    table.insert(shape, dim, 1)
    table.insert(stride, dim, (stride[dim] or 1) * (shape[dim + 1] or 1))
    return strided(self, shape, stride, 0)
  end

  --- Parts of `size` along a dimension, the last one perhaps smaller.
  ---@param size integer
  ---@param dim? integer default 1
  ---@return ag.Tensor[]
  function Tensor:split(size, dim)
    local shape = self.shape
    dim = check.int(dim or 1, 'split: dim', 1, #shape)
    check.int(size, 'split: size', 1, 2 ^ 53)
    check.int(math.ceil(shape[dim] / size), 'split: parts', 0, MOST_PARTS)
    local parts = {}
    for first = 1, shape[dim], size do
      parts[#parts + 1] = self:narrow(dim, first, math.min(size, shape[dim] - first + 1))
    end
    return parts
  end

  --- At most n parts of one size along a dimension, the last one perhaps smaller.
  ---@param n integer
  ---@param dim? integer default 1
  ---@return ag.Tensor[]
  function Tensor:chunk(n, dim)
    local shape = self.shape
    dim = check.int(dim or 1, 'chunk: dim', 1, #shape)
    check.int(n, 'chunk: n', 1, 2 ^ 53)
    return self:split(math.max(1, math.ceil(shape[dim] / n)), dim)
  end
end
