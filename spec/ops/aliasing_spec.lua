-- What an op writes is apart from what it reads: outputs beside `out` too, and within themselves.

local ffi = require 'ffi'
local ag = require 'argent'
local lib = require 'argent.ffi'
local tensor = require 'argent.tensor'

local be = assert(ag.backend('cpu', {threads = 1}))
local ops = ag.ops

local function refused(want, fn)
  local ok, err = pcall(fn)
  assert.is_false(ok, want)
  assert.truthy(err:find(want, 1, true), err)
end

-- A view as C callers can make them.
local function view(t, shape, stride)
  local out = ffi.new('ag_tensor *[1]')
  local n = #shape
  assert(lib.ag_tensor_view(out, t, n, ffi.new('int64_t[?]', n, shape),
    ffi.new('int64_t[?]', n, stride), 0) == 0)
  return tensor.own(out[0])
end

describe('an op', function()
  it('does not write one element by two indices', function()
    local t = ag.zeros(be, {16})
    for _, case in ipairs {{{3, 3}, {1, 1}}, {{3, 3}, {0, 1}}, {{2, 3, 2}, {2, 2, 1}},
      {{4, 4}, {3, 1}}} do
      refused('fill: out holds an element more than once', function()
        ops.fill(view(t, unpack(case)), 1)
      end)
    end
    for _, case in ipairs {{{4, 4}, {4, 1}}, {{4, 4}, {1, 4}}, {{2, 2}, {8, 3}}, {{1, 4}, {0, 1}},
      {{2, 1, 3}, {3, 0, 1}}, {{0, 3}, {1, 1}}} do
      ops.fill(view(t, unpack(case)), 1)
    end
  end)

  it('norms no rows that are its weight or its scale', function()
    local x, out, add = ag.zeros(be, {1, 8}), ag.zeros(be, {1, 8}), ag.zeros(be, {1, 8})
    local w = ag.zeros(be, {8})
    refused('rms_norm: x overlaps w', function()
      ops.rms_norm(out, x, x:view(8), 1e-6, add, nil)
    end)
    refused('rms_norm: x overlaps scale', function()
      ops.rms_norm(out, x, w, 1e-6, add, x:view(8))
    end)
    refused('rms_norm: x overlaps add', function() ops.rms_norm(out, x, w, 1e-6, x, nil) end)
    ops.rms_norm(out, x, w, 1e-6, add, nil)
  end)

  it('marks no drawn id in the seed that it draws with', function()
    local logits, out = ag.zeros(be, {1, 4}), ag.zeros(be, {1}, 'i32')
    local key, params = ag.zeros(be, {1, 4}, 'i32'), ag.tensor(be, {{0, 0, 1, 1}})
    refused('sample: seen overlaps key', function()
      ops.sample(out, logits, key, params, key, 0, 4, -1, 0)
    end)
    ops.sample(out, logits, key, params, ag.zeros(be, {1, 4}, 'i32'), 0, 4, -1, 0)
  end)

  it('rotates no queries in place that are angles or norms, nor into its caches', function()
    local d = 4
    local q, k, v = ag.zeros(be, {1, 1, 1, d}), ag.zeros(be, {1, 1, 1, d}),
      ag.zeros(be, {1, 1, 1, d})
    local angles, pos = ag.zeros(be, {1, 1, d}), ag.zeros(be, {1}, 'i32')
    local kc, vc = ag.zeros(be, {1, 1, 8, 1, d}), ag.zeros(be, {1, 1, 8, 1, d})
    local function append(o)
      ops.rope_append(o.q or q, o.k or k, o.v or v, o.angles or angles, pos, o.kc or kc,
        o.vc or vc, o.q_norm, o.k_norm, 1e-6)
    end
    append {}
    refused('rope_append: q overlaps angles', function() append {angles = q:view(1, 1, d)} end)
    refused('rope_append: q overlaps k', function() append {k = q} end)
    refused('rope_append: q overlaps q_norm', function() append {q_norm = q:view(d)} end)
    refused('rope_append: k_cache overlaps v_cache', function() append {vc = kc} end)
    refused('rope_append: k_cache overlaps k_norm', function()
      append {k_norm = kc:view(-1):narrow(1, 1, d)}
    end)
    refused('rope_append: v_cache overlaps v', function()
      append {v = vc:view(-1):narrow(1, 1, d):view(1, 1, 1, d)}
    end)
  end)

  it('moves no positions up to a limit that is among them', function()
    local x = ag.tensor(be, {1, 2}, 'i32')
    refused('advance: x overlaps limit', function() ops.advance(x, 1, x) end)
  end)
end)
