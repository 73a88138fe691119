-- Tensors out of rules, out of chance, and out of others.

local backends = require 'argent.backend'
local check = require 'argent.check'
local draws = require 'argent.draws'
local lib = require 'argent.ffi'
local status = require 'argent.status'

--- Adds them to the module and to the methods of tensors.
---@param tensor table the module argent.tensor
---@param Tensor table its methods
return function(tensor, Tensor)
  -- More numbers than anyone lists.
  local MANY = 2 ^ 31

  --- The numbers first, first + step, ... up to the one before `past`; with one number n those from
  --- 0 to n - 1.
  ---@param backend ag.Backend
  ---@param first number
  ---@param past? number
  ---@param step? number default 1
  ---@param dtype? string default 'f32'
  ---@return ag.Tensor
  function tensor.arange(backend, first, past, step, dtype)
    backends.check(backend, 'arange: backend')
    if past == nil then first, past = 0, first end
    check.number(first, 'arange: first')
    check.number(past, 'arange: past')
    step = check.number(step or 1, 'arange: step')
    if step == 0 then error('arange: a step of 0 never ends', 2) end
    local n = math.max(0, math.ceil((past - first) / step))
    check.int(n, 'arange: count', 0, MANY)
    local values = {}
    for i = 1, n do values[i] = first + (i - 1) * step end
    local t = tensor.from(backend, values, dtype)
    return t
  end

  --- n numbers at equal distances, from first to last.
  ---@param backend ag.Backend
  ---@param first number
  ---@param last number
  ---@param n integer
  ---@return ag.Tensor
  function tensor.linspace(backend, first, last, n)
    backends.check(backend, 'linspace: backend')
    check.number(first, 'linspace: first')
    check.number(last, 'linspace: last')
    check.int(n, 'linspace: n', 0, MANY)
    local values = {}
    for i = 1, n do
      local t = n == 1 and 0 or (i - 1) / (n - 1)
      values[i] = first * (1 - t) + last * t
    end
    local t = tensor.from(backend, values)
    return t
  end

  local function random(backend, shape, seed, stream, normal, name)
    backends.check(backend, name .. ': backend', 1)
    check.type(shape, name .. ': shape', 'table', 1)
    stream = check.int(stream or 0, name .. ': stream', 0, 2 ^ 32 - 1, 1)
    local key = draws.key(draws.seed({seed = seed}, 2), stream, 0)
    local out = tensor.zeros(backend, shape)
    status.raise(lib.ag_random(out, tensor.from(backend, key, 'i32'), normal), 3)
    return out
  end

  --- Random numbers, uniform in [0, 1): the same for the same seed and stream on every device.
  ---@param backend ag.Backend
  ---@param shape integer[]
  ---@param seed? integer 0 .. 2^53; default from the clock
  ---@param stream? integer another series of the same seed, default 0
  ---@return ag.Tensor
  function tensor.rand(backend, shape, seed, stream)
    local t = random(backend, shape, seed, stream, 0, 'rand')
    return t
  end

  --- Random numbers, normal, of mean 0 and deviation 1; seeds and streams as in rand.
  ---@param backend ag.Backend
  ---@param shape integer[]
  ---@param seed? integer
  ---@param stream? integer
  ---@return ag.Tensor
  function tensor.randn(backend, shape, seed, stream)
    local t = random(backend, shape, seed, stream, 1, 'randn')
    return t
  end

  -- The tensors of a list, which have a dtype in common.
  local function check_list(list, name)
    check.type(list, name .. ': list', 'table', 1)
    if #list == 0 then error(name .. ': the list is empty', 3) end
    for i, t in ipairs(list) do
      if not tensor.is(t) then check.type(t, ('%s: item %d'):format(name, i), 'tensor', 1) end
      if t.dtype ~= list[1].dtype then
        error(('%s: item %d is %s, the first one %s'):format(name, i, t.dtype, list[1].dtype), 3)
      end
    end
  end

  --- Tensors one after the other along a dimension (the last one), in which alone they may differ.
  ---@param list ag.Tensor[]
  ---@param dim? integer
  ---@return ag.Tensor
  function tensor.cat(list, dim)
    check_list(list, 'cat')
    local shape = list[1].shape
    dim = check.int(dim or #shape, 'cat: dim', 1, #shape)
    local total = 0
    for i, t in ipairs(list) do
      local s = t.shape
      for d = 1, math.max(#s, #shape) do
        if d ~= dim and s[d] ~= shape[d] then
          error(('cat: item %d is [%s], which does not fit [%s] along dimension %d'):format(i,
            table.concat(s, ', '), table.concat(shape, ', '), dim), 2)
        end
      end
      total = total + s[dim]
    end
    shape[dim] = total
    local out, at = tensor.zeros(list[1].backend, shape, list[1].dtype), 1
    for _, t in ipairs(list) do
      status.raise(lib.ag_copy(out:narrow(dim, at, t:size(dim)), t))
      at = at + t:size(dim)
    end
    return out
  end

  --- Tensors of one shape side by side in a new dimension (the first one).
  ---@param list ag.Tensor[]
  ---@param dim? integer
  ---@return ag.Tensor
  function tensor.stack(list, dim)
    check_list(list, 'stack')
    local shape = list[1].shape
    dim = check.int(dim or 1, 'stack: dim', 1, #shape + 1)
    table.insert(shape, dim, #list)
    local out = tensor.zeros(list[1].backend, shape, list[1].dtype)
    for i, t in ipairs(list) do status.raise(lib.ag_copy(out:select(dim, i), t)) end
    return out
  end

  --- A copy repeated so many times along each dimension; with more numbers than dimensions there
  --- are new ones in front. (torch's `repeat` is a word of Lua.)
  ---@param ... integer
  ---@return ag.Tensor
  function Tensor:tile(...)
    local times = type((...)) == 'table' and {unpack((...))} or {...}
    local shape = self.shape
    check.int(#times, 'tile: numbers', #shape, lib.AG_MAX_DIMS)
    for i = 1, #times do check.int(times[i], 'tile: times', 0, 2 ^ 53) end
    while #shape < #times do table.insert(shape, 1, 1) end
    local out, before = self:expand(shape):clone(), 1 -- elements of the dimensions before this one
    for d, n in ipairs(times) do
      if n ~= 1 then
        local once = out
        shape[d] = check.int(shape[d] * n, 'tile: size', 0, 2 ^ 53)
        out = tensor.zeros(self.backend, shape, self.dtype)
        if out:count() > 0 then
          local all = {before, n, once:count() / before}
          once = once:view(before, 1, all[3]):expand(all)
          status.raise(lib.ag_copy(out:view(all), once), 2)
        end
      end
      before = before * shape[d]
    end
    return out
  end
end
