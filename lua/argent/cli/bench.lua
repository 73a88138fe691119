-- argent bench: what a frame costs here, and what it must cost.

local bench = require 'argent.bench'
local common = require 'argent.cli.common'
local json = require 'argent.json'
local models = require 'argent.models'

local M = {summary = 'measure what a frame of speech costs'}

-- "1,2,8" -> {1, 2, 8}
local function counts(s)
  local list = {}
  for item in (s .. ','):gmatch '([^,]*),' do
    local n = tonumber(item)
    if not n or n % 1 ~= 0 or n < 1 or n > 256 then
      return nil, ("--rows: expected integers from 1 to 256 like 1,2,8, got '%s'"):format(s)
    end
    list[#list + 1] = n
  end
  return list
end

function M.parser(p)
  common.model_options(p)
  p:option('--random', 'Measure a model of random weights of this size, made in memory, instead of '
    .. 'one from a directory.'):argname '<size>':choices((models.random_sizes()))
  p:option('--rows', 'Also measure so many rows at once: talker and code predictor.')
    :argname '<n,n,...>':convert(counts)
  common.integer_option(p, '--rounds', 3, 10000, 'Frames to measure of each kind (default: 25).')
  p:flag('--json', 'Print one JSON object: times in milliseconds (op_cost: microseconds), '
    .. 'bandwidth in bytes a second.')
  p:epilog [[
Limits are what the bytes of the weights take at the bandwidth that is measured, and what the
multiply-adds of the codec take at the peak of f32 that is measured.

Examples:
  argent bench --random 0.6b --dtype bf16 --threads 2 --rows 1,8 --json
  argent bench -m Qwen3-TTS-12Hz-0.6B-CustomVoice --threads 2
  argent bench -m Qwen3-TTS-12Hz-0.6B-CustomVoice --dtype f32 --json]]
end

local function open(args)
  if not args.random then
    local model, err, code = common.open_model(args)
    return model, err, code
  end
  if args.model then return nil, '--random and -m: one of the two', 'usage' end
  local be, err, code = common.open_backend(args)
  if not be then return nil, err, code end
  local _, kinds = models.random_sizes()
  return kinds[args.random].random(args.random,
    {backend = be, dtype = args.dtype, cache = args.cache_dtype, codec = args.codec})
end

function M.run(args)
  local model, err, code = open(args)
  if not model then return nil, err, code end
  local be = model.backend
  local r = bench.run(model, nil, args.rounds, args.rows)
  r.device, r.isa = be.kind, be.isa
  if args.json then return common.print(json.encode(r)) end
  local where = be.kind == 'cpu' and ('cpu, %d threads'):format(be.threads) or be.kind
  local head = ('%s: %s, %s, %s'):format(model.dir, r.dtype, where, be.isa)
  local lines = models.get(model.model_type).bench().lines(model, r)
  return common.print(head .. '\n' .. table.concat(lines, '\n'))
end

return M
