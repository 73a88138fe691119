-- argent encode: a recording to codes (JSON, as `say --codes` writes and `decode` reads them).

local common = require 'argent.cli.common'
local json = require 'argent.json'
local paths = require 'argent.cli.paths'
local read = require 'argent.audio.read'

local M = {summary = 'make codes from a recording'}

function M.parser(p)
  p:argument('recording', 'Sound file: wav, flac, ogg, opus or mp3.')
  p:option('-o --output', 'JSON file, or - for standard output.', '-'):argname '<file>'
  common.model_options(p)
  p:epilog [[
Examples:
  argent encode speech.wav -m Qwen3-TTS-12Hz-0.6B-Base -o speech.json
  argent encode speech.wav | argent decode - -o again.wav]]
end

function M.run(args)
  local ok, err, code = paths.check_output(args.output)
  if not ok then return nil, err, code end
  ok, err, code = paths.check_apart({{'--output', args.output}},
    {{'the recording', args.recording}})
  if not ok then return nil, err, code end
  local codec, samples, codes
  codec, err, code = common.open_codec(args)
  if not codec then return nil, err, code end
  samples, err, code = read.read(args.recording, {backend = codec.backend, rate = codec.rate})
  if not samples then return nil, err, code end
  codes, err, code = codec:encode(samples)
  if not codes then return nil, ('%s: %s'):format(args.recording:gsub('%c', '?'), err), code end
  local text = json.encode {codes = codes:totable()}
  if args.output == '-' then return common.print(text) end
  ok, err, code = common.write_file(args.output, text .. '\n')
  if not ok then return nil, err, code end
  common.note(('%s: %d frames'):format(paths.shown(args.output), #codes))
  return 0
end

return M
