-- pack_conv1d and packed_conv1d: values against sums in Lua doubles, the same bits in any company,
-- and refusals. On AMX a product keeps 16 bits of both numbers.

local ag = require 'argent'
local kernels = require 'support.kernels'
local ops = ag.ops

-- |error| <= bound * sum |x w|.
local BOUND, AMX_BOUND = 2e-6, 1.2e-5

local function pack(w)
  local be, O, K, C = w.backend, unpack(w.shape)
  local packed = ag.zeros(be, {be:packed_conv1d_size(O, K, C)})
  ops.pack_conv1d(packed, w)
  return packed
end

-- What each output should be, and the sum of the sizes of its terms.
local function sums(x, w, bias, alpha, inv_beta, dilation)
  x, w = x:totable(), w:totable()
  bias = bias and bias:totable()
  if alpha then
    local a, b = alpha:totable(), inv_beta:totable()
    for _, row in ipairs(x) do
      for c = 1, #row do row[c] = row[c] + math.sin(a[c] * row[c]) ^ 2 * b[c] end
    end
  end
  local out, size = {}, {}
  for t = 1, #x - (#w[1] - 1) * dilation do
    out[t], size[t] = {}, {}
    for o = 1, #w do
      local sum, n = bias and bias[o] or 0, bias and math.abs(bias[o]) or 0
      for j, taps in ipairs(w[o]) do
        for c, weight in ipairs(taps) do
          local p = x[t + (j - 1) * dilation][c] * weight
          sum, n = sum + p, n + math.abs(p)
        end
      end
      out[t][o], size[t][o] = sum, n
    end
  end
  return out, size
end

