-- Several texts spoken side by side, so that the weights are read once for all: what `say` does
-- with a list. A text takes the row of one that has ended; what it becomes depends on no other.

local Batch = require 'argent.qwen3_tts.batch'
local Pool = require 'argent.pool'
local check = require 'argent.check'
local sampling = require 'argent.qwen3_tts.sampling'
local utterance = require 'argent.qwen3_tts.utterance'

local M = {}

local ROWS = 8

-- The options of every text: of a list its own entry, of anything else the same for all. Without a
-- seed of its own a text has a stream of draws of its own.
local function options_of(opts)
  local n, list = #opts.text, {}
  if n == 0 then error('say: text: an empty list', 4) end
  for key, v in pairs(opts) do
    if type(v) == 'table' and v[1] ~= nil and #v ~= n and #v ~= 1 then
      error(('say: %s: a list of %d for %d texts'):format(key, #v, n), 4)
    end
  end
  local seed = type(opts.seed) ~= 'table' and sampling.seed(opts, 3)
  local first = seed and type(opts.stream) ~= 'table'
    and check.int(opts.stream or 0, 'stream', 0, 2 ^ 31 - n, 2)
  for i = 1, n do
    local o = {}
    for key, v in pairs(opts) do
      local own = type(v) == 'table' and v[1] ~= nil
      if own then o[key] = v[#v == 1 and 1 or i] else o[key] = v end
    end
    if first then o.seed, o.stream = seed, first + i - 1 end
    o.seed, o.rows = o.seed or seed or nil, nil
    list[i] = o
  end
  return list
end

-- A batch that nobody uses, and the lease of it.
local function take_batch(tts, rows)
  tts.wide = tts.wide or {}
  local pool = tts.wide[rows] or Pool.new(function()
    return Batch.new(tts.talker, tts.predictor, tts:pad_vector(), rows)
  end)
  tts.wide[rows] = pool
  local batch, lease = pool:take()
  batch:clear() -- of speech that was given up
  return batch, lease
end

--- Speaks texts side by side.
---@param tts ag.Synthesizer
---@param opts ag.Speech text is a list; any other option may be a list of as many, or of one; rows:
---how many at once, default 8
---@param finish fun(tts, u): ag.Sound?, string?, string?, ag.Sound? what an ended utterance becomes
---@return ag.Sound[]?
---@return string? err of the first text that failed, with its number
---@return string? code
---@return ag.Sound[]? sounds when code is 'runaway'
function M.say(tts, opts, finish)
  local list, rows = options_of(opts), check.int(opts.rows or ROWS, 'say: rows', 1, 256, 1)
  local batch, lease = take_batch(tts, rows)
  local riding, sounds, following = {}, {}, 1
  local fault, fault_code
  while following <= #list or next(riding) do
    while following <= #list and #batch.members < rows do
      local u, err, code = utterance.start(tts, list[following], {batch = batch})
      if not u then
        fault, fault_code = ('text %d: %s'):format(following, err), code
        break
      end
      riding[following], following = u, following + 1
    end
    if fault and fault_code ~= 'runaway' then break end
    batch:step()
    for i = 1, following - 1 do
      local u = riding[i]
      if u and u.ended then
        local sound, err, code, partial = finish(tts, u)
        sounds[i], riding[i] = sound or partial, nil
        if not sound and (not fault or fault_code == 'runaway' and code ~= 'runaway') then
          fault, fault_code = ('text %d: %s'):format(i, err), code
        end
      end
    end
  end
  batch:clear()
  lease()
  if not fault then return sounds end
  return nil, fault, fault_code, fault_code == 'runaway' and sounds or nil
end

return M
