-- The configuration of a language model: config.json of a Hugging Face folder, or the metadata of a
-- GGUF file, whose keys are read under the names of the former.

local config = require 'argent.nn.config'
local json = require 'argent.json'

local M = {}

-- What the families have in common, see argent.Family.
local function family(t)
  local f = {
    norm = 'rms', final_norm = true, mlp = 'gated', qk_norm = false, layer_scale = false,
    hidden_act = 'silu', scalings = {'default', 'linear', 'llama3'}, derives = true, ties = true,
    theta = 10000,
  }
  for k, v in pairs(t or {}) do f[k] = v end
  return f
end

--- By `model_type` of config.json, which GGUF's `general.architecture` mostly agrees with.
M.FAMILIES = {
  llama = family(), mistral = family(), qwen2 = family(), qwen3 = family {qk_norm = true},
}

---@class ag.DecoderConfig: argent.LMConfig
---@field model_type string
---@field ends table<integer, true> ids that end a text

-- Ids of generation_config.json or config.json: one or a list.
local function add_ends(ends, s, key, vocab)
  local v = s:get(key)
  if v == nil then return end
  for _, id in ipairs(type(v) == 'table' and s:integers(key, 64, 0, vocab - 1)
    or {s:int(key, 0, vocab - 1)}) do
    ends[id] = true
  end
end

local function of(s)
  local names = {}
  for name in pairs(M.FAMILIES) do names[#names + 1] = name end
  table.sort(names)
  local model_type = s:one_of('model_type', names)
  local cfg = config.language_model(s, M.FAMILIES[model_type])
  cfg.model_type = model_type
  -- Mistral's window has no second field that turns it on.
  if model_type == 'mistral' and s:get 'sliding_window' ~= nil then
    cfg.sliding_window = config.size(s, 'sliding_window')
  end
  cfg.ends = {}
  add_ends(cfg.ends, s, 'eos_token_id', cfg.vocab_size)
  return cfg
end

---@class ag.GenerationDefaults of generation_config.json
---@field do_sample boolean
---@field temperature number
---@field top_k integer
---@field top_p number
---@field min_p number
---@field repetition_penalty number

-- The defaults of transformers where the file says nothing.
local function generation(s)
  return {
    do_sample = s:boolean('do_sample', false),
    temperature = s:number('temperature', 0, 100, 1),
    top_k = s:int('top_k', 0, 2 ^ 20, 50),
    top_p = s:number('top_p', 0, 1, 1),
    min_p = s:number('min_p', 0, 1, 0),
    repetition_penalty = s:number('repetition_penalty', 1e-3, 1e3, 1),
  }
end

--- Reads config.json, and generation_config.json where there is one.
---@param dir string
---@return ag.DecoderConfig? cfg with `generation`
---@return string? err
function M.read(dir)
  return json.checked(function()
    local cfg = of(json.open(dir .. '/config.json', dir .. '/config.json'))
    local path = dir .. '/generation_config.json'
    local f = io.open(path, 'rb')
    if f then f:close() end
    local s = f and json.open(path, path) or json.object({}, path)
    cfg.generation = generation(s)
    add_ends(cfg.ends, s, 'eos_token_id', cfg.vocab_size)
    return cfg
  end)
end

-- config.json's fields by the ends of GGUF's keys behind the architecture's name.
local KEYS = {
  hidden_size = 'embedding_length', intermediate_size = 'feed_forward_length',
  num_hidden_layers = 'block_count', num_attention_heads = 'attention.head_count',
  num_key_value_heads = 'attention.head_count_kv', head_dim = 'attention.key_length',
  rms_norm_eps = 'attention.layer_norm_rms_epsilon', rope_theta = 'rope.freq_base',
  max_position_embeddings = 'context_length',
}

--- Reads the metadata of a GGUF file.
---@param metadata table
---@param path string for messages
---@param tied boolean the head is the embedding table
---@return ag.DecoderConfig? cfg with `generation`
---@return string? err
function M.of_gguf(metadata, path, tied)
  return json.checked(function()
    local architecture = metadata['general.architecture']
    if type(architecture) ~= 'string' then
      json.object(metadata, path):fault('general.architecture', 'expected a text')
    end
    local values = {
      model_type = architecture, hidden_act = 'silu', tie_word_embeddings = tied,
      eos_token_id = metadata['tokenizer.ggml.eos_token_id'],
    }
    for key, tail in pairs(KEYS) do values[key] = metadata[architecture .. '.' .. tail] end
    local function rope(tail) return metadata[('%s.rope.scaling.%s'):format(architecture, tail)] end
    if rope 'type' ~= nil and rope 'type' ~= 'none' then
      values.rope_scaling = {type = rope 'type', factor = rope 'factor'}
    end
    local words = metadata['tokenizer.ggml.tokens']
    values.vocab_size = type(words) == 'table' and #words or nil
    local cfg = of(json.object(values, path))
    cfg.generation = generation(json.object({}, path))
    return cfg
  end)
end

return M
