-- A Qwen3-TTS model ready to speak: its networks, its tokenizer, and the three ways to use them:
-- say (all at once), stream (sound as it is made) and frames (the loop itself).

local ffi = require 'ffi'
local check = require 'argent.check'
local lib = require 'argent.ffi'
local posix = require 'argent.posix'
local status = require 'argent.status'
local tensor = require 'argent.tensor'
local utterance = require 'argent.qwen3_tts.utterance'

-- Frames per chunk of sound: the first sample soon, then fewer and larger passes through the codec.
-- The sound does not depend on it.
local CHUNKS = {1, 1, 2, 4, 8}

---@class ag.Synthesizer
---@field cfg table qwen3_tts.config
---@field backend ag.Backend
---@field talker ag.Talker
---@field predictor ag.CodePredictor
---@field codec ag.CodecDecoder
---@field tokenizer ag.Tokenizer
local Synthesizer = {}
Synthesizer.__index = Synthesizer

--- Names of the voices, sorted (CustomVoice models).
function Synthesizer:voices()
  local names = {}
  for name in pairs(self.cfg.talker.speakers) do names[#names + 1] = name end
  table.sort(names)
  return names
end

--- Languages that can be asked for, sorted, 'auto' first; dialects come with their voices.
function Synthesizer:languages()
  local names = {}
  for name in pairs(self.cfg.talker.languages) do
    if not name:find('dialect', 1, true) then names[#names + 1] = name end
  end
  table.sort(names)
  table.insert(names, 1, 'auto')
  return names
end

--- The text vector that is added when no text is left, [D].
function Synthesizer:pad_vector()
  self.pad = self.pad or self.talker:text_vectors({self.cfg.tokens.tts_pad}):view(-1)
  return self.pad
end

--- Turns a "NaN" found late into the fact that caused it: which tensor of which file is damaged.
---@return string err
---@return string code
function Synthesizer.diagnose(weights, err)
  local name, count, file = weights:nonfinite()
  if not name then return err, 'value' end
  return ('%s: %s: %d values are NaN or infinite; the file is damaged, fetch it again'):format(file,
    name, count), 'format'
end

---@class ag.Frame
---@field index integer 1-based
---@field codes integer[] G codes, 0-based values

--- The frames of an utterance, one by one: `for frame in tts:frames{...} do`. Faults while speaking
--- raise; faults before the first frame are nil, err, code. The second value is the utterance, with
--- fields frames, ended ('eos', 'limit', 'runaway'), seed, prompt.
---@param opts ag.Speech
---@return (fun(): ag.Frame?)? iterator
---@return table|string utterance_or_err
---@return string? code
function Synthesizer:frames(opts)
  check.options(check.type(opts, 'frames', 'table'), 'frames', utterance.OPTIONS)
  local u, err, code = utterance.start(self, opts)
  if not u then return nil, err, code end
  return function()
    local more, fault, kind = u:next()
    if fault then status.throw(fault, kind) end
    if not more then return nil end
    local codes = {}
    for g = 1, u.lane.groups do codes[g] = u.lane.host[g - 1] end
    return {index = u.frames, codes = codes}
  end, u
end

-- Codes collected on the host, growing.
local function code_list(groups)
  local list = {n = 0, room = 64, data = ffi.new('int32_t[?]', 64 * groups)}
  function list:add(frame)
    if self.n == self.room then
      local more = ffi.new('int32_t[?]', 2 * self.room * groups)
      ffi.copy(more, self.data, self.n * groups * 4)
      self.data, self.room = more, 2 * self.room
    end
    ffi.copy(self.data + self.n * groups, frame, groups * 4)
    self.n = self.n + 1
  end
  --- Frames first + 1 .. first + n as i32 [n, G].
  function list:tensor(backend, first, n)
    local t = tensor.zeros(backend, {n, groups}, 'i32')
    status.raise(lib.ag_tensor_write(t, self.data + first * groups, n * groups * 4))
    return t
  end
  return list
end

---@class ag.Chunk
---@field samples ag.Tensor f32 [n]
---@field rate integer
---@field frames integer frames in this chunk

--- The sound of an utterance as it is made: `for chunk in tts:stream{...} do`. Joined, the chunks
--- are what say gives, bit for bit. Faults as in frames. The second value is the speech so far,
--- with fields codes (a function giving i32 [F, G]), stats (a function), utterance.
---@param opts ag.Speech
---@return (fun(): ag.Chunk?)? iterator
---@return table|string speech_or_err
---@return string? code
function Synthesizer:stream(opts)
  check.options(check.type(opts, 'stream', 'table'), 'stream', utterance.OPTIONS)
  local u, err, code = utterance.start(self, opts)
  if not u then return nil, err, code end
  local codec, lease = self.streams:take()
  codec:reset()
  if u.reference and u.reference.codes then
    -- In-context cloning goes on from the recording: its frames pass first, unheard (reference,
    -- 5.7).
    local primed
    primed, err, code = codec:push(u.reference.codes)
    if not primed then return nil, err, code end
    primed:release()
  end
  local list, at, step, samples = code_list(u.lane.groups), 0, 0, 0
  local speech = {utterance = u, rate = self.codec.rate}

  function speech.codes() return list:tensor(self.backend, 0, list.n) end

  function speech.stats()
    local seconds, total = samples / self.codec.rate, posix.now() - u.began
    return {
      frames = list.n, seconds = seconds, prompt_rows = u.prompt_rows, seed = u.seed,
      ended = u.ended,
      prefill_time = u.prefill_time, first_audio_time = speech.first_audio_time, total_time = total,
      rtf = seconds > 0 and total / seconds or nil, notes = u.prompt.notes,
    }
  end

  local function fail(fault, kind)
    u:finish('failed')
    lease()
    status.throw(fault, kind)
  end

  return function()
    step = math.min(step + 1, #CHUNKS)
    while list.n - at < CHUNKS[step] do
      local more, fault, kind = u:next()
      if fault then fail(fault, kind) end
      if not more then break end
      list:add(u.lane.host)
    end
    local n = list.n - at
    if n == 0 then
      lease()
      return nil
    end
    local codes = list:tensor(self.backend, at, n)
    local x, fault, kind = codec:push(codes)
    codes:release()
    if not x then fail(fault, kind) end
    if lib.ag_tensor_count_nonfinite(x) > 0 then
      fail(self.diagnose(self.codec_weights, 'the codec made NaN'))
    end
    at, samples = at + n, samples + x:count()
    speech.first_audio_time = speech.first_audio_time or posix.now() - u.began
    return {samples = x, rate = self.codec.rate, frames = n}
  end, speech
end

---@class ag.Sound
---@field samples ag.Tensor f32 [n] in [-1, 1]
---@field rate integer samples a second
---@field codes ag.Tensor i32 [frames, G]
---@field stats table frames, seconds, prompt_rows, seed, ended, prefill_time, first_audio_time,
---total_time (seconds), rtf

--- Speaks a text. Speech that never ends is a fault, 'runaway': the sound so far is then the fourth
--- value.
---@param opts ag.Speech
---@return ag.Sound? sound
---@return string? err
---@return string? code
---@return ag.Sound? partial
function Synthesizer:say(opts)
  check.options(check.type(opts, 'say', 'table'), 'say', utterance.OPTIONS)
  local next_chunk, speech, code = self:stream(opts)
  if not next_chunk then return nil, speech, code end
  local parts, n = {}, 0
  local ok, fault = pcall(function()
    for chunk in next_chunk do
      parts[#parts + 1] = chunk.samples
      n = n + chunk.samples:count()
    end
  end)
  if not ok then
    if status.is_fault(fault) then return nil, fault.message, fault.code end
    error(fault, 0)
  end
  local samples, at = tensor.zeros(self.backend, {n}), 0
  for _, part in ipairs(parts) do
    samples:narrow(1, at + 1, #part):copy(part)
    at = at + #part
    part:release()
  end
  local sound = {
    samples = samples, rate = speech.rate, codes = speech.codes(), stats = speech.stats(),
  }
  if sound.stats.ended == 'runaway' then
    return nil, self.runaway_message(sound.stats), 'runaway', sound
  end
  return sound
end

--- What to tell a person about speech that did not end.
function Synthesizer.runaway_message(stats)
  return ('the speech did not end after %d frames (%.1f s), far beyond the text; try another seed, '
    .. 'or max_frames'):format(stats.frames, stats.seconds)
end

return Synthesizer
