-- argent bench: what a frame costs here, and what it must cost.

local bench = require 'argent.bench'
local common = require 'argent.cli.common'
local json = require 'argent.json'

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

-- Whatever this kind of model needs to speak.
local function speech(tts)
  if tts.cfg.kind == 'custom_voice' then return {voice = tts:voices()[1]} end
  if tts.cfg.kind == 'voice_design' then return {instruct = ''} end
  local vector = {}
  for i = 1, tts.cfg.talker.hidden_size do vector[i] = 0 end
  return {reference = {speaker = vector}}
end

function M.run(args)
  local tts, err, code = common.open_model(args)
  if not tts then return nil, err, code end
  local be = tts.backend
  local r = bench.run(tts, speech(tts), args.rounds)
  r.device, r.isa, r.dtype, r.size = be.kind, be.isa, tts.dtype, tts.cfg.size
  if args.json then return common.print(json.encode(r)) end
  local where = be.kind == 'cpu' and ('cpu, %d threads'):format(be.threads) or be.kind
  local lines = {
    ('%s: %s, %s, %s'):format(tts.dir, tts.dtype, where, be.isa),
    ('bandwidth        %8.1f GB/s, measured'):format(r.bandwidth / 1e9),
    ('bytes a frame    %8.2f GB of weights: at that bandwidth %.3g ms'):format(
      r.frame_bytes / 1e9, r.limit),
    ('frame            %8.2f ms without codec, %.2f x that'):format(r.frame, r.ratio),
    ('  talker step    %8.2f ms alone'):format(r.talker),
    ('  predictor      %8.2f ms alone, %d steps'):format(r.predictor,
      tts.cfg.talker.num_code_groups - 1),
    ('with a hook      %8.2f ms, %+.1f %%'):format(r.hooked, r.hook_cost * 100),
    ('a tiny op        %8.2f us in a plan'):format(r.op_cost),
    ('codec            %8.2f ms for one frame, %.2f ms for eight'):format(r.codec_1, r.codec_8),
    ('prefill          %8.2f ms for %d rows'):format(r.prefill, r.prompt_rows),
    ('first audio      %8.2f ms'):format(r.first_audio),
    ('real time factor %8.3f (%.2f x real time), of frame and codec'):format(r.rtf, 1 / r.rtf),
    ('end to end       %8.2f x real time, measured over %d frames'):format(r.speed,
      r.speed_frames),
  }
  return common.print(table.concat(lines, '\n'))
end

return M
