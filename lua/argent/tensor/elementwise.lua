-- Element by element: functions, comparisons and choices of tensors, with shapes that are stretched
-- to each other: from the last dimension on, one of size 1, or one that is not there, is as large
-- as the other tensor's. Results are new tensors.

local check = require 'argent.check'
local lib = require 'argent.ffi'
local status = require 'argent.status'

--- Adds them to the module and to the methods of tensors.
---@param tensor table the module argent.tensor
---@param Tensor table its methods
return function(tensor, Tensor)
  local inner = tensor.inner

  -- f32, or an error that says how it becomes that; `level` from here to the line to blame.
  local function floats(x, name, level)
    if x.released then error(name .. ': the tensor has been released', level + 1) end
    if x.dtype == 'f32' then return x end
    error(("%s: the tensor is %s; use %s"):format(name, x.dtype,
      x.dtype:find 'f' and "x:to 'f32'" or 'x:float()'), level + 1)
  end

  -- The shape that both are stretched to.
  local function common(a, b, name, level)
    local shape, n = {}, math.max(#a, #b)
    for i = 0, n - 1 do
      local p, q = a[#a - i] or 1, b[#b - i] or 1
      if p ~= q and p ~= 1 and q ~= 1 then
        error(('%s: [%s] and [%s] do not fit: %d and %d'):format(name, table.concat(a, ', '),
          table.concat(b, ', '), p, q), level + 1)
      end
      shape[n - i] = p == 1 and q or p
    end
    return shape
  end

  -- A tensor, or a number as one.
  local function operand(v, like, name, level)
    if type(v) == 'number' then
      local t = tensor.zeros(like.backend, {})
      status.raise(lib.ag_fill(t, v)) -- NaN, too, unlike t:fill
      return t
    end
    if not tensor.is(v) then
      error(('%s: expected a tensor or a number, got %s'):format(name, check.show(v)), level + 1)
    end
    return floats(v, name, level + 1)
  end

  local function map(x, name, how)
    floats(x, name, 3)
    local out = tensor.zeros(x.backend, x.shape)
    status.raise(lib.ag_map(out, x, how), 3)
    return out
  end

  local function combine(a, b, name, how, level)
    local like = tensor.is(a) and a or b
    a, b = operand(a, like, name, level + 1), operand(b, like, name, level + 1)
    local shape = common(a.shape, b.shape, name, level + 1)
    local out = tensor.zeros(like.backend, shape)
    status.raise(lib.ag_combine(out, a:expand(shape), b:expand(shape), how), level + 1)
    return out
  end

  -- For the other files and for operators.
  inner.combine, inner.common, inner.floats = combine, common, floats

  --- e to the power of each element.
  function Tensor:exp()
    local out = map(self, 'exp', lib.AG_MAP_EXP)
    return out
  end

  --- The natural logarithm; NaN below 0.
  function Tensor:log()
    local out = map(self, 'log', lib.AG_MAP_LOG)
    return out
  end

  --- The square root; NaN below 0.
  function Tensor:sqrt()
    local out = map(self, 'sqrt', lib.AG_MAP_SQRT)
    return out
  end

  --- The absolute value.
  function Tensor:abs()
    local out = map(self, 'abs', lib.AG_MAP_ABS)
    return out
  end

  --- The numbers of any tensor as f32: of integers, too, as ids and labels are.
  ---@return ag.Tensor
  function Tensor:float()
    local dtype = self.dtype
    if dtype:find 'f' then return self:to 'f32' end
    local out = tensor.zeros(self.backend, self.shape)
    status.raise(lib.ag_map(out, self, lib.AG_MAP_FLOAT), 2)
    return out
  end

  --- Each element to the power of a number or of a tensor's element, as `x ^ y`.
  ---@param y number|ag.Tensor
  function Tensor:pow(y)
    local out = combine(self, y, 'pow', lib.AG_COMBINE_POW, 2)
    return out
  end

  --- Each element kept from lo to hi; NaN stays.
  ---@param lo number
  ---@param hi number
  function Tensor:clamp(lo, hi)
    check.number(lo, 'clamp: lo')
    check.number(hi, 'clamp: hi')
    local out = floats(self, 'clamp', 2):clone()
    status.raise(lib.ag_clamp(out, out, lo, hi))
    return out
  end

  --- A mask: 1 where the elements are equal, else 0. Masks are f32, so that they can be multiplied
  --- and counted; NaN is equal to nothing.
  ---@param y number|ag.Tensor
  function Tensor:eq(y)
    local out = combine(self, y, 'eq', lib.AG_COMBINE_EQ, 2)
    return out
  end

  --- A mask: 1 where the elements differ.
  function Tensor:ne(y)
    local out = combine(self, y, 'ne', lib.AG_COMBINE_NE, 2)
    return out
  end

  --- A mask: 1 where x > y.
  function Tensor:gt(y)
    local out = combine(self, y, 'gt', lib.AG_COMBINE_GT, 2)
    return out
  end

  --- A mask: 1 where x >= y.
  function Tensor:ge(y)
    local out = combine(self, y, 'ge', lib.AG_COMBINE_GE, 2)
    return out
  end

  --- A mask: 1 where x < y.
  function Tensor:lt(y)
    local out = combine(y, self, 'lt', lib.AG_COMBINE_GT, 2)
    return out
  end

  --- A mask: 1 where x <= y.
  function Tensor:le(y)
    local out = combine(y, self, 'le', lib.AG_COMBINE_GE, 2)
    return out
  end

  local function where(mask, a, b, name, level)
    if not tensor.is(mask) then
      error(('%s: expected a mask, got %s'):format(name, check.show(mask)), level + 1)
    end
    floats(mask, name, level + 1)
    a, b = operand(a, mask, name, level + 1), operand(b, mask, name, level + 1)
    local shape = common(common(mask.shape, a.shape, name, level + 1), b.shape, name, level + 1)
    local out = tensor.zeros(mask.backend, shape)
    status.raise(lib.ag_where(out, mask:expand(shape), a:expand(shape), b:expand(shape)), level + 1)
    return out
  end

  --- Elements of a where the mask is not 0, else of b.
  ---@param mask ag.Tensor as x:gt(0) gives it
  ---@param a number|ag.Tensor
  ---@param b number|ag.Tensor
  ---@return ag.Tensor
  function tensor.where(mask, a, b)
    local out = where(mask, a, b, 'where', 2)
    return out
  end

  --- A copy that has this number where the mask is not 0.
  ---@param mask ag.Tensor
  ---@param value number
  function Tensor:masked_fill(mask, value)
    check.type(value, 'masked_fill: value', 'number')
    local out = where(mask, value, floats(self, 'masked_fill', 2), 'masked_fill', 2)
    return out
  end
end
