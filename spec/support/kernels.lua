-- What the specs of ops share: the instruction sets of this CPU, random numbers, refusals, and the
-- promise that every op makes: the same bits on any number of workers, eager and planned.

require 'support.near'
local assert = require 'luassert'
local ag = require 'argent'
local Backend = require 'argent.backend'
local card = require 'support.card'

local M = {}

--- The instruction sets: {isa, be = {[threads] = backend}}, or {isa, missing = reason}. be[1],
--- be[2], be[3] have as many workers; three, because halves hide mistakes that thirds do not.
---@return {isa: string, be: ag.Backend[]?, missing: string?}[]
function M.all()
  local list = {}
  for _, isa in ipairs(Backend.isas()) do
    local k = {isa = isa, be = {}}
    for threads = 1, 3 do
      local be, err = ag.backend('cpu', {threads = threads, isa = isa})
      if not be then k.missing = err end
      k.be[threads] = be
    end
    list[#list + 1] = k
  end
  -- The CUDA kernels, as plain C everywhere and on a card where there is one. They have no workers.
  for _, kind in ipairs {'cuda-emulated', 'cuda'} do
    local be, err = card.backend(kind)
    list[#list + 1] = {isa = kind, be = be and {be, be, be}, missing = err}
  end
  return list
end

--- Numbers in [-1, 1), multiples of 2^-12 (exact in f32), the same for the same seed on every CPU:
--- products stay below 2^53, as LuaJIT may make one rounding of a product and a sum on ARM.
---@return fun(): number
function M.random(seed)
  local x = seed
  return function()
    x = (x * 1664525 + 1013904223) % 2 ^ 31
    return math.floor(x / 2 ^ 18) / 2 ^ 12 - 1
  end
end

--- Nested tables of a shape, each number from fn().
function M.values(shape, fn, depth)
  depth = depth or 1
  if depth > #shape then return fn() end
  local r = {}
  for i = 1, shape[depth] do r[i] = M.values(shape, fn, depth + 1) end
  return r
end

--- A tensor of a shape with numbers from fn (zero-sized shapes too, which tables cannot say).
function M.tensor(be, shape, fn, dtype)
  local t = ag.zeros(be, shape, dtype == 'i32' and 'i32' or 'f32')
  local flat = {}
  for i = 1, t:count() do flat[i] = fn() end
  t:set(flat)
  return dtype and t:to(dtype) or t
end

--- Runs what build(be) returns (a function that runs ops, then the tensors they write) eagerly on
--- 1, 2 and 3 workers and as a plan on 2 and 3, asserts that all agree bit for bit, and returns the
--- tensors of the first.
function M.agree(k, build)
  local function run(be, planned)
    local made = {build(be)}
    local op = table.remove(made, 1)
    if planned then ag.capture(be, op):run() else op() end
    return made
  end
  local first = run(k.be[1])
  for threads = 1, 3 do
    for _, planned in ipairs {false, true} do
      local seen = threads > 1 and k.be[threads] == k.be[1] -- a device has no workers
      for i, t in ipairs(seen and {} or run(k.be[threads], planned)) do
        assert.same_bits(first[i], t)
      end
    end
  end
  return unpack(first)
end

--- Asserts that fn raises, that the message is `text` after the position, and that the position is
--- in fn: the line to blame.
function M.refuses(text, fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok, 'not refused')
  local where, message = tostring(err):match('^(.-:%d+): (.*)$')
  assert.equal(text, message or err)
  local info = debug.getinfo(fn, 'S')
  local file, line = where:match('^(.*):(%d+)$')
  assert.equal(info.short_src:match('[^/]*$'), file:match('[^/]*$'))
  line = tonumber(line)
  assert(line >= info.linedefined and line <= info.lastlinedefined, where)
end

return M
