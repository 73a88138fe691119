-- embedding: rows by id, sums over groups, ids that are not in the table, refusals.

local ag = require 'argent'
local ffi = require 'ffi'
local kernels = require 'support.kernels'
local lib = require 'argent.ffi'
local ops = ag.ops

for _, k in ipairs(kernels.all()) do
  describe('embedding on ' .. k.isa, function()
    if k.missing then
      pending(k.missing)
      return
    end
    local be = k.be[2]
    local table_ = ag.tensor(be, {{1, 2}, {3, 4}, {5, 6}})

    it('gives the rows of the ids', function()
      local out = ag.zeros(be, {4, 2}):fill(9)
      ops.embedding(out, table_, ag.tensor(be, {2, 0, 0, 1}, 'i32'), 0)
      assert.near({{5, 6}, {1, 2}, {1, 2}, {3, 4}}, out)
    end)

    it('adds them to what is there', function()
      local out = ag.tensor(be, {{10, 20}, {30, 40}})
      ops.embedding(out, table_, ag.tensor(be, {1, 2}, 'i32'), 1)
      assert.near({{13, 24}, {35, 46}}, out)
    end)

    it('sums over groups, each with its own table', function()
      local tables = ag.tensor(be, {
        {{1, 2}, {3, 4}}, {{10, 20}, {30, 40}}, {{100, 200}, {300, 400}},
      })
      local ids, out = ag.tensor(be, {{0, 1, 0}, {1, 1, 1}}, 'i32'), ag.zeros(be, {2, 2})
      ops.embedding(out, tables, ids, 0)
      assert.near({{131, 242}, {333, 444}}, out)
      ops.embedding(out, tables, ids, 1)
      assert.near({{262, 484}, {666, 888}}, out)
    end)

    for _, dtype in ipairs {'f32', 'bf16'} do
      it('is exact at odd sizes with a table in ' .. dtype, function()
        -- T, G, V, n
        for i, s in ipairs {{1, 1, 1, 1}, {1, 1, 5, 31}, {7, 1, 3, 33}, {3, 15, 9, 65},
          {1, 16, 4, 1000}, {40, 2, 11, 700}, {129, 1, 100, 3}} do
          local T, G, V, n = unpack(s)
          local ids, tables
          local out = kernels.agree(k, function(b)
            local rnd, o = kernels.random(i), ag.zeros(b, {T, n})
            tables = kernels.tensor(b, {G, V, n}, rnd, dtype)
            local function id() return math.floor((rnd() + 1) / 2 * V) end
            ids = kernels.tensor(b, {T, G}, id, 'i32')
            local t = G == 1 and tables:select(1, 1) or tables
            local which = G == 1 and ids:select(2, 1) or ids
            return function() ops.embedding(o, t, which, 0) end, o
          end)
          local rows, values, expected = ids:totable(), tables:totable(), {}
          for t = 1, T do
            expected[t] = {}
            for c = 1, n do
              local sum = 0
              for g = 1, G do sum = sum + values[g][rows[t][g] + 1][c] end
              expected[t][c] = sum
            end
          end
          assert.near(expected, out)
        end
      end)
    end

    it('reads tables, ids and outputs with gaps', function()
      local wide = kernels.tensor(be, {9, 50}, kernels.random(1)):narrow(2, 5, 40)
      local ids = ag.tensor(be, {{3, -1}, {8, -1}, {0, -1}}, 'i32'):select(2, 1)
      local out, apart = ag.zeros(be, {3, 44}):narrow(2, 2, 40), ag.zeros(be, {3, 40})
      ops.embedding(out, wide, ids, 0)
      ops.embedding(apart, wide:contiguous(), ids:contiguous(), 0)
      assert.same_bits(apart, out)
    end)

    for _, bad in ipairs {-1, 3, 2147483647, -2147483648} do
      it('says which id is wrong and leaves its row at zero: ' .. bad, function()
        local out, ids = ag.zeros(be, {3, 2}):fill(9), ag.tensor(be, {1, bad, 2}, 'i32')
        local message = ('embedding: id %d (row 1, group 0) is not in its table of 3'):format(bad)
        kernels.refuses(message, function()
          ops.embedding(out, table_, ids, 0)
        end)
        assert.near({{3, 4}, {0, 0}, {5, 6}}, out)
        kernels.refuses(message, function()
          ops.embedding(out, table_, ids, 1)
        end)
        assert.near({{6, 8}, {0, 0}, {10, 12}}, out)
      end)
    end

    it('leaves a row its own fault, where there is a word for it, and serves the others', function()
      local out, words = ag.zeros(be, {4, 2}):fill(9), ag.zeros(be, {4}, 'i32')
      words:narrow(1, 4, 1):fill(2)
      ops.embedding(out, table_, ag.tensor(be, {2, 3, 0, -1}, 'i32'), 0, words)
      assert.near({{5, 6}, {0, 0}, {1, 2}, {0, 0}}, out)
      local w = words:totable()
      assert.same({0, 'ID', 0, 2}, {w[1], ffi.string(lib.ag_fault_name(w[2])), w[3], w[4]})
    end)

    it('names the first of several wrong ids, whatever the workers; a device names one', function()
      local ids = kernels.tensor(be, {300, 2}, function() return 7 end, 'i32')
      for threads = 1, 3 do
        local b = k.be[threads]
        local tables, out = ag.zeros(b, {2, 5, 100}), ag.zeros(b, {300, 100}):fill(1)
        local here = ag.tensor(b, ids:totable(), 'i32')
        local plan = ag.capture(b, function() ops.embedding(out, tables, here, 0) end)
        local ok, err, code = plan:try()
        assert.is_nil(ok)
        local row = k.isa:find 'cuda' and err:match 'row (%d+)' or 0
        local message = 'embedding: id 7 (row %d, group 0) is not in its table of 5'
        assert.equal(message:format(row), err)
        assert.equal('value', code)
        assert.same_bits(ag.zeros(b, {300, 100}), out)
      end
    end)

    it('has no id for an empty table, and nothing to do for no ids', function()
      kernels.refuses('embedding: id 0 (row 0, group 0) is not in its table of 0', function()
        ops.embedding(ag.zeros(be, {1, 2}), ag.zeros(be, {0, 2}), ag.zeros(be, {1}, 'i32'), 0)
      end)
      ops.embedding(ag.zeros(be, {0, 2}), table_, ag.zeros(be, {0}, 'i32'), 0)
      ops.embedding(ag.zeros(be, {1, 0}), ag.zeros(be, {3, 0}), ag.zeros(be, {1}, 'i32'), 0)
    end)
  end)
