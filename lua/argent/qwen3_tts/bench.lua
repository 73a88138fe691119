-- What Qwen3-TTS costs on a machine: times of the parts of a frame, the bytes that a frame must
-- read, the bandwidth that is there to read them, and the ratio of the two: the figure to quote.

local Batch = require 'argent.qwen3_tts.batch'
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

--- Multiply-adds that the codec's layers make for a frame, each as it is defined, by the sizes of
--- the config; what its attention adds to them is less than a hundredth.
---@param cfg argent.CodecConfig
---@return number
function M.codec_work(cfg)
  local t, L = cfg.transformer, cfg.latent_dim
  local heads = (2 * t.num_attention_heads + 2 * t.num_key_value_heads) * t.head_dim
  local n = cfg.codebook_dim ^ 2 + 3 * cfg.codebook_dim * L + 2 * L * t.hidden_size
    + t.num_hidden_layers * t.hidden_size * (heads + 3 * t.intermediate_size)
  local rows, C = 1, cfg.decoder_dim
  for _, ratio in ipairs(cfg.upsampling_ratios) do
    rows = rows * ratio
    n = n + rows * (L * L + 7 * L + 8 * L * L)
  end
  n = n + rows * 7 * L * C
  for _, rate in ipairs(cfg.upsample_rates) do
    local outs = C / 2
    n = n + rows * rate * outs * 2 * C
    rows, C = rows * rate, outs
    n = n + rows * 3 * (7 + 1) * C * C
  end
  return n + rows * 7 * C
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

