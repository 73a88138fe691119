-- Text encoders as argent.models knows them: what a folder holds, and how it is opened and
-- inspected.

local config = require 'argent.encoder.config'
local weights = require 'argent.weights'

---@type argent.Model
local M = {
  types = {'bert', 'distilbert', 'roberta'}, name = 'a text encoder',
  handle = 'enc',
  provides = {embedding = true},
  released = {'sentence-transformers/all-MiniLM-L6-v2'},
  files = {'config.json', 'model.safetensors'},
}

function M.matches(name)
  return name == 'all-MiniLM-L6-v2'
end

function M.open(dir, opts)
  opts = opts or {}
  return require('argent.encoder').open(dir, {backend = opts.backend, dtype = opts.dtype})
end

function M.summary(enc)
  return ('%s (%s, %d layers of %d), weights in %s'):format(enc.dir, enc.model_type,
    enc.cfg.num_hidden_layers, enc.cfg.hidden_size, enc.dtype)
end

function M.describe(dir)
  local cfg = config.read(dir)
  return cfg and {kind = cfg.model_type}
end

function M.fault(dir, be)
  local enc, err
  weights.by_headers(function() enc, err = M.open(dir, {backend = be}) end)
  return not enc and err or nil
end

function M.inspect(dir, be)
  local cfg, err = config.read(dir)
  if not cfg then return nil, err end
  local r = {
    facts = {directory = dir, kind = cfg.model_type, model = {layers = cfg.num_hidden_layers,
      hidden = cfg.hidden_size, heads = cfg.num_attention_heads, vocabulary = cfg.vocab_size,
      longest = cfg.most, pooling = cfg.pooling, normalize = cfg.normalize}},
    lines = {
      ('%s: %s, %s'):format(dir, M.name, cfg.model_type),
      ('%d layers of %d, %d heads, %d tokens, texts of up to %d'):format(cfg.num_hidden_layers,
        cfg.hidden_size, cfg.num_attention_heads, cfg.vocab_size, cfg.most),
      ('vectors: %s%s'):format(cfg.pooling, cfg.normalize and ', of length 1' or ''),
    },
    parts = {},
  }
  local enc
  weights.by_headers(function() enc, r.missing = M.open(dir, {backend = be}) end)
  local w = enc and enc.weights or weights.open(dir, {backend = be})
  if w then r.parts[1] = {name = 'file', prefix = '', weights = w} end
  r.unused = enc and w:unused()
  return r
end

return M
