-- The machine under `cuda` (runtime/device/cuda.c): its stream, memory, graphs and refusals, over a
-- runtime that is not NVIDIA's (spec/support/fake_cudart.c), in which what may happen later does.

local card = require 'support.card'
local cjson = require 'cjson'
local command = require 'support.command'
local golden = require 'support.golden'
local lfs = require 'lfs'

local FAKE = 'libargent_fake.so'

describe('the machine of the CUDA backend', function()
  if not lfs.attributes(command.exe:match '^(.*)/' .. '/' .. FAKE) then
    pending(('there is no %s: it is built where the CUDA headers are'):format(FAKE))
    return
  end

  local dir, exe, model

  setup(function()
    dir = os.tmpname()
    os.remove(dir)
    assert(lfs.mkdir(dir))
    exe = card.make(dir, FAKE)
    for _, m in ipairs(golden.models()) do
      if m.name == 'custom' then model = m.model end
    end
    if model:sub(1, 1) ~= '/' then model = lfs.currentdir() .. '/' .. model end
  end)

  teardown(function() os.execute('rm -rf ' .. command.quote(dir)) end)

  -- The command on a card and driver that are as FAKE_CUDA says.
  local function run(args, fake)
    local env = card.env()
    env.FAKE_CUDA = fake or ''
    return command.run(args, {exe = exe, env = env})
  end

  local HEAD = [[
local ag, ffi, cjson = require 'argent', require 'ffi', require 'cjson'
local model = %q
ffi.cdef [=[struct fake_cuda_counts {
  int64_t %s, current, dependent, reservations, pieces;
} fake_cuda_counts;]=]
local counted = ffi.load(%q).fake_cuda_counts
local function counts()
  local t = {}
  for name in ('%s'):gmatch '[%%a_]+' do t[name] = tonumber(counted[name]) end
  return t
end
local be = assert(ag.backend 'cuda')
]]
  local COUNTS = 'launches, graph_launches, graphs, waits, downloads, downloaded, uploads, '
    .. 'allocations, frees, memory, mapped, pinned'

  -- Runs a script on the card; what it prints, as JSON. It has ag, be, counts(), counted and model.
  local function script(text, fake)
    local path = dir .. '/script.lua'
    local f = assert(io.open(path, 'w'))
    f:write(HEAD:format(model, COUNTS, dir .. '/libargent_cuda.so', COUNTS), text)
    f:close()
    local r = run({'run', path}, fake)
    assert.equal(0, r.code, r.err)
    return cjson.decode(r.out)
  end

  local function say(device, fake)
    return run({'say', 'One two.', '-m', model, '--voice', 'ryan', '--seed', '4', '--max-frames',
      '6', '--device', device, '-o', '-'}, fake)
  end

  it('speaks as the CPU does', function()
    local here, there = say 'cuda', say 'cpu'
    assert.equal(0, here.code, here.err)
    assert.equal(#there.out, #here.out)
    local text = [[
local function codes(backend)
  local tts = assert(ag.qwen3_tts.open(model, {backend = backend}))
  local sound = assert(tts:say {text = 'One two.', voice = 'ryan', seed = 4, max_frames = 12})
  return sound.codes:totable()
end
print(cjson.encode {codes(be), codes(assert(ag.backend 'cpu'))})]]
    for _, fake in ipairs {'', 'nograph'} do
      local r = script(text, fake)
      assert.equal(12, #r[1])
      assert.same(r[2], r[1])
    end
  end)

  it('makes a frame of one graph, one wait and one reading of its codes', function()
    local r = script [[
local tts = assert(ag.qwen3_tts.open(model, {backend = be}))
local next = assert(tts:frames {text = 'One two.', voice = 'ryan', seed = 4, max_frames = 12})
for _ = 1, 4 do next() end
local before = counts()
next()
next()
local after, change = counts(), {}
for name, n in pairs(after) do change[name] = n - before[name] end
change.groups = tts.cfg.talker.num_code_groups
print(cjson.encode(change))]]
    local groups = r.groups
    r.groups = nil
    -- The word for a fault of the row comes with its codes.
    assert.same({graph_launches = 2, waits = 2, downloads = 2, downloaded = 2 * (1 + groups) * 4,
      launches = 0, graphs = 0, uploads = 0, allocations = 0, frees = 0, memory = 0, mapped = 0,
      pinned = 0}, r)
  end)

  it('keeps graphs of plans that run again, and gives back all it took', function()
    local r = script [[
local x = ag.tensor(be, {1, 2, 3})
local once = ag.capture(be, function() ag.ops.affine(x, x, 2, 0) end)
local often = ag.capture(be, function() ag.ops.affine(x, x, 1, 1) end)
once:run()
for _ = 1, 5 do often:run() end
local during = counts()
local values = x:totable()
often:release()
once:release()
local function speak()
  local tts = assert(ag.qwen3_tts.open(model, {backend = be}))
  assert(tts:say {text = 'One two.', voice = 'ryan', seed = 4, max_frames = 5})
end
speak()
x, be, once, often = nil, nil, nil, nil
jit.flush() -- compiled code holds on to what it has seen
for _ = 1, 4 do collectgarbage() end
print(cjson.encode {during = during, values = values, after = counts()})]]
    assert.same({7, 9, 11}, r.values)
    assert.same({2, 4, 1}, {r.during.launches, r.during.graph_launches, r.during.graphs})
    assert.same({0, 0, 0, 0}, {r.after.memory, r.after.mapped, r.after.graphs, r.after.pinned})
  end)

  it('keeps hundreds of small uploads apart that nobody has waited for', function()
    local r = script [[
local list, sums = {}, {}
for i = 1, 300 do list[i] = ag.zeros(be, {3}):set {i, 2 * i, 3 * i} end
local waits = counts().waits
for i = 1, 300 do sums[i] = list[i]:totable()[3] end
local large = {}
for i = 1, 5000 do large[i] = i end
local t = ag.tensor(be, large)
ag.ops.affine(t, t, 2, 0)
print(cjson.encode {waits = waits, sums = sums, last = t:totable()[5000]})]]
    assert.is_true(r.waits >= 4 and r.waits < 20, r.waits)
    for i = 1, 300 do assert.equal(3 * i, r.sums[i]) end
    assert.equal(10000, r.last)
  end)

  it('grows a tensor in place, zeroed, and says what is missing when it cannot', function()
    local r = script([[
local memory = require('argent.tensor').reserve(be, {2, 1e6, 64})
assert(memory:commit(1, 3)) -- the row before grows by itself
assert(memory:commit(2, 10))
local t = memory:select(1, 2)
local rows = t:narrow(1, 1, 10)
local plan = ag.capture(be, function() ag.ops.affine(rows, rows, 1, 1) end)
plan:run()
plan:run()
assert(memory:commit(2, 5000))
plan:run()
local function of(row) return t:narrow(1, row, 1):totable()[1][64] end
local mapped = counts().mapped
local ok, err, code = memory:commit(2, 900000)
print(cjson.encode {first = of(10), last = of(5000), mapped = mapped, ok = ok or false, err = err,
  code = code})
]], 'memory=100000000')
    assert.same({3, 0, false, 'memory'}, {r.first, r.last, r.ok, r.code})
    assert.equal((1 + math.ceil(5000 * 256 / 65536)) * 65536, r.mapped)
    assert.matches('^out of device memory: [%d.]+ MB are needed, [%d.]+ of 100%.0 MB are free$',
      r.err)
  end)

  it('grows into memory that was given back', function()
    local r = script([[
local t = require('argent.tensor').reserve(be, {1, 1e6, 64})
local big = ag.zeros(be, {15e6})
ag.ops.fill(big, 1)
big:release()
local ok, err = t:commit(1, 300000)
print(cjson.encode {ok = ok or false, err = err, last = t[1]:select(1, 300000):totable()[64]})
]], 'memory=100000000')
    assert.same({ok = true, last = 0}, r)
  end)

  it('makes a graph where memory was given back, and says so where there is none', function()
    local r = script([[
local x = ag.tensor(be, {1, 2, 3})
local plans = {}
for i = 1, 2 do
  plans[i] = ag.capture(be, function() ag.ops.affine(x, x, 1, 1) end)
  plans[i]:run()
end
local big = ag.zeros(be, {24.999e6})
ag.ops.fill(big, 1)
local ok, err = pcall(plans[1].run, plans[1])
big:release()
plans[2]:run()
print(cjson.encode {ok = ok, err = tostring(err), graphs = counts().graphs, x = x:totable()})
]], 'memory=100000000')
    assert.is_false(r.ok)
    assert.matches("out of device memory: none is left for a plan's graph$", r.err)
    assert.same({1, {4, 5, 6}}, {r.graphs, r.x})
  end)

  it('takes the card that it is told to take, and leaves the current one current', function()
    local r = script([[
counted.current = 4 -- the caller's own, number 3
local seen = {}
local function see(what, ...)
  seen[#seen + 1] = {what, tonumber(counted.current) - 1}
  return ...
end
local other = see('open', assert(ag.backend('cuda', {device = 2})))
local _, err, code = see('no such card', ag.backend('cuda', {device = 5}))
local x = see('alloc and upload', ag.tensor(other, {1, 2, 3}))
see('an op', ag.ops.affine(x, x, 2, 0))
see('an op that can fail', pcall(ag.ops.embedding, ag.zeros(other, {1, 2}), ag.zeros(other, {3, 2}),
  ag.tensor(other, {7}, 'i32'), 0))
local plan = see('capture', ag.capture(other, function() ag.ops.affine(x, x, 1, 1) end))
for _ = 1, 3 do see('run', plan:run()) end
see('sync', other:sync())
local values = see('download', x:totable())
local t = see('reserve', require('argent.tensor').reserve(other, {1, 1e5, 64}))
see('commit', t:commit(1, 5000))
see('too much', t:commit(1, 100000))
see('unreserve', t:release())
see('drop a plan', plan:release())
see('free', x:release())
local first = ag.tensor(be, {4}):totable() -- the first backend is as it was
x, t, plan, other = nil, nil, nil, nil
jit.flush()
for _ = 1, 4 do collectgarbage() end
see 'close'
print(cjson.encode {seen = seen, err = err, code = code, values = values, first = first})]],
      'devices=4 memory=20000000')
    for _, s in ipairs(r.seen) do assert.equal(3, s[2], s[1]) end
    assert.is_true(#r.seen >= 18)
    assert.same({5, 7, 9, 4}, {r.values[1], r.values[2], r.values[3], r.first[1]})
    assert.equal("backend 'cuda': there is no device 5; this machine has 4, counted from 0", r.err)
    assert.equal('unsupported', r.code)
  end)

  it('never lets launches overlap whose code does not wait for the one before', function()
    local text = [[
local tts = assert(ag.qwen3_tts.open(model, {backend = be}))
local sound = assert(tts:say {text = 'One two.', voice = 'ryan', seed = 4, max_frames = 4})
print(cjson.encode {codes = sound.codes:totable(), dependent = tonumber(counted.dependent)})]]
    local native, translated = script(text), script(text, 'translated')
    assert.same(native.codes, translated.codes)
    assert.is_true(native.dependent > 0)
    assert.equal(0, translated.dependent)
  end)

  it('asks the driver once for all caches of a session, and once when they grow', function()
    local r = script [[
local tts = assert(ag.qwen3_tts.open(model, {backend = be}))
local function asked() return {tonumber(counted.reservations), tonumber(counted.pieces)} end
local before = asked()
local s = tts.talker.backbone:session {capacity = 1}
assert(s:ensure(1))
local made = asked()
assert(s:ensure(1000))
local grown = asked()
print(cjson.encode {layers = tts.cfg.talker.num_hidden_layers, made = {made[1] - before[1],
  made[2] - before[2]}, grown = {grown[1] - made[1], grown[2] - made[2]}})]]
    assert.is_true(r.layers > 1)
    assert.same({1, 1}, r.made)
    assert.same({0, 1}, r.grown)
  end)

  it('goes on with the graph of a step when a session grows past what it had', function()
    local r = script [[
local tensor = require 'argent.tensor'
local function run(backend)
  local tts = assert(ag.qwen3_tts.open(model, {backend = backend, dtype = 'f32'}))
  local bb, D = tts.talker.backbone, tts.cfg.talker.hidden_size
  local values = {}
  for i = 1, 250 * D do values[i] = math.sin(i * 0.7) end
  local s = bb:session {capacity = 1}
  assert(bb:forward(s, ag.tensor(backend, values):view(250, D)))
  local before = backend == be and counts()
  local x = ag.tensor(backend, values):narrow(1, 1, D):view(1, 1, D)
  local out = ag.zeros(backend, {1, 1, D})
  local plan = ag.capture(backend, function() bb:step(s, out, x) end)
  local sums = {}
  for i = 1, 12 do
    assert(s:ensure(1))
    plan:run()
    s:advanced(1)
    sums[i] = out:view(-1):totable()[3]
  end
  return sums, before
end
local sums, before = run(be)
print(cjson.encode {sums = sums, before = before, after = counts(),
  cpu = run(assert(ag.backend 'cpu'))})]]
    assert.is_true(r.after.mapped > r.before.mapped)
    assert.equal(1, r.after.graphs - r.before.graphs)
    assert.equal(11, r.after.graph_launches - r.before.graph_launches)
    for i, v in ipairs(r.cpu) do assert.is_true(math.abs(v - r.sums[i]) < 1e-4, i) end
  end)

  it('ends a command whose model does not fit with one line and exit code 5', function()
    local r = say('cuda', 'memory=200000')
    assert.equal(5, r.code)
    assert.equal('', r.out)
    assert.matches('^argent: say: [^\n]*: out of device memory: [%d.]+ MB are needed, '
      .. '[%d.]+ of 0%.2 MB are free\n$', r.err)
  end)

  it('says why a card or its driver cannot be used, in one line', function()
    for fake, message in pairs {
      none = 'there is no device; use the cpu',
      full = 'the device has no memory left; use the cpu',
      insufficient = 'the NVIDIA driver is too old %(it knows CUDA 11%.8, this build needs '
        .. '%d+%.%d+%); update it, or use the cpu',
      turing = 'the card is sm_75, kernels are for sm_80 and later; use the cpu',
      orin = 'this build has no kernels for the card, sm_87; build with '
        .. '%-DCMAKE_CUDA_ARCHITECTURES=87, or use the cpu',
      novmm = 'the driver has no virtual memory management',
    } do
      local r = say('cuda', fake)
      assert.equal(fake == 'full' and 5 or 3, r.code, fake)
      assert.matches("^argent: say: backend 'cuda': " .. message .. '\n$', r.err)
      r = say('auto', fake)
      assert.equal(0, r.code, fake)
      assert.matches("^going on with the cpu: backend 'cuda': " .. message .. '\n', r.err)
    end
  end)
end)
