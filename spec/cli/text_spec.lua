-- The text of `say`: the same rule for arguments, files and pipes, and pipes without a `-`.

local command = require 'support.command'
local golden = require 'support.golden'
local json = require 'argent.json'
local lfs = require 'lfs'
local st = require 'support.st'
local terminal = require 'support.terminal'

describe('the text of argent say', function()
  local dir, custom, base

  setup(function()
    dir = os.tmpname()
    os.remove(dir)
    assert(lfs.mkdir(dir))
    for _, m in ipairs(golden.models()) do
      if m.name == 'custom' then custom = m end
      if m.name == 'base' then base = m end
    end
  end)

  teardown(function() os.execute('rm -rf ' .. command.quote(dir)) end)

  -- The sound of a text in the layout whole, read before the model is opened.
  local function whole(text, opts)
    local args = {'say', '-m', custom.model, '--voice', 'ryan', '--greedy', '--max-frames', '4',
      '-o', '-', unpack(text)}
    local r = command.run(args, opts)
    assert.equal(0, r.code, r.err)
    return r.out
  end

  -- The same of a Base model, which speaks while the text comes.
  local function fed(text, opts)
    local args = {'say', '-m', base.model, '--ref-audio', base.dir .. '/reference.wav', '--greedy',
      '--max-frames', '12', '-o', '-', unpack(text)}
    local r = command.run(args, opts)
    assert.equal(0, r.code, r.err)
    return r.out
  end

  it('ends before its last line breaks, from an argument, a file and a pipe', function()
    local file = st.write('Good night.\n', dir .. '/one.txt')
    local two = st.write('Good night.\r\n\n', dir .. '/two.txt')
    for _, say in ipairs {whole, fed} do
      local want = say {'Good night.'}
      assert.is_true(#want > 0)
      assert.is_true(want == say {'Good night.\n'})
      assert.is_true(want == say {'-f', file})
      assert.is_true(want == say {'-f', two})
      assert.is_true(want == say({'-'}, {stdin = 'Good night.\n'}))
      assert.is_true(want == say({'-f', '-'}, {stdin = 'Good night.\r\n\n'}))
    end
  end)

  it('keeps its other white space but that in front', function()
    for _, say in ipairs {whole, fed} do
      local want = say {'Good\n\nnight. '}
      assert.are_not.equal(say {'Good\n\nnight.'}, want)
      assert.are_not.equal(say {'Good night. '}, want)
      assert.is_true(want == say {'\n Good\n\nnight. \n'})
      assert.is_true(want == say({'-'}, {stdin = ' \nGood\n\nnight. \n'}))
    end
  end)

  it('is standard input when none is given and a pipe or a file is there', function()
    for _, say in ipairs {whole, fed} do
      local want = say {'Good night.'}
      assert.is_true(want == say({}, {stdin = 'Good night.\n'}))
      local piped = command.quote(command.exe)
      assert.is_true(want == say({}, {exe = 'bash -c ' .. command.quote(
        'printf "Good night.\\n" | ' .. piped .. ' "$@"') .. ' argent'}))
    end
  end)

  it('is split as the official package does with a local directory, by --pattern', function()
    -- The goldens' merges join nothing across a change of case, so the last one is made to.
    local copy = dir .. '/model'
    os.execute(('cp -rL %s %s && chmod -R u+w %s'):format(command.quote(custom.model), copy, copy))
    local vocab = json.read(copy .. '/vocab.json')
    local f = assert(io.open(copy .. '/merges.txt'))
    local merges = f:read('*a'):gsub('%s+$', '')
    f:close()
    local left, right = merges:match '(%S+) (%S+)$'
    vocab.eH, vocab[left .. right] = vocab[left .. right], nil
    st.write(json.encode(vocab), copy .. '/vocab.json')
    st.write(merges:gsub('%S+ %S+$', 'e H\n'), copy .. '/merges.txt')
    local function say(text, ...) return whole {text, '-m', copy, ...} end
    assert.is_true(say 'eHa' == say('eHa', '--pattern', 'native'))
    assert.is_true(say 'eHa' ~= say('eHa', '--pattern', 'local_directory'))
    assert.is_true(say 'eha' == say('eha', '--pattern', 'local_directory'))
  end)

  it('is missing when standard input is a terminal, /dev/null or closed', function()
    local want = 'argent: say: no text: give it as an argument, with -f FILE, or - for standard '
      .. 'input'
    local exe = command.quote(command.exe)
    for _, start in ipairs {exe .. ' "$@"', exe .. ' "$@" <&-'} do
      local r = command.run({'say', '-m', custom.model}, {exe = 'bash -c ' .. command.quote(start)
        .. ' argent'})
      assert.equal(want .. '\n', r.err)
      assert.equal(2, r.code)
    end
    local t = terminal.open({command.exe, 'say', '-m', custom.model}, {})
    if not t then return pending 'no pseudo-terminal can be had here' end
    t:expect(want)
    assert.equal(2, t:wait())
  end)
end)
