-- The layers of BERT and its kin: every position sees every other of its text, and the norms stand
-- behind the branches. Texts of a batch lie one after the other in one tensor of rows, without
-- padding, so that what a text becomes does not depend on its neighbours.

local Embedding = require 'argent.nn.embedding'
local Linear = require 'argent.nn.linear'
local Norm = require 'argent.nn.norm'
local Watch = require 'argent.nn.watch'
local check = require 'argent.check'
local ops = require 'argent.ops'
local plan = require 'argent.plan'
local room = require 'argent.room'
local tensor = require 'argent.tensor'
local weights = require 'argent.weights'

---@class ag.EncoderNetwork
local Network = {}
Network.__index = Network

-- The names of a layer's parts, by the kind of model.
local LAYERS = {
  bert = {
    at = 'encoder.layer.%d.', q = 'attention.self.query.', k = 'attention.self.key.',
    v = 'attention.self.value.', o = 'attention.output.dense.',
    attn_norm = 'attention.output.LayerNorm.', up = 'intermediate.dense.', down = 'output.dense.',
    mlp_norm = 'output.LayerNorm.',
  },
  distilbert = {
    at = 'transformer.layer.%d.', q = 'attention.q_lin.', k = 'attention.k_lin.',
    v = 'attention.v_lin.', o = 'attention.out_lin.', attn_norm = 'sa_layer_norm.',
    up = 'ffn.lin1.', down = 'ffn.lin2.', mlp_norm = 'output_layer_norm.',
  },
}
LAYERS.roberta = LAYERS.bert

-- A linear layer whose products are as fast as the CPU can: a convolution of one tap.
local Fast = {}
Fast.__index = Fast

local function fast(layer)
  local w = layer.weight
  local be, outs, ins = w.backend, layer.outs, layer.ins
  if weights.only_headers() then return layer end
  local packed = room.tensor(be, {be:packed_conv1d_size(outs, 1, ins)}, 'f32')
  ops.pack_conv1d(packed, w:view(outs, 1, ins))
  layer.scope:done(w)
  return setmetatable({packed = packed, bias = layer.bias, outs = outs, ins = ins}, Fast)
end

function Fast:forward(out, x)
  ops.packed_conv1d(out, x, self.packed, self.bias, nil, nil, 1, 1, 0, 0)
end

local function load_layer(scope, cfg, dtype)
  local names, D, I = LAYERS[cfg.model_type], cfg.hidden_size, cfg.intermediate_size
  local function linear(name, outs, ins)
    local layer = Linear.load(scope:scope(names[name]), outs, ins, dtype or 'f32', 'required')
    if dtype or scope.backend:packed_conv1d_size(1, 1, 1) == 0 then return layer end
    return fast(layer)
  end
  local function norm(name)
    return Norm.load(scope:scope(names[name]), 'layer', D, cfg.layer_norm_eps)
  end
  return {
    q = linear('q', D, D), k = linear('k', D, D), v = linear('v', D, D), o = linear('o', D, D),
    up = linear('up', I, D), down = linear('down', D, I),
    attn_norm = norm 'attn_norm', mlp_norm = norm 'mlp_norm',
  }
end

--- Takes `embeddings.*` and the layers from the scope.
---@param backend ag.Backend
---@param cfg ag.EncoderConfig
---@param scope ag.Scope
---@param dtype? string of the linear weights; nil: f32 in products as fast as the CPU can
---@return ag.EncoderNetwork
function Network.load(backend, cfg, scope, dtype)
  local e, D = scope:scope 'embeddings.', cfg.hidden_size
  local function table_of(name, count) return Embedding.load(e:scope(name), count, D) end
  local self = setmetatable({
    backend = backend, cfg = cfg, layers = {}, scratch = {},
    words = table_of('word_embeddings.', cfg.vocab_size),
    positions = table_of('position_embeddings.', cfg.position_rows),
    kinds = cfg.type_vocab_size and table_of('token_type_embeddings.', cfg.type_vocab_size),
    norm = Norm.load(e:scope 'LayerNorm.', 'layer', D, cfg.layer_norm_eps),
  }, Network)
  for i = 0, cfg.num_hidden_layers - 1 do
    self.layers[i + 1] = load_layer(scope:scope(LAYERS[cfg.model_type].at:format(i)), cfg, dtype)
  end
  self.watchers = Watch.new('encoder', function() return self:watch_names() end)
  return self
end

