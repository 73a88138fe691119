-- A request of a scheduler: it waits for a row, speaks, ends. Whoever holds it takes its chunks,
-- asks how it stands, and cancels it.

local Feed = require 'argent.qwen3_tts.feed'
local Speech = require 'argent.qwen3_tts.speech'
local Sound = require 'argent.audio.sound'
local check = require 'argent.check'
local join = require('argent.audio.sound').join
local status = require 'argent.status'
local tensor = require 'argent.tensor'
local utterance = require 'argent.qwen3_tts.utterance'

---@class ag.Ticket
---@field id integer counted from 1 in its scheduler
---@field priority integer
---@field options ag.Speech
---@field ended string? 'eos', 'limit', 'runaway', 'stopped', 'failed', 'cancelled'; nil while it
---waits or speaks
---@field err any why it has failed: a message, or whatever a hook raised
---@field code string? of the message; nil when a hook raised it
---@field utterance ag.Utterance? once it speaks
---@field speech ag.SpeechSoFar? once it speaks
---@field ready integer samples in the chunks that nobody has taken
---@field notify fun(ticket: ag.Ticket)? called when there is a chunk, or the end; not in a frame
local Ticket = {}
Ticket.__index = Ticket

--- Made by scheduler:submit.
---@param scheduler ag.Scheduler
---@param fields table
---@return ag.Ticket
function Ticket.new(scheduler, fields)
  fields.scheduler, fields.tts, fields.chunks = scheduler, scheduler.tts, {}
  fields.ready = 0
  return setmetatable(fields, Ticket)
end

function Ticket:__tostring()
  return ('ticket %d: %s'):format(self.id, self.ended or self.speech and 'speaking' or 'waiting')
end

-- Tells whoever waits for it.
local function tell(self)
  if self.notify then self:notify() end
end

--- Ends it, and gives back what it holds; once.
function Ticket:conclude(how, err, code)
  if self.ended then return end
  self.ended, self.err, self.code = how, err, code
  if self.speech then self.speech:close() elseif self.utterance then self.utterance:finish() end
  self.scheduler:left(self)
  tell(self)
end

-- Whatever is raised on the way is the ticket's own fault.
local function guarded(self, fn)
  local done, ok, err, code = pcall(fn)
  if done and ok then return true end
  if not done then
    err, code = ok, nil
    if status.is_fault(ok) then err, code = ok.message, ok.code end
  end
  self:conclude('failed', err, code)
  return false
end

--- Takes a row of the batch and begins to speak; of a feed with the text that is there.
---@param batch ag.Batch with a free row
---@return boolean whether it has begun, or has failed to
function Ticket:board(batch)
  guarded(self, function()
    local err, code
    if self.feed == nil then
      self.utterance, err, code = utterance.start(self.tts, self.options, {batch = batch})
      if not self.utterance then return nil, err, code end
      self.speech, err, code = Speech.new(self.tts, self.utterance)
      return self.speech, err, code
    end
    self.feed = self.feed or Feed.new(self.tts, self.options, batch)
    local ok = true
    local text = self.text
    self.text = ''
    if text ~= '' then ok, err, code = self.feed:write(text) end
    if ok and self.last and not self.feed.finished then ok, err, code = self.feed:finish() end
    self.utterance, self.speech = self.feed.utterance, self.feed.speech
    return ok, err, code
  end)
  return self.speech ~= nil or self.ended ~= nil
end

--- More text for a ticket of scheduler:feed, cut anywhere; see feed:write.
---@param text string
function Ticket:write(text)
  check.type(text, 'write', 'string')
  if self.feed == nil then error('write: the text of this ticket is complete', 2) end
  if self.last then error('write: the text is finished', 2) end
  if self.ended then return end
  if not self.speech then
    self.text = self.text .. text
    return
  end
  guarded(self, function() return self.feed:write(text) end)
end

--- No more text.
function Ticket:finish()
  if self.feed == nil then error('finish: the text of this ticket is complete', 2) end
  if self.ended or self.last then return end
  self.last = true
  if self.speech then guarded(self, function() return self.feed:finish() end) end
end

--- Whether frames of it can be made now: it has a row, and text.
---@return boolean
function Ticket:active()
  local u = self.utterance
  return u ~= nil and not u.ended and u:ready()
end

--- Passes frames through the codec; none when it has ended, as another's notify may have cancelled
--- it.
---@param most integer frames
---@return integer frames
function Ticket:decode(most)
  local n = 0
  if self.ended then return n end
  guarded(self, function()
    local chunk, err, code = self.speech:decode(most)
    if not chunk then return nil, err, code end
    n = chunk.frames
    self.chunks[#self.chunks + 1] = chunk
    self.ready = self.ready + #chunk.samples
    return true
  end)
  if not self.ended then tell(self) end
  return n
end

--- Looks whether the utterance has ended, and ends with it.
function Ticket:settle()
  local u = self.utterance
  if self.ended or not u or not u.ended then return end
  if u.fault then
    self:conclude('failed', u.fault.err, u.fault.code)
  elseif self.speech:pending() == 0 then
    self:conclude(u.ended)
  else
    u:finish() -- one that a hook has stopped keeps its row, which others want
  end
end

--- The next chunk that is ready, once.
---@return ag.Chunk? chunk nil: none yet, or, when `ended` is set, no more
function Ticket:take()
  local chunk = table.remove(self.chunks, 1)
  if chunk then self.ready = self.ready - #chunk.samples end
  return chunk
end

--- The codes so far.
---@return ag.Tensor i32 [F, G]
function Ticket:codes()
  if not self.utterance then error('codes: the ticket has not begun to speak', 2) end
  return self.utterance:codes()
end

--- Counts and times; see ag.SpeechSoFar.stats.
---@return table? stats nil before it speaks
function Ticket:stats()
  return self.speech and self.speech:stats()
end

--- The sound of all chunks that were not taken: when it has ended and none was, what say gives.
---@return ag.Sound? sound
---@return string? err
---@return string? code
---@return ag.Sound? partial of speech that never ends, 'runaway'
function Ticket:sound()
  if not self.ended then error('sound: the ticket has not ended', 2) end
  if self.ended == 'failed' then
    if self.code == nil then error(self.err, 0) end
    return nil, self.err, self.code
  elseif self.ended == 'cancelled' then
    return nil, 'the request was cancelled', 'interrupted'
  end
  local parts = {}
  for chunk in function() return self:take() end do parts[#parts + 1] = chunk.samples end
  local sound = Sound.new {
    samples = #parts > 0 and join(parts).samples or tensor.zeros(self.tts.backend, {0}),
    rate = self.speech.rate, codes = self:codes(), stats = self:stats(),
    utterance = self.utterance,
  }
  for _, part in ipairs(parts) do part:release() end
  if self.ended == 'runaway' then
    return nil, self.tts.runaway_message(sound.stats), 'runaway', sound
  end
  return sound
end

--- Gives it up, waiting or speaking: its row is free for the next frame.
function Ticket:cancel()
  self:conclude 'cancelled'
end

check.methods(Ticket, 'ticket')

return Ticket
