-- config.read: what the released and the golden configurations say (expected values are those of
-- the reference's tables), and what is refused, with the whole message.

local lfs = require 'lfs'
local json = require 'argent.json'
local config = require 'argent.qwen3_tts.config'

local CONFIGS = _G.ARGENT_ROOT .. '/spec/fixtures/configs/'
local FILES = {'config.json', 'speech_tokenizer/config.json', 'generation_config.json'}
local ABSENT = {}

local dir -- a model directory of our own, rewritten by each case

local function write(file, text)
  local f = assert(io.open(dir .. '/' .. file, 'wb'))
  f:write(text)
  f:close()
end

--- Copies a released configuration to `dir` with some fields set. A change is named
--- 'FILE: path.to.field'; a number in the path is the index in a list, from 0.
local function edited(name, changes)
  local files = {}
  for _, file in ipairs(FILES) do
    files[file] = assert(json.read(CONFIGS .. name .. '/' .. file))
  end
  for where, value in pairs(changes) do
    local file, path = where:match('^(.-): (.+)$')
    local t, keys = files[file], {}
    for key in path:gmatch('[^.]+') do keys[#keys + 1] = tonumber(key) and key + 1 or key end
    for i = 1, #keys - 1 do t = t[keys[i]] end
    if value == ABSENT then t[keys[#keys]] = nil else t[keys[#keys]] = value end
  end
  for file, value in pairs(files) do write(file, json.encode(value)) end
  return config.read(dir)
end

local function refused(name, changes)
  local cfg, err = edited(name, changes)
  assert.is_nil(cfg)
  assert.is_nil(err:find('%c'))
  return err
end

--- One case for each line of `cases`: where, the new value, the rest of the message.
local function all_refused(name, cases)
  for _, case in ipairs(cases) do
    local where, value, message = unpack(case)
    assert.equal(where .. ': ' .. message, refused(name, {[where] = value}))
  end
end

setup(function()
  dir = os.tmpname()
  os.remove(dir)
  assert(lfs.mkdir(dir))
  assert(lfs.mkdir(dir .. '/speech_tokenizer'))
end)

teardown(function()
  for _, file in ipairs(FILES) do os.remove(dir .. '/' .. file) end
  lfs.rmdir(dir .. '/speech_tokenizer')
  lfs.rmdir(dir)
end)

describe('the released configurations', function()
  local RELEASED = {
    ['0.6b-base'] = {'base', '0b6', 1024, 3072},
    ['0.6b-custom-voice'] = {'custom_voice', '0b6', 1024, 3072},
    ['1.7b-base'] = {'base', '1b7', 2048, 6144},
    ['1.7b-custom-voice'] = {'custom_voice', '1b7', 2048, 6144},
    ['1.7b-voice-design'] = {'voice_design', '1b7', 2048, 6144},
  }

  for name, expected in pairs(RELEASED) do
    it('load: ' .. name, function()
      local cfg = assert(config.read(CONFIGS .. name))
      local lm = cfg.talker
      assert.same(expected, {cfg.kind, cfg.size, lm.hidden_size, lm.intermediate_size})
      assert.same({28, 16, 8, 128, 3072, 151936, 2048, 16}, {lm.num_hidden_layers,
        lm.num_attention_heads, lm.num_key_value_heads, lm.head_dim, lm.vocab_size,
        lm.text_vocab_size, lm.text_hidden_size, lm.num_code_groups})
      assert.same({1e-6, 1e6, 32768, false, 'silu'}, {lm.rms_norm_eps, lm.rope_theta,
        lm.max_position_embeddings, lm.attention_bias, lm.hidden_act})
      assert.is_nil(lm.sliding_window)
      assert.equal(cfg.kind == 'base', cfg.speaker_encoder ~= nil)
      if cfg.kind == 'base' then assert.equal(expected[3], cfg.speaker_encoder.enc_dim) end
    end)
  end

  it('give the ids of the two vocabularies', function()
    local cfg = assert(config.read(CONFIGS .. '1.7b-custom-voice'))
    assert.same({im_start = 151644, im_end = 151645, tts_pad = 151671, tts_bos = 151672,
      tts_eos = 151673, assistant = 77091}, cfg.tokens)
    assert.same({pad = 2148, bos = 2149, eos = 2150, think = 2154, nothink = 2155,
      think_bos = 2156, think_eos = 2157}, cfg.talker.codec)
    assert.same({chinese = 2055, english = 2050, german = 2053, italian = 2070, portuguese = 2071,
      spanish = 2054, japanese = 2058, korean = 2064, french = 2061, russian = 2069,
      beijing_dialect = 2074, sichuan_dialect = 2062}, cfg.talker.languages)
    assert.same({serena = 3066, vivian = 3065, uncle_fu = 3010, ryan = 3061, aiden = 2861,
      ono_anna = 2873, sohee = 2864, eric = 2875, dylan = 2878}, cfg.talker.speakers)
    assert.same({serena = false, vivian = false, uncle_fu = false, ryan = false, aiden = false,
      ono_anna = false, sohee = false, eric = 'sichuan_dialect', dylan = 'beijing_dialect'},
      cfg.talker.dialects)
  end)

  it('give the predictor, the codec and the defaults of sampling', function()
    local cfg = assert(config.read(CONFIGS .. '1.7b-base'))
    assert.same({hidden_size = 1024, intermediate_size = 3072, num_hidden_layers = 5,
      num_attention_heads = 16, num_key_value_heads = 8, head_dim = 128, vocab_size = 2048,
      num_code_groups = 16, rms_norm_eps = 1e-6, rope_theta = 1e6, attention_bias = false,
      max_position_embeddings = 65536, hidden_act = 'silu', qk_norm = true,
      layer_scale = false, norm = 'rms', final_norm = true, mlp = 'gated'}, cfg.predictor)
    local codec = cfg.codec
    assert.same({hidden_size = 512, intermediate_size = 1024, num_hidden_layers = 8,
      num_attention_heads = 16, num_key_value_heads = 16, head_dim = 64, rms_norm_eps = 1e-5,
      rope_theta = 1e4, attention_bias = false, max_position_embeddings = 8000,
      hidden_act = 'silu', sliding_window = 72, qk_norm = false, layer_scale = true,
      norm = 'rms', final_norm = true, mlp = 'gated'}, codec.transformer)
    assert.same({24000, 1920, 16, 2048, 512, 1024, 1536, {8, 5, 4, 3}, {2, 2}}, {codec.sample_rate,
      codec.samples_per_frame, codec.num_quantizers, codec.codebook_size, codec.codebook_dim,
      codec.latent_dim, codec.decoder_dim, codec.upsample_rates, codec.upsampling_ratios})
    assert.same({8, 6, 5, 4}, codec.encoder.upsampling_ratios)
    assert.same({do_sample = true, repetition_penalty = 1.05, temperature = 0.9, top_p = 1,
      top_k = 50, subtalker_dosample = true, subtalker_temperature = 0.9, subtalker_top_p = 1,
      subtalker_top_k = 50, max_new_tokens = 8192, part_tokens = 120}, cfg.generation)
  end)
end)

describe('the golden configurations', function()
  local golden = require 'support.golden'

  for _, model in ipairs(golden.models()) do
    it('load, with the sizes that the file says: ' .. model.name, function()
      local cfg = assert(config.read(model.model))
      local raw = golden.json(model.model .. '/config.json').talker_config
      for _, key in ipairs{'hidden_size', 'head_dim', 'num_key_value_heads', 'vocab_size',
        'text_hidden_size', 'num_code_groups', 'attention_bias', 'rope_theta'} do
        assert.equal(raw[key], cfg.talker[key])
      end
      assert.equal(raw.code_predictor_config.head_dim, cfg.predictor.head_dim)
    end)
  end
end)

describe('config.read', function()
  local TALKER = 'config.json: talker_config.'
  local PREDICTOR = TALKER .. 'code_predictor_config.'
  local CODEC = 'speech_tokenizer/config.json: '
  local DECODER = CODEC .. 'decoder_config.'

  it('accepts absent keys that have a documented default, and null for them', function()
    for _, value in ipairs{ABSENT, json.null} do
      local cfg = assert(edited('1.7b-voice-design', {
        [TALKER .. 'attention_bias'] = value, [TALKER .. 'rope_scaling'] = value,
        [TALKER .. 'sliding_window'] = value, [TALKER .. 'use_sliding_window'] = value,
        [TALKER .. 'spk_id'] = value, [TALKER .. 'spk_is_dialect'] = value,
        [PREDICTOR .. 'layer_types'] = value, [DECODER .. 'attention_bias'] = value,
        ['generation_config.json: max_new_tokens'] = value,
        ['generation_config.json: top_k'] = value, ['generation_config.json: do_sample'] = value,
      }))
      assert.is_false(cfg.talker.attention_bias)
      assert.same({}, cfg.talker.speakers)
      assert.same({2048, 50, true},
        {cfg.generation.max_new_tokens, cfg.generation.top_k, cfg.generation.do_sample})
    end
  end)

  it('takes how long the parts of a long text are from a model that says so', function()
    local key = 'generation_config.json: part_tokens'
    assert.equal(32, assert(edited('1.7b-base', {[key] = 32})).generation.part_tokens)
    local cfg, err = edited('1.7b-base', {[key] = 0})
    assert.is_nil(cfg)
    assert.matches('generation_config.json: part_tokens', err, 1, true)
  end)

  it('takes the sliding window only where it is switched on', function()
    local cfg = assert(edited('1.7b-base', {[TALKER .. 'sliding_window'] = 100}))
    assert.is_nil(cfg.talker.sliding_window)
    cfg = assert(edited('1.7b-base', {[TALKER .. 'use_sliding_window'] = true}))
    assert.is_nil(cfg.talker.sliding_window)
    cfg = assert(edited('1.7b-base', {[TALKER .. 'sliding_window'] = 100,
      [TALKER .. 'use_sliding_window'] = true}))
    assert.equal(100, cfg.talker.sliding_window)
  end)

  it('lower-cases names and accepts ids in lists of one', function()
    local cfg = assert(edited('0.6b-custom-voice', {
      [TALKER .. 'spk_id'] = {Ryan = {3061}, ERIC = 2875},
      [TALKER .. 'spk_is_dialect'] = {Eric = 'Sichuan_Dialect'},
    }))
    assert.same({ryan = 3061, eric = 2875}, cfg.talker.speakers)
    assert.same({ryan = false, eric = 'sichuan_dialect'}, cfg.talker.dialects)
  end)

  it('raises on a field that does not exist, so that a misspelling is not nil', function()
    local cfg = assert(config.read(CONFIGS .. '1.7b-base'))
    local _, err = pcall(function() return cfg.talker.num_heads end)
    assert.matches('config_spec.lua:%d+: cfg.talker has no field num_heads', err)
    assert.has_error(function() return cfg.takler end, 'cfg has no field takler')
    assert.has_error(function() return cfg.tokens.pad end, 'cfg.tokens has no field pad')
  end)

  it('refuses an absent size and never derives head_dim', function()
    all_refused('1.7b-base', {
      {TALKER .. 'head_dim', ABSENT, 'expected an integer from 1 to 1024, got nil'},
      {PREDICTOR .. 'head_dim', json.null, 'expected an integer from 1 to 1024, got null'},
      {DECODER .. 'head_dim', ABSENT, 'expected an integer from 1 to 1024, got nil'},
      {TALKER .. 'text_vocab_size', ABSENT, 'expected an integer from 1 to 1048576, got nil'},
      {'config.json: talker_config', ABSENT, 'expected an object, got nil'},
      {'config.json: speaker_encoder_config', ABSENT, 'expected an object, got nil'},
      {CODEC .. 'decoder_config', ABSENT, 'expected an object, got nil'},
      {CODEC .. 'encoder_config', ABSENT, 'expected an object, got nil'},
    })
  end)

  it('refuses values of another type', function()
    all_refused('1.7b-custom-voice', {
      {TALKER .. 'hidden_size', '2048', "expected an integer from 1 to 1048576, got string '2048'"},
      {TALKER .. 'hidden_size', 2048.5, 'expected an integer from 1 to 1048576, got 2048.5'},
      {TALKER .. 'rms_norm_eps', true, 'expected a number from 1e-12 to 0.1, got true'},
      {TALKER .. 'attention_bias', 0, 'expected true or false, got 0'},
      {TALKER .. 'code_predictor_config', {1, 2}, 'expected an object, got a list'},
      {TALKER .. 'hidden_act', 'gelu', "expected silu, got string 'gelu'"},
      {TALKER .. 'spk_id', {1, 2}, 'expected an object, got a list'},
      {DECODER .. 'upsample_rates', 8, 'expected a list of 1 to 16 integers, got 8'},
      {DECODER .. 'upsample_rates', {}, 'expected a list of 1 to 16 integers, '
        .. 'got an empty list or object'},
      {'config.json: tts_model_size', 17, 'expected a string, got 17'},
      {'generation_config.json: do_sample', 'yes', "expected true or false, got string 'yes'"},
    })
  end)

  it('refuses values out of range', function()
    all_refused('1.7b-custom-voice', {
      {TALKER .. 'hidden_size', 0, 'expected an integer from 1 to 1048576, got 0'},
      {TALKER .. 'intermediate_size', 2 ^ 20 + 1,
        'expected an integer from 1 to 1048576, got 1048577'},
      {TALKER .. 'num_hidden_layers', 1025, 'expected an integer from 1 to 1024, got 1025'},
      {TALKER .. 'head_dim', -128, 'expected an integer from 1 to 1024, got -128'},
      {TALKER .. 'num_code_groups', 1, 'expected an integer from 2 to 256, got 1'},
      {TALKER .. 'rope_theta', 0, 'expected a number from 1 to 1e+12, got 0'},
      {TALKER .. 'rms_norm_eps', 0, 'expected a number from 1e-12 to 0.1, got 0'},
      {DECODER .. 'sliding_window', 0, 'expected an integer from 1 to 1048576, got 0'},
      {'generation_config.json: temperature', 0, 'expected a number from 1e-06 to 1e+06, got 0'},
      {'generation_config.json: top_p', 1.5, 'expected a number from 0 to 1, got 1.5'},
      {'generation_config.json: top_k', -1, 'expected an integer from 0 to 2147483647, got -1'},
    })
    assert.equal(DECODER .. 'upsample_rates[1]: expected an integer from 1 to 1048576, got 0',
      refused('1.7b-base', {[DECODER .. 'upsample_rates.1'] = 0}))
    assert.equal(DECODER .. 'upsampling_ratios[0]: expected an integer from 1 to 1048576, got true',
      refused('1.7b-base', {[DECODER .. 'upsampling_ratios.0'] = true}))
  end)

  it('refuses numbers that JSON can hold and a double cannot', function()
    assert(edited('1.7b-base', {}))
    local text = assert(io.open(CONFIGS .. '1.7b-base/config.json')):read('*a')
    write('config.json', (text:gsub('"hidden_size": 2048', '"hidden_size": 1e999')))
    local _, err = config.read(dir)
    assert.equal(TALKER .. 'hidden_size: expected an integer from 1 to 1048576, got inf', err)
  end)

  it('refuses a model of another kind and says which kinds it knows', function()
    all_refused('1.7b-base', {
      {'config.json: tts_model_type', 'singing',
        "expected one of custom_voice, base, voice_design, got string 'singing'"},
      {'config.json: model_type', 'llama', "expected qwen3_tts, got string 'llama'"},
      {'config.json: tokenizer_type', 'qwen3_tts_tokenizer_25hz',
        "expected qwen3_tts_tokenizer_12hz, got string 'qwen3_tts_tokenizer_25hz'"},
      {CODEC .. 'model_type', 'mimi', "expected qwen3_tts_tokenizer_12hz, got string 'mimi'"},
    })
  end)

  it('refuses features that would silently change the result', function()
    all_refused('1.7b-base', {
      {TALKER .. 'tie_word_embeddings', true, 'expected false, got true'},
      {PREDICTOR .. 'layer_types', {'full_attention'},
        'expected a list of num_hidden_layers (5) strings, got a list'},
    })
    assert.equal(PREDICTOR .. 'layer_types[2]: only full_attention is supported',
      refused('1.7b-base', {[PREDICTOR .. 'layer_types.2'] = 'sliding_attention'}))
    assert.equal(TALKER .. "rope_scaling.rope_type: expected default, got string 'yarn'",
      refused('1.7b-base', {[TALKER .. 'rope_scaling.rope_type'] = 'yarn'}))
    assert.equal(PREDICTOR .. "rope_scaling.type: expected default, got string 'linear'",
      refused('1.7b-base', {[PREDICTOR .. 'rope_scaling'] = {type = 'linear'}}))
    assert.equal(PREDICTOR .. 'use_sliding_window: expected false (layer_types: full_attention), '
      .. 'got true', refused('1.7b-base', {[PREDICTOR .. 'use_sliding_window'] = true,
        [PREDICTOR .. 'sliding_window'] = 8}))
  end)

  it('refuses sizes that contradict each other within a network', function()
    all_refused('1.7b-base', {
      {TALKER .. 'num_key_value_heads', 5,
        'expected a divisor of num_attention_heads (16), got 5'},
      {TALKER .. 'num_key_value_heads', 32,
        'expected a divisor of num_attention_heads (16), got 32'},
      {TALKER .. 'head_dim', 127, 'expected an even number, got 127'},
      {TALKER .. 'rope_scaling.mrope_section', {24, 20, 21},
        'expected a sum of 64 (head_dim / 2), got 65'},
      {DECODER .. 'decoder_dim', 1544,
        'expected a multiple of 16 (it is halved for each of upsample_rates), got 1544'},
      {DECODER .. 'codebook_dim', 511, 'expected an even number, got 511'},
      {CODEC .. 'decode_upsample_rate', 1921,
        'expected the product of upsample_rates and upsampling_ratios (1920), got 1921'},
      {'config.json: speaker_encoder_config.enc_dim', 1024,
        'expected 2048 (talker_config.hidden_size), got 1024'},
    })
  end)

  it('refuses sizes that contradict each other between networks', function()
    all_refused('1.7b-base', {
      {PREDICTOR .. 'num_code_groups', 15, 'expected 16 (talker_config.num_code_groups), got 15'},
      {DECODER .. 'num_quantizers', 8, 'expected 16 (num_code_groups of config.json), got 8'},
      {CODEC .. 'encoder_valid_num_quantizers', 32,
        'expected 16 (num_code_groups of config.json), got 32'},
      {DECODER .. 'codebook_size', 4096,
        'expected 2048 (code_predictor_config.vocab_size of config.json), got 4096'},
    })
  end)

  it('refuses a talker that could draw a code which the codec does not have', function()
    assert.equal(TALKER .. 'vocab_size: expected an integer from 1025 to 2048 (1024 reserved ids '
      .. 'and up to code_predictor_config.vocab_size codes), got 3072',
      refused('1.7b-base', {[PREDICTOR .. 'vocab_size'] = 1024}))
  end)

  it('refuses ids outside of their vocabulary', function()
    all_refused('1.7b-custom-voice', {
      {TALKER .. 'codec_eos_token_id', 3072, 'expected an integer from 0 to 3071, got 3072'},
      {TALKER .. 'codec_language_id.french', 3072, 'expected an id from 0 to 3071, got 3072'},
      {TALKER .. 'spk_id.ryan', -1, 'expected an id from 0 to 3071, got -1'},
      {TALKER .. 'spk_id.ryan', {1, 2}, 'expected an id from 0 to 3071, got a list'},
      {'config.json: tts_pad_token_id', 151936,
        'expected an integer from 0 to 151935, got 151936'},
    })
  end)

  it('refuses speakers and dialects that do not fit', function()
    all_refused('1.7b-custom-voice', {
      {TALKER .. 'spk_id', {}, 'expected at least one speaker, got an empty list or object'},
      {TALKER .. 'spk_is_dialect.eric', 'klingon',
        "expected false or a name in codec_language_id, got string 'klingon'"},
      {TALKER .. 'spk_is_dialect.eric', true,
        'expected false or a name in codec_language_id, got true'},
      {TALKER .. 'spk_is_dialect.nobody', false, 'spk_id has no such speaker'},
    })
    assert.equal(TALKER .. 'spk_id.ryan: the name is there twice, in upper and in lower case',
      refused('1.7b-custom-voice', {[TALKER .. 'spk_id.RYAN'] = 3000}))
  end)

  it('refuses files that are missing, broken or not objects', function()
    for _, file in ipairs(FILES) do
      assert(edited('1.7b-base', {}))
      os.remove(dir .. '/' .. file)
      local _, err = config.read(dir)
      assert.equal(dir .. '/' .. file .. ': No such file or directory', err)
      write(file, '{"a": ')
      _, err = config.read(dir)
      assert.equal(dir .. '/' .. file .. ': not valid JSON: Expected value but found T_END at '
        .. 'character 7', err)
      write(file, '[1]')
      _, err = config.read(dir)
      assert.equal(file .. ': the top level: expected an object, got a list', err)
    end
  end)

  it('keeps messages short and on one line whatever the file holds', function()
    local name = 'a\nb' .. ('x'):rep(1e5)
    local err = refused('1.7b-custom-voice', {[TALKER .. 'spk_id'] = {[name] = -1}})
    assert.is_true(#err < 1000)
  end)

  it('survives any single field being anything', function()
    local values = {ABSENT, json.null, true, false, -1, 0, 0.5, 1e300, '', 'x', {}, {1}, {{}},
      {a = {}}}
    for _, file in ipairs(FILES) do
      local function walk(t, path)
        for key, child in pairs(t) do
          local where = path .. (type(key) == 'number' and key - 1 or key)
          for i, value in ipairs(values) do
            if i > 1 or type(key) == 'string' then -- lists keep no gaps
              local cfg, err = edited('1.7b-base', {[where] = value})
              assert.is_true(cfg ~= nil or type(err) == 'string' and not err:find('%c'))
            end
          end
          if type(child) == 'table' then walk(child, where .. '.') end
        end
      end
      walk(json.read(CONFIGS .. '1.7b-base/' .. file), file .. ': ')
    end
  end)

  it('raises on misuse', function()
    local _, err = pcall(function() config.read() end)
    assert.matches('config_spec.lua:%d+: dir: expected a string, got nil', err)
  end)
end)
