-- sample: the draws against published Philox vectors, every processor by hand, all of them against
-- a model in Lua doubles written from REFERENCE.md, "Processing of logits" and "Draws",
-- frequencies, and refusals.

local ag = require 'argent'
local ffi = require 'ffi'
local kernels = require 'support.kernels'
local lib = require 'argent.ffi'
local philox = require 'support.philox'
local ops = ag.ops

local NAN, INF = 0 / 0, 1 / 0

local cell = ffi.new('float[1]')
local function f32(x)
  cell[0] = x
  return cell[0]
end

local function i32(x)
  x = x % 2 ^ 32
  return x >= 2 ^ 31 and x - 2 ^ 32 or x
end

-- The key of a draw.
local function key_of(seed, frame, row)
  return {i32(seed), i32(math.floor(seed / 2 ^ 32)), frame or 0, row or 0}
end

-- Ids drawn from rows of logits. o: seed, frame, row (the same for all rows) or keys; params or
-- temperature, top_k, top_p, penalty; seen (rows); group, suppress_from, eos, minimum. The second
-- result is what seen became.
local function draw(be, logits, o)
  local keys, params = {}, {}
  for r = 1, #logits do
    keys[r] = o.keys and o.keys[r] or key_of(o.seed or 0, o.frame, o.row)
    params[r] = o.params and o.params[r]
      or {o.temperature or 1, o.top_k or 0, o.top_p or 1, o.penalty or 1, o.min_p}
  end
  local out = ag.zeros(be, {#logits}, 'i32')
  local seen = o.seen and ag.tensor(be, o.seen, 'i32')
  ops.sample(out, ag.tensor(be, logits), ag.tensor(be, keys, 'i32'), ag.tensor(be, params), seen,
    o.group or 0, o.suppress_from or #logits[1], o.eos or -1, o.minimum or 0)
  return out:totable(), seen and seen:totable()
end

-- The set of ids that one row of logits gives in 400 frames.
local function all_drawn(be, logits, o)
  local set = {}
  for frame = 0, 399 do
    o.frame = frame
    set[draw(be, {logits}, o)[1]] = true
  end
  return set
end

-- What draw gives for one row, in doubles.
local function model(logits, o)
  local l, V = {}, #logits
  for i = 1, V do
    local x = logits[i]
    if o.seen and o.seen[i] ~= 0 then x = f32(x < 0 and x * o.penalty or x / o.penalty) end
    if i - 1 >= o.suppress_from and i - 1 ~= o.eos then x = -INF end
    l[i] = x
  end
  if o.eos >= 0 and o.key[3] < o.minimum then l[o.eos + 1] = -INF end
  local order = {}
  for i = 1, V do order[i] = i end
  table.sort(order, function(a, b)
    if l[a] ~= l[b] then return l[a] < l[b] end
    return a < b
  end)
  local most = l[order[V]]
  if o.temperature == 0 then
    for i = 1, V do
      if l[i] == most then return i - 1 end
    end
  end
  for i = 1, V do l[i] = f32(l[i] / o.temperature) end
  if o.top_k > 0 then
    local least = l[order[V - math.min(o.top_k, V) + 1]]
    for i = 1, V do
      if l[i] < least then l[i] = -INF end
    end
  end
  local function probabilities()
    local p, sum = {}, 0
    for i = 1, V do
      p[i] = math.exp(l[i] - l[order[V]])
      sum = sum + p[i]
    end
    for i = 1, V do p[i] = p[i] / sum end
    return p
  end
  if o.top_p < 1 then
    local p, sum = probabilities(), 0
    for n = 1, V - 1 do
      sum = sum + p[order[n]]
      if sum <= 1 - o.top_p then l[order[n]] = -INF end
    end
  end
  for i = 1, V do
    if math.exp(l[i] - l[order[V]]) < (o.min_p or 0) then l[i] = -INF end
  end
  local seed = o.key[1] % 2 ^ 32 + o.key[2] % 2 ^ 32 * 2 ^ 32
  local u = philox.uniform(philox.draw(seed, o.key[3], o.group, o.key[4]))
  local sum, last = 0, nil
  for i, p in ipairs(probabilities()) do
    sum = sum + p
    if p > 0 then last = i - 1 end
    if sum > u then break end
  end
  return last
end

describe('the Philox of these specs', function()
  it('has the published vectors', function()
    local function hex(words)
      return ('%08x %08x %08x %08x'):format(unpack(words))
    end
    local f = 0xffffffff
    assert.equal('6627e8d5 e169c58d bc57ac4c 9b00dbd8', hex(philox.words({0, 0, 0, 0}, {0, 0})))
    assert.equal('408f276d 41c83b0e a20bc7c6 6d5451fd', hex(philox.words({f, f, f, f}, {f, f})))
    assert.equal('d16cfe09 94fdcceb 5001e420 24126ea1',
      hex(philox.words({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0})))
  end)

  it('has the check values of the draws', function()
    assert.equal(0x6627e8d5, philox.draw(0, 0, 0, 0))
    assert.equal(0xf4607a2d, philox.draw(7, 0, 0, 0))
    assert.equal(0xac9c93a1, philox.draw(7, 3, 15, 0))
    assert.equal(0x5159a71d, philox.draw(1099511627781, 100, 2, 0))
    assert.equal(0x1f03697f, philox.draw(7, 3, 15, 4))
  end)
end)

for _, k in ipairs(kernels.all()) do
  describe('sample on ' .. k.isa, function()
    if k.missing then
      pending(k.missing)
      return
    end
    local be = k.be[2]

    it('draws from equal logits the first bits of the Philox word', function()
      local V = 65536
      local logits = ag.zeros(be, {1, V}):fill(-3)
      local out, key = ag.zeros(be, {1}, 'i32'), ag.zeros(be, {1, 4}, 'i32')
      local params = ag.tensor(be, {{1, 0, 1, 1}})
      local function top(seed, frame, group, row)
        key:set(key_of(seed, frame, row))
        ops.sample(out, logits, key, params, nil, group, V, -1, 0)
        return out:item()
      end
      assert.equal(0x6627, top(0, 0, 0, 0))
      assert.equal(0xf460, top(7, 0, 0, 0))
      assert.equal(0xac9c, top(7, 3, 15, 0))
      assert.equal(0x5159, top(1099511627781, 100, 2, 0))
      assert.equal(0x1f03, top(7, 3, 15, 4))
      for i = 1, 50 do
        local seed, frame, group, row = i * 2 ^ 40 + i * 977, i * 31, i % 16, i * 7919
        local word = philox.draw(seed, frame, group, row)
        assert.equal(math.floor(word / 65536), top(seed, frame, group, row))
      end
      local seed = 2 ^ 64 - 2 ^ 11
      assert.equal(math.floor(philox.draw(seed, 1, 0, 0) / 65536), top(seed, 1, 0, 0))
    end)

    it('takes the largest at temperature 0, the lowest id where several are', function()
      local logits = {{1, 2, 5, 5}, {7, 7, 7, 7}, {-INF, -9, -9, -8}}
      assert.same({2, 0, 3}, (draw(be, logits, {temperature = 0})))
    end)

    it('ignores top-k and top-p at temperature 0, but not the penalty', function()
      local o = {temperature = 0, top_k = 1, top_p = 0.1, penalty = 2, seen = {{0, 1, 0}}}
      assert.same({0}, (draw(be, {{4, 5, 1}}, o)))
    end)

    it('divides seen logits above zero by the penalty, multiplies those below', function()
      local seen = {{1, 0, 0}}
      assert.same({0}, (draw(be, {{4, 1.9, 0}}, {temperature = 0, penalty = 2, seen = seen})))
      assert.same({1}, (draw(be, {{4, 2.1, 0}}, {temperature = 0, penalty = 2, seen = seen})))
      assert.same({0}, (draw(be, {{-1, -2.1, -9}}, {temperature = 0, penalty = 2, seen = seen})))
      assert.same({1}, (draw(be, {{-1, -1.9, -9}}, {temperature = 0, penalty = 2, seen = seen})))
    end)

    it('marks the drawn id as seen, and only that', function()
      local ids, seen = draw(be, {{0, 3, 1}, {5, 3, 1}}, {temperature = 0, penalty = 1,
        seen = {{0, 0, 1}, {0, 0, 0}}})
      assert.same({1, 0}, ids)
      assert.same({{0, 1, 1}, {1, 0, 0}}, seen)
    end)

    it('holds the end token back for the first draws', function()
      local logits = {{1, 9, 2}}
      for frame, id in pairs {[0] = 2, [1] = 2, [2] = 1, [3] = 1} do
        local o = {temperature = 0, eos = 1, minimum = 2, frame = frame}
        assert.same({id}, (draw(be, logits, o)))
      end
    end)

    it('removes the ids from suppress_from up, but the end token', function()
      assert.same({1}, (draw(be, {{1, 2, 9, 3, 8}}, {temperature = 0, suppress_from = 2})))
      assert.same({3}, (draw(be, {{1, 2, 9, 3, 8}}, {temperature = 0, suppress_from = 2, eos = 3})))
      for frame = 0, 200 do
        local id = draw(be, {{1, 2, 9, 3, 8}}, {suppress_from = 2, eos = 3, frame = frame})[1]
        assert(id ~= 2 and id ~= 4, id)
      end
    end)

    it('keeps the k largest, and all that equal the k-th', function()
      assert.same({[1] = true, [2] = true, [3] = true, [4] = true},
        all_drawn(be, {1, 3, 2, 3, 2, 1}, {top_k = 3}))
      assert.same({[0] = true, [1] = true, [3] = true},
        all_drawn(be, {0, -0.0, -1, 0.5}, {top_k = 2}))
    end)

    it('keeps all for a top-k beyond the vocabulary, and one for a top-k of 1', function()
      local logits, o = {{0.5, -1, 2, 0, 1}}, {}
      for frame = 0, 50 do
        o.frame, o.top_k = frame, 0
        local free = draw(be, logits, o)
        for _, beyond in ipairs {5, 6, 1e9, 3e38, INF} do
          o.top_k = beyond
          assert.same(free, (draw(be, logits, o)))
        end
        o.top_k = 1
        assert.same({2}, (draw(be, logits, o)))
      end
    end)

    it('keeps the likeliest that together reach top-p', function()
      -- Probabilities 0.1, 0.2, 0.3, 0.4 (exactly: e^log p).
      local logits, first = {}, {[0] = 3, [0.35] = 3, [0.45] = 2, [0.75] = 1, [0.95] = 0}
      for i, p in ipairs {0.1, 0.2, 0.3, 0.4} do logits[i] = math.log(p) end
      for top_p, id in pairs(first) do
        local expected = {}
        for i = id, 3 do expected[i] = true end
        assert.same(expected, all_drawn(be, logits, {top_p = top_p}))
      end
      assert.same({[1] = true}, all_drawn(be, {1, 5, 4, 2}, {top_p = 0}))
    end)

    it('keeps what is at least min-p times as probable as the likeliest', function()
      local logits = {} -- Probabilities 0.1, 0.2, 0.3, 0.4.
      for i, p in ipairs {0.1, 0.2, 0.3, 0.4} do logits[i] = math.log(p) end
      for min_p, id in pairs {[0] = 0, [0.24] = 0, [0.26] = 1, [0.51] = 2, [0.76] = 3, [1] = 3} do
        local expected = {}
        for i = id, 3 do expected[i] = true end
        assert.same(expected, all_drawn(be, logits, {min_p = min_p}))
      end
      -- Of what top-p has left the likeliest is still the same.
      assert.same({[3] = true}, all_drawn(be, logits, {min_p = 0.76, top_p = 0.75}))
    end)

    it('gives the ids of the model at odd sizes and settings', function()
      local n = 0
      for i, V in ipairs {1, 2, 31, 33, 100, 257, 2048, 3072} do
        for variant = 0, 11 do
          local rnd = kernels.random(100 * i + variant)
          local R, logits = 3, {}
          local o = {keys = {}, params = {}, seen = variant % 2 == 1 and {} or nil,
            group = variant, eos = variant % 3 == 0 and math.floor(V / 2) or -1, minimum = 2}
          o.suppress_from = variant % 4 == 3 and math.ceil(V * 0.66) or V
          for r = 1, R do
            logits[r] = kernels.values({V}, function() return f32(rnd() * 8) end)
            o.keys[r] = key_of(math.floor((rnd() + 1) * 2 ^ 50), V == 1 and 2 or variant % 5, r)
            o.params[r] = {f32(({0.9, 0, 1, 1.7})[variant % 4 + 1]), ({50, 0, 5})[variant % 3 + 1],
              f32(({1, 0.8, 0.95, 0.3})[math.floor(variant / 3) + 1]), f32(o.seen and 1.05 or 1)}
            if variant % 2 == 0 then
              o.params[r][5] = f32(({0, 0.03, 0.4})[variant % 3 + 1])
            end
            local function mark() return rnd() > 0.5 and 1 or 0 end
            if o.seen then o.seen[r] = kernels.values({V}, mark) end
          end
          local expected = {}
          for r = 1, R do
            local p = o.params[r]
            expected[r] = model(logits[r], {key = o.keys[r], temperature = p[1], top_k = p[2],
              top_p = p[3], penalty = p[4], min_p = p[5], seen = o.seen and o.seen[r],
              group = o.group, eos = o.eos, minimum = o.minimum, suppress_from = o.suppress_from})
          end
          for threads = 1, 3 do assert.same(expected, (draw(k.be[threads], logits, o))) end
          n = n + R
        end
      end
      assert.equal(8 * 12 * 3, n)
    end)

    it('gives a row the same id alone and among others, planned and eager', function()
      local R, V = 9, 333
      local rnd = kernels.random(77)
      local logits, keys = kernels.values({R, V}, function() return rnd() * 4 end), {}
      for r = 1, R do keys[r] = key_of(5, 3, r) end
      local together = draw(be, logits, {keys = keys, top_k = 50})
      for r = 1, R do
        assert.same({together[r]}, (draw(be, {logits[r]}, {keys = {keys[r]}, top_k = 50})))
      end
      local out, seen = kernels.agree(k, function(b)
        local l, key, params = ag.tensor(b, logits), ag.tensor(b, keys, 'i32'), {}
        for r = 1, R do params[r] = {1, 50, 1, 1} end
        local ids, marks = ag.zeros(b, {R}, 'i32'), ag.zeros(b, {R, V}, 'i32')
        local p = ag.tensor(b, params)
        return function() ops.sample(ids, l, key, p, marks, 0, V, -1, 0) end, ids, marks
      end)
      assert.near(together, out)
      for r, row in ipairs(seen:totable()) do assert.equal(1, row[together[r] + 1]) end
    end)

    it('reads rows with gaps', function()
      local rnd = kernels.random(8)
      local wide = kernels.tensor(be, {4, 50}, rnd):narrow(2, 6, 40)
      local function small() return math.floor(rnd() * 100) end
      local keys = kernels.tensor(be, {4, 9}, small, 'i32'):narrow(2, 3, 4)
      local p = {9, 1, 0, 1, 1}
      local params = ag.tensor(be, {p, p, p, p}):narrow(2, 2, 4)
      local out, apart = ag.zeros(be, {4, 3}, 'i32'):select(2, 2), ag.zeros(be, {4}, 'i32')
      ops.sample(out, wide, keys, params, nil, 0, 40, -1, 0)
      ops.sample(apart, wide:clone(), keys:clone(), params:clone(), nil, 0, 40, -1, 0)
      assert.near(apart:totable(), out)
    end)

    it('draws as often as the probabilities say', function()
      local weights, R, frames = {1, 2, 3, 4, 10, 20, 30, 5, 15, 10}, 1000, 20
      local logits, keys, counts = {}, {}, {}
      for i, p in ipairs(weights) do
        logits[i] = math.log(p)
        counts[i] = 0
      end
      local rows = {}
      for r = 1, R do rows[r] = logits end
      for frame = 0, frames - 1 do
        for r = 1, R do keys[r] = key_of(42, frame, r) end
        local ids = draw(be, rows, {keys = keys})
        for _, id in ipairs(ids) do counts[id + 1] = counts[id + 1] + 1 end
      end
      local chi = 0
      for i, p in ipairs(weights) do
        local expected = R * frames * p / 100
        chi = chi + (counts[i] - expected) ^ 2 / expected
      end
      -- 9 degrees of freedom: 99.9 % of fair draws stay below 27.9, and 0.1 % below 1.15.
      assert(chi < 27.9 and chi > 1.15, chi)
    end)

    it('spreads over temperatures: near 0 it is the largest, at infinity even', function()
      assert.same({2}, (draw(be, {{1, -3, 4, 3}}, {temperature = 1e-3})))
      assert.same({2}, (draw(be, {{1, -3, 4, 3}}, {temperature = 1e-45})))
      assert.same({1}, (draw(be, {{-4, -3, -4, -8}}, {temperature = 1e-45})))
      local counts = {[0] = 0, 0, 0, 0}
      for frame = 0, 999 do
        local id = draw(be, {{1, -3, 4, 3}}, {temperature = 1e30, frame = frame})[1]
        counts[id] = counts[id] + 1
      end
      for id = 0, 3 do assert(counts[id] > 200 and counts[id] < 300, counts[id]) end
    end)

    it('never draws an id of probability zero', function()
      for frame = 0, 300 do
        local id = draw(be, {{-INF, 0, -200, -INF, 0, -INF}}, {frame = frame})[1]
        assert(id == 1 or id == 4, id)
      end
    end)

    it('says which row has logits that it cannot draw from', function()
      for threads = 1, 3 do
        local b = k.be[threads]
        for message, logits in pairs {
          ['sample: logits of row 1 hold NaN'] = {{0, 1}, {NAN, 0}, {0, 0}},
          ['sample: logits of row 2 hold +inf'] = {{0, 1}, {0, 0}, {0, INF}},
          ['sample: row 0 has no finite logit left'] = {{-INF, -INF}, {0, 0}, {0, 0}},
        } do
          local ok, err = pcall(draw, b, logits, {})
          assert.is_false(ok)
          assert.equal(message, err:match(': (sample: .*)$'))
        end
      end
      local ok, err = pcall(draw, be, {{0, -INF, 1}}, {suppress_from = 0, eos = 1})
      assert.is_false(ok)
      assert.equal('sample: row 0 has no finite logit left', err:match(': (sample: .*)$'))
    end)

    it('leaves a row its own fault, where there is a word for it, and draws the others', function()
      local function name(word) return ffi.string(lib.ag_fault_name(word)) end
      for threads = 1, 3 do
        local b = k.be[threads]
        local rows = {{1, 5, 2}, {1, 0 / 0, 2}, {1, 2, math.huge}, {7, 5, 2}, {1, 2, 9},
          {-math.huge, -math.huge, -math.huge}, {1, 5, 2}}
        local logits, key = ag.tensor(b, rows), ag.zeros(b, {7, 4}, 'i32')
        local params = ag.tensor(b, {{0, 0, 1, 1}, {0, 0, 1, 1}, {0, 0, 1, 1}, {-1, 0, 1, 1},
          {0, 0, 1, 1}, {0, 0, 1, 1}, {0, 0, 1, 1}})
        local out, seen = ag.zeros(b, {7}, 'i32'):fill(9), ag.zeros(b, {7, 3}, 'i32')
        local words = ag.zeros(b, {7, 2}, 'i32'):select(2, 1) -- with a gap
        words:narrow(1, 7, 1):fill(1) -- it has one already, and keeps it
        ops.sample(out, logits, key, params, seen, 0, 3, -1, 0, words)
        local w = words:totable()
        assert.same({1, 0, 0, 0, 2, 0, 0}, out:totable())
        assert.same({0, 'NAN', 'INF', 'SETTING', 0, 'NO_LOGIT', 1},
          {w[1], name(w[2]), name(w[3]), name(w[4]), w[5], name(w[6]), w[7]})
        assert.same({{0, 1, 0}, {0, 0, 0}, {0, 0, 0}, {0, 0, 0}, {0, 0, 1}, {0, 0, 0}, {0, 0, 0}},
          seen:totable())
      end
      assert.is_true(lib.ag_fault_name(0) == nil and lib.ag_fault_name(1000) == nil)
      kernels.refuses('sample: fault [2]: expected [1]', function()
        ops.sample(ag.zeros(be, {1}, 'i32'), ag.zeros(be, {1, 3}), ag.zeros(be, {1, 4}, 'i32'),
          ag.zeros(be, {1, 4}), nil, 0, 3, -1, 0, ag.zeros(be, {2}, 'i32'))
      end)
    end)

    it('says which setting is none', function()
      for message, p in pairs {
        ['sample: temperature of row 0 is -1'] = {-1, 0, 1, 1},
        ['sample: temperature of row 0 is inf'] = {INF, 0, 1, 1},
        ['sample: temperature of row 0 is nan'] = {NAN, 0, 1, 1},
        ['sample: top-k of row 0 is -2'] = {1, -2, 1, 1},
        ['sample: top-k of row 0 is 2.5'] = {1, 2.5, 1, 1},
        ['sample: top-p of row 0 is 1.5'] = {1, 0, 1.5, 1},
        ['sample: top-p of row 0 is -0.5'] = {1, 0, -0.5, 1},
        ['sample: repetition penalty of row 0 is 0'] = {1, 0, 1, 0},
        ['sample: repetition penalty of row 0 is inf'] = {1, 0, 1, INF},
      } do
        local ok, err = pcall(draw, be, {{1, 2}}, {params = {p}})
        assert.is_false(ok)
        assert.equal(message, err:match(': (sample: .*)$'))
      end
      for _, p in ipairs {{1, INF, 1, 1}, {1, 3e38, 1, 1}, {0, 0, 0, 1e-30}, {1e-30, 0, 1, 1e30}} do
        draw(be, {{1, 2}, {-1, 2}}, {params = {p, p}, seen = {{1, 1}, {1, 1}}})
      end
    end)
  end)
end

describe('sample refuses', function()
  local be = ag.backend('cpu', {threads = 1})
  local logits, out = ag.zeros(be, {2, 5}), ag.zeros(be, {2}, 'i32')
  local key, params = ag.zeros(be, {2, 4}, 'i32'), ag.zeros(be, {2, 4})

  it('keys and settings of another shape', function()
    kernels.refuses('sample: key [3,4] and logits [2,5]: 3 != 2', function()
      ops.sample(out, logits, ag.zeros(be, {3, 4}, 'i32'), params, nil, 0, 5, -1, 0)
    end)
    kernels.refuses('sample: width of params is 3, expected 4 to 5', function()
      ops.sample(out, logits, key, ag.zeros(be, {2, 3}), nil, 0, 5, -1, 0)
    end)
    kernels.refuses('sample: seen [2,4] and logits [2,5]: the shapes differ', function()
      ops.sample(out, logits, key, params, ag.zeros(be, {2, 4}, 'i32'), 0, 5, -1, 0)
    end)
  end)

  it('an empty vocabulary', function()
    kernels.refuses('sample: vocabulary is 0, expected 1 to 2147483647', function()
      ops.sample(out, ag.zeros(be, {2, 0}), key, params, nil, 0, 0, -1, 0)
    end)
  end)

  it('an end token outside the vocabulary, and counts below zero', function()
    kernels.refuses('sample: eos is 5, expected -1 to 4', function()
      ops.sample(out, logits, key, params, nil, 0, 5, 5, 0)
    end)
    kernels.refuses('sample: minimum is -1, expected 0 to 2147483647', function()
      ops.sample(out, logits, key, params, nil, 0, 5, -1, -1)
    end)
    kernels.refuses('sample: group is -1, expected 0 to 1048576', function()
      ops.sample(out, logits, key, params, nil, -1, 5, -1, 0)
    end)
  end)

  it('other dtypes and released tensors', function()
    kernels.refuses('sample: out is f32, expected i32', function()
      ops.sample(ag.zeros(be, {2}), logits, key, params, nil, 0, 5, -1, 0)
    end)
    kernels.refuses('sample: logits is bf16, expected f32', function()
      ops.sample(out, logits:to('bf16'), key, params, nil, 0, 5, -1, 0)
    end)
    local gone = ag.zeros(be, {2, 4})
    gone:release()
    kernels.refuses('sample: params has been released', function()
      ops.sample(out, logits, key, gone, nil, 0, 5, -1, 0)
    end)
  end)

  it('an output in its keys', function()
    kernels.refuses('sample: out overlaps key', function()
      ops.sample(key:select(2, 1), logits, key, params, nil, 0, 5, -1, 0)
    end)
  end)
end)
