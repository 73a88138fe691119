-- A Qwen3-TTS model ready to speak: its networks, its tokenizer, and the ways to use them: say (all
-- at once), stream (sound as it is made), feed (text as it comes) and frames (the loop itself).

local Feed = require 'argent.qwen3_tts.feed'
local Sound = require 'argent.audio.sound'
local Speech = require 'argent.qwen3_tts.speech'
local Voice = require 'argent.qwen3_tts.voice'
local align = require 'argent.qwen3_tts.align'
local check = require 'argent.check'
local Scheduler = require 'argent.qwen3_tts.scheduler'
local languages = require 'argent.qwen3_tts.languages'
local status = require 'argent.status'
local tensor = require 'argent.tensor'
local together = require 'argent.qwen3_tts.together'
local utterance = require 'argent.qwen3_tts.utterance'

local LIST_OPTIONS = {'rows', unpack(utterance.OPTIONS)}
local ALIGN_OPTIONS = {'codes', unpack(utterance.OPTIONS)}

---@class ag.Synthesizer
---@field model_type string see argent.models
---@field cfg table qwen3_tts.config
---@field backend ag.Backend
---@field talker ag.Talker
---@field predictor ag.CodePredictor
---@field codec ag.CodecDecoder
---@field tokenizer ag.Tokenizer
local Synthesizer = {model_type = 'qwen3_tts'}
Synthesizer.__index = Synthesizer

function Synthesizer:__tostring()
  local cfg = self.cfg
  return ('Qwen3-TTS %s (%s, %s) from %s'):format(cfg.kind, cfg.size, self.dtype, self.dir)
end

--- Names of the voices, sorted (CustomVoice models).
---@return string[]
function Synthesizer:voices()
  return languages.sorted_keys(self.cfg.talker.speakers)
end

--- Languages that can be asked for, sorted, 'auto' first; dialects come with their voices. Their
--- ISO 639-1 codes (`en`) are understood, too.
---@return string[]
function Synthesizer:languages()
  local names = {}
  for i, language in ipairs(languages.list(self.cfg.talker)) do names[i] = language.name end
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
  local damage = weights:damaged()
  return damage or err, damage and 'format' or 'value'
end

-- All of the entry points go through here, so that misuse is blamed on their caller's line.
local function begin(tts, opts, name)
  check.options(check.type(opts, name, 'table', 1), name, utterance.OPTIONS, 1)
  local u, err, code = utterance.start(tts, opts)
  return u, err, code
end

---@class ag.Frame
---@field index integer 1-based
---@field codes integer[] G codes, 0-based values

--- The frames of an utterance, one by one: `for frame in tts:frames{...} do`. Faults while speaking
--- raise; faults before the first frame are nil, err, code. The second value is the utterance: it
--- says how it ended, changes options in flight, stops, and forks.
---@param opts ag.Speech
---@return (fun(): ag.Frame?)? iterator
---@return ag.Utterance|string utterance_or_err
---@return string? code
function Synthesizer:frames(opts)
  local u, err, code = begin(self, opts, 'frames')
  if not u then return nil, err, code end
  return u:iterate(), u
end

--- The sound of an utterance as it is made: `for chunk in tts:stream{...} do`. Joined, the chunks
--- are what say gives, bit for bit. Faults as in frames. The second value is the speech so far,
--- with methods codes (i32 [F, G]), stats and close, and the utterance.
---@param opts ag.Speech
---@return (fun(): ag.Chunk?)? iterator
---@return ag.SpeechSoFar|string speech_or_err
---@return string? code
function Synthesizer:stream(opts)
  local u, err, code = begin(self, opts, 'stream')
  if not u then return nil, err, code end
  local speech
  speech, err, code = Speech.new(self, u)
  if not speech then return nil, err, code end
  return function() return speech:next() end, speech
end

--- Speech whose text comes piece by piece; see ag.Feed.
---@param opts ag.Speech without text; the layout is 'stream'
---@return ag.Feed? feed
---@return string? err
---@return string? code
function Synthesizer:feed(opts)
  local feed = Feed.new(self, opts)
  return feed
end

--- Speaks many requests side by side, so that the weights are read once for all:
--- `batch:submit{...}` returns a ticket, `batch:sounds()` and `batch:chunks()` bring what becomes
--- of them. Each becomes what it would be alone.
---@param opts? ag.BatchOptions
---@return ag.Scheduler? batch
---@return string? err
---@return string? code 'memory' where not even one row would fit
function Synthesizer:batch(opts)
  local scheduler, err, code = Scheduler.open(self, opts)
  return scheduler, err, code
end

--- Clones the voice of a recording (Base models): give it to say and its kin as `reference`. With
--- the text of the recording the speech goes on from it (in-context cloning); without, only who
--- speaks is taken from it.
---@param opts {audio: string|ag.Tensor|number[], rate: integer?, text: string?, pause: fun()?}
---audio: a sound file, a data URL of one, or samples f32 [n] at `rate` (default 24000 Hz); pause:
---called between pieces of the work, some milliseconds each, so that others can go on
---@return ag.Voice? voice with :save(path)
---@return string? err
---@return string? code 'value' for a recording that cannot be used, 'io'
function Synthesizer:clone(opts)
  local voice, err, code = Voice.clone(self, opts, 1)
  return voice, err, code