--- The two parts of a frame as plans of their own, for all rows of a batch that has made one: the
--- talker's step with its logits, and the predictor's G - 1 steps with their draws, from what the
--- last frame has left. What a frame has besides is the draw of group 0 and a handful of small ops.
---@param batch ag.Batch
---@return {talker: ag.Plan, predictor: ag.Plan}
function M.parts(batch)
  local n, sum = batch.rows, tensor.zeros(batch.backend, batch.input.shape)
  return {
    talker = plan.capture(batch.backend, function() batch:step_ops(n) end),
    predictor = plan.capture(batch.backend, function() batch:predictor_ops(n, sum) end),
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

-- Milliseconds of each part for so many rows at once, which nobody rides.
local function rows_times(tts, rows, rounds)
  local batch = Batch.new(tts.talker, tts.predictor, tts:pad_vector(), rows)
  local slots = {}
  for i = 1, rows do
    slots[i] = i - 1
    batch.predictor_params:select(1, i):set {0.9, 50, 1, 1}
  end
  batch.slots:set(slots)
  batch.input:fill(0.1)
  local step, steps = part_runs(batch)
  step(); steps()
  local talker, predictor = bench.times(tts.backend, rounds, {step, steps})
  batch.session:release()
  batch.state.session:release()
  return talker, predictor
end

--- Times of the parts for several rows at once, which share each pass through the weights.
---@param tts ag.Synthesizer
---@param counts integer[] of rows
---@param rounds integer
---@return {rows: integer, talker_ms: number, predictor_ms: number}[]
function M.rows(tts, counts, rounds)
  local list = {}
  for i, n in ipairs(counts) do
    local talker, predictor = rows_times(tts, n, rounds)
    list[i] = {rows = n, talker_ms = talker, predictor_ms = predictor}
  end
  return list
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
---@field bandwidth number bytes a second: frame_bytes / limit
---@field bandwidths {megabytes: number, bandwidth: number}[] of plain reads of sets of each size; a
---set that fits a large cache is read faster
---@field frame_bytes number of weights that a frame reads, without the codec
---@field limit number what reading frame_bytes takes: each part at the bandwidth of the largest set
---that is no larger than its weights
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
---@field codec_limit number what the multiply-adds of a frame take at the peak of f32, or of the
---three bf16 products that each of them is on AMX
---@field codec_ratio number codec_ms / codec_limit
---@field peaks table<string, number> operations a second of this CPU, see argent.bench.peaks
---@field talker_ms number as talker
---@field predictor_ms number as predictor
---@field codec_ms number a frame's share of codec_8
---@field limit_ms number what the three must take: talker_limit + predictor_limit + codec_limit
---@field ratio_to_limit number what they take / limit_ms
---@field first_audio_ms number as first_audio
---@field peak_memory_mb number the most memory of the process until all of this was measured
---@field rows {rows: integer, talker_ms: number, predictor_ms: number}[] as asked for
---@field rtf number seconds of work for a second of speech, chunks of eight frames: computed
---@field speed number seconds of speech for a second of work: measured over whole utterances
---@field speed_frames integer of those utterances, together
---@field dtype string of the weights
---@field size string of the model

--- Whatever this kind of model needs to speak.
---@param tts ag.Synthesizer
---@return ag.Speech
function M.default_speech(tts)
  if tts.cfg.kind == 'custom_voice' then return {voice = tts:voices()[1]} end
  if tts.cfg.kind == 'voice_design' then return {instruct = ''} end
  local vector = {}
  for i = 1, tts.cfg.talker.hidden_size do vector[i] = 0 end
  return {reference = {speaker = vector}}
end

-- The bandwidth that weights of so many bytes, read again and again, can be read with: that of the
-- largest set that is no larger.
local function bandwidth_of(best, sets, bytes)
  local rate = sets[1] and sets[1].bandwidth or best
  for _, set in ipairs(sets) do
    if set.megabytes * 2 ^ 20 <= bytes then rate = set.bandwidth end
  end
  return rate
end

--- Measures. Takes the time of some two hundred frames.
---@param tts ag.Synthesizer
---@param opts? ag.Speech what to say and with which voice; all of it has defaults
---@param rounds integer frames of each kind; four times as many for `speed`
---@param rows? integer[] numbers of rows, for M.rows
---@return ag.BenchResult
function M.run(tts, opts, rounds, rows)
  local be = tts.backend
  local o = {text = 'The quick brown fox jumps over the lazy dog.', seed = 1}
  for k, v in pairs(opts or M.default_speech(tts)) do o[k] = v end
  local hooked = {}
  for k, v in pairs(o) do hooked[k] = v end
  hooked.hooks = {logits = function() end}

  local r = {op_cost = bench.op_cost(be)}
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
  -- As in speech, where eight frames have filled the caches with other weights.
  local function between()
    for _ = 1, 8 do plain() end
  end
  local _
  r.codec_1, _, r.codec_8 = bench.times(be, math.max(3, math.floor(rounds / 4)),
    {codec(one), between, codec(eight)})
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

  r.peak_memory_mb = bench.peak_memory() -- before memory is taken to be read
  r.rows = M.rows(tts, rows or {}, rounds)
  local best
  best, r.bandwidths = bench.bandwidth(be)
  r.peaks = bench.peaks(be)

  local part = M.part_bytes(tts)
  local passes = tts.codec.groups - 1
  r.frame_bytes = part.talker + part.predictor
  r.talker_limit = part.talker / bandwidth_of(best, r.bandwidths, part.talker) * 1e3
  r.predictor_limit = part.predictor / bandwidth_of(best, r.bandwidths, part.predictor / passes)
    * 1e3
  r.limit = r.talker_limit + r.predictor_limit
  r.bandwidth = r.frame_bytes / r.limit * 1e3
  r.talker_ratio, r.predictor_ratio = r.talker / r.talker_limit, r.predictor / r.predictor_limit
  r.ratio, r.hook_cost = r.frame / r.limit, r.hooked / r.frame - 1
  r.talker_ms, r.predictor_ms, r.codec_ms = r.talker, r.predictor, r.codec_8 / 8
  r.first_audio_ms = r.first_audio
  local peak = r.peaks.f32
  local products = ({fast = 3, bf16 = 2})[tts.codec.mode] -- for one, on AMX
  if products and be.isa == 'amx' then peak = r.peaks.amx_bf16 / products end
  if peak then
    r.codec_limit = 2 * M.codec_work(tts.cfg.codec) / peak * 1e3
    r.codec_ratio = r.codec_ms / r.codec_limit
    r.limit_ms = r.limit + r.codec_limit
    r.ratio_to_limit = (r.talker_ms + r.predictor_ms + r.codec_ms) / r.limit_ms
  end
  r.rtf = (r.frame + r.codec_ms) / (tts.codec.samples_per_frame / tts.codec.rate * 1e3)
  r.dtype, r.size = tts.dtype, tts.cfg.size
  return r
end

-- " (80 MB 59.1, 440 MB 33.2)"
local function sets_text(sets)
  local list = {}
  for i, set in ipairs(sets) do
    list[i] = ('%d MB %.1f'):format(set.megabytes, set.bandwidth / 1e9)
  end
  return #list > 0 and (' (%s)'):format(table.concat(list, ', ')) or ''
end

local function peaks_line(peaks)
  local list = {}
  for name, rate in pairs(peaks) do
    list[#list + 1] = ('%s %.0f'):format(name:gsub('_', ' '), rate / 1e9)
  end
  table.sort(list)
  return 'peaks            ' .. table.concat(list, ', ') .. ' Gop/s, measured'
end

--- The figures for people.
---@param tts ag.Synthesizer
---@param r ag.BenchResult
---@return string[]
function M.lines(tts, r)
  local lines = {
    ('bandwidth        %8.1f GB/s, measured%s'):format(r.bandwidth / 1e9, sets_text(r.bandwidths)),
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
    r.codec_limit and ('  of eight       %8.2f ms each, %.2f x the %.3g ms of its arithmetic')
      :format(r.codec_ms, r.codec_ratio, r.codec_limit) or false,
    ('prefill          %8.2f ms for %d rows'):format(r.prefill, r.prompt_rows),
    ('first audio      %8.2f ms'):format(r.first_audio),
    ('real time factor %8.3f (%.2f x real time), of frame and codec'):format(r.rtf, 1 / r.rtf),
    ('end to end       %8.2f x real time, measured over %d frames'):format(r.speed,
      r.speed_frames),
    r.ratio_to_limit and ('all parts        %8.2f x their limits, which are %.3g ms a frame')
      :format(r.ratio_to_limit, r.limit_ms) or false,
    ('memory           %8.0f MB at most'):format(r.peak_memory_mb),
  }
  for _, x in ipairs(r.rows) do
    lines[#lines + 1] = ('%3d rows at once %8.2f ms talker, %.2f ms predictor'):format(x.rows,
      x.talker_ms, x.predictor_ms)
  end
  if next(r.peaks) then table.insert(lines, 2, peaks_line(r.peaks)) end
  local shown = {}
  for _, line in ipairs(lines) do shown[#shown + 1] = line or nil end
  return shown
end

return M
