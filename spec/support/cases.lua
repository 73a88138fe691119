-- Golden cases as Argent's options, and the tensors that the official implementation made of them.

local ag = require 'argent'
local golden = require 'support.golden'

local M = {}

local RENAMED = {subtalker_temperature = 'predictor_temperature',
  subtalker_top_k = 'predictor_top_k',
  subtalker_top_p = 'predictor_top_p'}

--- The options of tts:say for a case; `reference` is for Base models.
function M.options(case, reference)
  local o = {
    text = case.text, voice = case.voice, language = case.language, instruct = case.instruct,
      layout = case.layout,
    seed = case.seed, greedy = case.seed == nil or nil, max_frames = case.max_new_tokens - 1,
  }
  for k, v in pairs(case.options or {}) do o[RENAMED[k] or k] = v end
  if case.mode == 'icl' or case.mode == 'x_vector' then
    o.reference = {speaker = reference.speaker, codes = case.mode == 'icl' and reference.codes
      or nil,
      text = case.mode == 'icl' and case.ref_text or nil}
  end
  return o
end

--- What the reference recording of a Base model is to the networks: its speaker vector and codes,
--- nil for other kinds.
function M.reference(model, be)
  local names = {}
  for name in require('lfs').dir(model.dir) do names[#names
    + 1] = name:match('^analysis_(%d+)%.safetensors$') end
  local longest
  for _, n in ipairs(names) do longest = math.max(longest or 0, tonumber(n)) end
  if not longest then return nil end
  local t = assert(ag.load(('%s/analysis_%d.safetensors'):format(model.dir, longest),
    {backend = be}))
  return {speaker = t.speaker:view(-1), codes = t.codes}
end

--- Calls fn(model, tts, case, expected, options) for every case whose tensors are there.
function M.each(be, dtype, fn)
  for _, model in ipairs(golden.models()) do
    local tts = assert(ag.qwen3_tts.open(model.model, {backend = be, dtype = dtype}))
    local reference = M.reference(model, be)
    for _, case in ipairs(model.cases) do
      local expected = assert(ag.load(('%s/%s.safetensors'):format(model.dir, case.name),
        {backend = be}))
      fn(model, tts, case, expected, M.options(case, reference))
    end
  end
end

return M
