-- What the three configuration files of a Qwen3-TTS directory say, checked: every size of the
-- networks comes from here, nothing is guessed, and whatever is absent, of the wrong kind, out of
-- range or contradictory is one line that names the file and the field. Weights are not looked at,
-- and the sections of the two analysis networks are passed on as they are.

local check = require 'argent.check'
local json = require 'argent.json'
local transformer = require 'argent.nn.config'

local M = {}

local CONFIG, CODEC = 'config.json', 'speech_tokenizer/config.json'
local GENERATION = 'generation_config.json'

local size, MAX_SIZE = transformer.size, transformer.MAX_SIZE
local MAX_STAGES = 16 -- upsampling stages of the codec
-- The last 1024 ids of the codec vocabulary are for control, languages and speakers; what is before
-- them may be drawn as a code.
local RESERVED_IDS = 1024

-- What the three transformers are; the codec's has no norms on queries and keys, but LayerScale.
local LM = {
  norm = 'rms', final_norm = true, mlp = 'gated', hidden_act = 'silu', qk_norm = true,
  layer_scale = false,
}
local CODEC_TRANSFORMER = {
  norm = 'rms', final_norm = true, mlp = 'gated', hidden_act = 'silu', qk_norm = false,
  layer_scale = true,
}

---@class argent.TalkerConfig: argent.LMConfig
---@field hidden_act string always 'silu'
---@field text_vocab_size integer
---@field text_hidden_size integer
---@field num_code_groups integer codes in a frame
---@field codec table<string, integer> pad, bos, eos, think, nothink, think_bos, think_eos
---@field languages table<string, integer> lower-case name -> codec id
---@field speakers table<string, integer> lower-case name -> codec id; empty unless custom_voice
---@field dialects table<string, string|false> speaker -> the dialect (a language) it speaks

---@class argent.CodecConfig
---@field sample_rate integer of the speech, Hz
---@field input_sample_rate integer of a reference recording, Hz
---@field samples_per_frame integer
---@field encode_downsample_rate integer samples of a reference recording in a frame
---@field num_quantizers integer
---@field codebook_size integer
---@field codebook_dim integer codebook vectors have half this width
---@field latent_dim integer
---@field decoder_dim integer
---@field upsample_rates integer[]
---@field upsampling_ratios integer[]
---@field transformer argent.LMConfig
---@field encoder table encoder_config, unchecked
---@field file string where all this is from, for messages

---@class argent.Config
---@field kind 'custom_voice'|'base'|'voice_design'
---@field size string '0b6' or '1b7'
---@field tokens table<string, integer> im_start, im_end, tts_bos, tts_eos, tts_pad, assistant
---@field talker argent.TalkerConfig
---@field predictor argent.LMConfig with num_code_groups; vocab_size is that of one codebook
---@field codec argent.CodecConfig
---@field speaker_encoder table? speaker_encoder_config, unchecked; base only
---@field default_voice string|false who speaks when no voice is named; set for the demo voice
---@field generation table do_sample, temperature, ... as in generation_config.json

-- Fields that a checked table may lack.
local OPTIONAL = {
  sliding_window = true, rope_scaling = true, tie_word_embeddings = true, speaker_encoder = true,
}

--- A table that raises on a name it does not have: a misspelt field would be nil and quiet.
local function strict(t, what)
  return setmetatable(t, {
    __index = function(_, key)
      if not OPTIONAL[key] then error(('%s has no field %s'):format(what, tostring(key)), 2) end
    end,
  })
end

--- Name -> id below `vocab_size`; names become lower case. Some tools save an id as a list of one.
local function read_ids(s, vocab_size)
  local out = {}
  for _, key in ipairs(s:keys()) do
    local v, name = s.values[key], key:lower()
    local id = type(v) == 'table' and #v == 1 and v[1] or v
    s:expect(type(id) == 'number' and id >= 0 and id < vocab_size and id % 1 == 0, key,
      'an id from 0 to %d', vocab_size - 1)
    if out[name] then s:fault(key, 'the name is there twice, in upper and in lower case') end
    out[name] = id
  end
  return out
end

-- The language models' fields. The official code knows plain RoPE only, so a scaled one is refused.
-- mrope_section is accepted: the three position streams that it mixes are always equal here.
local function read_lm(s)
  local t = transformer.language_model(s, LM)
  t.hidden_act = LM.hidden_act
  t.num_code_groups = s:int('num_code_groups', 2, 256)
  local scaling = s:get 'rope_scaling' ~= nil and s:object 'rope_scaling'
  if scaling and scaling:get 'mrope_section' ~= nil then
    local sum = 0
    for _, n in ipairs(scaling:integers('mrope_section', 3, 0, t.head_dim)) do sum = sum + n end
    if sum ~= t.head_dim / 2 then
      scaling:fault('mrope_section', 'expected a sum of %d (head_dim / 2), got %d', t.head_dim / 2,
        sum)
    end
  end
  return t
