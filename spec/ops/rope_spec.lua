-- rope_angles and rope_append: rotary positions against Lua doubles, where keys and values land,
-- refusals.

local ag = require 'argent'
local ffi = require 'ffi'
local kernels = require 'support.kernels'
local tensor = require 'argent.tensor'
local ops = ag.ops

local cell = ffi.new('float[1]')
local function f32(x)
  cell[0] = x
  return cell[0]
end

local function frequencies(be, d, theta)
  local f = {}
  for j = 0, d / 2 - 1 do f[j + 1] = theta ^ (-2 * j / d) end
  return ag.tensor(be, f)
end

-- x normalised with weight norm (or not) and rotated by position p, all in doubles but the angle,
-- which is an f32 product.
local function rotated(x, norm, eps, p, inv_freq)
  local d, y = #x, {}
  local sum = 0
  for _, v in ipairs(x) do sum = sum + v * v end
  local scale = norm and 1 / math.sqrt(sum / d + eps) or 1
  for i, v in ipairs(x) do y[i] = v * scale * (norm and norm[i] or 1) end
  local out = {}
  for j = 1, d / 2 do
    local a = f32(p * inv_freq[j])
    local u, v = y[j], y[j + d / 2]
    out[j] = u * math.cos(a) - v * math.sin(a)
    out[j + d / 2] = v * math.cos(a) + u * math.sin(a)
  end
  return out
end

