-- argent plot: pictures of sounds, codes, and of what goes on while a text is spoken.

local codes = require 'argent.cli.codes'
local common = require 'argent.cli.common'
local paths = require 'argent.cli.paths'
local picture = require 'argent.plot.image'
local posix = require 'argent.posix'
local speech = require 'argent.cli.speech'

local M = {summary = 'draw a sound, codes, attention or the end of speech'}

local KINDS = {'waveform', 'mel', 'codes', 'attention', 'eos'}
-- Options that belong to one kind only.
local ONLY = {layer = 'attention', head = 'attention', linear = 'attention'}

function M.parser(p)
  p:argument('kind', 'waveform, mel: of a sound file; codes: of a JSON file; attention: which part '
    .. 'of the text is spoken when, or with --layer who looks where in a layer; eos: how probable '
    .. 'the end token is, over time.'):choices(KINDS)
  p:argument('input', 'Sound or JSON file, or the text to say.'):args '*'
  p:option('-o --output', 'PNG file, or - for standard output (default: KIND.png).')
    :argname '<file>'
  p:option('--title', 'Above the picture.'):argname '<text>'
  common.integer_option(p, '--width', 400, 16384, 'Of the picture, in pixels.')
  common.integer_option(p, '--height', 300, 16384, 'Of the picture, in pixels.')
  common.integer_option(p, '--layer', 0, 2 ^ 20, "Of the talker, from 0 (attention).")
  common.integer_option(p, '--head', 1, 2 ^ 20, 'From 1; default: the mean of all (attention).')
  p:flag('--linear', 'Linear colours instead of logarithmic ones (attention).')
  common.text_options(p)
  common.model_options(p)
  speech.options(p)
  p:epilog [[
The text of an attention map is spoken in one prompt, however long it is.

Examples:
  argent plot mel morning.wav -o morning.png
  argent plot attention 'Good morning.' --voice ryan
  argent plot attention 'Good morning.' --voice ryan --layer 12 -o layer12.png]]
end

-- A file's name without its folders.
local function base(path)
  return path == '-' and 'standard input' or path:match '[^/]+$' or path
end

-- The one file that a kind draws.
local function one_file(args)
  if #args.input == 1 and not args.file then return args.input[1] end
  return nil, args.kind .. ': expected one file', 'usage'
end

-- What a text is called in a title.
local function quoted(text)
  return '"' .. text:gsub('%s+', ' ') .. '"'
end

-- The picture's options: the user's, and a title if there is none.
local function options(args, title, more)
  local o = more or {}
  o.title, o.width, o.height = args.title or title, args.width, args.height
  return o
end

-- Speaks the text by `record(tts, opts)`, with a line of progress; `fits(tts)` is asked first.
local function spoken(args, record, fits)
  local ok, err, code = speech.check(args)
  if not ok then return nil, err, code end
  local text, tts, opts, r
  text, err, code = speech.text(args)
  if not text then return nil, err, code end
  tts, err, code = common.open_model(args)
  if not tts then return nil, err, code end
  if fits then
    ok, err = fits(tts)
    if not ok then return nil, err, 'usage' end
  end
  opts, err, code = speech.of(tts, args)
  if not opts then return nil, err, code end
  opts.text = text
  local progress = common.progress()
  opts.hooks = {logits = function(u) progress(u.frames .. ' frames') end}
  r, err, code = record(tts, opts)
  progress()
  if not r then return nil, err, code end
  local u = r.utterance
  for _, note in ipairs(u.prompt.notes) do common.note(note) end
  common.note(('%d frames, seed %.0f%s'):format(u.frames, u.seed, u.ended == 'runaway'
    and '; the speech did not end' or ''))
  return r, text
end

local DRAW = {}

-- The samples of a file, at its own rate or another.
local function sound(args, rate)
  local path, err, code = one_file(args)
  if not path then return nil, err, code end
  local be
  be, err, code = require('argent.backend').open('cpu', {threads = args.threads})
  if not be then return nil, err, code end
  return require('argent.audio').read(path, {backend = be, rate = rate})
end

function DRAW.waveform(args, plot)
  local samples, info, code = sound(args, 0)
  if not samples then return nil, info, code end
  return plot.waveform(samples, options(args, base(args.input[1]), {rate = info.rate}))
