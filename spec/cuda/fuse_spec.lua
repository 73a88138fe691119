-- Launches that stand for several ops of a plan: fewer of them, the same bits.

local ag = require 'argent'
local card = require 'support.card'
local ffi = require 'ffi'
local golden = require 'support.golden'
local kernels = require 'support.kernels'
local speech = require 'support.speech'

local ops = ag.ops

-- A decoder layer of width D over a cache, as lua/argent/nn builds it: its tensors and its ops.
local function layer(be, R, T, dtype)
  local D, H, K, d, I = 32, 4, 2, 16, 48
  local next = kernels.random(R * 7 + T)
  local function t(...) return kernels.tensor(be, {...}, next) end
  local function w(...) return kernels.tensor(be, {...}, next, dtype) end
  local l = {
    x = t(R, T, D), n = t(R, T, D), branch = t(R, T, D), q = t(R, T, H * d), k = t(R, T, K * d),
    v = t(R, T, K * d), gate = t(R, T, I), up = t(R, T, I), angles = t(R, T, d),
    k_cache = t(R, 1, 24, K, d), v_cache = t(R, 1, 24, K, d), pos = ag.zeros(be, {R}, 'i32'),
    wq = w(H * d, D), wk = w(K * d, D), wv = w(K * d, D), wo = w(D, H * d), wg = w(I, D),
    wu = w(I, D), wd = w(D, I), norm = t(D), scale = t(D), head = t(d), inv_freq = t(d / 2),
  }
  l.q4, l.k4, l.v4 = l.q:view(R, T, H, d), l.k:view(R, T, K, d), l.v:view(R, T, K, d)
  function l.step()
    ops.rope_angles(l.angles, l.pos, l.inv_freq)
    ops.rms_norm(l.n, l.x, l.norm, 1e-6, nil, nil)
    ops.linear(l.q, l.n, l.wq, nil)
    ops.linear(l.k, l.n, l.wk, nil)
    ops.linear(l.v, l.n, l.wv, nil)
    ops.rope_append(l.q4, l.k4, l.v4, l.angles, l.pos, l.k_cache, l.v_cache, l.head, l.head, 1e-6)
    ops.attention(l.q4, l.q4, l.k_cache, l.v_cache, l.pos, 0.25, 0)
    ops.linear(l.branch, l.q, l.wo, nil)
    ops.rms_norm(l.n, l.x, l.norm, 1e-6, l.branch, l.scale)
    ops.linear(l.gate, l.n, l.wg, nil)
    ops.linear(l.up, l.n, l.wu, nil)
    ops.silu_mul(l.gate, l.gate, l.up)
    ops.linear(l.branch, l.gate, l.wd, nil)
    ops.advance(l.pos, T, nil)
    ops.rms_norm(l.n, l.x, l.norm, 1e-6, l.branch, nil)
  end
  return l
end

