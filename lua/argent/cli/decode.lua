-- argent decode: codes (JSON, as `say --codes` writes them) to a sound file.

local ag = require 'argent'
local common = require 'argent.cli.common'
local file = require 'argent.audio.file'
local json = require 'argent.json'
local pcm = require 'argent.audio.pcm'

local M = {summary = 'make sound from codes'}

function M.parser(p)
  p:argument('codes', 'JSON file {"codes": [[...], ...]}, or - for standard input.')
  common.model_options(p)
  p:option('-o --output', 'Sound file (wav, flac, ogg, opus, mp3 by extension), or - for raw s16le on standard output.',
    'speech.wav'):argname '<file>'
  p:option('--bits', 'Sample format of wav and flac: 16, 24 or float.', '16'):choices {'16', '24', 'float'}
  p:epilog [[
Examples:
  argent say 'Hello.' --voice ryan --codes hello.json -o hello.wav
  argent decode hello.json -o again.wav --bits 24]]
end

-- The frames of a parsed document, checked before FFI could bend them.
local function frames_of(doc, groups, name)
  local frames = type(doc) == 'table' and doc.codes
  if type(frames) ~= 'table' then return nil, name .. ': expected {"codes": [[...], ...]}' end
  for f, frame in ipairs(frames) do
    if type(frame) ~= 'table' or #frame ~= groups then
      return nil, ('%s: frame %d does not have %d codes'):format(name, f - 1, groups)
    end
    for g, code in ipairs(frame) do
      if type(code) ~= 'number' or code % 1 ~= 0 or code < 0 or code >= 2 ^ 31 then
        return nil, ('%s: frame %d, group %d is not a code'):format(name, f - 1, g - 1)
      end
    end
  end
  if #frames == 0 then return nil, name .. ': no frames' end
  return frames
end

function M.run(args)
  local doc, err, code
  if args.output ~= '-' then
    local format
    format, err = file.format(args.output)
    if not format then return nil, err, 'usage' end
  end
  local name = args.codes == '-' and 'standard input' or args.codes
  doc, err, code = common.read_input(args.codes, 2 ^ 26)
  if not doc then return nil, err, code end
  doc, err = json.decode(doc, name)
  if not doc then return nil, err, 'value' end
  local tts
  tts, err, code = common.open_model(args)
  if not tts then return nil, err, code end
  local frames
  frames, err = frames_of(doc, tts.codec.groups, name)
  if not frames then return nil, err, 'value' end
  local samples
  samples, err, code = tts.codec:decode(ag.tensor(tts.backend, frames, 'i32'))
  if not samples then return nil, code == 'interrupted' and error('interrupted', 0) or name .. ': ' .. err, code end
  local writer
  if args.output == '-' then writer = pcm.sink(1)
  else writer, err, code = file.create(args.output, {rate = tts.codec.rate, bits = args.bits}) end
  if not writer then return nil, err, code end
  local ok
  ok, err, code = writer:write(samples:host())
  if ok then ok, err, code = writer:finish() end
  if not ok then
    writer:abort()
    return nil, err, code
  end
  common.note(('%s: %d frames, %.2f s'):format(args.output == '-' and 'standard output' or args.output, #frames,
    samples:count() / tts.codec.rate))
  return 0
end

return M
