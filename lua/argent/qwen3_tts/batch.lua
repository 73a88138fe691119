-- The frame loop: a batch of rows, each the speech of one utterance, whose frames are made
-- together, so that the weights are read once for all. Rows join and leave between frames; what one
-- of them says depends on no other. A batch drives, utterances ride: each step asks every rider
-- whether it wants a frame, makes those frames in one plan, and hands each rider its own.
--
-- A frame is the talker's step, the draw of group 0, the predictor's G - 1 steps with their draws,
-- and the sum of the embeddings. What changes from frame to frame lies in small tensors, so a plan
-- never changes; one for n rows serves any n: the rows that take part are the first n of those
-- tensors, and `slots` says where their keys and values are.

local Row = require 'argent.qwen3_tts.row'
local check = require 'argent.check'
local ffi = require 'ffi'
local lib = require 'argent.ffi'
local posix = require 'argent.posix'
local ops = require 'argent.ops'
local plan = require 'argent.plan'
local tensor = require 'argent.tensor'

-- Ids from here to the end of the vocabulary are control ids; of them only the end token may be
-- drawn.
local CONTROL_IDS = 1024
-- Before so many draws the end token may not be drawn either.
local MINIMUM_DRAWS = 2
-- Prompt positions that are read before a frame while others wait for it: at most, at least, and at
-- first.
local SLICE, LEAST_SLICE, FIRST_SLICE = 32, 4, 16
-- How fast the measured time of a step follows.
local FOLLOW = 0.2

-- What the fault words of rows mean, by the library's names.
local FAULTS = {
  NAN = 'the logits hold NaN', INF = 'the logits hold +inf', NO_LOGIT = 'no finite logit is left',
  SETTING = 'a sampling setting is out of its range', ID = 'a code is not in its table',
}

---@class ag.Batch
---@field rows integer the most that there can be at once
---@field members ag.Row[] those that are there; the first `running` take part in a frame
---@field hidden ag.Tensor [rows, 1, D] the talker's, of the latest frame
---@field logits ag.Tensor [rows, vocab] raw, of group 0, of the latest frame
---@field input ag.Tensor [rows, D] the talker's next input row
---@field codes ag.Tensor i32 [rows, G] of the latest frame
---@field key ag.Tensor i32 [rows, 4] seed low, seed high, draw number, stream
---@field params ag.Tensor [rows, 4] temperature, top-k, top-p, repetition penalty
---@field plans table<string, ag.Program> by number of rows and names of hooks
---@field program ag.Program? that of the latest frame
---@field slice integer prompt positions that the next frame waits for at most
---@field read_time number seconds that the latest frame waited for prompts
local Batch = {
  CONTROL_IDS = CONTROL_IDS, MINIMUM_DRAWS = MINIMUM_DRAWS,
  -- Text vectors of a row that wait in the batch's memory, and one pad.
  WINDOW = 256,
  -- What moves with a row.
  STATE = {'input', 'codes', 'faults', 'seen', 'key', 'params', 'predictor_params', 'next_text',
    'last_text'},
}
Batch.__index = Batch

