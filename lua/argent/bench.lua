-- What this machine can do, and the tools to measure what a model costs on it: bandwidth, the cost
-- of an op, median times. The figures of a model are its own module's (argent.qwen3_tts.bench).

local ffi = require 'ffi'
local lib = require 'argent.ffi'
local models = require 'argent.models'
local ops = require 'argent.ops'
local plan = require 'argent.plan'
local posix = require 'argent.posix'
local status = require 'argent.status'
local tensor = require 'argent.tensor'

local M = {}

--- Bytes of the weight of a linear layer; 0 for nil.
---@param layer nn.Linear?
---@return number
function M.linear_bytes(layer)
  return layer and layer:bytes() or 0
end

--- Bytes of the linear weights that one pass through a backbone reads.
---@param bb ag.Backbone
---@return number
function M.backbone_bytes(bb)
  local n = 0
  for _, block in ipairs(bb.blocks) do
    for _, name in ipairs {'q', 'k', 'v', 'o'} do n = n + M.linear_bytes(block.attn[name]) end
    for _, name in ipairs {'gate', 'up', 'down'} do n = n + M.linear_bytes(block.mlp[name]) end
  end
  return n
end

local seen = ffi.new('uint32_t[1]')

--- Reads the memory of a contiguous tensor on the CPU with all workers, each whole cache line once.
---@param t ag.Tensor
---@param streams integer 1, 2, 4 or 8 runs of lines that each worker reads side by side
---@param ahead integer bytes; each read asks for the line this much further too; 0: for none
---@return integer seen the exclusive or of the lines' first 32-bit words
function M.scan(t, streams, ahead)
  status.raise(lib.ag_tensor_scan(t, streams, ahead, seen))
  return seen[0]
end

-- Seconds of the fastest of several calls, each of which may leave work to be waited for.
local function fastest(be, rounds, fn)
  local best = math.huge
  for _ = 1, rounds do
    local began = posix.now()
    fn()
    be:sync()
    best = math.min(best, posix.now() - began)
  end
  return best
end

-- Plain reads: which number of streams and which distance of asking ahead is fastest differs from
-- CPU to CPU, and so does whether a small set is nearer than a large one.
local function host_bandwidth(be, megabytes)
  local best, sets = 0, {}
  for i, size in ipairs(megabytes or {80, 440}) do
    local most = 0
    local t = tensor.zeros(be, {size * 2 ^ 18})
    ops.fill(t, 0.5) -- pages of zeros that were never written may all be one page
    for _, streams in ipairs {1, 2, 4, 8} do
      for _, ahead in ipairs {0, 256, 1024, 4096} do
        local time = fastest(be, 3, function() M.scan(t, streams, ahead) end)
        most = math.max(most, size * 2 ^ 20 / time)
      end
    end
    t:release()
    sets[i], best = {megabytes = size, bandwidth = most}, math.max(best, most)
  end
  return best, sets
end

-- Megabytes of the matrix that a card reads; the emulated one is not measured, it only has to get
-- through this.
local MATRIX = {cuda = 1024, ['cuda-emulated'] = 4}

-- Products of a row with a large bf16 matrix. A card has read 256 MB before the host has gone to
-- sleep and woken up: so it makes several products before it is waited for.
local function card_bandwidth(be)
  local products, rounds, columns = 8, 12, 2048
  if be.kind ~= 'cuda' then products, rounds = 1, 6 end
  local rows = MATRIX[be.kind] * 2 ^ 20 / 2 / columns
  local w = tensor.zeros(be, {rows, columns}, 'bf16')
  ops.fill(w, 0.5)
  local x, out = tensor.zeros(be, {1, columns}), tensor.zeros(be, {1, rows})
  be:sync()
  local time = fastest(be, rounds, function()
    for _ = 1, products do ops.linear(out, x, w, nil) end
  end)
  w:release()
  return products * rows * columns * 2 / time
end

