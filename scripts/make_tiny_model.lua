-- Writes a tiny Qwen3-TTS model with random weights in the released layout: `argent run
-- scripts/make_tiny_model.lua DIR [SEED]`. It is untrained and makes noise; it is there to try the
-- whole path from text to sound on a model of other sizes than the demo voice.

local ag = require 'argent'
local json = require 'argent.json'
local lfs = require 'lfs'

local dir, seed = arg[1], tonumber(arg[2] or 1)
if not dir or not seed then
  io.stderr:write('usage: argent run scripts/make_tiny_model.lua DIR [SEED]\n')
  os.exit(2)
end
local be = assert(ag.backend('cpu', {threads = 1}))

-- Sizes: every one of them small, none of them derived from another.
local D, I, HEADS, KV, HD, LAYERS = 64, 96, 4, 2, 24, 2      -- talker
-- text width, code groups, entries of a codebook
local DT, GROUPS, BOOK = 48, 4, 64
local H, HI, H_HEADS, H_KV, H_HD, H_LAYERS = 48, 64, 4, 2, 16, 1 -- code predictor
local LATENT, CODE_DIM, TH, TI, T_HEADS, T_HD, T_LAYERS = 32, 24, 24, 32, 2, 12, 2 -- codec
local WIDE, RATES, RATIOS, WINDOW = 64, {8, 5, 4, 3}, {2, 2}, 16
local VOCAB = BOOK + 1024

-- ---- a small generator: uniform by xorshift, normal by the sum of twelve ----
local bit = require 'bit'
local state = bit.tobit(seed * 2654435761 % 2 ^ 32 + 1)
local function uniform()
  state = bit.bxor(state, bit.lshift(state, 13))
  state = bit.bxor(state, bit.rshift(state, 17))
  state = bit.bxor(state, bit.lshift(state, 5))
  return state / 2 ^ 32 + 0.5
end
local function normal()
  local s = -6
  for _ = 1, 12 do s = s + uniform() end
  return s
end

local function tensor(shape, dtype, make)
  local n, values = 1, {}
  for _, d in ipairs(shape) do n = n * d end
  for i = 1, n do values[i] = make() end
  return ag.tensor(be, values, dtype):view(shape)
end

-- ---- talker and code predictor, bf16 ----
local model = {}
local function random(name, shape, std)
  model[name] = tensor(shape, 'bf16', function() return normal() * std end)
end
local function constant(name, n, value)
  model[name] = tensor({n}, 'bf16', function() return value end)
end
local function decoder_layers(prefix, layers, d, inner, heads, kv, hd)
  for l = 0, layers - 1 do
    local p = ('%slayers.%d.'):format(prefix, l)
    constant(p .. 'input_layernorm.weight', d, 1)
    constant(p .. 'post_attention_layernorm.weight', d, 1)
    random(p .. 'self_attn.q_proj.weight', {heads * hd, d}, d ^ -0.5)
    random(p .. 'self_attn.k_proj.weight', {kv * hd, d}, d ^ -0.5)
    random(p .. 'self_attn.v_proj.weight', {kv * hd, d}, d ^ -0.5)
    random(p .. 'self_attn.o_proj.weight', {d, heads * hd}, (heads * hd) ^ -0.5)
    constant(p .. 'self_attn.q_norm.weight', hd, 1)
    constant(p .. 'self_attn.k_norm.weight', hd, 1)
    random(p .. 'mlp.gate_proj.weight', {inner, d}, d ^ -0.5)
    random(p .. 'mlp.up_proj.weight', {inner, d}, d ^ -0.5)
    random(p .. 'mlp.down_proj.weight', {d, inner}, inner ^ -0.5)
  end
  constant(prefix .. 'norm.weight', d, 1)
end

