-- One utterance while it is made: the prompt goes in, frames come out until the end token, a limit,
-- or the guard against speech that never ends. What say, stream and frames are made of.

local check = require 'argent.check'
local posix = require 'argent.posix'
local prompt = require 'argent.qwen3_tts.prompt'
local tensor = require 'argent.tensor'

local M = {}

-- The guard: 6 s, and 1.6 s for each text token. Slow speech needs about 0.5 s a token, so only a
-- model that has lost its way gets here.
local BUDGET_FRAMES, BUDGET_PER_TOKEN = 75, 20

M.OPTIONS = {
  'text', 'voice', 'language', 'instruct', 'layout', 'reference', 'special', 'pattern',
  'seed', 'stream', 'greedy', 'max_frames', 'temperature', 'top_k', 'top_p', 'repetition_penalty',
  'predictor_temperature', 'predictor_top_k', 'predictor_top_p',
}

---@class ag.Speech options of say, stream and frames
---@field text string
---@field voice string? a named voice (CustomVoice)
---@field language string? default 'auto'
---@field instruct string? how to speak (CustomVoice 1.7B, VoiceDesign)
---@field layout string? 'whole' or 'stream'
---@field reference {speaker: ag.Tensor|number[], codes: ag.Tensor|integer[][]?, text: string?}? a
---voice to clone (Base): its vector [D], and for in-context cloning the codes [F, G] of the
---recording and what is said in it
---@field special boolean? recognise added tokens such as <|im_end|> in the text
---@field seed integer? 0 .. 2^53; default: from the clock, see stats.seed
---@field stream integer? another stream of draws for the same seed (reference, 6.4: row)
---@field greedy boolean? argmax in both sampling stages
---@field max_frames integer? stop after so many frames (80 ms each); replaces the guard
---@field temperature number?
---@field top_k integer? 0 = off
---@field top_p number? 1 = off
---@field repetition_penalty number? 1 = off
---@field predictor_temperature number?
---@field predictor_top_k integer?
---@field predictor_top_p number?

-- Sampling parameters of both stages: the caller's, else those of generation_config.json.
local function sampling_of(g, opts, seed)
  local function pick(name, default, lo, hi, int)
    local v = opts[name]
    if v == nil then return default end
    return (int and check.int or check.number)(v, name, lo, hi, 2)
  end
  local t = {pick('temperature', g.temperature, 1e-3, 1e3), pick('top_k', g.top_k, 0, 2 ^ 20, true),
    pick('top_p', g.top_p, 0, 1), pick('repetition_penalty', g.repetition_penalty, 1e-3, 1e3)}
  local p = {pick('predictor_temperature', g.subtalker_temperature, 1e-3, 1e3),
    pick('predictor_top_k', g.subtalker_top_k, 0, 2 ^ 20, true),
    pick('predictor_top_p', g.subtalker_top_p, 0, 1), 1}
  if opts.greedy or not g.do_sample then t[1] = 0 end
  if opts.greedy or not g.subtalker_dosample then p[1] = 0 end
  local stream = check.int(opts.stream or 0, 'stream', 0, nil, 1)
  return {seed = seed, stream = stream, talker = t, predictor = p}
end

local function seed_of(opts)
  if opts.seed ~= nil then return check.int(opts.seed, 'seed', 0, 2 ^ 53, 2) end
  return math.floor(posix.now() * 1e6) % 2 ^ 32
end

-- The vectors of a reference recording, checked: they come from files and scripts.
local function reference_of(tts, ref)
  local be, D, G = tts.backend, tts.cfg.talker.hidden_size, tts.cfg.talker.num_code_groups
  check.options(ref, 'reference', {'speaker', 'codes', 'text'}, 2)
  local speaker = ref.speaker
  if type(speaker) == 'table' then speaker = tensor.from(be, speaker) end
  if not tensor.is(speaker) then
    error('reference.speaker: expected a vector of the talker\'s width', 4)
  end
  if #speaker.shape ~= 1 or #speaker ~= D then
    local err = 'reference.speaker: a vector of %d, this model needs %d'
    return nil, err:format(speaker:count(), D), 'value'
  end
  if not ref.codes then return {speaker = speaker} end
  local codes = ref.codes
  if type(codes) == 'table' then codes = tensor.from(be, codes, 'i32') end
  local ok, err, code = tts.codec:check_codes(codes)
  if not ok then return nil, 'reference.' .. err, code end
  if #codes == 0 or codes.shape[2] ~= G then return nil, 'reference.codes: no frames', 'value' end
  local frames = tts.predictor:frame_embeddings(tts.talker.codec_embedding, codes)
  return {speaker = speaker, frames = frames, codes = codes}
end

local Utterance = {}
Utterance.__index = Utterance

--- Prepares an utterance on a lane of one row: prompt, prefill, limits.
---@param tts ag.Synthesizer
---@param opts ag.Speech
---@return table? utterance
---@return string? err
---@return string? code
function M.start(tts, opts)
  local began = posix.now()
  local ref, err, code
  if opts.reference then
    ref, err, code = reference_of(tts, opts.reference)
    if not ref then return nil, err, code end
  end
  local seed = seed_of(opts)
  local sampling = sampling_of(tts.cfg.generation, opts, seed)
  local max_frames = opts.max_frames and check.int(opts.max_frames, 'max_frames', 1, 2 ^ 31 - 1, 1)
  local p
  p, err = prompt.build(tts.cfg, tts.tokenizer, {
    text = opts.text, instruct = opts.instruct, voice = opts.voice, language = opts.language,
    layout = opts.layout, special = opts.special, pattern = opts.pattern,
    speaker_vector = ref ~= nil,
    reference = ref and ref.codes
      and {frames = #ref.codes, text = opts.reference.text or ''} or nil,
  })
  if not p then return nil, err, 'value' end

  local talker = tts.talker
  local rows, trailing = talker:prompt_rows(p, ref), talker:text_vectors(p.trailing)
  local lane, lease = tts.lanes:take()
  local ok
  ok, err, code = lane:start({rows}, {trailing}, tts:pad_vector(), {sampling})
  if not ok then return nil, err, code end
  local budget = BUDGET_FRAMES + BUDGET_PER_TOKEN * #p.text_ids
  local u = setmetatable({
    tts = tts, lane = lane, lease = lease, prompt = p, reference = ref, frames = 0,
    eos = tts.cfg.talker.codec.eos, max_frames = max_frames,
    guard = math.min(budget, tts.cfg.generation.max_new_tokens - 1),
    began = began, seed = seed,
    prompt_rows = #rows, prefill_time = posix.now() - began,
  }, Utterance)
  rows:release()
  trailing:release()
  return u
end

--- Makes the next frame: its codes are then in lane.host (int32) until the next call.
---@return boolean? more nil when the utterance has ended, see `ended`: 'eos', 'limit' or 'runaway'
---@return string? err
---@return string? code
function Utterance:next()
  if self.ended then return nil end
  local limit = self.max_frames or self.guard
  if self.frames >= limit then return self:finish(self.max_frames and 'limit' or 'runaway') end
  local ok, err, code = self.lane:next()
  if not ok then
    self:finish('failed')
    if code == 'value' then err, code = self.tts.diagnose(self.tts.weights, err) end
    return nil, err, code
  end
  if self.lane.host[0] == self.eos then return self:finish('eos') end
  self.frames = self.frames + 1
  return true
end

--- Gives the lane back. Safe to call at any time, more than once.
function Utterance:finish(how)
  if not self.ended then self.ended = how end
  self.lease()
  return nil
end

return M
