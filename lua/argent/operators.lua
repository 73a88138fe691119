-- What operators and brackets do to tensors: x + y, x[i], x < y. Results are new tensors, for
-- scripts and the prompt; models call argent.ops with outputs of their own. Misuse is blamed on the
-- line with the operator: no metamethod ends in a tail call, which would lose that line.

local check = require 'argent.check'
local lib = require 'argent.ffi'
local status = require 'argent.status'
local strict = require 'argent.strict'

local M = {}

--- The metatable of tensors.
---@param tensor table the module argent.tensor, for its zeros, is and read
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

  -- An operator that tensors do not have.
  local function refuse(message)
    return function() error(message, 2) end
  end

  local unordered = refuse 'tensors have no order: compare numbers, as in x[1] < 1 or x:item() < 1'

  local meta = {
    __lt = unordered,
    __le = unordered,
    __concat = refuse 'a tensor is not text: use tostring(x), or ag.show(x) for its numbers',
    __mod = refuse "tensors have no '%': compute with the numbers of x:totable()",
  }

  function meta.__add(a, b)
    local x, y = operand(a, '+'), operand(b, '+')
    local r = like(x or y)
    if x and y then
      status.raise(lib.ag_add(r, x, y, 1))
    else
      status.raise(lib.ag_affine(r, x or y, 1, x and b or a))
    end
    return r
  end

  function meta.__sub(a, b)
    local x, y = operand(a, '-'), operand(b, '-')
    local r = like(x or y)
    if x and y then
      status.raise(lib.ag_add(r, x, y, -1))
    else
      status.raise(lib.ag_affine(r, x or y, x and 1 or -1, x and -b or a))
    end
    return r
  end

  function meta.__mul(a, b)
    local x, y = operand(a, '*'), operand(b, '*')
    local r = like(x or y)
    if x and y then
      status.raise(lib.ag_mul(r, x, y))
    else
      status.raise(lib.ag_affine(r, x or y, x and b or a, 0))
    end
    return r
  end

  function meta.__div(a, b)
    local x = operand(a, '/')
    if not x or type(b) ~= 'number' then
      error("'/' divides tensors by numbers only: divide the numbers of x:totable()", 2)
    end
    local r = like(x)
    status.raise(lib.ag_affine(r, x, 1 / b, 0))
    return r
  end

  function meta.__unm(a)
    local x = operand(a, '-')
    local r = like(x)
    status.raise(lib.ag_affine(r, x, -1, 0))
    return r
  end

  -- By repeated squares: x ^ 2 is x * x to the last bit.
  function meta.__pow(a, n)
    local x = operand(a, '^')
    if not x or type(n) ~= 'number' or n % 1 ~= 0 or n < 0 then
      error("'^' raises a tensor to a whole number, 0 or more, got "
        .. (x and check.show(n) or 'a tensor as exponent'), 2)
    end
    local r, square = like(x), like(x)
    status.raise(lib.ag_affine(square, x, 1, 0))
    status.raise(lib.ag_fill(r, 1))
    while n > 0 do
      if n % 2 == 1 then status.raise(lib.ag_mul(r, r, square)) end
      n = math.floor(n / 2)
      if n > 0 then status.raise(lib.ag_mul(square, square, square)) end
    end
    return r
  end

  -- Whether i is an index of the first dimension; blames the line with the brackets.
  local function check_index(t, i)
    if t.released then error('the tensor has been released', 3) end
    local n = t.shape[1]
    if not n then error('a tensor without dimensions has no index: x:item() is its number', 3) end
    check.int(i, 'index', 1, n, 1)
  end

  function meta.__index(t, key)
    local method = methods[key]
    if method then return method end
    local field = fields[key]
    if field then return field(t) end
    if type(key) == 'string' then
      error(strict.missing('a tensor', key, strict.names(methods, fields)), 2)
    end
    check_index(t, key)
    local part = t:select(1, key)
    if #t.shape > 1 then return part end
    local host = tensor.read(part, 3)
    return host[0]
  end

  function meta.__newindex(t, key, value)
    if type(key) ~= 'number' then
      error(("x.%s: a tensor's fields cannot be set"):format(tostring(key)), 2)
    end
    check_index(t, key)
    local part = t:select(1, key)
    if type(value) == 'number' then
      status.raise(lib.ag_fill(part, value))
    elseif tensor.is(value) then
      status.raise(lib.ag_copy(part, value))
    else
      error(('x[%d]: expected a tensor or a number, got %s'):format(key, check.show(value)), 2)
    end
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