-- A byte-level tokenizer: the 256 byte symbols, the merges that make 'assistant' one word, the
-- added tokens.
local symbols, merges, words = {}, {}, {}
do
  local function utf8(code)
    if code < 128 then return string.char(code) end
    return string.char(192 + math.floor(code / 64), 128 + code % 64)
  end
  local function printable(b) return (b >= 33 and b <= 126) or (b >= 161 and b <= 172)
    or b >= 174 end
  local order, extra = {}, 256
  for b = 0, 255 do
    if printable(b) then order[#order + 1] = b end
  end
  for b = 0, 255 do
    if not printable(b) then
      order[#order + 1] = extra
      extra = extra + 1
    end
  end
  for i, code in ipairs(order) do symbols[i] = utf8(code) end
  local word = 'assistant'
  for i = 2, #word do merges[#merges + 1] = word:sub(1, i - 1) .. ' ' .. word:sub(i, i) end
  for _, s in ipairs(symbols) do words[#words + 1] = s end
  for i = 2, #word do words[#words + 1] = word:sub(1, i) end
end
local added = {'<|endoftext|>', '<|im_start|>', '<|im_end|>', '<tts_pad>', '<tts_text_bos>',
  '<tts_text_eod>'}
local TEXT_VOCAB = math.ceil((#words + #added) / 8) * 8

random('talker.model.text_embedding.weight', {TEXT_VOCAB, DT}, 0.7)
random('talker.model.codec_embedding.weight', {VOCAB, D}, 0.5)
random('talker.text_projection.linear_fc1.weight', {DT, DT}, DT ^ -0.5)
constant('talker.text_projection.linear_fc1.bias', DT, 0)
random('talker.text_projection.linear_fc2.weight', {D, DT}, DT ^ -0.5)
constant('talker.text_projection.linear_fc2.bias', D, 0)
random('talker.codec_head.weight', {VOCAB, D}, 1.5 * D ^ -0.5)
decoder_layers('talker.model.', LAYERS, D, I, HEADS, KV, HD)
local P = 'talker.code_predictor.'
random(P .. 'small_to_mtp_projection.weight', {H, D}, D ^ -0.5)
constant(P .. 'small_to_mtp_projection.bias', H, 0)
decoder_layers(P .. 'model.', H_LAYERS, H, HI, H_HEADS, H_KV, H_HD)
for g = 0, GROUPS - 2 do
  random(('%smodel.codec_embedding.%d.weight'):format(P, g), {BOOK, D}, 0.5)
  random(('%slm_head.%d.weight'):format(P, g), {BOOK, H}, 1.5 * H ^ -0.5)
end

-- ---- codec, f32 ----
local codec = {}
local function f32(name, shape, std, mean)
  codec[name] = tensor(shape, 'f32', function() return normal() * std + (mean or 0) end)
end
local function conv(name, outs, ins, taps, gain)
  f32(name .. '.weight', {outs, ins, taps}, (gain or 1) * (ins * taps) ^ -0.5)
  f32(name .. '.bias', {outs}, 0.02)
end
local function transposed(name, ins, outs, taps, overlap)
  f32(name .. '.weight', {ins, outs, taps}, (ins * overlap) ^ -0.5)
  f32(name .. '.bias', {outs}, 0.02)
end
for _, part in ipairs {{'rvq_first', 1}, {'rvq_rest', GROUPS - 1}} do
  local p = 'decoder.quantizer.' .. part[1]
  f32(p .. '.input_proj.weight', {CODE_DIM / 2, CODE_DIM, 1}, CODE_DIM ^ -0.5)
  f32(p .. '.output_proj.weight', {CODE_DIM, CODE_DIM / 2, 1}, (CODE_DIM / 2) ^ -0.5)
  for l = 0, part[2] - 1 do
    f32(('%s.vq.layers.%d._codebook.embedding_sum'):format(p, l), {BOOK, CODE_DIM / 2}, 1)
    f32(('%s.vq.layers.%d._codebook.cluster_usage'):format(p, l), {BOOK}, 0, 1)
  end
end
conv('decoder.pre_conv.conv', LATENT, CODE_DIM, 3)
local t = 'decoder.pre_transformer.'
f32(t .. 'input_proj.weight', {TH, LATENT}, LATENT ^ -0.5)
f32(t .. 'input_proj.bias', {TH}, 0.02)
f32(t .. 'output_proj.weight', {LATENT, TH}, TH ^ -0.5)
f32(t .. 'output_proj.bias', {LATENT}, 0.02)
f32(t .. 'norm.weight', {TH}, 0, 1)
for l = 0, T_LAYERS - 1 do
  local p, q = ('%slayers.%d.'):format(t, l), T_HEADS * T_HD
  for _, n in ipairs {'input_layernorm', 'post_attention_layernorm'} do f32(p .. n .. '.weight',
    {TH}, 0, 1) end
  for _, n in ipairs {'q', 'k', 'v'} do f32(('%sself_attn.%s_proj.weight'):format(p, n), {q, TH},
    TH ^ -0.5) end
  f32(p .. 'self_attn.o_proj.weight', {TH, q}, q ^ -0.5)
  f32(p .. 'mlp.gate_proj.weight', {TI, TH}, TH ^ -0.5)
  f32(p .. 'mlp.up_proj.weight', {TI, TH}, TH ^ -0.5)
  f32(p .. 'mlp.down_proj.weight', {TH, TI}, TI ^ -0.5)
  for _, n in ipairs {'self_attn', 'mlp'} do f32(('%s%s_layer_scale.scale'):format(p, n), {TH}, 0,
    0.3) end
end
for u, ratio in ipairs(RATIOS) do
  local p = ('decoder.upsample.%d.'):format(u - 1)
  transposed(p .. '0.conv', LATENT, LATENT, ratio, 1)
  conv(p .. '1.dwconv.conv', LATENT, 1, 7)
  f32(p .. '1.norm.weight', {LATENT}, 0, 1)
  f32(p .. '1.norm.bias', {LATENT}, 0)
  f32(p .. '1.pwconv1.weight', {4 * LATENT, LATENT}, LATENT ^ -0.5)
  f32(p .. '1.pwconv1.bias', {4 * LATENT}, 0)
  f32(p .. '1.pwconv2.weight', {LATENT, 4 * LATENT}, (4 * LATENT) ^ -0.5)
  f32(p .. '1.pwconv2.bias', {LATENT}, 0)
  f32(p .. '1.gamma', {LATENT}, 0, 0.3)
end
conv('decoder.decoder.0.conv', WIDE, LATENT, 7)
local channels = WIDE
for b, rate in ipairs(RATES) do
  local p, outs = ('decoder.decoder.%d.block.'):format(b), channels / 2
  for _, n in ipairs {'alpha', 'beta'} do f32(p .. '0.' .. n, {channels}, 0.2) end
  transposed(p .. '1.conv', channels, outs, 2 * rate, 2)
  for u = 2, 4 do
    for _, act in ipairs {'act1', 'act2'} do
      for _, n in ipairs {'alpha', 'beta'} do f32(('%s%d.%s.%s'):format(p, u, act, n), {outs},
        0.2) end
    end
    conv(('%s%d.conv1.conv'):format(p, u), outs, outs, 7, 0.5)
    conv(('%s%d.conv2.conv'):format(p, u), outs, outs, 1, 0.5)
  end
  channels = outs
end
local last = #RATES + 1
for _, n in ipairs {'alpha', 'beta'} do f32(('decoder.decoder.%d.%s'):format(last, n), {channels},
  0.2) end
conv(('decoder.decoder.%d.conv'):format(last + 1), 1, channels, 7, 0.2)

-- ---- configs ----
local function lm(extra)
  local c = {attention_bias = false, hidden_act = 'silu', rms_norm_eps = 1e-6, rope_theta = 1e6,
    max_position_embeddings = 8192, num_code_groups = GROUPS, use_sliding_window = false}
  for k, v in pairs(extra) do c[k] = v end
  return c
end
local function id_of(token)
  for i, a in ipairs(added) do
    if a == token then return #words + i - 1 end
  end
  for i, w in ipairs(words) do
    if w == token then return i - 1 end
  end
end
local languages, speakers, dialects = {}, {}, {}
for i, n in ipairs {'chinese', 'english', 'french', 'german', 'italian', 'japanese', 'korean',
  'portuguese', 'russian', 'spanish'} do
  languages[n] = BOOK + i
end
for i, n in ipairs {'aiden', 'ryan', 'serena', 'vivian'} do
  speakers[n], dialects[n] = BOOK + 40 + i, false
end
local up = 1
for _, r in ipairs(RATES) do up = up * r end
for _, r in ipairs(RATIOS) do up = up * r end

local config = {
  architectures = {'Qwen3TTSForConditionalGeneration'}, model_type = 'qwen3_tts',
    tokenizer_type = 'qwen3_tts_tokenizer_12hz',
  tts_model_size = 'tiny', tts_model_type = 'custom_voice',
    im_start_token_id = id_of '<|im_start|>',
  im_end_token_id = id_of '<|im_end|>', tts_pad_token_id = id_of '<tts_pad>',
    tts_bos_token_id = id_of '<tts_text_bos>',
  tts_eos_token_id = id_of '<tts_text_eod>', assistant_token_id = id_of 'assistant',
  talker_config = lm {
    model_type = 'qwen3_tts_talker', hidden_size = D, intermediate_size = I,
      num_hidden_layers = LAYERS,
    num_attention_heads = HEADS, num_key_value_heads = KV, head_dim = HD, vocab_size = VOCAB,
    text_vocab_size = TEXT_VOCAB, text_hidden_size = DT, codec_pad_id = BOOK + 20,
      codec_bos_id = BOOK + 21,
    codec_eos_token_id = BOOK + 22, codec_think_id = BOOK + 23, codec_nothink_id = BOOK + 24,
    codec_think_bos_id = BOOK + 25, codec_think_eos_id = BOOK + 26, codec_language_id = languages,
    spk_id = speakers, spk_is_dialect = dialects,
    code_predictor_config = lm {
      model_type = 'qwen3_tts_talker_code_predictor', hidden_size = H, intermediate_size = HI,
      num_hidden_layers = H_LAYERS, num_attention_heads = H_HEADS, num_key_value_heads = H_KV,
        head_dim = H_HD,
      vocab_size = BOOK,
    },
  },
}
local codec_config = {
  architectures = {'Qwen3TTSTokenizerV2Model'}, model_type = 'qwen3_tts_tokenizer_12hz',
    encoder_valid_num_quantizers = GROUPS,
  input_sample_rate = 24000, output_sample_rate = 24000, decode_upsample_rate = up,
    encode_downsample_rate = up,
  decoder_config = {
    attention_bias = false, hidden_act = 'silu', rms_norm_eps = 1e-5, rope_theta = 10000,
      max_position_embeddings = 8000,
    latent_dim = LATENT, codebook_dim = CODE_DIM, codebook_size = BOOK, decoder_dim = WIDE,
      hidden_size = TH,
    intermediate_size = TI, num_attention_heads = T_HEADS, num_key_value_heads = T_HEADS,
      head_dim = T_HD,
    num_hidden_layers = T_LAYERS, num_quantizers = GROUPS, sliding_window = WINDOW,
      upsample_rates = RATES,
    upsampling_ratios = RATIOS,
  },
  encoder_config = {model_type = 'mimi'},
}
local added_decoder, vocab = {}, {}
for i, token in ipairs(added) do
  added_decoder[tostring(#words + i - 1)] = {content = token, special = true, lstrip = false,
    rstrip = false, normalized = false}
end
for i, w in ipairs(words) do vocab[w] = i - 1 end

-- ---- files ----
local function write(name, text)
  local path = dir .. '/' .. name
  local f = assert(io.open(path, 'wb'))
  assert(f:write(text))
  assert(f:close())
end
lfs.mkdir(dir)
lfs.mkdir(dir .. '/speech_tokenizer')
write('config.json', json.encode(config))
write('speech_tokenizer/config.json', json.encode(codec_config))
write('generation_config.json', json.encode {do_sample = true, repetition_penalty = 1.05,
  temperature = 0.9, top_p = 1,
  top_k = 50, subtalker_dosample = true, subtalker_temperature = 0.9, subtalker_top_p = 1,
    subtalker_top_k = 50,
  max_new_tokens = 8192})
write('vocab.json', json.encode(vocab))
write('merges.txt', '#version: 0.2\n' .. table.concat(merges, '\n') .. '\n')
write('tokenizer_config.json', json.encode {tokenizer_class = 'Qwen2Tokenizer',
  added_tokens_decoder = added_decoder})
assert(ag.save(dir .. '/speech_tokenizer/model.safetensors', codec))
assert(ag.save(dir .. '/model.safetensors', model))
