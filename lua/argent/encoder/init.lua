-- Text encoders: BERT, MiniLM, DistilBERT and RoBERTa from Hugging Face folders. They make of a
-- text a vector; texts of near meaning have near vectors.

local Backend = require 'argent.backend'
local Network = require 'argent.encoder.network'
local check = require 'argent.check'
local config = require 'argent.encoder.config'
local dtypes = require 'argent.dtype'
local lib = require 'argent.ffi'
local ops = require 'argent.ops'
local tensor = require 'argent.tensor'
local tokenizers = require 'argent.encoder.tokenizer'
local weights = require 'argent.weights'

local M = {}

---@class ag.TextEncoder
---@field dir string
---@field model_type string 'bert', 'distilbert', 'roberta'
---@field cfg ag.EncoderConfig
---@field backend ag.Backend
---@field dtype string of the linear weights
---@field tokenizer ag.EncoderTokenizer
---@field network ag.EncoderNetwork
local Encoder = {}
Encoder.__index = Encoder

-- Checkpoints of a whole model have its name in front of the encoder's names.
local function scope_of(w, cfg)
  local scope = w:scope(cfg.model_type .. '.')
  return scope:has 'embeddings.word_embeddings.weight' and scope or w:scope ''
end

--- Opens a text encoder.
---@param dir string a Hugging Face folder, with or without the files of sentence-transformers
---@param opts? {backend: ag.Backend?, dtype: string?} backend: default CPU, one thread per core;
---dtype of the linear weights: one of argent.dtype.weights; by default f32, in products as fast as
---the CPU can, of which AMX keeps 16 bits of each number; with 'f32', the reference, all 24
---@return ag.TextEncoder?
---@return string? err one line: file, place, fact
---@return string? code
function M.open(dir, opts)
  check.type(dir, 'open: model', 'string')
  opts = check.options(opts, 'open', {'backend', 'dtype'})
  local dtype = opts.dtype
  if dtype ~= nil then check.one_of(dtype, 'open: dtype', dtypes.weights) end
  local backend = opts.backend
  if not backend then
    local err, code
    backend, err, code = Backend.open 'cpu'
    if not backend then return nil, err, code end
  end
  local cfg, err = config.read(dir)
  if not cfg then return nil, err, 'format' end
  local tokenizer, w, code
  tokenizer, err = tokenizers.open(dir)
  if not tokenizer then return nil, err, 'format' end
  w, err, code = weights.open(dir, {backend = backend})
  if not w then return nil, err, code or 'format' end
  local network
  network, err, code = weights.build(function()
    return Network.load(backend, cfg, scope_of(w, cfg):look_later(), dtype)
  end)
  if not network then return nil, err, code or 'format' end
  return setmetatable({dir = dir, model_type = cfg.model_type, cfg = cfg, backend = backend,
    dtype = dtype or 'f32', weights = w, tokenizer = tokenizer, network = network}, Encoder)
end

function Encoder:__tostring()
  return ('text encoder: %s (%s), weights in %s'):format(self.dir, self.cfg.model_type, self.dtype)
end

--- Sees a tensor by name, while it is computed; see network:watch_names() and ag.Watch.add.
---@param name string
---@param fn fun(x: ag.Tensor, info: {name: string, pos: integer})
---@return ag.WatchHandle
function Encoder:watch(name, fn)
  local handle = self.network.watchers:add(name, fn)
  return handle
end

-- Rows that go through the layers at once: more would leave the caches of the CPU.
local ROWS = 512

-- Texts in groups of about so many rows, each the next ones of the list.
local function groups(texts)
  local list, rows = {{first = 1}}, 0
  for i, text in ipairs(texts) do
    if rows > 0 and rows + #text > ROWS then
      list[#list + 1], rows = {first = i}, 0
    end
    local group = list[#list]
    group[#group + 1], rows = text, rows + #text
  end
  return list
end

-- One vector of the rows of a text.
local function pool(self, out, rows)
  if self.cfg.pooling == 'cls' then
    out:copy(rows:select(1, 1))
  elseif self.cfg.pooling == 'mean' then
    ops.pool(out:view(1, -1), rows, nil, 0)
  else
    local host, n, D = rows:host(), rows.shape[1], rows.shape[2]
    local most = {}
    for c = 1, D do
      most[c] = -math.huge
      for r = 0, n - 1 do most[c] = math.max(most[c], host[r * D + c - 1]) end
    end
    out:set(most)
  end
end

-- Vectors [n, D] to length 1, in place.
local function normalize(x)
  local host, n, D, list = x:host(), x.shape[1], x.shape[2], {}
  for r = 0, n - 1 do
    local sum = 0
    for c = 0, D - 1 do sum = sum + host[r * D + c] ^ 2 end
    local by = 1 / math.max(math.sqrt(sum), 1e-12)
    for c = 0, D - 1 do list[r * D + c + 1] = host[r * D + c] * by end
  end
  x:set(list)
end

--- The hidden states of texts behind the last layer.
---@param texts string[]
---@return ag.Tensor[]? states of each text [ids, D], with those that begin and end it
---@return string? err
---@return string? code 'value', 'memory', 'interrupted'
function Encoder:states(texts)
  check.type(texts, 'states: texts', 'table')
  local ids = {}
  for i, text in ipairs(texts) do
    check.type(text, ('states: texts[%d]'):format(i), 'string')
    local err
    ids[i], err = self.tokenizer:encode(text, self.cfg.most)
    if not ids[i] then return nil, ('text %d: %s'):format(i, err), 'value' end
  end
  local out = {}
  for _, group in ipairs(#ids > 0 and groups(ids) or {}) do
    local x, err, code = self.network:forward(group)
    if not x then return nil, err, code end
    if lib.ag_tensor_count_nonfinite(x) > 0 then
      return nil, self.weights:damaged() or self.dir .. ': the network makes NaN of this text',
        'format'
    end
    local first = 1
    for _, text in ipairs(group) do
      out[#out + 1] = x:narrow(1, first, #text)
      first = first + #text
    end
  end
  return out
end

--- A vector for each text, as the model's modules.json says: mean of the states, or that of the
--- first id, of length 1 or not. Texts are cut at cfg.most ids.
---@param texts string[]|string
---@return ag.Tensor? vectors [texts, D]; of one string [D]
---@return string? err
---@return string? code 'value', 'memory', 'interrupted'
---@return integer[]? ids how many each text had
function Encoder:embed(texts)
  local one = type(texts) == 'string'
  local states, err, code = self:states(one and {texts} or texts)
  if not states then return nil, err, code end
  local out = tensor.zeros(self.backend, {#states, self.cfg.hidden_size})
  local counts = {}
  for i, rows in ipairs(states) do
    pool(self, out:select(1, i), rows)
    counts[i] = #rows
  end
  if self.cfg.normalize then normalize(out) end
  return one and out:select(1, 1) or out, nil, nil, counts
end

check.methods(Encoder, 'text encoder')

return M
