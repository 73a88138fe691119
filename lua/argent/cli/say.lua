-- argent say: text to a sound file, or to standard output as it is made.

local batch = require 'argent.cli.batch'
local common = require 'argent.cli.common'
local output = require 'argent.cli.output'
local sampling = require 'argent.qwen3_tts.sampling'

local M = {summary = 'speak a text'}

--- Options of every verb that speaks: voice, language, sampling, limits.
function M.speech_options(p)
  p:option('--voice', 'A named voice of a CustomVoice model (argent voices), or a voice file '
    .. '(NAME.voice, made by argent clone) for a Base model.'):argname '<name>'
  p:option('--ref-audio', 'A recording whose voice to clone (Base models).'):argname '<file>'
  p:option('--ref-text', 'What is said in it: the speech then goes on from it.'):argname '<text>'
  p:option('--language', 'Language of the text.', 'auto'):argname '<name>'
  p:option('--instruct', 'How to speak (CustomVoice 1.7B), or the voice itself (VoiceDesign).')
    :argname '<text>'
  p:option('--layout', 'whole: all text first; stream: one token a frame.')
    :choices {'whole', 'stream'}
  p:option('--split', 'auto: a long text in groups of sentences; off: in one prompt.', 'auto')
    :choices {'auto', 'off'}
  p:flag('--special', 'Recognise added tokens such as <|im_end|> in the text.')
  common.integer_option(p, '--seed', 0, 2 ^ 53,
    'Seed of the draws, 0 to 2^53 (default: from the clock; it is printed).')
  p:flag('--greedy', 'Take the most likely code at every step.')
  common.number_option(p, '--temperature', 1e-3, 1e3,
    'Of the talker (default of all sampling options: the model\'s).')
  common.integer_option(p, '--top-k', 0, 2 ^ 20, '0 = off.')
  common.number_option(p, '--top-p', 0, 1, '1 = off.')
  common.number_option(p, '--repetition-penalty', 1e-3, 1e3, '1 = off.')
  common.number_option(p, '--predictor-temperature', 1e-3, 1e3, 'Of the code predictor.')
  common.integer_option(p, '--predictor-top-k', 0, 2 ^ 20, '0 = off.')
  common.number_option(p, '--predictor-top-p', 0, 1, '1 = off.')
  common.integer_option(p, '--max-frames', 1, 2 ^ 31 - 1,
    'Stop after so many frames of 80 ms; replaces the guard against speech that never ends.')
end

function M.parser(p)
  p:argument('text', 'What to say.'):args '*'
  common.text_options(p)
  common.model_options(p)
  common.output_options(p)
  p:option('--codes', 'Also write the codes, as JSON.'):argname '<file>'
  M.speech_options(p)
  p:flag('--each', "Every line its own sound; -o and --codes are then names like 'out/%03d.wav'. "
    .. 'Files that are there already are skipped.')
  p:flag('--json', 'Print a JSON object about each sound: file, seconds, frames, seed, times.')
  p:epilog [[
Text from - is spoken while it comes, in the layout stream (that of Base models).

Examples:
  argent say 'Good morning.' -m Qwen3-TTS-12Hz-0.6B-CustomVoice --voice ryan -o morning.wav
  echo 'One, two, three.' | argent say - --voice vivian -o - | aplay -f S16_LE -r 24000
  argent say -f lines.txt --each --voice ryan --seed 1 -o 'out/%03d.wav']]
end

local SPEECH = {
  'voice', 'language', 'instruct', 'layout', 'split', 'special', 'seed', 'greedy', 'max_frames',
  'temperature', 'top_k', 'top_p', 'repetition_penalty',
  'predictor_temperature', 'predictor_top_k', 'predictor_top_p',
}

-- Refuses voices that are asked for in two ways.
local function check_voice(args)
  if args.ref_audio and args.voice then
    return nil, 'the voice is given twice: by --voice and by --ref-audio', 'usage'
  elseif args.ref_text and not args.ref_audio then
    return nil, '--ref-text says what is in --ref-audio, which is not given', 'usage'
  end
  return true
end

--- What the options of speech_options give to tts:say and its relatives; text is still missing.
---@param tts ag.Synthesizer
---@param args table parsed options
---@return ag.Speech?
---@return string? err
---@return string? code
function M.speech(tts, args)
  local opts = {}
  for _, name in ipairs(SPEECH) do opts[name] = args[name] end
  local ok, err, code = check_voice(args)
  if not ok then return nil, err, code end
  if args.ref_audio then
    opts.reference, err, code = tts:clone {audio = args.ref_audio, text = args.ref_text}
  elseif args.voice and args.voice:find '%.voice$' then
    opts.reference, err, code = tts:voice(args.voice)
    opts.voice = nil
  else
    return opts
  end
  if not opts.reference then return nil, err, code end
  return opts
end

-- Whether the text is to be spoken while it comes over standard input.
local function fed(args, kind)
  local words = type(args.text) == 'table' and args.text or {args.text}
  local input = args.file == '-' and #words == 0 or not args.file and #words == 1 and words[1]
    == '-'
  return input and (args.layout == 'stream' or not args.layout and kind == 'base')
    and not args.each and not args.special
end

local function check(args)
  local ok, err, code = check_voice(args)
  if not ok then return nil, err, code end
  if args.each then
    ok, err, code = batch.check_template(args.output, '--output')
    if ok and args.codes then ok, err, code = batch.check_template(args.codes, '--codes') end
    if not ok then return nil, err, code end
    return common.check_output(args.output:format(1))
  end
  if args.json and args.output == '-' then
    return nil, '--json and -o - both want standard output', 'usage'
  end
  return common.check_output(args.output)
end

function M.run(args)
  local ok, err, code = check(args)
  if not ok then return nil, err, code end
  local text, tts
  -- Before a model is loaded; but text that is spoken while it comes cannot be read yet.
  local early = not fed(args, 'base')
  if early then
    text, err, code = common.text(args)
    if not text then return nil, err, code end
  end
  tts, err, code = common.open_model(args)
  if not tts then return nil, err, code end
  local opts
  opts, err, code = M.speech(tts, args)
  if not opts then return nil, err, code end
  if fed(args, tts.cfg.kind) then
    opts.layout, opts.split, opts.special = nil, nil, nil
    local chunks, feed = output.from_input(tts, opts)
    local stats
    stats, err, code = output.save(tts, chunks, feed, args)
    if not stats then return nil, err, code end
    return 0
  end
  if not text then
    text, err, code = common.text(args)
    if not text then return nil, err, code end
  end
  if args.each then
    opts.seed = sampling.seed(opts, 0)
    return batch.run(tts, text, opts, args)
  end
  opts.text = text
  local chunks, speech
  chunks, speech, code = tts:stream(opts)
  if not chunks then return nil, speech, code end
  local stats
  stats, err, code = output.save(tts, chunks, speech, args)
  if not stats then return nil, err, code end
  return 0
end

return M
