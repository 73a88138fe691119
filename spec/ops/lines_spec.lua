-- The ops on lines (map, combine, where, reduce, softmax, cumsum, sort, gather, random): values
-- against Lua doubles at odd sizes and strides, planned and on any number of workers; refusals. NaN
-- and the names that scripts use are in spec/tensor/.

local ag = require 'argent'
local kernels = require 'support.kernels'
local philox = require 'support.philox'
local ops = ag.ops

local NAN, INF = 0 / 0, 1 / 0

-- Shapes with long lines, short ones, none, and single elements; a turned one has strides.
local SHAPES = {{5, 67}, {3, 4, 5}, {2, 130}, {67, 1}, {0, 3}, {3, 0}, {7}, {}}

local function turned(t)
  local n = t:dim()
  return n < 2 and t or t:transpose(1, n):clone():transpose(1, n)
end

-- The elements of a tensor as a list.
local function flat(t) return t:contiguous():view(-1):totable() end

-- Lines of a tensor as lists.
local function lines(t)
  local list, n = flat(t), t:size(t:dim())
  local r = {}
  for i = 1, #list do
    local line = math.ceil(i / n)
    r[line] = r[line] or {}
    table.insert(r[line], list[i])
  end
  return r
end

-- op(out, inputs...) on every shape, packed and with strides, against fn of the elements.
local function each(k, inputs, op, fn, number)
  for i, shape in ipairs(SHAPES) do
    for _, lay in ipairs {function(t) return t end, turned} do
      local lists = {kernels.agree(k, function(be)
        local next, list, o = kernels.random(i), {}, lay(ag.zeros(be, shape))
        for j = 1, inputs do
          list[j] = lay(kernels.tensor(be, shape, function() return number(next()) end))
        end
        return function() op(o, unpack(list)) end, o, unpack(list)
      end)}
      for j, t in ipairs(lists) do lists[j] = flat(t) end
      local out = table.remove(lists, 1)
      local want = {}
      for e = 1, #lists[1] do
        local args = {}
        for j = 1, inputs do args[j] = lists[j][e] end
        want[e] = fn(unpack(args))
      end
      assert.near(want, out, 1e-6, 2e-6)
    end
  end
end

local function truth(b) return b and 1 or 0 end

