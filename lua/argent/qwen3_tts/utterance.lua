-- One utterance while it is made: the prompt goes in, frames come out until the end token, a limit,
-- or the guard against speech that never ends. It rides on a row of a batch, by default one of its
-- own. What say, stream, feed and frames are made of.
--
-- A long text is spoken in parts. Each is prompted together with the part before it, whose frames
-- follow as if they had just been made: so the talker stands where it would stand had it spoken
-- both in one go, and voice and pace carry over.

local check = require 'argent.check'
local CodeLog = require 'argent.qwen3_tts.code_log'
local hooks = require 'argent.qwen3_tts.hooks'
local ops = require 'argent.ops'
local posix = require 'argent.posix'
local prompt = require 'argent.qwen3_tts.prompt'
local rider = require 'argent.qwen3_tts.rider'
local Voice = require 'argent.qwen3_tts.voice'
local sampling = require 'argent.qwen3_tts.sampling'
local draws = require 'argent.draws'
local sentences = require 'argent.text.sentences'
local status = require 'argent.status'
local tensor = require 'argent.tensor'

local M = {}

-- The guard: 6 s, and 1.6 s for each text token. Slow speech needs about 0.5 s a token, so only a
-- model that has lost its way gets here.
local BUDGET_FRAMES, BUDGET_PER_TOKEN = 75, 20
-- Utterances that begin in each other's hooks: more is a hook that calls itself.
local DEEPEST = 32
-- Each part has draws of its own.
local STREAM_PER_PART = 2 ^ 16

M.STREAM_PER_PART = STREAM_PER_PART
M.OPTIONS = {
  'text', 'voice', 'language', 'instruct', 'layout', 'reference', 'special', 'pattern', 'split',
  'hooks', 'max_frames', unpack(sampling.OPTIONS),
}
-- What is part of the prompt and may change while it is spoken.
local PROMPT_OPTIONS = {'voice', 'language', 'instruct', 'speaker'}
local CHANGES = {'voice', 'language', 'instruct', 'speaker', unpack(sampling.IN_FLIGHT)}
local FORK_CHANGES = {'voice', 'language', 'instruct', 'speaker', 'max_frames', 'hooks',
  unpack(sampling.OPTIONS)}

