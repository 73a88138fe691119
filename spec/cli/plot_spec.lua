-- argent plot, as a person meets it.

local command = require 'support.command'
local golden = require 'support.golden'
local lfs = require 'lfs'
local png = require 'support.png'

describe('argent plot', function()
  local dir, model, case

  setup(function()
    dir = os.tmpname()
    os.remove(dir)
    assert(lfs.mkdir(dir))
    for _, m in ipairs(golden.models()) do
      for _, c in ipairs(m.cases) do
        if c.mode == 'custom_voice' and c.seed and not c.options then model, case = m, c end
      end
    end
    local r = command.run {'say', case.text, '-m', model.model, '--voice', case.voice,
      '--max-frames', '20', '--seed', '1', '-o', dir .. '/said.wav', '--codes', dir .. '/said.json'}
    assert.equal(0, r.code, r.err)
  end)

  teardown(function() os.execute('rm -rf ' .. command.quote(dir)) end)

  local function plot(args, opts)
    local all = {'plot'}
    for _, a in ipairs(args) do all[#all + 1] = a end
    return command.run(all, opts)
  end

  local function speech(kind, more)
    local args = {kind, case.text, '-m', model.model, '--voice', case.voice, '--seed', '1',
      '--max-frames', '12', '--dtype', 'f32'}
    for _, a in ipairs(more) do args[#args + 1] = a end
    return args
  end

  local function draws(args, out)
    args[#args + 1] = '-o'
    args[#args + 1] = out
    local r = plot(args)
    assert.equal(0, r.code, r.err)
    assert.equal('', r.out)
    local p = png.read(out)
    assert.is_truthy(r.err:find(('%s: %d x %d\n'):format(out, p.width, p.height), 1, true), r.err)
    assert.is_true(p:ink(0, 0, p.width, 34) > 50, 'no title')
    os.remove(out)
    return p, r
  end

  -- One line of error, this code, and no file.
  local function fails(code, pattern, args, opts)
    local before = {}
    for name in lfs.dir(dir) do before[name] = true end
    local r = plot(args, opts)
    assert.equal(code, r.code, r.err)
    assert.equal('', r.out)
    assert.equal(1, select(2, r.err:gsub('\n', '\n')), r.err)
    assert.is_truthy(r.err:find(pattern, 1, true), r.err)
    for name in lfs.dir(dir) do assert.is_true(before[name], name) end
  end

  it('draws the waveform and the mel spectrogram of a sound file', function()
    draws({'waveform', dir .. '/said.wav'}, dir .. '/w.png')
    draws({'mel', dir .. '/said.wav', '--title', 'Mine'}, dir .. '/m.png')
  end)

  it('draws codes, from a file or standard input', function()
    local p = draws({'codes', dir .. '/said.json'}, dir .. '/c.png')
    local f = assert(io.open(dir .. '/said.json'))
    local text = f:read '*a'
    f:close()
    local r = plot({'codes', '-', '-o', dir .. '/c.png', '--title', 'said.json'}, {stdin = text})
    assert.equal(0, r.code, r.err)
    assert.equal(p.data, png.read(dir .. '/c.png').data)
    os.remove(dir .. '/c.png')
  end)

  it('draws the attention of a layer, of one head or of all, while it speaks', function()
    local mean, r = draws(speech('attention', {'--layer', '1'}), dir .. '/a.png')
    assert.is_truthy(r.err:find('12 frames, seed 1', 1, true))
    local one = draws(speech('attention', {'--layer', '1', '--head', '2'}), dir .. '/a.png')
    local linear = draws(speech('attention', {'--layer', '1', '--linear'}), dir .. '/a.png')
    assert.are_not.equal(mean.data, one.data)
    assert.are_not.equal(mean.data, linear.data)
  end)

  it('draws when each word was spoken, and says that it is estimated', function()
    local r = select(2, draws(speech('attention', {}), dir .. '/w.png'))
    assert.is_truthy(r.err:find('12 frames, seed 1', 1, true))
  end)

  it('draws the probability of the end token', function()
    draws(speech('eos', {}), dir .. '/e.png')
  end)

  it('draws speech with a voice from a recording', function()
    for _, m in ipairs(golden.models()) do
      if lfs.attributes(m.dir .. '/reference.wav') then
        draws({'attention', 'Hello.', '-m', m.model, '--ref-audio', m.dir .. '/reference.wav',
          '--layer', '0', '--max-frames', '5'}, dir .. '/v.png')
        fails(2, '--ref-text says what is in --ref-audio', {'eos', 'Hello.', '-m', m.model,
          '--ref-text', 'What.'})
        fails(6, 'none.voice', {'eos', 'Hello.', '-m', m.model, '--voice', dir .. '/none.voice'})
      end
    end
  end)

  it('calls the picture after its kind when it has no name, and writes to standard output for -',
    function()
      local exe, here = command.quote(command.exe), command.quote(dir)
      local r = command.run({'-c', ('cd %s && %s plot codes said.json'):format(here, exe)},
        {exe = 'bash'})
      assert.equal(0, r.code, r.err)
      local p = png.read(dir .. '/codes.png')
      os.remove(dir .. '/codes.png')
      r = plot {'codes', dir .. '/said.json', '-o', '-', '--width', '500', '--height', '400'}
      assert.equal(0, r.code, r.err)
      assert.equal('standard output: 500 x 400\n', r.err)
      assert.equal(500, png.decode(r.out).width)
      assert.are_not.equal(500, p.width)
    end)

  it('refuses what it cannot draw, before it speaks', function()
    local out = dir .. '/x.png'
    fails(2, "must be one of 'waveform'", {'spectrum', dir .. '/said.wav'})
    fails(2, "unknown picture format '.jpg'; pictures are .png", speech('eos', {'-o', 'x.jpg'}))
    fails(2, 'belong to a layer: give --layer N', speech('attention', {'-o', out, '--head', '1'}))
    fails(2, '--layer 99: this talker has layers 0 to',
      speech('attention', {'-o', out, '--layer', '99'}))
    fails(2, '--head 99: this talker has heads 1 to',
      speech('attention', {'-o', out, '--layer', '0', '--head', '99'}))
    fails(2, '--layer belongs to attention, not to eos', speech('eos', {'--layer', '0'}))
    fails(2, 'expected one file', {'mel'})
    fails(2, 'expected one file', {'mel', 'a.wav', 'b.wav'})
    fails(2, 'no text', {'eos', '-m', model.model})
    fails(2, 'an integer from 400 to 16384', {'codes', 'x', '--width', '10'})
    fails(3, 'no such model directory', {'eos', 'Hi', '-m', dir .. '/none'})
    fails(4, "unknown voice 'nobody'", {'eos', 'Hi', '-m', model.model, '--voice', 'nobody',
      '-o', out})
  end)

  it('refuses files that do not hold what it draws', function()
    local out = dir .. '/x.png'
    fails(4, 'is no sound that can be read', {'mel', dir .. '/said.json', '-o', out})
    fails(6, 'No such file', {'waveform', dir .. '/none.wav', '-o', out})
    fails(4, 'not valid JSON', {'codes', dir .. '/said.wav', '-o', out})
    fails(6, 'No such file', {'codes', dir .. '/none.json', '-o', out})
    fails(4, 'standard input: frame 1 does not have 2 codes', {'codes', '-', '-o', out},
      {stdin = '{"codes": [[1, 2], [3]]}'})
    fails(4, 'standard input: no frames', {'codes', '-', '-o', out}, {stdin = '{"codes": []}'})
    fails(4, 'frame 0 does not have', {'codes', '-', '-o', out}, {stdin = '{"codes": [[]]}'})
  end)

  it('leaves what stood under the name when the disk is full', function()
    local out = dir .. '/full.png'
    local f = assert(io.open(out, 'w'))
    f:write 'old'
    f:close()
    fails(6, 'full.png: cannot write: File too large',
      {'waveform', dir .. '/said.wav', '-o', out}, {before = 'trap "" XFSZ; ulimit -f 1;'})
    f = assert(io.open(out))
    assert.equal('old', f:read '*a')
    f:close()
    os.remove(out)
    fails(6, 'cannot write: No such file or directory',
      {'waveform', dir .. '/said.wav', '-o', dir .. '/no/x.png'})
    local exe, here = command.quote(command.exe), command.quote(dir)
    local r = command.run({'-c', ('%s plot codes %s/said.json -o - >/dev/full'):format(exe, here)},
      {exe = 'bash'})
    assert.equal(6, r.code)
    assert.is_truthy(r.err:find('standard output: No space left', 1, true), r.err)
  end)
end)
