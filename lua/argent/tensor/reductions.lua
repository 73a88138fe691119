-- What goes along a dimension: sums, extremes, order, softmax, and picking by indices. Without a
-- dimension sum, mean, var, norm, max, min and argmax take all elements and give a number. With one
-- they keep it, with size 1, so that the result fits the tensor it is of (`x - x:mean(2)`);
-- squeeze takes it away. Indices, in tensors too, count from 1.

local check = require 'argent.check'
local lib = require 'argent.ffi'
local status = require 'argent.status'

--- Adds them to the methods of tensors.
---@param tensor table the module argent.tensor
---@param Tensor table its methods
return function(tensor, Tensor)
  local floats = tensor.inner.floats

  -- A view with a dimension moved to the end, where the ops take it.
  local function turned(x, dim)
    local n = x:dim()
    if dim == n then return x end
    local order = {}
    for i = 1, n do if i ~= dim then order[#order + 1] = i end end
    order[n] = dim
    return x:permute(order)
  end

  -- The dimension that is asked for, by default the last one; `level` from here to the line to
  -- blame.
  local function dim_of(x, dim, name, level)
    local n = x:dim()
    if n == 0 then
      error(name .. ': a tensor without dimensions has none to go along', level + 1)
    end
    check.int(dim or n, name .. ': dim', 1, n, level - 1)
    return dim or n
  end

  -- x and the dimension to go along; without one all elements in one line, which is said third.
  local function line_of(x, dim, name)
    if dim ~= nil then return x, check.int(dim, name .. ': dim', 1, x:dim(), 2), false end
    if lib.ag_capturing(x.backend) ~= 0 then
      error(('%s: there is no number while a plan is captured: %s(dim) gives a tensor'):format(name,
        name), 4)
    end
    return x:contiguous():view(-1), 1, true
  end

  -- A tensor like x with one dimension of another size.
  local function resized(x, dim, size, dtype)
    local shape = x.shape
    shape[dim] = size
    return tensor.zeros(x.backend, shape, dtype)
  end

  local function reduce(x, dim, name, how)
    floats(x, name, 3)
    local all
    x, dim, all = line_of(x, dim, name)
    local out = resized(x, dim, 1)
    status.raise(lib.ag_reduce(turned(out, dim), turned(x, dim), how), 3)
    return all and out:item() or out
  end

  --- The sum, in f64, of all elements or along a dimension.
  ---@param dim? integer
  ---@return number|ag.Tensor
  function Tensor:sum(dim)
    local r = reduce(self, dim, 'sum', lib.AG_REDUCE_SUM)
    return r
  end

  --- The mean of all elements or along a dimension; NaN of none.
  ---@param dim? integer
  ---@return number|ag.Tensor
  function Tensor:mean(dim)
    local r = reduce(self, dim, 'mean', lib.AG_REDUCE_MEAN)
    return r
  end

  --- The variance of all elements or along a dimension, by n - 1; by n where biased.
  ---@param dim? integer
  ---@param biased? boolean
  ---@return number|ag.Tensor
  function Tensor:var(dim, biased)
    local how = biased and lib.AG_REDUCE_VAR_BIASED or lib.AG_REDUCE_VAR
    local r = reduce(self, dim, 'var', how)
    return r
  end

  --- The p-norm of all elements or along a dimension; p is 2 by default, and may be math.huge.
  ---@param p? number
  ---@param dim? integer
  ---@return number|ag.Tensor
  function Tensor:norm(p, dim)
    p = check.number(p or 2, 'norm: p', 1)
    if p == 2 then
      local r = reduce(self, dim, 'norm', lib.AG_REDUCE_NORM)
      return r
    end
    local size = floats(self, 'norm', 2):abs()
    if p == math.huge then
      local r = size:max(dim)
      return r
    end
    local sum = (size ^ p):sum(dim)
    return sum ^ (1 / p)
  end

  -- The first k along a dimension, in order, and where they are.
  local function first_of(x, k, dim, descending)
    local values, ids = resized(x, dim, k), resized(x, dim, k, 'i32')
    status.raise(lib.ag_sort(turned(values, dim), turned(ids, dim), turned(x, dim),
      descending and 1 or 0, 1), 3)
    return values, ids
  end

  -- NaN before all else, then the greatest, or the least where `least`.
  local function extreme(x, dim, name, least)
    floats(x, name, 3)
    local all
    x, dim, all = line_of(x, dim, name)
    if x:size(dim) == 0 then
      error(('%s: dimension %d of [%s] has no elements'):format(name, dim, table.concat(x.shape,
        ', ')), 3)
    end
    local values, ids = first_of(least and -x or x, 1, dim, true)
    if least then values = -values end
    if all then return values:item(), ids:item() end
    return values, ids
  end

  --- The greatest of all elements, or along a dimension, and where it is; NaN is greater than all
  --- else, and of equals the first counts.
  ---@param dim? integer
  ---@return number|ag.Tensor values
  ---@return integer|ag.Tensor indices i32; of all elements in their order
  function Tensor:max(dim)
    local values, ids = extreme(self, dim, 'max')
    return values, ids
  end

  --- The least of all elements, or along a dimension, and where it is; NaN where there is one.
  ---@param dim? integer
  ---@return number|ag.Tensor values
  ---@return integer|ag.Tensor indices as in max
  function Tensor:min(dim)
    local values, ids = extreme(self, dim, 'min', true)
    return values, ids
  end

  --- Where the greatest is, as the second result of max.
  ---@param dim? integer
  ---@return integer|ag.Tensor
  function Tensor:argmax(dim)
    local _, ids = extreme(self, dim, 'argmax')
    return ids
  end

  --- The k greatest along a dimension (the last one), the greatest first, or the k least.
  ---@param k integer
  ---@param dim? integer
  ---@param least? boolean
  ---@return ag.Tensor values
  ---@return ag.Tensor indices i32
  function Tensor:topk(k, dim, least)
    dim = dim_of(floats(self, 'topk', 2), dim, 'topk', 2)
    check.int(k, 'topk: k', 0, self:size(dim))
    local values, ids = first_of(self, k, dim, not least)
    return values, ids
  end

  --- In order along a dimension (the last one), the least first; NaN last. Equals keep their order.
  ---@param dim? integer
  ---@param descending? boolean the greatest first, after NaN
  ---@return ag.Tensor values
  ---@return ag.Tensor indices i32
  function Tensor:sort(dim, descending)
    dim = dim_of(floats(self, 'sort', 2), dim, 'sort', 2)
    local values, ids = first_of(self, self:size(dim), dim, descending)
    return values, ids
  end

  local function along(x, dim, name, op, ...)
    dim = dim_of(floats(x, name, 3), dim, name, 3)
    local out = tensor.zeros(x.backend, x.shape)
    status.raise(op(turned(out, dim), turned(x, dim), ...), 3)
    return out
  end

  --- e^x / sum e^x along a dimension (the last one).
  ---@param dim? integer
  function Tensor:softmax(dim)
    local out = along(self, dim, 'softmax', lib.ag_softmax, 0)
    return out
  end

  --- The logarithm of softmax.
  ---@param dim? integer
  function Tensor:log_softmax(dim)
    local out = along(self, dim, 'log_softmax', lib.ag_softmax, 1)
    return out
  end

  --- The sum up to each element along a dimension (the last one), in f64.
  ---@param dim? integer
  function Tensor:cumsum(dim)
    local out = along(self, dim, 'cumsum', lib.ag_cumsum)
    return out
  end

  local function pick(x, dim, ids)
    local out = tensor.zeros(x.backend, ids.shape, x.dtype)
    status.raise(lib.ag_gather(turned(out, dim), turned(x, dim), turned(ids, dim), 1), 3)
    return out
  end

  local function check_ids(ids, name)
    if not tensor.is(ids) then check.type(ids, name .. ': indices', 'tensor', 1) end
    if ids.dtype ~= 'i32' then
      error(("%s: the indices are %s, expected i32: ag.tensor(be, list, 'i32')"):format(name,
        ids.dtype), 3)
    end
  end

  --- Elements by their index along a dimension: of two dimensions and dim = 2, out[i][j] =
  --- x[i][ids[i][j]].
  ---@param dim integer
  ---@param ids ag.Tensor i32, of x's shape but for that dimension; from 1
  ---@return ag.Tensor of the shape of ids
  function Tensor:gather(dim, ids)
    check_ids(ids, 'gather')
    check.int(dim, 'gather: dim', 1, self:dim())
    local out = pick(self, dim, ids)
    return out
  end

  --- The slices of a dimension that are named, in that order, as a copy.
  ---@param dim integer
  ---@param ids ag.Tensor|integer[] i32 [n], from 1
  function Tensor:index_select(dim, ids)
    if type(ids) == 'table' then ids = tensor.from(self.backend, ids, 'i32') end
    check_ids(ids, 'index_select')
    check.int(ids:dim(), 'index_select: dimensions of the indices', 1, 1)
    local shape = self.shape
    check.int(dim, 'index_select: dim', 1, #shape)
    shape[dim] = #ids
    local lines = {}
    for i = 1, #shape do lines[i] = i == dim and #ids or 1 end
    local out = pick(self, dim, ids:view(lines):expand(shape))
    return out
  end
end