for _, k in ipairs(kernels.all()) do
  describe('on ' .. k.isa, function()
    if k.missing then
      pending(k.missing)
      return
    end
    local be = k.be[2]

    describe('rope_angles', function()
      it('gives cosines, then sines', function()
        local out = ag.zeros(be, {1, 2, 4})
        ops.rope_angles(out, ag.tensor(be, {3}, 'i32'), ag.tensor(be, {1, 0.5}))
        assert.near({{{math.cos(3), math.cos(1.5), math.sin(3), math.sin(1.5)},
          {math.cos(4), math.cos(2), math.sin(4), math.sin(2)}}}, out, 1e-7)
      end)

      it('takes the f32 product of position and frequency, then rounds the exact cosine', function()
        for i, s in ipairs {{1, 1, 2}, {3, 5, 6}, {2, 33, 62}, {1, 100, 128}} do
          local R, T, d = unpack(s)
          local pos, inv_freq
          local out = kernels.agree(k, function(b)
            local o, rnd = ag.zeros(b, s), kernels.random(i)
            local function position() return math.floor((rnd() + 1) * 20000) end
            pos = kernels.tensor(b, {R}, position, 'i32')
            inv_freq = frequencies(b, d, 1e6)
            return function() ops.rope_angles(o, pos, inv_freq) end, o
          end)
          local p, f, expected = pos:totable(), inv_freq:totable(), {}
          for r = 1, R do
            expected[r] = {}
            for t = 1, T do
              local row = {}
              for j = 1, d / 2 do
                local a = f32(f32(p[r] + t - 1) * f[j])
                row[j], row[j + d / 2] = math.cos(a), math.sin(a)
              end
              expected[r][t] = row
            end
          end
          assert.near(expected, out, 1e-10, 6e-8)
        end
      end)

      it('stays in [-1, 1] at the largest position', function()
        local out = ag.zeros(be, {1, 3, 2})
        ops.rope_angles(out, ag.tensor(be, {2147483647}, 'i32'), ag.tensor(be, {1}))
        for _, v in ipairs(out:totable()[1]) do
          assert.near(1, v[1] ^ 2 + v[2] ^ 2, 1e-6)
        end
      end)
    end)

    describe('rope_append', function()
      -- Tensors for R rows, T steps after `pos`, H query and K key heads of width d, and a ring of
      -- `capacity` slots.
      local function case(b, R, T, H, K, d, capacity, pos, seed, normed)
        local rnd = kernels.random(seed)
        local c = {
          q = kernels.tensor(b, {R, T, H, d}, rnd), k = kernels.tensor(b, {R, T, K, d}, rnd),
          v = kernels.tensor(b, {R, T, K, d}, rnd), pos = ag.tensor(b, pos, 'i32'),
          k_cache = ag.zeros(b, {R, 1, capacity, K, d}),
          v_cache = ag.zeros(b, {R, 1, capacity, K, d}),
          inv_freq = frequencies(b, d, 10000), angles = ag.zeros(b, {R, T, d}),
          q_norm = normed and kernels.tensor(b, {d}, rnd) or nil,
          k_norm = normed and kernels.tensor(b, {d}, rnd) or nil,
        }
        function c.run()
          ops.rope_angles(c.angles, c.pos, c.inv_freq)
          ops.rope_append(c.q, c.k, c.v, c.angles, c.pos, c.k_cache, c.v_cache, c.q_norm,
            c.k_norm, 1e-6)
        end
        return c
      end

      it('rotates the two halves of a head against each other', function()
        local c = case(be, 1, 1, 1, 1, 4, 3, {1}, 1)
        c.q:set {1, 2, 3, 4}
        c.k:set {5, 6, 7, 8}
        c.v:set {9, 10, 11, 12}
        c.inv_freq:set {1, 0.5}
        c.run()
        local c1, s1, c2, s2 = math.cos(1), math.sin(1), math.cos(0.5), math.sin(0.5)
        assert.near({c1 - 3 * s1, 2 * c2 - 4 * s2, 3 * c1 + s1, 4 * c2 + 2 * s2}, c.q:view(4), 1e-6)
        assert.near({0, 0, 0, 0, 5 * c1 - 7 * s1, 6 * c2 - 8 * s2, 7 * c1 + 5 * s1, 8 * c2 + 6 * s2,
          0, 0, 0, 0}, c.k_cache:view(12), 1e-6)
        assert.near({0, 0, 0, 0, 9, 10, 11, 12, 0, 0, 0, 0}, c.v_cache:view(12))
        assert.near({5, 6, 7, 8}, c.k:view(4))
      end)

      for _, normed in ipairs {false, true} do
        it('is near the exact values at odd sizes' .. (normed and ', with norms' or ''), function()
          -- R, T, H, K, d, capacity, positions
          for i, s in ipairs {{1, 1, 1, 1, 2, 1, {0}}, {1, 3, 4, 2, 6, 5, {0}},
            {2, 3, 3, 1, 62, 7, {2, 5}}, {3, 1, 4, 4, 64, 9, {0, 8, 100}},
            {2, 5, 16, 8, 128, 5, {3, 1000}}, {1, 33, 2, 1, 34, 40, {39}}} do
            local R, T, H, K, d, capacity, pos = unpack(s)
            local before, norms, frequency
            local q, kc, vc, kept = kernels.agree(k, function(b)
              local c = case(b, R, T, H, K, d, capacity, pos, i, normed)
              before = {q = c.q:totable(), k = c.k:totable(), v = c.v:totable()}
              norms = {q = c.q_norm and c.q_norm:totable(), k = c.k_norm and c.k_norm:totable()}
              frequency = c.inv_freq:totable()
              return c.run, c.q, c.k_cache, c.v_cache, c.k
            end)
            local keys = ag.zeros(be, {R, 1, capacity, K, d}):totable()
            local values = ag.zeros(be, {R, 1, capacity, K, d}):totable()
            local queries = {}
            for r = 1, R do
              queries[r] = {}
              for t = 1, T do
                local p = pos[r] + t - 1
                queries[r][t] = {}
                local function turn(x, norm) return rotated(x, norm, 1e-6, p, frequency) end
                for h = 1, H do queries[r][t][h] = turn(before.q[r][t][h], norms.q) end
                for h = 1, K do
                  keys[r][1][p % capacity + 1][h] = turn(before.k[r][t][h], norms.k)
                  values[r][1][p % capacity + 1][h] = before.v[r][t][h]
                end
              end
            end
            assert.near(queries, q, 2e-6, 2e-6)
            assert.near(keys, kc, 2e-6, 2e-6)
            assert.near(values, vc)
            assert.near(before.k, kept)
          end
        end)
      end

      it('rounds what a bf16 cache keeps, once', function()
        for i, s in ipairs {{1, 1, 1, 1, 2, 1, {0}}, {2, 3, 3, 1, 62, 7, {2, 5}},
          {2, 5, 16, 8, 128, 5, {3, 1000}}} do
          local R, T, H, K, d, capacity, pos = unpack(s)
          local exact = case(be, R, T, H, K, d, capacity, pos, i, true)
          exact.run()
          local kc, vc = kernels.agree(k, function(b)
            local c = case(b, R, T, H, K, d, capacity, pos, i, true)
            c.k_cache, c.v_cache = c.k_cache:to 'bf16', c.v_cache:to 'bf16'
            return c.run, c.k_cache, c.v_cache
          end)
          assert.same_bits(exact.k_cache:to 'bf16', kc)
          assert.same_bits(exact.v_cache:to 'bf16', vc)
        end
      end)

      it('gives many steps at once the bits of one step after the other', function()
        local R, T, H, K, d = 2, 6, 4, 2, 30
        local all = case(be, R, T, H, K, d, 4 + T, {4, 1}, 9, true)
        local one = case(be, R, T, H, K, d, 4 + T, {4, 1}, 9, true)
        all.run()
        for t = 1, T do
          local angles = ag.zeros(be, {R, 1, d})
          ops.rope_angles(angles, one.pos, one.inv_freq)
          ops.rope_append(one.q:narrow(2, t, 1), one.k:narrow(2, t, 1), one.v:narrow(2, t, 1),
            angles, one.pos, one.k_cache, one.v_cache, one.q_norm, one.k_norm, 1e-6)
          ops.advance(one.pos, 1, nil)
        end
        assert.same_bits(all.q, one.q)
        assert.same_bits(all.k_cache, one.k_cache)
        assert.same_bits(all.v_cache, one.v_cache)
      end)

      it('does one row of a cache of many, with the bits it has among them', function()
        local all = case(be, 3, 2, 4, 2, 30, 8, {1, 3, 5}, 4, true)
        local one = case(be, 3, 2, 4, 2, 30, 8, {1, 3, 5}, 4, true)
        all.run()
        ops.rope_angles(one.angles, one.pos, one.inv_freq)
        for r = 1, 3 do
          ops.rope_append(one.q:narrow(1, r, 1), one.k:narrow(1, r, 1), one.v:narrow(1, r, 1),
            one.angles:narrow(1, r, 1), one.pos:narrow(1, r, 1), one.k_cache:narrow(1, r, 1),
            one.v_cache:narrow(1, r, 1), one.q_norm, one.k_norm, 1e-6)
        end
        assert.same_bits(all.q, one.q)
        assert.same_bits(all.k_cache, one.k_cache)
        assert.same_bits(all.v_cache, one.v_cache)
      end)

      it('puts rows where their slots are, in blocks, with the bits of one block', function()
        local R, T, K, d, pos = 2, 3, 2, 30, {0, 6, 13}
        local plain = case(be, R, T, 4, K, d, 16, {pos[3], pos[2]}, 4, true)
        local told = case(be, R, T, 4, K, d, 16, {pos[3], pos[2]}, 4, true)
        plain.run()
        local places = ag.tensor(be, pos, 'i32')
        local kc, vc = ag.zeros(be, {3, 4, 4, K, d}), ag.zeros(be, {3, 4, 4, K, d})
        local slots = ag.tensor(be, {2, 1}, 'i32')
        ops.rope_angles(told.angles, places, told.inv_freq, slots)
        ops.rope_append(told.q, told.k, told.v, told.angles, places, kc, vc, told.q_norm,
          told.k_norm, 1e-6, slots)
        assert.same_bits(plain.q, told.q)
        for r, slot in ipairs {3, 2} do
          assert.same_bits(plain.k_cache:select(1, r):view(16, K, d),
            kc:select(1, slot):view(16, K, d))
          assert.same_bits(plain.v_cache:select(1, r):view(16, K, d),
            vc:select(1, slot):view(16, K, d))
        end
        assert.near(ag.zeros(be, {16, K, d}), kc:select(1, 1):view(16, K, d))
        ops.advance(places, T, nil, slots)
        assert.near({0, 9, 16}, places)
        kernels.refuses('row 0 has no slot of that number', function()
          ops.advance(places, T, nil, ag.tensor(be, {3, 0}, 'i32'))
        end)
        kernels.refuses('row 1 has no slot of that number', function()
          ops.rope_angles(told.angles, places, told.inv_freq, ag.tensor(be, {0, -1}, 'i32'))
        end)
      end)

      it('says which position memory has not been committed for', function()
        for threads = 1, 3 do
          local b = k.be[threads]
          local c = case(b, 1, 3, 4, 2, 64, 4096, {1022}, 2)
          for _, name in ipairs {'k_cache', 'v_cache'} do
            c[name] = tensor.reserve(b, {1, 4, 1024, 2, 64})
            assert(c[name]:commit(1, 1))
          end
          ops.rope_angles(c.angles, c.pos, c.inv_freq)
          local message = "rope_append: position 1024 is beyond the session's committed capacity"
          kernels.refuses(message, function()
            ops.rope_append(c.q, c.k, c.v, c.angles, c.pos, c.k_cache, c.v_cache, nil, nil, 0)
          end)
          local plan = ag.capture(b, c.run)
          local ok, err, code = plan:try()
          assert.is_nil(ok)
          assert.equal(message, err)
          assert.equal('capacity', code)
          assert(c.k_cache:commit(1, 2))
          assert.is_nil((plan:try()))
          c.k_cache, c.v_cache = c.v_cache, c.k_cache
          local exchanged = ag.capture(b, c.run)
          assert.is_nil((exchanged:try()))
          assert(c.k_cache:commit(1, 2))
          assert.is_true(plan:try())
          assert.is_true(exchanged:try())
        end
      end)

      it('refuses positions below zero', function()
        local c = case(be, 2, 1, 2, 1, 8, 4, {1, -1}, 2)
        kernels.refuses('rope_append: position -1 of row 1 is negative', function()
          ops.rope_append(c.q, c.k, c.v, c.angles, c.pos, c.k_cache, c.v_cache, nil, nil, 0)
        end)
      end)

      it('refuses more steps than the cache has places', function()
        local c = case(be, 1, 5, 2, 1, 8, 4, {0}, 2)
        kernels.refuses('rope_append: 5 steps do not fit a cache of 4 places', function()
          ops.rope_append(c.q, c.k, c.v, c.angles, c.pos, c.k_cache, c.v_cache, nil, nil, 0)
        end)
        c = case(be, 1, 1, 2, 1, 8, 0, {0}, 2)
        kernels.refuses('rope_append: 1 steps do not fit a cache of 0 places', function()
          ops.rope_append(c.q, c.k, c.v, c.angles, c.pos, c.k_cache, c.v_cache, nil, nil, 0)
        end)
      end)

      it('takes the largest positions in a ring', function()
        local c = case(be, 1, 3, 2, 1, 8, 4, {2147483647}, 2)
        local v = c.v:totable()[1]
        c.run()
        local places = c.v_cache:totable()[1][1]
        for t = 0, 2 do assert.near(v[t + 1], places[(2147483647 + t) % 4 + 1]) end
      end)
    end)
  end)
