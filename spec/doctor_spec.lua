-- The doctor finds what is wrong, and says what is right.

local ag = require 'argent'
local command = require 'support.command'
local doctor = require 'argent.doctor'
local libraries = require 'argent.doctor.libraries'

local function slurp(path)
  local f = assert(io.open(path))
  local s = f:read '*a'
  f:close()
  return s
end

local function said(shell)
  local p = assert(io.popen(shell))
  local s = p:read '*a'
  p:close()
  return (s:gsub('%s+$', ''))
end

-- The ops of one C file whose kernels reach a loop of the tables of isa.h: themselves, or through
-- functions of the file.
local function reaching(source)
  local functions, uses = {}, {}
  source = source:gsub('\n(%a[^\n]*%)) {([^\n]*)}\n', '\n%1\n{\n%2\n}\n') -- those of one line
  for chunk in source:gmatch '(.-\n)}\n' do
    local head, body = chunk:match '^(.*)\n{\n(.*)$'
    if head then
      head = head:gsub('^.*%*/\n', ''):gsub('^.*\n\n', '')
      local name = head:match '([%w_]+)%s*%('
      if name then functions[name] = body end
    end
  end
  repeat
    local more = false
    for name, body in pairs(functions) do
      local found = body:find('isa->', 1, true)
      for called in body:gmatch '([%w_]+)%(' do found = found or uses[called] end
      if found and not uses[name] then uses[name], more = true, true end
    end
  until not more
  local list = {}
  for name in pairs(uses) do list[#list + 1] = name:match '^agi_cpu_(.*)$' end
  return list
end

-- What can be checked here: the variants of this machine, and the card's kernels as plain C.
local function checked()
  local list = {}
  for _, v in ipairs(doctor.variants()) do
    if v.backend then list[#list + 1] = v end
  end
  list[#list + 1] = {name = 'cuda-emulated', backend = assert(ag.backend 'cuda-emulated')}
  return list
end

describe('the doctor', function()
  it('has a check for every op', function()
    for name in pairs(ag.ops) do assert.is_function(doctor.CASES[name], name) end
    for name in pairs(doctor.CASES) do assert.is_function(ag.ops[name], name) end
  end)

  it('knows which ops have loops for each instruction set: those whose kernels reach one',
    function()
      local fast = {}
      for file in io.popen(('ls %s/kernels/cpu/*.c'):format(command.quote(command.root))):lines() do
        if not file:find 'isa[%w_]*%.c$' then
          for _, name in ipairs(reaching(slurp(file))) do fast[name] = true end
        end
      end
      assert.same(fast, doctor.FAST)
    end)

  it('checks every variant of this CPU and finds it in order', function()
    local list, failures = doctor.ops()
    assert.equal(0, failures)
    local used = ag.backend('cpu').isa
    for _, op in ipairs(list) do
      assert.equal(doctor.FAST[op.name] and used or 'plain', op.chosen)
      for _, isa in ipairs(doctor.VARIANTS) do
        local be, why = ag.backend('cpu', {isa = isa})
        local check = op.variants[isa]
        assert.equal(why, check.missing)
        if be then
          assert.is_true(check.agrees)
          assert.is_true(check.difference >= 0 and check.difference <= doctor.BOUND)
        end
      end
      local on_card = op.variants.cuda
      assert.equal(select(2, ag.backend 'cuda'), on_card.missing)
      assert.is_true(on_card.missing ~= nil or on_card.agrees)
    end
  end)

  it('checks any backends that it is given: every kernel of the card, as plain C', function()
    local lacks = {pack = true, quantize = true, pack_conv1d = true, packed_conv1d = true}
    local be = assert(ag.backend 'cuda-emulated')
    local list, failures = doctor.ops {{name = 'card', backend = be}}
    assert.equal(0, failures)
    local count = 0
    for _ in pairs(ag.ops) do count = count + 1 end
    assert.equal(count, #list)
    for _, op in ipairs(list) do
      assert.equal(not lacks[op.name] or nil, op.variants.card.agrees, op.name)
      assert.is_nil(op.variants.avx2)
    end
  end)

  it('says so where this CPU lacks a variant', function()
    local real = doctor.VARIANTS
    finally(function() doctor.VARIANTS = real end)
    doctor.VARIANTS = {'neon'}
    local list, failures = doctor.ops()
    assert.equal(0, failures)
    assert.matches('isa=neon: not one of', list[1].variants.neon.missing)
    assert.is_nil(list[1].variants.neon.agrees)
  end)

  describe('finds', function()
    -- Lets the first tensor of an op's case be other than plain C's on the variants.
    local function spoilt(name, spoil)
      local right = doctor.CASES[name]
      doctor.CASES[name] = function(m)
        local made = right(m)
        if m.be.isa ~= 'plain' then spoil(made) end
        return made
      end
      local here = checked()
      local ok, list, failures = pcall(doctor.ops, here)
      doctor.CASES[name] = right
      assert.is_true(ok, list)
      assert.equal(#here, failures)
      for _, op in ipairs(list) do
        for _, v in ipairs(here) do
          local c = op.variants[v.name]
          if not c.missing then assert.equal(op.name ~= name, c.agrees) end
        end
        if op.name == name then return op.variants[here[1].name] end
      end
    end

    local function last(t) return t:narrow(1, t.shape[1], 1):narrow(2, t.shape[2], 1) end

    it('one number that is off by more than the bound, in the last tensor', function()
      local check = spoilt('silu', function(made)
        local t = last(made[#made])
        t:set {t:item() + 3 * doctor.BOUND * math.max(1, math.abs(t:item()))}
      end)
      assert.is_true(check.difference > 2 * doctor.BOUND and check.difference < 4 * doctor.BOUND)
    end)

    it('a number that is none, which JSON could not say', function()
      for _, how in ipairs {'infinity', 'NaN'} do
        local check = spoilt('linear', function(made)
          local t = last(made[1]):fill(3e38)
          ag.ops.add(t, t, t, 1)
          if how == 'NaN' then ag.ops.add(t, t, t, -1) end
        end)
        assert.equal('NaN or infinity', check.fault)
        assert.is_nil(check.difference)
      end
    end)

    it('a whole number that is off by one, however large', function()
      local right = doctor.CASES.advance
      finally(function() doctor.CASES.advance = right end)
      doctor.CASES.advance = function(m)
        return {m:ids {m.be.isa == 'plain' and 2 ^ 30 or 2 ^ 30 + 1}}
      end
      local here = checked()
      local _, failures = doctor.ops(here)
      assert.equal(#here, failures)
    end)

    it('an op that fails', function()
      local check = spoilt('copy', function() error('no such luck', 0) end)
      assert.equal('no such luck', check.fault)
    end)
  end)

  it('lets an interrupt pass', function()
    local right = doctor.CASES.copy
    finally(function() doctor.CASES.copy = right end)
    doctor.CASES.copy = function(m)
      if m.be.isa ~= 'plain' then error('interrupted', 0) end
      return right(m)
    end
    local ok, err = pcall(doctor.ops, checked())
    assert.is_false(ok)
    assert.equal('interrupted', err)
  end)

  it('knows the processor and the memory as the system tells them', function()
    local cpu = doctor.cpu()
    assert.equal(tonumber(said 'nproc'), cpu.threads)
    assert.equal(tonumber(said 'grep -c ^processor /proc/cpuinfo'), cpu.processors)
    assert.is_true(cpu.cores >= 1 and cpu.cores <= cpu.processors)
    assert.equal(tonumber(said 'getconf PAGESIZE'), cpu.page)
    assert.equal(tonumber(said "awk '/^MemTotal/ {print $2}' /proc/meminfo") * 1024, cpu.memory)
    assert.is_true(cpu.available > 0 and cpu.available <= cpu.memory)
    assert.equal(ag.backend('cpu').isa, cpu.isa)
    local flags = ' ' .. said 'grep -m1 -E "^(flags|Features)" /proc/cpuinfo' .. ' '
    for _, f in ipairs(cpu.features) do assert.truthy(flags:find(' ' .. f .. ' ', 1, true), f) end
    local one = jit.arch == 'arm64' and ' asimd ' or ' avx2 '
    assert.equal(flags:find(one, 1, true) ~= nil,
      (' ' .. table.concat(cpu.features, ' ') .. ' '):find(one, 1, true) ~= nil)
  end)

  describe('knows of the libraries', function()
    it('each that a file here opens, and the package that setup installs', function()
      local listed, setup = {}, slurp(command.root .. '/scripts/setup.sh')
      for _, l in ipairs(libraries.LIST) do
        for _, file in ipairs(l.files) do listed[file] = true end
        for _, package in ipairs {l.package, l.newer} do
          assert.truthy(setup:find(package, 1, true), package)
        end
      end
      local opened = {}
      local find = "cd %s; find $PWD/lua -name '*.lua' ! -path '*/doctor*'; ls $PWD/runtime/*.c"
      for path in io.popen(find:format(command.quote(command.root))):lines() do
        for line in slurp(path):gmatch '[^\n]+' do
          local named = line:find "[\"']lib[%w._-]+%.so%.%d+[\"']"
          for file in (named and line or ''):gmatch "[\"']([%w_.-]+)[\"']" do
            opened[file] = true
          end
        end
      end
      assert.same(opened, listed)
    end)

    it('the versions that the system\'s packages have', function()
      for i, l in ipairs(libraries.all()) do
        assert.is_true(l.found, l.fault)
        assert.matches('^%d[%w.]*$', l.version)
        assert.matches('^/.*%.so', l.file)
        local entry = libraries.LIST[i]
        if entry.version then -- it says itself which release it is
          local package = said(("dpkg-query -W -f '${Version}' %s 2>/dev/null"):format(
            entry.package))
          if package ~= '' then assert.equal(1, package:find(l.version, 1, true), package) end
        end
      end
    end)

    it('what to install where one is missing', function()
      local real = libraries.LIST
      finally(function() libraries.LIST = real end)
      libraries.LIST = {
        {name = 'nosuch', files = {'libnosuch.so.9', 'libnosuch.so.8'}, package = 'libnosuch8',
          newer = 'libnosuch9', needed_for = 'nothing'},
      }
      local l = libraries.all()[1]
      assert.is_false(l.found)
      assert.equal('missing: apt install libnosuch8 (libnosuch9 on newer systems)', l.fault)
    end)
  end)

  it('says why CUDA cannot be used', function()
    local be, err = ag.backend 'cuda'
    local cuda = doctor.cuda()
    assert.equal(be ~= nil, cuda.found)
    assert.equal(err, cuda.why)
    assert.equal(said '[ -e /proc/driver/nvidia/version ] && echo yes' == 'yes'
      or pcall(require('ffi').load, 'libcuda.so.1'), cuda.driver ~= nil)
  end)
end)
