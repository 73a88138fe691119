-- argent doctor, as a person meets it.

local ag = require 'argent'
local card = require 'support.card'
local command = require 'support.command'
local golden = require 'support.golden'
local json = require 'argent.json'
local lfs = require 'lfs'
local variants = require('argent.doctor').VARIANTS

local FILES = {'config.json', 'generation_config.json', 'vocab.json', 'merges.txt',
  'tokenizer_config.json', 'model.safetensors', 'speech_tokenizer/config.json',
  'speech_tokenizer/model.safetensors'}

describe('argent doctor', function()
  local dir
  local models, size = {}, nil
  local quote = command.quote

  setup(function()
    dir = os.tmpname()
    os.remove(dir)
    assert(lfs.mkdir(dir))
    for _, m in ipairs(golden.models()) do
      local path = m.model
      models[m.name] = path:sub(1, 1) == '/' and path or lfs.currentdir() .. '/' .. path
    end
    size = json.read(models.custom .. '/config.json').tts_model_size
  end)

  teardown(function() os.execute('rm -rf ' .. quote(dir)) end)

  local function has(text, ...)
    for _, part in ipairs {...} do assert.truthy(text:find(part, 1, true), part .. '\n' .. text) end
  end

  local function doctor(args, env, code)
    local r = command.run({'doctor', unpack(args)}, {env = env})
    assert.equal(code or 0, r.code, r.err .. r.out)
    assert.equal(code and 1 or 0, select(2, r.err:gsub('\n', '\n')), r.err)
    return r
  end

  local function told(args, env, code)
    local all = {'--json', unpack(args)}
    local r = doctor(all, env, code)
    assert.equal(1, select(2, r.out:gsub('\n', '\n')))
    local object = assert(json.decode(r.out, 'doctor'))
    assert.equal(code == nil, object.healthy)
    return object, r
  end

  -- A copy of a model; without: a file that is left out.
  local function copy(model, path, without)
    os.execute(('mkdir -p %s/speech_tokenizer'):format(quote(path)))
    for _, file in ipairs(FILES) do
      if file ~= without then
        os.execute(('cp -L %s %s'):format(quote(model .. '/' .. file), quote(path .. '/' .. file)))
      end
    end
    return path
  end

  -- A copy in which the tensors of a file whose names begin so are missing.
  local function without_tensors(model, path, file, prefix)
    copy(model, path, file)
    local tensors = assert(ag.load(model .. '/' .. file, {backend = ag.backend 'cpu'}))
    local removed = 0
    for name in pairs(tensors) do
      if name:sub(1, #prefix) == prefix then
        tensors[name], removed = nil, removed + 1
      end
    end
    assert.is_true(removed > 0)
    assert(ag.save(path .. '/' .. file, tensors))
    return path
  end

  it('tells all of it on two screens, with exit code 0', function()
    local out = doctor({}).out
    has(out, 'cpu: ', 'memory ', 'features: ', 'ops: ', 'plain C on every CPU: add, advance',
      'agree, within 2e-05', 'libraries:\n', 'libsndfile', 'cuda: ', 'models:\n',
      'looked in /nonexistent/.cache/huggingface/hub (HOME): not there',
      'none but the demo voice, which speaks; fetch one with:')
    local lines = 0
    for line in out:gmatch '[^\n]+' do
      lines = lines + 1
      -- Names and paths are as long as they are.
      assert.is_true(#line <= 80 or line:find '^cpu: ' ~= nil or line:find '/' ~= nil, line)
    end
    assert.is_true(lines <= 60, lines)
  end)

  it('tells all of the system that a report of a mistake needs, and no secret', function()
    local env = {HF_TOKEN = 'hf_secret', ARGENT_ISA = 'plain', LANG = 'C.UTF-8'}
    local r = doctor({}, env)
    local release = assert(io.open '/etc/os-release'):read '*a':match 'PRETTY_NAME="([^"]*)'
    has(r.out, 'system: ' .. release .. '\n', 'glibc ', 'build: ', ', ABI ', 'the tree: /',
      '/lua/argent\n', 'JIT o', 'Lua modules: argparse ', 'cjson ', 'lfs ', 'free on disks: ',
      ' GB', 'environment: ', 'ARGENT_ISA=plain', 'HF_TOKEN=(set)', 'LANG=C.UTF-8')
    assert.is_nil(r.out:find('hf_secret', 1, true))
    local limited = command.run({'doctor'}, {before = 'ulimit -n 77;'})
    has(limited.out, 'open files 77')
    local object, printed = told({}, env)
    assert.equal('(set)', object.system.environment.HF_TOKEN)
    assert.equal(false, object.system.installed)
    assert.is_nil(printed.out:find('hf_secret', 1, true))
  end)

  it('tells the same as JSON', function()
    local r, printed = told {}
    has(printed.out, '"models":[]', '"places":[{')
    local count = 0
    for _ in pairs(ag.ops) do count = count + 1 end
    assert.equal(count, #r.ops)
    assert.equal(0, r.failures)
    assert.equal(2e-5, r.bound)
    assert.equal(9, #r.libraries)
    assert.same({}, r.models)
    assert.equal(ag.version, r.version)
    assert.equal(ag.backend('cpu').isa, r.cpu.isa)
    for _, op in ipairs(r.ops) do
      for _, isa in ipairs(variants) do
        local check = op.variants[isa]
        assert.is_true(check.agrees == true or type(check.missing) == 'string')
      end
    end
  end)

  it('follows ARGENT_ISA, and tells the rest where that is wrong', function()
    local r = told({}, {ARGENT_ISA = 'plain'})
    assert.equal('plain', r.cpu.isa)
    for _, op in ipairs(r.ops) do assert.equal('plain', op.chosen) end
    local bad = doctor({}, {ARGENT_ISA = 'mmx'}, 3)
    has(bad.err, 'argent: doctor: ARGENT_ISA=mmx: not one of plain, ' .. variants[1])
    has(bad.out, 'NO BACKEND: ARGENT_ISA=mmx', 'agree, within', 'libraries:')
  end)

  it('ends with 1 where a kernel is wrong, and names it', function()
    local isa = variants[1] -- the first column of the table
    if not (ag.backend('cpu', {isa = isa})) then pending('this CPU lacks ' .. isa) end
    local script = dir .. '/wrong.lua'
    local f = assert(io.open(script, 'w'))
    f:write(([[
      local ag = require 'argent'
      local cases = require('argent.doctor').CASES
      local right = cases.tanh
      function cases.tanh(m)
        local made = right(m)
        if m.be.isa == '%s' then
          local t = made[2]:fill(tonumber(arg[1]))
          ag.ops.add(t, t, t, 1) -- 3e38 becomes infinity
        end
        return made
      end
      return require('argent.cli').main {[0] = 'argent', 'doctor', arg[2]}]]):format(isa))
    f:close()
    local r = command.run {'run', script, '3'}
    assert.equal(1, r.code, r.err)
    assert.equal('argent: doctor: 1 kernels differ from plain C\n', r.err)
    assert.matches('\n  tanh +plain +%de%+00 WRONG', r.out)
    has(r.out, '1 WRONG (more than 2e-05)')
    r = command.run {'run', script, '3e38', '--json'}
    assert.equal(1, r.code, r.err)
    local object = assert(json.decode(r.out, 'doctor'))
    assert.is_false(object.healthy)
    for _, op in ipairs(object.ops) do
      if op.name == 'tanh' then assert.equal('NaN or infinity', op.variants[isa].fault) end
    end
  end)

  describe('with a card (the emulated one)', function()
    local exe, folder

    setup(function()
      folder = dir .. '/card'
      assert(lfs.mkdir(folder))
      exe = card.make(folder)
    end)

    -- What a driver answers about its cards.
    local function driver(path)
      assert(lfs.mkdir(path))
      local f = assert(io.open(path .. '/libcuda.c', 'w'))
      f:write [[
        #include <stddef.h>
        #include <string.h>
        static int ready;
        int cuInit(unsigned flags) { ready = flags == 0; return 0; }
        int cuDeviceGet(int *d, int ordinal) { *d = 7; return !ready || ordinal != 0; }
        int cuDeviceGetName(char *s, int n, int d) { strncpy(s, "Card of 7", n); return d != 7; }
        int cuDeviceTotalMem_v2(size_t *b, int d) { *b = (size_t)3 << 29; return d != 7; }]]
      f:close()
      os.execute(('cc -shared -fPIC -o %s/libcuda.so.1 %s/libcuda.c'):format(quote(path),
        quote(path)))
      return path
    end

    local function doctor_there(code, ...)
      local env = card.env()
      env.LD_LIBRARY_PATH = (...)
      local r = command.run({'doctor', select(2, ...)}, {exe = exe, env = env})
      assert.equal(code, r.code, r.err .. r.out)
      return r
    end

    it('checks every op on it, in a column of its own', function()
      if ag.backend 'cuda' then pending 'this machine has a card' end
      local out = doctor_there(0, '').out
      assert.matches('\n +used +' .. table.concat(variants, ' +') .. ' +cuda\n', out)
      local kernels = 0
      local row = '\n  ([%l_%d]+) +%l[%w]*' .. (' +[%de-]+'):rep(#variants) .. ' +([%de-]+)'
      for name, cell in out:gmatch(row) do
        assert.is_not_nil(ag.ops[name], name)
        assert.is_true(name:find '^pack' ~= nil or tonumber(cell) <= 2e-5, cell)
        kernels = kernels + 1
      end
      assert.is_true(kernels >= 10)
      has(out, '\ncuda: a card, emulated; no NVIDIA driver here\n', ' ops agree, within 2e-05')
      for line in out:gmatch '[^\n]+' do
        assert.is_true(#line <= 80 or line:find '^cpu: ' ~= nil or line:find '/' ~= nil, line)
      end
    end)

    it('names it as its driver does', function()
      if ag.backend 'cuda' then pending 'this machine has a card' end
      local path = driver(dir .. '/driver')
      has(doctor_there(0, path).out,
        '\ncuda: Card of 7, emulated, 1.5 GiB; NVIDIA driver of unknown\nversion\n')
      local r = assert(json.decode(doctor_there(0, path, '--json').out, 'doctor'))
      assert.same({true, 'Card of 7', 'emulated', 3 * 2 ^ 29, ''}, {r.cuda.found, r.cuda.name,
        r.cuda.isa, r.cuda.memory, r.cuda.driver})
      -- Packing is for the CPU's memory alone.
      local lacks = {pack = true, quantize = true, pack_conv1d = true, packed_conv1d = true}
      for _, op in ipairs(r.ops) do
        local cuda = op.variants.cuda
        assert.is_true(cuda.agrees or lacks[op.name] and cuda.missing ~= nil, op.name)
      end
    end)

    it('ends with 1 where a kernel is wrong there', function()
      local script = folder .. '/wrong.lua'
      local f = assert(io.open(script, 'w'))
      f:write [[
        local cases = require('argent.doctor').CASES
        local right = cases.add
        function cases.add(m)
          local made = right(m)
          if m.be.kind ~= 'cpu' then made[1]:fill(3) end
          return made
        end
        return require('argent.cli').main {[0] = 'argent', 'doctor'}]]
      f:close()
      local r = command.run({'run', script}, {exe = exe, env = card.env()})
      assert.equal(1, r.code, r.err)
      assert.equal('argent: doctor: 1 kernels differ from plain C\n', r.err)
      assert.matches('\n  add +plain' .. (' +%S+'):rep(#variants) .. ' +%de%+00 WRONG\n', r.out)
    end)
  end)

  describe('without a library', function()
    local function breaking(...)
      local path = ('%s/broken-%s'):format(dir, ...)
      assert(lfs.mkdir(path))
      for _, file in ipairs {...} do assert(io.open(path .. '/' .. file, 'w')):close() end
      -- CI loads some libraries from the start; the broken one cannot be among them.
      local early = {}
      for file in (os.getenv 'LD_PRELOAD' or ''):gmatch '[^%s:]+' do
        if file ~= ... then early[#early + 1] = file end
      end
      return {LD_LIBRARY_PATH = path, LD_PRELOAD = table.concat(early, ' ')}
    end

    it('says what does not work and what to install, with exit code 3', function()
      local r = doctor({'-m', models.custom}, breaking('libpcre2-8.so.0', 'libpcre2-8.so'), 3)
      assert.matches('^argent: doctor: PCRE2: cannot be loaded %(.*file too short%): '
        .. 'apt install %-%-reinstall libpcre2%-8%-0\n$', r.err)
      has(r.out, '\n    needed for the tokenizer: any speech\n', 'ops agree', '\n  utf8proc    ',
        (' (-m): custom_voice, %s, INCOMPLETE'):format(size), 'cannot load PCRE2')
    end)

    it('is content where that costs comfort only', function()
      local r = doctor({}, breaking 'libedit.so.2')
      has(r.out, '\n  libedit: cannot be loaded', 'needed for editing and completion')
    end)
  end)

  describe('looks at models', function()
    it('of -m: kind, size, complete', function()
      for name, kind in pairs {custom = 'custom_voice', base = 'base', design = 'voice_design'} do
        local r = told {'-m', models[name]}
        assert.equal(1, #r.models)
        local m = r.models[1]
        assert.equal(json.read(models[name] .. '/config.json').tts_model_size, m.size)
        assert.same({'-m', kind, models[name]}, {m.from, m.kind, m.dir})
        assert.is_nil(m.fault)
        has(doctor({'-m', models[name]}).out, ('%s (-m): %s, %s, complete'):format(models[name],
          kind, m.size))
      end
    end)

    it('and ends with 3 where that of -m is not there or lacks a file or a tensor', function()
      local r = doctor({'-m', '/no/such'}, nil, 3)
      assert.equal('argent: doctor: /no/such: no such model directory (from -m)\n', r.err)
      has(r.out, '/no/such (-m): NOT FOUND')

      local other = dir .. '/other'
      assert(lfs.mkdir(other))
      local f = assert(io.open(other .. '/config.json', 'w'))
      f:write '{"model_type": "gemma"}'
      f:close()
      r = doctor({'-m', other}, nil, 3)
      has(r.err, other .. "/config.json: model_type: 'gemma' is no model that Argent runs")
      has(r.out, other .. ' (-m): INCOMPLETE')

      local path = copy(models.custom, dir .. '/no-file', 'merges.txt')
      r = doctor({'-m', path}, nil, 3)
      assert.equal(('argent: doctor: %s: without merges.txt\n'):format(path), r.err)
      has(r.out, path .. ' (-m): custom_voice, ' .. size .. ', INCOMPLETE')

      path = without_tensors(models.custom, dir .. '/no-tensor', 'model.safetensors',
        'talker.codec_head.')
      r = doctor({'-m', path}, nil, 3)
      has(r.err, 'talker.codec_head.weight: missing')
      has(r.out, path .. ' (-m): custom_voice, ' .. size .. ', INCOMPLETE')
    end)

    it('finds that a Base model cannot listen, which another need not', function()
      local file = 'speech_tokenizer/model.safetensors'
      local base = without_tensors(models.base, dir .. '/deaf', file, 'encoder.')
      has(doctor({'-m', base}, nil, 3).err, 'has no encoder')
      local custom = without_tensors(models.custom, dir .. '/deaf-custom', file, 'encoder.')
      doctor {'-m', custom}
    end)

    it('of ARGENT_MODEL and the caches, and a fault there is told and no failure', function()
      has(doctor({}, {ARGENT_MODEL = models.custom}).out, models.custom .. ' (ARGENT_MODEL): '
        .. 'custom_voice, ' .. size .. ', complete')
      has(doctor({}, {ARGENT_MODEL = '/no/such'}).out, '/no/such (ARGENT_MODEL): NOT FOUND',
        'no such model directory')
      local function cached(name) return dir .. '/hub/models--Qwen--' .. name .. '/snapshots/1' end
      copy(models.custom, cached 'Qwen3-TTS-12Hz-0.6B-CustomVoice')
      copy(models.base, cached 'Qwen3-TTS-12Hz-0.6B-Base', 'speech_tokenizer/model.safetensors')
      local env = {HF_HUB_CACHE = dir .. '/hub', ARGENT_MODEL = 'Qwen3-TTS-12Hz-0.6B-CustomVoice'}
      local r = told({}, env)
      assert.equal(2, #r.models) -- what two ways lead to is listed once
      assert.same({'Qwen3-TTS-12Hz-0.6B-CustomVoice', 'ARGENT_MODEL'},
        {r.models[1].name, r.models[1].from})
      assert.is_nil(r.models[1].fault)
      assert.same({'speech_tokenizer/model.safetensors'}, r.models[2].missing)
      has(doctor({}, env).out, 'Qwen/Qwen3-TTS-12Hz-0.6B-Base: base, ',
        'without speech_tokenizer/model.safetensors', dir .. '/hub (HF_HUB_CACHE)\n')
    end)
  end)
end)
