-- The options of every verb that speaks: voice, language, sampling, limits.

local budget = require 'argent.qwen3_tts.budget'
local common = require 'argent.cli.common'
local file = require 'argent.audio.file'
local paths = require 'argent.cli.paths'

local M = {}

local EACH_LIMIT = 2 ^ 26 -- bytes of all lines of --each

local SPEECH = {
  'voice', 'language', 'instruct', 'layout', 'split', 'special', 'pattern', 'max_frames',
  'seed', 'greedy', 'talker_greedy', 'predictor_greedy',
  'temperature', 'top_k', 'top_p', 'repetition_penalty',
  'predictor_temperature', 'predictor_top_k', 'predictor_top_p',
}

--- Adds them to a parser.
function M.options(p)
  p:option('--voice', "A named voice of a CustomVoice model (argent voices; '' for none of them), "
    .. 'or a voice file (NAME.voice, made by argent clone) for a Base model.'):argname '<name>'
  p:option('--ref-audio', 'A recording whose voice to clone (Base models).'):argname '<file>'
  p:option('--ref-text', 'What is said in it: the speech then goes on from it.'):argname '<text>'
  p:option('--language', 'Language of the text: a name of argent voices, or its ISO code: en, zh, '
    .. 'ja, ko, de, fr, it, es, pt, ru.', 'auto'):argname '<name>'
  p:option('--instruct', 'How to speak (CustomVoice 1.7B), or the voice itself (VoiceDesign).')
    :argname '<text>'
  p:option('--layout', 'whole: all text first; stream: one token a frame.')
    :choices {'whole', 'stream'}
  p:option('--split', 'auto: a long text in groups of sentences, each with the one before as its '
    .. 'past; off: in one prompt; parallel: the groups side by side, which takes less time, and '
    .. 'each has a prosody of its own.', 'auto'):choices {'auto', 'off', 'parallel'}
  p:flag('--special', 'Recognise added tokens such as <|im_end|> in the text.')
  common.pattern_option(p)
  common.integer_option(p, '--seed', 0, 2 ^ 53,
    'Seed of the draws, 0 to 2^53 (default: from the clock; it is printed).')
  p:flag('--greedy', 'Take the most likely code at every step.')
  p:flag('--talker-greedy', 'Only for the first code of a frame.')
  p:flag('--predictor-greedy', 'Only for the other codes of a frame.')
  common.number_option(p, '--temperature', 1e-3, 1e3,
    'Of the talker (default of all sampling options: the model\'s).',
    '--greedy takes the most likely code at every step')
  common.integer_option(p, '--top-k', 0, 2 ^ 20, '0 = off.')
  common.number_option(p, '--top-p', 0, 1, '1 = off.')
  common.number_option(p, '--repetition-penalty', 1e-3, 1e3, '1 = off.')
  common.number_option(p, '--predictor-temperature', 1e-3, 1e3, 'Of the code predictor.',
    '--greedy takes the most likely code at every step')
  common.integer_option(p, '--predictor-top-k', 0, 2 ^ 20, '0 = off.')
  common.number_option(p, '--predictor-top-p', 0, 1, '1 = off.')
  common.integer_option(p, '--max-frames', 1, 2 ^ 31 - 1,
    'Stop after so many frames of 80 ms; replaces the guard against speech that never ends.')
end

--- Options of verbs that speak several texts at once.
function M.batch_options(p, rows_help)
  common.integer_option(p, '--rows', 1, 256, rows_help
    .. ' (default: by cores and memory; -v says it); more take memory, and less time for all.')
  p:option('--memory', 'What the model and all rows may take, as 4G or 800M (default: half of what '
    .. 'is available).'):argname '<size>':convert(function(s)
    local bytes = budget.parse(s)
    if bytes then return bytes end
    return nil, ("--memory: expected a size such as 4G or 800M, got '%s'"):format(s)
  end)
end