--- Bytes a second that this machine gives: on the CPU the best of plain reads of an 80 and a 440 MB
--- set by all workers, on a card the best of several large products.
---@param be ag.Backend
---@param megabytes? number[] other sets for the CPU
---@return number
---@return {megabytes: number, bandwidth: number}[] sets of each; none on a card
function M.bandwidth(be, megabytes)
  if be.kind == 'cpu' then return host_bandwidth(be, megabytes) end
  return card_bandwidth(be), {}
end

-- Seconds that a loop of multiply-adds is to take, and how many such loops the best is of.
local PEAK_TIME, PEAK_ROUNDS = 0.02, 5

--- Operations a second (a multiply-add is two) that all workers of a CPU make in loops of nothing
--- else, by what is multiplied; kinds that this CPU lacks are absent. Nothing on a card.
---@param be ag.Backend
---@return {f32: number?, bf16: number?, int8: number?, amx_bf16: number?}
function M.peaks(be)
  local best, done = {}, ffi.new('double[1]')
  if be.kind ~= 'cpu' then return best end
  local function seconds(i, rounds)
    return fastest(be, 1, function() status.raise(lib.ag_peak_run(be, i, rounds, done)) end)
  end
  local i = 0
  while lib.ag_peak_name(i) ~= nil do
    local rounds = 2 ^ 12
    while seconds(i, rounds) < PEAK_TIME and done[0] > 0 do rounds = rounds * 2 end
    for _ = 1, done[0] > 0 and PEAK_ROUNDS or 0 do
      local name, rate = ffi.string(lib.ag_peak_name(i)), 2 * done[0] / seconds(i, rounds)
      best[name] = math.max(best[name] or 0, rate)
    end
    i = i + 1
  end
  return best
end

--- The most memory that this process has had, in megabytes of 2^20 bytes, mapped files included.
---@return number
function M.peak_memory()
  local f = assert(io.open '/proc/self/status')
  local kilobytes = f:read '*a':match 'VmHWM:%s*(%d+) kB'
  f:close()
  return kilobytes / 1024
end

--- Microseconds that one recorded op costs when it does next to nothing: of a thousand products of
--- two numbers, each of which must wait for the one before. Products, as a device may put a few
--- small sums and copies into one launch.
---@param be ag.Backend
---@return number
function M.op_cost(be)
  local OPS, x, y = 1000, tensor.zeros(be, {1, 1}):fill(1), tensor.zeros(be, {1, 1}):fill(1)
  local chain = plan.capture(be, function()
    for _ = 1, OPS do ops.mul(x, x, y) end
  end)
  local function run()
    local began = posix.now()
    chain:run()
    be:sync()
    return (posix.now() - began) / OPS * 1e6
  end
  run()
  local best = math.huge
  for _ = 1, 10 do best = math.min(best, run()) end
  chain:release()
  return best
end

local function median(list)
  table.sort(list)
  return list[math.floor((#list + 1) / 2)]
end

--- Median milliseconds of each of several functions, called in turn so that what else the machine
--- does falls on all of them alike. A device may still be at work when a function returns.
---@param be ag.Backend
---@param rounds integer calls of each
---@param fns (fun())[]
---@return number ... one for each function
function M.times(be, rounds, fns)
  local all, out = {}, {}
  for i = 1, #fns do all[i] = {} end
  for _ = 1, rounds do
    for i, fn in ipairs(fns) do
      local began = posix.now()
      fn()
      be:sync()
      all[i][#all[i] + 1] = (posix.now() - began) * 1e3
    end
  end
  for i = 1, #fns do out[i] = median(all[i]) end
  return unpack(out)
end

--- Measures a model, and the machine with it.
---@param model table an open model, see argent.models
---@param opts? table how it is used, as its kind takes it; default: what the model has
---@param rounds? integer of each measurement, default 25
---@param rows? integer[] also measure so many rows at once
---@return table figures bandwidth (bytes a second), peaks (operations a second), op_cost
---(microseconds), peak_memory_mb, and those of the kind
function M.run(model, opts, rounds, rows)
  local r = models.get(model.model_type).bench().run(model, opts, rounds or 25, rows)
  return r
end

return M
