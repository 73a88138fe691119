-- A lane: everything that one utterance (or several, row by row) needs while its frames are made,
-- built once and used again for the next. A frame is one plan: talker step, draw of group 0, the
-- predictor's G - 1 steps with their draws, the sum of the embeddings. What changes from frame to
-- frame lies in small tensors, so the plan never does; only the codes are read back.

local ffi = require 'ffi'
local ops = require 'argent.ops'
local plan = require 'argent.plan'
local tensor = require 'argent.tensor'

-- Text vectors that wait to be added, at first; more makes a new buffer and with it new plans.
local TRAILING = 256
-- Ids from here to the end of the vocabulary are control ids; of them only the end token may be
-- drawn (reference, 6.1).
local CONTROL_IDS = 1024
-- Before so many draws the end token may not be drawn either.
local MINIMUM_DRAWS = 2

---@class ag.Lane
---@field rows integer
---@field codes ag.Tensor i32 [rows, G] of the latest frame
---@field hidden ag.Tensor [rows, 1, D] the talker's, of the latest position
---@field logits ag.Tensor [rows, vocab] raw, for the next draw of group 0
---@field input ag.Tensor [rows, D] the talker's next input row
---@field stepped boolean whether hidden and logits for the next draw are there
---@field hooks table<string, fun(x: ag.Tensor, group: integer)>? of the utterance (lanes of one
---row): hidden, logits, code, predictor_logits, input; called while a frame is made
local Lane = {CONTROL_IDS = CONTROL_IDS, MINIMUM_DRAWS = MINIMUM_DRAWS}
Lane.__index = Lane

--- A lane of `rows` utterances side by side.
---@param talker ag.Talker
---@param predictor ag.CodePredictor
---@param rows? integer default 1
function Lane.new(talker, predictor, rows)
  local be, cfg = talker.backend, talker.cfg
  rows = rows or 1
  local D, G = cfg.hidden_size, cfg.num_code_groups
  local function i32(...) return tensor.zeros(be, {...}, 'i32') end
  return setmetatable({
    talker = talker, predictor = predictor, backend = be, rows = rows, groups = G,
    session = talker.backbone:session {rows = rows},
    state = predictor:state(rows),
    hidden = tensor.zeros(be, {rows, 1, D}), logits = tensor.zeros(be, {rows, cfg.vocab_size}),
    input = tensor.zeros(be, {rows, D}), text = tensor.zeros(be, {rows, D}),
    codes = i32(rows, G), seen = i32(rows, cfg.vocab_size),
    key = i32(rows, 4),                               -- seed low, seed high, draw number, stream
    -- temperature, top-k, top-p, repetition penalty
    params = tensor.zeros(be, {rows, 4}),
    predictor_params = tensor.zeros(be, {rows, 4}),
    -- rows of `trailing`: the one to add now, and the pad that stays
    next_text = i32(rows), last_text = i32(rows),
    plans = {},
    trailing = tensor.zeros(be, {TRAILING, D}),
    host = ffi.new('int32_t[?]', rows * G),
  }, Lane)
end

--- Starts utterances: forgets the last ones, prefills the prompts, loads the text still to come.
--- All lists have one entry per row.
---@param prompts ag.Tensor[] [rows of the prompt, D]
---@param trailing ag.Tensor[] [L, D] text vectors to add, one a frame
---@param pad ag.Tensor [D] what is added when they are used up
---@param sampling ag.Sampling[]
---@param made? integer[] frames that are in the prompt already, and have used up as many text
---vectors
---@return boolean? ok
---@return string? err
---@return string? code
function Lane:start(prompts, trailing, pad, sampling, made)
  local rows, D = self.rows, self.talker.cfg.hidden_size
  local need = 0
  for _, t in ipairs(trailing) do need = need + #t + 1 end
  if need > #self.trailing then self:grow_trailing(need) end
  self.session:reset()
  self.seen:fill(0)
  local next_text, last_text, at = {}, {}, 0
  for r = 1, rows do
    local n = #trailing[r]
    if n > 0 then self.trailing:narrow(1, at + 1, n):copy(trailing[r]) end
    self.trailing:select(1, at + n + 1):copy(pad)
    next_text[r], last_text[r] = at + math.min(made and made[r] or 0, n), at + n
    at = at + n + 1
  end
  self.next_text:set(next_text)
  self.last_text:set(last_text)
  self:set_sampling(sampling)
  local backbone = self.talker.backbone
  for r = 1, rows do
    local n = #prompts[r]
    local h, err, code = backbone:forward(self.session, prompts[r], {row = r})
    if not h then return nil, err, code end
    self.hidden:select(1, r):copy(h:narrow(1, n, 1))
  end
  self.talker.head:forward(self.logits, self.hidden:view(rows, D))
  self.stepped, self.fresh = true, true
  local tap = self:tap()
  if tap then tap('logits', self.logits) end
  return true
