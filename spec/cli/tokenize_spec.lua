-- argent tokenize: the released tokenizer's ids, from each way to give a text, and what cannot be
-- tokenized. The tokenizer itself has its own specs.

local command = require 'support.command'
local golden = require 'support.golden'
local json = require 'argent.json'
local lfs = require 'lfs'
local real_tokenizer = require 'support.real_tokenizer'
local st = require 'support.st'

describe('argent tokenize', function()
  local dir, model, cases

  setup(function()
    dir = os.tmpname()
    os.remove(dir)
    assert(lfs.mkdir(dir))
    model = real_tokenizer.dir()
    cases = golden.json(ARGENT_ROOT .. '/spec/fixtures/golden/tokenizer.json')
  end)

  teardown(function() os.execute('rm -rf ' .. command.quote(dir)) end)

  local function tokenize(args, opts)
    return command.run({'tokenize', '-m', model, unpack(args)}, opts)
  end

  -- Without -m.
  local function bare(args, env)
    return command.run({'tokenize', 'x', unpack(args)}, {env = env})
  end

  local function prints(ids, r)
    assert.same({0, ''}, {r.code, r.err})
    assert.matches('^%[[%d,]*%]\n$', r.out)
    assert.same(ids, json.decode(r.out, 'ids'))
  end

  local function fails(code, line, r)
    assert.equal(('argent: tokenize: %s\n'):format(line), r.err)
    assert.equal(code, r.code)
    assert.equal('', r.out)
  end

  it('prints the ids of the official tokenizer, whatever the text', function()
    for i = 1, #cases, 20 do
      prints(cases[i].ids, tokenize({'-'}, {stdin = cases[i].text}))
    end
  end)

  it('takes the text from arguments, joined by spaces, and behind --', function()
    prints(cases[1].ids, tokenize {cases[1].text})
    local words = {}
    for word in cases[1].text:gmatch '[^ ]+' do words[#words + 1] = word end
    assert.is_true(#words > 1)
    prints(cases[1].ids, tokenize(words))
    assert.equal(tokenize({'-'}, {stdin = '--special'}).out, tokenize({'--', '--special'}).out)
  end)

  it('takes the text from a file and from standard input, byte for byte', function()
    local path = dir .. '/text'
    local text = 'a\0b\n'
    st.write(text, path)
    local from_file = tokenize {'-f', path}
    assert.matches('^%[64,188,65,198%]\n$', from_file.out)
    for _, how in ipairs {{'-'}, {'-f', '-'}} do
      assert.equal(from_file.out, tokenize(how, {stdin = text}).out)
    end
    prints({}, tokenize {'-'})
  end)

  it('recognises added tokens only on demand', function()
    prints({151644}, tokenize {'<|im_start|>', '--special'})
    local plain = json.decode(tokenize({'<|im_start|>'}).out, 'ids')
    assert.is_true(#plain > 1)
    for _, id in ipairs(plain) do assert.is_true(id < 151643) end
  end)

  it('splits text as the official package does with a local directory, on demand', function()
    for _, m in ipairs(golden.models()) do
      local r = command.run {'tokenize', '-m', m.model, '--pattern', 'local_directory', 'x'}
      assert.equal(0, r.code)
    end
    fails(2, "argument for option '--pattern' must be one of 'native', 'local_directory' (see "
      .. 'argent tokenize --help)', tokenize {'x', '--pattern', 'other'})
  end)

  it('takes text of up to 1 MB', function()
    local r = tokenize({'-'}, {stdin = ('a '):rep(2 ^ 19)})
    assert.equal(0, r.code, r.err)
    fails(4, 'standard input: more than 1048576 bytes',
      tokenize({'-'}, {stdin = ('a'):rep(2 ^ 20 + 1)}))
    fails(4, '/dev/zero: more than 1048576 bytes', tokenize {'-f', '/dev/zero'})
  end)

  it('refuses text that is not UTF-8, no text, and two', function()
    fails(4, 'text is not valid UTF-8 at byte 2', tokenize({'-'}, {stdin = 'a\255b'}))
    fails(2, 'no text: give it as an argument, with -f FILE, or - for standard input', tokenize {})
    fails(2, 'the text is given twice: as arguments and by --file', tokenize {'x', '-f', 'y'})
  end)

  it('refuses files that cannot be read', function()
    fails(6, dir .. '/none: No such file or directory', tokenize {'-f', dir .. '/none'})
    fails(6, dir .. ': is a directory', tokenize {'-f', dir})
    fails(6, '/proc/self/mem: Input/output error', tokenize {'-f', '/proc/self/mem'})
  end)

  it('refuses options, with what they lack or the name that is nearest', function()
    local hint = ' (see argent tokenize --help)'
    fails(2, "option '-m' requires an argument" .. hint, bare {'-m'})
    fails(2, "unknown option '--specail', did you mean --special?" .. hint,
      tokenize {'x', '--specail'})
    fails(2, "unknown option '--zzzzzzzz'" .. hint, tokenize {'x', '--zzzzzzzz'})
    fails(2, "unknown option '--a; b'" .. hint, tokenize {'x', '--a\nb'})
  end)

  it('says which model directory it looked for, and where the name came from', function()
    local env = {ARGENT_MODEL = '/none'}
    fails(3, '/none: no such model directory (from -m)', bare {'-m', '/none'})
    fails(3, '/none: no such model directory (from ARGENT_MODEL)', bare({}, env))
    prints(cases[1].ids, tokenize({cases[1].text}, {env = env}))
    assert.matches('^no model is given or found: the demo voice is used',
      bare({}, {ARGENT_MODEL = ''}).err)
    fails(3, dir .. '/vocab.json: No such file or directory', bare {'-m', dir})
  end)

  it('ends with exit code 6 when its output is lost', function()
    local full, closed = {before = 'exec >/dev/full;'}, {before = 'exec >&-;'}
    fails(6, 'standard output: No space left on device', tokenize({'x'}, full))
    fails(6, 'standard output: Bad file descriptor', tokenize({'x'}, closed))
    for _, args in ipairs {{'--help'}, {'--version'}, {'tokenize', '--help'}} do
      assert.equal(6, command.run(args, full).code)
    end
  end)
end)