end

describe('refused:', function()
  local be = ag.backend('cpu', {threads = 1})
  local function heads(R, T, H, d) return ag.zeros(be, {R, T, H, d}) end
  local q, key, v = heads(2, 3, 4, 8), heads(2, 3, 2, 8), heads(2, 3, 2, 8)
  local angles, pos = ag.zeros(be, {2, 3, 8}), ag.zeros(be, {2}, 'i32')
  local kc, vc = ag.zeros(be, {2, 1, 9, 2, 8}), ag.zeros(be, {2, 1, 9, 2, 8})

  it('rope_angles whose width is not twice the frequencies', function()
    kernels.refuses('rope_angles: out [2,3,8] and inv_freq [3]: 8 != 6', function()
      ops.rope_angles(angles, pos, ag.zeros(be, {3}))
    end)
  end)

  it('rope_angles with positions of other rows, or floats for positions', function()
    kernels.refuses('rope_angles: 2 rows need slots, there are 1', function()
      ops.rope_angles(angles, ag.zeros(be, {1}, 'i32'), ag.zeros(be, {4}))
    end)
    kernels.refuses('rope_angles: pos is f32, expected i32', function()
      ops.rope_angles(angles, ag.zeros(be, {2}), ag.zeros(be, {4}))
    end)
  end)

  it('rope_angles into its own frequencies', function()
    local all = ag.zeros(be, {2, 3, 8})
    kernels.refuses('rope_angles: out overlaps inv_freq', function()
      ops.rope_angles(all, pos, all:select(1, 1):select(1, 1):narrow(1, 1, 4))
    end)
  end)

  it('rope_append of keys, values and caches that do not fit together', function()
    kernels.refuses('rope_append: k [2,3,2,8] and v [2,3,1,8]: the shapes differ', function()
      ops.rope_append(q, key, heads(2, 3, 1, 8), angles, pos, kc, vc, nil, nil, 0)
    end)
    local message = 'rope_append: k_cache [2,1,9,2,8] and v_cache [2,1,8,2,8]: the shapes differ'
    kernels.refuses(message, function()
      ops.rope_append(q, key, v, angles, pos, kc, ag.zeros(be, {2, 1, 8, 2, 8}), nil, nil, 0)
    end)
    kernels.refuses('rope_append: q [2,3,4,8] and k [2,2,2,8]: 3 != 2', function()
      ops.rope_append(q, heads(2, 2, 2, 8), heads(2, 2, 2, 8), angles, pos, kc, vc, nil, nil, 0)
    end)
    local small = ag.zeros(be, {2, 1, 9, 1, 8})
    kernels.refuses('rope_append: k_cache [2,1,9,1,8] and k [2,3,2,8]: 1 != 2', function()
      ops.rope_append(q, key, v, angles, pos, small, small:clone(), nil, nil, 0)
    end)
  end)

  it('rope_append with angles or norms of another width', function()
    kernels.refuses('rope_append: angles [2,3,6] and q [2,3,4,8]: 6 != 8', function()
      ops.rope_append(q, key, v, ag.zeros(be, {2, 3, 6}), pos, kc, vc, nil, nil, 0)
    end)
    kernels.refuses('rope_append: q_norm [4]: expected a contiguous [8]', function()
      ops.rope_append(q, key, v, angles, pos, kc, vc, ag.zeros(be, {4}), nil, 0)
    end)
  end)

  it('rope_append of heads of odd width', function()
    local message = 'angles must be contiguous and the head width even'
    kernels.refuses('rope_append: ' .. message, function()
      ops.rope_append(heads(2, 3, 4, 7), heads(2, 3, 2, 7), heads(2, 3, 2, 7),
        ag.zeros(be, {2, 3, 7}), pos, ag.zeros(be, {2, 1, 9, 2, 7}),
        ag.zeros(be, {2, 1, 9, 2, 7}), nil, nil, 0)
    end)
  end)

  it('rope_append of released tensors and other dtypes', function()
    local gone = ag.zeros(be, {2, 1, 9, 2, 8})
    gone:release()
    kernels.refuses('rope_append: v_cache has been released', function()
      ops.rope_append(q, key, v, angles, pos, kc, gone, nil, nil, 0)
    end)
    kernels.refuses('rope_append: k is bf16, expected f32', function()
      ops.rope_append(q, key:to('bf16'), v, angles, pos, kc, vc, nil, nil, 0)
    end)
  end)
end)
