-- argent bench: what a frame costs here, and what it must cost.

local bench = require 'argent.bench'
local common = require 'argent.cli.common'
local json = require 'argent.json'
local models = require 'argent.models'

local M = {summary = 'measure what a frame of speech costs'}

function M.parser(p)
  common.model_options(p)
  common.integer_option(p, '--rounds', 3, 10000, 'Frames to measure of each kind (default: 25).')
  p:flag('--json', 'Print one JSON object: times in milliseconds (op_cost: microseconds), '
    .. 'bandwidth in bytes a second.')
  p:epilog [[
Examples:
  argent bench -m Qwen3-TTS-12Hz-0.6B-CustomVoice --threads 2
  argent bench -m Qwen3-TTS-12Hz-0.6B-CustomVoice --dtype f32 --json]]
end

function M.run(args)
  local model, err, code = common.open_model(args)
  if not model then return nil, err, code end
  local be = model.backend
  local r = bench.run(model, nil, args.rounds)
  r.device, r.isa = be.kind, be.isa
  if args.json then return common.print(json.encode(r)) end
  local where = be.kind == 'cpu' and ('cpu, %d threads'):format(be.threads) or be.kind
  local head = ('%s: %s, %s, %s'):format(model.dir, r.dtype, where, be.isa)
  local lines = models.get(model.model_type).bench().lines(model, r)
  return common.print(head .. '\n' .. table.concat(lines, '\n'))
end

return M
