-- Which models Argent runs, and what is said of others.

local ag = require 'argent'
local command = require 'support.command'
local golden = require 'support.golden'
local lfs = require 'lfs'
local models = require 'argent.models'

describe('a directory', function()
  local be, dir, model = assert(ag.backend 'cpu'), nil, nil

  setup(function()
    dir = os.tmpname()
    os.remove(dir)
    assert(lfs.mkdir(dir))
    for _, m in ipairs(golden.models()) do
      if m.name == 'custom' then model = m.model end
    end
  end)
  teardown(function() os.execute('rm -rf ' .. command.quote(dir)) end)

  -- A directory with that config.json.
  local function with(text)
    local path = ('%s/%d'):format(dir, math.random(1e9))
    assert(lfs.mkdir(path))
    local f = assert(io.open(path .. '/config.json', 'w'))
    f:write(text)
    f:close()
    return path
  end

  it('is opened as what its config.json says it is', function()
    local tts = assert(ag.open(model, {backend = be, dtype = 'f32'}))
    assert.same({'qwen3_tts', 'custom_voice', 'f32'}, {tts.model_type, tts.cfg.kind, tts.dtype})
    local said = assert(tts:say {text = 'One.', voice = tts:voices()[1], seed = 1, max_frames = 2})
    assert.equal(2, #said.codes)
    local codec = assert(ag.open(model .. '/speech_tokenizer', {backend = be}))
    assert.equal('qwen3_tts_tokenizer_12hz', codec.model_type)
  end)

  it('of a model that Argent does not run is refused with what it is and what is known', function()
    local known = 'it runs qwen3_tts (Qwen3-TTS), qwen3_tts_tokenizer_12hz (the codec of '
      .. 'Qwen3-TTS), llama, mistral, qwen2, qwen3 (a language model), bert, distilbert, roberta '
      .. '(a text encoder)'
    for text, says in pairs {
      ['{"model_type": "gemma"}'] = "'gemma' is no model that Argent runs; ",
      ['{"model_type": "qwen3_tt"}'] = "'qwen3_tt' is no model that Argent runs, did you mean "
        .. 'qwen3_tts?; ',
      ['{"model_type": 7}'] = '7 is no model that Argent runs; ',
      ['{"model_type": "a\\nb"}'] = "'a?b' is no model that Argent runs; ",
      ['{}'] = 'nothing is no model that Argent runs; ',
    } do
      local path = with(text)
      local m, err, code = ag.open(path, {backend = be})
      assert.same({nil, ('%s/config.json: model_type: %s%s'):format(path, says, known),
        'unsupported'}, {m, err, code})
      for _, verb in ipairs {'inspect', 'voices'} do
        local r = command.run {verb, '-m', path}
        assert.same({3, '', ('argent: %s: %s\n'):format(verb, err)}, {r.code, r.out, r.err})
      end
    end
  end)

  it('of a language model or a text encoder is opened as that, and so is a GGUF file', function()
    local folder = 'spec/fixtures/golden/'
    for path, kind in pairs {['decoders/qwen3'] = 'qwen3', ['decoders/smollm/model.gguf'] = 'llama',
      ['encoders/roberta'] = 'roberta'} do
      assert.equal(kind, assert(ag.open(folder .. path, {backend = be})).model_type)
    end
    assert.is_nil((ag.open(folder .. 'decoders/smollm/none.gguf', {backend = be})))
  end)

  it('that is no model at all, or whose config.json cannot be read, is refused by name', function()
    local path = with '[1]'
    local m, err, code = ag.open(path)
    assert.same({nil, path .. '/config.json: the top level: expected an object, got a list',
      'model'}, {m, err, code})
    path = with '{'
    assert.matches('/config.json: not valid JSON: ', select(2, ag.open(path)))
    os.remove(path .. '/config.json')
    m, err, code = ag.open(path)
    assert.is_nil(m)
    assert.equal(path .. ': is no model: it holds no config.json; a model is a folder that argent '
      .. 'pull has made, or its name, as in -m Qwen/Qwen3-TTS-12Hz-0.6B-CustomVoice', err)
    assert.equal('model', code)
  end)

  it('is asked for by a string, with options that the model takes', function()
    local function blames(pattern, ...)
      local ok, err = pcall(function(...) local _ = ag.open(...) end, ...)
      assert.is_false(ok)
      assert.matches('models_spec.lua:%d+: ' .. pattern, err)
    end
    blames('open: model: expected a string, got 7', 7)
    blames("open: expected a table, got string 'f32'", model, 'f32')
    blames("open: unknown option string 'dtpye'", model, {dtpye = 'f32'})
    blames('open: dtype: expected one of f32, bf16', model, {dtype = 'q3'})
  end)
end)

describe('the registry', function()
  it('knows each kind by its model_type and by its released names alone', function()
    local seen = {}
    for _, kind in ipairs(models.all()) do
      for _, name in ipairs(kind.types) do assert.equal(kind, models.get(name)) end
      for _, key in ipairs {'open', 'summary', 'describe', 'fault', 'inspect', 'matches'} do
        assert.equal('function', type(kind[key]), key)
      end
      assert.is_truthy(next(kind.provides))
      assert.is_true(#kind.files >= 2)
      for _, name in ipairs(kind.released) do
        assert.is_nil(seen[name])
        seen[name] = true
        assert.equal(kind, models.named((name:match '/(.*)$')))
      end
      if kind.provides.speech then
        for _, key in ipairs {'voices', 'bench', 'record'} do
          assert.equal('function', type(kind[key]), key)
        end
      end
    end
    assert.is_nil(models.get 'gemma')
    assert.is_nil(models.get(nil))
    assert.is_nil(models.named 'Llama-3.2-1B')
  end)
end)
