-- Where sound and codes go: no file is written over one that is needed, terminals get no samples,
-- players get them while they are made, and names cannot steer a terminal.

local command = require 'support.command'
local golden = require 'support.golden'
local lfs = require 'lfs'
local st = require 'support.st'
local terminal = require 'support.terminal'

describe('argent', function()
  local dir, base, custom

  setup(function()
    dir = os.tmpname()
    os.remove(dir)
    assert(lfs.mkdir(dir))
    for _, m in ipairs(golden.models()) do
      if m.name == 'base' then base = m end
      if m.name == 'custom' then custom = m.model end
    end
  end)

  teardown(function() os.execute('rm -rf ' .. command.quote(dir)) end)

  local function read(path)
    local f = assert(io.open(path, 'rb'))
    local s = f:read '*a'
    f:close()
    return s
  end

  local function say(more, opts)
    return command.run({'say', 'Hi.', '-m', custom, '--voice', 'ryan', '--greedy', '--max-frames',
      '4', unpack(more)}, opts)
  end

  describe('refuses to write over', function()
    -- One line, exit code 2, and the file as it was.
    local function refuses(line, path, r)
      local verb = r.err:match '^argent: (%a+)'
      assert.equal(('argent: %s: %s; give it another name\n'):format(verb, line), r.err)
      assert.equal(2, r.code)
      if path then assert.equal('kept', read(path)) end
    end

    local function kept(name) return st.write('kept', dir .. '/' .. name) end

    it('the sound with its codes', function()
      local x = dir .. '/x.wav'
      refuses(('--codes %s is the file of --output too'):format(x), nil,
        say {'-o', x, '--codes', x})
      local other = dir .. '/./x.wav'
      refuses(('--codes %s is the file of --output too'):format(other), nil,
        say {'-o', x, '--codes', other})
      local there, link = kept 'there.wav', dir .. '/link.wav'
      assert(lfs.link(there, link, true))
      refuses(('--codes %s is the file of --output too'):format(link), there,
        say {'-o', there, '--codes', link})
      refuses(('--codes %s/1.wav is the file of --output too'):format(dir), nil,
        say {'--each', '-o', dir .. '/%d.wav', '--codes', dir .. '/%d.wav'})
      assert.is_nil(lfs.attributes(x))
      assert.equal(0, say({'-o', '/dev/null', '--codes', '/dev/null'}).code)
    end)

    it('the text, the recording or the voice that is spoken with', function()
      local text, r, v = kept 't.wav', kept 'r.wav', kept 'v.voice'
      refuses(('--output %s is the file of --file too'):format(text), text,
        command.run {'say', '-f', text, '-o', text})
      refuses(('--output %s is the file of --ref-audio too'):format(r), r,
        command.run {'say', 'Hi.', '--ref-audio', r, '-o', r})
      refuses(('--codes %s is the file of --voice too'):format(v), v,
        command.run {'say', 'Hi.', '--voice', v, '-o', dir .. '/y.wav', '--codes', v})
    end)

    it('the recording that is cloned or encoded', function()
      local r = kept 'rec.voice'
      refuses(('--output %s is the file of the recording too'):format(r), r,
        command.run {'clone', r, '-o', r})
      refuses(('--output %s is the file of the recording too'):format(r), r,
        command.run {'encode', r, '-o', r})
      local wav = kept 'rec.wav'
      local run = command.run {'clone', wav, '-o', wav}
      assert.equal(('argent: clone: --output %s: the name of a voice file ends in .voice; say '
        .. '--voice knows it by that\n'):format(wav), run.err)
      assert.equal(2, run.code)
      assert.equal('kept', read(wav))
    end)
  end)

  it('notices a folder for the codes that is not there before it speaks', function()
    local x = dir .. '/before.wav'
    local r = say {'-o', x, '--codes', dir .. '/none/x.json', '-v'}
    assert.equal(6, r.code)
    assert.equal(1, select(2, r.err:gsub('\n', '\n')), r.err)
    assert.is_nil(lfs.attributes(x))
  end)

  it('shows control characters of names escaped', function()
    local name = dir .. '/a\n\27[2Jb\194\155c\t.wav'
    local r = say {'-o', name}
    assert.equal(0, r.code, r.err)
    assert.is_truthy(lfs.attributes(name))
    assert.is_truthy(r.err:find('/a\\n\\x1b[2Jb\\x9bc\\t.wav: ', 1, true), r.err)
    for _, args in ipairs {{'say', 'x', '-o', dir .. '/\27[31m/a.wav'}, {'say', 'x', '-m', '\27c'},
      {'say', 'x', '-f', '\27c'}, {'decode', '\27c'}, {'encode', '\27c', '-m', base.model},
      {'say', 'x', '--voice', '\27c', '-m', base.model}, {'plot', 'mel', '\27c'}, {'\27c'},
      {'clone', 'x', '-o', '\27c'}, {'run', '\27c'}, {'say', 'x', '--\27c'}} do
      r = command.run(args)
      assert.is_nil(r.err:find('[%z\1-\9\11-\31\127]'), r.err)
      assert.is_true(#r.err > 0)
    end
  end)

  it('pours no samples and no picture onto a terminal', function()
    local function shows(line, ...)
      local t = terminal.open({command.exe, ...}, {})
      if not t then return pending 'no pseudo-terminal can be had here' end
      t:expect(line)
      assert.equal(2, t:wait())
    end
    local why = '-o -: standard output is a terminal; pipe it into a player (| aplay -f S16_LE -r '
      .. '24000), use --play, or name a file'
    shows('argent: say: ' .. why, 'say', 'Hi.', '-m', custom, '-o', '-')
    shows('argent: decode: ' .. why, 'decode', 'codes.json', '-o', '-')
    shows('argent: plot: -o -: standard output is a terminal; name a file, or pipe it', 'plot',
      'mel', 'a.wav', '-o', '-')
  end)

  describe('--play', function()
    local bin, heard

    before_each(function()
      bin, heard = dir .. '/bin', dir .. '/heard'
      lfs.mkdir(bin)
    end)

    after_each(function() os.execute(('rm -rf %s %s'):format(bin, heard)) end)

    -- A program that is called like a player.
    local function player(name, text)
      st.write('#!/bin/sh\n' .. text .. '\n', bin .. '/' .. name)
      os.execute('chmod +x ' .. bin .. '/' .. name)
    end

    -- Only these programs are there.
    local function playing(more)
      for _, program in ipairs {'sh', 'cat', 'grep', 'timeout'} do
        local at = io.popen('command -v ' .. program)
        os.execute(('ln -sf %s %s/%s'):format(at:read '*l', bin, program))
        at:close()
      end
      return say({'--play', unpack(more)}, {env = {PATH = bin}})
    end

    it('is heard by the player that is there, in its own words, and makes no file', function()
      local want = say({'-o', '-'}).out
      assert.is_true(#want > 0)
      local arguments = {
        paplay = '--raw --format=s16le --rate=24000 --channels=1',
        aplay = '-q -t raw -f S16_LE -r 24000 -c 1',
        ffplay = '-v quiet -autoexit -nodisp -f s16le -sample_rate 24000 -i -',
        play = '-q -t raw -e signed -b 16 -r 24000 -c 1 -',
        ['pw-play'] = '--raw --format s16 --rate 24000 --channels 1 -',
      }
      for name, line in pairs(arguments) do
        player(name, ('if [ "$1" = --help ]; then echo " -a, --raw  RAW mode"; exit; fi\n'
          .. 'echo "$@" >%s.line; cat >%s'):format(heard, heard))
        local r = playing {}
        assert.equal(0, r.code, r.err)
        assert.matches('^played: [%d.]+ s of speech', r.err)
        assert.equal('', r.out)
        assert.is_true(want == read(heard), name)
        assert.equal(line .. '\n', read(heard .. '.line'))
        os.remove(heard .. '.line')
        os.remove(bin .. '/' .. name)
      end
      -- Another spec may have made a file of that name meanwhile, of another sound.
      local made = lfs.attributes 'speech.wav' and read 'speech.wav' or ''
      assert.is_true(made:sub(-#want) ~= want)
    end)

    it('is kept as well when a file is named, also when the player gives up', function()
      local x = dir .. '/kept.wav'
      player('aplay', 'cat >' .. heard)
      assert.equal(0, playing({'-o', x}).code)
      local bytes = read(x)
      assert.is_true(bytes:sub(45) == read(heard))
      os.remove(x)
      player('aplay', 'exit 1')
      local r = playing {'-o', x, '--max-frames', '200'}
      assert.equal(0, r.code, r.err)
      assert.matches('\ngoing on without %-%-play: aplay: ended before the sound did; can it play%?'
        .. '\n', '\n' .. r.err)
      assert.is_true(#read(x) > #bytes)
      r = playing {'--max-frames', '200'}
      assert.equal(6, r.code)
      assert.equal('argent: say: aplay: ended before the sound did; can it play?\n', r.err)
    end)

    it('is one line when nothing plays here, before the model is opened', function()
      local r = playing {'-m', '/none'}
      assert.equal('argent: say: --play: no player found (paplay, pw-play, aplay, ffplay, play): '
        .. 'apt install alsa-utils\n', r.err)
      assert.equal(6, r.code)
    end)

    it('plays codes too', function()
      local codes, wav = dir .. '/c.json', dir .. '/c.wav'
      assert.equal(0, say({'-o', wav, '--codes', codes}).code)
      player('aplay', 'cat >' .. heard)
      local r = command.run({'decode', codes, '-m', custom, '--play'}, {env = {PATH = bin
        .. ':/usr/bin:/bin'}})
      assert.equal(0, r.code, r.err)
      assert.matches('^played: 4 frames', r.err)
      assert.is_true(read(wav):sub(45) == read(heard))
    end)
  end)
end)
