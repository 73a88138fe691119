-- What narrower numbers cost in quality: how far a model in another dtype is from the same model in
-- f32, frame by frame, on codes that both are given, and how long both say the same when nobody
-- holds them together.

local M = {}

-- ---- distances ----

local function cosine(x, y, n)
  local xy, xx, yy = 0, 0, 0
  for i = 0, n - 1 do
    xy, xx, yy = xy + x[i] * y[i], xx + x[i] * x[i], yy + y[i] * y[i]
  end
  return xy / math.sqrt(xx * yy)
end

-- The largest, and the logarithm of the sum of all e^x.
local function top_of(x, n)
  local best, sum = 0, 0
  for i = 1, n - 1 do
    if x[i] > x[best] then best = i end
  end
  for i = 0, n - 1 do sum = sum + math.exp(x[i] - x[best]) end
  return best, x[best] + math.log(sum)
end

--- The Kullback-Leibler divergence of what logits y make likely from what logits x do, in nats, and
--- whether both have the same id on top.
---@param x ag.Tensor f32 [n]
---@param y ag.Tensor f32 [n]
---@return number kl
---@return boolean same
function M.divergence(x, y)
  local a, n = x:host()
  local b = y:host()
  local best, total = top_of(a, n)
  local other, other_total = top_of(b, n)
  local kl = 0
  for i = 0, n - 1 do
    local log_p = a[i] - total
    local p = math.exp(log_p)
    if p > 0 then kl = kl + p * (log_p - (b[i] - other_total)) end
  end
  return kl, best == other
end

-- ---- records ----

---@class argent.quality.Frame
---@field hidden ag.Tensor [D]
---@field logits ag.Tensor[] of group 0, at index 0, and of the others
---@field codes integer[] of all groups, from index 0 on

--- Speaks, and keeps every frame.
---@param tts ag.Synthesizer
---@param opts ag.Speech with max_frames
---@param given? argent.quality.Frame[] frames whose codes are taken instead of those drawn
---@return argent.quality.Frame[]
function M.record(tts, opts, given)
  local frames, o = {}, {}
  for k, v in pairs(opts) do o[k] = v end
  if given then o.max_frames = #given end
  o.hooks = {
    hidden = function(u, x) frames[u.index] = {hidden = x:clone(), logits = {}, codes = {}} end,
    logits = function(u, x) frames[u.index].logits[0] = x:clone() end,
    predictor_logits = function(u, x, group) frames[u.index].logits[group] = x:clone() end,
    code = function(u, id, group)
      id = given and given[u.index].codes[group] or id
      frames[u.index].codes[group] = id
      return id
    end,
  }
  for _ in assert(tts:frames(o)) do end
  return frames
end

-- How many frames at the beginning have equal codes.
local function equal_frames(a, b)
  for i, frame in ipairs(a) do
    for group, code in pairs(frame.codes) do
      if not b[i] or b[i].codes[group] ~= code then return i - 1 end
    end
  end
  return #a
end

-- Signal to noise in dB of what two codecs make of the same codes; math.huge: the same samples.
local function sound(reference, tts, frames)
  local rows = {}
  for i, frame in ipairs(frames) do
    rows[i] = {}
    for group = 0, tts.codec.groups - 1 do
      rows[i][group + 1] = math.min(frame.codes[group], tts.cfg.codec.codebook_size - 1)
    end
  end
  local a, n = assert(reference.codec:decode(rows)):host()
  local b = assert(tts.codec:decode(rows)):host()
  local signal, noise = 0, 0
  for i = 0, n - 1 do
    signal, noise = signal + a[i] ^ 2, noise + (a[i] - b[i]) ^ 2
  end
  return noise == 0 and math.huge or 10 * math.log(signal / noise) / math.log(10)
end

---@class argent.quality.Figures
---@field frames integer compared
---@field cosine number of the talker's hidden states, mean
---@field least_cosine number
---@field kl number[] of each group from 1 on (group 0 first), mean over frames, in nats
---@field mean_kl number over all groups
---@field top1 number[] share of frames in which a group has the same id on top
---@field mean_top1 number
---@field equal_frames integer before the first code differs, when each follows its own
---@field sound number dB of signal to noise of the codec alone; math.huge: the same samples

--- Compares a model with the reference.
---@param reference ag.Synthesizer the same model in f32
---@param tts ag.Synthesizer
---@param opts ag.Speech with max_frames
---@return argent.quality.Figures
function M.compare(reference, tts, opts)
  local want = M.record(reference, opts)
  local have, own = M.record(tts, opts, want), M.record(tts, opts)
  local n, groups = #want, reference.codec.groups
  local r = {
    frames = n, cosine = 0, least_cosine = 1, kl = {}, top1 = {}, mean_kl = 0, mean_top1 = 0,
    equal_frames = equal_frames(want, own), sound = sound(reference, tts, want),
  }
  for g = 1, groups do r.kl[g], r.top1[g] = 0, 0 end
  for i, frame in ipairs(want) do
    local x, width = frame.hidden:host()
    local c = cosine(x, (have[i].hidden:host()), width)
    r.cosine, r.least_cosine = r.cosine + c / n, math.min(r.least_cosine, c)
    for g = 1, groups do
      local kl, same = M.divergence(frame.logits[g - 1], have[i].logits[g - 1])
      r.kl[g] = r.kl[g] + kl / n
      r.top1[g] = r.top1[g] + (same and 1 / n or 0)
      r.mean_kl, r.mean_top1 = r.mean_kl + kl / n / groups, r.mean_top1
        + (same and 1 / n / groups or 0)
    end
  end
  return r
end

return M
