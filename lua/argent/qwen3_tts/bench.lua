-- What Qwen3-TTS costs on a machine: times of the parts of a frame, the bytes that a frame must
-- read, the bandwidth that is there to read them, and the ratio of the two: the figure to quote.

local bench = require 'argent.bench'
local plan = require 'argent.plan'
local posix = require 'argent.posix'
local tensor = require 'argent.tensor'
local utterance = require 'argent.qwen3_tts.utterance'

local M = {}

--- Bytes of weights that each part of a frame reads: the talker its own once, the predictor its own
--- once for each of its G - 1 passes. The codec's arithmetic takes longer than its weights.
---@param tts ag.Synthesizer
---@return {talker: number, predictor: number}
function M.part_bytes(tts)
  local talker, predictor, passes = tts.talker, tts.predictor, 0
  local pass = bench.backbone_bytes(predictor.backbone) + bench.linear_bytes(predictor.projection)
  for _, head in ipairs(predictor.heads) do passes = passes + pass + bench.linear_bytes(head) end
  return {
    talker = bench.backbone_bytes(talker.backbone) + bench.linear_bytes(talker.head),
    predictor = passes,
  }
end

--- Lets an utterance ride on for ever, whatever is drawn: also past the end token.
---@param u ag.Utterance
---@return fun(): integer makes a frame; how many its batch has made
function M.endless(u)
  local rider = {prepare = function() return true end, take = function() end}
  u.row.rider = setmetatable(rider, {__index = u.row.rider})
  return function()
    local made = u.batch:step()
    if u.fault then error(u.fault.err, 0) end
    return made
  end
end

local function frames(tts, opts)
  local u, err = utterance.start(tts, opts)
  if not u then error(err, 0) end
  return u, M.endless(u)
end

--- The two parts of a frame as plans of their own, for a batch of one row that has made one: the
--- talker's step with its logits, and the predictor's G - 1 steps with their draws, from what the
--- last frame has left. What a frame has besides is the draw of group 0 and a handful of small ops.
---@param batch ag.Batch
---@return {talker: ag.Plan, predictor: ag.Plan}
function M.parts(batch)
  local sum = tensor.zeros(batch.backend, {1, batch.input.shape[2]})
  return {
    talker = plan.capture(batch.backend, function() batch:step_ops(1) end),
    predictor = plan.capture(batch.backend, function() batch:predictor_ops(1, sum) end),
  }
end

-- Functions that run each of them; the talker goes on by a position each time.
local function part_runs(batch)
  local parts = M.parts(batch)
  return function()
    assert(batch.session:ensure(1))
    parts.talker:run()
    batch.session:advanced(1)
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
---@field frame_bytes number of weights that a frame reads, without the codec
---@field limit number what reading frame_bytes takes at that bandwidth
---@field frame number one frame without codec
---@field ratio number frame / limit
---@field talker number one step of the talker alone, with its logits
---@field talker_limit number what reading its weights takes at that bandwidth
---@field talker_ratio number talker / talker_limit
---@field predictor number the predictor's G - 1 steps alone, with their draws
---@field predictor_limit number
---@field predictor_ratio number
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
---@field dtype string of the weights
---@field size string of the model

-- Whatever this kind of model needs to speak.
local function default_speech(tts)
  if tts.cfg.kind == 'custom_voice' then return {voice = tts:voices()[1]} end
  if tts.cfg.kind == 'voice_design' then return {instruct = ''} end
  local vector = {}
  for i = 1, tts.cfg.talker.hidden_size do vector[i] = 0 end
  return {reference = {speaker = vector}}
end

--- Measures. Takes the time of some two hundred frames.
---@param tts ag.Synthesizer
---@param opts? ag.Speech what to say and with which voice; all of it has defaults
---@param rounds integer frames of each kind; four times as many for `speed`
---@return ag.BenchResult
function M.run(tts, opts, rounds)
  local be = tts.backend
  local o = {text = 'The quick brown fox jumps over the lazy dog.', seed = 1}
  for k, v in pairs(opts or default_speech(tts)) do o[k] = v end
  local hooked = {}
  for k, v in pairs(o) do hooked[k] = v end
  hooked.hooks = {logits = function() end}

  local r = {bandwidth = bench.bandwidth(be), op_cost = bench.op_cost(be)}
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
  r.frame, r.hooked = bench.times(be, rounds, {plain, with_hook})
  local step, steps = part_runs(u.batch)
  step(); steps()
  r.talker, r.predictor = bench.times(be, rounds, {step, steps})
  r.codec_1, r.codec_8 = bench.times(be, math.max(3, math.floor(rounds / 4)),
    {codec(one), codec(eight)})
  u:finish()
  v:finish()

  -- The first utterance made plans and touched pages; later ones say what it costs.
  r.prefill = bench.times(be, 3, {function() assert(utterance.start(tts, o)):finish() end})
  chunk, speech = assert(tts:stream(o))
  chunk().samples:release()
  r.first_audio = speech:stats().first_audio_time * 1e3
  speech:close()
  r.speed_frames = 4 * rounds
  r.speed = M.speed(tts, o, r.speed_frames)

  local part = M.part_bytes(tts)
  r.frame_bytes = part.talker + part.predictor
  r.talker_limit = part.talker / r.bandwidth * 1e3
  r.predictor_limit = part.predictor / r.bandwidth * 1e3
  r.limit = r.talker_limit + r.predictor_limit
  r.talker_ratio, r.predictor_ratio = r.talker / r.talker_limit, r.predictor / r.predictor_limit
  r.ratio, r.hook_cost = r.frame / r.limit, r.hooked / r.frame - 1
  r.rtf = (r.frame + r.codec_8 / 8) / (tts.codec.samples_per_frame / tts.codec.rate * 1e3)
  r.dtype, r.size = tts.dtype, tts.cfg.size
  return r
end

--- The figures for people.
---@param tts ag.Synthesizer
---@param r ag.BenchResult
---@return string[]
function M.lines(tts, r)
  return {
    ('bandwidth        %8.1f GB/s, measured'):format(r.bandwidth / 1e9),
    ('bytes a frame    %8.2f GB of weights: at that bandwidth %.3g ms'):format(
      r.frame_bytes / 1e9, r.limit),
    ('frame            %8.2f ms without codec, %.2f x that'):format(r.frame, r.ratio),
    ('  talker step    %8.2f ms alone, %.2f x its share of %.3g ms'):format(r.talker,
      r.talker_ratio, r.talker_limit),
    ('  predictor      %8.2f ms alone, %.2f x its share of %.3g ms, %d steps'):format(r.predictor,
      r.predictor_ratio, r.predictor_limit, tts.cfg.talker.num_code_groups - 1),
    ('with a hook      %8.2f ms, %+.1f %%'):format(r.hooked, r.hook_cost * 100),
    ('a tiny op        %8.2f us in a plan'):format(r.op_cost),
    ('codec            %8.2f ms for one frame, %.2f ms for eight'):format(r.codec_1, r.codec_8),
    ('prefill          %8.2f ms for %d rows'):format(r.prefill, r.prompt_rows),
    ('first audio      %8.2f ms'):format(r.first_audio),
    ('real time factor %8.3f (%.2f x real time), of frame and codec'):format(r.rtf, 1 / r.rtf),
    ('end to end       %8.2f x real time, measured over %d frames'):format(r.speed,
      r.speed_frames),
  }
end

return M
