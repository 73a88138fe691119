-- argent say: text to a sound file, or to standard output as it is made.

local common = require 'argent.cli.common'
local json = require 'argent.json'
local status = require 'argent.status'

local M = {summary = 'speak a text'}

function M.parser(p)
  p:argument('text', 'What to say.'):args '*'
  common.text_options(p)
  common.model_options(p)
  common.output_options(p)
  p:option('--codes', 'Also write the codes, as JSON.'):argname '<file>'
  p:option('--voice', 'A named voice of a CustomVoice model (argent voices).'):argname '<name>'
  p:option('--language', 'Language of the text.', 'auto'):argname '<name>'
  p:option('--instruct', 'How to speak (CustomVoice 1.7B), or the voice itself (VoiceDesign).')
    :argname '<text>'
  p:option('--layout', 'whole: all text first; stream: one token a frame.')
    :choices {'whole', 'stream'}
  p:flag('--special', 'Recognise added tokens such as <|im_end|> in the text.')
  common.integer_option(p, '--seed', 0, 2 ^ 53,
    'Seed of the draws, 0 to 2^53 (default: from the clock; it is printed).')
  p:flag('--greedy', 'Take the most likely code at every step.')
  common.number_option(p, '--temperature', 1e-3, 1e3, 'Of the talker.')
  common.integer_option(p, '--top-k', 0, 2 ^ 20, '0 = off.')
  common.number_option(p, '--top-p', 0, 1, '1 = off.')
  common.number_option(p, '--repetition-penalty', 1e-3, 1e3, '1 = off.')
  common.number_option(p, '--predictor-temperature', 1e-3, 1e3, 'Of the code predictor.')
  common.integer_option(p, '--predictor-top-k', 0, 2 ^ 20, '0 = off.')
  common.number_option(p, '--predictor-top-p', 0, 1, '1 = off.')
  common.integer_option(p, '--max-frames', 1, 2 ^ 31 - 1,
    'Stop after so many frames of 80 ms; replaces the guard against speech that never ends.')
  p:epilog [[
Examples:
  argent say 'Good morning.' -m Qwen3-TTS-12Hz-0.6B-CustomVoice --voice ryan -o morning.wav
  echo 'One, two, three.' | argent say - --voice vivian -o - | aplay -f S16_LE -r 24000]]
end

local SPEECH = {
  'voice', 'language', 'instruct', 'layout', 'special', 'seed', 'greedy', 'max_frames',
  'temperature', 'top_k', 'top_p', 'repetition_penalty',
  'predictor_temperature', 'predictor_top_k', 'predictor_top_p',
}

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
    line = line
      .. (' (RTF %.2f), first audio after %.2f s'):format(stats.rtf, stats.first_audio_time)
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
      local stats = speech:stats()
      progress(('%d frames, %.1f s of speech, RTF %.2f'):format(stats.frames, stats.seconds,
        stats.rtf or 0))
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
  local tts, ok
  ok, err, code = common.check_output(args.output)
  if not ok then return nil, err, code end
  tts, err, code = common.open_model(args)
  if not tts then return nil, err, code end

  local opts = {text = text}
  for _, name in ipairs(SPEECH) do opts[name] = args[name] end
  local next_chunk, speech
  next_chunk, speech, code = tts:stream(opts)
  if not next_chunk then return nil, speech, code end
  for _, note in ipairs(speech.utterance.prompt.notes) do common.note(note) end

  local writer
  writer, err, code = common.create_output(args, speech.rate)
  if not writer then return nil, err, code end

  local done
  done, ok, err, code = pcall(speak, next_chunk, speech, writer)
  if not done or not ok then
    writer:abort()
    if not done then error(ok, 0) end
    return nil, err, code
  end
  local stats = speech:stats()
  local runaway = stats.ended == 'runaway'
  local name, codes_name = args.output, args.codes
  if runaway then
    name = name ~= '-' and partial_name(name) or name
    codes_name = codes_name and partial_name(codes_name)
  end
  ok, err, code = writer:finish {as = name ~= args.output and name or nil}
  if not ok then return nil, err, code end
  if codes_name then
    ok, err, code = write_codes(codes_name, speech:codes())
    if not ok then return nil, err, code end
  end
  common.note(summary(common.output_name(name), stats))
  if runaway then
    return nil, tts.runaway_message(stats):gsub('max_frames', '--max-frames') ..
      (name ~= '-' and '; kept as ' .. name or ''), 'runaway'
  end
  return 0
end

return M
