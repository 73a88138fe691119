-- attention: values against Lua doubles, the windows and rings, equal bits for equal questions, and
-- refusals.

local ag = require 'argent'
local kernels = require 'support.kernels'
local tensor = require 'argent.tensor'
local ops = ag.ops

-- Weighted means of values in [-1, 1]; scores of up to 128 products.
local BOUND = 3e-6

-- What a cache [slot][block][place][head][d] holds of position p.
local function cached(cache, slot, p, head)
  local blocks = cache[slot]
  local size = #blocks[1]
  local place = p % (#blocks * size)
  return blocks[math.floor(place / size) + 1][place % size + 1][head]
end

-- One query at position p over caches, in doubles.
local function attend(q, kc, vc, slot, head, p, window, scale)
  local first = window > 0 and math.max(0, p - window + 1) or 0
  local scores, most, sum, out = {}, -math.huge, 0, {}
  for i = first, p do
    local s, key = 0, cached(kc, slot, i, head)
    for c = 1, #q do s = s + q[c] * key[c] end
    scores[i] = s * scale
    most = math.max(most, scores[i])
  end
  for c = 1, #q do out[c] = 0 end
  for i = first, p do
    local e, value = math.exp(scores[i] - most), cached(vc, slot, i, head)
    sum = sum + e
    for c = 1, #q do out[c] = out[c] + e * value[c] end
  end
  for c = 1, #q do out[c] = out[c] / sum end
  return out
end

-- Random queries, full caches of blocks of a size (default: one block), positions.
local function case(be, R, T, H, K, d, capacity, pos, seed, size)
  local rnd, slots = kernels.random(seed), #pos
  size = size or capacity
  return {
    q = kernels.tensor(be, {R, T, H, d}, rnd), out = ag.zeros(be, {R, T, H, d}),
    k = kernels.tensor(be, {slots, size > 0 and capacity / size or 1, size, K, d}, rnd),
    v = kernels.tensor(be, {slots, size > 0 and capacity / size or 1, size, K, d}, rnd),
    pos = ag.tensor(be, pos, 'i32'),
  }
end

for _, k in ipairs(kernels.all()) do
  describe('attention on ' .. k.isa, function()
    if k.missing then
      pending(k.missing)
      return
    end
    local be = k.be[2]

    it('is the mean of the values, weighted by how the keys agree with the query', function()
      local kc = ag.tensor(be, {{{{{1, 0}}, {{0, 1}}, {{9, 9}}}}})
      local vc = ag.tensor(be, {{{{{10, 20}}, {{30, 60}}, {{1000, 1000}}}}})
      local q, out = ag.tensor(be, {{{{2, 0}}}}), ag.zeros(be, {1, 1, 1, 2})
      ops.attention(out, q, kc, vc, ag.tensor(be, {1}, 'i32'), 0.5, 0)
      local a, b = math.exp(1), math.exp(0)
      assert.near({(10 * a + 30 * b) / (a + b), (20 * a + 60 * b) / (a + b)}, out:view(2), 0, 1e-6)
    end)

    it('sees only itself at position 0', function()
      local c = case(be, 1, 1, 1, 1, 33, 5, {0}, 1)
      ops.attention(c.out, c.q, c.k, c.v, c.pos, 1, 0)
      assert.near(c.v:totable()[1][1][1][1], c.out:view(33), 1e-7)
    end)

    it('is near the exact values at odd sizes, with windows, rings and blocks', function()
      -- R, T, H, K, d, capacity, positions, window, places of a block
      for i, s in ipairs {{1, 1, 1, 1, 1, 1, {0}, 0}, {1, 3, 4, 2, 31, 40, {30}, 0},
        {2, 5, 6, 2, 33, 64, {59, 0}, 0}, {3, 1, 16, 8, 128, 100, {99, 3, 50}, 0},
        {1, 9, 4, 4, 64, 20, {7}, 5}, {2, 4, 3, 1, 64, 75, {500, 71}, 72},
        {1, 31, 2, 1, 6, 62, {1000003}, 32}, {1, 33, 4, 1, 40, 33, {0}, 0},
        {2, 1, 4, 2, 33, 64, {61, 17}, 0, 16}, {1, 9, 2, 1, 31, 24, {700}, 12, 8},
        {1, 5, 2, 2, 8, 6, {0}, 0, 1}, {2, 3, 4, 2, 64, 128, {120, 31}, 0, 32}} do
        local R, T, H, K, d, capacity, pos, window, size = unpack(s)
        local c
        local out = kernels.agree(k, function(b)
          c = case(b, R, T, H, K, d, capacity, pos, i, size)
          local mine = c
          return function()
            ops.attention(mine.out, mine.q, mine.k, mine.v, mine.pos, d ^ -0.5, window)
          end, c.out
        end)
        local q, kc, vc, expected = c.q:totable(), c.k:totable(), c.v:totable(), {}
        for r = 1, R do
          expected[r] = {}
          for t = 1, T do
            expected[r][t] = {}
            for h = 1, H do
              local key_head = math.floor((h - 1) / (H / K)) + 1
              local p = pos[r] + t - 1
              expected[r][t][h] = attend(q[r][t][h], kc, vc, r, key_head, p, window, d ^ -0.5)
            end
          end
        end
        assert.near(expected, out, BOUND)
      end
    end)

    it('may write over the queries', function()
      local c = case(be, 2, 3, 4, 2, 48, 20, {9, 2}, 3)
      ops.attention(c.out, c.q, c.k, c.v, c.pos, 0.2, 0)
      ops.attention(c.q, c.q, c.k, c.v, c.pos, 0.2, 0)
      assert.same_bits(c.out, c.q)
    end)

    it('gives many steps the bits of single steps, and many rows those of single rows', function()
      for _, window in ipairs {0, 6} do
        local R, T = 3, 7
        local c = case(be, R, T, 4, 2, 33, 40, {5, 0, 20}, 4)
        local one = ag.zeros(be, {R, T, 4, 33})
        ops.attention(c.out, c.q, c.k, c.v, c.pos, 0.3, window)
        for t = 1, T do
          for r = 1, R do
            local out, q = one:narrow(1, r, 1):narrow(2, t, 1), c.q:narrow(1, r, 1):narrow(2, t, 1)
            ops.attention(out, q, c.k:narrow(1, r, 1), c.v:narrow(1, r, 1), c.pos:narrow(1, r, 1),
              0.3, window)
          end
          ops.advance(c.pos, 1, nil)
        end
        assert.same_bits(c.out, one)
      end
    end)

    it('gives a ring the bits of a long cache', function()
      local window, T, d, capacity, total = 9, 4, 40, 12, 50
      local rnd = kernels.random(6)
      local k_long = kernels.tensor(be, {1, 1, total, 2, d}, rnd)
      local v_long = kernels.tensor(be, {1, 1, total, 2, d}, rnd)
      local q = kernels.tensor(be, {1, T, 4, d}, rnd)
      local k_ring = ag.zeros(be, {1, 1, capacity, 2, d})
      local v_ring = ag.zeros(be, {1, 1, capacity, 2, d})
      local straight, wrapped = ag.zeros(be, {1, T, 4, d}), ag.zeros(be, {1, T, 4, d})
      for p = 0, total - T do
        for i = math.max(0, p + T - capacity), p + T - 1 do
          k_ring:narrow(3, i % capacity + 1, 1):copy(k_long:narrow(3, i + 1, 1))
          v_ring:narrow(3, i % capacity + 1, 1):copy(v_long:narrow(3, i + 1, 1))
        end
        local pos = ag.tensor(be, {p}, 'i32')
        ops.attention(straight, q, k_long, v_long, pos, 0.2, window)
        ops.attention(wrapped, q, k_ring, v_ring, pos, 0.2, window)
        assert.same_bits(straight, wrapped)
      end
    end)

    it('survives scores far apart, and passes NaN on', function()
      local kc = ag.tensor(be, {{{{{1}}, {{-1}}, {{0 / 0}}}}})
      local vc, out = ag.tensor(be, {{{{{5}}, {{7}}, {{1}}}}}), ag.zeros(be, {1, 1, 1, 1})
      local q = ag.tensor(be, {{{{1e30}}}})
      ops.attention(out, q, kc, vc, ag.tensor(be, {1}, 'i32'), 1, 0)
      assert.near(5, out:item())
      ops.attention(out, q, kc, vc, ag.tensor(be, {2}, 'i32'), 1, 0)
      assert.near(0 / 0, out:item())
    end)

    it('refuses positions that the cache has no places for', function()
      for threads = 1, 3 do
        local b = k.be[threads]
        local c = case(b, 2, 3, 2, 1, 8, 10, {0, 8}, 2)
        kernels.refuses('attention: position 10 is beyond a cache of 10 places', function()
          ops.attention(c.out, c.q, c.k, c.v, c.pos, 1, 0)
        end)
        ops.attention(c.out, c.q, c.k, c.v, c.pos, 1, 8)
        local plan = ag.capture(b, function() ops.attention(c.out, c.q, c.k, c.v, c.pos, 1, 0) end)
        local ok, err, code = plan:try()
        assert.is_nil(ok)
        assert.equal('attention: position 10 is beyond a cache of 10 places', err)
        assert.equal('capacity', code)
        c.pos:set {0, 2147483647}
        assert.is_nil((plan:try()))
      end
    end)

    it('gives a bf16 cache the bits of an f32 cache of the same numbers', function()
      for i, s in ipairs {{1, 1, 1, 1, 1, 1, {0}, 0}, {2, 5, 6, 2, 33, 64, {59, 0}, 0},
        {1, 1, 16, 8, 128, 300, {299}, 0}, {1, 9, 4, 4, 64, 20, {7}, 5},
        {2, 4, 7, 1, 64, 75, {500, 71}, 72}, {2, 3, 10, 2, 68, 128, {120, 31}, 0, 32}} do
        local R, T, H, K, d, capacity, pos, window, size = unpack(s)
        local out = {}
        for _, dtype in ipairs {'f32', 'bf16'} do
          out[dtype] = kernels.agree(k, function(b)
            local c = case(b, R, T, H, K, d, capacity, pos, i, size)
            local kc, vc = c.k:to 'bf16':to(dtype), c.v:to 'bf16':to(dtype)
            return function()
              ops.attention(c.out, c.q, kc, vc, c.pos, d ^ -0.5, window)
            end, c.out
          end)
        end
        assert.same_bits(out.f32, out.bf16)
      end
    end)

    it('takes the slots that it is told, with the bits of those rows alone', function()
      local c = case(be, 2, 3, 4, 2, 33, 32, {9, 20, 4, 0, 15}, 7, 8)
      local slots = ag.tensor(be, {4, 1}, 'i32')
      ops.attention(c.out, c.q, c.k, c.v, c.pos, 0.2, 0, slots)
      for r, slot in ipairs {4, 1} do
        local one, q = ag.zeros(be, {1, 3, 4, 33}), c.q:narrow(1, r, 1)
        ops.attention(one, q, c.k:narrow(1, slot + 1, 1), c.v:narrow(1, slot + 1, 1),
          c.pos:narrow(1, slot + 1, 1), 0.2, 0)
        assert.same_bits(one, c.out:narrow(1, r, 1))
      end
    end)

    it('refuses slots that there are not', function()
      local c = case(be, 2, 1, 2, 1, 8, 10, {0, 0, 0}, 7)
      for _, wrong in ipairs {3, -1} do
        kernels.refuses('row 1 has no slot of that number', function()
          ops.attention(c.out, c.q, c.k, c.v, c.pos, 1, 0, ag.tensor(be, {2, wrong}, 'i32'))
        end)
      end
    end)

    it('refuses positions below zero', function()
      local c = case(be, 2, 1, 2, 1, 8, 10, {3, -5}, 2)
      kernels.refuses('attention: position -5 of row 1 is negative', function()
        ops.attention(c.out, c.q, c.k, c.v, c.pos, 1, 0)
      end)
    end)

    it('refuses positions that memory has not been committed for', function()
      local c = case(be, 1, 1, 2, 1, 64, 1, {1024}, 2)
      local shape = {1, 16, 256, 1, 64}
      local kc, vc = tensor.reserve(be, shape), tensor.reserve(be, shape)
      assert(kc:commit(1, 4))
      assert(vc:commit(1, 8))
      local message = "attention: position 1024 is beyond the session's committed capacity"
      kernels.refuses(message, function()
        ops.attention(c.out, c.q, kc, vc, c.pos, 1, 0)
      end)
      kernels.refuses(message, function()
        ops.attention(c.out, c.q, vc, kc, c.pos, 1, 0)
      end)
      c.pos:set {1023}
      ops.attention(c.out, c.q, kc, vc, c.pos, 1, 0)
      c.pos:set {4000}
      message = "attention: position 4000 is beyond the session's committed capacity"
      kernels.refuses(message, function()
        ops.attention(c.out, c.q, kc, vc, c.pos, 1, 72)
      end)
    end)

    it('refuses a view that exchanges the places or the slots of a reserved cache', function()
      local message = 'k_cache: slots and places of a reserved tensor must lie in their order'
      local c = case(be, 1, 1, 2, 1, 64, 1, {16}, 2)
      local blocks = tensor.reserve(be, {1, 16, 4096, 1, 64})
      assert(blocks:commit(1, 8))
      local turned = blocks:transpose(2, 3)
      kernels.refuses('attention: ' .. message, function()
        ops.attention(c.out, c.q, turned, turned, c.pos, 1, 0)
      end)
      local slots = tensor.reserve(be, {4, 1, 4, 1, 1024})
      assert(slots:commit(1, 1))
      turned = slots:transpose(1, 3)
      c = case(be, 4, 1, 2, 1, 1024, 1, {3, 0, 0, 0}, 2)
      kernels.refuses('attention: ' .. message, function()
        ops.attention(c.out, c.q, turned, turned, c.pos, 1, 0)
      end)
    end)

    it('does nothing for no rows, steps or heads', function()
      local kc = ag.zeros(be, {1, 1, 0, 1, 8})
      local none = ag.zeros(be, {1, 0, 2, 8})
      ops.attention(none, none:clone(), kc, kc, ag.zeros(be, {1}, 'i32'), 1, 0)
      kernels.refuses('attention: position 0 is beyond a cache of 0 places', function()
        local q = ag.zeros(be, {1, 1, 2, 8})
        ops.attention(q, q, kc, kc, ag.zeros(be, {1}, 'i32'), 1, 0)
      end)
    end)
  end)
end

describe('attention refuses', function()
  local be = ag.backend('cpu', {threads = 1})
  local q, kc = ag.zeros(be, {2, 3, 4, 8}), ag.zeros(be, {2, 1, 9, 2, 8})
  local pos = ag.zeros(be, {2}, 'i32')

  it('caches of dtypes that keys are not kept in, or of two', function()
    local half = kc:to 'bf16'
    kernels.refuses('attention: k_cache is f32 and v_cache bf16', function()
      ops.attention(q, q, kc, half, pos, 1, 0)
    end)
    kernels.refuses('attention: v_cache is f16, expected f32 or bf16', function()
      ops.attention(q, q, half, kc:to 'f16', pos, 1, 0)
    end)
  end)

  it('caches of other shapes', function()
    local message = 'attention: k_cache [2,1,9,2,8] and v_cache [2,1,9,1,8]: the shapes differ'
    kernels.refuses(message, function()
      ops.attention(q, q, kc, ag.zeros(be, {2, 1, 9, 1, 8}), pos, 1, 0)
    end)
    local other = ag.zeros(be, {3, 1, 9, 2, 8})
    kernels.refuses('attention: k_cache [3,1,9,2,8] and pos [2]: 3 != 2', function()
      ops.attention(q, q, other, other, pos, 1, 0)
    end)
  end)

  it('heads that do not divide', function()
    local three = ag.zeros(be, {2, 1, 9, 3, 8})
    kernels.refuses('attention: 4 query heads do not divide into 3 key heads', function()
      ops.attention(q, q, three, three, pos, 1, 0)
    end)
    local none = ag.zeros(be, {2, 1, 9, 0, 8})
    kernels.refuses('attention: 4 query heads do not divide into 0 key heads', function()
      ops.attention(q, q, none, none, pos, 1, 0)
    end)
  end)

  it('a ring that is too small for the window and the steps', function()
    local message = 'attention: a window of 8 and 3 steps need a capacity of 10, k_cache has 9'
    kernels.refuses(message, function()
      ops.attention(q, q, kc, kc, pos, 1, 8)
    end)
  end)

  it('a window below zero', function()
    kernels.refuses('attention: window is -1, expected 0 to 2147483647', function()
      ops.attention(q, q, kc, kc, pos, 1, -1)
    end)
  end)

  it('positions of other rows, other dtypes, released tensors', function()
    kernels.refuses('attention: 2 rows need slots, there are 1', function()
      ops.attention(q, q, kc, kc, ag.zeros(be, {1}, 'i32'), 1, 0)
    end)
    kernels.refuses('attention: pos is f32, expected i32', function()
      ops.attention(q, q, kc, kc, ag.zeros(be, {2}), 1, 0)
    end)
    local gone = ag.zeros(be, {2, 1, 9, 2, 8})
    gone:release()
    kernels.refuses('attention: k_cache has been released', function()
      ops.attention(q, q, gone, kc, pos, 1, 0)
    end)
  end)

  it('blocks of a size that is no power of two', function()
    local odd = ag.zeros(be, {2, 3, 6, 2, 8})
    kernels.refuses('attention: k_cache: several blocks must each hold a power of two, not 6',
      function() ops.attention(q, q, odd, odd, pos, 1, 0) end)
  end)

  it('slots of other rows, and as many rows as there are no slots for', function()
    kernels.refuses('attention: slots [1]: expected [2]', function()
      ops.attention(q, q, kc, kc, pos, 1, 0, ag.zeros(be, {1}, 'i32'))
    end)
    kernels.refuses('attention: slots is f32, expected i32', function()
      ops.attention(q, q, kc, kc, pos, 1, 0, ag.zeros(be, {2}))
    end)
  end)

  it('an output in the cache', function()
    kernels.refuses('attention: out overlaps k_cache', function()
      ops.attention(kc:view(-1):narrow(1, 1, 192):view(2, 3, 4, 8), q, kc, kc:clone(), pos, 1, 0)
    end)
  end)
end)
