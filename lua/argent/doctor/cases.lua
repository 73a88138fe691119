-- For every op of runtime/ops.def a run on small random inputs, which the doctor compares between
-- instruction sets. The sizes are odd, so that every loop meets a part of a vector, and chosen so
-- that every block of the fast loops runs: products of one row and tiles of each height, heads of
-- one to eight vectors, arguments from small to beyond what e^x can say.

local ops = require 'argent.ops'
local tensor = require 'argent.tensor'

-- What a case makes its inputs with: the same numbers on every backend.
---@class argent.doctor.Maker
---@field be ag.Backend
local Maker = {}
Maker.__index = Maker

-- In [-1, 1), a multiple of 2^-12. Products stay below 2^53, where they are exact: LuaJIT may make
-- one rounding of a product and a sum on ARM, in compiled code alone.
function Maker:number()
  self.seed = (self.seed * 1664525 + 1013904223) % 2 ^ 31
  return math.floor(self.seed / 2 ^ 18) / 2 ^ 12 - 1
end

-- f32 from shift - scale to shift + scale.
function Maker:spread(scale, shift, ...)
  local t, flat = self:zeros(...), {}
  for i = 1, t:count() do flat[i] = self:number() * scale + shift end
  return t:set(flat)
end

function Maker:values(...) return self:spread(1, 0, ...) end
function Maker:zeros(...) return tensor.zeros(self.be, {...}) end
function Maker:ids(list) return tensor.from(self.be, list, 'i32') end

-- Small arguments, and large ones, which saturate.
local function activation(name)
  return function(m)
    local made = {}
    for i, scale in ipairs {1, 12, 200} do
      made[i] = m:zeros(3, 67)
      ops[name](made[i], m:spread(scale, 0, 3, 67))
    end
    return made
  end
end

-- A second operand of the same shape, then one row for all.
local function pairwise(name, ...)
  local more = {...}
  return function(m)
    local same, row = m:zeros(3, 67), m:zeros(3, 67)
    ops[name](same, m:values(3, 67), m:values(3, 67), unpack(more))
    ops[name](row, m:values(3, 67), m:values(67), unpack(more))
    return {same, row}
  end
end

-- Each kind of weights, with a bias and without.
local function product(m, shape, bias_of, run)
  local made, w, bias = {}, m:values(unpack(shape)), m:values(bias_of)
  local half = w:to 'bf16'
  run(made, w, bias)
  run(made, w, nil)
  run(made, half, bias)
  run(made, half, nil)
  return made
end

