-- argent decode: codes (JSON, as `say --codes` writes them) to a sound file.

local ag = require 'argent'
local codes = require 'argent.cli.codes'
local common = require 'argent.cli.common'
local json = require 'argent.json'
local paths = require 'argent.cli.paths'
local sound = require 'argent.cli.sound'

local M = {summary = 'make sound from codes'}

function M.parser(p)
  p:argument('codes', 'JSON file {"codes": [[...], ...]}, or - for standard input.')
  common.model_options(p)
  sound.options(p)
  p:flag('--json', 'Print a JSON object: file, frames, seconds.')
  p:epilog [[
Examples:
  argent say 'Hello.' --voice ryan --codes hello.json -o hello.wav
  argent decode hello.json -o again.wav --bits 24]]
end

function M.run(args)
  local ok, err, code = sound.check(args)
  if not ok then return nil, err, code end
  ok, err, code = paths.check_apart({{'--output', args.output}}, {{'the codes', args.codes}})
  if not ok then return nil, err, code end
  local doc
  doc, err, code = codes.read(args.codes)
  if not doc then return nil, err, code end
  local codec
  codec, err, code = common.open_codec(args)
  if not codec then return nil, err, code end
  local frames
  frames, err, code = codes.frames(doc, args.codes, codec.groups)
  if not frames then return nil, err, code end
  local samples
  samples, err, code = codec:decode(ag.tensor(codec.backend, frames, 'i32'))
  if not samples then return nil, codes.name(args.codes) .. ': ' .. err, code end
  local writer
  writer, err, code = sound.create(args, codec.rate)
  if not writer then return nil, err, code end
  ok, err, code = writer:write(samples:host())
  if ok then ok, err, code = writer:finish() end
  if not ok then
    writer:abort()
    return nil, err, code
  end
  local seconds = samples:count() / codec.rate
  common.note(('%s: %d frames, %.2f s'):format(sound.name(args.output), #frames, seconds))
  if not args.json then return 0 end
  return common.print(json.encode {file = args.output, frames = #frames, seconds = seconds})
end

return M