---Options of say, stream and frames. Those of sampling that are not given come from the model's
---generation_config.json.
---@class ag.Speech
---@field text string what to say, UTF-8. White space in front of it is dropped; all else, white
---space at the end too, reaches the model as it is.
---@field voice string? a named voice (CustomVoice); '' for none of them
---@field language string? a name or an ISO 639-1 code (`en`), default 'auto'
---@field instruct string? how to speak (CustomVoice 1.7B, VoiceDesign)
---@field layout string? 'whole' or 'stream'
---@field reference ag.Voice|{speaker: ag.Tensor|number[], codes: ag.Tensor|integer[][]?, text:
---string?}|nil a voice to clone (Base; see tts:clone), or its parts: its vector [D], and for
---in-context cloning the codes [F, G] of the recording and what is said in it
---@field split string? 'auto' (default): a text of more than about half a minute (of more tokens
---than the model's generation_config.json has as `part_tokens`) is spoken in groups of sentences;
---'off': in one prompt
---@field hooks ag.Hooks? functions that see and may replace what frames are made of
---@field special boolean? recognise added tokens such as <|im_end|> in the text
---@field seed integer? 0 .. 2^53; default: from the clock, see stats.seed
---@field stream integer? another stream of draws for the same seed (REFERENCE.md, "Draws")
---@field greedy boolean? argmax in both sampling stages; false: draw in both
---@field talker_greedy boolean? argmax, or not, in the talker alone
---@field predictor_greedy boolean? argmax, or not, in the code predictor alone
---@field max_frames integer? stop after so many frames (80 ms each); replaces the guard
---@field temperature number?
---@field top_k integer? 0 = off
---@field top_p number? 1 = off
---@field repetition_penalty number? 1 = off
---@field predictor_temperature number?
---@field predictor_top_k integer?
---@field predictor_top_p number?

--- What an utterance needs of a reference: a voice, or the parts of one. A voice keeps it, and with
--- it the codec's state, for the utterances to come.
---@param tts ag.Synthesizer
---@param ref ag.Voice|table
---@param level integer levels up from the caller to the line to blame
---@return table? reference
---@return string? err
---@return string? code
local function reference_of(tts, ref, level)
  local voice = ref
  if not Voice.is(ref) or ref.tts ~= tts then
    local parts = Voice.is(ref) and {speaker = ref.speaker, codes = ref.codes, text = ref.text}
    local err, code
    voice, err, code = Voice.new(tts, parts or ref, level)
    if not voice then return nil, err, code end
  end
  if not voice.prepared then
    local codes = voice.codes
    voice.prepared = {
      speaker = voice.speaker, codes = codes, text = voice.text,
      frames = codes and tts.predictor:frame_embeddings(tts.talker.codec_embedding, codes),
    }
  end
  return voice.prepared
end

---@class ag.Utterance
---@field tts ag.Synthesizer
---@field batch ag.Batch
---@field row ag.Row
---@field frames integer made so far
---@field index integer of the frame that is being made or was made last, from 1
---@field ended string? 'eos', 'limit', 'runaway', 'stopped', 'failed'; nil while speaking
---@field seed integer
---@field prompt argent.Prompt of the part that is being spoken
---@field parts string[] the text, as it is spoken
---@field part integer which of them is being spoken
---@field starts integer[] the frame, from 0, at which each of them begins
---@field replaced table<integer, ag.Tensor> input rows [D] that a hook has changed, by frame
local Utterance = {}
Utterance.__index = Utterance

function Utterance:__tostring()
  return ('utterance: %d frames, %s'):format(self.frames, self.ended or 'speaking')
end

M.reference_of = reference_of

local function split_text(tts, opts, level)
  local how = check.one_of(opts.split or 'auto', 'split', {'auto', 'off'}, level)
  if how == 'off' then return {opts.text} end
  return sentences.parts(opts.text, {limit = tts.cfg.generation.part_tokens, cost = function(s)
    local ids = tts.tokenizer:encode(s, {pattern = opts.pattern})
    return ids and #ids or #s
  end})
end

-- The options that cost nothing to check. Misuse is blamed on a line `level` levels above the
-- caller of start or measure.
local function check_options(tts, opts, level)
  hooks.check(opts.hooks, level + 1)
  check.type(opts.text, 'text', 'string', level + 1)
  local seed = draws.seed(opts, level + 2)
  local max = opts.max_frames
    and check.int(opts.max_frames, 'max_frames', 1, 2 ^ 31 - 1, level + 1)
  sampling.of(tts.cfg.generation, opts, seed, level + 2)
  return seed, max
end

-- The prompt of one part, `text` being that part and the one before it.
local function prompt_of(tts, opts, ref, text, open)
  return prompt.build(tts.cfg, tts.tokenizer, {
    text = text, instruct = opts.instruct, voice = opts.voice, language = opts.language,
    layout = open and 'stream' or opts.layout, special = opts.special, pattern = opts.pattern,
    speaker_vector = ref ~= nil, open = open,
    reference = ref and ref.codes and {frames = #ref.codes, text = ref.text} or nil,
  })
end

-- The frames after which a part of so many tokens has lost its way.
local function budget(tts, tokens)
  return math.min(BUDGET_FRAMES + BUDGET_PER_TOKEN * tokens, tts.cfg.generation.max_new_tokens - 1)
end

--- The parts in which a text is spoken.
---@return string[]
function M.parts(tts, opts)
  return split_text(tts, opts, 3)
end

--- The most positions that an utterance can take, before it is begun; refuses what start would.
---@param tts ag.Synthesizer
---@param opts ag.Speech
---@param level integer extra levels up to the caller's line
---@return integer? positions
---@return string? err
---@return string? code
function M.measure(tts, opts, level)
  local _, max = check_options(tts, opts, level)
  local ref, err, code
  if opts.reference then
    ref, err, code = reference_of(tts, opts.reference, level + 1)
    if not ref then return nil, err, code end
  end
  local most, before, last = 0, 0, ''
  for _, part in ipairs(split_text(tts, opts, level + 1)) do
    local p
    p, err = prompt_of(tts, opts, ref, last .. part)
    if not p then return nil, err, 'value' end
    local frames = budget(tts, last == '' and #p.text_ids or #tts.tokenizer:encode(part))
    most = math.max(most, #p.rows + (max or before + frames))
    before, last = frames, part
  end
  return math.min(most, tts.cfg.talker.max_position_embeddings)
end

--- Prepares an utterance: prompt, limits, and a row. Of its own batch the talker reads the prompt
--- now, of a batch that is given when it steps.
---@param tts ag.Synthesizer
---@param opts ag.Speech
---@param how? {open: boolean?, batch: ag.Batch?} open: more text will be appended (layout
---'stream'); batch: of this model, where it rides; who steps it makes frames for all
---@return ag.Utterance? utterance
---@return string? err
---@return string? code 'capacity' when the batch is full
function M.start(tts, opts, how)
  how = how or {}
  local began = posix.now()
  local seed, max_frames = check_options(tts, opts, 2)
  local depth = tts.in_hook and tts.in_hook.depth + 1 or 1
  if depth > DEEPEST then
    error(('say: %d utterances inside each other: a hook speaks with hooks that speak again; give '
      .. 'the inner call other hooks'):format(DEEPEST), 4)
  end
  local u = setmetatable({
    tts = tts, depth = depth, opts = {}, open = how.open, frames = 0, index = 1, began = began,
    eos = tts.cfg.talker.codec.eos, log = CodeLog.new(tts.cfg.talker.num_code_groups),
    seed = seed, max_frames = max_frames, part = 1, starts = {0},
    parts = split_text(tts, opts, 3), stale = true, replaced = {},
  }, Utterance)
  for k, v in pairs(opts) do u.opts[k] = v end
  local ok, err, code
  if opts.reference then
    u.reference, err, code = reference_of(tts, opts.reference, 3)
    if not u.reference then return nil, err, code end
  end
  ok, err, code = rider.board(u, how.batch)
  if not ok then return nil, err, code end
  u:attach(opts.hooks)
  local done
  done, ok, err, code = pcall(function()
    local a, b, c = u:read_prompt()
    if a and not how.batch then a, b, c = u.batch:read_prompt(u.row) end
    return a, b, c
  end)
  if done and ok then return u end
  u:finish 'failed'
  if not done then error(ok, 0) end
  return nil, err, code
end

--- An utterance of codes that are there already: nothing can be made of it, but what the talker
--- would have read can be read.
---@param tts ag.Synthesizer
---@param opts ag.Speech its text is one part
---@param codes ag.Tensor i32 [F, G], checked
---@return ag.Utterance? utterance
---@return string? err
---@return string? code
function M.of_codes(tts, opts, codes)
  check.type(opts.text, 'text', 'string', 1)
  local u = setmetatable({
    tts = tts, opts = opts, frames = #codes, log = CodeLog.new(tts.cfg.talker.num_code_groups),
    part = 1, starts = {0}, parts = {opts.text}, replaced = {}, ended = 'stopped',
  }, Utterance)
  if opts.reference then
    local err, code
    u.reference, err, code = reference_of(tts, opts.reference, 2)
    if not u.reference then return nil, err, code end
  end
  local host = codes:contiguous():host()
  for f = 0, u.frames - 1 do u.log:add(host + f * u.log.groups) end
  return u
end

function Utterance:attach(user_hooks)
  self.row.hooks = hooks.bind(self, user_hooks)
end

-- The first frame that the talker still knows, from 0.
function Utterance:context()
  return self.starts[math.max(self.part - 1, 1)]
end

function Utterance:has_drawn(id)
  for i = self:context(), self.frames - 1 do
    if self.log:first(i) == id then return true end
  end
  return false
end

-- The talker's input rows after frames first + 1 .. first + n, which have used up the first n of
-- `trailing`.
function Utterance:rows_of(first, n, trailing)
  local tts = self.tts
  local codes = self.log:tensor(tts.backend, first, n)
  local rows = tts.predictor:frame_embeddings(tts.talker.codec_embedding, codes)
  local waiting = math.min(n, #trailing)
  if waiting > 0 then
    local some = rows:narrow(1, 1, waiting)
    ops.add(some, some, trailing:narrow(1, 1, waiting), 1)
  end
  if n > waiting then
    local rest = rows:narrow(1, waiting + 1, n - waiting)
    ops.add(rest, rest, tts:pad_vector(), 1)
  end
  for i = 1, n do -- rows that a hook has replaced
    local replaced = self.replaced[first + i]
    if replaced then rows:select(1, i):copy(replaced) end
  end
  return rows
end

--- What the talker reads for a part of the text: the prompt of it and of the part before it, then
--- the frames of both, up to `last`.
---@param part integer from 1
---@param last integer how many frames of the utterance have been made by then
---@return argent.Prompt? prompt
---@return ag.Tensor|string rows_or_err [R + F, D], R rows of the prompt
---@return ag.Tensor|string trailing_or_code [L, D] text vectors that are added to frames
---@return integer? frames F
function Utterance:input_of(part, last)
  local tts, opts, ref = self.tts, self.opts, self.reference
  local text = (self.parts[part - 1] or '') .. self.parts[part]
  local p, err = prompt_of(tts, opts, ref, text, self.open)
  if not p then return nil, err, 'value' end
  local rows, trailing = tts.talker:prompt_rows(p, ref), tts.talker:text_vectors(p.trailing)
  local first = self.starts[math.max(part - 1, 1)]
  local made = last - first
  if made > 0 then
    local past = self:rows_of(first, made, trailing)
    local both = tensor.zeros(tts.backend, {#rows + made, rows.shape[2]})
    both:narrow(1, 1, #rows):copy(rows)
    both:narrow(1, #rows + 1, made):copy(past)
    rows:release()
    past:release()
    rows = both
  end
  return p, rows, trailing, made
end

-- Gives the row the part that is being spoken to read and the one before it, with the frames of
-- both that are there already.
function Utterance:read_prompt()
  local tts, row = self.tts, self.row
  local p, rows, trailing, made = self:input_of(self.part, self.frames)
  if not p then return nil, rows, trailing end
  self.prompt, self.prompt_rows, self.stale = p, #rows, false
  row:begin(rows, trailing, made)
  row:set_sampling(self:sampling())
  -- The repetition penalty knows the frames that the talker knows.
  local seen = {}
  for i = self:context(), self.frames - 1 do seen[#seen + 1] = self.log:first(i) end
  if #seen > 0 then row:mark_seen(seen) end
  self.available = #p.trailing
  self:set_guard(self.part > 1 and #tts.tokenizer:encode(self.parts[self.part]) or #p.text_ids)
  return true
end

function Utterance:set_guard(tokens)
  self.guard = self.starts[self.part] + budget(self.tts, tokens)
end

function Utterance:sampling()
  local s = sampling.of(self.tts.cfg.generation, self.opts, self.seed, 0)
  s.stream = s.stream + STREAM_PER_PART * (self.part - 1)
  s.draws = self.frames - self.starts[self.part]
  return s
end

-- The part that follows, or nil.
function Utterance:next_part()
  if self.part == #self.parts then return nil end
  self.part, self.stale = self.part + 1, true
  self.starts[self.part] = self.frames
  return true
end

-- No frame can be begun while another is made; blames the caller of next or of the iterator.
local function refuse_within_frame(self)
  if self.batch.making then
    error('next: a frame is being made; the next one can be made when the hook has returned', 3)
  end
end

--- Makes the next frame: steps the batch until it is there. Not in a hook or a watcher that this
--- batch calls.
---@return boolean? more nil when the utterance has ended, see `ended`, or waits for text
---@return string? err
---@return string? code
function Utterance:next()
  if self.fault then return rider.pass_on(self) end
  if self.ended or not self:ready() then return nil end
  refuse_within_frame(self)
  local before = self.frames
  repeat self.batch:step() until self.frames > before or self.ended
  if self.fault then return rider.pass_on(self) end
  return self.frames > before or nil
end

-- Whether it has its row and keeps it: what a hook has finished leaves at the end of the frame.
function Utterance:rides()
  return self.row.index ~= nil and not self.row.gone
end

--- Whether the next frame can be made now; an utterance that is being fed waits for text.
function Utterance:ready()
  return not self.open or self.ended ~= nil or self.frames < self.available
end

--- The codes so far, or some of them.
---@param first? integer frame, from 1 (default)
---@param n? integer how many; default: all from first on
---@return ag.Tensor i32 [n, G]
function Utterance:codes(first, n)
  first = check.int(first or 1, 'codes: first', 1, self.frames + 1)
  n = check.int(n or self.frames - first + 1, 'codes: n', 0, self.frames - first + 1)
  return self.log:tensor(self.tts.backend, first - 1, n)
end

--- The frames to come: `for frame in u:iterate() do`. After u:stop() it goes on where it stopped,
--- unless the utterance has been finished. Faults raise.
---@return fun(): ag.Frame?
function Utterance:iterate()
  return function()
    refuse_within_frame(self)
    if self.ended == 'stopped' and self:rides() then self.ended = nil end
    local more, err, code = self:next()
    if err then status.throw(err, code) end
    if not more then return nil end
    local codes, G = {}, self.log.groups
    for g = 1, G do codes[g] = self.log.data[(self.frames - 1) * G + g - 1] end
    return {index = self.frames, codes = codes}
  end
end

--- Ends the loop after the frame that is being made (in a hook) or was made last; u:iterate()
--- continues it.
function Utterance:stop()
  self.stopping = true
end

-- Misuse is blamed on the caller of set or fork.
local function apply(self, changes)
  local opts = {}
  for k, v in pairs(self.opts) do opts[k] = v end
  for k, v in pairs(changes) do
    if k ~= 'speaker' then opts[k] = v end
  end
  sampling.of(self.tts.cfg.generation, opts, self.seed, 2)
  if changes.speaker then
    if not self.reference then error('speaker: this utterance has no reference', 3) end
    local ref = {}
    for k, v in pairs(self.reference) do ref[k] = v end
    local vector, err = reference_of(self.tts, {speaker = changes.speaker}, 2)
    if not vector then error(err, 3) end
    ref.speaker = vector.speaker
    self.reference = ref
  end
  self.opts = opts
  for _, name in ipairs(PROMPT_OPTIONS) do self.stale = self.stale or changes[name] ~= nil end
  if self.row.index then self.row:set_sampling(self:sampling()) end
end

--- Changes options from now on, in a hook for the draws that are still to come in this frame: any
--- of the sampling options of ag.Speech. Or, as if it had been so from the start: voice, language,
--- instruct, or `speaker`, the vector [D] of a reference; then the talker reads prompt and frames
--- anew before the next frame.
---@param changes table
---@return ag.Utterance self
function Utterance:set(changes)
  check.options(check.type(changes, 'set', 'table'), 'set', CHANGES)
  apply(self, changes)
  return self
end

--- A second utterance that stands where this one stands: both go on alone, each with the options it
--- is given. Between frames, or in a `logits` hook, whose changes it shares.
---@param changes? table what :set takes, and seed, stream, max_frames, hooks (default: the same)
---@return ag.Utterance? utterance
---@return string? err
---@return string? code
function Utterance:fork(changes)
  changes = check.options(changes, 'fork', FORK_CHANGES)
  if self.ended and self.ended ~= 'stopped' or not self:rides() then
    error('fork: the utterance has ended', 2)
  end
  if self.batch.making and self.at ~= 'logits' then
    local why = self.at and ('not in `%s`'):format(self.at)
      or 'and only the utterance whose hook it is'
    error('fork: in a hook only in `logits`, ' .. why, 2)
  end
  hooks.check(changes.hooks, 0)
  local v = setmetatable({}, Utterance)
  for k, x in pairs(self) do v[k] = x end
  v.at, v.ended, v.stopping, v.lease, v.opts, v.log = nil, nil, nil, nil, {}, self.log:clone()
  for k, x in pairs(self.opts) do v.opts[k] = x end
  v.opts.hooks = changes.hooks or v.opts.hooks
  local ok, err, code = true, nil, nil
  if self.row.prompt then ok, err, code = self.batch:read_prompt(self.row) end
  if ok then ok, err, code = rider.board(v) end
  if not ok then return nil, err, code end
  ok, err, code = v.row:copy(self.row)
  if not ok then
    v.row:leave()
    return nil, err, code
  end
  if self.at then -- in the middle of a frame, which the fork makes anew from where this hook stands
    v.resume = {hidden = self.row:state 'hidden':clone(), logits = self.row:state 'logits':clone()}
  end
  v.starts, v.replaced = {unpack(self.starts)}, {}
  for i, row in pairs(self.replaced) do v.replaced[i] = row end
  v:attach(v.opts.hooks)
  if changes.max_frames then
    v.max_frames = check.int(changes.max_frames, 'max_frames', 1, 2 ^ 31 - 1)
  end
  if changes.seed then v.seed = draws.seed(changes, 1) end
  apply(v, changes)
  return v
end

--- More text for an utterance that is being fed; only between frames.
---@param text string
---@param ids integer[] of the text
---@param last? boolean nothing follows
function Utterance:append(text, ids, last)
  local tts = self.tts
  self.parts[1] = self.parts[1] .. text
  local trailing = self.prompt.trailing
  local from = #trailing
  for _, id in ipairs(ids) do trailing[#trailing + 1] = id end
  if last then trailing[#trailing + 1] = tts.cfg.tokens.tts_eos end
  local new = {}
  for i = from + 1, #trailing do new[#new + 1] = trailing[i] end
  if #new > 0 then self.row:append_text(tts.talker:text_vectors(new)) end
  self.available = #trailing
  self:set_guard(#trailing)
  if last then self.open = nil end
end

--- Leaves the batch. Safe to call at any time, more than once.
function Utterance:finish(how)
  if not self.ended then self.ended = how or 'stopped' end
  self.row:leave()
end

--- Whether v is an utterance.
function M.is(v)
  return getmetatable(v) == Utterance
end

check.methods(Utterance, 'utterance')

return M
