-- The fields of a transformer in a config.json, read and checked once for every model that has one.
-- What a family of models has in common stands in no file: the caller says it.

local rope = require 'argent.nn.rope'

local M = {}

--- No size may be larger, so that products of two are exact numbers and of three fit 64 bits.
M.MAX_SIZE = 2 ^ 20
M.MAX_LAYERS = 1024

---@class argent.LMConfig the fields of a transformer, named as in the released files
---@field hidden_size integer
---@field intermediate_size integer
---@field num_hidden_layers integer
---@field num_attention_heads integer
---@field num_key_value_heads integer
---@field head_dim integer even; in many models not hidden_size / num_attention_heads
---@field rms_norm_eps number of all norms, whatever their kind
---@field rope_theta number
---@field rope_scaling argent.RopeScaling?
---@field max_position_embeddings integer
---@field attention_bias boolean
---@field tie_word_embeddings true? the head is the embedding table
---@field vocab_size integer? of a language model
---@field sliding_window integer? how many positions a query sees, itself included; nil: all
---@field norm string this and the rest are as of the family
---@field final_norm boolean
---@field mlp string
---@field qk_norm boolean
---@field layer_scale boolean

---@class argent.Family what a family of transformers has in common, see ag.BackboneConfig
---@field norm 'rms'|'layer'
---@field final_norm boolean
---@field mlp 'gated'|'plain'
---@field qk_norm boolean
---@field layer_scale boolean
---@field hidden_act string the only activation: 'silu', 'gelu'
---@field eps string? the field that holds the norms' eps, default 'rms_norm_eps'
---@field positions integer? most positions, where the file's max_position_embeddings is not asked
---@field scalings string[]? the kinds of rope_scaling that are taken, default {'default'}: none
---@field derives boolean? num_key_value_heads and head_dim may be absent: they are
---num_attention_heads and hidden_size / num_attention_heads then
---@field ties boolean? tie_word_embeddings may be true
---@field theta number? rope_theta where the file does not say

--- A size of a network: an integer from 1 to MAX_SIZE.
---@param s argent.json.Object
---@param key string
---@param default? integer
---@return integer
function M.size(s, key, default)
  return s:int(key, 1, M.MAX_SIZE, default)
end

--- Reads a transformer's fields; what is absent, of the wrong kind, out of range or contradictory
--- is a fault of json.checked.
---@param s argent.json.Object
---@param family argent.Family
---@return argent.LMConfig
function M.transformer(s, family)
  local size, derives = M.size, family.derives
  local rotary = s:get 'rope_parameters' ~= nil and s:object 'rope_parameters' or s
  local t = {
    hidden_size = size(s, 'hidden_size'),
    intermediate_size = size(s, 'intermediate_size'),
    num_hidden_layers = s:int('num_hidden_layers', 1, M.MAX_LAYERS),
    num_attention_heads = s:int('num_attention_heads', 1, 1024),
    rms_norm_eps = s:number(family.eps or 'rms_norm_eps', 1e-12, 0.1),
    rope_theta = rotary:number('rope_theta', 1, 1e12, family.theta),
    max_position_embeddings = family.positions or size(s, 'max_position_embeddings'),
    attention_bias = s:boolean('attention_bias', false),
    norm = family.norm, final_norm = family.final_norm, mlp = family.mlp,
    qk_norm = family.qk_norm, layer_scale = family.layer_scale,
  }
  local heads = t.num_attention_heads
  t.num_key_value_heads = s:int('num_key_value_heads', 1, 1024, derives and heads or nil)
  s:expect(heads % t.num_key_value_heads == 0, 'num_key_value_heads',
    'a divisor of num_attention_heads (%d)', heads)
  if derives and s:get 'head_dim' == nil then
    s:expect(t.hidden_size % (2 * heads) == 0, 'num_attention_heads',
      'a divisor of hidden_size (%d) that leaves an even head_dim', t.hidden_size)
    t.head_dim = t.hidden_size / heads
  else
    t.head_dim = s:int('head_dim', 1, 1024)
    s:expect(t.head_dim % 2 == 0, 'head_dim', 'an even number')
  end
  s:one_of('hidden_act', {family.hidden_act})
  t.tie_word_embeddings = s:boolean('tie_word_embeddings', false) or nil
  s:expect(family.ties or not t.tie_word_embeddings, 'tie_word_embeddings', 'false')
  t.rope_scaling = rope.read(s, family.scalings or {'default'})
  return t
end

--- The same of a language model, which has a vocabulary too, and a sliding window only where a
--- second field turns it on.
---@param s argent.json.Object
---@param family argent.Family
---@return argent.LMConfig with vocab_size and, where it is on, sliding_window
function M.language_model(s, family)
  local t = M.transformer(s, family)
  t.vocab_size = M.size(s, 'vocab_size')
  if s:boolean('use_sliding_window', false) and s:get 'sliding_window' ~= nil then
    t.sliding_window = M.size(s, 'sliding_window')
  end
  local layers = s:get 'layer_types'
  if layers ~= nil then
    s:expect(type(layers) == 'table' and #layers == t.num_hidden_layers, 'layer_types',
      'a list of num_hidden_layers (%d) strings', t.num_hidden_layers)
    for i, kind in ipairs(layers) do
      if kind ~= 'full_attention' then
        s:fault(('layer_types[%d]'):format(i - 1), 'only full_attention is supported')
      end
    end
    s:expect(not t.sliding_window, 'use_sliding_window', 'false (layer_types: full_attention)')
  end
  return t
end

return M
