-- Room for the weights of a model: many tensors in a few large pieces of memory, which the system
-- can back with huge pages. Products read all of a model in every frame, and with small pages a
-- tenth of the time goes into finding them.

local check = require 'argent.check'
local dtypes = require 'argent.dtype'
local tensor = require 'argent.tensor'

local M = {}

-- Bytes of a piece, at most, unless one tensor needs more.
local PIECE = 64 * 2 ^ 20

-- Of the `share` that is running: for each backend and dtype the piece in use.
local pieces

--- Runs fn, in which the tensors of `tensor` lie side by side.
---@param fn fun(): any
---@return any result of fn
function M.share(fn)
  check.type(fn, 'share', 'function')
  local before = pieces
  pieces = {}
  local ok, result = pcall(fn)
  pieces = before
  if not ok then error(result, 0) end
  return result
end

-- The piece with room for n more elements. The first is as large as its tensor, the others as all
-- before them, so that small models do not ask for much.
local function piece_for(backend, dtype, n)
  for _, p in ipairs(pieces) do
    if p.backend == backend and p.dtype == dtype then
      if p.used + n > #p.t then
        local size = math.max(n, math.min(p.all, PIECE / dtypes.size[dtype]))
        p.t, p.used = tensor.zeros(backend, {size}, dtype), 0
      end
      return p
    end
  end
  local t = tensor.zeros(backend, {n}, dtype)
  local p = {backend = backend, dtype = dtype, t = t, used = 0, all = 0}
  pieces[#pieces + 1] = p
  return p
end

--- A zeroed tensor; outside of `share` one with memory of its own.
---@param backend ag.Backend
---@param shape integer[]
---@param dtype string
---@return ag.Tensor
function M.tensor(backend, shape, dtype)
  local n = 1
  for _, d in ipairs(shape) do n = n * d end
  if not pieces or n == 0 then
    local t = tensor.zeros(backend, shape, dtype)
    return t
  end
  local p = piece_for(backend, dtype, n)
  local t = p.t:narrow(1, p.used + 1, n):view(shape)
  -- Vectors of weights begin on cache lines.
  local line = 64 / dtypes.size[dtype]
  p.used = math.min(#p.t, p.used + math.ceil(n / line) * line)
  p.all = p.all + n
  return t
end

--- A tensor for a moment: the next one of this backend and dtype lies in the same memory. Outside
--- of `share` it has its own.
---@param backend ag.Backend
---@param shape integer[]
---@param dtype string
---@return ag.Tensor contents are undefined
function M.scratch(backend, shape, dtype)
  local n = 1
  for _, d in ipairs(shape) do n = n * d end
  local t = pieces and pieces[dtype]
  if not t or t.backend ~= backend or #t < n then
    t = tensor.zeros(backend, {n}, dtype)
    if pieces then pieces[dtype] = t end
  end
  return t:narrow(1, 1, n):view(shape)
end

return M