end

local function read_dialects(s, talker)
  local out = {}
  for _, key in ipairs(s:keys()) do
    local v, name = s.values[key], key:lower()
    s:expect(v == false or type(v) == 'string' and talker.languages[v:lower()] ~= nil, key,
      'false or a name in codec_language_id')
    if not talker.speakers[name] then s:fault(key, 'spk_id has no such speaker') end
    out[name] = v and v:lower()
  end
  for name in pairs(talker.speakers) do out[name] = out[name] or false end
  return out
end

local function read_talker(s, kind)
  local t = read_lm(s)
  t.text_vocab_size = size(s, 'text_vocab_size')
  t.text_hidden_size = size(s, 'text_hidden_size')
  local function id(key) return s:int(key, 0, t.vocab_size - 1) end
  t.codec = strict({
    pad = id('codec_pad_id'), bos = id('codec_bos_id'), eos = id('codec_eos_token_id'),
    think = id('codec_think_id'), nothink = id('codec_nothink_id'),
    think_bos = id('codec_think_bos_id'), think_eos = id('codec_think_eos_id'),
  }, 'cfg.talker.codec')
  t.languages = read_ids(s:object('codec_language_id'), t.vocab_size)
  t.speakers = read_ids(s:object('spk_id', kind ~= 'custom_voice'), t.vocab_size)
  if kind == 'custom_voice' then
    s:expect(next(t.speakers) ~= nil, 'spk_id', 'at least one speaker')
  end
  t.dialects = read_dialects(s:object('spk_is_dialect', true), t)
  return t
end

--- The decoder's section and the rates around it.
local function read_codec(s)
  s:one_of('model_type', {'qwen3_tts_tokenizer_12hz'})
  local d = s:object('decoder_config')
  local c = {
    sample_rate = size(s, 'output_sample_rate'),
    input_sample_rate = size(s, 'input_sample_rate'),
    encode_downsample_rate = size(s, 'encode_downsample_rate'),
    num_quantizers = d:int('num_quantizers', 2, 256),
    codebook_size = size(d, 'codebook_size'),
    codebook_dim = size(d, 'codebook_dim'),
    latent_dim = size(d, 'latent_dim'),
    decoder_dim = size(d, 'decoder_dim'),
    upsample_rates = d:integers('upsample_rates', MAX_STAGES, 1, MAX_SIZE),
    upsampling_ratios = d:integers('upsampling_ratios', MAX_STAGES, 1, MAX_SIZE),
    encoder = s:object('encoder_config').values, file = s.file,
  }
  c.transformer = transformer.transformer(d, CODEC_TRANSFORMER)
  c.transformer.hidden_act = CODEC_TRANSFORMER.hidden_act
  c.transformer.sliding_window = size(d, 'sliding_window')

  local product = 1
  for _, rates in ipairs{c.upsample_rates, c.upsampling_ratios} do
    for _, rate in ipairs(rates) do product = product * rate end
  end
  c.samples_per_frame = size(s, 'decode_upsample_rate')
  s:expect(c.samples_per_frame == product, 'decode_upsample_rate',
    'the product of upsample_rates and upsampling_ratios (%.0f)', product)
  local halvings = 2 ^ #c.upsample_rates
  d:expect(c.decoder_dim % halvings == 0, 'decoder_dim',
    'a multiple of %d (it is halved for each of upsample_rates)', halvings)
  d:expect(c.codebook_dim % 2 == 0, 'codebook_dim', 'an even number')

  s:expect(size(s, 'encoder_valid_num_quantizers') == c.num_quantizers,
    'encoder_valid_num_quantizers', '%d (decoder_config.num_quantizers)', c.num_quantizers)
  strict(c.transformer, 'cfg.codec.transformer')
  return strict(c, 'cfg.codec')
end

--- What codec, talker and predictor say of the same thing.
local function check_codec(s, talker, predictor)
  local d, groups = s:object('decoder_config'), talker.num_code_groups
  d:expect(d:get 'num_quantizers' == groups, 'num_quantizers', '%d (num_code_groups of %s)', groups,
    CONFIG)
  s:expect(s:get 'encoder_valid_num_quantizers' == groups, 'encoder_valid_num_quantizers',
    '%d (num_code_groups of %s)', groups, CONFIG)
  d:expect(d:get 'codebook_size' == predictor.vocab_size, 'codebook_size',
    '%d (code_predictor_config.vocab_size of %s)', predictor.vocab_size, CONFIG)
