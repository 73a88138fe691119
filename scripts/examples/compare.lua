-- Two models, or two dtypes of one, frame by frame: where the second first draws another code than
-- the first, and for each code group how far its distribution is from the first's. The second is
-- teacher-forced: it gets the first's codes as its past, so that every frame compares like with
-- like; both draw with the same random numbers.
--
--   argent run scripts/examples/compare.lua MODEL@f32 MODEL@bf16 'Good morning.' --voice ryan

local ag = require 'argent'
local argparse = require 'argparse'
local ffi = require 'ffi'

local p = argparse('compare.lua', 'Compares two models frame by frame.')
p:argument('first', 'Model directory, with @DTYPE (f32, bf16) if wanted.')
p:argument('second', 'Likewise.')
p:argument('text', 'What is said.')
p:option('--voice', 'A named voice.')
p:option('--seed', 'Of both.', '1'):convert(tonumber)
p:option('--frames', 'At most so many.', '50'):convert(tonumber)
local ok, args = p:pparse(arg)
if not ok then return nil, args, 'usage' end

local function open(name)
  local dir, dtype = name:match '^(.-)@(%w+)$'
  return ag.qwen3_tts.open(dir or name, {dtype = dtype})
end

-- Speaks `most` frames at most. Calls fn(frame, group, logits) for every distribution and
-- drawn(frame, group, id) for every draw, whose result replaces it.
local function watch(tts, most, fn, drawn)
  local frames, u, code = tts:frames {
    text = args.text, voice = args.voice or tts:voices()[1], seed = args.seed,
    max_frames = most,
    hooks = {
      logits = function(v, x) fn(v.index, 0, x) end,
      predictor_logits = function(v, x, group) fn(v.index, group, x) end,
      code = function(v, id, group) return drawn(v.index, group, id) end,
    },
  }
  if not frames then return nil, u, code end
  for _ in frames do end
  return u
end

local first, why, kind = open(args.first)
if not first then return nil, why, kind end
local second
second, why, kind = open(args.second)
if not second then return nil, why, kind end
local groups = first.cfg.talker.num_code_groups
if second.cfg.talker.num_code_groups ~= groups
  or second.cfg.talker.vocab_size ~= first.cfg.talker.vocab_size
  or second.cfg.predictor.vocab_size ~= first.cfg.predictor.vocab_size then
  return nil, 'the models have different codes, there is nothing to compare', 'value'
end

local logits, codes = {}, {} -- [frame][group]
local u
u, why, kind = watch(first, args.frames, function(frame, group, x)
  local v, n = x:host()
  logits[frame] = logits[frame] or {}
  logits[frame][group] = ffi.new('float[?]', n)
  ffi.copy(logits[frame][group], v, 4 * n)
end, function(frame, group, id)
  codes[frame] = codes[frame] or {}
  codes[frame][group] = id
end)
if not u then return nil, why, kind end
if u.frames == 0 then return nil, 'the first says nothing', 'value' end

-- KL(p || q) = sum p (log p - log q), from logits; in nats.
local function log_sum(x, n)
  local top, z = -math.huge, 0
  for i = 0, n - 1 do top = math.max(top, x[i]) end
  for i = 0, n - 1 do z = z + math.exp(x[i] - top) end
  return top + math.log(z)
end
local function divergence(a, b, n)
  local za, zb, kl = log_sum(a, n), log_sum(b, n), 0
  for i = 0, n - 1 do
    local p_log = a[i] - za
    kl = kl + math.exp(p_log) * (p_log - (b[i] - zb))
  end
  return math.max(0, kl)
end

local sums, tops, same, parted = {}, {}, {}, nil
for g = 0, groups - 1 do sums[g], tops[g], same[g] = 0, 0, 0 end
local v
v, why, kind = watch(second, u.frames, function(frame, group, x)
  local b, n = x:host()
  local kl = divergence(logits[frame][group], b, n)
  sums[group], tops[group] = sums[group] + kl, math.max(tops[group], kl)
end, function(frame, group, id)
  local wanted = codes[frame][group]
  if id == wanted then
    same[group] = same[group] + 1
  else
    parted = parted or ('frame %d, group %d: %d, not %d'):format(frame, group, id, wanted)
  end
  return wanted
end)
if not v then return nil, why, kind end

print(('frames\t%d (%s)'):format(u.frames, u.ended))
print('first divergence\t' .. (parted or 'none'))
print 'group\tsame draws\tmean KL\tlargest KL'
for g = 0, groups - 1 do
  print(('%d\t%d of %d\t%.3g\t%.3g'):format(g, same[g], u.frames, sums[g] / u.frames,
    tops[g]))
end
return 0
