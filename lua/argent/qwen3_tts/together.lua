-- Several texts spoken side by side, so that the weights are read once for all: what `say` does
-- with a list. A text takes the row of one that has ended; what it becomes depends on no other.

local Pool = require 'argent.pool'
local Scheduler = require 'argent.qwen3_tts.scheduler'
local check = require 'argent.check'
local draws = require 'argent.draws'
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
  local seed = type(opts.seed) ~= 'table' and draws.seed(opts, 3)
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

-- A scheduler that nobody uses, and the lease of it.
local function take(tts, rows)
  tts.wide = tts.wide or {}
  tts.wide[rows] = tts.wide[rows] or Pool.new(function()
    return Scheduler.new(tts, rows, math.huge)
  end)
  local scheduler, lease = tts.wide[rows]:take()
  scheduler:clear() -- of speech that was given up
  return scheduler, lease
end

-- Speaks what is in the tickets. The first fault ends it all; but of speech that never ends the
-- others go on.
local function speak(scheduler, numbers)
  local sounds, fault, code = {}, nil, nil
  for ticket, sound, err, kind, partial in scheduler:sounds() do
    local i = numbers[ticket]
    sounds[i] = sound or partial
    if not sound and (not fault or code == 'runaway' and kind ~= 'runaway') then
      fault, code = ('text %d: %s'):format(i, err), kind
    end
    if fault and code ~= 'runaway' then break end
  end
  if not fault then return sounds end
  return nil, fault, code, code == 'runaway' and sounds or nil
end

--- Speaks texts side by side.
---@param tts ag.Synthesizer
---@param opts ag.Speech text is a list; any other option may be a list of as many, or of one; rows:
---how many at once, default 8
---@return ag.Sound[]?
---@return string? err of the first text that failed, with its number
---@return string? code
---@return ag.Sound[]? sounds when code is 'runaway'
function M.say(tts, opts)
  local list, rows = options_of(opts), check.int(opts.rows or ROWS, 'say: rows', 1, 256, 1)
  local positions = {}
  for i, o in ipairs(list) do
    local err, code
    positions[i], err, code = utterance.measure(tts, o, 2)
    if not positions[i] then return nil, ('text %d: %s'):format(i, err), code end
  end
  local scheduler, lease = take(tts, rows)
  local numbers = {}
  for i, o in ipairs(list) do numbers[assert(scheduler:enqueue(o, positions[i]))] = i end
  local done, sounds, err, code, partial = pcall(speak, scheduler, numbers)
  scheduler:clear()
  lease()
  if not done then error(sounds, 0) end
  return sounds, err, code, partial
end

return M