--- A batch without rows.
---@param talker ag.Talker
---@param predictor ag.CodePredictor
---@param pad ag.Tensor [D] the text vector that is added when a row's text is used up
---@param rows? integer the most at once, default 1
---@return ag.Batch
function Batch.new(talker, predictor, pad, rows)
  rows = check.int(rows or 1, 'batch: rows', 1, 256)
  local be, cfg = talker.backend, talker.cfg
  local D, G = cfg.hidden_size, cfg.num_code_groups
  local function f32(...) return tensor.zeros(be, {...}) end
  local function i32(...) return tensor.zeros(be, {...}, 'i32') end
  local read = i32(rows + rows * G) -- what comes back after a frame: faults, then codes
  local self = setmetatable({
    talker = talker, predictor = predictor, backend = be, rows = rows, groups = G, pad = pad,
    session = talker.backbone:session {rows = rows}, state = predictor:state(rows),
    members = {}, running = 0, free = {}, plans = {}, slice = FIRST_SLICE, read_time = 0,
    hidden = f32(rows, 1, D), logits = f32(rows, cfg.vocab_size), input = f32(rows, D),
    text = f32(rows, D), seen = i32(rows, cfg.vocab_size), key = i32(rows, 4),
    params = f32(rows, 4), predictor_params = f32(rows, 4),
    window = f32(rows * Batch.WINDOW, D), next_text = i32(rows), last_text = i32(rows),
    slots = i32(rows), read = read, faults = read:narrow(1, 1, rows),
    codes = read:narrow(1, rows + 1, rows * G):view(rows, G),
    host = ffi.new('int32_t[?]', rows + rows * G), spare = {},
  }, Batch)
  for r = rows, 1, -1 do self.free[#self.free + 1] = r end
  for _, name in ipairs(rows > 1 and Batch.STATE or {}) do
    self.spare[name] = tensor.zeros(be, self[name]:narrow(1, 1, 1).shape, self[name].dtype)
  end
  return self
end

--- A row for a rider; nil when the batch is full.
---@param rider ag.Rider
---@return ag.Row?
function Batch:join(rider)
  local slot = table.remove(self.free)
  if not slot then return nil end
  local row = Row.new(self, rider, slot)
  self.members[#self.members + 1] = row
  row.index = #self.members
  self.order = nil
  return row
end

--- Ends all rows.
function Batch:clear()
  for i = #self.members, 1, -1 do self:leave(self.members[i]) end
end

-- Exchanges the places of two rows, with what lies there.
local function swap(self, i, j)
  if i == j then return end
  local a, b = self.members[i], self.members[j]
  for name, spare in pairs(self.spare) do
    local x, y = self[name]:narrow(1, i, 1), self[name]:narrow(1, j, 1)
    spare:copy(x)
    x:copy(y)
    y:copy(spare)
  end
  self.members[i], self.members[j], a.index, b.index = b, a, j, i
  self.order = nil
end

--- Takes a row out. While a frame is made it is made to its end, and nobody is told of this row's.
---@param row ag.Row
function Batch:leave(row)
  if self.making and row.index <= self.running then
    row.gone = true
    return
  end
  swap(self, row.index, #self.members)
  self.members[row.index], row.index = nil, nil
  self.free[#self.free + 1] = row.slot
  self.order = nil
  row.rider:left()
end

-- Reads at most `most` more positions of a row's prompt, but for the last, which is the input of
-- its next frame.
local function read_prompt(self, row, most)
  local left = #row.prompt - 1 - row.read
  local n = math.min(left, most)
  if n > 0 then
    local part = row.prompt:narrow(1, row.read + 1, n)
    local h, err, code = self.talker.backbone:forward(self.session, part, {row = row.slot})
    if not h then return nil, err, code end
    h:release()
    row.read = row.read + n
  end
  if n == left then
    row:state 'input':copy(row.prompt:select(1, #row.prompt))
    row.prompt:release()
    row.prompt = nil
    row.rider:prompted()
  end
  return n
end

--- Reads a row's prompt to its end now, whoever waits.
---@param row ag.Row
---@return boolean? ok
---@return string? err
---@return string? code 'capacity', 'memory', 'interrupted'
function Batch:read_prompt(row)
  local n, err, code = read_prompt(self, row, math.huge)
  if not n then return nil, err, code end
  return true
end

-- Tells a row's rider of its fault.
local function fail(row, err, code)
  row.rider:failed(err, code)
  row:leave()
end

-- Who takes part in the next frame: those that want one, have read their prompt and have room; they
-- come first. Prompts are read on the way, in slices where somebody waits.
local function gather(self)
  local wanting, waiting = {}, 0
  for _, row in ipairs {unpack(self.members)} do
    if row.index and row.rider:prepare() and row.index then
      wanting[#wanting + 1] = row
      if not row.prompt then waiting = waiting + 1 end
    end
  end
  local slice, n = waiting > 0 and self.slice or math.huge, 0
  local budget, began = slice, posix.now()
  for _, row in ipairs(wanting) do
    local ok, err, code = true, nil, nil
    if row.prompt and budget > 0 then
      ok, err, code = read_prompt(self, row, budget)
      if ok then budget = budget - ok end
    end
    if ok and not row.prompt then ok, err, code = self.session:ensure(1, row.slot) end
    if not ok then
      fail(row, err, code)
    elseif not row.prompt then
      n = n + 1
      swap(self, n, row.index)
    end
  end
  self.read_time, self.read_whole = posix.now() - began, budget == 0
  return n
end

--- Sets how much of prompts is read before a frame: what takes half the time between two frames, so
--- that whoever speaks is held up by no more. Called after a step.
---@param took number seconds of the step and its sound, beside those for prompts
function Batch:pace(took)
  self.period = self.period and self.period + FOLLOW * (took - self.period) or took
  if not self.read_whole or self.read_time <= 0 then return end
  local fits = math.floor(self.slice * self.period / 2 / self.read_time)
  self.slice = math.max(LEAST_SLICE, math.min(SLICE, fits))
end

-- What a script raised, which may be nil.
local function what_was_raised(err)
  if err == nil then return 'nil' end
  return err
end

-- Where a rider may look and meddle: a cut in the plan if one of the rows has a hook of that name.
-- What a hook raises is its row's fault; with nobody left the frame ends there.
local NOBODY = {}
local function point(self, n, names, call, name, x, group)
  if not names[name] then return end
  local views = {}
  for i = 1, n do views[i] = x:select(1, i):view(-1) end
  call(function()
    local left = false
    for i = 1, n do
      local row = self.members[i]
      local hook = not row.gone and row.raised == nil and row.hooks and row.hooks[name]
      if hook then
        local ok, err = pcall(hook, views[i], group)
        if not ok then row.raised = what_was_raised(err) end
      end
      left = left or (row.raised == nil and not row.gone)
    end
    if not left then error(NOBODY, 0) end
  end)
end

-- What the talker's watchers see of a step of n rows.
local function tap(self, n, call)
  return self.talker.watchers:tap(function()
    local positions = {}
    for i = 1, n do positions[i] = self.session.consumed[self.members[i].slot] end
    return positions[1], positions
  end, call)
end

--- The ops from input to hidden and logits, for the first n rows.
---@param call? fun(f: fun()) of plan.program
---@param names? table<string, boolean> hooks to stop at
function Batch:step_ops(n, call, names)
  names = names or {}
  local hidden, logits = self.hidden:narrow(1, 1, n), self.logits:narrow(1, 1, n)
  local see = tap(self, n, call)
  self.talker.backbone:step(self.session, hidden, self.input:narrow(1, 1, n):view(n, 1, -1),
    self.slots:narrow(1, 1, n), see)
  point(self, n, names, call, 'hidden', hidden)
  self.talker.head:forward(logits, hidden:view(n, -1))
  if see then see('logits', logits) end
  point(self, n, names, call, 'logits', logits)
end

--- The ops that draw groups 1 .. G - 1 of the first n rows and leave the sum of the embeddings of
--- all groups in `sum` [n, D].
function Batch:predictor_ops(n, sum, call, names)
  names = names or {}
  local function of(name) return self[name]:narrow(1, 1, n) end
  local codes, book = of 'codes', self.predictor.cfg.vocab_size
  self.predictor:frame(self.state, sum, of 'hidden':view(n, -1), self.talker.codec_embedding, codes,
    of 'faults', function(out, logits, group)
      point(self, n, names, call, 'predictor_logits', logits, group)
      ops.sample(out, logits, of 'key', of 'predictor_params', nil, group, book, -1, 0,
        of 'faults')
      point(self, n, names, call, 'code', codes, group)
    end, call)
end

--- The ops of a frame of the first n rows, from the talker's input to its next input.
function Batch:frame_ops(n, call, names)
  names = names or {}
  local cfg = self.talker.cfg
  local function of(name) return self[name]:narrow(1, 1, n) end
  self:step_ops(n, call, names)
  ops.sample(of 'codes':select(2, 1), of 'logits', of 'key', of 'params', of 'seen', 0,
    cfg.vocab_size - CONTROL_IDS, cfg.codec.eos, MINIMUM_DRAWS, of 'faults')
  point(self, n, names, call, 'code', of 'codes', 0)
  self:predictor_ops(n, of 'input', call, names)
  ops.embedding(of 'text', self.window, of 'next_text', 0)
  ops.add(of 'input', of 'input', of 'text', 1)
  point(self, n, names, call, 'input', of 'input')
  ops.advance(of 'next_text', 1, of 'last_text')
  ops.advance(of 'key':select(2, 3), 1)
end

-- The program of a frame of n rows, with cuts where one of them has a hook or somebody watches.
-- Without any it is one plan.
local function program_of(self, n)
  local talker, predictor = self.talker.watchers, self.predictor.watchers
  local names, list = {}, {}
  for i = 1, n do
    for name in pairs(self.members[i].hooks or {}) do
      if not names[name] then list[#list + 1] = name end
      names[name] = true
    end
  end
  table.sort(list)
  local key = n .. ':' .. table.concat(list, ',')
  local p = self.plans[key]
  if not p or p.talker ~= talker.version or p.predictor ~= predictor.version then
    p = plan.program(self.backend, function(call) self:frame_ops(n, call, names) end)
    p.talker, p.predictor = talker.version, predictor.version
    p.bytes = (self.rows + n * self.groups) * 4
    p.drawn = self.read:narrow(1, 1, p.bytes / 4)
    self.plans[key] = p
  end
  return p
end

-- Runs the frame of the first n rows and reads back what they have drawn.
local function make(self, n)
  if not self.order then
    local slots = {}
    for i, row in ipairs(self.members) do slots[i] = row.slot - 1 end
    for i = #slots + 1, self.rows do slots[i] = 0 end
    self.slots:set(slots)
    self.order = true
  end
  local program = program_of(self, n)
  self.program, self.running, self.making = program, n, true
  local done, ok, err, code = pcall(program.try, program, program.drawn, self.host, program.bytes)
  self.making = false
  if done then return ok, err, code end
  if ok ~= NOBODY then -- a watcher raised it, and watchers see all rows
    for i = 1, n do self.members[i].raised = what_was_raised(ok) end
  end
  return true
end

--- Makes the next frame of every row that wants one. A fault ends the rows that it concerns; their
--- riders are told.
---@return integer frames made; 0: nobody wants one, or prompts are still being read
function Batch:step()
  local n = gather(self)
  if n == 0 then return 0 end
  local rows = {unpack(self.members, 1, n)}
  local ok, err, code = make(self, n)
  for i, row in ipairs(rows) do
    local raised, fault = row.raised, self.host[i - 1]
    row.raised = nil
    if row.gone then
      row.gone = nil
      row:leave()
    elseif raised ~= nil then
      fail(row, raised)
    elseif not ok then
      fail(row, err, code)
    elseif fault ~= 0 then
      fail(row, FAULTS[ffi.string(lib.ag_fault_name(fault))], 'value')
    else
      row:advanced()
      row.rider:take(self.host + self.rows + (i - 1) * self.groups)
    end
  end
  return n
end

return Batch