end

local function read_generation(s)
  return {
    do_sample = s:boolean('do_sample', true),
    repetition_penalty = s:number('repetition_penalty', 1e-6, 1e6, 1.05),
    temperature = s:number('temperature', 1e-6, 1e6, 0.9),
    top_p = s:number('top_p', 0, 1, 1.0),
    top_k = s:int('top_k', 0, 2147483647, 50),
    subtalker_dosample = s:boolean('subtalker_dosample', true),
    subtalker_temperature = s:number('subtalker_temperature', 1e-6, 1e6, 0.9),
    subtalker_top_p = s:number('subtalker_top_p', 0, 1, 1.0),
    subtalker_top_k = s:int('subtalker_top_k', 0, 2147483647, 50),
    max_new_tokens = s:int('max_new_tokens', 1, MAX_SIZE, 2048),
    -- Not of the released models: text tokens of one part of a long text. 120 are half a minute.
    part_tokens = s:int('part_tokens', 1, MAX_SIZE, 120),
  }
end

local function read_model(s)
  s:one_of('model_type', {'qwen3_tts'})
  s:one_of('tokenizer_type', {'qwen3_tts_tokenizer_12hz'})
  local cfg = {
    kind = s:one_of('tts_model_type', {'custom_voice', 'base', 'voice_design'}),
    size = s:string('tts_model_size'),
    default_voice = false,
  }
  local ts = s:object('talker_config')
  cfg.talker = read_talker(ts, cfg.kind)
  local ps = ts:object('code_predictor_config')
  cfg.predictor = read_lm(ps)
  local groups = cfg.talker.num_code_groups
  ps:expect(cfg.predictor.num_code_groups == groups, 'num_code_groups',
    '%d (talker_config.num_code_groups)', groups)
  -- What the talker may draw has to be an entry of the codec's first codebook.
  local book = cfg.predictor.vocab_size
  local codes = cfg.talker.vocab_size - RESERVED_IDS
  ts:expect(codes >= 1 and codes <= book, 'vocab_size',
    'an integer from %d to %d (%d reserved ids and up to code_predictor_config.vocab_size codes)',
    RESERVED_IDS + 1, RESERVED_IDS + book, RESERVED_IDS)

  local last_id = cfg.talker.text_vocab_size - 1
  local function token(name) return s:int(name .. '_token_id', 0, last_id) end
  cfg.tokens = strict({
    im_start = token('im_start'), im_end = token('im_end'), assistant = token('assistant'),
    tts_bos = token('tts_bos'), tts_eos = token('tts_eos'), tts_pad = token('tts_pad'),
  }, 'cfg.tokens')

  if cfg.kind == 'base' then
    local encoder = s:object('speaker_encoder_config')
    if encoder:get('enc_dim') ~= nil then
      encoder:expect(encoder:get('enc_dim') == cfg.talker.hidden_size, 'enc_dim',
        '%d (talker_config.hidden_size)', cfg.talker.hidden_size)
    end
    cfg.speaker_encoder = encoder.values
  end
  return cfg
end

local function open(dir, file)
  return json.open(dir .. '/' .. file, file)
end

-- open_file gives the object of a file by its name.
local function read(open_file)
  local cfg = read_model(open_file(CONFIG))
  local codec = open_file(CODEC)
  check_codec(codec, cfg.talker, cfg.predictor)
  cfg.codec = read_codec(codec)
  cfg.generation = strict(read_generation(open_file(GENERATION)), 'cfg.generation')
  strict(cfg.talker, 'cfg.talker')
  strict(cfg.predictor, 'cfg.predictor')
  return strict(cfg, 'cfg')
end

--- Reads and checks config.json, generation_config.json and speech_tokenizer/config.json. Fields
--- are named as in the released files. Reading a field that does not exist raises an error.
---@param dir string the model's directory
---@return argent.Config? cfg
---@return string? err one line: file, field, what was expected, what was found
function M.read(dir)
  check.type(dir, 'dir', 'string')
  return json.checked(read, function(file) return open(dir, file) end)
end

--- The configuration of files that are not on a disk.
---@param files table<string, table> parsed objects by the names that `read` knows
---@return argent.Config? cfg
---@return string? err
function M.of(files)
  return json.checked(read, function(file) return json.object(files[file], file) end)
end

--- Reads and checks the config.json of a codec in a directory of its own.
---@param dir string
---@return argent.CodecConfig? cfg
---@return string? err
function M.read_codec(dir)
  check.type(dir, 'dir', 'string')
  return json.checked(function() return read_codec(open(dir, CONFIG)) end)
end

return M
