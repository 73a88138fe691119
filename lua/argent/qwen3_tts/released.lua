-- The sizes of the released CustomVoice models, as their config.json files have them: for models
-- of those sizes that are made, not fetched (argent.qwen3_tts.random). Fields that have the default
-- of the reader are left out.

local M = {sizes = {'0.6b', '1.7b'}}

local WIDTHS = {
  ['0.6b'] = {name = '0b6', hidden_size = 1024, intermediate_size = 3072},
  ['1.7b'] = {name = '1b7', hidden_size = 2048, intermediate_size = 6144},
}

local function decoder(fields)
  local t = {
    head_dim = 128, hidden_act = 'silu', num_attention_heads = 16, num_key_value_heads = 8,
    num_code_groups = 16, rms_norm_eps = 1e-6, rope_theta = 1e6,
  }
  for k, v in pairs(fields) do t[k] = v end
  return t
end

local function talker(width)
  return decoder {
    hidden_size = width.hidden_size, intermediate_size = width.intermediate_size,
    num_hidden_layers = 28, max_position_embeddings = 32768, vocab_size = 3072,
    text_hidden_size = 2048, text_vocab_size = 151936,
    codec_pad_id = 2148, codec_bos_id = 2149, codec_eos_token_id = 2150, codec_think_id = 2154,
    codec_nothink_id = 2155, codec_think_bos_id = 2156, codec_think_eos_id = 2157,
    codec_language_id = {english = 2050}, spk_id = {ryan = 3061},
    code_predictor_config = decoder {
      hidden_size = 1024, intermediate_size = 3072, num_hidden_layers = 5,
      max_position_embeddings = 65536, vocab_size = 2048,
    },
  }
end

-- One codec goes with both.
local function codec()
  return {
    model_type = 'qwen3_tts_tokenizer_12hz', encoder_valid_num_quantizers = 16,
    input_sample_rate = 24000, output_sample_rate = 24000, decode_upsample_rate = 1920,
    encode_downsample_rate = 1920, encoder_config = {},
    decoder_config = {
      latent_dim = 1024, codebook_dim = 512, codebook_size = 2048, decoder_dim = 1536,
      hidden_act = 'silu', hidden_size = 512, intermediate_size = 1024, head_dim = 64,
      num_attention_heads = 16, num_key_value_heads = 16, num_hidden_layers = 8,
      num_quantizers = 16, max_position_embeddings = 8000, rms_norm_eps = 1e-5,
      rope_theta = 10000, sliding_window = 72, upsample_rates = {8, 5, 4, 3},
      upsampling_ratios = {2, 2},
    },
  }
end

--- The files of a size, parsed: what config.of reads.
---@param size string one of M.sizes
---@return table<string, table>
function M.files(size)
  local width = WIDTHS[size]
  return {
    ['config.json'] = {
      model_type = 'qwen3_tts', tokenizer_type = 'qwen3_tts_tokenizer_12hz',
      tts_model_size = width.name, tts_model_type = 'custom_voice',
      im_start_token_id = 151644, im_end_token_id = 151645, assistant_token_id = 77091,
      tts_bos_token_id = 151672, tts_eos_token_id = 151673, tts_pad_token_id = 151671,
      talker_config = talker(width),
    },
    ['generation_config.json'] = {max_new_tokens = 8192},
    ['speech_tokenizer/config.json'] = codec(),
  }
end

return M
