-- What pictures of an utterance need, recorded while it is spoken; see argent.plot.record.

local Batch = require 'argent.qwen3_tts.batch'
local check = require 'argent.check'
local ffi = require 'ffi'
local lib = require 'argent.ffi'
local status = require 'argent.status'
local tensor = require 'argent.tensor'
local utterance = require 'argent.qwen3_tts.utterance'

local M = {}

-- Speaks to the end; faults as nil, err, code.
local function speak(tts, opts)
  local next_frame, u, code = tts:frames(opts)
  if not next_frame then return nil, u, code end
  local ok, fault = pcall(function()
    for _ in next_frame do end -- luacheck: ignore 542
  end)
  if ok then return u end
  if status.is_fault(fault) then return nil, fault.message, fault.code end
  error(fault, 0)
end

-- The options of speech with some of ours in the place of the caller's.
local function with(opts, ours)
  local o = {}
  for k, v in pairs(opts) do o[k] = v end
  for k, v in pairs(ours) do o[k] = v end
  return o
end

---@class ag.AttentionRecord
---@field probs ag.Tensor f32 [heads, P, P], or [1, P, P] for one head: the weights that each
---position (row) gives to all; 0 for those after it
---@field boundary integer the first position of speech, from 0: the prompt is before it
---@field utterance ag.Utterance

--- Speaks, and gathers what a layer of the talker attends to at every position, of the prompt and
--- of the speech. The text is spoken in one prompt (split = 'off').
---@param tts ag.Synthesizer
---@param opts ag.Speech
---@param layer integer from 0, as in the checkpoint
---@param head? integer 1 .. heads: only that one, which needs less memory; 'mean': their mean
---@return ag.AttentionRecord?
---@return string? err
---@return string? code as of tts:frames
function M.attention(tts, opts, layer, head)
  check.type(opts, 'record.attention', 'table')
  check.options(opts, 'record.attention', utterance.OPTIONS)
  local cfg = tts.cfg.talker
  check.int(layer, 'record.attention: layer', 0, cfg.num_hidden_layers - 1)
  local heads = cfg.num_attention_heads
  if head ~= nil and head ~= 'mean' then
    check.int(head, 'record.attention: head', 1, heads)
  end
  -- Blocks of rows as they come: {pos, rows, keys, host [kept heads, rows, keys]}.
  local blocks, positions = {}, 0
  local handle = tts.talker:watch(('layers.%d.attn.probs'):format(layer), function(x, info)
    local _, _, rows, keys = unpack(x.shape)
    x = x:select(1, 1)
    if head and head ~= 'mean' then x = x:narrow(1, head, 1) end
    local host = x:host()
    if head == 'mean' then
      local size = rows * keys
      for h = 1, heads - 1 do
        for i = 0, size - 1 do host[i] = host[i] + host[h * size + i] end
      end
      local mean = ffi.new('float[?]', size)
      for i = 0, size - 1 do mean[i] = host[i] / heads end
      host = mean
    end
    blocks[#blocks + 1] = {pos = info.pos, rows = rows, keys = keys, host = host}
    positions = math.max(positions, info.pos + rows)
  end)
  local ok, u, err, code = pcall(speak, tts, with(opts, {split = 'off'}))
  handle:stop()
  if not ok then error(u, 0) end
  if not u then return nil, err, code end

  local kept, P = head and 1 or heads, positions
  local out = tensor.zeros(tts.backend, {kept, P, P})
  local all = ffi.new('float[?]', kept * P * P)
  for _, b in ipairs(blocks) do
    for h = 0, kept - 1 do
      for r = 0, b.rows - 1 do
        ffi.copy(all + (h * P + b.pos + r) * P, b.host + (h * b.rows + r) * b.keys, 4 * b.keys)
      end
    end
  end
  status.raise(lib.ag_tensor_write(out, all, kept * P * P * 4))
  return {probs = out, boundary = u.prompt_rows, utterance = u}
end

-- The probability of the end token among what the sampler may draw, after the repetition penalty
-- and before temperature, top-k and top-p.
local function end_probability(u, logits)
  local row = u.row
  if row:state 'key':narrow(1, 3, 1):item() < Batch.MINIMUM_DRAWS then return 0 end
  local x, vocab = logits:host()
  local seen, penalty = row:state 'seen':host(), row:state 'params':narrow(1, 4, 1):item()
  local function logit(id)
    local v = x[id]
    if seen[id] == 0 then return v end
    return v < 0 and v * penalty or v / penalty
  end
  local at_end, sum = logit(u.eos), 0
  local top = at_end
  for id = 0, vocab - Batch.CONTROL_IDS - 1 do top = math.max(top, logit(id)) end
  for id = 0, vocab - Batch.CONTROL_IDS - 1 do sum = sum + math.exp(logit(id) - top) end
  local e = math.exp(at_end - top)
  return e / (sum + e)
end

---@class ag.EosRecord
---@field probabilities number[] one for each draw of a frame's first code; 0 where the end is not
---allowed yet
---@field times number[] where in the speech each draw was made, s
---@field utterance ag.Utterance

--- Speaks, and notes at each draw how probable the end token is, at temperature 1.
---@param tts ag.Synthesizer
---@param opts ag.Speech its hooks are called, too
---@return ag.EosRecord?
---@return string? err
---@return string? code as of tts:frames
function M.eos(tts, opts)
  check.type(opts, 'record.eos', 'table')
  check.options(opts, 'record.eos', utterance.OPTIONS)
  local probabilities, times = {}, {}
  local user = opts.hooks or {}
  local hooks = with(user, {logits = function(u, x)
    local value = user.logits and user.logits(u, x)
    if value ~= nil then
      x:copy(tensor.is(value) and value:view(-1) or tensor.from(x.backend, value))
    end
    probabilities[#probabilities + 1] = end_probability(u, x)
    times[#times + 1] = (u.index - 1) * tts.codec.samples_per_frame / tts.codec.rate
  end})
  local u, err, code = speak(tts, with(opts, {hooks = hooks}))
  if not u then return nil, err, code end
  return {probabilities = probabilities, times = times, utterance = u}
end

return M
