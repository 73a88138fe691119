-- What a model costs on this machine: times of the parts of a frame, the bytes that a frame must
-- read, the bandwidth that is there to read them, and the ratio of the two: the figure to quote.

local dtypes = require 'argent.dtype'
local ops = require 'argent.ops'
local plan = require 'argent.plan'
local posix = require 'argent.posix'
local tensor = require 'argent.tensor'
local utterance = require 'argent.qwen3_tts.utterance'

local M = {}


local function bytes(t)
  return t and t:count() * dtypes.size[t.dtype] or 0
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

-- Megabytes of the matrix that is read, far beyond the caches; the emulated card is not measured,
-- it only has to get through this.
local MATRIX = {cpu = 256, cuda = 1024, ['cuda-emulated'] = 4}

--- Bytes a second that one product of a row with a large bf16 matrix reads: the best of several.
---@param be ag.Backend
---@param megabytes? integer size of the matrix, default by the kind of backend
---@return number
function M.bandwidth(be, megabytes)
  -- A card has read 256 MB before the host has gone to sleep and woken up: so it makes several
  -- products before it is waited for.
  local card = be.kind == 'cuda'
  local products, rounds = card and 8 or 1, card and 12 or 6
  local columns = 2048
  local rows = (megabytes or MATRIX[be.kind]) * 2 ^ 20 / 2 / columns
  local w = tensor.zeros(be, {rows, columns}, 'bf16')
  ops.fill(w, 0.5) -- pages of zeros that were never written may all be one page
  local x, out = tensor.zeros(be, {1, columns}), tensor.zeros(be, {1, rows})
  be:sync()
  local best = 0
  for _ = 1, rounds do
    local began = posix.now()
    for _ = 1, products do ops.linear(out, x, w, nil) end
    be:sync()
    best = math.max(best, products * rows * columns * 2 / (posix.now() - began))
  end
  w:release()
  return best
end

--- Microseconds that one recorded op costs when it does next to nothing: of a thousand products of
--- two numbers, each of which must wait for the one before. Products, as a device may put a few
--- small sums and copies into one launch.
---@param be ag.Backend
---@return number
function M.op_cost(be)
  local OPS, x, y = 1000, tensor.zeros(be, {1, 1}):fill(1), tensor.zeros(be, {1, 1}):fill(1)
  local chain = plan.capture(be, function()
    for _ = 1, OPS do ops.mul(x, x, y) end
  end)
  local function run()
    local began = posix.now()
    chain:run()
    be:sync()
    return (posix.now() - began) / OPS * 1e6
  end
  run()
  local best = math.huge
  for _ = 1, 10 do best = math.min(best, run()) end
  chain:release()
  return best
end

