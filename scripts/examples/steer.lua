-- A decode loop of one's own. It steers: where the talker is unsure (its distribution is wide) the
-- temperature falls, and the end token waits for a least number of frames. It listens: frames are
-- decoded as they come, and silence after speech ends it. It does not give up: speech that would
-- never end is tried again with another seed.
--
--   argent run scripts/examples/steer.lua 'Good morning.' morning.wav --voice ryan --seed 7

local ag = require 'argent'
local argparse = require 'argparse'

local p = argparse('steer.lua', 'Speaks with a decode loop of its own.')
p:argument('text', 'What is said.')
p:argument('output', 'Sound file.')
p:option('-m --model', 'Model directory (default: $ARGENT_MODEL).')
p:option('--voice', 'A named voice.')
p:option('--seed', 'Of the first try; others have the next ones.', '1'):convert(tonumber)
p:option('--tries', 'Seeds to try.', '3'):convert(tonumber)
p:option('--unsure', 'Entropy of the next code, in nats, beyond which it gets cooler.', '4')
  :convert(tonumber)
p:option('--least', 'Frames before which it does not end.', '5'):convert(tonumber)
p:option('--most', 'Frames after which it is a runaway (default: by the text).'):convert(tonumber)
p:option('--silence', 'What is silent, dB below full scale.', '50'):convert(tonumber)
p:option('--quiet-frames', 'Silent frames that end it.', '10'):convert(tonumber)
local ok, args = p:pparse(arg)
if not ok then return nil, args, 'usage' end

local tts, why, kind = ag.qwen3_tts.open(args.model)
if not tts then return nil, why, kind end
local eos, base = tts.cfg.talker.codec.eos, tts.cfg.generation.temperature

-- Of softmax(x): sum p (log z - x) with p = exp(x) / z.
local function entropy(x)
  local v, n = x:host()
  local top, z, sum = -math.huge, 0, 0
  for i = 0, n - 1 do top = math.max(top, v[i]) end
  for i = 0, n - 1 do
    local e = math.exp(v[i] - top)
    z, sum = z + e, sum + e * (v[i] - top)
  end
  return math.log(z) - sum / z
end

local function steer(u, x)
  local unsure = entropy(x) > args.unsure
  u:set {temperature = unsure and 0.6 * base or base} -- for this draw and those to come
  if u.index <= args.least then x:narrow(1, eos + 1, 1):fill(-1e9) end
end

local function decibels(samples)
  local v, n = samples:host()
  local energy = 0
  for i = 0, n - 1 do energy = energy + v[i] ^ 2 end
  return 10 * math.log10(energy / n + 1e-12)
end

-- One try: the codes, and why it ended; nil and the fault where it could not begin.
local function speak(seed)
  local frames, u, code = tts:frames {text = args.text, voice = args.voice or tts:voices()[1],
    seed = seed, hooks = {logits = steer}, max_frames = args.most}
  if not frames then return nil, u, code end
  local ear, heard, quiet = tts.codec:stream(1), false, 0
  for frame in frames do
    local level = decibels(assert(ear:push(ag.tensor(tts.backend, {frame.codes}, 'i32'))))
    heard = heard or level > -args.silence
    quiet = heard and level <= -args.silence and quiet + 1 or 0
    if quiet == args.quiet_frames then u:stop() end
  end
  local ended = u.ended == 'limit' and 'runaway' or u.ended
  local codes = u:codes(1, u.frames - quiet) -- without the silence
  u:finish() -- what was stopped could go on; we do not want to
  return codes, ended
end

for try = 1, args.tries do
  local seed = args.seed + try - 1
  local codes, ended, code = speak(seed)
  if not codes then return nil, ended, code end
  io.stderr:write(('seed %d: %s after %d frames\n'):format(seed, ended, #codes))
  if ended ~= 'runaway' then
    local samples, err, fault = tts.codec:decode(codes)
    if not samples then return nil, err, fault end
    return ag.audio.write(args.output, samples, {rate = tts.codec.rate})
  end
end
return nil, ('no seed of %d ended by itself'):format(args.tries), 'runaway'