--- The text to speak, from the arguments, a file or standard input: one rule for all of them. Line
--- breaks at its end are no part of it: `echo` and editors put them there, and the shell's $(...)
--- drops them too.
---@return string? text
---@return string? err
---@return string? code
function M.text(args)
  local text, err, code = common.text(args, args.each and EACH_LIMIT)
  if not text then return nil, err, code end
  return (text:gsub('[\r\n]+$', ''))
end

--- Refuses options that contradict each other, before a model is loaded.
---@return boolean? ok
---@return string? err
---@return string? code 'usage'
function M.check(args)
  if args.ref_audio and args.voice then
    return nil, 'the voice is given twice: by --voice and by --ref-audio', 'usage'
  elseif args.ref_text and not args.ref_audio then
    return nil, '--ref-text says what is in --ref-audio, which is not given', 'usage'
  elseif args.split == 'parallel' and args.each then
    return nil, '--split parallel is for one text; the lines of --each are side by side already',
      'usage'
  end
  return true
end

-- What of the voice that is asked for does not fit the model, in the words of the command; nil when
-- it may. The library says the same in its own.
local function misfit(tts, args)
  local kind, voice = tts.cfg.kind, args.voice ~= '' and args.voice
  if voice and not voice:find '%.voice$' and not tts.cfg.talker.speakers[voice:lower()] then
    local name = paths.shown(voice)
    if file.format(voice) then
      return ('--voice %s: a recording is given by --ref-audio %s, or made into a voice file '
        .. 'first: argent clone %s'):format(name, name, name)
    elseif voice:find '[/.]' then
      return ('--voice %s: is no voice of this model, and the name of a voice file ends in .voice; '
        .. 'argent clone makes one from a recording'):format(name)
    elseif kind == 'base' then
      return ('--voice %s: this is a Base model: it has no named voices; give --ref-audio FILE, or '
        .. '--voice NAME.voice (made by argent clone), or use a CustomVoice model'):format(name)
    end
  end
  if kind == 'base' and not voice and not args.ref_audio then
    return 'this is a Base model: it needs a voice to clone; give --ref-audio FILE, or --voice '
      .. 'NAME.voice (made by argent clone)'
  elseif kind == 'voice_design' and voice and not voice:find '%.voice$' then
    return ('--voice %s: this is a VoiceDesign model: it has no named voices; describe one by '
      .. '--instruct TEXT'):format(paths.shown(voice))
  elseif kind == 'voice_design' and not (args.instruct or args.ref_audio or voice) then
    return "this is a VoiceDesign model: describe the voice by --instruct TEXT ('' for any voice)"
  end
end

-- The voice that a Base model is to speak with: nil when none is asked for, false for a fault.
local function reference(tts, args, voices)
  local voice, err, code
  local key = ('%s\0%s'):format(args.ref_audio or args.voice, args.ref_text or '')
  if voices and voices[key] then return voices[key] end
  if args.ref_audio then
    voice, err, code = tts:clone {audio = args.ref_audio, text = args.ref_text}
  elseif args.voice and args.voice:find '%.voice$' then
    voice, err, code = tts:voice(args.voice)
  else
    return nil
  end
  if voices then voices[key] = voice end
  return voice or false, err, code
end

--- What they give to tts:say and its relatives; the text is still missing.
---@param tts ag.Synthesizer
---@param args table parsed options
---@param voices? table keeps the voices that were made, for the next time
---@return ag.Speech?
---@return string? err
---@return string? code of the voice file or the recording
function M.of(tts, args, voices)
  local fault = misfit(tts, args)
  if fault then return nil, fault, 'value' end
  local opts = {}
  for _, name in ipairs(SPEECH) do opts[name] = args[name] end
  if opts.split == 'parallel' then opts.split = nil end
  local voice, err, code = reference(tts, args, voices)
  if voice == false then return nil, err, code end
  if voice then opts.reference, opts.voice = voice, nil end
  return opts
end

return M
