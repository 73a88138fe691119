-- What a person reads who asked for what cannot be: one line that says what to do instead.

local command = require 'support.command'
local golden = require 'support.golden'
local lfs = require 'lfs'
local st = require 'support.st'

describe('argent says what to do', function()
  local dir, models = nil, {}
  local recording

  setup(function()
    dir = os.tmpname()
    os.remove(dir)
    assert(lfs.mkdir(dir))
    for _, m in ipairs(golden.models()) do
      models[m.name] = m.model
      if m.name == 'base' then recording = m.dir .. '/reference.wav' end
    end
  end)

  teardown(function() os.execute('rm -rf ' .. command.quote(dir)) end)

  -- Exactly this line, this exit code, and nothing on standard output.
  local function says(code, line, verb, ...)
    local r = command.run {verb, ...}
    assert.equal(('argent: %s: %s\n'):format(verb, line), r.err)
    assert.equal(code, r.code)
    assert.equal('', r.out)
  end

  local function say(model, ...)
    return 'say', 'Hi.', '-m', models[model], '-o', dir .. '/x.wav', ...
  end

  it('to who gives a Base model no voice, or a name', function()
    local wanted = 'give --ref-audio FILE, or --voice NAME.voice (made by argent clone)'
    says(4, 'this is a Base model: it needs a voice to clone; ' .. wanted, say 'base')
    says(4, ('--voice ryan: this is a Base model: it has no named voices; %s, or use a CustomVoice '
      .. 'model'):format(wanted), say('base', '--voice', 'ryan'))
  end)

  it('to who gives a file that is no voice file as the voice', function()
    for _, model in ipairs {'base', 'custom', 'design'} do
      says(4, '--voice t.txt: is no voice of this model, and the name of a voice file ends in '
        .. '.voice; argent clone makes one from a recording', say(model, '--voice', 't.txt'))
      says(4, '--voice a.wav: a recording is given by --ref-audio a.wav, or made into a voice file '
        .. 'first: argent clone a.wav', say(model, '--voice', 'a.wav'))
    end
  end)

  it('to who gives a VoiceDesign model no description, or a name', function()
    says(4, "this is a VoiceDesign model: describe the voice by --instruct TEXT ('' for any voice)",
      say 'design')
    says(4, '--voice ryan: this is a VoiceDesign model: it has no named voices; describe one by '
      .. '--instruct TEXT', say('design', '--voice', 'ryan'))
  end)

  it("not to who gives a CustomVoice model no voice on purpose, by ''", function()
    local r = command.run {say('custom', '--voice', '', '--max-frames', '2')}
    assert.equal(0, r.code, r.err)
    says(4, 'this is a Base model: it needs a voice to clone; give --ref-audio FILE, or --voice '
      .. 'NAME.voice (made by argent clone)', say('base', '--voice', ''))
  end)

  it('to who gives a number that cannot be', function()
    local hint = ' (see argent say --help)'
    local greedy = '; --greedy takes the most likely code at every step'
    for _, option in ipairs {'--temperature', '--predictor-temperature'} do
      says(2, option .. ": expected a number from 0.001 to 1000, got '0'" .. greedy .. hint,
        say('custom', option, '0'))
      says(2, option .. ": expected a number from 0.001 to 1000, got '-1'" .. hint,
        say('custom', option, '-1'))
    end
    says(2, "--seed: expected an integer from 0 to 9007199254740992, got '-1'" .. hint,
      say('custom', '--seed', '-1'))
    says(2, "--top-p: expected a number from 0 to 1, got '-.5'" .. hint,
      say('custom', '--top-p', '-.5'))
    says(2, "unknown option '-1'" .. hint, say('custom', '--greedy', '-1'))
    says(3, '-1: no such model directory (from -m)', 'say', 'Hi.', '-m', '-1')
  end)

  it('to who calls a choice by another name', function()
    for _, word in ipairs {'gpu', 'GPU', 'nvidia'} do
      says(2, "argument for option '--device' must be one of 'cpu', 'cuda', 'auto', did you mean "
        .. 'cuda? (see argent say --help)', say('custom', '--device', word))
    end
    local kinds = "argument 'kind' must be one of 'waveform', 'mel', 'codes', 'attention', 'eos'"
    for word, kind in pairs {spectrogram = 'mel', wave = 'waveform', codec = 'codes'} do
      says(2, ('%s, did you mean %s? (see argent plot --help)'):format(kinds, kind), 'plot', word,
        recording)
    end
  end)

  it('to who names a folder that is not there', function()
    local function missing(path, folder)
      return ('%s: cannot write: No such file or directory; make the folder first: mkdir -p %s')
        :format(path, folder)
    end
    local path, folder = dir .. '/no/x.wav', dir .. '/no'
    says(6, missing(path, folder), say('custom', '-o', path))
    says(6, missing(path, folder), say('custom', '--codes', path))
    says(6, missing(path, folder), 'encode', recording, '-o', path)
    says(6, missing(path, folder), 'decode', 'codes.json', '-o', path)
    says(6, missing(dir .. '/no/x.voice', folder), 'clone', recording, '-o', dir .. '/no/x.voice')
    says(6, missing(dir .. '/no/x.png', folder), 'plot', 'mel', recording, '-o', dir
      .. '/no/x.png')
    path = dir .. "/a b/it's/%d.wav"
    says(6, missing(path:format(1), ("'%s/a b/it'\\''s'"):format(dir)), say('custom', '--each',
      '-o', path))
    says(6, missing(path:format(1), ("'%s/a b/it'\\''s'"):format(dir)), say('custom', '--each',
      '-o', dir .. '/%d.wav', '--codes', path))
    local file = st.write('', dir .. '/file')
    says(6, ('%s/x.wav: cannot write: %s is a file, not a folder'):format(file, file),
      say('custom', '-o', file .. '/x.wav'))
    lfs.mkdir(dir .. '/d.wav')
    says(6, dir .. '/d.wav: is a directory; name a file in it', say('custom', '-o', dir
      .. '/d.wav'))
  end)

  it('to who gives codes where a sound is wanted, or a sound where codes are', function()
    local why = ('%s: not valid JSON: Expected value but found invalid token at character 1; '
      .. 'argent encode %s makes codes of a sound'):format(recording, recording)
    says(4, why, 'plot', 'codes', recording, '-o', dir .. '/x.png')
    says(4, why, 'decode', recording, '-o', dir .. '/x.wav')
  end)

  it('to who names a folder that holds no model', function()
    local why = dir .. ': is no model: it holds no config.json; a model is a folder that argent '
      .. 'pull has made, or its name, as in -m Qwen/Qwen3-TTS-12Hz-0.6B-CustomVoice'
    for _, verb in ipairs {'say', 'voices', 'inspect', 'clone', 'bench'} do
      says(3, why, verb, '-m', dir, (verb == 'say' or verb == 'clone') and recording or nil)
    end
  end)

  it('to who gives more files than a verb takes', function()
    says(2, 'too many arguments: clone takes one recording at a time (see argent clone --help)',
      'clone', recording, recording)
    says(2, 'too many arguments: encode takes one recording at a time (see argent encode --help)',
      'encode', recording, recording)
    says(2, 'too many arguments: bench takes options only (see argent bench --help)', 'bench', 'x')
  end)

  it('to who asks for far more threads than there are processors', function()
    local n = require('argent.posix').processors()
    local most = 4 * n
    if most >= 256 then return pending 'this machine has too many processors' end
    says(2, ('--threads %d: there %s here, and more than %d threads would only wait for each other')
      :format(most + 1, n == 1 and 'is 1 processor' or ('are %d processors'):format(n), most),
      say('custom', '--threads', tostring(most + 1)))
    assert.equal(0, command.run({say('custom', '--voice', 'ryan', '--max-frames', '2', '--threads',
      tostring(most))}).code)
  end)

  it('to who sets ARGENT_HOME to another folder', function()
    local r = command.run({'say', 'Hi.'}, {env = {ARGENT_HOME = dir}})
    assert.equal('argent: ARGENT_HOME is set to a folder without lua/argent; unset it, or name the '
      .. "one that holds Argent's lua/\n", r.err)
    assert.equal(1, r.code)
    local root = command.root
    assert.equal(0, command.run({'--version'}, {env = {ARGENT_HOME = root}}).code)
  end)
end)
