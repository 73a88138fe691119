-- The configuration of a text encoder: config.json of BERT, DistilBERT or RoBERTa, and what
-- sentence-transformers' modules.json says of the vector that stands for a text.

local config = require 'argent.nn.config'
local json = require 'argent.json'
local lfs = require 'lfs'

local M = {}

---@class ag.EncoderConfig
---@field model_type 'bert'|'distilbert'|'roberta'
---@field hidden_size integer
---@field intermediate_size integer
---@field num_hidden_layers integer
---@field num_attention_heads integer
---@field layer_norm_eps number
---@field vocab_size integer
---@field type_vocab_size integer? nil: there are no kinds of tokens (DistilBERT)
---@field position_rows integer rows of the table of positions
---@field first_position integer the row of a text's first id
---@field most integer ids of the longest text
---@field pooling 'mean'|'cls'|'max'
---@field normalize boolean the vector gets length 1

-- DistilBERT's names of the same fields.
local DISTIL = {hidden_size = 'dim', intermediate_size = 'hidden_dim',
  num_hidden_layers = 'n_layers', num_attention_heads = 'n_heads', hidden_act = 'activation'}

local function network(s)
  local kind = s:one_of('model_type', {'bert', 'distilbert', 'roberta'})
  local distil, size = kind == 'distilbert', config.size
  local function key(name) return distil and DISTIL[name] or name end
  local c = {
    model_type = kind, hidden_size = size(s, key 'hidden_size'),
    intermediate_size = size(s, key 'intermediate_size'),
    num_hidden_layers = s:int(key 'num_hidden_layers', 1, config.MAX_LAYERS),
    num_attention_heads = s:int(key 'num_attention_heads', 1, 1024),
    layer_norm_eps = distil and 1e-12 or s:number('layer_norm_eps', 1e-15, 0.1, 1e-12),
    vocab_size = size(s, 'vocab_size'), position_rows = size(s, 'max_position_embeddings'),
    type_vocab_size = not distil and size(s, 'type_vocab_size') or nil,
  }
  s:one_of(key 'hidden_act', {'gelu'})
  s:expect(c.hidden_size % c.num_attention_heads == 0, key 'num_attention_heads',
    'a divisor of %d', c.hidden_size)
  if s:get 'position_embedding_type' ~= nil then
    s:one_of('position_embedding_type', {'absolute'})
  end
  -- RoBERTa's rows begin behind that of padding.
  c.first_position = kind == 'roberta' and s:int('pad_token_id', 0, 1024) + 1 or 0
  c.most = c.position_rows - c.first_position
  s:expect(c.most >= 3, 'max_position_embeddings', 'room for a text behind row %d',
    c.first_position)
  return c
end

local function read(path)
  return lfs.attributes(path, 'mode') and json.open(path, path) or nil
end

-- The modules of sentence-transformers behind the network: one that pools, one that normalises.
local function modules(dir, c)
  local path = dir .. '/modules.json'
  c.pooling, c.normalize = 'mean', false
  if not lfs.attributes(path, 'mode') then return end
  for i, values in ipairs(json.open_list(path)) do
    local where = ('[%d]'):format(i - 1)
    if type(values) ~= 'table' then
      json.object({}, path):fault(where, 'expected an object')
    end
    local m = json.object(values, path, where)
    local kind = m:string('type'):match '[%w_]+$'
    if kind == 'Pooling' then
      local folder = m:string 'path'
      m:expect(folder:find '^[%w_]+$', 'path', 'a plain folder name')
      local p = read(('%s/%s/config.json'):format(dir, folder)) or m:fault('path', 'is not there')
      local modes = {mean = p:boolean('pooling_mode_mean_tokens', false),
        cls = p:boolean('pooling_mode_cls_token', false),
        max = p:boolean('pooling_mode_max_tokens', false)}
      local found = {}
      for mode, on in pairs(modes) do found[#found + 1] = on and mode or nil end
      p:expect(#found == 1, 'pooling_mode_mean_tokens',
        'one of mean, cls and max pooling to be true')
      c.pooling = found[1]
    elseif kind == 'Normalize' then
      c.normalize = true
    elseif kind ~= 'Transformer' then
      m:fault('type', '%s is not supported', kind)
    end
  end
end

--- Reads the files of a folder.
---@param dir string
---@return ag.EncoderConfig?
---@return string? err
function M.read(dir)
  return json.checked(function()
    local c = network(json.open(dir .. '/config.json', dir .. '/config.json'))
    modules(dir, c)
    local s = read(dir .. '/sentence_bert_config.json')
    if s and s:get 'max_seq_length' ~= nil then
      c.most = math.min(c.most, s:int('max_seq_length', 3, 2 ^ 20))
    end
    return c
  end)
end

return M
