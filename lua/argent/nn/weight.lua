-- The weight of a linear layer as products read it: floats or codes with scales, in rows or packed
-- (ops.pack), where that is faster.

local lib = require 'argent.ffi'
local ops = require 'argent.ops'
local room = require 'argent.room'
local tensor = require 'argent.tensor'
local weights = require 'argent.weights'

local M = {}

-- Of each quantised kind the dtype of its codes, and how many are in an element.
local CODES = {q8 = {dtype = 'i8', each = 1}, q4 = {dtype = 'u8', each = 2}}

local function up(n, by) return math.ceil(n / by) end

local function packed(scope, w, shape, dtype)
  local out = room.tensor(w.backend, shape, dtype)
  ops.pack(out, w)
  scope:done(w)
  return out
end

-- Codes and scales of a weight of floats, in memory that the next one takes over.
local function quantized(scope, w, kind)
  local outs, ins = w.shape[1], w.shape[2]
  local bad = lib.ag_tensor_count_nonfinite(w)
  if bad > 0 then scope:unusable('weight', ('%d values are NaN or infinite'):format(bad)) end
  local codes = room.scratch(w.backend, {outs, up(ins, CODES[kind].each)}, CODES[kind].dtype)
  local scale = room.scratch(w.backend, {outs, up(ins, 32)}, 'f16')
  ops.quantize(codes, scale, w)
  scope:done(w)
  return codes, scale
end

-- The weight as floats of any kind; codes that have lost their scales are a fault of the file.
local function floats(scope, outs, ins)
  local w = scope:get('weight', {outs, ins})
  for _, form in pairs(CODES) do
    if w.dtype == form.dtype then
      scope:unusable('weight', ('%s without weight_scale'):format(w.dtype))
    end
  end
  return w
end

--- Codes and scales in the shapes of a model's files.
---@param w ag.Tensor [outs, ins] of floats
---@param kind string 'q8' or 'q4'
---@return ag.Tensor codes i8 [outs, ins], or u8 [outs, ins / 2]
---@return ag.Tensor scale f16 [outs, ins / 32]
function M.quantize(w, kind)
  local outs, ins = w.shape[1], w.shape[2]
  local codes = tensor.zeros(w.backend, {outs, up(ins, CODES[kind].each)}, CODES[kind].dtype)
  local scale = tensor.zeros(w.backend, {outs, up(ins, 32)}, 'f16')
  ops.quantize(codes, scale, w)
  return codes, scale
end

--- Takes `weight` [outs, ins], or its codes with `weight_scale`. Call inside weights.build.
---@param scope ag.Scope
---@param outs integer
---@param ins integer
---@param dtype string a kind of weights; of codes in the file it is theirs
---@return ag.Tensor w
---@return ag.Tensor? scale where it is codes
---@return boolean whether w is packed
function M.load(scope, outs, ins, dtype)
  local be, form = scope.backend, CODES[dtype]
  local panels, chunks = up(outs, 16), up(ins, 32)
  if not form then
    if not be.packed or weights.only_headers() then
      return scope:get('weight', {outs, ins}, dtype), nil, false
    end
    -- f32 stays as the file has it: it is the codec's, whose products are of many rows and wait for
    -- arithmetic.
    local w = floats(scope, outs, ins)
    if dtype == 'f32' and w.dtype == 'f32' then return w, nil, false end
    scope:copied 'weight'
    return packed(scope, w, {panels, chunks, 16, 32}, dtype), nil, true
  end
  local codes, scale
  if scope:has 'weight_scale' then
    codes = scope:get('weight', {outs, up(ins, form.each)}, form.dtype)
    scale = scope:get('weight_scale', {outs, chunks}, 'f16')
    if weights.only_headers() then return codes, scale, false end
    scope:copied 'weight_scale'
  else
    local w = floats(scope, outs, ins)
    if weights.only_headers() then
      scope:product 'weight'
      return w, nil, false
    end
    codes, scale = quantized(scope, w, dtype)
  end
  scope:copied 'weight'
  return packed(scope, codes, {panels, chunks, 8 / form.each, 16, 4}, 'u8'),
    packed(scope, scale, {panels, chunks, 16}, 'f16'), true
end

return M