-- op(out, x) along lines, whose outputs have the size last(n), against fn of a line.
local function along(k, op, fn, last, dtype)
  for i, shape in ipairs {{5, 67}, {3, 4, 5}, {67, 1}, {0, 3}, {7}} do
    local n = shape[#shape]
    local x
    local out = kernels.agree(k, function(be)
      local size = {unpack(shape)}
      size[#size] = last(n)
      local o = turned(ag.zeros(be, size, dtype))
      x = turned(kernels.tensor(be, shape, kernels.random(i)))
      return function() op(o, x) end, o
    end)
    local want = {}
    for r, line in ipairs(lines(x)) do want[r] = fn(line) end
    assert.near(want, lines(out), 1e-6, 2e-6)
  end
end

-- They are plain C on every instruction set (lua/argent/doctor.lua, FAST), so one stands for all.
local on = {}
for _, k in ipairs(kernels.all()) do
  if k.isa == 'plain' or k.missing or k.be[1].kind ~= 'cpu' then on[#on + 1] = k end
end

for _, k in ipairs(on) do
  describe('on ' .. k.isa, function()
    if k.missing then
      pending(k.missing)
      return
    end
    local be = k.be[2]

    it('map computes functions of each element', function()
      local fns = {exp = math.exp, log = math.log, sqrt = math.sqrt, abs = math.abs}
      for how, fn in pairs(fns) do
        each(k, 1, function(o, x) ops.map(o, x, how) end, fn, function(v)
          return (how == 'log' or how == 'sqrt') and v + 1.5 or v * 3
        end)
      end
      local out = ag.zeros(be, {4})
      ops.map(out, ag.tensor(be, {-1, 0, INF, NAN}), 'log')
      assert.near({NAN, -INF, INF, NAN}, out)
    end)

    it('map makes f32 of integers', function()
      local out = ag.zeros(be, {3})
      ops.map(out, ag.tensor(be, {-7, 0, 2 ^ 24}, 'i32'), 'float')
      assert.near({-7, 0, 2 ^ 24}, out)
      ops.map(out, ag.tensor(be, {-128, 5, 127}, 'i8'), 'float')
      assert.near({-128, 5, 127}, out)
      ops.map(out, ag.tensor(be, {0, 128, 255}, 'u8'), 'float')
      assert.near({0, 128, 255}, out)
    end)

    it('combine computes functions of two elements', function()
      local fns = {
        div = function(a, b) return a / b end, pow = function(a, b) return a ^ b end,
        eq = function(a, b) return truth(a == b) end, ne = function(a, b) return truth(a ~= b) end,
        gt = function(a, b) return truth(a > b) end, ge = function(a, b) return truth(a >= b) end,
      }
      for how, fn in pairs(fns) do
        each(k, 2, function(o, a, b) ops.combine(o, a, b, how) end, fn, function(v)
          return math.floor(v * 4 + 8) / 4 + 0.25
        end)
      end
    end)

    it('where chooses', function()
      each(k, 3, ops.where, function(m, a, b) return m ~= 0 and a or b end, function(v)
        return v > 0 and v or 0
      end)
    end)

    it('take a stretched input, and their own output', function()
      local x, row = ag.tensor(be, {{1, 2, 4}, {3, 6, 9}}), ag.tensor(be, {1, 2, 4})
      ops.combine(x, x, row:expand(2, 3), 'div')
      assert.near({{1, 1, 1}, {3, 3, 2.25}}, x)
      ops.cumsum(x, x)
      assert.near({{1, 2, 3}, {3, 6, 8.25}}, x)
    end)

    it('reduce sums up, in f64', function()
      local function sum(line, fn)
        local s = 0
        for _, v in ipairs(line) do s = s + fn(v) end
        return s
      end
      local function same(v) return v end
      local function variance(line, less)
        local mean = sum(line, same) / #line
        return sum(line, function(v) return (v - mean) ^ 2 end) / (#line - less)
      end
      local fns = {
        sum = function(l) return sum(l, same) end,
        mean = function(l) return sum(l, same) / #l end,
        norm = function(l) return math.sqrt(sum(l, function(v) return v * v end)) end,
        var = function(l) return variance(l, 1) end,
        var_biased = function(l) return variance(l, 0) end,
      }
      for how, fn in pairs(fns) do
        along(k, function(o, x) ops.reduce(o, x, how) end, function(l) return {fn(l)} end,
          function() return 1 end)
      end
      -- In f32 the small numbers would be lost.
      local big = ag.zeros(be, {1, 1001}):fill(1)
      big:narrow(2, 1, 1):fill(2 ^ 24)
      local out = ag.zeros(be, {1, 1})
      ops.reduce(out, big, 'sum')
      assert.equal(2 ^ 24 + 1000, out:item())
      local none = ag.zeros(be, {2, 0})
      out = ag.zeros(be, {2, 1}):fill(7)
      ops.reduce(out, none, 'sum')
      assert.near({{0}, {0}}, out)
      ops.reduce(out, none, 'mean')
      assert.near({{NAN}, {NAN}}, out)
    end)

    it('softmax and cumsum go along', function()
      for log = 0, 1 do
        along(k, function(o, x) ops.softmax(o, x, log) end, function(l)
          local sum, r = 0, {}
          for _, v in ipairs(l) do sum = sum + math.exp(v) end
          for i, v in ipairs(l) do
            r[i] = log == 1 and v - math.log(sum) or math.exp(v) / sum
          end
          return r
        end, function(n) return n end)
      end
      along(k, ops.cumsum, function(l)
        local sum, r = 0, {}
        for i, v in ipairs(l) do
          sum = sum + v
          r[i] = sum
        end
        return r
      end, function(n) return n end)
      local far = ag.tensor(be, {{1000, 1001}, {-1000, -1001}})
      ops.softmax(far, far, 0)
      assert.near({{0.2689414213699951, 0.7310585786300049},
        {0.7310585786300049, 0.2689414213699951}}, far, 0, 1e-6)
    end)

    it('sort puts the first k in order, and says where they were', function()
      for i, n in ipairs {1, 2, 31, 64} do
        for _, k_of in ipairs {1, 5, n} do
          if k_of <= n then
            for descending = 0, 1 do
              local x
              local out, ids = kernels.agree(k, function(b)
                local next = kernels.random(i)
                -- Of few values, so that many are equal.
                x = turned(kernels.tensor(b, {3, n}, function()
                  return math.floor(next() * 9)
                end))
                local o = turned(ag.zeros(b, {3, k_of}))
                local d = turned(ag.zeros(b, {3, k_of}, 'i32'))
                return function() ops.sort(o, d, x, descending, 1) end, o, d
              end)
              local want, places = {}, {}
              for r, line in ipairs(lines(x)) do
                local order = {}
                for j = 1, n do order[j] = j end
                table.sort(order, function(p, q)
                  if line[p] ~= line[q] then return (line[p] < line[q]) == (descending == 0) end
                  return p < q
                end)
                want[r], places[r] = {}, {}
                for j = 1, k_of do want[r][j], places[r][j] = line[order[j]], order[j] end
              end
              assert.near(want, lines(out))
              assert.near(places, lines(ids))
            end
          end
        end
      end
    end)

    it('gather picks elements of any dtype by their index', function()
      for _, dtype in ipairs {'f32', 'bf16', 'i32', 'u8'} do
        local out = kernels.agree(k, function(b)
          local x = ag.tensor(b, {{1, 2, 3}, {4, 5, 6}}, dtype)
          local o = ag.zeros(b, {4, 2}, dtype):transpose(1, 2)
          local ids = ag.tensor(b, {{2, 2, 0, 1}, {0, 1, 2, 0}}, 'i32')
          return function() ops.gather(o, x, ids, 0) end, o
        end)
        assert.near({{3, 3, 1, 2}, {4, 5, 6, 4}}, out)
      end
    end)

    it('gather names an index that is not there', function()
      for _, id in ipairs {0, 4, -1} do
        local x, ids = ag.zeros(be, {2, 3}), ag.tensor(be, {{1}, {id}}, 'i32')
        local out = ag.zeros(be, {2, 1})
        local want = ('gather: id %d (line 1) is not one of 1 to 3'):format(id)
        kernels.refuses(want, function() ops.gather(out, x, ids, 1) end)
        local plan = ag.capture(be, function() ops.gather(out, x, ids, 1) end)
        local ok, err, code = plan:try()
        assert.is_nil(ok)
        assert.same({want, 'value'}, {err, code})
      end
    end)

    it('random draws by Philox: uniform words, normal pairs', function()
      local seed, stream, draw = {123, 456}, 9, 3
      for normal = 0, 1 do
        local out = kernels.agree(k, function(b)
          local o = turned(ag.zeros(b, {5, 67}))
          local key = ag.tensor(b, {seed[1], seed[2], draw, stream}, 'i32')
          return function() ops.random(o, key, normal) end, o
        end)
        local want = {}
        for i = 0, 5 * 67 - 1 do
          local words = philox.words({math.floor(i / 4), draw, stream, 1}, seed)
          local u = {}
          for j = 1, 4 do u[j] = math.floor(words[j] / 256) / 2 ^ 24 end
          if normal == 0 then
            want[i + 1] = u[i % 4 + 1]
          else
            local pair = math.floor(i % 4 / 2) * 2
            local radius = math.sqrt(-2 * math.log(1 - u[pair + 1]))
            local angle = 2 * math.pi * u[pair + 2]
            want[i + 1] = radius * (i % 2 == 0 and math.cos(angle) or math.sin(angle))
          end
        end
        assert.near(want, flat(out), 1e-6, 1e-6)
      end
    end)
  end)
end

describe('refused:', function()
  local be = ag.backend('cpu', {threads = 1})
  local x, ids = ag.zeros(be, {2, 3}), ag.zeros(be, {2, 3}, 'i32')

  it('names, shapes, dtypes, outputs that are inputs', function()
    kernels.refuses("map: how: expected one of exp, log, sqrt, abs, float, got string 'sin'",
      function() ops.map(x, x, 'sin') end)
    kernels.refuses('reduce: how: expected one of sum, mean, var, var_biased, norm, got 1',
      function() ops.reduce(x, x, 1) end)
    kernels.refuses('map: x is i32, expected f32', function() ops.map(x, ids, 'exp') end)
    kernels.refuses('combine: a [2,3] and b [3]: the shapes differ', function()
      ops.combine(x, x, ag.zeros(be, {3}), 'div')
    end)
    kernels.refuses('where: mask is i32, expected f32', function() ops.where(x, ids, x, x) end)
    kernels.refuses('reduce: the last dimension of out is 3, expected 1 to 1', function()
      ops.reduce(ag.zeros(be, {2, 3}), x, 'sum')
    end)
    kernels.refuses('reduce: out [1,1] and x [2,3]: all dimensions but the last must be the same',
      function() ops.reduce(ag.zeros(be, {1, 1}), x, 'sum') end)
    kernels.refuses('softmax: how is 2, expected 0 to 1', function() ops.softmax(x, x, 2) end)
    kernels.refuses('sort: the last dimension of out is 4, expected 0 to 3', function()
      ops.sort(ag.zeros(be, {2, 4}), ag.zeros(be, {2, 4}, 'i32'), x, 0, 0)
    end)
    kernels.refuses('sort: out overlaps x', function() ops.sort(x, ids, x, 0, 0) end)
    kernels.refuses('gather: out is f32, expected i32', function() ops.gather(x, ids, ids, 0) end)
    kernels.refuses('gather: ids is f32, expected i32', function()
      ops.gather(ag.zeros(be, {2, 3}), x, x, 0)
    end)
    kernels.refuses('combine: out holds an element more than once', function()
      ops.combine(ag.zeros(be, {3}):expand(2, 3), x, x, 'gt')
    end)
    kernels.refuses('random: elements of key is 3, expected 4 to 4', function()
      ops.random(x, ag.zeros(be, {3}, 'i32'), 0)
    end)
  end)
end)
