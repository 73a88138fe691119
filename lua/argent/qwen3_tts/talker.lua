-- The talker: an ordinary Qwen3 decoder over rows that are the sum of a text side and a codec side
-- (REFERENCE.md, "Talker" and "Prompts"). Its hidden state after the final norm gives the logits of
-- code group 0 and is what the code predictor continues from.

local Backbone = require 'argent.nn.backbone'
local Embedding = require 'argent.nn.embedding'
local Linear = require 'argent.nn.linear'
local check = require 'argent.check'
local ops = require 'argent.ops'
local tensor = require 'argent.tensor'

---@class ag.Talker
---@field backbone ag.Backbone
---@field text_embedding nn.Embedding of width Dt
---@field codec_embedding nn.Embedding of width D
---@field head nn.Linear D -> vocab
local Talker = {}
Talker.__index = Talker

--- Takes `talker.*` but for the code predictor.
---@param backend ag.Backend
---@param cfg table cfg.talker of qwen3_tts.config
---@param scope ag.Scope 'talker.'
---@param dtype string of the linear weights
function Talker.load(backend, cfg, scope, dtype)
  local D, Dt = cfg.hidden_size, cfg.text_hidden_size
  local model, projection = scope:scope('model.'):look_later(), scope:scope('text_projection.')
  local self = setmetatable({
    backend = backend,
    cfg = cfg,
    text_embedding = Embedding.load(model:scope 'text_embedding.', cfg.text_vocab_size, Dt),
    codec_embedding = Embedding.load(model:scope 'codec_embedding.', cfg.vocab_size, D),
    fc1 = Linear.load(projection:scope('linear_fc1.'), Dt, Dt, dtype, 'required'),
    fc2 = Linear.load(projection:scope('linear_fc2.'), D, Dt, dtype, 'required'),
    backbone = Backbone.load(backend, cfg, model, dtype),
    head = Linear.load(scope:scope('codec_head.'), cfg.vocab_size, D, dtype, 'none'),
  }, Talker)
  self.watchers = self.backbone.watchers
  self.watchers.what = 'talker'
  self.watchers.names = function() return self:watch_names() end
  return self
end

--- Everything that can be watched: as of the backbone, and `logits` [R, vocab] of code group 0.
---@return string[]
function Talker:watch_names()
  local names = self.backbone:watch_names()
  names[#names + 1] = 'logits'
  return names
end

--- Sees a tensor by name, while it is computed: `tts.talker:watch('layers.12.attn.probs', fn)`. See
--- ag.Backbone.watch for names and shapes and ag.Watch.add for what fn gets.
---@param name string one of watch_names()
---@param fn fun(x: ag.Tensor, info: {name: string, pos: integer})
---@return ag.WatchHandle handle with :stop()
function Talker:watch(name, fn)
  local handle = self.watchers:add(name, fn)
  return handle
end

--- Text vectors: fc2(silu(fc1(embedding))).
---@param ids integer[]
---@return ag.Tensor [#ids, D]
function Talker:text_vectors(ids)
  check.type(ids, 'text_vectors: ids', 'table')
  local be, n, Dt = self.backend, #ids, self.cfg.text_hidden_size
  local e, h = tensor.zeros(be, {n, Dt}), tensor.zeros(be, {n, Dt})
  self.text_embedding:forward(e, tensor.from(be, ids, 'i32'))
  self.fc1:forward(h, e)
  ops.silu(h, h)
  local out = tensor.zeros(be, {n, self.cfg.hidden_size})
  self.fc2:forward(out, h)
  return out
end

--- The rows of a prompt (qwen3_tts.prompt) as vectors.
---@param prompt argent.Prompt
---@param reference? {speaker: ag.Tensor?, frames: ag.Tensor?} speaker [D]; frames [F, D]: sums of
---the embeddings of each reference frame
---@return ag.Tensor [rows, D]
function Talker:prompt_rows(prompt, reference)
  local text, codec, where = {}, {}, {}
  for i, row in ipairs(prompt.rows) do
    text[i] = row.text
    if row.codec and row.codec.id then
      codec[#codec + 1] = row.codec.id
      where[#where + 1] = i
    end
  end
  local x = self:text_vectors(text)
  if #codec > 0 then
    local e = tensor.zeros(self.backend, {#codec, self.cfg.hidden_size})
    self.codec_embedding:forward(e, tensor.from(self.backend, codec, 'i32'))
    for j, i in ipairs(where) do
      local row = x:narrow(1, i, 1)
      ops.add(row, row, e:narrow(1, j, 1), 1)
    end
  end
  for i, row in ipairs(prompt.rows) do
    local c = row.codec
    local source
    if c and c.speaker then source = reference.speaker:view(1, -1)
    elseif c and c.frame then source = reference.frames:narrow(1, c.frame + 1, 1) end
    if source then
      local at = x:narrow(1, i, 1)
      ops.add(at, at, source, 1)
    end
  end
  return x
end

check.methods(Talker, 'talker')

return Talker
