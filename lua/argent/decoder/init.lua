-- Language models that are stacks of decoder layers: LLaMA, SmolLM2, Mistral, Qwen2, Qwen3, from
-- Hugging Face folders and GGUF files. They continue a text, or answer in a chat.

local Backbone = require 'argent.nn.backbone'
local Backend = require 'argent.backend'
local Batch = require 'argent.decoder.batch'
local Embedding = require 'argent.nn.embedding'
local Generation = require 'argent.decoder.generation'
local Linear = require 'argent.nn.linear'
local Session = require 'argent.nn.session'
local Pool = require 'argent.pool'
local check = require 'argent.check'
local config = require 'argent.decoder.config'
local dtypes = require 'argent.dtype'
local gguf = require 'argent.decoder.gguf'
local lfs = require 'lfs'
local templates = require 'argent.decoder.templates'
local tensor = require 'argent.tensor'
local together = require 'argent.decoder.together'
local tokenizers = require 'argent.decoder.tokenizer'
local weights = require 'argent.weights'

local M = {}

---@class ag.LM
---@field path string the folder or file
---@field model_type string 'llama', 'mistral', 'qwen2', 'qwen3'
---@field cfg ag.DecoderConfig
---@field backend ag.Backend
---@field dtype string of the linear weights
---@field tokenizer ag.Tokenizer as it stands in the file; ids() asks it what the model can read
---@field first integer? the id that begins a text, which ids() puts there
---@field template string? the name of its chat template, see argent.decoder.templates
---@field backbone ag.Backbone
---@field embedding nn.Embedding
---@field head nn.Linear
local LM = {}
LM.__index = LM

-- The parts that differ between the two kinds of files: configuration, tokenizer, weights under the
-- names of Hugging Face, and the text of the chat template.
local function read_file(path, backend)
  local w, err, code = weights.open(path, {backend = backend})
  if not w then return nil, err, code or 'format' end
  local metadata = w:metadata()
  local parts = {}
  parts.cfg, err = config.of_gguf(metadata, path, w:info 'output.weight' == nil)
  if not parts.cfg then return nil, err, 'format' end
  local read
  read, err, code = weights.build(function()
    gguf.read_factors(w:scope '', parts.cfg)
    return true
  end)
  if not read then return nil, err, code or 'format' end
  parts.tokenizer, err, parts.first = tokenizers.of_gguf(metadata, path)
  if not parts.tokenizer then return nil, err, 'format' end
  parts.weights = w:renamed(gguf.name, function(name) return gguf.order(name, parts.cfg) end)
  parts.template = metadata['tokenizer.chat_template']
  return parts
end

local function read_folder(dir, backend)
  local parts = {}
  local cfg, err = config.read(dir)
  local code
  parts.cfg = cfg
  if not parts.cfg then return nil, err, 'format' end
  parts.tokenizer, err, parts.first = tokenizers.open(dir)
  if not parts.tokenizer then return nil, err, 'format' end
  parts.weights, err, code = weights.open(dir, {backend = backend})
  if not parts.weights then return nil, err, code or 'format' end
  parts.template, err = templates.of_folder(dir)
  if err then return nil, err, 'format' end
  return parts
end

local function assemble(path, parts, backend, dtype)
  local cfg, scope = parts.cfg, parts.weights:scope ''
  local model = scope:scope('model.'):look_later()
  local embedding = Embedding.load(model:scope 'embed_tokens.', cfg.vocab_size, cfg.hidden_size,
    dtype ~= 'f32' and 'bf16' or nil)
  -- The head is by far the largest matrix: made before the layers it adds least to the most memory
  -- that opening takes.
  local head = cfg.tie_word_embeddings and embedding:head(dtype)
    or Linear.load(scope:scope 'lm_head.', cfg.vocab_size, cfg.hidden_size, dtype, 'none')
  local self = setmetatable({
    path = path, model_type = cfg.model_type, cfg = cfg, backend = backend, dtype = dtype,
    tokenizer = parts.tokenizer, first = parts.first, head = head,
    weights = parts.weights, template = templates.name(parts.template),
    embedding = embedding, backbone = Backbone.load(backend, cfg, model, dtype),
  }, LM)
  self.watchers = self.backbone.watchers
  self.watchers.what = 'language model'
  self.watchers.names = function() return self:watch_names() end
  self.batches = Pool.new(function() return Batch.new(self, 1) end)
  return self
