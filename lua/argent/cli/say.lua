-- argent say: text to a sound file, or to standard output as it is made.

local batch = require 'argent.cli.batch'
local captions = require 'argent.cli.captions'
local common = require 'argent.cli.common'
local output = require 'argent.cli.output'
local parallel = require 'argent.qwen3_tts.parallel'
local paths = require 'argent.cli.paths'
local sound = require 'argent.cli.sound'
local speech = require 'argent.cli.speech'

local M = {summary = 'speak a text'}

-- The files that it writes; of --each their names are templates.
local FILES = {'output', 'codes', unpack(captions.KINDS)}

function M.parser(p)
  p:argument('text', 'What to say.'):args '*'
  common.text_options(p)
  common.model_options(p)
  sound.options(p)
  sound.speed_option(p)
  p:option('--codes', 'Also write the codes, as JSON.'):argname '<file>'
  captions.options(p)
  speech.options(p)
  p:flag('--each', "Every line its own sound; -o, --codes and so on are names like 'out/%03d.wav' "
    .. "(the line's number) or 'out/%s.wav' (its id). What is there already, made of the same, is "
    .. 'skipped.')
  speech.batch_options(p, 'How many lines of --each, or parts of --split parallel, are spoken side '
    .. 'by side')
  p:option('--shard', 'I/N: of the lines of --each the I-th, the I+N-th and so on, so that N '
    .. 'processes, on one machine or on several, do all of them.'):argname '<i/n>'
    :convert(function(s)
      local i, n = s:match '^(%d+)/(%d+)$'
      i, n = tonumber(i), tonumber(n)
      if i and i >= 1 and i <= n and n <= 1e6 then return {index = i, count = n} end
      return nil, ("--shard: expected I/N such as 1/8, got '%s'"):format(s)
    end)
  p:flag('--json', 'Print a JSON object about each sound: file, seconds, frames, seed, times.')
  p:epilog [[
Without a text, and for -, standard input is read; in the layout stream (that of Base models) it is
spoken while it comes. Line breaks at the end of the text, wherever it comes from, are not spoken.

A line of --each is a text, or a JSON object with text, id, and options of its own:
  {"id": "greeting", "text": "Good morning.", "voice": "ryan", "top_k": 20}

Without -m, ARGENT_MODEL or a model in the hub's cache the demo voice speaks: English, short
sentences of plain words. To get a released model:
  pip install -U huggingface_hub
  argent pull Qwen3-TTS-12Hz-0.6B-CustomVoice    # nine voices, ten languages
  argent pull Qwen3-TTS-12Hz-0.6B-Base           # clones the voice of a recording
  argent pull Qwen3-TTS-12Hz-1.7B-VoiceDesign    # a voice from its description

Examples:
  argent say 'Good morning.'
  argent say 'Good morning.' -m Qwen3-TTS-12Hz-0.6B-CustomVoice --voice ryan -o morning.wav
  echo 'One, two, three.' | argent say --voice vivian -o - | aplay -f S16_LE -r 24000
  argent say -f lines.txt --each --voice ryan --seed 1 -o 'out/%03d.wav']]
end

-- Whether the text is to be spoken while it comes over standard input.
local function fed(args, kind)
  return common.text_from_input(args)
    and (args.layout == 'stream' or not args.layout and kind == 'base')
    and not args.each and not args.special and args.split ~= 'parallel'
end

-- The options as the checks see them: of --each the names of the first sound.
local function first(args)
  local one = {json = false}
  for _, name in ipairs(FILES) do
    local ok, err, code = true, nil, nil
    if args[name] then ok, err, code = batch.check_template(args[name], '--' .. name) end
    if not ok then return nil, err, code end
    one[name] = args[name] and args[name]:format(1)
  end
  return setmetatable(one, {__index = args})
end

-- Refuses what cannot work, before a model is loaded.
local function check(args)
  local ok, err, code = speech.check(args)
  if not ok then return nil, err, code end
  if args.shard and not args.each then
    return nil, '--shard is for the lines of --each', 'usage'
  end
  if (args.rows or args.memory) and not args.each and args.split ~= 'parallel' then
    return nil, ('%s is for the lines of --each, and for --split parallel'):format(args.rows
      and '--rows' or '--memory'), 'usage'
  end
  if args.each then
    args.output = args.output or 'speech.wav'
    args, err, code = first(args)
    if not args then return nil, err, code end
  end
  ok, err, code = sound.check(args)
  local made = {}
  for i, name in ipairs(FILES) do
    made[i] = {'--' .. name, args[name]}
    if ok and name ~= 'output' and args[name] then
      ok, err, code = paths.check_output(args[name], args.each)
    end
  end
  if not ok then return nil, err, code end
  local voice = args.voice and args.voice:find '%.voice$' and args.voice
  return paths.check_apart(made,
    {{'--file', args.file}, {'--ref-audio', args.ref_audio}, {'--voice', voice or nil}})
end

-- A text whose parts are spoken side by side.
local function side_by_side(tts, opts, args)
  local scheduler, err, code = tts:batch {rows = args.rows, memory = args.memory, queue = 0}
  if not scheduler then return nil, err, code end
  if args.verbose then common.note('batch: ' .. scheduler:summary()) end
  return parallel.stream(scheduler, opts)
end

function M.run(args)
  local ok, err, code = check(args)
  if not ok then return nil, err, code end
  local text, tts
  -- Before a model is loaded; but text that is spoken while it comes cannot be read yet.
  local early = not fed(args, 'base')
  if early then
    text, err, code = speech.text(args)
    if not text then return nil, err, code end
  end
  tts, err, code = common.open_model(args)
  if not tts then return nil, err, code end
  if args.each then return batch.run(tts, text, args) end
  local opts
  opts, err, code = speech.of(tts, args)
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
    text, err, code = speech.text(args)
    if not text then return nil, err, code end
  end
  opts.text = text
  local chunks, spoken
  if args.split == 'parallel' then chunks, spoken, code = side_by_side(tts, opts, args)
  else chunks, spoken, code = tts:stream(opts) end
  if not chunks then return nil, spoken, code end
  local stats
  stats, err, code = output.save(tts, chunks, spoken, args)
  if not stats then return nil, err, code end
  return 0
end

return M
