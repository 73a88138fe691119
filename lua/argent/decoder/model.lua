-- Language models as argent.models knows them: what a folder or a GGUF file holds, and how it is
-- opened and inspected.

local config = require 'argent.decoder.config'
local lfs = require 'lfs'
local weights = require 'argent.weights'

---@type argent.Model
local M = {
  types = {'llama', 'mistral', 'qwen2', 'qwen3'}, name = 'a language model',
  handle = 'lm',
  provides = {text = true},
  released = {'HuggingFaceTB/SmolLM2-135M-Instruct', 'Qwen/Qwen3-0.6B'},
  files = {'config.json', 'model.safetensors'},
}

function M.matches(name)
  for _, whole in ipairs(M.released) do
    if whole:match '/(.*)$' == name then return true end
  end
  return false
end

-- What an option of other kinds is good for is left out.
local function own(opts)
  opts = opts or {}
  local o = {}
  for k, v in pairs(opts) do o[k] = v end
  o.codec = nil
  return o
end

function M.open(path, opts)
  return require('argent.decoder').open(path, own(opts))
end

function M.summary(lm)
  return ('%s (%s, %d layers of %d), weights in %s'):format(lm.path, lm.model_type,
    lm.cfg.num_hidden_layers, lm.cfg.hidden_size, lm.dtype)
end

function M.describe(path)
  local cfg = lfs.attributes(path, 'mode') == 'directory' and config.read(path)
  return cfg and {kind = cfg.model_type}
end

function M.fault(path, be)
  local lm, err
  weights.by_headers(function() lm, err = M.open(path, {backend = be}) end)
  return not lm and err or nil
end

function M.tokenizer(path)
  return require('argent.decoder').tokenizer(path)
end

function M.inspect(path, be)
  local cfg, err = config.read(path)
  if not cfg then return nil, err end
  local r = {
    facts = {directory = path, kind = cfg.model_type, model = {layers = cfg.num_hidden_layers,
      hidden = cfg.hidden_size, heads = cfg.num_attention_heads,
      kv_heads = cfg.num_key_value_heads, head_dim = cfg.head_dim, vocabulary = cfg.vocab_size,
      positions = cfg.max_position_embeddings}},
    lines = {
      ('%s: %s, %s'):format(path, M.name, cfg.model_type),
      ('%d layers of %d, %d heads over %d of %d, up to %d positions, %d tokens'):format(
        cfg.num_hidden_layers, cfg.hidden_size, cfg.num_attention_heads, cfg.num_key_value_heads,
        cfg.head_dim, cfg.max_position_embeddings, cfg.vocab_size),
    },
    parts = {},
  }
  local lm
  weights.by_headers(function() lm, r.missing = M.open(path, {backend = be}) end)
  if lm then
    r.facts.template = lm.template
    r.lines[3] = 'chat template: ' .. (lm.template or 'none that is known')
  end
  local w = lm and lm.weights or weights.open(path, {backend = be})
  if w then r.parts[1] = {name = 'file', prefix = '', weights = w} end
  r.unused = lm and w:unused()
  return r
end

return M
