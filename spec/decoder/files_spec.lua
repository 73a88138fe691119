-- Language models in files: GGUF beside Hugging Face folders, and what is refused.

local ag = require 'argent'
local compare = require 'support.compare'
local gguf = require 'support.gguf'
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

  -- LLaMA 3.1's frequencies by its published formula, each as what it is divided by.
  local function factors(c)
    local r, list = c.rope_scaling, {}
    for j = 0, c.hidden_size / c.num_attention_heads / 2 - 1 do
      local f = 10000 ^ (-2 * j / (c.hidden_size / c.num_attention_heads))
      local length = 2 * math.pi / f
      local low = r.original_max_position_embeddings / r.low_freq_factor
      local high = r.original_max_position_embeddings / r.high_freq_factor
      local smooth = (r.original_max_position_embeddings / length - r.low_freq_factor)
        / (r.high_freq_factor - r.low_freq_factor)
      list[j + 1] = length < high and 1 or length > low and r.factor
        or 1 / ((1 - smooth) / r.factor + smooth)
    end
    return list
  end

  it('of a GGUF file turns by the frequencies that LLaMA 3.1 files hold', function()
    local c = assert(json.read(FOLDER .. 'llama/config.json'))
    local golden = assert(json.read(FOLDER .. 'llama/golden.json'))
    local function logits(list)
      local path = st.write(gguf.model(be, FOLDER .. 'llama', {pre = 'llama-bpe',
        extra = {['rope_freqs.weight'] = list and ag.tensor(be, list)}}))
      local lm, err = ag.decoder.open(path, {backend = be, dtype = 'f32'})
      os.remove(path)
      return lm and assert(lm:logits(golden.prompt)):select(1, 24):totable(), err
    end
    local list = factors(c)
    local plain, row = logits(nil), logits(list)
    local apart = 0
    for v, x in ipairs(golden.logits[3]) do
      assert.is_true(math.abs(x - row[v]) <= 2e-5 * math.max(1, math.abs(x)))
      apart = math.max(apart, math.abs(x - plain[v]))
    end
    assert.is_true(apart > 1e-3) -- without them it is another model
    list[2] = 0
    local _, err = logits(list)
    assert.matches('rope_freqs.weight: value 2 is 0; the file is damaged, fetch it again', err)
    list[#list + 1] = 1
    _, err = logits(list)
    assert.matches('rope_freqs.weight: shape %[5%], expected %[4%]', err)
  end)

  it('of a GGUF file with the tokenizer of LLaMA 2 reads texts by it', function()
    local g = assert(json.read 'spec/fixtures/golden/sentencepiece.json')
    local function open(values)
      local path = st.write(gguf.model(be, FOLDER .. 'smollm', {pre = 'smollm', values = values,
        sentencepiece = g}))
      local lm, err = ag.decoder.open(path, {backend = be, dtype = 'f32'})
      os.remove(path)
      return lm, err and err:gsub(path:gsub('%p', '%%%0'), 'FILE')
    end
    local lm = assert(open {})
    for i, text in ipairs(g.texts) do
      assert.same({1, unpack(g.ids[i])}, lm:ids(text), text) -- with the token that begins texts
      assert.same(g.ids[i], lm.tokenizer:encode(text), text)
    end
    assert.same({1, g.ids[1][1]}, {unpack(assert(lm:ids('<s>' .. g.texts[1])), 1, 2)})
    assert(lm:generate {prompt = g.texts[1], max_tokens = 3})
    local none = gguf.value('tokenizer.ggml.add_bos_token', 'bool', '\0')
    assert.same(g.ids[1], assert(open {none}):ids(g.texts[1]))
    local _, err = open {gguf.value('tokenizer.ggml.add_space_prefix', 'u32', gguf.u32(3))}
    assert.equal('FILE: tokenizer.ggml.add_space_prefix: expected true or false, got 3', err)
  end)

  it('of a folder whose tokenizer begins texts with a token does so', function()
    local dir = copy('llama', {['tokenizer.json'] = changed('llama', 'tokenizer.json', function(t)
      t.post_processor = {type = 'Sequence', processors = {{type = 'ByteLevel'},
        {type = 'TemplateProcessing', single = {{SpecialToken = {id = '<|begin_of_text|>',
          type_id = 0}}, {Sequence = {id = 'A', type_id = 0}}}}}}
    end)})
    local lm = assert(ag.decoder.open(dir, {backend = be}))
    local first = lm.tokenizer:id '<|begin_of_text|>'
    local ids = assert(lm:ids 'Hello')
    assert.same({first, unpack(lm.tokenizer:encode 'Hello')}, ids)
    assert.same(ids, lm:ids '<|begin_of_text|>Hello')
  end)

  it('whose tokenizer has more tokens than the model has vectors says so of such a text', function()
    local dir = copy('qwen3', {['tokenizer.json'] = changed('qwen3', 'tokenizer.json', function(t)
      t.added_tokens[#t.added_tokens + 1] = {id = 400, content = '<|new|>', special = true,
        normalized = false, lstrip = false, rstrip = false, single_word = false}
    end)})
    local lm = assert(ag.decoder.open(dir, {backend = be}))
    local why = "the token '<|new|>' has the id 400, and the model has vectors for 352"
    assert.same({nil, why, 'value'}, {lm:generate {prompt = 'a<|new|>'}})
    assert.same({nil, why, 'value'}, {lm:perplexity 'a<|new|>b'})
    assert(lm:generate {prompt = 'a', max_tokens = 1})
  end)

  it('has added tokens that swallow the white space beside them', function()
    local dir = copy('qwen3', {['tokenizer.json'] = changed('qwen3', 'tokenizer.json', function(t)
      for i, token in ipairs(t.added_tokens) do
        token.lstrip, token.rstrip = i == 1, i == 2
      end
    end)})
    local added = assert(json.read(FOLDER .. 'qwen3/tokenizer.json')).added_tokens
    local left, right = added[1], added[2] -- swallow what is in front and behind
    local tok = assert(ag.decoder.open(dir, {backend = be})).tokenizer
    local function ids(text) return assert(tok:encode(text, {special = true})) end
    local a, b = ids 'a', ids ' b'
    assert.same({a[1], left.id, b[1]}, ids('a \n ' .. left.content .. ' b'))
    assert.same({a[1], ids ' '[1], right.id, ids 'b'[1]}, ids('a ' .. right.content .. ' \t b'))
    -- White space between both is the first one's.
    assert.same({right.id, left.id}, ids(right.content .. '   ' .. left.content))
    assert.same({left.id, left.id}, ids((' '):rep(9) .. left.content .. ' ' .. left.content))
    -- Long white space that no token follows costs no more than its length.
    assert.is_true(#ids((' '):rep(2 ^ 18) .. 'x') > 0)
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
    ['with an added token that must be a word'] = {'qwen3', 'tokenizer.json', function(t)
      t.added_tokens[1].single_word = true
    end, 'DIR/tokenizer.json: added_tokens[0].single_word: true is not supported'},
  } do
    it(what .. ' is refused in one line', function()
      local dir = copy(case[1], {[case[2]] = changed(case[1], case[2], case[3])})
      assert.equal(case[4], (refused(dir)))
    end)
  end

  for what, case in pairs {
    ['that does not say what it is'] = {'general.architecture', 'general.architecturX',
      'DIR: general.architecture: expected a text', 'format'},
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
