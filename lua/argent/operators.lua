-- What operators and brackets do to tensors: x + y, x[i], x < y. Results are new tensors, for
-- scripts and the prompt; models call argent.ops with outputs of their own. Misuse is blamed on the
-- line with the operator: no metamethod ends in a tail call, which would lose that line.

local check = require 'argent.check'
local brackets = require 'argent.tensor.brackets'
local lib = require 'argent.ffi'
local status = require 'argent.status'
local strict = require 'argent.strict'

local M = {}

-- What people call things that tensors have by another name.
local MEANT = {
  ['repeat'] = 'x:tile(...)', repeatTensor = 'x:tile(...)', reshape = 'x:contiguous():view(...)',
  mm = 'x:matmul(y)', mv = 'x:matmul(y)', cmul = 'x * y', cdiv = 'x / y',
  csub = 'x - y', cadd = 'x + y',
  nElement = 'x:numel()', nDimension = 'x:dim()',
  indexSelect = 'x:index_select(dim, ids)', maskedFill = 'x:masked_fill(mask, value)',
  maskedSelect = 'ag.where(mask, a, b)', where = 'ag.where(mask, a, b)',
  std = 'x:var(dim):sqrt()', logSoftMax = 'x:log_softmax(dim)', int = "ag.tensor(be, list, 'i32')",
}

--- The metatable of tensors.
---@param tensor table the module argent.tensor
---@param methods table<string, function>
---@param fields table<string, fun(t: ag.Tensor): any>
---@return table
function M.of(tensor, methods, fields)
  -- The operand if it is a tensor, nil if it is a number; anything else is refused.
  local function operand(v, sign)
    if type(v) == 'number' then return nil end
    if not tensor.is(v) then
      error(("'%s' takes tensors and numbers, got %s"):format(sign, check.show(v)), 3)
    end
    if v.released then error(("'%s': the tensor has been released"):format(sign), 3) end
    return v
  end

  local function like(t) return tensor.zeros(t.backend, t.shape) end

  -- p * x + q of a new tensor; the line to blame is that of the operator.
  local function affine(x, p, q)
    local r = like(x)
    status.raise(lib.ag_affine(r, x:contiguous(), p, q), 3)
    return r
  end

  -- Two tensors as add and mul take them: of one shape, or with a row for all rows behind.
  local function stretched(x, y, sign)
    local a, b = x.shape, y.shape
    local row, same = #a > 1 and #b == 1 and a[#a] == b[1], #a == #b
    for i = 1, #a do same = same and a[i] == b[i] end
    if not (row or same) then
      a = tensor.inner.common(a, b, ("'%s'"):format(sign), 3)
      x, y = x:expand(a), y:expand(a)
    end
    return x:contiguous(), y:contiguous()
  end

  -- An operator that tensors do not have.
  local function refuse(message)
    return function() error(message, 2) end
  end

  local unordered = refuse('tensors have no order: x:lt(y), le, gt, ge, eq and ne make masks; '
    .. 'x:item() < 1 compares numbers')

  local meta = {
    __lt = unordered,
    __le = unordered,
    __concat = refuse 'a tensor is not text: use tostring(x), or ag.show(x) for its numbers',
    __mod = refuse "tensors have no '%': compute with the numbers of x:totable()",
  }

  function meta.__add(a, b)
    local x, y = operand(a, '+'), operand(b, '+')
    local r
    if x and y then
      x, y = stretched(x, y, '+')
      r = like(x)
      status.raise(lib.ag_add(r, x, y, 1))
    else
      r = affine(x or y, 1, x and b or a)
    end
    return r
  end

  function meta.__sub(a, b)
    local x, y = operand(a, '-'), operand(b, '-')
    local r
    if x and y then
      x, y = stretched(x, y, '-')
      r = like(x)
      status.raise(lib.ag_add(r, x, y, -1))
    else
      r = affine(x or y, x and 1 or -1, x and -b or a)
    end
    return r
  end

  function meta.__mul(a, b)
    local x, y = operand(a, '*'), operand(b, '*')
    local r
    if x and y then
      x, y = stretched(x, y, '*')
      r = like(x)
      status.raise(lib.ag_mul(r, x, y))
    else
      r = affine(x or y, x and b or a, 0)
    end
    return r
  end

  function meta.__div(a, b)
    operand(a, '/')
    operand(b, '/')
    local r = tensor.inner.combine(a, b, "'/'", lib.AG_COMBINE_DIV, 2)
    return r
  end

  function meta.__unm(a)
    local x = operand(a, '-')
    local r = affine(x, -1, 0)
    return r
  end

  -- Whole powers by repeated squares: x ^ 2 is x * x to the last bit.
  function meta.__pow(a, n)
    local x, y = operand(a, '^'), operand(n, '^')
    if not x or y or n % 1 ~= 0 or n < 0 or n > 64 then
      local r = tensor.inner.combine(a, n, "'^'", lib.AG_COMBINE_POW, 2)
      return r
    end
    local r, square = like(x), affine(x, 1, 0)
    status.raise(lib.ag_fill(r, 1))
    while n > 0 do
      if n % 2 == 1 then status.raise(lib.ag_mul(r, r, square)) end
      n = math.floor(n / 2)
      if n > 0 then status.raise(lib.ag_mul(square, square, square)) end
    end
    return r
  end

  function meta.__index(t, key)
    local method = methods[key]
    if method then return method end
    local field = fields[key]
    if field then return field(t) end
    if MEANT[key] then error(("a tensor has no '%s': use %s"):format(key, MEANT[key]), 2) end
    if type(key) == 'string' then
      error(strict.missing('a tensor', key, strict.names(methods, fields)), 2)
    end
    local part, number = brackets.part(t, key, tensor.is, 1)
    if not number then return part end
    local host = tensor.read(part, 3)
    return host[0]
  end

  function meta.__newindex(t, key, value)
    if type(key) == 'string' then
      error(("x.%s: a tensor's fields cannot be set"):format(key), 2)
    end
    brackets.assign(t, key, value, tensor.is, 1)
  end

  function meta.__len(t)
    return lib.ag_tensor_ndim(t) > 0 and t.shape[1] or 0
  end

  function meta.__tostring(t)
    if t.released then return 'tensor (released)' end
    return ('tensor [%s] %s on %s'):format(table.concat(t.shape, ', '), t.dtype, t.backend.kind)
  end

  return meta
end

return M
