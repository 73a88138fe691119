-- scripts/gpu_check without a card: every step that needs none, with the card's kernels as plain C,
-- on small models, and the table that it ends with.

local cjson = require 'cjson'
local command = require 'support.command'
local lfs = require 'lfs'

describe('gpu_check', function()
  if os.getenv 'ARGENT_BUILD' then
    pending 'tried with build/ alone'
    return
  end
  local dir
  local quote = command.quote

  setup(function()
    dir = os.tmpname()
    os.remove(dir)
    assert(lfs.mkdir(dir))
  end)

  teardown(function() os.execute('rm -rf ' .. quote(dir)) end)

  local function read(path)
    local f = assert(io.open(path, 'rb'))
    local s = f:read '*a'
    f:close()
    return s
  end

  local function write(path, text)
    local f = assert(io.open(path, 'wb'))
    f:write(text)
    f:close()
  end

  -- Runs the script with folders of its own for results and for what it leaves lying about.
  local function check(name, args, env)
    local out, tmp = dir .. '/' .. name, dir .. '/' .. name .. '.tmp'
    assert(lfs.mkdir(out))
    assert(lfs.mkdir(tmp))
    env = env or {}
    env.OUT, env.TMPDIR = out, tmp
    local r = command.run(args, {exe = quote(command.root .. '/scripts/gpu_check'), env = env,
      timeout = 300})
    for left in lfs.dir(tmp) do assert.is_truthy(left:find '^%.+$', left) end
    return r, out
  end

  -- The rows of the tables, by their first cell.
  local function rows(text)
    local t = {}
    for line in text:gmatch '[^\n]+' do
      local cells = {}
      for cell in line:gmatch '|([^|]*)%f[|]' do cells[#cells + 1] = cell:match '^%s*(.-)%s*$' end
      if #cells > 1 then t[cells[1]] = {unpack(cells, 2)} end
    end
    return t
  end

  it('runs every step that needs no card, and ends with a table', function()
    local r, out = check('all', {'--emulated'})
    assert.equal(0, r.code, r.out .. r.err)
    local report = read(out .. '/report.md')
    assert.equal(report, r.out:sub(-#report))
    assert.matches('^# The CUDA half on no card: emulated', report)
    assert.truthy(report:find('These are no figures of a card', 1, true))
    local t = rows(report)
    for _, step in ipairs {'the CUDA half opens', 'every op, by the doctor', 'specs',
      'a random 0.6b model', 'speed, 0.6b', 'a random 1.7b model', 'speed, 1.7b'} do
      assert.equal('ok', t[step][1], step)
    end
    for _, step in ipairs {'the card', 'the probe', 'compute-sanitizer'} do
      assert.equal('skipped: emulated', t[step][1])
    end
    local small = cjson.decode(read(out .. '/bench-0.6b.json'))
    assert.equal('cuda-emulated', small.device)
    for row, key in pairs {['a frame without codec, ms'] = 'frame', ['talker step, ms'] = 'talker',
      ['predictor, 15 steps, ms'] = 'predictor', ['codec, one frame, ms'] = 'codec_1',
      ['codec, eight frames, ms'] = 'codec_8', ['first audio, ms'] = 'first_audio',
      ['end to end, x real time'] = 'speed', ['a tiny op in a plan, us'] = 'op_cost'} do
      assert.is_true(small[key] > 0)
      assert.is_true(math.abs(tonumber(t[row][1]) - small[key]) <= 0.0501, row)
      assert.is_true(tonumber(t[row][3]) >= 0, row)
      assert.same({'', ''}, {t[row][2], t[row][4]}) -- an emulated card has nothing to reach
    end
    -- What the steps said in full.
    local log = read(out .. '/log.txt')
    assert.matches('\n== specs\n', log)
    assert.matches('\n%d+ successes / 0 failures / 0 errors / 0 pending', log)
  end)

  it('goes on after a step that fails, and ends with 1', function()
    local broken = dir .. '/broken'
    assert(lfs.mkdir(broken))
    local build = command.exe:match '^(.*)/'
    os.execute(('cd %s && cp -L argent libargent.so* %s'):format(quote(build), quote(broken)))
    write(broken .. '/libargent_emulated.so', 'no library')
    local r, out = check('broken-out', {'--emulated'}, {ARGENT_BUILD = broken})
    assert.equal(1, r.code)
    local t = rows(read(out .. '/report.md'))
    for step, outcome in pairs {['the CUDA half opens'] = 'FAILED (1)', specs = 'FAILED (1)',
      ['every op, by the doctor'] = 'FAILED (1)', ['a random 0.6b model'] = 'ok',
      ['speed, 0.6b'] = 'FAILED (3)', ['speed, 1.7b'] = 'FAILED (3)'} do
      assert.equal(outcome, t[step][1], step)
    end
    assert.equal('-', t['a frame without codec, ms'][1])
    assert.truthy(r.out:find("backend 'cuda': ", 1, true))
  end)

  it('wants what gpu_pack gathers', function()
    local r = check('none', {}, {ARGENT_GPU = '/no/such'})
    assert.equal(2, r.code)
    assert.equal('/no/such is not here: run scripts/gpu_pack where Lua is, and carry build/gpu\n',
      r.err)
  end)

  describe('reports', function()
    -- Figures of a made-up card, half of them beyond what is to be reached.
    local function report(name, card)
      local path = dir .. '/' .. name
      assert(lfs.mkdir(path))
      write(path .. '/card', card .. '\n')
      write(path .. '/nvcc', '13.0\n')
      write(path .. '/commit', 'abc123\n')
      write(path .. '/steps', 'the probe\tok\t12\nspecs of ops\tstopped after 120 s\t120\n')
      write(path .. '/probe.txt', 'name ' .. card .. '\nread_gbs 4312.5\nbarrier_us 1.25\n')
      local b = {device = 'cuda', isa = 'sm_90', bandwidth = 4.1e12, frame = 1.54, ratio = 1.9,
        talker = 0.7, predictor = 0.8, hooked = 1.6, codec_1 = 1.6, codec_8 = 4, prefill = 5,
        first_audio = 7.5, speed = 33, op_cost = 1.5}
      write(path .. '/bench-0.6b.json', cjson.encode(b))
      local r = command.run {'run', command.root .. '/scripts/gpu/report.lua', path}
      assert.equal(0, r.code, r.err)
      return r.out, rows(r.out)
    end

    it('each figure beside its target, on the card that the targets are for', function()
      local text, t = report('h200', 'NVIDIA H200, 580.159.04, 143771 MiB, 9.0')
      assert.matches('^# The CUDA half on NVIDIA H200\n\n' .. os.date '!%Y%%-%m%%-%d'
        .. ' %d%d:%d%d UTC, commit abc123, driver 580%.159%.04, sm_90, nvcc 13%.0%.\n', text)
      assert.same({'1.540', '<= 2.2, met', '-', '<= 2.7 on an H200'},
        t['a frame without codec, ms'])
      assert.same({'1.600', '<= 1.5, MISSED'}, {unpack(t['codec, one frame, ms'], 1, 2)})
      assert.same({'7.50', '<= 8, met'}, {unpack(t['first audio, ms'], 1, 2)})
      assert.same({'33.0', '>= 34, MISSED'}, {unpack(t['end to end, x real time'], 1, 2)})
      assert.equal('2.00 x', t['over reading its bytes at 4.3 TB/s'][1]) -- 1.54 of 0.770
      assert.same({'ok', '12'}, t['the probe'])
      assert.same({'stopped after 120 s', '120'}, t['specs of ops'])
      assert.equal('4312.5', t['reading, GB/s'][1])
      assert.equal('1.25', t['a grid barrier, us'][1])
    end)

    it('no verdict on another card', function()
      local _, t = report('l4', 'NVIDIA L4, 570.1, 23034 MiB, 8.9')
      assert.same({'1.540', '<= 2.2 on an H200'}, {unpack(t['a frame without codec, ms'], 1, 2)})
    end)
  end)
end)
