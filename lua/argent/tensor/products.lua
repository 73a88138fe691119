-- Products of matrices, of f32 and bf16: through OpenBLAS or cuBLAS where they are, else through
-- kernels of our own. Results are f32.

local check = require 'argent.check'
local lib = require 'argent.ffi'
local status = require 'argent.status'

--- Adds them to the methods of tensors.
---@param tensor table the module argent.tensor
---@param Tensor table its methods
return function(tensor, Tensor)
  local function other(y, name)
    if not tensor.is(y) then check.type(y, name .. ': the other', 'tensor', 1) end
    return y
  end

  local function shape_text(t) return '[' .. table.concat(t.shape, ', ') .. ']' end

  local function bad(name, a, b, why, level)
    error(('%s: %s and %s: %s'):format(name, shape_text(a), shape_text(b), why), level + 1)
  end

  -- a b of batches of matrices, whose dimensions in front are stretched to each other.
  local function product(a, b, name)
    local p, q = a.shape, b.shape
    if p[#p] ~= q[#q - 1] then
      bad(name, a, b, ('%d columns and %d rows'):format(p[#p], q[#q - 1]), 3)
    end
    local m, k, n = p[#p - 1], p[#p], q[#q]
    local front = tensor.inner.common({unpack(p, 1, #p - 2)}, {unpack(q, 1, #q - 2)}, name, 3)
    local function batched(rows, columns)
      local s = {unpack(front)}
      s[#s + 1], s[#s + 2] = rows, columns
      return s
    end
    local out = tensor.zeros(a.backend, batched(m, n))
    status.raise(lib.ag_matmul(out, a:expand(batched(m, k)), b:expand(batched(k, n)), 1, 0), 3)
    return out
  end

  --- The product of two matrices, of batches of them (dimensions in front are stretched to each
  --- other), or with a vector: in front it is a row, behind a column, and out goes that dimension.
  ---@param y ag.Tensor
  ---@return ag.Tensor
  function Tensor:matmul(y)
    local a, b = self, other(y, 'matmul')
    local row, column = a:dim() == 1, b:dim() == 1
    if a:dim() == 0 or b:dim() == 0 then
      bad('matmul', a, b, 'vectors and matrices are multiplied; use x * y for numbers', 2)
    end
    if row then a = a:unsqueeze(1) end
    if column then b = b:unsqueeze(2) end
    local out = product(a, b, 'matmul')
    if column then out = out:select(out:dim(), 1) end
    if row then out = out:select(out:dim() - (column and 0 or 1), 1) end
    return out
  end

  --- The products of two batches of matrices [n, ., .].
  ---@param y ag.Tensor
  function Tensor:bmm(y)
    other(y, 'bmm')
    if self:dim() ~= 3 or y:dim() ~= 3 or #self ~= #y then
      bad('bmm', self, y, 'expected two batches of as many matrices; matmul takes others', 2)
    end
    local out = product(self, y, 'bmm')
    return out
  end

  --- beta self + alpha a b, for matrices; self may be [n], which is added to each row.
  ---@param a ag.Tensor
  ---@param b ag.Tensor
  ---@param alpha? number default 1
  ---@param beta? number default 1
  function Tensor:addmm(a, b, alpha, beta)
    other(a, 'addmm')
    other(b, 'addmm')
    alpha = check.number(alpha or 1, 'addmm: alpha')
    beta = check.number(beta or 1, 'addmm: beta')
    if a:dim() ~= 2 or b:dim() ~= 2 then bad('addmm', a, b, 'expected two matrices', 2) end
    local shape = {#a, b:size(2)}
    tensor.inner.floats(self, 'addmm', 2)
    for i, n in ipairs(tensor.inner.common(self.shape, shape, 'addmm', 2)) do
      if n ~= shape[i] then
        error(('addmm: %s does not fit a product of [%s]'):format(shape_text(self),
          table.concat(shape, ', ')), 2)
      end
    end
    local out = self:expand(shape):clone()
    status.raise(lib.ag_matmul(out, a, b, alpha, beta))
    return out
  end

  --- The sum of the products of the elements of two vectors.
  ---@param y ag.Tensor
  ---@return number
  function Tensor:dot(y)
    other(y, 'dot')
    if self:dim() ~= 1 or y:dim() ~= 1 or #self ~= #y then
      bad('dot', self, y, 'expected two vectors of one length; matmul takes others', 2)
    end
    return (self * y):sum()
  end
end
