-- Many requests on the rows of one batch: they wait in a bounded queue, take rows as these become
-- free, are spoken side by side, and their frames pass through the codec in turns. What each of
-- them becomes depends on no other. What tts:batch returns, and what say with a list, `say --each`
-- and the server are made of.

local Batch = require 'argent.qwen3_tts.batch'
local Feed = require 'argent.qwen3_tts.feed'
local Ticket = require 'argent.qwen3_tts.ticket'
local budget = require 'argent.qwen3_tts.budget'
local check = require 'argent.check'
local posix = require 'argent.posix'
local turns = require 'argent.qwen3_tts.turns'
local utterance = require 'argent.qwen3_tts.utterance'

local QUEUE = 64
local SUBMIT_OPTIONS = {'priority', unpack(utterance.OPTIONS)}
local FEED_OPTIONS = {'priority', unpack(Feed.OPTIONS)}
-- A feed that says no max_frames: two minutes.
local FEED_FRAMES = 1500
-- How fast the measured pace follows.
local FOLLOW = 0.2

---@class ag.Scheduler
---@field tts ag.Synthesizer
---@field rows integer spoken at once at most
---@field queue integer that may wait beside them
---@field budget argent.Budget? of memory; nil: no bound
---@field batch ag.Batch
---@field waiting ag.Ticket[] in the order in which they will get rows
---@field speaking ag.Ticket[]
---@field pace number seconds that a step takes, on average, beside what it reads of prompts
local Scheduler = {}
Scheduler.__index = Scheduler

--- What was decided about rows and memory, in one line.
---@return string
function Scheduler:summary()
  local plan = self.budget
  return ('%d rows at once; %s of memory, %d positions for all of them'):format(self.rows,
    budget.shown(plan.memory), plan.blocks * plan.block)
end