local function all_tensors(l)
  local names, list = {}, {}
  for name, t in pairs(l) do
    if type(t) ~= 'function' then names[#names + 1] = name end
  end
  table.sort(names)
  for i, name in ipairs(names) do list[i] = l[name] end
  return list, names
end

pcall(ffi.cdef, [[
  int setenv(const char *name, const char *value, int overwrite);
  int unsetenv(const char *name);
]])

-- A backend whose launches overlap, as on a card: a kernel's first loads are made before the kernel
-- before it has run, and the process ends where that one writes them.
local function overlapping()
  ffi.C.setenv('ARGENT_PDL', '1', 1)
  local be = assert(ag.backend 'cuda-emulated')
  ffi.C.unsetenv 'ARGENT_PDL'
  return be
end

for _, kind in ipairs {'cuda-emulated', 'cuda-emulated, overlapping', 'cuda'} do
  describe('a plan on ' .. kind, function()
    local be, why
    if kind:find 'overlapping' then be = overlapping() else be, why = card.backend(kind) end
    if not be then
      pending(why)
      return
    end

    it('makes eight launches of the fifteen ops of a decoder layer', function()
      local l = layer(be, 1, 1, 'bf16')
      local plan = ag.capture(be, l.step)
      assert.equal(15, plan.ops)
      -- angles; norm and q, k, v; rope and attention; o and its sum; norm, gate, up and their
      -- product; down and its sum; advance; the last norm
      assert.equal(8, plan.barriers)
    end)

    it('leaves every tensor as the ops one by one do, step after step', function()
      for _, dtype in ipairs {'f32', 'bf16'} do
        for _, shape in ipairs {{1, 1}, {2, 1}, {3, 1}, {1, 2}, {8, 1}, {9, 1}, {1, 12}} do
          local a = layer(be, shape[1], shape[2], dtype)
          local b = layer(be, shape[1], shape[2], dtype)
          local plan = ag.capture(be, b.step)
          for _ = 1, 2 do
            a.step()
            plan:run()
          end
          local want, names = all_tensors(a)
          local got = all_tensors(b)
          for i, t in ipairs(want) do assert.same_bits(t, got[i], names[i]) end
        end
      end
    end)

    it('says which slot an append lacks, though the attention after it has more', function()
      local function heads() return ag.zeros(be, {1, 1, 1, 8}) end
      local q, k, v, angles = heads(), heads(), heads(), ag.zeros(be, {1, 1, 8})
      local kc, vc = ag.zeros(be, {2, 1, 4, 1, 8}), ag.zeros(be, {2, 1, 4, 1, 8})
      local pos, slots = ag.zeros(be, {2}, 'i32'), ag.tensor(be, {1}, 'i32')
      local plan = ag.capture(be, function()
        ops.rope_append(q, k, v, angles, pos:narrow(1, 1, 1), kc:narrow(1, 1, 1),
          vc:narrow(1, 1, 1), nil, nil, 0, slots)
        ops.attention(q, q, kc, vc, pos, 1, 0, slots)
      end)
      local _, err = plan:try()
      assert.equal('row 0 has no slot of that number', err)
    end)

    it('speaks a few frames', function()
      local model = golden.models()[1]
      local function say(backend)
        local tts = assert(ag.qwen3_tts.open(model.model, {backend = backend, dtype = 'f32'}))
        local o = speech.options(model, tts, 'one two', 3)
        o.max_frames = 3
        return assert(tts:say(o)).codes:totable()
      end
      assert.same(say(assert(ag.backend 'cpu')), say(be))
    end)

    -- Pairs of ops that a product could be made of, but for one tensor: the second op needs what
    -- the first has written, or writes what it reads.
    it('keeps apart what shares an input but depends on each other otherwise', function()
      local function tensors()
        local next = kernels.random(5)
        local t = {w = {}, v = {}}
        for _, name in ipairs {'x', 'o', 'p', 'n', 's'} do
          t[name] = kernels.tensor(be, {8, 8}, next)
        end
        for i = 1, 3 do t.w[i] = kernels.tensor(be, {8, 8}, next) end
        for i = 1, 2 do t.v[i] = kernels.tensor(be, {8}, next) end
        return t
      end
      local pairs_of_ops = {
        ['a weight that was an output'] = function(t)
          ops.linear(t.o, t.x, t.w[1], nil)
          ops.linear(t.p, t.x, t.o, nil)
        end,
        ['a weight that becomes an output'] = function(t)
          ops.linear(t.o, t.x, t.w[1], nil)
          ops.linear(t.w[1], t.x, t.w[2], nil)
        end,
        ['a bias that was an output'] = function(t)
          ops.linear(t.o, t.x, t.w[1], nil)
          ops.linear(t.p, t.x, t.w[2], t.o:select(1, 3))
        end,
        ['a bias that becomes an output'] = function(t)
          ops.linear(t.o, t.x, t.w[1], t.p:select(1, 8))
          ops.linear(t.p, t.x, t.w[2], nil)
        end,
        ['the weight of a norm that becomes an output'] = function(t)
          ops.rms_norm(t.n, t.x, t.o:select(1, 8), 1e-6, nil, nil)
          ops.linear(t.o, t.n, t.w[1], nil)
        end,
        ['a norm as input and weight'] = function(t)
          ops.rms_norm(t.n, t.x, t.v[1], 1e-6, nil, nil)
          ops.linear(t.o, t.n, t.n, nil)
        end,
        ['a norm as input and bias'] = function(t)
          ops.rms_norm(t.n, t.x, t.v[1], 1e-6, nil, nil)
          ops.linear(t.o, t.n, t.w[1], t.n:select(1, 2))
        end,
        ['a weight under a norm'] = function(t)
          ops.rms_norm(t.n, t.x, t.v[1], 1e-6, nil, nil)
          ops.linear(t.o, t.n, t.w[1], nil)
          ops.linear(t.p, t.n, t.o, nil)
        end,
        ['the scale of a residual that is the product'] = function(t)
          ops.linear(t.o, t.x, t.w[1], nil)
          ops.rms_norm(t.n, t.s, t.v[1], 1e-6, t.o, t.o:select(1, 1))
        end,
        ['the scale of a residual that is the norm before'] = function(t)
          ops.rms_norm(t.n, t.x, t.v[1], 1e-6, nil, nil)
          ops.linear(t.o, t.n, t.w[1], nil)
          ops.rms_norm(t.p, t.s, t.v[2], 1e-6, t.o, t.n:select(1, 2))
        end,
        ['a residual that is the weight'] = function(t)
          ops.linear(t.o, t.x, t.w[1], nil)
          ops.rms_norm(t.n, t.w[1], t.v[1], 1e-6, t.o, nil)
        end,
        ['a residual that is the bias'] = function(t)
          ops.linear(t.o, t.x, t.w[1], t.s:select(1, 8))
          ops.rms_norm(t.n, t.s, t.v[1], 1e-6, t.o, nil)
        end,
        ['a norm whose weight is its output'] = function(t)
          local row = t.x:narrow(1, 1, 1):view(8)
          ops.rms_norm(t.v[1], row, t.v[1], 1e-6, nil, nil)
          ops.linear(t.o:select(1, 1), t.v[1], t.w[1], nil)
        end,
      }
      for what, fn in pairs(pairs_of_ops) do
        local want, got = tensors(), tensors()
        fn(want)
        ag.capture(be, function() fn(got) end):run()
        for name, t in pairs(want) do
          for i, a in ipairs(type(t) == 'table' and t or {t}) do
            assert.same_bits(a, type(t) == 'table' and got[name][i] or got[name], what)
          end
        end
      end
    end)

    it('waits for what came before it, though its first op has nothing to do', function()
      local next = kernels.random(11)
      local x, w = kernels.tensor(be, {1, 64}, next), kernels.tensor(be, {64, 64}, next)
      local fresh, out = ag.zeros(be, {64, 64}), ag.zeros(be, {1, 64})
      local plan = ag.capture(be, function()
        ops.affine(ag.zeros(be, {0}), ag.zeros(be, {0}), 2, 0)
        ops.linear(out, x, w, nil)
      end)
      local want = ag.zeros(be, {1, 64})
      for i = 1, 3 do
        fresh:fill(i)
        ops.linear(want, x, fresh, nil)
        ops.copy(w, fresh)
        plan:run()
        assert.same_bits(want, out)
      end
    end)

    it('never takes an op past one that it depends on: random plans', function()
      for seed = 1, 400 do
        local rows = ({1, 2, 5, 8, 9})[seed % 5 + 1]
        local function build()
          local next = kernels.random(seed)
          local function pick(list) return list[math.floor((next() + 1) / 2 * #list) + 1] end
          local x, w, v = {}, {}, {}
          for i = 1, 5 do x[i] = kernels.tensor(be, {rows, 16}, next) end
          local dtype = seed % 2 == 0 and 'bf16' or nil
          for i = 1, 3 do w[i] = kernels.tensor(be, {16, 16}, next, dtype) end
          -- One whose rows do not begin on 16 bytes.
          w[4] = kernels.tensor(be, {16, 21}, next, dtype):narrow(2, 2, 16)
          for i = 1, 2 do v[i] = kernels.tensor(be, {16}, next) end
          v[3] = kernels.tensor(be, {17}, next):narrow(1, 2, 16)
          local program = {}
          for i = 1, 14 do
            local a, b, c = pick(x), pick(x), pick(x)
            local m, u = pick(w), pick(v)
            local apart = a ~= b and b ~= c and a ~= c
            -- Biases, norm weights, scales and weights may be what an earlier op has made.
            local row = c:select(1, math.floor((next() + 1) / 2 * rows) + 1)
            local bias = pick {nil, u, row}
            if apart and next() > 0 then u = row end
            local scale = pick {nil, v[1], row}
            local what = pick {'linear', 'linear', 'linear', 'norm', 'norm', 'residual', 'gate',
              'add', 'copy', 'fill', 'half', 'weight', 'made', 'made', 'remade', 'vector'}
            program[i] = function()
              if what == 'linear' and apart then ops.linear(a, b, m, bias)
              elseif what == 'norm' and a ~= b then ops.rms_norm(a, b, u, 1e-6, nil, nil)
              elseif what == 'residual' and apart and u ~= row and scale ~= row then
                ops.rms_norm(a, b, u, 1e-6, c, scale)
              elseif what == 'made' and apart and rows <= 8 then
                ops.linear(a:narrow(2, 1, rows), b, c, nil)
              elseif what == 'remade' and a ~= b and not dtype and m ~= w[4] then
                ops.linear(m:narrow(1, 1, rows), b, m == w[1] and w[2] or w[1], nil)
              elseif what == 'vector' then
                ops.linear(v[2], b:select(1, 1), m, nil)
              elseif what == 'gate' then ops.silu_mul(a, b, c)
              elseif what == 'add' then ops.add(a, b, c, 0.5)
              elseif what == 'copy' and a ~= b then ops.copy(a, b)
              elseif what == 'fill' then ops.fill(a:narrow(2, 3, 5), 0.25)
              elseif what == 'half' and a ~= b then
                ops.linear(a:narrow(2, 1, 8), b, m:narrow(1, 5, 8), nil)
              elseif what == 'weight' then ops.fill(m:narrow(1, 2, 3), 0.125)
              end
            end
          end
          local all = {}
          for _, list in ipairs {x, w, v} do for _, t in ipairs(list) do all[#all + 1] = t end end
          return all, function()
            for _, f in ipairs(program) do f() end
          end
        end
        local want, eager = build()
        local got, planned = build()
        eager()
        ag.capture(be, planned):run()
        for i, t in ipairs(want) do
          assert.same_bits(t, got[i], ('seed %d, tensor %d'):format(seed, i))
        end
      end
    end)
  end)
end
