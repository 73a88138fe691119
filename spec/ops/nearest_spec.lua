-- nearest: the closest row of a table, against Lua doubles where the choice is clear; ties, gaps,
-- what is near nothing, refusals.

local ag = require 'argent'
local kernels = require 'support.kernels'
local ops = ag.ops

-- The distances of a row to all rows of a table.
local function distances(x, rows)
  local d = {}
  for i, row in ipairs(rows) do
    d[i] = 0
    for c, v in ipairs(row) do d[i] = d[i] + (x[c] - v) ^ 2 end
  end
  return d
end

for _, k in ipairs(kernels.all()) do
  describe('nearest on ' .. k.isa, function()
    if k.missing then
      pending(k.missing)
      return
    end
    local be = k.be[2]

    it('names the closest row', function()
      local rows = ag.tensor(be, {{0, 0}, {10, 0}, {0, 10}})
      local out = ag.zeros(be, {4}, 'i32')
      ops.nearest(out, ag.tensor(be, {{1, 2}, {6, 5}, {-3, 100}, {5.5, 0}}), rows)
      assert.near({0, 1, 2, 1}, out)
    end)

    it('takes the first of equally near rows', function()
      local rows = ag.tensor(be, {{5}, {1}, {3}, {1}, {3}})
      local out = ag.zeros(be, {3}, 'i32')
      ops.nearest(out, ag.tensor(be, {{2}, {3}, {0}}), rows)
      assert.near({1, 2, 1}, out)
      -- The same entry over and over, more than one stretch of the table long.
      ops.nearest(out, ag.zeros(be, {3, 7}), ag.zeros(be, {100, 7}):fill(0.3))
      assert.near({0, 0, 0}, out)
    end)

    it('is the exact choice at odd sizes', function()
      for i, s in ipairs {{1, 1, 1}, {3, 2, 5}, {7, 17, 31}, {40, 33, 33}, {5, 65, 9},
        {33, 64, 256}, {70, 100, 12}} do
        local T, V, n = unpack(s)
        local x, rows
        local out = kernels.agree(k, function(b)
          local rnd, o = kernels.random(i), ag.zeros(b, {T}, 'i32')
          x, rows = kernels.tensor(b, {T, n}, rnd), kernels.tensor(b, {V, n}, rnd)
          return function() ops.nearest(o, x, rows) end, o
        end):totable()
        x, rows = x:totable(), rows:totable()
        for t = 1, T do
          local d = distances(x[t], rows)
          for e = 1, V do assert(d[out[t] + 1] <= d[e] * (1 + 1e-6) + 1e-12, e) end
        end
      end
    end)

    it('reads and writes with gaps', function()
      local rnd = kernels.random(9)
      local x = kernels.tensor(be, {6, 40}, rnd):narrow(2, 3, 20)
      local rows = kernels.tensor(be, {50, 30}, rnd):narrow(2, 9, 20)
      local codes, packed = ag.zeros(be, {6, 4}, 'i32'):fill(-1), ag.zeros(be, {6}, 'i32')
      ops.nearest(packed, x:contiguous(), rows:contiguous())
      ops.nearest(codes:select(2, 2), x, rows)
      assert.same_bits(packed, codes:select(2, 2):contiguous())
      for _, c in ipairs {1, 3, 4} do
        assert.near({-1, -1, -1, -1, -1, -1}, codes:select(2, c))
      end
    end)

    it('does not pick for a row of NaN or infinities', function()
      local rows, out = ag.zeros(be, {3, 2}), ag.zeros(be, {2}, 'i32')
      for _, bad in ipairs {0 / 0, 1 / 0} do
        local err = 'nearest: row 1 of x is near no row of the table (NaN or infinite values)'
        kernels.refuses(err, function()
          ops.nearest(out, ag.tensor(be, {{1, 2}, {3, bad}}), rows)
        end)
      end
    end)

    it('does nothing for no rows', function()
      ops.nearest(ag.zeros(be, {0}, 'i32'), ag.zeros(be, {0, 3}), ag.zeros(be, {2, 3}))
    end)
  end)
end

describe('nearest refuses', function()
  local be = ag.backend('cpu', {threads = 1})
  local x, rows, out = ag.zeros(be, {5, 3}), ag.zeros(be, {7, 3}), ag.zeros(be, {5}, 'i32')

  it('a table of another width, or an empty one', function()
    kernels.refuses('nearest: x [5,3] and table [7,4]: 3 != 4', function()
      ops.nearest(out, x, ag.zeros(be, {7, 4}))
    end)
    kernels.refuses('nearest: rows of table is 0, expected 1 to 2147483647', function()
      ops.nearest(out, x, ag.zeros(be, {0, 3}))
    end)
  end)

  it('an output of another length, rank or dtype', function()
    kernels.refuses('nearest: out [4] and x [5,3]: 4 != 5', function()
      ops.nearest(ag.zeros(be, {4}, 'i32'), x, rows)
    end)
    kernels.refuses('nearest: out [5,1]: expected 1 dimensions', function()
      ops.nearest(ag.zeros(be, {5, 1}, 'i32'), x, rows)
    end)
    kernels.refuses('nearest: out is f32, expected i32', function()
      ops.nearest(ag.zeros(be, {5}), x, rows)
    end)
  end)
end)
