-- What narrower numbers cost in quality: compares models in every dtype of weights, and with keys
-- and values in bf16, with the same models in f32. `scripts/quality [--frames N] [MODEL...]`; a
-- MODEL is a directory, a name on the hub, or random:0.6b. Without any: the small models of
-- spec/fixtures and the demo voice.

local ag = require 'argent'
local dtypes = require 'argent.dtype'
local quality = require 'argent.qwen3_tts.quality'
local random = require 'argent.qwen3_tts.random'

local root = arg[0]:match '^(.*)/scripts/[^/]*$' or '.'
local TEXT = 'The bank is solid and will survive this attack.'

local function options()
  local frames, models, i = 40, {}, 1
  while arg[i] do
    if arg[i] == '--frames' then
      frames = tonumber(arg[i + 1])
      i = i + 1
    else
      models[#models + 1] = arg[i]
    end
    i = i + 1
  end
  if not frames or frames < 1 or frames % 1 ~= 0 then
    io.stderr:write('usage: scripts/quality [--frames N] [MODEL...]\n')
    os.exit(2, true)
  end
  if #models == 0 then
    for _, name in ipairs {'base', 'custom', 'design'} do
      models[#models + 1] = ('%s/spec/fixtures/golden/%s/model'):format(root, name)
    end
    models[#models + 1] = root .. '/models/demo'
  end
  return frames, models
end

local be = assert(ag.backend 'cpu')

local function open(name, dtype, cache)
  local opts = {backend = be, dtype = dtype, cache = cache}
  local size = name:match '^random:(.*)$'
  if size then return random.open(size, opts) end
  local tts, err = ag.qwen3_tts.open(name, opts)
  if tts then return tts end
  io.stderr:write(name, ': ', err, '\n')
  os.exit(3, true)
end

local frames, models = options()
print(('%-28s %-10s %6s %9s %9s %9s %6s %6s %7s'):format('model', 'dtype', 'frames', 'cosine',
  'mean KL', 'most KL', 'top 1', 'equal', 'dB'))
for _, name in ipairs(models) do
  local reference = open(name, 'f32')
  local speech = require('argent.qwen3_tts.bench').default_speech(reference)
  speech.text, speech.seed, speech.max_frames = TEXT, 1, frames
  local function compare(label, dtype, cache)
    local r = quality.compare(reference, open(name, dtype, cache), speech)
    print(('%-28s %-10s %6d %9.6f %9.2e %9.2e %5.1f%% %6d %7.1f'):format(
      name:gsub('/model$', ''):match '[^/]*$', label, r.frames, r.cosine, r.mean_kl,
      math.max(unpack(r.kl)), r.mean_top1 * 100, r.equal_frames, r.sound))
    collectgarbage()
  end
  compare('bf16 cache', 'f32', 'bf16')
  for _, dtype in ipairs(dtypes.weights) do
    if dtype ~= 'f32' then compare(dtype, dtype, nil) end
  end
end
