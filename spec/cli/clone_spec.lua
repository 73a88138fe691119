-- Voices on the command line: clone, encode, say with a voice file or a recording; and files of
-- every kind that are none.

local command = require 'support.command'
local golden = require 'support.golden'
local json = require 'argent.json'
local lfs = require 'lfs'
local st = require 'support.st'

describe('argent', function()
  local dir, base, custom, recording
  local TEXT = 'A voice that speaks softly.'

  setup(function()
    dir = os.tmpname()
    os.remove(dir)
    assert(lfs.mkdir(dir))
    for _, m in ipairs(golden.models()) do
      if m.name == 'base' then base = m end
      if m.name == 'custom' then custom = m end
    end
    recording = base.dir .. '/reference.wav'
  end)

  teardown(function() os.execute('rm -rf ' .. command.quote(dir)) end)

  local function run(...)
    return command.run {...}
  end

  local function read(path)
    local f = assert(io.open(path, 'rb'))
    local s = f:read '*a'
    f:close()
    return s
  end

  local function fails(code, pattern, r)
    assert.equal(code, r.code, r.err)
    assert.equal('', r.out)
    assert.equal(1, select(2, r.err:gsub('\n', '\n')), r.err)
    assert.truthy(r.err:find(pattern, 1, true), r.err)
  end

  local function say(...)
    return run('say', 'One two.', '-m', base.model, '--seed', '4', '--max-frames', '6', '-o', '-',
      ...)
  end

  it('clones a voice into a file, and speaks with it as with the recording itself', function()
    for _, text in ipairs {false, TEXT} do
      local voice = dir .. '/a.voice'
      local args = {'clone', recording, '-m', base.model, '-o', voice, '--json'}
      if text then
        args[#args + 1] = '--ref-text'
        args[#args + 1] = text
      end
      local r = command.run(args)
      assert.equal(0, r.code, r.err)
      local told = json.decode(r.out, 'clone')
      assert.equal(voice, told.file)
      assert.equal(text and 17 or 0, told.frames)
      local by_file = say('--voice', voice)
      assert.equal(0, by_file.code, by_file.err)
      local by_audio = text and say('--ref-audio', recording, '--ref-text', text)
        or say('--ref-audio', recording)
      assert.equal(by_file.out, by_audio.out, by_audio.err)
    end
  end)

  -- In a folder of its own, as the voice file comes into the current one.
  local function clone_in(folder, ...)
    local model = base.model:sub(1, 1) == '/' and base.model or lfs.currentdir() .. '/'
      .. base.model
    return command.run({'clone', '-m', model, ...}, {before = ('cd %s;'):format(
      command.quote(folder))})
  end

  it('names the voice file like the recording, in the current folder, when no name is given',
    function()
      local here, there = dir .. '/here', dir .. '/there'
      assert(lfs.mkdir(here) and lfs.mkdir(there))
      os.execute(('cp %s %s/my.anna.wav'):format(command.quote(recording), there))
      local r = clone_in(here, there .. '/my.anna.wav')
      assert.equal('my.anna.voice: the speaker alone\n', r.err)
      assert.equal(0, r.code)
      assert.is_truthy(lfs.attributes(here .. '/my.anna.voice'))
      assert.is_nil(lfs.attributes(there .. '/my.anna.voice'))
    end)

  it('leaves a voice file that is there alone, unless it is named by -o', function()
    local here = dir .. '/kept'
    assert(lfs.mkdir(here))
    st.write('mine', here .. '/anna.voice')
    os.execute(('cp %s %s/anna.wav'):format(command.quote(recording), here))
    local r = clone_in(here, 'anna.wav')
    assert.equal('argent: clone: anna.voice is here already; give another name with -o, or remove '
      .. 'it\n', r.err)
    assert.equal(2, r.code)
    assert.equal('mine', read(here .. '/anna.voice'))
    assert.equal(0, clone_in(here, 'anna.wav', '-o', 'anna.voice').code)
    assert.are_not.equal('mine', read(here .. '/anna.voice'))
  end)

  it('takes a data URL for a recording', function()
    local p = io.popen('base64 <' .. command.quote(recording))
    local url = 'data:audio/wav;base64,' .. p:read '*a'
    p:close()
    local voice = dir .. '/url.voice'
    local r = run('clone', url, '-o', voice, '-m', base.model)
    assert.equal(0, r.code, r.err)
    assert.equal(say('--voice', voice).out, say('--ref-audio', url).out)
    assert.equal(say('--ref-audio', recording).out, say('--ref-audio', url).out)
    r = run('clone', url, '-m', base.model)
    assert.same({2, 'argent: clone: the recording is a data URL: say where its voice goes, -o '
      .. 'NAME.voice\n'}, {r.code, r.err})
  end)

  it('encodes a recording to the official codes, and decodes them again', function()
    local ag = require 'argent'
    local be = assert(ag.backend 'cpu')
    local want = assert(ag.load(base.dir .. '/analysis_31000.safetensors', {backend = be})).codes
    local r = run('encode', recording, '-m', base.model)
    assert.equal(0, r.code, r.err)
    assert.same(want:totable(), json.decode(r.out, 'codes').codes)
    local file = dir .. '/codes.json'
    assert.equal(0, run('encode', recording, '-m', base.model, '-o', file).code)
    assert.equal(r.out, read(file))
    assert.equal(0, run('decode', file, '-m', base.model, '-o', dir .. '/again.flac').code)
  end)

  it('takes recordings of every format and rate', function()
    local ag = require 'argent'
    local be = assert(ag.backend 'cpu')
    local x = assert(ag.audio.read(recording, {backend = be}))
    for name, rate in pairs {['r8.wav'] = 8000, ['r44.flac'] = 44100, ['r48.opus'] = 48000,
      ['r.mp3'] = 24000,
      ['r.ogg'] = 22050} do
      local path = dir .. '/' .. name
      assert(ag.audio.write(path, assert(ag.audio.resample(x, 24000, rate)), {rate = rate}))
      local r = run('clone', path, '-m', base.model, '--ref-text', TEXT, '-o', dir .. '/r.voice')
      assert.equal(0, r.code, name .. r.err)
      assert.matches('the speaker and 1[78] frames of speech', r.err)
    end
  end)

  it('refuses recordings that hold no voice, with exit code 4 and one line', function()
    local function wav(data, promise)
      local function le(n, b)
        local s = ''
        for _ = 1, b do
          s = s .. string.char(n % 256)
          n = math.floor(n / 256)
        end
        return s
      end
      return 'RIFF' .. le(36 + #data, 4) .. 'WAVEfmt \16\0\0\0\1\0\1\0' .. le(24000, 4)
        .. le(48000, 4)
        .. '\2\0\16\0data' .. le(promise or #data, 4) .. data
    end
    local path = dir .. '/bad.wav'
    for bytes, reason in pairs {
      [''] = 'is no sound', ['no sound'] = 'is no sound', [wav ''] = 'holds no samples',
      [wav(('\0'):rep(48000))] = 'is silent', [wav(('\1\2'):rep(5000))] = 'too short',
      [wav(('\1\2'):rep(24000), 4e6)] = 'is cut off',
    } do
      st.write(bytes, path)
      for _, r in ipairs {run('clone', path, '-m', base.model, '-o', dir .. '/bad.voice'),
        say('--ref-audio', path)} do
        fails(4, reason, r)
      end
    end
    assert.is_nil(lfs.attributes(dir .. '/bad.voice'))
    fails(6, 'No such file', run('clone', dir .. '/none.wav', '-m', base.model))
  end)

  it('refuses voice files that are none, cut, or of another model, with exit code 4', function()
    local voice = dir .. '/b.voice'
    assert.equal(0, run('clone', recording, '-m', base.model, '-o', voice).code)
    local bytes = read(voice)
    st.write(bytes:sub(1, #bytes - 9), dir .. '/cut.voice')
    fails(4, 'cut.voice', say('--voice', dir .. '/cut.voice'))
    st.write(bytes:sub(1, #bytes - 1) .. '\1', dir .. '/altered.voice')
    fails(4, 'was altered or damaged', say('--voice', dir .. '/altered.voice'))
    st.write('{}', dir .. '/none.voice')
    fails(4, 'none.voice', say('--voice', dir .. '/none.voice'))
    fails(6, 'No such file', say('--voice', dir .. '/missing.voice'))
  end)

  it('tells which model to use instead', function()
    fails(4, 'this is a Base model: it has no named voices', say('--voice', 'ryan'))
    fails(4, 'this is a CustomVoice model: it cannot clone a voice; use a Base model',
      run('clone', recording, '-m', custom.model))
    fails(4, 'this is a CustomVoice model: it cannot clone a voice; use a Base model',
      run('say', 'x', '-m', custom.model, '--ref-audio', recording, '-o', '-'))
  end)

  it('refuses options that contradict each other', function()
    fails(2, 'the voice is given twice', say('--voice', 'a.voice', '--ref-audio', recording))
    fails(2, '--ref-text says what is in --ref-audio', say('--ref-text', 'x'))
  end)
end)
