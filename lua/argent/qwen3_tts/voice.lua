-- A voice made from a recording (Base models): who speaks, as a vector, and, for in-context
-- cloning, the codes of the recording and what is said in it. Kept in a safetensors file.

local check = require 'argent.check'
local hash = require 'argent.hash'
local io_tensors = require 'argent.io'
local read = require 'argent.audio.read'
local resample = require 'argent.audio.resample'
local tensor = require 'argent.tensor'
local weights = require 'argent.weights'

local M = {}

local FORMAT, VERSION = 'argent voice', '1'
-- Seconds of a recording: what is shorter says too little of a voice, what is longer only costs.
local SHORTEST, LONGEST = 0.5, 60
local SILENT = 1e-3 -- the highest peak that is called silence, 60 dB below full scale

---@class ag.Voice goes into say, stream, frames and feed as `reference`
---@field speaker ag.Tensor f32 [D]
---@field codes ag.Tensor? i32 [F, G]
---@field text string? what is said in the codes
local Voice = {}
Voice.__index = Voice

function Voice:__tostring()
  return self.codes and ('voice: a speaker and %d frames'):format(#self.codes) or 'voice: a speaker'
end

--- Whether v is a voice.
function M.is(v)
  return getmetatable(v) == Voice
end

-- Which models can use it; the vector of another size means nothing to them.
local function check_kind(tts)
  if tts.cfg.kind == 'base' then return true end
  local names = {custom_voice = 'CustomVoice', voice_design = 'VoiceDesign'}
  return nil, ('this is a %s model: it cannot clone a voice; use a Base model'):format(
    names[tts.cfg.kind]), 'value'
end

--- A voice from its parts, checked against the model.
---@param tts ag.Synthesizer
---@param parts {speaker: ag.Tensor|number[], codes: ag.Tensor|integer[][]?, text: string?}
---@param level integer levels up from the caller to the line to blame
---@return ag.Voice?
---@return string? err
---@return string? code 'value'
function M.new(tts, parts, level)
  check.options(parts, 'voice', {'speaker', 'codes', 'text'}, level)
  local ok, err, code = check_kind(tts)
  if not ok then return nil, err, code end
  local be, D, G = tts.backend, tts.cfg.talker.hidden_size, tts.cfg.talker.num_code_groups
  local speaker, codes = parts.speaker, parts.codes
  if type(speaker) == 'table' then speaker = tensor.from(be, speaker) end
  if not tensor.is(speaker) then
    error("voice: speaker: expected a vector of the talker's width", level + 2)
  end
  if #speaker.shape ~= 1 or #speaker ~= D then
    return nil, ('voice: speaker: a vector of %d, this model needs %d'):format(speaker:count(), D),
      'value'
  end
  local voice = setmetatable({tts = tts, speaker = speaker}, Voice)
  if not codes then return voice end
  if type(codes) == 'table' then codes = tensor.from(be, codes, 'i32') end
  ok, err, code = tts.codec:check_codes(codes)
  if not ok then return nil, 'voice: ' .. err, code end
  if #codes == 0 or codes.shape[2] ~= G then return nil, 'voice: codes: no frames', 'value' end
  local cfg = tts.cfg.codec
  local seconds = #codes * cfg.encode_downsample_rate / cfg.input_sample_rate
  if seconds > LONGEST + 1 then -- the last frame of a recording reaches beyond its end
    return nil, ('voice: codes: %d frames (%.0f s) are too long; a voice needs 3 to 15 s, and at '
      .. 'most %d s'):format(#codes, seconds, LONGEST), 'value'
  end
  check.type(parts.text, 'voice: text', 'string', level)
  voice.codes, voice.text = codes, parts.text
  return voice
end

-- Refuses recordings that no voice can be made of.
local function check_recording(samples, seconds, name)
  local x, n = samples:host()
  local peak = 0
  for i = 0, n - 1 do peak = math.max(peak, math.abs(x[i])) end
  if seconds < SHORTEST then
    return nil, ('%s: %.2f s are too short; a voice needs %g s, better 3 to 15'):format(name,
      seconds, SHORTEST), 'value'
  elseif seconds > LONGEST then
    return nil, ('%s: %.0f s are too long; cut out 3 to 15 s of clear speech'):format(name,
      seconds), 'value'
  elseif peak < SILENT then
    return nil, name .. ': is silent', 'value'
  end
  return true
end

-- The samples of a recording at the codec's rate, how long they are, s, and how messages call them.
local function take(tts, audio, rate, level, pause)
  if type(audio) == 'string' then
    if rate ~= nil then error('clone: rate: a sound file says its own', level + 2) end
    local samples, info, code = read.read(audio, {backend = tts.backend, rate = tts.codec.rate,
      max_seconds = 10 * LONGEST, pause = pause})
    if not samples then return nil, info, code end
    return samples, info.seconds, read.name(audio)
  end
  local samples = audio
  if type(samples) == 'table' then samples = tensor.from(tts.backend, samples) end
  if not tensor.is(samples) or #samples.shape ~= 1 or samples.dtype ~= 'f32' then
    error(('clone: audio: expected a path or samples, got %s'):format(check.show(audio)), level + 2)
  end
  local n, to = #samples, tts.codec.rate
  rate = check.int(rate or to, 'clone: rate', 8000, 192000, level)
  if rate ~= to then
    local err, code
    samples, err, code = resample.resample(samples, rate, to, resample.librosa_length(n, rate, to))
    if not samples then return nil, err, code end
  end
  return samples, n / rate, 'the recording'
end

--- Clones the voice of a recording.
---@param tts ag.Synthesizer a Base model
---@param opts {audio: string|ag.Tensor|number[], rate: integer?, text: string?, pause: fun()?}
---audio: a sound file, a data URL of one, or samples f32 [n]; rate: of samples, default that of the
---codec, 24000; text: what is said in it, for in-context cloning; without, the vector alone; pause:
---called between pieces of some milliseconds, in which other speech can go on; may yield
---@param level integer
---@return ag.Voice?
---@return string? err
---@return string? code 'value', 'io', 'format', 'unsupported', 'memory'
function M.clone(tts, opts, level)
  check.options(check.type(opts, 'clone', 'table', level), 'clone', {'audio', 'rate', 'text',
    'pause'}, level)
  if opts.text ~= nil then check.type(opts.text, 'clone: text', 'string', level) end
  local ok, err, code = check_kind(tts)
  if not ok then return nil, err, code end
  if opts.text and not opts.text:find '%S' then
    return nil, 'the text of the recording is empty', 'value'
  end
  local samples, seconds, name = take(tts, opts.audio, opts.rate, level + 1, opts.pause)
  if not samples then return nil, seconds, name end -- the message and its code
  ok, err, code = check_recording(samples, seconds, name)
  if not ok then return nil, err, code end
  local speaker, codes
  speaker, err, code = tts.speaker:embed(samples, {pause = opts.pause})
  if not speaker then return nil, err, code end
  if opts.text then
    codes, err, code = tts.codec:encode(samples, {pause = opts.pause})
    if not codes then return nil, err, code end
  end
  return M.new(tts, {speaker = speaker, codes = codes, text = opts.text}, level)
end

-- ---- files ----

-- What a file says of a voice beside its tensors.
local function description(tts, voice)
  local cfg = tts.cfg
  return {
    format = FORMAT, version = VERSION, model = cfg.kind, size = cfg.size,
    hidden_size = ('%d'):format(cfg.talker.hidden_size),
    code_groups = ('%d'):format(cfg.talker.num_code_groups), text = voice.text or '',
  }
end

-- Of all that a file holds, so that one that was changed is not believed.
local function checksum(voice, meta)
  local sum = hash.new()
  local speaker, d = voice.speaker:host()
  sum:add(speaker, 4 * d)
  if voice.codes then
    local codes, n = voice.codes:host()
    sum:add(codes, 4 * n)
  end
  for _, key in ipairs {'format', 'version', 'model', 'size', 'hidden_size', 'code_groups',
    'text'} do
    sum:add(meta[key], #meta[key] + 1) -- with its final zero byte: texts do not run together
  end
  return sum:hex()
end

--- A name for the voice and its text: the same again means the same speech.
---@return string hex
function Voice:checksum()
  return checksum(self, description(self.tts, self))
end

--- Writes the voice to a file, whole or not at all.
---@param path string
---@return boolean? ok
---@return string? err
---@return string? code 'io'
function Voice:save(path)
  check.type(path, 'save: path', 'string')
  if self.text and self.text:find '%z' then
    return nil, 'the text of the recording holds a zero byte', 'value'
  end
  local meta = description(self.tts, self)
  meta.checksum = checksum(self, meta)
  local ok, err, code = io_tensors.save(path, {speaker = self.speaker, codes = self.codes}, meta)
  return ok, err, code
end

--- Reads a voice from a file.
---@param tts ag.Synthesizer
---@param path string
---@return ag.Voice?
---@return string? err the path and why it cannot be used
---@return string? code 'io' when there is no such file, 'value' when it is no voice for this model
function M.load(tts, path)
  local name = path:gsub('%c', '?')
  local function refuse(fmt, ...)
    local err = ('%s: %s'):format(name, fmt:format(...)):gsub('%c', '?') -- texts of the file
    return nil, err, 'value'
  end
  local ok, err, code = check_kind(tts)
  if not ok then return nil, name .. ': ' .. err, code end
  local w
  w, err, code = weights.open(path, {backend = tts.backend})
  if not w then return nil, err, code == 'format' and 'value' or code end
  local meta = w:metadata()
  if meta.format ~= FORMAT then
    return refuse 'is no voice file; make one with: argent clone RECORDING -o NAME.voice'
  elseif meta.version ~= VERSION then
    return refuse('is of version %s, this Argent reads version %s; clone the voice again',
      tostring(meta.version), VERSION)
  end
  local cfg = tts.cfg
  for _, key in ipairs {'model', 'size', 'hidden_size', 'code_groups', 'text', 'checksum'} do
    if not meta[key] then return refuse('does not say its %s', key) end
  end
  if tonumber(meta.hidden_size) ~= cfg.talker.hidden_size
    or tonumber(meta.code_groups) ~= cfg.talker.num_code_groups or meta.size ~= cfg.size then
    return refuse('was made with a Base model of size %s (%s wide), this one is %s (%d wide); '
      .. 'clone the voice again with this model', meta.size, meta.hidden_size, cfg.size,
      cfg.talker.hidden_size)
  end
  for _, entry in ipairs(w:names()) do
    if entry ~= 'speaker' and entry ~= 'codes' then return refuse('holds an unknown tensor') end
  end
  local parts = {text = meta.text ~= '' and meta.text or nil}
  for entry, dtype in pairs {speaker = 'F32', codes = 'I32'} do
    local info = w:info(entry)
    if info and info.dtype ~= dtype then
      return refuse('%s is %s, not %s', entry, info.dtype, dtype)
    elseif info then
      parts[entry], err, code = w:tensor(entry)
      if not parts[entry] then return nil, err, code end
    end
  end
  if not parts.speaker then return refuse 'holds no speaker vector' end
  if (parts.codes ~= nil) ~= (parts.text ~= nil) then
    return refuse 'holds codes without their text, or a text without codes'
  end
  local voice
  voice, err, code = M.new(tts, parts, 0)
  if not voice then return nil, name .. ': ' .. err, code end
  if meta.checksum ~= checksum(voice, meta) then
    return refuse 'was altered or damaged: its checksum does not fit; clone the voice again'
  end
  return voice
end

check.methods(Voice, 'voice')

return M
