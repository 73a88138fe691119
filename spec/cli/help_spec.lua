-- What the command says about itself: help, guesses, completion files, the manual page, -v, --json.

local command = require 'support.command'
local golden = require 'support.golden'
local json = require 'argent.json'
local verbs = require 'argent.cli.table'

local function run(...)
  return command.run {...}
end

describe('argent', function()
  local model
  for _, m in ipairs(golden.models()) do
    if m.name == 'custom' then model = m.model end
  end

  for _, name in ipairs(verbs.VERBS) do
    it('explains ' .. name .. ' with two examples, by --help, -h and help', function()
      local r = run(name, '--help')
      assert.equal(0, r.code, r.err)
      assert.matches('^Usage: argent ' .. name, r.out)
      assert.matches('Examples:\n  %S[^\n]*\n  %S', r.out)
      assert.equal(r.out, run(name, '-h').out)
      assert.equal(r.out, run('help', name).out)
      assert.is_nil(r.out:find('%f[%w]TODO'))
      for line in r.out:gmatch '[^\n]+' do assert.is_true(#line <= 100, line) end
    end)
  end

  it('shows defaults in its help', function()
    local r = run('say', '--help')
    for _, default in ipairs {'speech.wav', 'auto', 'bf16', '16'} do
      assert.truthy(r.out:find('(default: ' .. default .. ')', 1, true), default)
    end
  end)

  it('lists the verbs by --help and help, with two examples', function()
    local r = run '--help'
    assert.equal(0, r.code)
    for _, name in ipairs(verbs.VERBS) do assert.matches('\n  ' .. name .. ' +%l', r.out) end
    assert.matches('Examples:\n  argent [^\n]+\n  argent ', r.out)
    assert.equal(r.out, run('help').out)
  end)

  it('guesses what was meant: verbs, options, choices, voices, languages', function()
    local function guesses(code, text, ...)
      local r = run(...)
      assert.equal(code, r.code)
      assert.truthy(r.err:find(text, 1, true), r.err)
      assert.equal(1, select(2, r.err:gsub('\n', '\n')))
    end
    guesses(2, 'did you mean say?', 'sya', 'x')
    guesses(2, 'did you mean decode?', 'help', 'deocde')
    guesses(2, 'did you mean --instruct?', 'say', 'x', '--instrct', 'y')
    guesses(2, 'did you mean whole?', 'say', 'x', '--layout', 'hole')
    guesses(2, 'did you mean float?', 'say', 'x', '--bits=flaot')
    guesses(4, 'did you mean ryan?', 'say', 'x', '-m', model, '--voice', 'rayn')
    guesses(4, 'did you mean english?', 'say', 'x', '-m', model, '--voice', 'ryan', '--language',
      'englsh')
  end)

  it('says with -v what was chosen, and the same sound without', function()
    local function say(...)
      return run('say', 'Hello.', '-m', model, '--voice', 'ryan', '--seed', '1', '--max-frames',
        '5',
        '-o', '-', ...)
    end
    local plain, r = say(), say('-v', '--threads', '2')
    assert.equal(plain.out, r.out)
    for _, pattern in ipairs {'model: .* %(custom_voice, %S+%), weights in bf16',
      'device: cpu, 2 threads, instruction set %a',
        'prompt: %d+ rows in %d+ ms, layout whole, 1 part, seed 1',
      'plan: a frame is %d+ ops in 1 plan with %d+ barriers'} do
      assert.matches(pattern, r.err)
      assert.is_nil(plain.err:find(pattern))
    end
  end)

  it('prints JSON where people pipe', function()
    local wav = os.tmpname() .. '.wav'
    local codes = wav .. '.json'
    finally(function()
      os.remove(wav)
      os.remove(codes)
      os.remove((wav:gsub('%.wav$', '')))
    end)
    local r = run('say', 'Hello.', '-m', model, '--voice', 'ryan', '--seed', '1', '--max-frames',
      '5',
      '-o', wav, '--codes', codes, '--json')
    assert.equal(0, r.code, r.err)
    local stats = json.decode(r.out, 'stats')
    assert.equal(wav, stats.file)
    assert.equal(1, stats.seed)
    assert.equal(stats.frames * 1920, math.floor(stats.seconds * 24000 * (1920
      / require('argent.qwen3_tts.config').read(model).codec.samples_per_frame) + 0.5))
    r = run('decode', codes, '-m', model, '-o', wav, '--json')
    assert.equal(stats.frames, json.decode(r.out, 'decode').frames)
    for _, args in ipairs {{'say', 'x'}, {'decode', codes}} do
      args[#args + 1] = '--json'
      args[#args + 1] = '-o'
      args[#args + 1] = '-'
      r = command.run(args)
      assert.equal(2, r.code)
      assert.matches('%-%-json and %-o %- both want standard output', r.err)
    end
  end)

  it('has every option that GUIDE.md names for calls of the official package', function()
    local f = assert(io.open(command.root .. '/GUIDE.md'))
    local section = f:read('*a'):match '\n## From the official package\n(.*)$'
    f:close()
    local known = {}
    for _, name in ipairs {'say', 'clone'} do
      for option in run(name, '--help').out:gmatch '%-%-%l[%l-]*' do known[option] = true end
    end
    local count = 0
    for option in section:gmatch '%-%-%l[%l-]*' do
      assert.is_true(known[option], option)
      count = count + 1
    end
    assert.is_true(count > 25)
  end)

  it('completes verbs and options in bash', function()
    local script = [[
      eval "$("$0" completion bash)"
      ask() {
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
        _argent; echo "${COMPREPLY[*]}"
      }
      ask argent to
      ask argent say --la
      ask argent say --layout ''
      ask argent --ver
    ]]
    local r = command.run({'-c', script, command.exe}, {exe = 'bash'})
    assert.equal(0, r.code, r.err)
    assert.equal('tokenize\n--language --layout\nwhole stream\n--version\n', r.out)
  end)

  for shell, check in pairs {zsh = 'zsh -n', fish = 'fish --no-execute'} do
    it('prints a completion file that ' .. shell .. ' can read', function()
      local r = run('completion', shell)
      assert.equal(0, r.code, r.err)
      for _, name in ipairs(verbs.VERBS) do assert.truthy(r.out:find(name, 1, true)) end
      assert.truthy(r.out:find('temperature', 1, true))
      if not command.has(shell) then
        pending(shell .. ' is not installed')
        return
      end
      local path = os.tmpname()
      local f = assert(io.open(path, 'w'))
      f:write(r.out)
      f:close()
      local checked = os.execute(('%s %s'):format(check, path))
      os.remove(path)
      assert.equal(0, checked)
    end)
  end

  it('refuses shells it does not know', function()
    local r = run('completion', 'tcsh')
    assert.equal(2, r.code)
    assert.matches("must be one of 'bash', 'zsh', 'fish'", r.err)
  end)

  it('prints a manual page with every verb, option, default and exit code', function()
    local r = run 'man'
    assert.equal(0, r.code, r.err)
    assert.matches('^%.TH ARGENT 1', r.out)
    for _, name in ipairs(verbs.VERBS) do
      assert.truthy(r.out:find('.SS argent ' .. name, 1, true), name)
      for option in run(name, '--help').out:gmatch '\n +%-?%-?%l?,? ?(%-%-%l[%l-]+)' do
        assert.truthy(r.out:find(option:gsub('%-', '\\-'), 1, true), option)
      end
    end
    for _, part in ipairs {'.SH EXIT STATUS', '130', 'ARGENT_MODEL', '(default: speech.wav)',
      'MIT License'} do
      assert.truthy(r.out:find(part, 1, true), part)
    end
    for line in r.out:gmatch '[^\n]+' do -- what begins with a point is a request of man's own
      if line:find "^[.']" then assert.matches('^%.[%uf-n][%uf-n]?', line) end
    end
    if not command.has 'groff' then
      pending 'groff is not installed: the page was not set'
      return
    end
    local page = command.run({'-c', '"$0" man | groff -man -Tascii -ww 2>&1 >/dev/null',
      command.exe},
      {exe = 'bash'})
    assert.equal('', page.out)
  end)
end)
