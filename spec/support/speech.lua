-- Options of speech on the golden models.

local bench = require 'argent.qwen3_tts.bench'
local cases = require 'support.cases'

local M = {}

--- Options for free sampling on a model of any kind, twelve frames at most.
function M.options(model, tts, text, seed)
  local o = {text = text, seed = seed, max_frames = 12}
  if tts.cfg.kind == 'custom_voice' then o.voice = tts:voices()[1] end
  if tts.cfg.kind == 'voice_design' then o.instruct = 'An old man.' end
  if tts.cfg.kind == 'base' then
    local r = cases.reference(model, tts.backend)
    o.reference = {speaker = r.speaker}
  end
  return o
end

--- Lets an utterance ride on for ever, see argent.qwen3_tts.bench.
---@return fun() makes a frame
function M.endless(u)
  local frame = bench.endless(u)
  return function() assert(frame() == 1) end
end

return M