end

--- A voice from a file that voice:save has written, or from its parts (a vector of one's own
--- making, say).
---@param from string|{speaker: ag.Tensor|number[], codes: ag.Tensor|integer[][]?, text: string?}
---@return ag.Voice?
---@return string? err
---@return string? code 'value' when it does not fit this model, 'io'
function Synthesizer:voice(from)
  local voice, err, code
  if type(from) == 'string' then
    voice, err, code = Voice.load(self, from)
  else
    voice, err, code = Voice.new(self, check.type(from, 'voice', 'table'), 1)
  end
  return voice, err, code
end

--- Does now what is done once for a voice, else before its first speech: for in-context cloning its
--- recording passes through the codec, which takes about as long as speaking it would.
---@param voice ag.Voice|table the parts of one keep nothing, so there is nothing to do
---@param pause? fun() called between pieces of some milliseconds; may yield
---@return boolean? ok
---@return string? err
---@return string? code
function Synthesizer:prepare(voice, pause)
  if not Voice.is(check.type(voice, 'prepare: voice', 'table')) then return true end
  local reference, err, code = utterance.reference_of(self, voice, 1)
  local ok = reference
  if reference then ok, err, code = Speech.prepare(self, reference, pause) end
  return ok and true, err, code
end

-- The sound of an utterance, spoken to its end.
local function finish(self, u)
  local speech, err, code = Speech.new(self, u)
  if not speech then return nil, err, code end
  local ok, samples = pcall(speech.rest, speech)
  u:finish() -- a hook may have stopped it, and then it still has its row
  if not ok then
    if status.is_fault(samples) then return nil, samples.message, samples.code end
    error(samples, 0)
  end
  local sound = Sound.new {
    samples = samples, rate = speech.rate, codes = speech:codes(), stats = speech:stats(),
    utterance = u,
  }
  if sound.stats.ended == 'runaway' then
    return nil, self.runaway_message(sound.stats), 'runaway', sound
  end
  return sound
end

--- Speaks a text. Speech that never ends is a fault, 'runaway': the sound so far is then the fourth
--- value.
---
--- Given a list of texts, it speaks them side by side and returns their sounds. Any other option
--- may then be a list too, an entry for each text, or one for all; `rows` says how many are spoken
--- at once (default 8). One seed for all gives text i the stream i - 1, so alone it is spoken by
--- {seed = seed, stream = i - 1}. The first fault ends it all and names its text; but of speech
--- that never ends the others' sounds are there too, in the fourth value.
---@param opts ag.Speech
---@return ag.Sound|ag.Sound[]|nil sound
---@return string? err
---@return string? code
---@return ag.Sound|ag.Sound[]|nil partial
function Synthesizer:say(opts)
  if type(opts) == 'table' and type(opts.text) == 'table' then
    check.options(opts, 'say', LIST_OPTIONS)
    local sounds, err, code, partial = together.say(self, opts)
    if sounds then return sounds end
    return nil, err, code, partial
  end
  local u, err, code = begin(self, opts, 'say')
  if not u then return nil, err, code end
  local sound, fault, kind, partial = finish(self, u)
  if sound then return sound end -- no nils behind it, as a prompt shows all that is returned
  return nil, fault, kind, partial
end

--- When each word and each sentence was said, in seconds from the beginning of the sound: of what
--- say, stream, feed or frames have spoken, or of codes from elsewhere and their text, with the
--- options that they were made with. The talker reads the codes again and its attention tells the
--- times. Where the model does not say which of its heads follow the text (alignment.json), they
--- are guessed, and the result is `estimated`.
---@param said ag.Sound|ag.SpeechSoFar|ag.Parallel|ag.Ticket|ag.Utterance|ag.Speech the last with
---codes: i32 [F, G]
---@return ag.Alignment?
---@return string? err
---@return string? code
function Synthesizer:align(said)
  check.type(said, 'align', 'table')
  local speech = said.speech or said -- of a feed or a ticket
  if speech.utterances then return align.of(speech.utterances) end
  local u = speech.utterance or utterance.is(said) and said or nil
  if not u then
    check.options(said, 'align', ALIGN_OPTIONS)
    local codes = said.codes
    if not tensor.is(codes) then
      codes = tensor.from(self.backend, check.type(codes, 'align: codes', 'table'), 'i32')
    end
    local ok, err, code = self.codec:check_codes(codes)
    if not ok then return nil, err, code end
    local opts = {}
    for k, v in pairs(said) do opts[k] = v end
    opts.codes = nil
    u, err, code = utterance.of_codes(self, opts, codes)
    if not u then return nil, err, code end
  end
  return align.of {u}
end

--- What to tell a person about speech that did not end.
function Synthesizer.runaway_message(stats)
  return ('the speech did not end after %d frames (%.1f s), far beyond the text; try another seed, '
    .. 'or max_frames'):format(stats.frames, stats.seconds)
end

check.methods(Synthesizer, 'synthesizer')

return Synthesizer
