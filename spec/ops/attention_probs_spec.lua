-- attention_probs: the weights against Lua doubles and against what attention makes of them, and
-- refusals.

local ag = require 'argent'
local kernels = require 'support.kernels'
local ops = ag.ops

local function weights(q, kc, slot, head, p, window, scale, P)
  local places = kc[slot][1] -- of one block
  local capacity, first = #places, window > 0 and math.max(0, p - window + 1) or 0
  local out, most, sum = {}, -math.huge, 0
  for i = 1, P do out[i] = 0 end
  for i = first, p do
    local s = 0
    for c = 1, #q do s = s + q[c] * places[i % capacity + 1][head][c] end
    out[i + 1] = s * scale
    most = math.max(most, out[i + 1])
  end
  for i = first + 1, p + 1 do
    out[i] = math.exp(out[i] - most)
    sum = sum + out[i]
  end
  for i = first + 1, p + 1 do out[i] = out[i] / sum end
  return out
end

for _, k in ipairs(kernels.all()) do
  describe('attention_probs on ' .. k.isa, function()
    if k.missing then
      pending(k.missing)
      return
    end
    local be = k.be[2]

    it('is near the exact weights at odd sizes, with windows and rings', function()
      -- R, T, H, K, d, capacity, positions, window, P
      for i, s in ipairs {{1, 1, 1, 1, 1, 1, {0}, 0, 1}, {1, 3, 4, 2, 31, 40, {30}, 0, 33},
        {2, 5, 6, 2, 33, 64, {59, 0}, 0, 70}, {1, 9, 4, 4, 64, 20, {7}, 5, 16},
        {2, 4, 3, 1, 64, 75, {500, 71}, 72, 504}} do
        local R, T, H, K, d, capacity, pos, window, P = unpack(s)
        local rnd = kernels.random(i)
        local q = kernels.tensor(be, {R, T, H, d}, rnd)
        local kc = kernels.tensor(be, {R, 1, capacity, K, d}, rnd)
        local out = ag.zeros(be, {R, H, T, P})
        ops.fill(out, 7)
        ops.attention_probs(out, q, kc, ag.tensor(be, pos, 'i32'), d ^ -0.5, window)
        local ql, kl, got = q:totable(), kc:totable(), out:totable()
        for r = 1, R do
          for h = 1, H do
            for t = 1, T do
              local key_head, p = math.floor((h - 1) / (H / K)) + 1, pos[r] + t - 1
              local want = weights(ql[r][t][h], kl, r, key_head, p, window, d ^ -0.5, P)
              assert.near(want, got[r][h][t], 1e-6)
            end
          end
        end
      end
    end)

    it('gives a bf16 cache the bits of an f32 cache of the same numbers', function()
      local rnd = kernels.random(5)
      local q = kernels.tensor(be, {2, 3, 4, 33}, rnd)
      local half = kernels.tensor(be, {2, 1, 40, 2, 33}, rnd, 'bf16')
      local pos = ag.tensor(be, {30, 7}, 'i32')
      local a, b = ag.zeros(be, {2, 4, 3, 40}), ag.zeros(be, {2, 4, 3, 40})
      ops.attention_probs(a, q, half:to 'f32', pos, 0.3, 11)
      ops.attention_probs(b, q, half, pos, 0.3, 11)
      assert.same_bits(a, b)
    end)

    it('gives the weights that attention mixes the values with', function()
      local T, H, d, P = 3, 4, 16, 12
      local rnd = kernels.random(9)
      local q, kc = kernels.tensor(be, {1, T, H, d}, rnd), kernels.tensor(be, {1, 1, P, 2, d}, rnd)
      local vc, pos = ag.zeros(be, {1, 1, P, 2, d}), ag.tensor(be, {P - T}, 'i32')
      for i = 1, P do vc:select(3, i):narrow(4, i, 1):fill(1) end -- value i is unit vector i
      local mixed, out = ag.zeros(be, {1, T, H, d}), ag.zeros(be, {1, H, T, P})
      ops.attention(mixed, q, kc, vc, pos, 0.3, 0)
      ops.attention_probs(out, q, kc, pos, 0.3, 0)
      assert.near(mixed:transpose(2, 3):narrow(4, 1, P):totable(), out:totable(), 1e-7)
    end)
  end)
end

describe('attention_probs refuses', function()
  local be = ag.backend('cpu', {threads = 1})
  local q, kc = ag.zeros(be, {2, 3, 4, 8}), ag.zeros(be, {2, 1, 9, 2, 8})
  local pos = ag.zeros(be, {2}, 'i32')

  it('an output of another shape', function()
    kernels.refuses('attention_probs: out [2,3,4,9] and q [2,3,4,8]: 3 != 4', function()
      ops.attention_probs(ag.zeros(be, {2, 3, 4, 9}), q, kc, pos, 1, 0)
    end)
  end)

  it('queries that stand beyond the output', function()
    kernels.refuses('attention_probs: position 2 is beyond the 2 of out', function()
      ops.attention_probs(ag.zeros(be, {2, 4, 3, 2}), q, kc, pos, 1, 0)
    end)
  end)

  it('queries that stand beyond the cache', function()
    pos:set {0, 8}
    kernels.refuses('attention: position 9 is beyond a cache of 9 places', function()
      ops.attention_probs(ag.zeros(be, {2, 4, 3, 20}), q, kc, pos, 1, 0)
    end)
  end)
end)
