-- Language models in files: GGUF beside Hugging Face folders, and what is refused.

local ag = require 'argent'
local compare = require 'support.compare'
local json = require 'argent.json'
local lfs = require 'lfs'
local st = require 'support.st'

local FOLDER = 'spec/fixtures/golden/decoders/'
local be = assert(ag.backend('cpu', {threads = 1}))
local dirs = {}

local function read(path)
  local f = assert(io.open(path, 'rb'))
  local bytes = f:read '*a'
  f:close()
  return bytes
end

-- A copy of a golden model in which the files of `changes` hold other bytes, or false: none.
local function copy(family, changes)
  local dir = os.tmpname()
  os.remove(dir)
  assert(lfs.mkdir(dir))
  dirs[#dirs + 1] = dir
  for name in lfs.dir(FOLDER .. family) do
    if name:sub(1, 1) ~= '.' and changes[name] ~= false then
      st.write(changes[name] or read(FOLDER .. family .. '/' .. name), dir .. '/' .. name)
    end
  end
  return dir
end

-- The JSON of a golden model's file after fn has changed it.
local function changed(family, name, fn)
  local values = assert(json.read(FOLDER .. family .. '/' .. name))
  fn(values)
  return json.encode(values)
end

local function refused(dir)
  local lm, err, code = ag.decoder.open(dir, {backend = be})
  assert.is_nil(lm)
  assert.is_nil(err:find '\n')
  return (err:gsub(dir:gsub('%p', '%%%0'), 'DIR')), code
end

describe('a language model', function()
  teardown(function()
    for _, dir in ipairs(dirs) do
      for name in lfs.dir(dir) do os.remove(dir .. '/' .. name) end
      lfs.rmdir(dir)
    end
  end)

  it('of a GGUF file computes what that of the folder computes, to the bit', function()
    local a = assert(ag.decoder.open(FOLDER .. 'smollm', {backend = be, dtype = 'f32'}))
    local b = assert(ag.decoder.open(FOLDER .. 'smollm/model.gguf', {backend = be, dtype = 'f32'}))
    local golden = assert(json.read(FOLDER .. 'smollm/golden.json'))
    assert.is_true(compare.same_bits(assert(a:logits(golden.prompt)),
      assert(b:logits(golden.prompt))))
    for i, text in ipairs(golden.texts) do
      assert.same(golden.ids[i], b.tokenizer:encode(text, {special = true}))
    end
    assert.equal('chatml', b.template)
  end)

  it('in bf16 is near what it is in f32', function()
    local golden = assert(json.read(FOLDER .. 'llama/golden.json'))
    local lm = assert(ag.decoder.open(FOLDER .. 'llama', {backend = be, dtype = 'bf16'}))
    local row = assert(lm:logits(golden.prompt)):select(1, 24):totable()
    for v, x in ipairs(golden.logits[3]) do -- the weights are bf16 numbers, so little is lost
      assert.is_true(math.abs(x - row[v]) <= 1e-4 * math.max(1, math.abs(x)))
    end
  end)

  it('without a known template is chatted with by name or not at all', function()
    local dir = copy('qwen3', {['tokenizer_config.json'] = '{"chat_template":"{{ messages }}"}'})
    local lm = assert(ag.decoder.open(dir, {backend = be}))
    local r, err = lm:generate {messages = {{role = 'user', content = 'x'}}}
    assert.is_nil(r)
    assert.matches('no chat template that is known %(chatml, llama3, qwen2, smollm2%)', err)
    lm.template = 'chatml'
    assert(lm:generate {messages = {{role = 'user', content = 'x'}}, max_tokens = 1})
  end)

  for what, case in pairs {
    ['of another family'] = {'qwen3', 'config.json', function(c) c.model_type = 'gemma' end,
      'DIR/config.json: model_type: expected one of llama, mistral, qwen2, qwen3, got string '
      .. "'gemma'"},
    ['with a rope scaling that is not known'] = {'llama', 'config.json', function(c)
      c.rope_scaling.rope_type = 'yarn'
    end, 'DIR/config.json: rope_scaling.rope_type: expected one of default, linear, llama3, got '
      .. "string 'yarn'"},
    ['with another activation'] = {'qwen2', 'config.json', function(c) c.hidden_act = 'gelu' end,
      "DIR/config.json: hidden_act: expected silu, got string 'gelu'"},
    ['whose end token is none'] = {'qwen2', 'config.json', function(c) c.eos_token_id = 352 end,
      'DIR/config.json: eos_token_id: expected an integer from 0 to 351, got 352'},
    ['with another shape than its config says'] = {'qwen3', 'config.json', function(c)
      c.intermediate_size = 25
    end, 'DIR/model.safetensors: model.layers.0.mlp.gate_proj.weight: shape [24, 16], expected '
      .. '[25, 16]'},
    ['with pieces that are not known'] = {'qwen3', 'tokenizer.json', function(t)
      t.pre_tokenizer.pretokenizers[1].pattern.Regex = '\\w+'
    end, 'DIR/tokenizer.json: pre_tokenizer[0].pattern: is none that is known'},
    ['with a step of pieces that is none'] = {'qwen3', 'tokenizer.json', function(t)
      t.pre_tokenizer.pretokenizers[1] = 'x'
    end, 'DIR/tokenizer.json: pre_tokenizer[0]: expected an object'},
    ['with a tokenizer of another kind'] = {'qwen3', 'tokenizer.json', function(t)
      t.model.type = 'Unigram'
    end, "DIR/tokenizer.json: model.type: expected BPE, got string 'Unigram'"},
    ['with a merge of what is no word'] = {'qwen3', 'tokenizer.json', function(t)
      t.model.merges[2] = {'zzz', 'a'}
    end, "DIR/tokenizer.json: model: DIR/tokenizer.json: merge 2: 'zzz' is no word"},
    ['with another normalizer'] = {'qwen3', 'tokenizer.json', function(t)
      t.normalizer = {type = 'Lowercase'}
    end, 'DIR/tokenizer.json: normalizer: expected NFC or null, got an object'},
    ['with an added token that strips'] = {'qwen3', 'tokenizer.json', function(t)
      t.added_tokens[1].lstrip = true
    end, 'DIR/tokenizer.json: added_tokens[0].lstrip: true is not supported'},
  } do
    it(what .. ' is refused in one line', function()
      local dir = copy(case[1], {[case[2]] = changed(case[1], case[2], case[3])})
      assert.equal(case[4], (refused(dir)))
    end)
  end

  for what, case in pairs {
    ['that does not say what it is'] = {'general.architecture', 'general.architecturX',
      'DIR: general.architecture: expected a text', 'format'},
    ['with frequencies of its own'] = {'token_embd.weight', 'rope_freqs.weight',
      'DIR: rope_freqs.weight: frequencies of its own are not supported', 'unsupported'},
  } do
    it('of a GGUF file ' .. what .. ' is refused', function()
      local bytes, n = read(FOLDER .. 'smollm/model.gguf'):gsub(case[1]:gsub('%p', '%%%0'), case[2])
      assert.equal(1, n)
      local path = st.write(bytes)
      finally(function() os.remove(path) end)
      assert.same({case[3], case[4]}, {refused(path)})
    end)
  end

  it('has no chat template of what is no text', function()
    for _, v in ipairs {5, true, {}} do
      assert.is_nil(require('argent.decoder.templates').name(v))
    end
  end)

  for what, case in pairs {
    ['an empty folder'] = {'config.json', 'DIR/config.json: No such file or directory'},
    ['a folder without weights'] = {'model.safetensors',
      'DIR/model.safetensors: No such file or directory'},
    ['a folder without a tokenizer'] = {'tokenizer.json',
      'DIR/tokenizer.json: No such file or directory'},
  } do
    it('is not made of ' .. what, function()
      assert.equal(case[2], (refused(copy('qwen3', {[case[1]] = false}))))
    end)
  end
end)