end

--- Opens a language model.
---@param path string a Hugging Face folder or a GGUF file
---@param opts? {backend: ag.Backend?, dtype: string?, cache: string?} backend: default CPU, one
---thread per core; dtype of the linear weights: 'bf16' (default), 'f32' (the reference), or what
---else argent.dtype.weights lists; cache: of keys and values, 'f32' or 'bf16', default 'f32' with
---weights in f32 or bf16
---@return ag.LM?
---@return string? err one line: file, place, fact
---@return string? code
function M.open(path, opts)
  check.type(path, 'open: model', 'string')
  opts = check.options(opts, 'open', {'backend', 'dtype', 'cache'})
  if opts.dtype ~= nil then check.one_of(opts.dtype, 'open: dtype', dtypes.weights) end
  if opts.cache ~= nil then check.one_of(opts.cache, 'open: cache', Session.DTYPES) end
  local backend = opts.backend
  if not backend then
    local err, code
    backend, err, code = Backend.open 'cpu'
    if not backend then return nil, err, code end
  end
  local read = lfs.attributes(path, 'mode') == 'directory' and read_folder or read_file
  local parts, err, code = read(path, backend)
  if not parts then return nil, err, code end
  local dtype, self
  dtype, err, code = parts.weights:dtype(opts.dtype)
  if not dtype then return nil, err, code end
  self, err, code = weights.build(function() return assemble(path, parts, backend, dtype) end)
  if not self then return nil, err, code or 'format' end
  self.backbone.cache_dtype = opts.cache or Session.dtype_for(dtype)
  return self
end

--- The tokenizer of a language model alone.
---@param path string a Hugging Face folder or a GGUF file
---@return ag.Tokenizer?
---@return string? err
---@return string? code
function M.tokenizer(path)
  check.type(path, 'tokenizer: model', 'string')
  local tokenizer, err, code
  if lfs.attributes(path, 'mode') == 'directory' then
    tokenizer, err = tokenizers.open(path)
    return tokenizer, err, 'format'
  end
  local backend = assert(Backend.open('cpu', {threads = 1}))
  local w
  w, err, code = weights.open(path, {backend = backend})
  if not w then return nil, err, code or 'format' end
  tokenizer, err = tokenizers.of_gguf(w:metadata(), path)
  return tokenizer, err, 'format'
end

function LM:__tostring()
  return ('language model: %s (%s), weights in %s'):format(self.path, self.cfg.model_type,
    self.dtype)
end