-- attention and attention_probs: call(query, k, v, pos, scale, window) returns what was written.
local function attend(m, call)
  local made = {}
  for _, d in ipairs {34, 102, 134} do
    local k, v = m:values(2, 1, 40, 2, d), m:values(2, 1, 40, 2, d)
    local q = m:values(2, 3, 4, d)
    made[#made + 1] = call(q, k, v, m:ids {30, 7}, 0.2, 0)
    made[#made + 1] = call(q, k, v, m:ids {31, 7}, 0.2, 11)
    made[#made + 1] = call(q, k:to 'bf16', v:to 'bf16', m:ids {30, 7}, 0.2, 0)
  end
  -- Scores around -102, each of them exact in any order: e^x of the scores themselves would be 0.
  local q = m:zeros(2, 3, 4, 102):fill(1)
  local k = m:spread(1 / 8, -1, 2, 1, 40, 2, 102)
  made[#made + 1] = call(q, k, m:values(2, 1, 40, 2, 102), m:ids {30, 7}, 1, 0)
  -- Two keys far above the others, in each lane in turn: where the largest score is overlooked, the
  -- sum of both overflows.
  q = m:zeros(2, 3, 4, 34):fill(1)
  local v = m:values(2, 1, 40, 2, 34)
  for lane = 1, 16 do
    k = m:spread(1 / 8, -1, 2, 1, 40, 2, 34)
    k:narrow(3, lane, 1):fill(0)
    k:narrow(3, lane + 16, 1):fill(0)
    made[#made + 1] = call(q, k, v, m:ids {30, 32}, 4, 0)
  end
  return made
end

--- By the op's name: a function of a maker that runs it and returns the tensors it wrote.
---@type table<string, fun(m: argent.doctor.Maker): ag.Tensor[]>
local CASES = {
  silu = activation 'silu', gelu = activation 'gelu', elu = activation 'elu',
  sigmoid = activation 'sigmoid', tanh = activation 'tanh',
  add = pairwise('add', 0.7), mul = pairwise 'mul',
}

function CASES.silu_mul(m)
  local made = {}
  for i, scale in ipairs {1, 12, 200} do
    made[i] = m:zeros(3, 67)
    ops.silu_mul(made[i], m:spread(scale, 0, 3, 67), m:values(3, 67))
  end
  return made
end

function CASES.copy(m)
  local made = {}
  for i, dtype in ipairs {'f32', 'bf16', 'f16'} do
    made[i] = tensor.zeros(m.be, {3, 67}, dtype)
    ops.copy(made[i], m:values(67, 3):transpose(1, 2))
  end
  return made
end

function CASES.fill(m)
  local out = m:zeros(3, 67)
  ops.fill(out, 0.3)
  return {out}
end

function CASES.affine(m)
  local out = m:zeros(3, 67)
  ops.affine(out, m:values(3, 67), 1.7, -0.2)
  return {out}
end

function CASES.clamp(m)
  local out = m:zeros(3, 67)
  ops.clamp(out, m:values(3, 67), -0.5, 0.25)
  return {out}
end

function CASES.snake(m)
  local near, far = m:zeros(5, 67), m:zeros(5, 67)
  ops.snake(near, m:values(5, 67), m:values(67), m:values(67))
  -- The sine of many turns, of an x that is small itself.
  ops.snake(far, m:values(5, 67), m:spread(300, 0, 67), m:values(67))
  return {near, far}
end

function CASES.advance(m)
  local free, bound = m:ids {1, 2, 3}, m:ids {1, 2, 3}
  ops.advance(free, 5, nil)
  ops.advance(bound, 5, m:ids {7})
  return {free, bound}
end

function CASES.linear(m)
  local xs = {}
  for i, rows in ipairs {1, 2, 3, 4, 5, 6, 7, 13} do xs[i] = m:values(rows, 131) end
  -- Rows so far apart that the loops take only a few of them at a time.
  local apart = m:zeros(13, 30000):narrow(2, 1, 131)
  ops.copy(apart, m:values(13, 131))
  xs[#xs + 1] = apart
  return product(m, {45, 131}, 45, function(made, w, bias)
    for _, x in ipairs(xs) do
      local out = m:zeros(x.shape[1], 45)
      ops.linear(out, x, w, bias)
      made[#made + 1] = out
    end
  end)
end

-- Packed weights, from which the product of each number of rows reads panels in its own way.
function CASES.pack(m)
  local made = {}
  for _, dtype in ipairs {'f32', 'bf16'} do
    local w = m:zeros(3, 5, 16, 32):to(dtype)
    ops.pack(w, m:values(45, 131))
    for _, rows in ipairs {1, 2, 3, 4, 13} do
      local out = m:zeros(rows, 45)
      ops.linear(out, m:values(rows, 131), w, nil)
      made[#made + 1] = out
    end
  end
  return made
end

-- Codes, their scales, and products of them for each number of rows.
function CASES.quantize(m)
  local made = {}
  for _, kind in ipairs {'i8', 'u8'} do
    local each = kind == 'i8' and 1 or 2
    local codes = tensor.zeros(m.be, {45, math.ceil(131 / each)}, kind)
    local scale = tensor.zeros(m.be, {45, 5}, 'f16')
    ops.quantize(codes, scale, m:values(45, 131))
    local c = tensor.zeros(m.be, {3, 5, 8 / each, 16, 4}, 'u8')
    local s = tensor.zeros(m.be, {3, 5, 16}, 'f16')
    ops.pack(c, codes)
    ops.pack(s, scale)
    for _, rows in ipairs {1, 2, 4, 8, 15} do
      local out = m:zeros(rows, 45)
      ops.linear(out, m:values(rows, 131), c, nil, s)
      made[#made + 1] = out
    end
  end
  return made
end

function CASES.conv1d(m)
  local x = m:values(31, 33)
  return product(m, {19, 7, 33}, 19, function(made, w, bias)
    local wide, all = m:zeros(10, 19), m:zeros(25, 19)
    ops.conv1d(wide, x, w, bias, 2, 2)
    ops.conv1d(all, x, w, bias, 1, 1)
    made[#made + 1], made[#made + 2] = wide, all
  end)
end

local function packed(w)
  local outs, taps, channels = unpack(w.shape)
  local size = w.backend:packed_conv1d_size(outs, taps, channels)
  local out = tensor.zeros(w.backend, {math.max(size, 1)})
  ops.pack_conv1d(out, w)
  return out
end

-- What packed weights are is each instruction set's own affair; that they are there is enough.
function CASES.pack_conv1d(m)
  local out = packed(m:values(19, 7, 33))
  return {m:zeros(1):fill(#out > 0 and 1 or 0)}
end

function CASES.packed_conv1d(m)
  local made = {}
  for i, rows in ipairs {1, 18, 45, 300} do
    local taps = i % 2 == 0 and 7 or 1
    -- Sums below 1: on AMX each product keeps 16 bits.
    local w, out = packed(m:spread(1 / 16, 0, 45, taps, 67)), m:values(rows, 45)
    local x = m:values(rows + (taps - 1) * 3, 67)
    ops.packed_conv1d(out, x, w, m:values(45), nil, nil, taps, 3, 16, 0)
    ops.packed_conv1d(out, x, w, nil, m:values(67), m:values(67), taps, 3, 16, 1)
    made[i] = out
  end
  return made
end

function CASES.depthwise_conv1d(m)
  local with, without = m:zeros(11, 67), m:zeros(11, 67)
  local x, w = m:values(17, 67), m:values(7, 67)
  ops.depthwise_conv1d(with, x, w, m:values(67))
  ops.depthwise_conv1d(without, x, w, nil)
  return {with, without}
end

function CASES.rms_norm(m)
  local made = {}
  for _, n in ipairs {5, 131} do
    local out, x, w = m:zeros(3, n), m:values(3, n), m:values(n)
    ops.rms_norm(out, x, w, 1e-6, nil, nil)
    made[#made + 1] = out
    out = m:zeros(3, n)
    ops.rms_norm(out, x, w, 1e-6, m:values(3, n), m:values(n))
    made[#made + 1], made[#made + 2] = out, x
  end
  return made
end

function CASES.layer_norm(m)
  local made = {}
  for i, n in ipairs {5, 131} do
    made[i] = m:zeros(3, n)
    -- A mean far from zero: lanes that are not there must not count.
    ops.layer_norm(made[i], m:spread(1, 2, 3, n), m:values(n), m:values(n), 1e-6)
  end
  return made
end

function CASES.pool(m)
  local x, weighted, plain = m:values(23, 67), m:zeros(2, 67), m:zeros(1, 67)
  ops.pool(weighted, x, m:values(23, 67), 1e-12)
  ops.pool(plain, x, nil, 1e-12)
  return {weighted, plain}
end

function CASES.embedding(m)
  local one, half, sum = m:zeros(3, 67), m:zeros(3, 67), m:values(2, 67)
  local ids = m:ids {8, 0, 3}
  ops.embedding(one, m:values(9, 67), ids, 0)
  ops.embedding(half, m:values(9, 67):to 'bf16', ids, 0)
  ops.embedding(sum, m:values(3, 9, 67), m:ids {{8, 0, 3}, {1, 7, 2}}, 1)
  return {one, half, sum}
end

function CASES.nearest(m)
  local any = tensor.zeros(m.be, {13}, 'i32')
  local table_ = m:values(51, 67)
  ops.nearest(any, m:values(13, 67), table_)
  -- Beside each row in turn: a wrong distance anywhere sends one of them elsewhere.
  local each, beside = tensor.zeros(m.be, {51}, 'i32'), m:zeros(51, 67)
  ops.add(beside, table_, m:values(51, 67), 0.01)
  ops.nearest(each, beside, table_)
  return {any, each}
end

function CASES.sample(m)
  local out, seen = tensor.zeros(m.be, {2}, 'i32'), tensor.zeros(m.be, {2, 301}, 'i32')
  local params = tensor.from(m.be, {{0.9, 50, 0.95, 1.1, 0.01}, {1, 0, 1, 1, 0}})
  local key = m:ids {{7, 0, 5, 0}, {9, 0, 5, 1}}
  ops.sample(out, m:values(2, 301), key, params, seen, 0, 280, 290, 2)
  return {out, seen}
end

function CASES.rope_angles(m)
  local out = m:zeros(2, 5, 34)
  ops.rope_angles(out, m:ids {1000, 5, 0}, m:values(17), m:ids {2, 0})
  return {out}
end

function CASES.rope_append(m)
  local made = {}
  for _, normed in ipairs {true, false} do
    local q, k, v = m:values(2, 3, 4, 34), m:values(2, 3, 2, 34), m:values(2, 3, 2, 34)
    -- Three slots, of which the rows are the last and the first, in blocks of eight places.
    local k_cache, v_cache = m:values(3, 5, 8, 2, 34), m:values(3, 5, 8, 2, 34)
    local q_norm, k_norm = m:values(34), m:values(34)
    ops.rope_append(q, k, v, m:values(2, 3, 34), m:ids {7, 0, 39}, k_cache, v_cache,
      normed and q_norm or nil, normed and k_norm or nil, 1e-6, m:ids {2, 0})
    for _, t in ipairs {q, k_cache, v_cache} do made[#made + 1] = t end
  end
  -- Into bf16 what stays the same in any order: without norms and turns.
  local q, k, angles = m:values(2, 3, 4, 34), m:values(2, 3, 2, 34), m:zeros(2, 3, 34)
  angles:narrow(3, 1, 17):fill(1)
  local half = m:zeros(2, 1, 8, 2, 34):to 'bf16'
  ops.rope_append(q, k, k, angles, m:ids {4, 1}, half, half:clone(), nil, nil, 1e-6)
  made[#made + 1] = half
  return made
end

function CASES.attention(m)
  return attend(m, function(q, k, v, pos, scale, window)
    local out = m:zeros(2, 3, 4, q.shape[4])
    ops.attention(out, q, k, v, pos, scale, window)
    return out
  end)
end

function CASES.attention_probs(m)
  return attend(m, function(q, k, _, pos, scale, window)
    local out = m:zeros(2, 4, 3, 40)
    ops.attention_probs(out, q, k, pos, scale, window)
    return out
  end)
end

function CASES.map(m)
  local made = {}
  for i, how in ipairs {'exp', 'log', 'sqrt', 'abs', 'float'} do
    made[i] = m:zeros(3, 67)
    ops.map(made[i], how == 'exp' and m:values(3, 67) or m:spread(4, 4.5, 3, 67), how)
  end
  return made
end

function CASES.combine(m)
  local made = {}
  for i, how in ipairs {'div', 'pow', 'eq', 'ne', 'gt', 'ge'} do
    made[i] = m:zeros(3, 67)
    ops.combine(made[i], m:spread(2, 3, 3, 67), m:spread(2, 3, 67, 3):transpose(1, 2), how)
  end
  return made
end

function CASES.where(m)
  local out, x = m:zeros(3, 67), m:values(3, 67)
  local mask = m:zeros(3, 67)
  ops.combine(mask, x, m:values(3, 67), 'gt')
  ops.where(out, mask, x, m:values(67, 3):transpose(1, 2))
  return {out}
end

function CASES.reduce(m)
  local made = {}
  for i, how in ipairs {'sum', 'mean', 'var', 'var_biased', 'norm'} do
    made[i] = m:zeros(3, 5, 1)
    ops.reduce(made[i], m:values(5, 3, 67):transpose(1, 2), how)
  end
  return made
end

function CASES.softmax(m)
  local made = {}
  for log = 0, 1 do
    made[log + 1] = m:zeros(3, 67)
    ops.softmax(made[log + 1], m:spread(9, 0, 67, 3):transpose(1, 2), log)
  end
  return made
end

function CASES.cumsum(m)
  local out = m:zeros(3, 67)
  ops.cumsum(out, m:values(67, 3):transpose(1, 2))
  return {out}
end

function CASES.sort(m)
  local made, x = {}, m:values(3, 67)
  for _, k in ipairs {1, 10, 67} do
    local out, ids = m:zeros(3, k), tensor.zeros(m.be, {3, k}, 'i32')
    ops.sort(out, ids, x, k == 67 and 0 or 1, 0)
    made[#made + 1], made[#made + 2] = out, ids
  end
  return made
end

function CASES.gather(m)
  local out = m:zeros(2, 3)
  ops.gather(out, m:values(2, 67), m:ids {{1, 67, 3}, {66, 1, 1}}, 1)
  return {out}
end

function CASES.random(m)
  local uniform, normal = m:zeros(3, 67), m:zeros(3, 67)
  ops.random(uniform, m:ids {7, 0, 0, 0}, 0)
  ops.random(normal, m:ids {7, 0, 1, 2}, 1)
  return {uniform, normal}
end

function CASES.matmul(m)
  local made = {}
  for i, turn in ipairs {false, true} do
    made[i] = m:values(3, 33, 67)
    local b = turn and m:values(3, 67, 135):transpose(2, 3) or m:values(3, 135, 67):to 'bf16'
    ops.matmul(made[i], m:values(3, 33, 135), b, 0.5, i - 1)
  end
  return made
end

local M = {CASES = CASES}

--- Runs an op's case on a backend.
---@param name string
---@param be ag.Backend
---@return ag.Tensor[] what the op wrote, the same list on every backend
function M.run(name, be)
  return CASES[name](setmetatable({be = be, seed = 1}, Maker))
end

return M
