-- The CPU's worker team as others on the machine see it: what it takes while it waits, and how many
-- threads it has. All of it in CPU time, which does not depend on what else runs.

local ag = require 'argent'
local command = require 'support.command'
local faults = require 'support.faults'
local lib = require 'argent.ffi'
local st = require 'support.st'

-- Runs a script in a process of its own that may use one core, and returns the numbers it prints.
local function on_one_core(script)
  local status = assert(io.open '/proc/self/status')
  local core = status:read '*a':match 'Cpus_allowed_list:%s*(%d+)'
  status:close()
  local path = os.tmpname()
  local f = assert(io.open(path, 'w'))
  f:write(script)
  f:close()
  local r = command.run({'run', path}, {before = 'taskset -c ' .. core})
  os.remove(path)
  assert.equal(0, r.code, r.err)
  local numbers = {}
  for n in r.out:gmatch '%S+' do numbers[#numbers + 1] = tonumber(n) end
  return numbers
end

-- A plan of 600 products, each of which needs the one before.
local CHAIN = [[
  local ag = require 'argent'
  local posix = require 'argent.posix'
  local function chain(threads)
    local be = assert(ag.backend('cpu', {threads = threads}))
    local a, b = ag.zeros(be, {1, 512}), ag.zeros(be, {1, 512})
    local w = ag.zeros(be, {512, 512})
    return ag.capture(be, function()
      for _ = 1, 300 do
        ag.ops.linear(b, a, w, nil)
        ag.ops.linear(a, b, w, nil)
      end
    end)
  end
  local function cost(plan)
    local best = math.huge
    for _ = 1, 7 do
      local began = os.clock()
      plan:run()
      best = math.min(best, os.clock() - began)
    end
    return best
  end
]]

-- Where each thread of this process may run, the caller's first; but for those that are there
-- before a team is, as an emulator's.
local WHERE = [[
  local ag = require 'argent'
  local lfs = require 'lfs'
  local others = {}
  local function threads()
    local list = {}
    for thread in lfs.dir '/proc/self/task' do
      if not others[thread] then list[#list + 1] = tonumber(thread) end
    end
    table.sort(list)
    return list
  end
  local function allowed()
    local list = threads()
    for i, thread in ipairs(list) do
      local status = assert(io.open(('/proc/self/task/%d/status'):format(thread)))
      list[i] = status:read '*a':match 'Cpus_allowed_list:%s*(%S+)'
      status:close()
    end
    return list
  end
  local before = allowed()[1]
  -- A sanitizer starts a thread of its own with the first of ours.
  ag.backend('cpu', {threads = 2})
  collectgarbage()
  collectgarbage()
  for i, thread in ipairs(threads()) do others[tostring(thread)] = i > 1 end
]]

describe('the worker team', function()
  local pipe = assert(io.popen 'nproc')
  local cores = pipe:read '*n'
  pipe:close()

  it('of four threads on one core takes little more of it than one thread', function()
    local t = on_one_core(CHAIN .. 'print(cost(chain(1)), cost(chain(4)))')
    assert.is_true(t[2] < 2 * t[1], ('%g s of one thread, %g s of four'):format(t[1], t[2]))
  end)

  it('keeps each thread on a core of its own when it is asked, and lets the caller go', function()
    if cores < 2 then
      pending 'there is one core'
      return
    end
    local path = st.write(WHERE .. [[
      local be = assert(ag.backend('cpu', {threads = 2, pin = true}))
      local x = ag.zeros(be, {64, 4096}):fill(1)
      ag.ops.silu(x, x)
      print(unpack(allowed()))
      x:release()
      be, x = nil, nil
      collectgarbage()
      collectgarbage()
      print(allowed()[1] == before)
    ]])
    local r = command.run {'run', path}
    os.remove(path)
    assert.equal(0, r.code, r.err)
    local first, second, free = r.out:match '^(%d+)\t(%d+)\n(%a+)\n$'
    assert.is_not_nil(free, r.out)
    assert.not_equal(first, second)
    assert.equal('true', free)
  end)

  it('says so when there are not enough cores for that', function()
    local t = on_one_core [[
      local be, err, code = require('argent').backend('cpu', {threads = 2, pin = true})
      assert(be == nil and code == 'unsupported', code)
      assert(err == 'pin: 2 threads cannot have a core each: there is 1', err)
      print(1)
    ]]
    assert.equal(1, t[1])
    local _, err = ag.backend('cuda-emulated', {pin = true})
    assert.equal("pin: not on backend 'cuda-emulated'", err)
  end)

  it('runs anywhere again where the system refuses to keep one of its threads', function()
    local missing = cores < 2 and 'there is one core' or faults.missing()
    if missing then
      pending(missing)
      return
    end
    local path = st.write(WHERE .. [[
      local lib = require 'argent.ffi'
      local be = assert(ag.backend('cpu', {threads = 2}))
      print(lib.ag_backend_pin(be), lib.ag_backend_pin(be))
      for _, where in ipairs(allowed()) do print(where == before) end
    ]])
    -- The calls of the first time are 1 and 2; the second time frees both threads first.
    for _, n in ipairs {5, 6} do
      local r = faults.run({'run', path}, {fault = ('affinity:EPERM:%d:1'):format(n)})
      assert.equal(0, r.code, r.err)
      assert.equal('0\t-5\ntrue\ntrue\n', r.out, 'call ' .. n)
    end
    os.remove(path)
  end)

  it('takes nothing when there is nothing to do', function()
    local t = on_one_core(CHAIN .. [[
      local plan = chain(4)
      plan:run()
      local began, cpu = posix.now(), os.clock()
      os.execute 'sleep 0.5'
      print(os.clock() - cpu, posix.now() - began)
    ]])
    assert.is_true(t[1] < 0.03, ('%g s of CPU time in %g s of rest'):format(t[1], t[2]))
  end)
end)

describe('the number of cores', function()
  local root

  before_each(function()
    root = os.tmpname()
    os.remove(root)
  end)
  after_each(function() os.execute('rm -rf ' .. command.quote(root)) end)

  local function write(path, text)
    os.execute('mkdir -p ' .. command.quote((root .. path):match '^(.*)/'))
    local f = assert(io.open(root .. path, 'w'))
    f:write(text)
    f:close()
  end

  local here = lib.ag_cores '/nowhere'

  it('is that of the cores it may run on', function()
    assert.is_true(here >= 1)
    assert.equal(here, lib.ag_cores(root))
    local pipe = assert(io.popen 'env -u OMP_NUM_THREADS nproc')
    assert.equal(here, pipe:read '*n')
    pipe:close()
    local t = on_one_core "print(require('argent.ffi').ag_cores '/nowhere')"
    assert.equal(1, t[1])
  end)

  it('is what the quota of the control group is worth, rounded up', function()
    write('/proc/self/cgroup', '0::/a/b\n')
    write('/sys/fs/cgroup/a/b/cpu.max', 'max 100000\n')
    assert.equal(here, lib.ag_cores(root))
    write('/sys/fs/cgroup/a/b/cpu.max', '50000 100000\n')
    assert.equal(1, lib.ag_cores(root))
    write('/sys/fs/cgroup/a/b/cpu.max', '100001 100000\n')
    assert.equal(math.min(here, 2), lib.ag_cores(root))
    write('/sys/fs/cgroup/a/b/cpu.max', '90000000 100000\n')
    assert.equal(here, lib.ag_cores(root))
  end)

  it('heeds the groups around that one, as a container may see the outermost alone', function()
    write('/proc/self/cgroup', '0::/a/b\n')
    write('/sys/fs/cgroup/a/b/cpu.max', 'max 100000\n')
    write('/sys/fs/cgroup/a/cpu.max', '100000 100000\n')
    assert.equal(1, lib.ag_cores(root))
    os.execute('rm -r ' .. command.quote(root .. '/sys/fs/cgroup/a'))
    assert.equal(here, lib.ag_cores(root))
    write('/sys/fs/cgroup/cpu.max', '100000 100000\n')
    assert.equal(1, lib.ag_cores(root))
  end)

  it('heeds control groups of the first version', function()
    write('/proc/self/cgroup', '5:cpuset:/x\n4:cpu,cpuacct:/docker/x\n0::/\n')
    local dir = '/sys/fs/cgroup/cpu,cpuacct'
    write(dir .. '/cpu.cfs_quota_us', '-1\n')
    write(dir .. '/cpu.cfs_period_us', '100000\n')
    assert.equal(here, lib.ag_cores(root))
    write(dir .. '/cpu.cfs_quota_us', '100000\n')
    assert.equal(1, lib.ag_cores(root))
  end)

  it('does not stumble over files that say something else', function()
    write('/proc/self/cgroup', 'x\n0::\n:::\n0::/a\n')
    for _, text in ipairs {'', 'max', '0 0', '-5 100', '5', 'a b', ('9'):rep(40) .. ' 1'} do
      write('/sys/fs/cgroup/a/cpu.max', text)
      assert.equal(here, lib.ag_cores(root))
    end
  end)

  it('is what a backend takes when nobody says how many threads it shall have', function()
    local t = on_one_core "print(require('argent').backend('cpu').threads)"
    assert.equal(1, t[1])
  end)

end)