end

function DRAW.mel(args, plot)
  local samples, err, code = sound(args)
  if not samples then return nil, err, code end
  return plot.mel(samples, options(args, base(args.input[1])))
end

function DRAW.codes(args, plot)
  local path, err, code = one_file(args)
  if not path then return nil, err, code end
  local doc, frames
  doc, err, code = codes.read(path)
  if not doc then return nil, err, code end
  frames, err, code = codes.frames(doc, path)
  if not frames then return nil, err, code end
  return plot.codes(frames, options(args, base(path)))
end

-- What was spoken when: the attention to the text of the heads that follow it, and their way.
local function alignment(args, plot)
  local a
  local r, text, code = spoken(args, function(tts, opts)
    opts.split = 'off'
    local next_frame, u, kind = tts:frames(opts)
    if not next_frame then return nil, u, kind end
    for _ in next_frame do end -- luacheck: ignore 542
    local err
    a, err, kind = tts:align(u)
    return a and {utterance = u}, err, kind
  end)
  if not r then return nil, text, code end
  local title = a.estimated and 'Estimated: ' or 'Spoken: '
  return plot.alignment(a.paths[1], options(args, title .. quoted(text)))
end

function DRAW.attention(args, plot)
  if not args.layer then
    if args.head or args.linear then
      return nil, '--head and --linear belong to a layer: give --layer N, from 0', 'usage'
    end
    return alignment(args, plot)
  end
  local r, text, code = spoken(args, function(tts, opts)
    return plot.record.attention(tts, opts, args.layer, args.head or 'mean')
  end, function(tts)
    local cfg = tts.cfg.talker
    local layers, heads = cfg.num_hidden_layers, cfg.num_attention_heads
    if args.layer >= layers then
      return nil, ('--layer %d: this talker has layers 0 to %d'):format(args.layer, layers - 1)
    elseif args.head and args.head > heads then
      return nil, ('--head %d: this talker has heads 1 to %d'):format(args.head, heads)
    end
    return true
  end)
  if not r then return nil, text, code end
  local which = args.head and ('head %d'):format(args.head) or 'mean of the heads'
  return plot.attention(r.probs, options(args,
    ('Layer %d, %s: %s'):format(args.layer, which, quoted(text)),
    {boundary = r.boundary, log = not args.linear}))
end

function DRAW.eos(args, plot)
  local r, text, code = spoken(args, plot.record.eos)
  if not r then return nil, text, code end
  return plot.eos(r.probabilities, options(args, 'End token: ' .. quoted(text), {times = r.times}))
end

local function write(image, path)
  if path ~= '-' then return image:save(path) end
  local bytes, err, code = image:png()
  if not bytes then return nil, err, code end
  local ok
  ok, err = io.stdout:write(bytes)
  if ok then ok, err = io.stdout:flush() end
  if not ok then return nil, 'standard output: ' .. tostring(err), 'io' end
  return true
end

function M.run(args)
  for name, kind in pairs(ONLY) do
    if args[name] and args.kind ~= kind then
      return nil, ('--%s belongs to %s, not to %s'):format(name, kind, args.kind), 'usage'
    end
  end
  args.text = args.input
  local path = args.output or args.kind .. '.png'
  local ok, err, code
  if path ~= '-' then
    ok, err, code = picture.check_path(path)
    if not ok then return nil, err, code end
  elseif posix.isatty(1) then
    return nil, '-o -: standard output is a terminal; name a file, or pipe it', 'usage'
  end
  ok, err, code = paths.check_output(path)
  if not ok then return nil, err, code end
  local image
  image, err, code = DRAW[args.kind](args, require 'argent.plot')
  if not image then return nil, err, code end
  ok, err, code = write(image, path)
  if not ok then return nil, err, code end
  if image.missing > 0 then
    common.note(('the title has letters that no font here has (%d): fonts-nanum has Korean ones, '
      .. 'fonts-noto-cjk all of East Asia'):format(image.missing))
  end
  common.note(('%s: %d x %d'):format(paths.output_name(path), image.width, image.height))
  return 0
end

return M
