-- The code predictor: after the talker has chosen code group 0 of a frame, a small decoder chooses
-- groups 1 .. G - 1, one after the other, from the talker's hidden state and the codes so far
-- (REFERENCE.md, "Code predictor"). Its cache lives for one frame.

local Backbone = require 'argent.nn.backbone'
local Embedding = require 'argent.nn.embedding'
local Linear = require 'argent.nn.linear'
local check = require 'argent.check'
local ops = require 'argent.ops'
local tensor = require 'argent.tensor'

---@class ag.CodePredictor
---@field backbone ag.Backbone
---@field embeddings nn.Embedding[] G - 1 tables of the talker's width; embeddings[g] is that of
---group g
---@field heads nn.Linear[] heads[g] gives the logits of group g
local CodePredictor = {}
CodePredictor.__index = CodePredictor

---@param backend ag.Backend
---@param cfg table cfg.predictor of qwen3_tts.config
---@param width integer the talker's hidden size
---@param scope ag.Scope 'talker.code_predictor.'
---@param dtype string of the linear weights
function CodePredictor.load(backend, cfg, width, scope, dtype)
  local H, model = cfg.hidden_size, scope:scope('model.'):look_later()
  local self = setmetatable({
    backend = backend, cfg = cfg, width = width, embeddings = {}, heads = {},
    -- Only where the widths differ; it is applied to every input, the talker's hidden state
    -- included.
    projection = H ~= width
      and Linear.load(scope:scope('small_to_mtp_projection.'), H, width, dtype, 'required') or nil,
    backbone = Backbone.load(backend, cfg, model, dtype),
  }, CodePredictor)
  for g = 1, cfg.num_code_groups - 1 do
    local book = model:scope(('codec_embedding.%d.'):format(g - 1))
    local head = scope:scope(('lm_head.%d.'):format(g - 1))
    self.embeddings[g] = Embedding.load(book, cfg.vocab_size, width)
    self.heads[g] = Linear.load(head, cfg.vocab_size, H, dtype, 'none')
  end
  self.watchers = self.backbone.watchers
  self.watchers.what = 'code predictor'
  self.watchers.names = function() return self:watch_names() end
  return self
end

--- Everything that can be watched: as of the backbone, and `logits` [R, book] of each group.
---@return string[]
function CodePredictor:watch_names()
  local names = self.backbone:watch_names()
  names[#names + 1] = 'logits'
  return names
end

--- Sees a tensor by name, as ag.Talker.watch does. A frame is G - 1 passes: info.pos is 0 in the
--- first, of two positions, then the group whose logits the pass gives; of `logits` it is the
--- group.
---@param name string one of watch_names()
---@param fn fun(x: ag.Tensor, info: {name: string, pos: integer})
---@return ag.WatchHandle handle with :stop()
function CodePredictor:watch(name, fn)
  local handle = self.watchers:add(name, fn)
  return handle
end

--- Scratch and session for up to `rows` frames side by side.
---@param rows integer
---@return table state with logits [G - 1, rows, book], kept for whoever wants to look
function CodePredictor:state(rows)
  local be, D, H, G = self.backend, self.width, self.cfg.hidden_size, self.cfg.num_code_groups
  local function zeros(...) return tensor.zeros(be, {...}) end
  return {
    session = self.backbone:session {rows = rows, capacity = G, block = G, chunk = 2 * rows},
    pair = zeros(rows, 2, D), pair_out = zeros(rows, 2, H),
    pair_in = self.projection and zeros(rows, 2, H),
    one = zeros(rows, 1, D), one_out = zeros(rows, 1, H),
    one_in = self.projection and zeros(rows, 1, H),
    logits = zeros(G - 1, rows, self.cfg.vocab_size),
  }
end

function CodePredictor:pass(session, x, projected, out, tap)
  if self.projection then
    self.projection:forward(projected, x)
    x = projected
  end
  self.backbone:step(session, out, x, nil, tap)
end

--- The ops that draw groups 1 .. G - 1 of n frames. Leaves the sums of the embeddings of all G
--- codes in `sum`.
---@param state table of :state(rows), rows >= n
---@param sum ag.Tensor [n, D]
---@param hidden ag.Tensor [n, D] the talker's, after its final norm
---@param codec_embedding nn.Embedding the talker's table, for group 0
---@param codes ag.Tensor i32 [n, G]; column 1 is read, the others are written
---@param faults ag.Tensor i32 [n] where a row's code has no embedding
---@param draw fun(codes: ag.Tensor, logits: ag.Tensor, group: integer) draws one id per row
---@param call? fun(f: fun()) of plan.program, for those who watch
function CodePredictor:frame(state, sum, hidden, codec_embedding, codes, faults, draw, call)
  local function tap(pos) return self.watchers:tap(function() return pos end, call) end
  local n, session, H = #sum, state.session, self.cfg.hidden_size
  local function of(name) return state[name] and state[name]:narrow(1, 1, n) end
  local pair, one = of 'pair', of 'one':select(2, 1)
  local first, last = pair:select(2, 2), of 'one_out':view(n, H)
  ops.fill(session.positions, 0)
  ops.copy(pair:select(2, 1), hidden)
  codec_embedding:forward(first, codes:select(2, 1), faults)
  ops.copy(sum, first)
  self:pass(session, pair, of 'pair_in', of 'pair_out', tap(0))
  -- The hidden state of position 0 is not used.
  ops.copy(last, of 'pair_out':select(2, 2))
  for g = 1, self.cfg.num_code_groups - 1 do
    if g > 1 then self:pass(session, of 'one', of 'one_in', of 'one_out', tap(g)) end
    local logits = state.logits:select(1, g):narrow(1, 1, n)
    self.heads[g]:forward(logits, last)
    local see = tap(g)
    if see then see('logits', logits) end
    draw(codes:select(2, g + 1), logits, g)
    self.embeddings[g]:forward(one, codes:select(2, g + 1), faults)
    ops.add(sum, sum, one, 1)
  end
end

--- Sums of the embeddings of all groups of given frames: the codec side of reference frames.
---@param codec_embedding nn.Embedding the talker's table
---@param codes ag.Tensor i32 [F, G]
---@return ag.Tensor [F, D]
function CodePredictor:frame_embeddings(codec_embedding, codes)
  local out = tensor.zeros(self.backend, {#codes, self.width})
  codec_embedding:forward(out, codes:select(2, 1))
  for g, embedding in ipairs(self.embeddings) do
    embedding:add(out, codes:select(2, g + 1))
  end
  return out
end

check.methods(CodePredictor, 'code predictor')

return CodePredictor
