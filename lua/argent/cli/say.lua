-- argent say: text to a sound file, or to standard output as it is made.

local common = require 'argent.cli.common'
local file = require 'argent.audio.file'
local json = require 'argent.json'
local pcm = require 'argent.audio.pcm'
local status = require 'argent.status'

local M = {summary = 'speak a text'}

function M.parser(p)
  p:argument('text', 'What to say.'):args '*'
  common.text_options(p)
  common.model_options(p)
  p:option('-o --output', 'Sound file (wav, flac, ogg, opus, mp3 by extension), or - for raw s16le on standard output.',
    'speech.wav'):argname '<file>'
  p:option('--bits', 'Sample format of wav and flac: 16, 24 or float.', '16'):choices {'16', '24', 'float'}
  p:option('--codes', 'Also write the codes, as JSON.'):argname '<file>'
  p:option('--voice', 'A named voice of a CustomVoice model (argent voices).'):argname '<name>'
  p:option('--language', 'Language of the text.', 'auto'):argname '<name>'
  p:option('--instruct', 'How to speak (CustomVoice 1.7B), or the voice itself (VoiceDesign).'):argname '<text>'
  p:option('--layout', 'whole: all text first; stream: one token a frame.'):choices {'whole', 'stream'}
  p:flag('--special', 'Recognise added tokens such as <|im_end|> in the text.')
  p:option('--seed', 'Seed of the draws, 0 to 2^53 (default: from the clock; it is printed).'):argname '<n>'
    :convert(common.integer(0, 2 ^ 53))
  p:flag('--greedy', 'Take the most likely code at every step.')
  p:option('--temperature', 'Of the talker.'):argname '<x>':convert(common.number(1e-3, 1e3))
  p:option('--top-k', '0 = off.'):argname '<n>':convert(common.integer(0, 2 ^ 20))
  p:option('--top-p', '1 = off.'):argname '<x>':convert(common.number(0, 1))
  p:option('--repetition-penalty', '1 = off.'):argname '<x>':convert(common.number(1e-3, 1e3))
  p:option('--predictor-temperature', 'Of the code predictor.'):argname '<x>':convert(common.number(1e-3, 1e3))
  p:option('--predictor-top-k', '0 = off.'):argname '<n>':convert(common.integer(0, 2 ^ 20))
  p:option('--predictor-top-p', '1 = off.'):argname '<x>':convert(common.number(0, 1))
  p:option('--max-frames', 'Stop after so many frames of 80 ms; replaces the guard against speech that never ends.')
    :argname '<n>':convert(common.integer(1, 2 ^ 31 - 1))
  p:epilog [[
Examples:
  argent say 'Good morning.' -m Qwen3-TTS-12Hz-0.6B-CustomVoice --voice ryan -o morning.wav
  echo 'One, two, three.' | argent say - --voice vivian -o - | aplay -f S16_LE -r 24000]]
end

local SPEECH = {'voice', 'language', 'instruct', 'layout', 'special', 'seed', 'greedy', 'temperature', 'top_k', 'top_p',
  'repetition_penalty', 'predictor_temperature', 'predictor_top_k', 'predictor_top_p', 'max_frames'}

-- hello.wav -> hello.partial.wav: it is a sound file still, but not the one that was asked for.
local function partial_name(path)
  local stem, extension = path:match '^(.*)(%.[^./]+)$'
  return stem and stem .. '.partial' .. extension or path .. '.partial'
end

local function write_codes(path, codes)
  return common.write_file(path, json.encode {codes = codes:totable()} .. '\n')
end

local function summary(name, stats)
  local line = ('%s: %.2f s of speech in %.2f s'):format(name, stats.seconds, stats.total_time)
  if stats.rtf then
    line = line .. (' (RTF %.2f), first audio after %.2f s'):format(stats.rtf, stats.first_audio_time)
  end
  return line .. (', seed %.0f'):format(stats.seed)
end

-- Runs the stream into the writer. Errors that scripts would see as raised come back as nil, err,
-- code.
local function speak(next_chunk, speech, writer)
  local progress = common.progress()
  local ok, err, code
  local done, fault = pcall(function()
    for chunk in next_chunk do
      local samples, n = chunk.samples:host()
      ok, err, code = writer:write(samples, n)
      chunk.samples:release()
      if not ok then return end
      local stats = speech.stats()
      progress(('%d frames, %.1f s of speech, RTF %.2f'):format(stats.frames, stats.seconds, stats.rtf or 0))
    end
    ok = true
  end)
  progress()
  if not done then
    if status.is_fault(fault) then return nil, fault.message, fault.code end
    error(fault, 0)
  end
  return ok, err, code
end

function M.run(args)
  local text, err, code = common.text(args)
  if not text then return nil, err, code end
  -- What cannot be written is said before a model is loaded and minutes are spent.
  if args.output ~= '-' then
    local format
    format, err = file.format(args.output)
    if not format then return nil, err, 'usage' end
  end
  local tts
  tts, err, code = common.open_model(args)
  if not tts then return nil, err, code end

  local opts = {text = text}
  for _, name in ipairs(SPEECH) do opts[name] = args[name] end
  local next_chunk, speech
  next_chunk, speech, code = tts:stream(opts)
  if not next_chunk then return nil, speech, code end
  for _, note in ipairs(speech.utterance.prompt.notes) do common.note(note) end

  local writer
  if args.output == '-' then writer = pcm.sink(1)
  else writer, err, code = file.create(args.output, {rate = speech.rate, bits = args.bits}) end
  if not writer then return nil, err, code end

  local done, ok
  done, ok, err, code = pcall(speak, next_chunk, speech, writer)
  if not done or not ok then
    writer:abort()
    if not done then error(ok, 0) end
    return nil, err, code
  end
  local stats = speech.stats()
  local runaway = stats.ended == 'runaway'
  local name, codes_name = args.output, args.codes
  if runaway then
    name = name ~= '-' and partial_name(name) or name
    codes_name = codes_name and partial_name(codes_name)
  end
  ok, err, code = writer:finish {as = name ~= args.output and name or nil}
  if not ok then return nil, err, code end
  if codes_name then
    ok, err, code = write_codes(codes_name, speech.codes())
    if not ok then return nil, err, code end
  end
  common.note(summary(name == '-' and 'standard output' or name, stats))
  if runaway then
    return nil, tts.runaway_message(stats):gsub('max_frames', '--max-frames') ..
      (name ~= '-' and '; kept as ' .. name or ''), 'runaway'
  end
  return 0
end

M.partial_name = partial_name

return M