for _, k in ipairs(kernels.all()) do
  describe('on ' .. k.isa, function()
    if k.missing then
      pending(k.missing)
      return
    end
    local be = k.be[2]

    if be.kind ~= 'cpu' then
      it('is refused by name', function()
        assert.equal(0, be:packed_conv1d_size(3, 2, 4))
        local ok, err = pcall(ops.pack_conv1d, ag.zeros(be, {24}), ag.zeros(be, {3, 2, 4}))
        assert.is_false(ok)
        assert.same({"pack_conv1d: backend '" .. be.kind .. "' packs no convolutions",
          'unsupported'}, {err.message, err.code})
      end)
      return
    end

    it('slides its filters over time', function()
      local x = ag.tensor(be, {{1}, {2}, {4}, {8}, {16}})
      local w = pack(ag.tensor(be, {{{1}, {10}}, {{-1}, {1}}}))
      local out = ag.zeros(be, {4, 2})
      ops.packed_conv1d(out, x, w, ag.tensor(be, {0.5, 0}), nil, nil, 2, 1, 0, 0)
      assert.near({{21.5, 1}, {42.5, 2}, {84.5, 4}, {168.5, 8}}, out)
      out = ag.tensor(be, {{1, 1}, {2, 2}, {3, 3}})
      ops.packed_conv1d(out, x, w, nil, nil, nil, 2, 2, 0, 1)
      assert.near({{42, 4}, {84, 8}, {167, 15}}, out)
    end)

    it('is near the exact sums at odd sizes', function()
      -- T, C, O, taps, dilation
      for i, s in ipairs {{1, 1, 1, 1, 1}, {9, 3, 5, 7, 1}, {31, 33, 7, 3, 1}, {40, 31, 33, 7, 3},
        {33, 5, 1, 7, 1}, {70, 64, 40, 7, 9}, {17, 36, 17, 1, 1}, {290, 17, 2, 2, 1},
        {33, 290, 3, 7, 1}, {320, 9, 3, 7, 9}, {600, 100, 2, 7, 1}} do
        local T, C, O, K, D = unpack(s)
        local snake, accumulate, period = i % 3 > 0, i % 2, ({0, 1, 4, 32, 160})[i % 5 + 1]
        local x, w, bias, alpha, inv_beta, before
        local out = kernels.agree(k, function(b)
          local rnd = kernels.random(i)
          x = kernels.tensor(b, {(K - 1) * D + T, C}, rnd)
          w = kernels.tensor(b, {O, K, C}, rnd)
          bias = i % 4 > 0 and kernels.tensor(b, {O}, rnd) or nil
          alpha = snake and kernels.tensor(b, {C}, rnd) or nil
          inv_beta = snake and kernels.tensor(b, {C}, rnd) or nil
          before = kernels.tensor(b, {T, O}, rnd)
          local o, packed = ag.zeros(b, {T, O}), pack(w)
          return function()
            ops.copy(o, before)
            ops.packed_conv1d(o, x, packed, bias, alpha, inv_beta, K, D, period, accumulate)
          end, o
        end):totable()
        local want, size = sums(x, w, bias, alpha, inv_beta, D)
        before = before:totable()
        local bound = k.isa == 'amx' and AMX_BOUND or BOUND
        for t = 1, T do
          for o = 1, O do
            assert.near(want[t][o] + accumulate * before[t][o], out[t][o], bound * (size[t][o] + 1))
          end
        end
      end
    end)

    it('gives chunks of whole periods with their history the bits of one pass', function()
      local rnd = kernels.random(3)
      for _, s in ipairs {{1, 1, {1, 17, 2, 100, 33, 147}}, {9, 1, {1, 17, 2, 100, 33, 147}},
        {1, 4, {4, 16, 280}}, {9, 10, {10, 200, 90}}, {3, 32, {32, 96, 172}}} do
        local D, period, sizes = unpack(s)
        local C, O, K, T = 200, 35, 7, 300
        local past = (K - 1) * D
        local x, w = kernels.tensor(be, {past + T, C}, rnd), kernels.tensor(be, {O, K, C}, rnd)
        local packed, alpha = pack(w), kernels.tensor(be, {C}, rnd)
        local whole = ag.zeros(be, {T, O})
        ops.packed_conv1d(whole, x, packed, nil, alpha, alpha, K, D, period, 0)
        local at = 0
        for _, n in ipairs(sizes) do
          local part = ag.zeros(be, {n, O})
          ops.packed_conv1d(part, x:narrow(1, at + 1, past + n), packed, nil, alpha, alpha, K, D,
            period, 0)
          assert.same_bits(whole:narrow(1, at + 1, n), part)
          at = at + n
        end
      end
    end)

    it('has the bits of one thread, however rows and outputs are dealt out', function()
      -- Parts of several rows and outputs; a part of more rows than are worked on at once.
      for i, s in ipairs {{600, 100, 160, 7, 1}, {250, 1000, 200, 1, 1}, {1300, 40, 70, 3, 2}} do
        local T, C, O, K, D = unpack(s)
        local alone
        for _, threads in ipairs {1, 2, 3, 5} do
          local b = ag.backend('cpu', {threads = threads, isa = k.isa})
          local rnd = kernels.random(i)
          local x = kernels.tensor(b, {(K - 1) * D + T, C}, rnd)
          local w = pack(kernels.tensor(b, {O, K, C}, rnd))
          local alpha, out = kernels.tensor(b, {C}, rnd), kernels.tensor(b, {T, O}, rnd)
          ops.packed_conv1d(out, x, w, nil, alpha, alpha, K, D, 32, 1)
          alone = alone or out
          assert.same_bits(alone, out)
        end
      end
    end)

    it('gives outputs of bf16 weights the same bits beside others that are not', function()
      local rnd = kernels.random(6)
      for T, threads in pairs {[1] = 1, [20] = 2, [70] = 3} do
        local b = ag.backend('cpu', {threads = threads, isa = k.isa})
        local x = kernels.tensor(b, {T + 2, 70}, rnd)
        local bias = kernels.tensor(b, {71}, rnd)
        local narrow = kernels.tensor(b, {71, 3, 70}, rnd):to 'bf16'
        local short = narrow:to 'f32'
        local long = short:clone()
        for _, o in ipairs {32, 70} do -- of two of the three panels, as AMX has them
          long[o]:copy(kernels.tensor(b, {3, 70}, rnd))
        end
        local outs = {}
        for i, w in ipairs {short, long, narrow} do
          outs[i] = ag.zeros(b, {T, 71})
          ops.packed_conv1d(outs[i], x, pack(w), bias, nil, nil, 3, 1, 0, 0)
        end
        assert.same_bits(outs[1], outs[3])
        for first, n in pairs {[1] = 31, [33] = 37, [71] = 1} do
          assert.same_bits(outs[2]:narrow(2, first, n):contiguous(),
            outs[1]:narrow(2, first, n):contiguous())
        end
      end
    end)

    it('reads and writes rows with gaps between them, and of any rank', function()
      local rnd = kernels.random(4)
      local x = kernels.tensor(be, {6, 2, 40}, rnd):narrow(3, 3, 33)
      local w = pack(kernels.tensor(be, {34, 1, 33}, rnd))
      local out, apart = ag.zeros(be, {12, 40}):narrow(2, 4, 34), ag.zeros(be, {6, 2, 34})
      ops.packed_conv1d(out, x, w, nil, nil, nil, 1, 1, 0, 0)
      ops.packed_conv1d(apart, x:contiguous(), w, nil, nil, nil, 1, 1, 0, 0)
      assert.same_bits(apart:view(12, 34), out)
    end)

    it('lets NaN and infinity through, to the rows that see them alone', function()
      local x = ag.zeros(be, {40, 33}):fill(0.5)
      x[5]:narrow(1, 33, 1):set {math.huge}
      ops.add(x[5], x[5], x[5], -1)
      x[30]:narrow(1, 7, 1):set {math.huge}
      local w = pack(kernels.tensor(be, {3, 1, 33}, kernels.random(5)))
      local out = ag.zeros(be, {40, 3})
      ops.packed_conv1d(out, x, w, nil, nil, nil, 1, 1, 0, 0)
      for t, row in ipairs(out:totable()) do
        local finite = row[1] - row[1] == 0
        assert.equal(t ~= 5 and t ~= 30, finite)
      end
    end)

    it('gives no rows for an input shorter than the filter', function()
      local w = pack(ag.zeros(be, {2, 7, 3}))
      ops.packed_conv1d(ag.zeros(be, {0, 2}), ag.zeros(be, {6, 3}), w, nil, nil, nil, 7, 1, 0, 0)
    end)

    it('takes no memory for no rows, however far the filter reaches', function()
      local w = pack(ag.zeros(be, {1, 1024, 100}))
      ops.packed_conv1d(ag.zeros(be, {0, 1}), ag.zeros(be, {6, 100}), w, nil, nil, nil, 1024,
        2 ^ 20, 0, 0)
    end)

    it('refuses what does not fit', function()
      local w = ag.zeros(be, {3, 2, 4})
      local packed = pack(w)
      local function refused(text, out, x, alpha, taps, dilation, accumulate, period)
        kernels.refuses('packed_conv1d: ' .. text, function()
          ops.packed_conv1d(ag.zeros(be, out), ag.zeros(be, x), packed, nil, alpha, nil, taps,
            dilation, period or 0, accumulate)
        end)
      end
      local size = #packed
      kernels.refuses(('pack_conv1d: out [%d]: expected a contiguous [%d]'):format(size - 1, size),
        function() ops.pack_conv1d(packed:narrow(1, 1, size - 1), w) end)
      kernels.refuses('pack_conv1d: w is i32, expected f32 or bf16', function()
        ops.pack_conv1d(packed, ag.zeros(be, {3, 2, 4}, 'i32'))
      end)
      kernels.refuses('pack_conv1d: w must be contiguous', function()
        ops.pack_conv1d(packed, ag.zeros(be, {3, 4, 2}):transpose(2, 3))
      end)
      refused(('w [%d]: expected a contiguous [%d]'):format(size,
        be:packed_conv1d_size(3, 3, 40)), {4, 3}, {6, 40}, nil, 3, 1, 0)
      refused('out [4,3] and x [6,4]: 4 != 5', {4, 3}, {6, 4}, nil, 2, 1, 0)
      refused('alpha and inv_beta belong together', {5, 3}, {6, 4}, ag.zeros(be, {4}), 2, 1, 0)
      refused('taps is 0, expected 1 to 1048576', {5, 3}, {6, 4}, nil, 0, 1, 0)
      refused('dilation is 0, expected 1 to 1048576', {5, 3}, {6, 4}, nil, 2, 0, 0)
      refused('accumulate is 2, expected 0 to 1', {5, 3}, {6, 4}, nil, 2, 1, 2)
      refused('period is -1, expected 0 to 2147483647', {5, 3}, {6, 4}, nil, 2, 1, 0, -1)
      local n = 2 ^ 26 -- n * 4096 * n is 0 in 64 bits
      kernels.refuses(('packed_conv1d: %d outputs, 4096 taps and %d channels are too many'):format(
        n, n), function()
        ops.packed_conv1d(ag.zeros(be, {0, n}), ag.zeros(be, {0, n}), ag.zeros(be, {0}), nil, nil,
          nil, 4096, 1, 0, 0)
      end)
      local x = ag.zeros(be, {6, 3})
      local square = pack(ag.zeros(be, {3, 1, 3}))
      kernels.refuses('packed_conv1d: out overlaps x', function()
        ops.packed_conv1d(x, x, square, nil, nil, nil, 1, 1, 0, 1)
      end)
    end)
  end)
end
