-- argent pull, with the hub's own program and a stand-in of the hub on this machine: what is
-- fetched, what is checked, and what is said where that cannot be.

local command = require 'support.command'
local golden = require 'support.golden'
local lfs = require 'lfs'

local NAME = 'Qwen/Qwen3-TTS-12Hz-0.6B-Base'
local PATTERN = NAME:gsub('%p', '%%%0')
local quote = command.quote

describe('argent pull', function()
  local dir, model, pid

  setup(function()
    dir = os.tmpname()
    os.remove(dir)
    assert(lfs.mkdir(dir))
    for _, m in ipairs(golden.models()) do
      if m.name == 'base' then model = golden.copy(m.model, dir .. '/model') end
    end
  end)

  after_each(function()
    if pid then os.execute('kill ' .. pid) end
    pid = nil
  end)

  teardown(function() os.execute('rm -rf ' .. quote(dir)) end)

  -- Starts the stand-in; what the command needs to know of it.
  local function hub(name, fault, folder)
    local out = ('%s/%s'):format(dir, name)
    os.execute(('python3 %s/spec/support/hub_server.py %s %s.log %s >%s.port 2>%s.err & echo $! >'
      .. '%s.pid'):format(quote(command.root), quote(folder or model), out, fault or "''", out, out,
      out))
    local port
    repeat
      os.execute 'sleep 0.1'
      local f = assert(io.open(out .. '.port'))
      port = f:read '*n'
      f:close()
    until port
    pid = assert(io.open(out .. '.pid')):read '*l'
    return {HF_ENDPOINT = 'http://127.0.0.1:' .. port, HF_HUB_CACHE = out .. '-cache',
      HF_HOME = out .. '-home', HF_HUB_DISABLE_XET = '1'}, out .. '.log'
  end

  local function fails(code, pattern, args, env)
    local r = command.run(args, {env = env})
    assert.matches('^argent: pull: [^\n]*' .. pattern .. '[^\n]*\n$', r.err)
    assert.equal('', r.out)
    assert.equal(code, r.code)
    return r
  end

  it('says what to run elsewhere where hf is missing', function()
    assert(lfs.mkdir(dir .. '/bin'))
    for _, name in ipairs {'sh', 'env', 'timeout'} do
      os.execute(('ln -s "$(command -v %s)" %s/bin/'):format(name, quote(dir)))
    end
    fails(3, PATTERN .. ': fetching needs hf, .*pip install %-U huggingface_hub.*; or on a machine '
      .. 'that has it run: hf download ' .. PATTERN .. ' %-%-local%-dir DIR; carry DIR here and '
      .. 'give it with %-m', {'pull', 'qwen3-tts-12hz-0.6b-base'}, {PATH = dir .. '/bin'})
  end)

  it('guesses what was meant', function()
    fails(3, 'did you mean ' .. PATTERN, {'pull', 'Qwen3-TTS-12Hz-0.6-Base'})
  end)

  if not command.has 'hf' or not command.has 'python3' then
    pending 'hf (huggingface_hub) or python3 is not installed'
    return
  end

  it('fetches a model into the cache, where it is then found, and once only', function()
    local env, log = hub 'whole'
    local r = command.run({'pull', 'Qwen3-TTS-12Hz-0.6B-Base'}, {env = env})
    assert.equal(0, r.code, r.err)
    local snap = env.HF_HUB_CACHE .. '/models--Qwen--Qwen3-TTS-12Hz-0.6B-Base/snapshots/'
      .. '0123456789abcdef0123456789abcdef01234567'
    assert.equal(snap .. '\n', r.out)
    assert.equal(0, os.execute(('diff -r %s %s'):format(quote(model), quote(snap))))
    r = command.run({'inspect', '-m', NAME}, {env = env})
    assert.equal(0, r.code, r.err)
    local function fetched()
      local n = 0
      for line in io.lines(log) do n = n + (line:find '^GET %S+/resolve/' and 1 or 0) end
      return n
    end
    local once = fetched()
    assert.is_true(once >= 8)
    r = command.run({'pull', NAME}, {env = env})
    assert.equal(snap .. '\n', r.out, r.err)
    assert.equal(once, fetched())
  end)

  it('goes on where the connection was cut', function()
    local demo = command.root .. '/models/demo'
    local env, log = hub('cut', 'cut', demo)
    local r = command.run({'pull', NAME}, {env = env})
    assert.equal(0, r.code, r.err)
    local ranges = 0
    for line in io.lines(log) do ranges = ranges + (line:find 'bytes=[1-9]%d*%-' and 1 or 0) end
    assert.equal(1, ranges)
    assert.equal(0, os.execute(('diff -r %s %s'):format(quote(demo), quote(r.out:sub(1, -2)))))
  end)

  it('refuses what is not what the hub has the checksum of', function()
    local env = hub('damaged', 'damaged')
    fails(3, 'what was fetched is damaged %(Verification failed.*%): hf download ' .. PATTERN
      .. ' %-%-force%-download', {'pull', NAME}, env)
  end)

  it('looks for room on the disk before', function()
    local env, log = hub('size', 'size:1234567890123')
    fails(6, 'needs %d+%.%d GB in ' .. dir:gsub('%p', '%%%0') .. '/size%-cache, where %d+%.%d GB '
      .. 'are free; HF_HUB_CACHE names another place', {'pull', NAME}, env)
    for line in io.lines(log) do assert.is_nil(line:find '^GET %S+/resolve/', line) end
  end)

  it('tells apart a token that is needed, a model that is not there, and no network', function()
    local env = hub('token', 'token')
    fails(3, "the hub asks for a token %(Client error '401 Unauthorized'%): set HF_TOKEN",
      {'pull', NAME}, env)
    env.HF_TOKEN = 'secret'
    assert.equal(0, command.run({'pull', NAME}, {env = env}).code)
    fails(3, "the hub has no such model %(Client error '404 Not Found'%)", {'pull', 'Qwen/none'},
      env)
    os.execute('kill ' .. pid)
    pid = nil
    local there = 'the hub cannot be reached %(.*%); where there is a network, on a machine that '
      .. 'has it run: hf download ' .. PATTERN
    env.HF_HUB_CACHE = env.HF_HUB_CACHE .. '-2'
    fails(6, there, {'pull', NAME}, env)
    env.HF_HUB_OFFLINE = '1'
    fails(6, there, {'pull', NAME}, env)
  end)
end)