local function median(list)
  table.sort(list)
  return list[math.floor((#list + 1) / 2)]
end

-- Median milliseconds of each of several functions, called in turn so that what else the machine
-- does falls on all of them alike. A device may still be at work when a function returns.
local function times(be, rounds, fns)
  local all, out = {}, {}
  for i = 1, #fns do all[i] = {} end
  for _ = 1, rounds do
    for i, fn in ipairs(fns) do
      local began = posix.now()
      fn()
      be:sync()
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

--- The two parts of a frame as plans of their own, for a lane that has made one: the talker's step
--- with its logits, and the predictor's G - 1 steps with their draws, from what the last frame has
--- left. What a frame has besides is the draw of group 0 and a handful of small ops.
---@param lane ag.Lane
---@return {talker: ag.Plan, predictor: ag.Plan}
function M.parts(lane)
  local predictor, sum = lane.predictor, tensor.zeros(lane.backend, lane.input.shape)
  local book = predictor.cfg.vocab_size
  local function draw(codes, logits, group)
    ops.sample(codes, logits, lane.key, lane.predictor_params, nil, group, book, -1, 0)
  end
  return {
    talker = plan.capture(lane.backend, function()
      lane:step_ops()
      lane:head_ops()
    end),
    predictor = plan.capture(lane.backend, function()
      predictor:frame(lane.state, sum, lane.hidden:view(lane.rows, -1), lane.talker.codec_embedding,
        lane.codes, draw)
    end),
  }
end

-- Functions that run each of them; the talker goes on by a position each time.
local function part_runs(lane)
  local parts = M.parts(lane)
  return function()
    assert(lane.session:ensure(1))
    parts.talker:run()
    lane.session:advanced(1)
  end, function() parts.predictor:run() end
end

--- Seconds of sound a second of work, over whole utterances: text in, samples on the host, until
--- there are `wanted` frames. Where one ends early another follows, with another seed.
---@param tts ag.Synthesizer
---@param opts ag.Speech with text and seed
---@param wanted integer
---@return number
function M.speed(tts, opts, wanted)
  local o, made, sound, seconds = {}, 0, 0, 0
  for k, v in pairs(opts) do o[k] = v end
  while made < wanted do
    o.max_frames = wanted - made
    local began = posix.now()
    local chunk, speech = assert(tts:stream(o))
    for c in chunk do
      c.samples:host()
      c.samples:release()
    end
    seconds = seconds + posix.now() - began
    local stats = speech:stats()
    made, sound = made + stats.frames, sound + stats.seconds
    o.seed = o.seed + 1
  end
  return sound / seconds
end

---@class ag.BenchResult all times in milliseconds, medians
---@field bandwidth number bytes a second
---@field frame_bytes number
---@field limit number what reading frame_bytes takes at that bandwidth
---@field frame number one frame without codec
---@field ratio number frame / limit
---@field talker number one step of the talker alone, with its logits
---@field predictor number the predictor's G - 1 steps alone, with their draws
---@field hooked number one frame with a logits hook
---@field hook_cost number hooked / frame - 1
---@field op_cost number microseconds of one recorded op that does next to nothing
---@field prefill number from the call to the talker's state behind the prompt
---@field prompt_rows integer
---@field first_audio number from the call to the first sample
---@field codec_1 number one frame through the codec
---@field codec_8 number eight frames
---@field rtf number seconds of work for a second of speech, chunks of eight frames: computed
---@field speed number seconds of speech for a second of work: measured over whole utterances
---@field speed_frames integer of those utterances, together

--- Measures. Takes the time of some two hundred frames.
---@param tts ag.Synthesizer
---@param opts ag.Speech what to say and with which voice; text and seed have defaults
---@param rounds? integer frames of each kind, default 25; four times as many for `speed`
---@return ag.BenchResult
function M.run(tts, opts, rounds)
  rounds = rounds or 25
  local be = tts.backend
  local o = {text = 'The quick brown fox jumps over the lazy dog.', seed = 1}
  for k, v in pairs(opts) do o[k] = v end
  local hooked = {}
  for k, v in pairs(o) do hooked[k] = v end
  hooked.hooks = {logits = function() end}

  local r = {bandwidth = M.bandwidth(be), frame_bytes = M.frame_bytes(tts),
    op_cost = M.op_cost(be)}
  local chunk, speech = assert(tts:stream(o))
  chunk().samples:release()
  local first = speech:stats()
  r.prompt_rows = first.prompt_rows
  speech:close()

  local u, plain = frames(tts, o)
  local v, with_hook = frames(tts, hooked)
  local stream = tts.codec:stream()
  local G = tts.codec.groups
  local one, eight = tensor.zeros(be, {1, G}, 'i32'), tensor.zeros(be, {8, G}, 'i32')
  local function codec(codes)
    return function() assert(stream:push(codes)):release() end
  end
  plain(); with_hook(); codec(one)(); codec(eight)() -- plans are made, pages touched
  r.frame, r.hooked = times(be, rounds, {plain, with_hook})
  local step, steps = part_runs(u.lane)
  step(); steps()
  r.talker, r.predictor = times(be, rounds, {step, steps})
  r.codec_1, r.codec_8 = times(be, math.max(3, math.floor(rounds / 4)), {codec(one), codec(eight)})
  u:finish()
  v:finish()

  -- The first utterance made plans and touched pages; later ones say what it costs.
  r.prefill = times(be, 3, {function() assert(utterance.start(tts, o)):finish() end})
  chunk, speech = assert(tts:stream(o))
  chunk().samples:release()
  r.first_audio = speech:stats().first_audio_time * 1e3
  speech:close()
  r.speed_frames = 4 * rounds
  r.speed = M.speed(tts, o, r.speed_frames)

  r.limit = r.frame_bytes / r.bandwidth * 1e3
  r.ratio, r.hook_cost = r.frame / r.limit, r.hooked / r.frame - 1
  r.rtf = (r.frame + r.codec_8 / 8) / (tts.codec.samples_per_frame / tts.codec.rate * 1e3)
  return r
end

return M