function Scheduler:__tostring()
  return ('batch: %d of %d rows speaking, %d waiting'):format(#self.speaking, self.rows,
    #self.waiting)
end

--- A scheduler with a batch of its own.
---@param tts ag.Synthesizer
---@param rows integer
---@param queue number
---@param plan? argent.Budget
---@return ag.Scheduler
function Scheduler.new(tts, rows, queue, plan)
  return setmetatable({
    tts = tts, rows = rows, queue = queue, budget = plan, waiting = {}, speaking = {},
    open = {}, -- tickets whose end nobody was told by an iterator
    batch = Batch.new(tts.talker, tts.predictor, tts:pad_vector(), rows),
    count = 0, reserved = 0, credit = 0, pace = 0,
  }, Scheduler)
end

---@class ag.BatchOptions
---@field rows integer? spoken at once, 1 to 256; default by cores and memory
---@field queue integer? that may wait for a row, default 64
---@field memory number|string? for the model and all rows together, in bytes or as '4G'; default:
---half of what is available

--- What tts:batch returns.
---@param tts ag.Synthesizer
---@param opts ag.BatchOptions?
---@return ag.Scheduler?
---@return string? err
---@return string? code 'memory'
function Scheduler.open(tts, opts)
  opts = check.options(opts, 'batch', {'rows', 'queue', 'memory'}, 1)
  local rows = opts.rows and check.int(opts.rows, 'batch: rows', 1, 256, 1)
  local queue = check.int(opts.queue or QUEUE, 'batch: queue', 0, 2 ^ 20, 1)
  local memory = opts.memory and budget.parse(opts.memory)
  if opts.memory and not memory then
    error(("batch: memory: expected bytes or a text such as '4G', got %s"):format(
      check.show(opts.memory)), 3)
  end
  local plan, err, code = budget.plan(tts, memory, rows)
  if not plan then return nil, err, code end
  return Scheduler.new(tts, plan.rows, queue, plan)
end

-- ---- submitting ----

local function remove(list, ticket)
  for i, t in ipairs(list) do
    if t == ticket then return table.remove(list, i) end
  end
end

-- Puts a ticket behind those of its priority.
local function wait(self, ticket)
  local at = #self.waiting + 1
  while at > 1 and self.waiting[at - 1].priority < ticket.priority do at = at - 1 end
  table.insert(self.waiting, at, ticket)
end

--- Whether one more may wait.
---@return boolean
function Scheduler:has_room()
  return #self.waiting < self.queue + self.rows - #self.speaking
end

--- Lets a request wait whose options have been checked.
---@param options ag.Speech
---@param positions integer the most that it can take
---@param fields? {priority: integer?, feed: false?, text: string?} of the ticket
---@return ag.Ticket? ticket
---@return string? err
---@return string? code 'busy': the queue is full; 'memory': it would never fit
function Scheduler:enqueue(options, positions, fields)
  check.type(options, 'enqueue: options', 'table')
  check.number(positions, 'enqueue: positions', 0)
  fields = check.options(fields, 'enqueue', {'priority', 'feed', 'text'})
  local priority = check.int(fields.priority or 0, 'enqueue: priority')
  if not self:has_room() then
    return nil, ('the queue is full: %d are spoken and %d wait'):format(#self.speaking,
      #self.waiting), 'busy'
  end
  local plan, blocks = self.budget, 0
  if plan then
    blocks = math.ceil(positions / plan.block)
    if blocks > plan.blocks then
      return nil, ('the text may need %d positions, and the memory (%s) has room for %d: give it '
        .. 'more memory, fewer rows (now %d), a shorter text, or max_frames'):format(positions,
        budget.shown(plan.memory), plan.blocks * plan.block, self.rows), 'memory'
    end
  end
  self.count = self.count + 1
  local ticket = Ticket.new(self, {id = self.count, options = options, blocks = blocks,
    priority = priority, feed = fields.feed, text = fields.text})
  wait(self, ticket)
  self.open[#self.open + 1] = ticket
  return ticket
end

local function split_priority(opts)
  local options = {}
  for k, v in pairs(opts) do options[k] = v end
  options.priority = nil
  return options, check.int(opts.priority or 0, 'priority', -2 ^ 31, 2 ^ 31 - 1, 1)
end

--- Asks for a text to be spoken: it waits until a row is free. What cannot be spoken is refused
--- now.
---@param opts ag.Speech all options of say for one text, and `priority`: higher goes first (default
---0)
---@return ag.Ticket? ticket
---@return string? err
---@return string? code 'value' and so on as of say; 'busy': the queue is full; 'memory': it would
---never fit
function Scheduler:submit(opts)
  check.options(check.type(opts, 'submit', 'table'), 'submit', SUBMIT_OPTIONS)
  local options, priority = split_priority(opts)
  local positions, err, code = utterance.measure(self.tts, options, 1)
  if not positions then return nil, err, code end
  return self:enqueue(options, positions, {priority = priority})
end

--- The same for text that comes piece by piece: ticket:write(text), at last ticket:finish(). A row
--- is taken when there is enough text to begin with, and kept while more is waited for.
---@param opts table options of tts:feed, and `priority`
---@return ag.Ticket? ticket
---@return string? err
---@return string? code
function Scheduler:feed(opts)
  check.options(check.type(opts, 'feed', 'table'), 'feed', FEED_OPTIONS)
  local options, priority = split_priority(opts)
  options.max_frames = options.max_frames or FEED_FRAMES
  local probe = {text = '.', layout = 'stream', split = 'off'}
  for k, v in pairs(options) do probe[k] = v end
  local positions, err, code = utterance.measure(self.tts, probe, 1)
  if not positions then return nil, err, code end
  return self:enqueue(options, positions + options.max_frames,
    {priority = priority, feed = false, text = ''})
end

--- A ticket has ended.
function Scheduler:left(ticket)
  remove(self.waiting, ticket)
  if remove(self.speaking, ticket) then self.reserved = self.reserved - ticket.blocks end
  if ticket.notify or ticket.ended == 'cancelled' then remove(self.open, ticket) end
end

-- ---- the loop ----

-- Whether there is a row and memory for a ticket.
local function fits(self, ticket)
  return #self.batch.members < self.rows
    and (not self.budget or self.reserved + ticket.blocks <= self.budget.blocks)
end

-- Free rows keep their memory, and give it back where others need it; the row that a ticket is
-- about to take has no more than the ticket reserves.
local function make_room(self, ticket)
  if not self.budget then return end
  local session, free, block = self.batch.session, self.batch.free, self.budget.block
  local next_slot, idle = free[#free], 0
  if session.committed[next_slot] > ticket.blocks * block then session:vacate(next_slot) end
  for i = 1, #free - 1 do idle = idle + session.committed[free[i]] end
  if idle / block + self.reserved + ticket.blocks <= self.budget.blocks then return end
  for i = 1, #free - 1 do session:vacate(free[i]) end
end

-- Gives rows to those that wait. Nobody overtakes one that waits for memory, but others go before a
-- feed that has not enough text to begin.
local function board(self)
  for _, ticket in ipairs {unpack(self.waiting)} do
    if not fits(self, ticket) then return end
    make_room(self, ticket)
    if ticket:board(self.batch) and not ticket.ended then
      remove(self.waiting, ticket)
      self.speaking[#self.speaking + 1] = ticket
      self.reserved = self.reserved + ticket.blocks
    end
  end
end

local function settle(self)
  for _, ticket in ipairs {unpack(self.speaking)} do ticket:settle() end
end

-- What turns.lua has to know of a ticket.
local function renew(turn)
  local ticket = turn.ticket
  local speech = ticket.speech
  turn.pending, turn.wanted = speech:pending(), speech:wanted()
  if ticket.ended then turn.pending = 0 end
  turn.ended = not ticket:active()
  turn.dry = ticket.heard and ticket.heard + speech.samples / speech.rate or -math.huge
  return turn
end

-- The codec's part of a step after a frame of n rows.
local function sound(self, n, between)
  local list = {}
  for i, ticket in ipairs(self.speaking) do list[i] = renew {ticket = ticket} end
  -- Where no frames are made there is time for what is left.
  local credit = math.max(self.credit + n, n == 0 and 1 or -math.huge)
  self.credit = turns.serve(list, credit, self.pace, posix.now, function(turn, most)
    local frames = turn.ticket:decode(most)
    turn.ticket.heard = turn.ticket.heard or posix.now()
    if between then between() end
    renew(turn)
    return frames
  end)
  self.credit = math.min(self.credit, self.rows)
end

--- Makes the next frame of all who speak, lets others begin, and passes what is ready through the
--- codec.
---@param between? fun() called after each pass through the codec; may submit, take and cancel
---@return boolean more whether there is anything left to do now
function Scheduler:step(between)
  if self.batch.making then error('step: a frame is being made', 2) end
  local began = posix.now()
  board(self)
  local n = self.batch:step()
  settle(self)
  sound(self, n, between)
  settle(self)
  if n > 0 then
    local took = posix.now() - began - self.batch.read_time
    self.pace = self.pace + FOLLOW * (took - self.pace)
    self.batch:pace(took)
  end
  return self:busy()
end

--- Whether a step has anything to do. Not while all wait for text.
---@return boolean
function Scheduler:busy()
  for _, ticket in ipairs(self.speaking) do
    if ticket:active() or ticket.utterance.ended or ticket.speech:pending() > 0 then return true end
  end
  for _, ticket in ipairs(self.waiting) do
    if not fits(self, ticket) then return false end
    if ticket.feed == nil or ticket.text ~= '' or ticket.last then return true end
  end
  return false
end

-- Steps until pick(ticket) has something to tell of one of the tickets, and returns that.
local function iterate(self, pick)
  local function look()
    for _, ticket in ipairs(self.open) do
      if pick(ticket) then return ticket end
    end
  end
  return function()
    local ticket = look()
    while not ticket do
      if not self:busy() then return nil end
      self:step()
      ticket = look()
    end
    return ticket
  end
end

--- Sound as it is made, of all: `for ticket, chunk in batch:chunks() do`. A ticket's last comes
--- with no chunk: see its `ended`. The loop ends when all have, or wait for text; submit more and
--- loop again.
---@return fun(): ag.Ticket?, ag.Chunk?
function Scheduler:chunks()
  local next_one = iterate(self, function(t) return t.ended or #t.chunks > 0 end)
  return function()
    local ticket = next_one()
    if not ticket then return nil end
    local chunk = ticket:take()
    if not chunk then remove(self.open, ticket) end
    return ticket, chunk
  end
end

--- Finished sounds, in the order in which they end: `for ticket, sound, err, code in
--- batch:sounds() do`. sound, err, code and a fourth value are as of say; what a hook has raised is
--- raised.
---@return fun(): ag.Ticket?, ag.Sound?, string?, string?, ag.Sound?
function Scheduler:sounds()
  local next_one = iterate(self, function(t) return t.ended end)
  return function()
    local ticket = next_one()
    if not ticket then return nil end
    remove(self.open, ticket)
    return ticket, ticket:sound()
  end
end

--- Cancels all that wait or speak.
function Scheduler:clear()
  for _, list in ipairs {self.waiting, self.speaking} do
    for _, ticket in ipairs {unpack(list)} do ticket:cancel() end
  end
  self.open, self.credit = {}, 0
  self.batch:clear()
end

check.methods(Scheduler, 'batch')

return Scheduler