--- Everything that can be watched: as of the backbone, and `logits` [1, vocab].
---@return string[]
function LM:watch_names()
  local names = self.backbone:watch_names()
  names[#names + 1] = 'logits'
  return names
end

--- Sees a tensor by name, while it is computed: `lm:watch('layers.3.attn.probs', fn)`. See
--- ag.Backbone.watch for names and shapes and ag.Watch.add for what fn gets.
---@param name string one of watch_names()
---@param fn fun(x: ag.Tensor, info: {name: string, pos: integer})
---@return ag.WatchHandle handle with :stop()
function LM:watch(name, fn)
  local handle = self.watchers:add(name, fn)
  return handle
end

--- The ids of a text as the model reads it: with the id that begins texts in front, where the
--- model is used to one; special tokens in the text are those tokens.
---@param text string
---@return integer[]? ids
---@return string? err
---@return string? code 'value'
function LM:ids(text)
  check.type(text, 'ids: text', 'string')
  local ids, err = self.tokenizer:encode(text, {special = true})
  if not ids then return nil, err, 'value' end
  if self.first and ids[1] ~= self.first then table.insert(ids, 1, self.first) end
  -- Tokenizers may have tokens that the model was never given vectors for.
  if self.tokenizer.size > self.cfg.vocab_size then
    for _, id in ipairs(ids) do
      if id >= self.cfg.vocab_size then
        return nil, ("the token '%s' has the id %d, and the model has vectors for %d"):format(
          self.tokenizer:decode {id}, id, self.cfg.vocab_size), 'value'
      end
    end
  end
  return ids
end

--- The embeddings of ids.
---@param ids integer[]
---@return ag.Tensor [#ids, D]
function LM:embed(ids)
  check.type(ids, 'embed: ids', 'table')
  local x = tensor.zeros(self.backend, {#ids, self.cfg.hidden_size})
  self.embedding:forward(x, tensor.from(self.backend, ids, 'i32'))
  return x
end

--- The logits of every position of a text.
---@param ids integer[] at least one
---@return ag.Tensor? logits [#ids, vocab]: row i are those of what follows id i
---@return string? err
---@return string? code 'capacity', 'memory', 'interrupted'
function LM:logits(ids)
  check.type(ids, 'logits: ids', 'table')
  check.int(#ids, 'logits: ids: how many', 1)
  for i, id in ipairs(ids) do
    check.int(id, ('logits: ids[%d]'):format(i), 0, self.cfg.vocab_size - 1)
  end
  local session = self.backbone:session()
  local hidden, err, code = self.backbone:forward(session, self:embed(ids))
  session:release()
  if not hidden then return nil, err, code end
  local out = tensor.zeros(self.backend, {#ids, self.cfg.vocab_size})
  self.head:forward(out, hidden)
  return out
end

-- Rows of logits that are looked at on the host at once.
local ROWS = 64

--- How surprised the model is by a text: e to the mean of -ln p of each id behind the first.
---@param text string|integer[]
---@return number? perplexity
---@return string? err
---@return string? code 'value' for a text of less than two tokens
function LM:perplexity(text)
  local ids = text
  if type(text) == 'string' then
    local err, code
    ids, err, code = self:ids(text)
    if not ids then return nil, err, code end
  end
  check.type(ids, 'perplexity: text', 'table')
  if #ids < 2 then return nil, 'perplexity: the text has less than two tokens', 'value' end
  local logits, err, code = self:logits(ids)
  if not logits then return nil, err, code end
  local sum, V = 0, self.cfg.vocab_size
  for first = 1, #ids - 1, ROWS do
    local n = math.min(ROWS, #ids - first)
    local rows = logits:narrow(1, first, n):host()
    for i = 0, n - 1 do
      local row, most, total = rows + i * V, -math.huge, 0
      for v = 0, V - 1 do most = math.max(most, row[v]) end
      for v = 0, V - 1 do total = total + math.exp(row[v] - most) end
      sum = sum + math.log(total) + most - row[ids[first + i + 1]]
    end
  end
  return math.exp(sum / (#ids - 1))
end

--- Continues a text, or answers in a chat. With `prompts` or `chats`, lists of what `prompt` and
--- `messages` are, it does so with all of them, `rows` side by side, which reads the weights once
--- for all: a list of results, each as it would be by itself. Of one seed the texts have a stream
--- of draws each: `stream`, `stream` + 1 and so on.
---@param opts ag.Generate
---@return {ids: integer[], text: string, ended: string, seed: integer}? result or a list of them;
---ended: 'eos', 'stop' (one of the stop texts), 'limit' (max_tokens) or 'stopped' (by a hook)
---@return string? err of several texts it says which
---@return string? code 'value', 'capacity', 'memory', 'interrupted'
function LM:generate(opts)
  if type(opts) == 'table' and (opts.prompts or opts.chats) then
    local list, fault, kind = together.generate(self, opts)
    return list, fault, kind
  end
  local g, err, code = Generation.start(self, opts, 'generate')
  if not g then return nil, err, code end
  local more
  repeat
    more, err, code = g:next()
    if err then
      g:finish()
      return nil, err, code
    end
  until not more
  g:finish()
  return {ids = g.ids, text = g:text(), ended = g.ended, seed = g.seed}
end

--- As `generate`, text by text as it comes: `for piece in lm:stream {prompt = ...} do`. Faults
--- raise.
---@param opts ag.Generate
---@return fun(): string? piece whole characters; nothing that may still become a stop text
---@return ag.Generation generation its `ids` and `ended`
function LM:stream(opts)
  local g, err, code = Generation.start(self, opts, 'stream')
  if not g then return nil, err, code end
  return g:pieces(), g
end

check.methods(LM, 'language model')

return M
