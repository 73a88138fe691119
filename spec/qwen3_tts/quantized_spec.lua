-- What 8 and 4 bits cost: the odds of every code of every group against those of f32 weights, on
-- the small random models of the goldens, each step from the codes that f32 has drawn.

local ag = require 'argent'
local cases = require 'support.cases'
local golden = require 'support.golden'

-- Mean Kullback-Leibler divergence of the odds, and how often the likeliest code stays so. Real
-- weights have far wider layers, in which errors of single weights matter less.
local BOUNDS = {q8 = {kl = 1e-3, top = 0.9}, q4 = {kl = 0.15, top = 0.5}}

local be = assert(ag.backend('cpu', {threads = 2}))

local function log_odds(logits)
  local most, sum, out = -math.huge, 0, {}
  for _, v in ipairs(logits) do most = math.max(most, v) end
  for _, v in ipairs(logits) do sum = sum + math.exp(v - most) end
  for i, v in ipairs(logits) do out[i] = v - most - math.log(sum) end
  return out
end

-- The log odds of every draw of a case. Codes are those of `forced`, or drawn and put into it.
local function odds(model, dtype, case, forced)
  local tts = assert(ag.qwen3_tts.open(model.model, {backend = be, dtype = dtype, cache = 'f32'}))
  local options, seen, drawn = cases.options(case, cases.reference(model, be)), {}, #forced > 0
  local function see(x) seen[#seen + 1] = log_odds(x:view(-1):totable()) end
  tts.talker:watch('logits', see)
  tts.predictor:watch('logits', see)
  local at = 0
  options.max_frames = 16
  options.hooks = {code = function(_, id)
    at = at + 1
    if drawn then return forced[at] end
    forced[at] = id
  end}
  assert(tts:say(options))
  return seen
end

local function best(odds_of)
  local b = 1
  for i, v in ipairs(odds_of) do if v > odds_of[b] then b = i end end
  return b
end

for dtype, bound in pairs(BOUNDS) do
  it(('%s weights have nearly the odds of f32'):format(dtype), function()
    local kl, top, n = 0, 0, 0
    for _, model in ipairs(golden.models()) do
      local codes, case = {}, model.cases[1]
      local want = odds(model, 'f32', case, codes)
      for i, got in ipairs(odds(model, dtype, case, codes)) do
        for j, v in ipairs(want[i] or {}) do
          if v > -50 then kl = kl + math.exp(v) * (v - got[j]) end
        end
        if want[i] then
          n = n + 1
          top = top + (best(want[i]) == best(got) and 1 or 0)
        end
      end
    end
    assert.is_true(n > 50)
    assert.is_true(kl / n <= bound.kl, ('mean KL %.3g of %d draws'):format(kl / n, n))
    assert.is_true(top / n >= bound.top, ('the same likeliest code in %.3f'):format(top / n))
  end)
end
