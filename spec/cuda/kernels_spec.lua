-- The CUDA kernels at the sizes where they change their ways: tiles, slices of a long sum, vectors
-- and what has none, pasts over several blocks. The op specs check the ops themselves; here the CPU
-- is the reference.

local ag = require 'argent'
local card = require 'support.card'
local kernels = require 'support.kernels'

local ops = ag.ops
local cpu = assert(ag.backend('cpu', {threads = 2}))

-- Runs build(be), which returns a tensor, on both and asserts that they agree within `bound` of
-- max(1, |x|).
local function agree(be, bound, what, build)
  local want, got = build(cpu), build(be)
  local x, n = want:host()
  local y = got:host()
  for i = 0, n - 1 do
    local d = math.abs(x[i] - y[i]) / math.max(1, math.abs(x[i]))
    if d ~= d or d > bound then
      error(('%s: element %d: %.9g on the CPU, %.9g here'):format(what, i + 1, x[i], y[i]), 0)
    end
  end
end

for _, kind in ipairs {'cuda-emulated', 'cuda'} do
  describe('a kernel on ' .. kind, function()
    local be, why = card.backend(kind)
    if not be then
      pending(why)
      return
    end

    it('multiplies rows and outputs of any number, sums of any length, f32 and bf16', function()
      local sizes = {
        -- rows, outs, k: a row; pairs; groups; sums of one, two and four warps
        {1, 9, 8}, {1, 130, 1024}, {1, 5, 1032}, {1, 6, 2056}, {1, 3, 4200}, {2, 7, 2056},
        {3, 33, 40}, {4, 12, 24}, {5, 4, 1032}, {8, 21, 2056},
        -- odd widths, without vectors
        {1, 7, 1}, {1, 4, 1031}, {2, 5, 33}, {6, 3, 100}, {11, 18, 33}, {19, 5, 64},
        -- tiles: of one, two, four and eight warps, with rests of each kind
        {9, 16, 8}, {32, 32, 32}, {33, 17, 72}, {64, 40, 264}, {31, 65, 520}, {70, 33, 1032},
        {300, 16, 48},
      }
      for i, s in ipairs(sizes) do
        for _, dtype in ipairs {'f32', 'bf16'} do
          local what = dtype .. ' ' .. table.concat(s, ' x ')
          agree(be, 2e-5 * math.sqrt(s[3]), what, function(b)
            local next = kernels.random(i)
            local x = kernels.tensor(b, {s[1], s[3]}, next)
            local w = kernels.tensor(b, {s[2], s[3]}, next, dtype)
            local bias = i % 2 == 0 and kernels.tensor(b, {s[2]}, next) or nil
            local out = ag.zeros(b, {s[1], s[2]})
            ops.linear(out, x, w, bias)
            return out
          end)
        end
      end
    end)

    it('multiplies what does not begin on 16 bytes, and parts of wider rows', function()
      for _, rows in ipairs {1, 2, 5, 20} do
        for _, first in ipairs {1, 2, 5} do
          agree(be, 1e-4, ('%d rows from column %d'):format(rows, first), function(b)
            local next = kernels.random(first)
            local x = kernels.tensor(b, {rows, 96}, next):narrow(2, first, 64)
            local w = kernels.tensor(b, {40, 96}, next, 'bf16'):narrow(2, first, 64)
            local out = ag.zeros(b, {rows, 50})
            ops.linear(out:narrow(2, 3, 40), x, w, nil)
            return out
          end)
        end
      end
    end)

    it('convolves with strides, dilations and few or many rows', function()
      for i, s in ipairs {
        -- length, channels, outs, taps, dilation, stride
        {12, 16, 20, 7, 1, 1}, {60, 24, 33, 3, 9, 1}, {100, 8, 17, 4, 1, 2}, {90, 40, 64, 7, 3, 1},
        {50, 5, 20, 3, 2, 1}, {9, 64, 48, 2, 1, 1}, {700, 32, 16, 8, 1, 4}, {70, 96, 1, 7, 1, 1},
      } do
        for _, dtype in ipairs {'f32', 'bf16'} do
          agree(be, 2e-4, ('%s conv %s'):format(dtype, table.concat(s, ' ')), function(b)
            local next = kernels.random(i)
            local x = kernels.tensor(b, {s[1], s[2]}, next)
            local w = kernels.tensor(b, {s[3], s[4], s[2]}, next, dtype)
            local T = math.floor((s[1] - (s[4] - 1) * s[5] - 1) / s[6]) + 1
            local out = ag.zeros(b, {T, s[3]})
            ops.conv1d(out, x, w, kernels.tensor(b, {s[3]}, next), s[5], s[6])
            return out
          end)
        end
      end
    end)

    it('attends to pasts of any length: one block, several, a ring, heads of any width', function()
      for i, s in ipairs {
        -- rows, heads, of keys, width, capacity, window, position, steps, places of a block
        {1, 4, 2, 16, 64, 0, 63, 1}, {1, 4, 2, 16, 65, 0, 64, 1}, {2, 4, 2, 128, 700, 0, 600, 1},
        {1, 2, 2, 8, 2000, 0, 1037, 1}, {1, 2, 1, 130, 300, 0, 210, 1}, {1, 2, 1, 6, 90, 0, 70, 1},
        {1, 1, 1, 512, 140, 0, 130, 1}, {1, 2, 2, 16, 80, 72, 500, 1}, {3, 2, 2, 12, 20, 5, 3, 4},
        {1, 2, 1, 32, 200, 0, 100, 50}, {2, 8, 2, 64, 512, 0, 511, 1}, {1, 2, 2, 16, 600, 0, 0, 1},
        {2, 4, 2, 64, 768, 0, 700, 1, 256}, {1, 2, 1, 16, 64, 0, 40, 20, 16},
        -- rings at the end of what a position can be, and a little beyond
        {2, 4, 2, 16, 700, 690, 2147483600, 1}, {2, 2, 1, 16, 80, 64, 2147483654, 8},
      } do
        agree(be, 1e-5, 'attention ' .. table.concat(s, ' '), function(b)
          local R, H, K, d, capacity, T = s[1], s[2], s[3], s[4], s[5], s[8]
          local next = kernels.random(i)
          local q = kernels.tensor(b, {R, T, H, d}, next)
          local blocks = s[9] and capacity / s[9] or 1
          local k = kernels.tensor(b, {R, blocks, capacity / blocks, K, d}, next)
          local v = kernels.tensor(b, {R, blocks, capacity / blocks, K, d}, next)
          local pos, out = ag.zeros(b, {R}, 'i32'), ag.zeros(b, {R, T, H, d})
          for r = 1, R do pos:narrow(1, r, 1):fill(math.max(0, s[7] - T + 1 - (r - 1) * 37)) end
          for _ = 1, 2 do ops.attention(out, q, k, v, pos, 2 / d, s[6]) end
          return out
        end)
      end
    end)

    it('attends to keys that do not begin on 16 bytes, to the bits of those that do', function()
      local function attend(b, odd)
        local next = kernels.random(3)
        local q = kernels.tensor(b, {2, 1, 4, 16}, next)
        local pos, out = ag.tensor(b, {40, 99}, 'i32'), ag.zeros(b, {2, 1, 4, 16})
        local caches = {}
        for i = 1, 2 do
          caches[i] = ag.zeros(b, {2, 1, 128, 2, odd and 19 or 16}):narrow(5, odd and 2 or 1, 16)
          caches[i]:copy(kernels.tensor(b, {2, 1, 128, 2, 16}, next))
        end
        ops.attention(out, q, caches[1], caches[2], pos, 0.25, 0)
        return out
      end
      assert.same_bits(attend(be, false), attend(be, true))
      agree(be, 1e-5, 'attention', function(b) return attend(b, true) end)
    end)

    it('draws the ids that the CPU draws, whatever is on', function()
      local settings = {
        {0, 0, 1, 1}, {1, 0, 1, 1}, {0.9, 50, 1, 1.05}, {1, 1, 1, 1}, {1.3, 0, 0.8, 1},
        {0.7, 40, 0.9, 1.1}, {1, 0, 0, 1}, {1, 7, 0.5, 2}, {2, 0, 0.999, 1}, {1e-30, 5, 0.5, 1},
      }
      for _, vocab in ipairs {1, 2, 31, 129, 700, 3072, 5000} do
        for seed, setting in ipairs(settings) do
          local function draw(b)
            local next = kernels.random(vocab + seed)
            local coarse = seed % 2 == 0 -- many equal logits
            local logits = kernels.tensor(b, {2, vocab}, function()
              return coarse and math.floor(next() * 4) or next() * 8
            end)
            local key = ag.tensor(b, {{seed, 1, 5, 0}, {seed, 2, 9, 3}}, 'i32')
            local params = ag.tensor(b, {setting, setting})
            local out, seen = ag.zeros(b, {2}, 'i32'), ag.zeros(b, {2, vocab}, 'i32')
            local list = {}
            for n = 1, 4 do
              ops.sample(out, logits, key, params, seen, n, vocab, -1, 0)
              for _, id in ipairs(out:totable()) do list[#list + 1] = id end
            end
            return list
          end
          assert.same(draw(cpu), draw(be), ('vocabulary %d, setting %d'):format(vocab, seed))
        end
      end
    end)
  end)
end
