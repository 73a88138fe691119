-- What pictures of an utterance need, recorded while it is spoken, by the module of the model's
-- kind (argent.qwen3_tts.record).

local check = require 'argent.check'
local models = require 'argent.models'

local M = {}

local function recorder(model, what)
  local kind = type(model) == 'table' and models.get(model.model_type)
  if not (kind and kind.record) then
    error(('record.%s: expected a model that speaks, got %s'):format(what, check.show(model)), 3)
  end
  return kind.record()
end

--- Speaks, and gathers what a layer attends to at every position, of the prompt and of the speech.
--- The text is spoken in one prompt (split = 'off').
---@param model ag.Synthesizer
---@param opts ag.Speech
---@param layer integer from 0, as in the checkpoint
---@param head? integer 1 .. heads: only that one, which needs less memory; 'mean': their mean
---@return ag.AttentionRecord?
---@return string? err
---@return string? code as of tts:frames
function M.attention(model, opts, layer, head)
  return recorder(model, 'attention').attention(model, opts, layer, head)
end

--- Speaks, and notes at each draw how probable the end is, at temperature 1.
---@param model ag.Synthesizer
---@param opts ag.Speech its hooks are called, too
---@return ag.EosRecord?
---@return string? err
---@return string? code as of tts:frames
function M.eos(model, opts)
  return recorder(model, 'eos').eos(model, opts)
end

return M
