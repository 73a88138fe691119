-- argent quantize: a model's directory once more, with weights of 8 or 4 bits.

local common = require 'argent.cli.common'
local json = require 'argent.json'
local paths = require 'argent.cli.paths'
local posix = require 'argent.posix'

local M = {summary = 'write a model with weights of 8 or 4 bits'}

function M.parser(p)
  p:argument('directory', 'The model, as for -m.'):args '?'
  common.model_option(p)
  p:option('-o --output', 'The new directory, which must not be there yet.'):argname '<dir>'
    :count(1)
  p:option('--dtype', 'q8 (default) or q4.', 'q8'):choices {'q8', 'q4'}
  common.integer_option(p, '--threads', 1, 256, 'CPU threads (default: one per core).')
  p:flag('--json', 'Print a JSON object: directory, dtype, matrices, bytes.')
  p:epilog [[
Every verb takes the new directory as a model. It is read in a fraction of a second, where --dtype
q8 makes the same weights of the original at every start.
Examples:
  argent quantize Qwen3-TTS-12Hz-0.6B-CustomVoice -o voice-q8
  argent quantize Qwen3-TTS-12Hz-0.6B-CustomVoice -o voice-q4 --dtype q4
  argent say 'Good morning.' -m voice-q8]]
end

function M.run(args)
  if args.directory and args.model then
    return nil, 'the model is given twice: by itself and by --model', 'usage'
  end
  if posix.kind(args.output) then
    return nil, ('%s is here already; give another name with -o, or remove it'):format(
      paths.shown(args.output)), 'usage'
  end
  local be, dir, done, err, code
  dir, err, code = common.find_model(args.directory or args.model)
  if not dir then return nil, err, code end
  be, err, code = common.open_backend(args)
  if not be then return nil, err, code end
  done, err, code = require('argent.quantize').directory(dir, args.output, args.dtype,
    {backend = be})
  if not done then return nil, err, code == 'format' and 'model' or code end
  common.note(('%s: %d matrices in %s, %.0f MB of weights'):format(paths.shown(args.output),
    done.matrices, args.dtype, done.bytes / 1e6))
  if not args.json then return 0 end
  return common.print(json.encode {directory = args.output, dtype = args.dtype,
    matrices = done.matrices, bytes = done.bytes})
end

return M
