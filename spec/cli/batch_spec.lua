-- say --each: many lines, one file each; resumed, reported, never half-written. And text that comes
-- over standard input while it is spoken.

local command = require 'support.command'
local golden = require 'support.golden'
local json = require 'argent.json'
local lfs = require 'lfs'
local st = require 'support.st'

describe('say --each', function()
  local dir, model, design

  setup(function()
    for _, m in ipairs(golden.models()) do
      if m.name == 'custom' then model = m.model end
      if m.name == 'design' then design = m.model end
    end
  end)

  before_each(function()
    dir = os.tmpname()
    os.remove(dir)
    assert(lfs.mkdir(dir))
  end)

  after_each(function() os.execute('rm -rf ' .. command.quote(dir)) end)

  local function each(more, opts, text)
    local lines = st.write(text or 'One.\n\nTwo here.\r\n   \nThree.\n', dir .. '/lines.txt')
    local args = {'say', '-f', lines, '--each', '-m', model, '--voice', 'ryan', '--seed', '5',
      '--max-frames', '6', '--threads', '1', '-o', dir .. '/out/%02d.wav'}
    for _, a in ipairs(more or {}) do args[#args + 1] = a end
    return command.run(args, opts)
  end

  local function files(folder)
    local list = {}
    for name in lfs.dir(folder) do
      if name:sub(1, 1) ~= '.' then list[#list + 1] = name end
    end
    table.sort(list)
    return table.concat(list, ' ')
  end

  local function bytes(name)
    local f = assert(io.open(dir .. '/' .. name, 'rb'))
    local s = f:read '*a'
    f:close()
    return s
  end

  it('makes a file for every line that holds something', function()
    local r = each()
    assert.equal(0, r.code, r.err)
    assert.equal('01.wav 02.wav 03.wav', files(dir .. '/out'))
    assert.matches('3 made, 0 skipped, 0 failed\n$', r.err)
    local single = command.run {'say', 'Two here.', '-m', model, '--voice', 'ryan', '--seed', '6',
      '--max-frames', '6', '-o', dir .. '/single.wav'}
    assert.equal(0, single.code)
    assert.equal(bytes 'single.wav', bytes 'out/02.wav')
  end)

  it('done again makes only what is not there, with the same bytes', function()
    each()
    local second = bytes 'out/02.wav'
    os.remove(dir .. '/out/02.wav')
    local r = each()
    assert.matches('1 made, 2 skipped, 0 failed\n$', r.err)
    assert.equal(second, bytes 'out/02.wav')
    assert.matches('0 made, 3 skipped, 0 failed\n$', each().err)
  end)

  it('reports a line that fails, does the rest, and ends with its exit code', function()
    local r = each({}, nil, 'One.\nbad \255 text\nThree.\n')
    assert.equal(4, r.code)
    assert.equal('01.wav 03.wav', files(dir .. '/out'))
    assert.matches('argent: say: line 2: text: [^\n]*UTF%-8[^\n]*\n', r.err)
    assert.matches('2 made, 0 skipped, 1 failed\n$', r.err)
  end)

  it('interrupted leaves no file half-written, and is resumed', function()
    local text = ('A longer line of some words, to take its time. '):rep(3) .. '\n'
    local slow = {'--max-frames', '4000'}
    local r = each(slow, {interrupt = 0.8}, text:rep(150))
    assert.equal(130, r.code, r.err)
    local before = files(dir .. '/out')
    assert.is_nil(before:find 'partial')
    local count = select(2, before:gsub('%.wav', ''))
    assert.is_true(count < 150, before)
    for name in before:gmatch '%S+' do
      assert.is_true(#bytes('out/' .. name) > 44)
    end
    r = each({'--max-frames', '2'}, nil, text:rep(150))
    assert.equal(0, r.code, r.err)
    assert.matches(('%d made, %d skipped, 0 failed\n$'):format(150 - count, count), r.err)
    assert.equal(150, select(2, files(dir .. '/out'):gsub('%.wav', '')))
  end)

  it('writes codes beside, and an object of JSON for each', function()
    local r = each {'--codes', dir .. '/codes/%d.json', '--json'}
    assert.equal(0, r.code, r.err)
    assert.equal('1.json 2.json 3.json', files(dir .. '/codes'))
    local n = 0
    for line in r.out:gmatch '[^\n]+' do
      n = n + 1
      local stats = json.decode(line, 'stats')
      assert.equal(('%s/out/%02d.wav'):format(dir, n), stats.file)
      assert.equal(4 + n, stats.seed)
      assert.is_true(stats.frames >= 1 and stats.seconds > 0)
    end
    assert.equal(3, n)
  end)

  it('refuses names that are no template, and texts without a line', function()
    for _, name in ipairs {'x.wav', '%d%d.wav', '%s.wav', '%5.2f.wav', '%%d.wav', '%d%', '-',
      '%1000d.wav'} do
      local r = each {'-o', name}
      assert.equal(2, r.code, name .. r.err)
      assert.equal(1, select(2, r.err:gsub('\n', '\n')))
    end
    assert.equal(2, each({'--codes', 'x.json'}).code)
    local r = each({}, nil, '\n  \n')
    assert.equal(4, r.code)
    assert.matches('no line holds any text', r.err)
    assert.equal('lines.txt', files(dir))
  end)

  describe('text from standard input', function()
    local function say(more, opts)
      local args = {'say', '-', '-m', design, '--instruct', '', '--seed', '3', '--max-frames', '40',
        '-o', '-'}
      for _, a in ipairs(more) do args[#args + 1] = a end
      return command.run(args, opts)
    end

    it('is spoken while it comes, and gives the bytes of the whole', function()
      local text = 'One two three four five six seven eight, and that is all.'
      local file = st.write(text, dir .. '/text.txt')
      local whole = command.run {'say', '-f', file, '-m', design, '--instruct', '', '--seed', '3',
        '--max-frames', '40', '--layout', 'stream', '-o', '-'}
      assert.equal(0, whole.code, whole.err)
      local fed = say({'--layout', 'stream'}, {stdin = text})
      assert.equal(0, fed.code, fed.err)
      assert.equal(whole.out, fed.out)
      -- In two pieces with a pause: the first must be heard before the second is there.
      local exe = ('(printf "One two three four "; sleep 1; date +%%s%%N >%s/second; printf "five '
        .. 'six '
        .. 'seven eight, and that is all.") | %s'):format(dir, command.quote(command.exe))
      local heard = dir .. '/heard.raw'
      local r = say({'--layout', 'stream'}, {exe = 'bash -c ' .. command.quote(exe
        .. ' "$@" </dev/stdin | (head -c 2; date +%s%N >' .. dir .. '/first; cat)') .. ' argent'})
      assert.equal(whole.out, r.out, r.err .. heard)
      assert.is_true(tonumber(bytes 'first') < tonumber(bytes 'second'))
    end)

    it('that is empty or no text is refused', function()
      for _, text in ipairs {'', '  \n', '\255abcdef'} do
        local r = say({'--layout', 'stream'}, {stdin = text})
        assert.equal(4, r.code, r.err)
        assert.equal('', r.out)
      end
    end)
  end)
end)
