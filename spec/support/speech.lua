-- Options of speech on the golden models.

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

--- Lets an utterance ride on for ever, whatever is drawn: also past the end token.
---@return fun() makes a frame
function M.endless(u)
  local rider = {prepare = function() return true end, take = function() end}
  u.row.rider = setmetatable(rider, {__index = u.row.rider})
  return function()
    assert(u.batch:step() == 1)
    assert(u.fault == nil)
  end
end

return M
