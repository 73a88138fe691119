-- What the analysis networks take: the samples of a recording. They work in pieces of some
-- milliseconds and call `pause` between them, which may yield to other work, or raise to give up.

local check = require 'argent.check'
local lib = require 'argent.ffi'
local status = require 'argent.status'
local tensor = require 'argent.tensor'

local M = {}

--- The samples as f32 [n] on the backend, checked. What is not a list of numbers raises at the line
--- of the caller's caller.
---@param backend ag.Backend
---@param samples ag.Tensor|number[] f32 [n]
---@param least integer how many there must be
---@param rate integer of the network, for messages
---@param what string the function, for messages
---@return ag.Tensor?
---@return string? err
---@return string? code 'value'
function M.take(backend, samples, least, rate, what)
  if tensor.is(samples) then
    if samples.dtype ~= 'f32' or #samples.shape ~= 1 then
      error(('%s: samples: expected f32 [n], got %s [%s]'):format(what, samples.dtype,
        table.concat(samples.shape, ', ')), 3)
    end
  else
    check.type(samples, what .. ': samples', 'table', 1)
    for i, v in ipairs(samples) do
      if type(v) ~= 'number' then
        error(('%s: samples[%d]: expected a number, got %s'):format(what, i, check.show(v)), 3)
      end
    end
    samples = #samples > 0 and tensor.from(backend, samples) or tensor.zeros(backend, {0})
  end
  local n = #samples
  if n < least then
    return nil, ('%s: %d samples (%.2f s at %d Hz) are too short a recording; it takes at least %d')
      :format(what, n, n / rate, rate, least), 'value'
  end
  local bad = lib.ag_tensor_count_nonfinite(samples)
  if bad > 0 then
    return nil, ('%s: %d of the %d samples are NaN or infinite; read the recording again'):format(
      what, bad, n), 'value'
  end
  return M.on(backend, samples)
end

--- A contiguous tensor on the backend: itself where it is one.
function M.on(backend, x)
  if x.backend == backend then return x:contiguous() end
  local out, host, n = tensor.zeros(backend, x.shape), x:host()
  status.raise(lib.ag_tensor_write(out, host, n * 4))
  return out
end

--- Collects garbage, all of it: dead views hold on to scratch, which can be hundreds of megabytes.
--- With a pause in steps, to the end of a cycle that has begun before and through a whole one.
---@param pause? fun()
function M.collect(pause)
  if not pause then
    collectgarbage()
    return
  end
  for _ = 1, 2 do
    while not collectgarbage('step', 64) do pause() end
  end
end

--- What to say when a network made NaN of a finite recording; its weights were looked through when
--- they were loaded.
---@param what string
---@return nil
---@return string err
---@return string code 'value'
function M.too_large(what)
  return nil, what .. ': the network made NaN of this recording; samples are in [-1, 1]', 'value'
end

return M