end

-- Plans hold the buffer, so they go with it.
function Lane:grow_trailing(need)
  local D = self.talker.cfg.hidden_size
  self.trailing = tensor.zeros(self.backend, {math.max(need, 2 * #self.trailing), D})
  self.plans = {}
end

--- Adds text vectors behind those still waiting (lanes of one row).
---@param vectors ag.Tensor [L, D]
---@param pad ag.Tensor [D]
function Lane:append_text(vectors, pad)
  local from, to = self.next_text:item(), self.last_text:item()
  local n = #vectors
  if to + n + 1 > #self.trailing then
    -- What has been added already makes room; the rest moves to the front.
    local waiting = to > from and self.trailing:narrow(1, from + 1, to - from):clone()
    from, to = 0, to - from
    if to + n + 1 > #self.trailing then self:grow_trailing(to + n + 1) end
    if waiting then self.trailing:narrow(1, 1, to):copy(waiting) end
  end
  if n > 0 then self.trailing:narrow(1, to + 1, n):copy(vectors) end
  self.trailing:select(1, to + n + 1):copy(pad)
  self.next_text:set {from}
  self.last_text:set {to + n}
end

---@class ag.Sampling
---@field seed number
---@field stream integer
---@field talker number[] temperature (0: argmax), top-k, top-p, repetition penalty
---@field predictor number[] likewise
---@field draws integer? draws done already (default 0)

--- How the next draws are made, one entry per row.
---@param sampling ag.Sampling[]
function Lane:set_sampling(sampling)
  local key, params, predictor_params = {}, {}, {}
  local function signed(u) return u >= 2 ^ 31 and u - 2 ^ 32 or u end
  for _, s in ipairs(sampling) do
    local low = s.seed % 2 ^ 32
    local high = (s.seed - low) / 2 ^ 32 % 2 ^ 32
    for _, v in ipairs {signed(low), signed(high), s.draws or 0, s.stream} do key[#key + 1] = v end
    for i = 1, 4 do
      params[#params + 1] = s.talker[i]
      predictor_params[#predictor_params + 1] = s.predictor[i]
    end
  end
  self.key:set(key)
  self.params:set(params)
  self.predictor_params:set(predictor_params)
end

--- Makes this lane stand where `other` stands, with memory of its own: what is drawn from then on
--- is the same. `other` must be between frames or before a draw.
---@param other ag.Lane with as many rows, of the same model
---@return boolean? ok
---@return string? err
---@return string? code 'memory'
function Lane:copy(other)
  local ok, err, code = self.session:copy(other.session)
  if not ok then return nil, err, code end
  if #other.trailing > #self.trailing then self:grow_trailing(#other.trailing) end
  self.trailing:narrow(1, 1, #other.trailing):copy(other.trailing)
  for _, name in ipairs {'hidden', 'logits', 'input', 'codes', 'seen', 'key', 'params',
    'predictor_params', 'next_text', 'last_text'} do
    self[name]:copy(other[name])
  end
  self.stepped, self.fresh = other.stepped, other.fresh
  return true
end

--- Lets go of an utterance's hooks and of the plans made for them.
function Lane:forget_hooks()
  self.hooks = nil
  for name, p in pairs(self.plans) do
    if p.hooks then self.plans[name] = nil end
  end
end

-- What the talker's watchers see of a step; pos is asked when a tensor is there. Positions count on
-- the host only once a step is done.
function Lane:tap(call)
  return self.talker.watchers:tap(function()
    return self.session.consumed[1] - (self.stepped and 1 or 0)
  end, call)
end

-- A place where an utterance may look and meddle: nothing unless it has a hook of that name.
local function point(lane, call, name, x, group)
  if not (lane.hooks and lane.hooks[name]) then return end
  x = x:view(-1)
  call(function() lane.hooks[name](x, group) end)
end

--- The ops from input to hidden.
---@param call? fun(f: fun()) of plan.program
function Lane:step_ops(call)
  local input = self.input:view(self.rows, 1, -1)
  self.talker.backbone:step(self.session, self.hidden, input, nil, self:tap(call))
end

--- The ops from hidden to logits.
function Lane:head_ops(call)
  point(self, call, 'hidden', self.hidden)
  self.talker.head:forward(self.logits, self.hidden:view(self.rows, -1))
  local tap = self:tap(call)
  if tap then tap('logits', self.logits) end
end

--- The ops that draw a frame from logits and hidden, and add up the talker's next input.
function Lane:draw_ops(call)
  local cfg = self.talker.cfg
  local book, hidden = self.predictor.cfg.vocab_size, self.hidden:view(self.rows, cfg.hidden_size)
  local first = self.codes:select(2, 1)
  point(self, call, 'logits', self.logits)
  ops.sample(first, self.logits, self.key, self.params, self.seen, 0,
    cfg.vocab_size - CONTROL_IDS, cfg.codec.eos, MINIMUM_DRAWS)
  point(self, call, 'code', self.codes, 0)
  self.predictor:frame(self.state, self.input, hidden, self.talker.codec_embedding, self.codes,
    function(codes, logits, group)
      point(self, call, 'predictor_logits', logits, group)
      ops.sample(codes, logits, self.key, self.predictor_params, nil, group, book, -1, 0)
      point(self, call, 'code', self.codes, group)
    end, call)
  ops.embedding(self.text, self.trailing, self.next_text, 0)
  ops.add(self.input, self.input, self.text, 1)
  point(self, call, 'input', self.input)
  ops.advance(self.next_text, 1, self.last_text)
  ops.advance(self.key:select(2, 3), 1, nil)
end

-- The program of that name, made by `body(call)` when it is not there or was made for other hooks
-- or watchers. Without any it is one plan, kept for all utterances.
function Lane:program(name, body)
  local talker, predictor = self.talker.watchers, self.predictor.watchers
  local p = self.plans[name]
  if not p or p.hooks ~= self.hooks or p.talker ~= talker.version
    or p.predictor ~= predictor.version then
    p = plan.program(self.backend, body)
    p.hooks, p.talker, p.predictor = self.hooks, talker.version, predictor.version
    self.plans[name] = p
  end
  return p
end

-- Runs the talker's step. With hooks the host's count must be right before they are called.
local function step(lane, call)
  lane:step_ops(call)
  local function done()
    lane.session:advanced(1)
    lane.stepped = true
  end
  if lane.hooks then call(done) else return done end
end

--- The talker step that follows a frame, for whoever wants hidden and logits before the next draw;
--- `next` does it otherwise.
---@return boolean? ok
---@return string? err
---@return string? code
function Lane:step()
  local ok, err, code = self.session:ensure(1)
  if not ok then return nil, err, code end
  local after
  local program = self:program('step', function(call)
    after = step(self, call)
    self:head_ops(call)
  end)
  program.after = program.after or after
  ok, err, code = program:try()
  if not ok then return nil, err, code end
  if program.after then program.after() end
  return true
end

--- Makes the next frame. Its codes are in self.host, row by row, and in self.codes; a row whose
--- first code is the end token has ended, and what is drawn for it from then on is to be ignored.
---@return boolean? ok
---@return string? err
---@return string? code 'capacity' when the session is full, 'value' when logits are NaN,
---'interrupted'
function Lane:next()
  local ok, err, code = self.session:ensure(self.stepped and 0 or 1)
  if not ok then return nil, err, code end
  local program, after
  if self.stepped then
    if self.fresh and self.hooks and self.hooks.hidden then
      -- The hidden state that the prompt left has not been shown yet.
      ok, err, code = self:program('head', function(call) self:head_ops(call) end):try()
      if not ok then return nil, err, code end
      self.fresh = false
    end
    program = self:program('draw', function(call) self:draw_ops(call) end)
  else
    program = self:program('frame', function(call)
      after = step(self, call)
      self:head_ops(call)
      self:draw_ops(call)
    end)
    program.after = program.after or after
  end
  ok, err, code = program:try(self.codes, self.host, self.rows * self.groups * 4)
  if not ok then return nil, err, code end
  if program.after then program.after() end
  self.stepped, self.fresh = false, false
  return true
end

return Lane
