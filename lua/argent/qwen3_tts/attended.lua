-- Which part of its text the talker looked at while it made each frame. The frames that were made
-- are read once more in one go, with watchers on the attention; that costs a fraction of making
-- them, and needs nothing while they are made.

local ffi = require 'ffi'
local json = require 'argent.json'
local lfs = require 'lfs'

local M = {}

-- How many of the heads of a model that says nothing of its heads are taken.
local BEST = 4

---@class ag.Attended
---@field frames integer F
---@field tokens integer N
---@field weights ffi.cdata* double [F * N], each frame's sum over the tokens is 1
---@field prompt argent.Prompt
---@field skip integer how many of the prompt's text ids belong to the part before
---@field heads {layer: integer, head: integer}[] those that were looked at, counted from 0
---@field estimated boolean the heads are guessed: the model has no alignment.json

--- What alignment.json beside a model says: `heads`, a list of {layer, head} counted from 0 that
--- look at the text that is spoken; `delay`, how many seconds after the beginning of a frame the
--- sound is heard that they looked at (default 0).
---@param tts ag.Synthesizer
---@return {heads: {layer: integer, head: integer}[], delay: number}|false|nil alignment false
---where there is no such file
---@return string? err
---@return string? code 'format'
function M.alignment(tts)
  if tts.alignment ~= nil then return tts.alignment end
  local path = tts.dir .. '/alignment.json'
  if not lfs.attributes(path) then
    tts.alignment = false
    return false
  end
  local raw, err = json.read(path)
  if not raw then return nil, err, 'format' end
  local cfg, found = tts.cfg.talker, {heads = {}, delay = raw.delay or 0}
  local function below(x, n) return type(x) == 'number' and x % 1 == 0 and x >= 0 and x < n end
  for i, h in ipairs(type(raw.heads) == 'table' and raw.heads or {}) do
    if type(h) ~= 'table' or not below(h.layer, cfg.num_hidden_layers)
      or not below(h.head, cfg.num_attention_heads) then
      return nil, ('%s: heads[%d]: expected a layer below %d and a head below %d'):format(path, i,
        cfg.num_hidden_layers, cfg.num_attention_heads), 'format'
    end
    found.heads[i] = {layer = h.layer, head = h.head}
  end
  if #found.heads == 0 or type(found.delay) ~= 'number' then
    return nil, path .. ': expected {"heads": [{"layer": 0, "head": 0}, ...], "delay": seconds}',
      'format'
  end
  tts.alignment = found
  return found
end

-- Reads rows [P, D] from the start in a session of its own, and hands every layer's attention to
-- see(layer, probs [heads, rows, keys], pos, heads, rows, keys).
local function read(tts, rows, layers, see)
  local handles = {}
  for layer in pairs(layers) do
    handles[#handles + 1] = tts.talker:watch(('layers.%d.attn.probs'):format(layer),
      function(x, info)
        local _, heads, n, keys = unpack(x.shape)
        see(layer, x:host(), info.pos, heads, n, keys)
      end)
  end
  local session = tts.talker.backbone:session()
  local done, hidden, err, code = pcall(function()
    return tts.talker.backbone:forward(session, rows)
  end)
  session:release()
  for _, handle in ipairs(handles) do handle:stop() end
  if not done then error(hidden, 0) end
  if not hidden then return nil, err, code end
  hidden:release()
  return true
end

-- How well a head follows the text, from its weights [F * N]: its mass on the text, where the mean
-- place of that mass moves on with the speech. Pearson's correlation of time and place.
local function monotony(weights, F, N)
  local n, st, sp, stt, spp, stp = 0, 0, 0, 0, 0, 0
  for f = 0, F - 1 do
    local mass, mean = 0, 0
    for j = 0, N - 1 do
      local w = weights[f * N + j]
      mass, mean = mass + w, mean + w * j
    end
    if mass > 0 then
      local p = mean / mass
      n, st, sp = n + mass, st + mass * f, sp + mass * p
      stt, spp, stp = stt + mass * f * f, spp + mass * p * p, stp + mass * f * p
    end
  end
  if n == 0 then return 0 end
  local tt, pp = stt / n - (st / n) ^ 2, spp / n - (sp / n) ^ 2
  if tt <= 0 or pp <= 0 then return 0 end
  return (stp / n - st / n * sp / n) / math.sqrt(tt * pp) * n / F
end

-- The heads that follow the text best.
local function best_heads(seen, F, N)
  local ranked = {}
  for key, weights in pairs(seen) do
    ranked[#ranked + 1] = {key = key, score = monotony(weights, F, N)}
  end
  table.sort(ranked, function(a, b)
    return a.score > b.score or a.score == b.score and a.key < b.key
  end)
  local heads = {}
  for i = 1, math.min(BEST, #ranked) do heads[i] = ranked[i].key end
  return heads
end

--- What the talker attends to, frame by frame, in one part of an utterance.
---@param u ag.Utterance that has spoken
---@param part integer from 1
---@return ag.Attended?
---@return string? err
---@return string? code 'format' for a damaged alignment.json, 'capacity', 'memory'
function M.of(u, part)
  local tts, cfg = u.tts, u.tts.cfg.talker
  local alignment, err, code = M.alignment(tts)
  if alignment == nil then return nil, err, code end
  local last = u.starts[part + 1] or u.frames
  local prompt, rows, trailing = u:input_of(part, last)
  if not prompt then return nil, rows, trailing end
  local F, N, H = last - u.starts[part], #prompt.text_ids, cfg.num_attention_heads
  -- The position that foretells the part's first frame.
  local first = #rows - 1 - F

  local layers, wanted = {}, alignment and {}
  for _, h in ipairs(alignment and alignment.heads or {}) do
    layers[h.layer], wanted[h.layer * H + h.head] = true, true
  end
  for layer = 0, alignment and -1 or cfg.num_hidden_layers - 1 do layers[layer] = true end
  local seen = {}
  local ok
  ok, err, code = read(tts, rows, layers, function(layer, probs, pos, heads, n, keys)
    for h = 0, heads - 1 do
      local key = layer * H + h
      if not wanted or wanted[key] then
        local weights = seen[key] or ffi.new('double[?]', F * N + 1)
        seen[key] = weights
        for r = math.max(0, first - pos), math.min(n, first + F - pos) - 1 do
          local from = (h * n + r) * keys + prompt.text_at
          local to = (pos + r - first) * N
          for j = 0, math.min(N, keys - prompt.text_at) - 1 do
            weights[to + j] = probs[from + j]
          end
        end
      end
    end
  end)
  rows:release()
  trailing:release()
  if not ok then return nil, err, code end

  local keys = {}
  for key in pairs(wanted or {}) do keys[#keys + 1] = key end
  table.sort(keys)
  if not wanted then keys = best_heads(seen, F, N) end
  local sum, heads = ffi.new('double[?]', F * N + 1), {}
  for i, key in ipairs(keys) do
    heads[i] = {layer = math.floor(key / H), head = key % H}
    for k = 0, F * N - 1 do sum[k] = sum[k] + seen[key][k] end
  end
  for f = 0, F - 1 do
    local mass = 1e-12
    for j = 0, N - 1 do mass = mass + sum[f * N + j] end
    for j = 0, N - 1 do sum[f * N + j] = sum[f * N + j] / mass end
  end
  return {frames = F, tokens = N, weights = sum, prompt = prompt, heads = heads,
    estimated = not alignment}
end

return M
