-- The fields of a transformer, as families of models have them. What Qwen3-TTS asks for is in
-- spec/qwen3_tts/config_spec.lua.

local config = require 'argent.nn.config'
local json = require 'argent.json'

-- As released: LLaMA 3.2 1B, Qwen2.5 0.5B, Qwen3 0.6B.
local LLAMA = {hidden_size = 2048, intermediate_size = 8192, num_hidden_layers = 16,
  num_attention_heads = 32, num_key_value_heads = 8, head_dim = 64, rms_norm_eps = 1e-5,
  rope_theta = 500000, max_position_embeddings = 131072, attention_bias = false,
  hidden_act = 'silu', tie_word_embeddings = true, vocab_size = 128256,
  rope_scaling = {rope_type = 'llama3', factor = 32, low_freq_factor = 1, high_freq_factor = 4,
    original_max_position_embeddings = 8192}}
local QWEN2 = {hidden_size = 896, intermediate_size = 4864, num_hidden_layers = 24,
  num_attention_heads = 14, num_key_value_heads = 2, rms_norm_eps = 1e-6, rope_theta = 1e6,
  max_position_embeddings = 32768, hidden_act = 'silu', tie_word_embeddings = true,
  use_sliding_window = false, sliding_window = 32768, vocab_size = 151936}

local FAMILY = {norm = 'rms', final_norm = true, mlp = 'gated', hidden_act = 'silu',
  qk_norm = false, layer_scale = false, scalings = {'default', 'linear', 'llama3'},
  derives = true, ties = true}

local function read(values, family, changes)
  local v = {}
  for key, value in pairs(values) do v[key] = value end
  for key, value in pairs(changes or {}) do v[key] = value end
  return json.checked(config.language_model, json.object(v, 'config.json'), family)
end

describe('a language model\'s config', function()
  it('is read as the released files say', function()
    local t = assert(read(LLAMA, FAMILY))
    assert.same({2048, 8192, 16, 32, 8, 64, 1e-5, 500000, 131072, 128256}, {t.hidden_size,
      t.intermediate_size, t.num_hidden_layers, t.num_attention_heads, t.num_key_value_heads,
      t.head_dim, t.rms_norm_eps, t.rope_theta, t.max_position_embeddings, t.vocab_size})
    assert.same(LLAMA.rope_scaling, t.rope_scaling)
    assert.is_true(t.tie_word_embeddings)
    assert.same({'rms', true, 'gated', false, false}, {t.norm, t.final_norm, t.mlp, t.qk_norm,
      t.layer_scale})
  end)

  it('derives what older files leave out, where the family does', function()
    local t = assert(read(QWEN2, FAMILY))
    assert.equal(64, t.head_dim)
    assert.is_nil(t.sliding_window)
    t = assert(read(QWEN2, FAMILY, {num_key_value_heads = json.null}))
    assert.equal(14, t.num_key_value_heads)
    local _, err = read(QWEN2, FAMILY, {num_attention_heads = 12})
    assert.equal('config.json: num_attention_heads: expected a divisor of hidden_size (896) that '
      .. 'leaves an even head_dim, got 12', err)
  end)

  it('is asked for all of it, and not tied, where the family says nothing else', function()
    local strict = {}
    for key, value in pairs(FAMILY) do strict[key] = value end
    strict.derives, strict.ties, strict.scalings = nil, nil, nil
    local _, err = read(QWEN2, strict)
    assert.equal('config.json: head_dim: expected an integer from 1 to 1024, got nil', err)
    _, err = read(LLAMA, strict, {rope_scaling = json.null})
    assert.equal('config.json: tie_word_embeddings: expected false, got true', err)
    _, err = read(LLAMA, strict, {tie_word_embeddings = false})
    assert.equal('config.json: rope_scaling.rope_type: expected default, got string \'llama3\'',
      err)
  end)

  it('may take the norms\' eps from another field, and its positions from the family', function()
    local family = {}
    for key, value in pairs(FAMILY) do family[key] = value end
    family.eps, family.positions = 'layer_norm_eps', 512
    local t = assert(read(LLAMA, family, {rms_norm_eps = json.null, layer_norm_eps = 1e-12,
      max_position_embeddings = json.null}))
    assert.same({1e-12, 512}, {t.rms_norm_eps, t.max_position_embeddings})
  end)
end)
