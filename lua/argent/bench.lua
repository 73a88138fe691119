-- What a model costs on this machine: times of the parts of a frame, the bytes that a frame must
-- read, the bandwidth that is there to read them, and the ratio of the two: the figure to quote.

local ops = require 'argent.ops'
local posix = require 'argent.posix'
local tensor = require 'argent.tensor'
local utterance = require 'argent.qwen3_tts.utterance'

local M = {}

local SIZE = {f32 = 4, bf16 = 2, f16 = 2, i32 = 4}
local FRAME_SECONDS = 0.08

local function bytes(t)
  return t and t:count() * SIZE[t.dtype] or 0
end

local function linear_bytes(layer)
  return layer and bytes(layer.weight) or 0
end

local function backbone_bytes(bb)
  local n = 0
  for _, block in ipairs(bb.blocks) do
    for _, name in ipairs {'q', 'k', 'v', 'o'} do n = n + linear_bytes(block.attn[name]) end
    for _, name in ipairs {'gate', 'up', 'down'} do n = n + linear_bytes(block.mlp[name]) end
  end
  return n
end

--- Bytes of weights that the making of one frame reads, without the codec: the talker once, the
--- predictor once for each of its G - 1 passes.
---@param tts ag.Synthesizer
---@return number
function M.frame_bytes(tts)
  local talker, predictor = tts.talker, tts.predictor
  local n = backbone_bytes(talker.backbone) + linear_bytes(talker.head)
  local pass = backbone_bytes(predictor.backbone) + linear_bytes(predictor.projection)
  for _, head in ipairs(predictor.heads) do n = n + pass + linear_bytes(head) end
  return n
end

--- Bytes a second that one product of a row with a large bf16 matrix reads: the best of several.
---@param be ag.Backend
---@param megabytes? integer size of the matrix, default 256: far beyond the caches
---@return number
function M.bandwidth(be, megabytes)
  local columns = 2048
  local rows = (megabytes or 256) * 2 ^ 20 / 2 / columns
  local w = tensor.zeros(be, {rows, columns}, 'bf16')
  ops.fill(w, 0.5) -- pages of zeros that were never written may all be one page
  local x, out = tensor.zeros(be, {1, columns}), tensor.zeros(be, {1, rows})
  local best = 0
  for _ = 1, 6 do
    local began = posix.now()
    ops.linear(out, x, w, nil)
    be:sync()
    best = math.max(best, rows * columns * 2 / (posix.now() - began))
  end
  w:release()
  return best
end

local function median(list)
  table.sort(list)
  return list[math.floor((#list + 1) / 2)]
end

-- Median milliseconds of each of several functions, called in turn so that what else the machine
-- does falls on all of them alike.
local function times(rounds, fns)
  local all, out = {}, {}
  for i = 1, #fns do all[i] = {} end
  for _ = 1, rounds do
    for i, fn in ipairs(fns) do
      local began = posix.now()
      fn()
      all[i][#all[i] + 1] = (posix.now() - began) * 1e3
    end
  end
  for i = 1, #fns do out[i] = median(all[i]) end
  return unpack(out)
end

-- Makes one frame after another, whatever is drawn: also past the end token.
local function frames(tts, opts)
  local u, err = utterance.start(tts, opts)
  if not u then error(err, 0) end
  return u, function()
    local ok, fault = u.lane:next()
    if not ok then error(fault, 0) end
  end
end

---@class ag.BenchResult all times in milliseconds, medians
---@field bandwidth number bytes a second
---@field frame_bytes number
---@field limit number what reading frame_bytes takes at that bandwidth
---@field frame number one frame without codec
---@field ratio number frame / limit
---@field hooked number one frame with a logits hook
---@field hook_cost number hooked / frame - 1
---@field prefill number of the prompt
---@field prompt_rows integer
---@field first_audio number from the call to the first sample
---@field codec_1 number one frame through the codec
---@field codec_8 number eight frames
---@field rtf number seconds of work for a second of speech, chunks of eight frames

--- Measures. Takes the time of a few dozen frames.
---@param tts ag.Synthesizer
---@param opts ag.Speech what to say and with which voice; text and seed have defaults
---@param rounds? integer frames of each kind, default 25
---@return ag.BenchResult
function M.run(tts, opts, rounds)
  rounds = rounds or 25
  local o = {text = 'The quick brown fox jumps over the lazy dog.', seed = 1}
  for k, v in pairs(opts) do o[k] = v end
  local hooked = {}
  for k, v in pairs(o) do hooked[k] = v end
  hooked.hooks = {logits = function() end}

  local r = {bandwidth = M.bandwidth(tts.backend), frame_bytes = M.frame_bytes(tts)}
  local chunk, speech = assert(tts:stream(o))
  chunk().samples:release()
  local first = speech:stats()
  r.prompt_rows = first.prompt_rows
  speech:close()

  local u, plain = frames(tts, o)
  local v, with_hook = frames(tts, hooked)
  local stream = tts.codec:stream()
  local G = tts.codec.groups
  local one, eight = tensor.zeros(tts.backend, {1, G}, 'i32'), tensor.zeros(tts.backend, {8, G},
    'i32')
  local function codec(codes)
    return function() assert(stream:push(codes)):release() end
  end
  plain(); with_hook(); codec(one)(); codec(eight)() -- plans are made, pages touched
  r.frame, r.hooked = times(rounds, {plain, with_hook})
  r.codec_1, r.codec_8 = times(math.max(3, math.floor(rounds / 4)), {codec(one), codec(eight)})
  u:finish()
  v:finish()

  -- The first utterance made plans and touched pages; a second says what later ones cost.
  chunk, speech = assert(tts:stream(o))
  chunk().samples:release()
  local stats = speech:stats()
  speech:close()
  r.prefill, r.first_audio = stats.prefill_time * 1e3, stats.first_audio_time * 1e3

  r.limit = r.frame_bytes / r.bandwidth * 1e3
  r.ratio, r.hook_cost = r.frame / r.limit, r.hooked / r.frame - 1
  r.rtf = (r.frame + r.codec_8 / 8) / (FRAME_SECONDS * 1e3)
  return r
end

return M
