-- A voice between two others (Base models): a weighted sum of their speaker vectors. Voices are
-- recordings, or files that `argent clone` wrote; the blend can be kept as such a file.
--
--   argent run scripts/examples/blend.lua anna.wav ben.voice 'Good morning.' morning.wav \
--     --weight 0.7 --save-voice blend.voice

local ag = require 'argent'
local argparse = require 'argparse'

local p = argparse('blend.lua', 'Speaks with a voice between two others.')
p:argument('first', 'Recording, or file of a voice.')
p:argument('second', 'Likewise.')
p:argument('text', 'What is said.')
p:argument('output', 'Sound file.')
p:option('-m --model', 'Model directory (default: $ARGENT_MODEL).')
p:option('--weight', 'Of the first voice, 0 to 1; the second has the rest.', '0.7')
  :convert(tonumber)
p:option('--save-voice', 'Keep the blend, to be used as --voice.')
p:option('--seed', 'For the draws.', '1'):convert(tonumber)
p:option('--max-frames', 'At most so many frames.'):convert(tonumber)
local ok, args = p:pparse(arg)
if not ok then return nil, args, 'usage' end
if args.weight < 0 or args.weight > 1 then return nil, '--weight: 0 to 1', 'usage' end

local tts, why, kind = ag.qwen3_tts.open(args.model)
if not tts then return nil, why, kind end

local function voice(path)
  if path:find '%.voice$' then return tts:voice(path) end
  return tts:clone {audio = path}
end

local function length(x)
  local sum = 0
  for _, v in ipairs(x:totable()) do sum = sum + v * v end
  return math.sqrt(sum)
end

local a, b
a, why, kind = voice(args.first)
if not a then return nil, why, kind end
b, why, kind = voice(args.second)
if not b then return nil, why, kind end

-- The plain sum is shorter than what it is made of where the two differ: it gets the length between
-- theirs.
local mix = a.speaker * args.weight + b.speaker * (1 - args.weight)
local want = args.weight * length(a.speaker) + (1 - args.weight) * length(b.speaker)
local blend
blend, why, kind = tts:voice {speaker = mix * (want / length(mix))}
if not blend then return nil, why, kind end
if args.save_voice then
  ok, why, kind = blend:save(args.save_voice)
  if not ok then return nil, why, kind end
end

local sound
sound, why, kind = tts:say {text = args.text, reference = blend, seed = args.seed,
  max_frames = args.max_frames}
if not sound then return nil, why, kind end
return sound:save(args.output)