end

describe('embedding refuses', function()
  local be = ag.backend('cpu', {threads = 1})
  local table_, ids, out = ag.zeros(be, {5, 3}), ag.zeros(be, {2}, 'i32'), ag.zeros(be, {2, 3})

  it('another width or number of rows', function()
    kernels.refuses('embedding: out [2,4] and table [5,3]: 4 != 3', function()
      ops.embedding(ag.zeros(be, {2, 4}), table_, ids, 0)
    end)
    kernels.refuses('embedding: out [2,3] and ids [4]: 2 != 4', function()
      ops.embedding(out, table_, ag.zeros(be, {4}, 'i32'), 0)
    end)
  end)

  it('another number of groups', function()
    kernels.refuses('embedding: table [4,5,3] and ids [2,6]: 4 != 6', function()
      ops.embedding(out, ag.zeros(be, {4, 5, 3}), ag.zeros(be, {2, 6}, 'i32'), 0)
    end)
    kernels.refuses('embedding: ids [2]: expected 2 dimensions', function()
      ops.embedding(out, ag.zeros(be, {4, 5, 3}), ids, 0)
    end)
  end)

  it('ids that are floats, tables that are none, released tensors', function()
    kernels.refuses('embedding: ids is f32, expected i32', function()
      ops.embedding(out, table_, ag.zeros(be, {2}), 0)
    end)
    kernels.refuses('embedding: table is f16, expected f32 or bf16', function()
      ops.embedding(out, table_:to('f16'), ids, 0)
    end)
    local gone = ag.zeros(be, {2}, 'i32')
    gone:release()
    kernels.refuses('embedding: ids has been released', function()
      ops.embedding(out, table_, gone, 0)
    end)
  end)

  it('an output in its table, and an accumulate that is neither 0 nor 1', function()
    kernels.refuses('embedding: out overlaps table', function()
      ops.embedding(table_:narrow(1, 2, 2), table_, ids, 0)
    end)
    kernels.refuses('embedding: accumulate is 2, expected 0 to 1', function()
      ops.embedding(out, table_, ids, 2)
    end)
  end)
end)
