-- The backbone's contract: what forward returns, how sessions continue, grow, forget and fill up.
-- Values against the official implementation are in spec/qwen3_tts/golden_spec.lua; here are the
-- equivalences, bit for bit, on the networks of the golden models.

local ag = require 'argent'
local Backbone = require 'argent.nn.backbone'
local compare = require 'support.compare'
local golden = require 'support.golden'
local tensor = require 'argent.tensor'
local weights = require 'argent.weights'

local isas = {}
for _, name in ipairs(require('argent.backend').isas()) do
  isas[#isas + 1] = {name = name, be = ag.backend('cpu', {threads = 2, isa = name})}
end

-- Rows of numbers in [-1, 1] that a reader can repeat: a linear congruential generator.
local function rows(be, shape, seed)
  local n, values, x = 1, {}, seed or 1
  for _, d in ipairs(shape) do n = n * d end
  for i = 1, n do
    x = (x * 1664525 + 1013904223) % 2 ^ 31
    values[i] = x / 2 ^ 30 - 1
  end
  return ag.tensor(be, values):view(shape)
end

local function config(cfg, changes)
  local c = {}
  for k, v in pairs(cfg) do c[k] = v end
  for k, v in pairs(changes or {}) do c[k] = v end
  return c
end

-- The talker's backbone of a golden model, with changes to its config.
local function load(be, model, changes)
  local cfg = assert(require('argent.qwen3_tts.config').read(model.model)).talker
  local w = assert(weights.open(model.model, {backend = be}))
  local plain = config(cfg, changes)
  return assert(weights.build(function() return Backbone.load(be, plain, w:scope 'talker.model.',
    'f32') end))
end

local function join(be, parts)
  local shape = parts[1].shape
  local n, at = 0, 0
  for _, p in ipairs(parts) do n = n + #p end
  local out = tensor.zeros(be, {n, shape[#shape]})
  for _, p in ipairs(parts) do
    out:narrow(1, at + 1, #p):copy(p)
    at = at + #p
  end
  return out
end

for _, isa in ipairs(isas) do
  describe('backbone on ' .. isa.name, function()
    if not isa.be then
      pending('this CPU lacks ' .. isa.name)
      return
    end
    local be = isa.be
    for _, model in ipairs(golden.models()) do
      describe('of ' .. model.name, function()
        local bb, D

        setup(function()
          bb = load(be, model)
          D = bb.cfg.hidden_size
        end)

        it('gives the same bits for one prefill, two prefills, and single steps', function()
          local T = 75 -- more than one internal chunk
          local x = rows(be, {T, D})
          local whole = bb:session {}
          local expected = assert(bb:forward(whole, x))
          assert.equal(T, whole.pos)
          for _, cut in ipairs {1, 13, 64, 74} do
            local s = bb:session {}
            local a = assert(bb:forward(s, x:narrow(1, 1, cut)))
            local b = assert(bb:forward(s, x:narrow(1, cut + 1, T - cut)))
            assert.equal(T, s.pos)
            assert.is_true(compare.same_bits(expected, join(be, {a, b})))
          end
          local s, steps = bb:session {capacity = 1}, {}
          for t = 1, T do steps[t] = assert(bb:forward(s, x:narrow(1, t, 1))) end
          assert.is_true(compare.same_bits(expected, join(be, steps)))
        end)

        it('gives the same bits for rows together as for each row alone', function()
          local x = rows(be, {3, 9, D}, 5)
          local together = assert(bb:forward(bb:session {rows = 3}, x))
          assert.same({3, 9, D}, together.shape)
          for r = 1, 3 do
            local alone = assert(bb:forward(bb:session {}, x:select(1, r)))
            assert.is_true(compare.same_bits(alone, together:select(1, r)))
          end
        end)

        it('prefills rows of unequal length one by one and then steps them together', function()
          local lengths = {4, 11, 1}
          local s, alone, inputs = bb:session {rows = 3}, {}, {}
          for r, n in ipairs(lengths) do
            inputs[r] = rows(be, {n, D}, r)
            alone[r] = bb:session {}
            local a = assert(bb:forward(alone[r], inputs[r]))
            assert.is_true(compare.same_bits(a, assert(bb:forward(s, inputs[r], {row = r}))))
          end
          assert.same(lengths, s.pos)
          local x = rows(be, {3, 1, D}, 9)
          local h = assert(bb:forward(s, x))
          for r = 1, 3 do
            assert.is_true(compare.same_bits(assert(bb:forward(alone[r], x:select(1, r))),
              h:select(1, r)))
          end
          assert.same({5, 12, 2}, s.pos)
        end)

        it('keeps keys and values in bf16 where asked: half the memory, nearly the same states',
          function()
          local x, T = rows(be, {75, D}, 5), 75
          local exact, half = bb:session {}, bb:session {dtype = 'bf16'}
          collectgarbage()
          collectgarbage()
          local live = be.live_bytes
          assert(exact:ensure(T))
          local of_f32 = be.live_bytes - live
          assert(half:ensure(T))
          assert.equal(of_f32 / 2, be.live_bytes - live - of_f32)
          local a, b = assert(bb:forward(exact, x)), assert(bb:forward(half, x))
          assert.is_true(compare.relative(a, b) < 5e-3)
          assert.is_false(compare.same_bits(a, b))
          -- And the equivalences hold there, too.
          local s, steps = bb:session {dtype = 'bf16'}, {}
          for t = 1, T do steps[t] = assert(bb:forward(s, x:narrow(1, t, 1))) end
          assert.is_true(compare.same_bits(b, join(be, steps)))
          local fork = assert(s:fork())
          local h = assert(bb:forward(s, x:narrow(1, 1, 1)))
          assert.is_true(compare.same_bits(h, assert(bb:forward(fork, x:narrow(1, 1, 1)))))
          assert.has_error(function() s:copy(exact) end, 'copy: the other session: it is of '
            .. 'another network, or its blocks are of another size or dtype')
        end)

        it('forgets everything on reset and frees nothing', function()
          local s, x = bb:session {}, rows(be, {7, D}, 3)
          local first = assert(bb:forward(s, x))
          collectgarbage() -- what other specs left behind is not freed by reset
          collectgarbage()
          local live = be.live_bytes
          s:reset()
          assert.equal(0, s.pos)
          assert.equal(live, be.live_bytes)
          assert.is_true(compare.same_bits(first, assert(bb:forward(s, x))))
        end)

        it('replays a captured step with the bits of the eager one', function()
          local x = rows(be, {12, D}, 8)
          local eager, s = bb:session {}, bb:session {}
          local a, b = assert(bb:forward(eager, x:narrow(1, 1, 4))), assert(bb:forward(s,
            x:narrow(1, 1, 4)))
          assert.is_true(compare.same_bits(a, b))
          local input, out = tensor.zeros(be, {1, 1, D}), tensor.zeros(be, {1, 1, D})
          local plan = ag.capture(be, function() bb:step(s, out, input) end)
          for t = 5, 12 do
            input:copy(x:narrow(1, t, 1):view(1, 1, D))
            plan:run()
            assert.is_true(compare.same_bits(assert(bb:forward(eager, x:narrow(1, t, 1))), out))
          end
        end)

        it('says which length was wrong and what was expected', function()
          local s = bb:session {}
          local _, err = pcall(function() local h = bb:forward(s, rows(be, {2, D
            + 1})) return h end)
          assert.truthy(err:find(('forward: x [2, %d]: expected [T, %d]'):format(D + 1, D), 1,
            true))
          assert.truthy(err:find('backbone_spec.lua', 1, true))
          _, err = pcall(function() local h = bb:forward(bb:session {rows = 2}, rows(be, {3,
            D})) return h end)
          assert.truthy(err:find(('expected [2, T, %d]'):format(D), 1, true))
        end)
      end)
    end

    it('grows beyond its first capacity without changing a bit, and is full at the maximum',
      function()
      local model = golden.models()[1]
      local bb = load(be, model, {max_position_embeddings = 600})
      local D = bb.cfg.hidden_size
      local x = rows(be, {600, D}, 4)
      local small, large = bb:session {capacity = 1}, bb:session {capacity = 600}
      collectgarbage() -- so that what was dead before is not counted as freed now
      collectgarbage()
      local live = be.live_bytes
      local a = assert(bb:forward(small, x))
      assert.is_true(compare.same_bits(a, assert(bb:forward(large, x))))
      assert.is_true(be.live_bytes > live)
      local h, err, code = bb:forward(small, x:narrow(1, 1, 1))
      assert.is_nil(h)
      assert.equal('session full: 601 positions wanted, the model has 600', err)
      assert.equal('capacity', code)
      assert.equal(600, small.pos)
    end)

    it('sees no further back than a sliding window, however the input is cut', function()
      local model = golden.models()[1]
      local window = 5
      local bb = load(be, model, {sliding_window = window, num_hidden_layers = 1})
      local D, T = bb.cfg.hidden_size, 150
      local x = rows(be, {T, D}, 6)
      local expected = assert(bb:forward(bb:session {}, x))
      local s, parts, at = bb:session {chunk = 7}, {}, 0
      for _, n in ipairs {1, 3, 20, 64, 62} do
        parts[#parts + 1] = assert(bb:forward(s, x:narrow(1, at + 1, n)))
        at = at + n
      end
      assert.is_true(compare.same_bits(expected, join(be, parts)))
      -- The keys before the window do not matter: only positions do, and rotations are relative, so
      -- a late start agrees within rounding.
      local late = bb:session {}
      local first = T - window
      assert(bb:forward(late, rows(be, {first, D}, 77)))
      local h = assert(bb:forward(late, x:narrow(1, first + 1, window)))
      assert.is_true(compare.same_bits(expected:narrow(1, T, 1), h:narrow(1, window, 1)))
    end)
  end)
end

describe('backbone', function()
  it('agrees with one thread and two, bit for bit, and between instruction sets within 1e-5',
    function()
    for _, model in ipairs(golden.models()) do
      local reference
      for _, isa in ipairs(isas) do
        if isa.be then
          local results = {}
          for threads = 1, 2 do
            local be = assert(ag.backend('cpu', {threads = threads, isa = isa.name}))
            local bb = load(be, model)
            results[threads] = assert(bb:forward(bb:session {}, rows(be, {33, bb.cfg.hidden_size},
              2)))
          end
          assert.is_true(compare.same_bits(results[1], results[2]))
          reference = reference or results[1]
          assert.is_true(compare.relative(reference, results[1]) <= 1e-5)
        end
      end
    end
  end)
end)