--- Everything that can be watched: `embed` is what goes into layer 0, `layers.N.out` what layer N
--- leaves, `layers.N.attn.out` its attention's branch; all [rows, D].
---@return string[]
function Network:watch_names()
  local names = {'embed'}
  for i = 0, #self.layers - 1 do
    names[#names + 1] = ('layers.%d.attn.out'):format(i)
    names[#names + 1] = ('layers.%d.out'):format(i)
  end
  return names
end

-- What the layers of these texts work in: their ids and positions, and for attention a place of
-- keys and values for each text, where all its queries stand at the last position and so see all of
-- it.
local function workspace(self, texts)
  local be, cfg, longest = self.backend, self.cfg, 0
  local ids, positions, last, slots, spans = {}, {}, {}, {}, {}
  for s, text in ipairs(texts) do
    last[s], spans[s], longest = #text - 1, {#ids + 1, #text}, math.max(longest, #text)
    for i, id in ipairs(text) do
      ids[#ids + 1], slots[#slots + 1] = id, s - 1
      positions[#ids] = i - 1 + cfg.first_position
    end
  end
  local rows, H, D = #ids, cfg.num_attention_heads, cfg.hidden_size
  local d = D / H
  local function i32(list) return tensor.from(be, list, 'i32') end
  -- What the next texts find as these leave it: nothing is read that was not written before.
  local function kept(name, ...)
    local n = 1
    for _, dim in ipairs {...} do n = n * dim end
    local flat = self.scratch[name]
    if not flat or #flat < n then
      if flat then flat:release() end
      flat = tensor.zeros(be, {n})
      self.scratch[name] = flat
    end
    return flat:narrow(1, 1, n):view(...)
  end
  return {
    ids = i32(ids), positions = i32(positions), kinds = tensor.zeros(be, {rows}, 'i32'),
    last = i32(last), slots = i32(slots), spans = spans, shape = {rows, 1, H, d},
    keys = kept('keys', #texts, 1, longest, H, d), scale = d ^ -0.5,
    values = kept('values', #texts, 1, longest, H, d), x = tensor.zeros(be, {rows, D}),
    q = kept('q', rows, D), k = kept('k', rows, D), v = kept('v', rows, D),
    branch = kept('branch', rows, D), wide = kept('wide', rows, cfg.intermediate_size),
  }
end

local function embed(self, ws)
  self.words:forward(ws.x, ws.ids)
  if self.kinds then self.kinds:add(ws.x, ws.kinds) end
  self.positions:add(ws.x, ws.positions)
  self.norm:forward(ws.x, ws.x)
end

local function attend(ws)
  local rows, _, H, d = unpack(ws.shape)
  for s, span in ipairs(ws.spans) do
    local first, n = span[1], span[2]
    for place, x in pairs {keys = ws.k, values = ws.v} do
      ws[place]:select(1, s):select(1, 1):narrow(1, 1, n)
        :copy(x:view(rows, H, d):narrow(1, first, n))
    end
  end
  local q = ws.q:view(unpack(ws.shape))
  ops.attention(q, q, ws.keys, ws.values, ws.last, ws.scale, 0, ws.slots)
end

local function run(self, ws, tap)
  embed(self, ws)
  if tap then tap('embed', ws.x) end
  for i, layer in ipairs(self.layers) do
    local name = ('layers.%d.'):format(i - 1)
    layer.q:forward(ws.q, ws.x)
    layer.k:forward(ws.k, ws.x)
    layer.v:forward(ws.v, ws.x)
    attend(ws)
    layer.o:forward(ws.branch, ws.q)
    if tap then tap(name .. 'attn.out', ws.branch) end
    layer.attn_norm:forward(ws.x, ws.x, ws.branch)
    layer.up:forward(ws.wide, ws.x)
    ops.gelu(ws.wide, ws.wide)
    layer.down:forward(ws.branch, ws.wide)
    layer.mlp_norm:forward(ws.x, ws.x, ws.branch)
    if tap then tap(name .. 'out', ws.x) end
  end
end

--- The hidden states behind the last layer.
---@param texts integer[][] ids of each, with those that begin and end a text
---@return ag.Tensor? states [rows, D] of all texts, one after the other
---@return string? err
---@return string? code 'memory', 'interrupted'
function Network:forward(texts)
  local ws = workspace(self, texts)
  local tap = self.watchers:tap(function() return 0 end)
  local ok, err, code = true, nil, nil
  if tap then
    run(self, ws, tap) -- it looks between the ops
  else
    ok, err, code = plan.once(self.backend, function() run(self, ws) end)
  end
  for name, t in pairs(ws) do
    if name ~= 'x' and tensor.is(t) then t:release() end
  end
  if not ok then return nil, err, code end
  return ws.x
end

check.methods(Network, 'encoder network')

return Network
