-- The configuration of the two analysis networks: what the released files say, and what is refused,
-- with the whole message.

local config = require 'argent.qwen3_tts.config'
local encoder_config = require 'argent.qwen3_tts.encoder_config'

local CONFIGS = _G.ARGENT_ROOT .. '/spec/fixtures/configs/'
local ABSENT = {}

-- A released configuration with some fields of one section set.
local function edited(section, changes)
  local cfg = assert(config.read(CONFIGS .. '0.6b-base'))
  local values = section == 'codec' and cfg.codec.encoder or cfg.speaker_encoder
  for key, value in pairs(changes) do
    if value == ABSENT then values[key] = nil else values[key] = value end
  end
  return encoder_config[section](cfg)
end

local function all_refused(section, prefix, list)
  for _, case in ipairs(list) do
    local changes, message = unpack(case)
    local e, err = edited(section, changes)
    assert.is_nil(e)
    assert.equal(prefix .. message, err)
  end
end

describe('the codec\'s encoder', function()
  it('is as the released files say, its rates in the order of the sound', function()
    for _, name in ipairs {'0.6b-base', '1.7b-base', '1.7b-custom-voice'} do
      local e = assert(encoder_config.codec(assert(config.read(CONFIGS .. name))))
      assert.same({hidden_size = 512, intermediate_size = 2048, num_hidden_layers = 8,
        num_attention_heads = 8, num_key_value_heads = 8, head_dim = 64, rms_norm_eps = 1e-5,
        rope_theta = 1e4, attention_bias = false, max_position_embeddings = 65536, qk_norm = false,
        layer_scale = true, norm = 'layer', final_norm = false, mlp = 'plain'}, e.transformer)
      e.transformer = nil
      assert.same({rate = 24000, samples_per_frame = 1920, groups = 16, filters = 64, kernel = 7,
        residual_kernel = 3, last_kernel = 3, compress = 2, rates = {4, 5, 6, 8}, downsample = 2,
        codebook_size = 2048, codebook_dim = 256}, e)
    end
  end)

  it('has no sliding window: the official one computes without', function()
    assert.is_nil(assert(edited('codec', {sliding_window = 3})).transformer.sliding_window)
  end)

  it('takes what is not in older files as it has always been', function()
    for _, key in ipairs {'pad_mode', 'use_causal_conv', 'use_conv_shortcut', 'attention_bias'} do
      assert(edited('codec', {[key] = ABSENT}))
    end
  end)

  it('refuses sizes that are absent or wrong', function()
    all_refused('codec', 'speech_tokenizer/config.json: encoder_config.', {
      {{hidden_size = ABSENT}, 'hidden_size: expected an integer from 1 to 1048576, got nil'},
      {{head_dim = 63}, 'head_dim: expected an even number, got 63'},
      {{norm_eps = 0}, 'norm_eps: expected a number from 1e-12 to 0.1, got 0'},
      {{kernel_size = '7'}, "kernel_size: expected an integer from 1 to 1024, got string '7'"},
      {{num_key_value_heads = 3}, 'num_key_value_heads: expected a divisor of num_attention_heads '
        .. '(8), got 3'},
      {{compress = 3}, 'compress: expected a divisor of num_filters (64), got 3'},
      {{upsampling_ratios = {8, 0}}, 'upsampling_ratios[1]: expected an integer from 1 to 1048576,'
        .. ' got 0'},
    })
  end)

  it('refuses networks that it does not build', function()
    all_refused('codec', 'speech_tokenizer/config.json: encoder_config.', {
      {{hidden_act = 'relu'}, "hidden_act: expected gelu, got string 'relu'"},
      {{pad_mode = 'reflect'}, "pad_mode: expected constant, got string 'reflect'"},
      {{use_causal_conv = false}, 'use_causal_conv: expected true, got false'},
      {{use_conv_shortcut = true}, 'use_conv_shortcut: expected false, got true'},
      {{audio_channels = 2}, 'audio_channels: expected 1, got 2'},
      {{num_residual_layers = 2}, 'num_residual_layers: expected 1, got 2'},
      {{num_semantic_quantizers = 2}, 'num_semantic_quantizers: expected 1, got 2'},
    })
  end)

  it('refuses what contradicts the rest of the codec', function()
    all_refused('codec', 'speech_tokenizer/config.json: encoder_config.', {
      {{upsampling_ratios = {8, 6, 5, 7}}, 'upsampling_ratios: expected a product that divides '
        .. 'encode_downsample_rate (1920) into 2 or more, got a list'},
      {{upsampling_ratios = {8, 6, 5, 8}}, 'upsampling_ratios: expected a product that divides '
        .. 'encode_downsample_rate (1920) into 2 or more, got a list'},
      {{num_quantizers = 15}, 'num_quantizers: expected 16 or more, got 15'},
      {{codebook_size = 1024}, 'codebook_size: expected 2048 (decoder_config.codebook_size), got '
        .. '1024'},
      {{vector_quantization_hidden_dimension = 255}, 'vector_quantization_hidden_dimension: '
        .. 'expected 256 (codebook_dim), got 255'},
    })
  end)
end)

describe('the speaker encoder', function()
  it('is as the code has it where the released files are silent', function()
    for name, dim in pairs {['0.6b-base'] = 1024, ['1.7b-base'] = 2048} do
      assert.same({rate = 24000, dim = dim, mel_dim = 128, channels = {512, 512, 512, 512, 1536},
        kernels = {5, 3, 3, 3, 1}, dilations = {1, 2, 3, 4, 1}, attention_channels = 128,
        scale = 8, se_channels = 128},
        assert(encoder_config.speaker(assert(config.read(CONFIGS .. name)))))
    end
  end)

  it('refuses networks that it does not build', function()
    all_refused('speaker', 'config.json: speaker_encoder_config.', {
      {{mel_dim = 80}, 'mel_dim: expected 128, got 80'},
      {{sample_rate = 16000}, 'sample_rate: expected 24000, got 16000'},
      {{enc_channels = {512, 512}}, 'enc_channels: expected a list of 3 or more integers, got a '
        .. 'list'},
      {{enc_channels = {512, 512, 256, 512, 1280}}, 'enc_channels: expected equal numbers but for '
        .. 'the last, got a list'},
      {{enc_channels = {512, 512, 512, 512, 2048}}, 'enc_channels: expected a last number of 1536, '
        .. 'the sum of the others but the first, got a list'},
      {{enc_kernel_sizes = {5, 3, 3, 1}}, 'enc_kernel_sizes: expected a list of 5 integers, got a '
        .. 'list'},
      {{enc_kernel_sizes = {5, 3, 4, 3, 1}}, 'enc_kernel_sizes: expected odd numbers, got a list'},
      {{enc_kernel_sizes = {5, 3, 3, 3, 3}}, 'enc_kernel_sizes: expected a last number of 1, got a '
        .. 'list'},
      {{enc_dilations = {1, 2}}, 'enc_dilations: expected a list of 5 integers, got a list'},
      {{enc_dilations = {1, 2, 0, 4, 1}}, 'enc_dilations[2]: expected an integer from 1 to 1023, '
        .. 'got 0'},
      {{enc_res2net_scale = 7}, 'enc_res2net_scale: expected a divisor of enc_channels (512), 2 or '
        .. 'more, got 7'},
      {{enc_se_channels = 0}, 'enc_se_channels: expected an integer from 1 to 1048576, got 0'},
    })
  end)
end)
