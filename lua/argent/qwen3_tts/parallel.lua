-- A long text whose parts are spoken side by side, so that it is done at the speed of a batch. Each
-- part is prompted alone, as other prompts are: it does not hear the part before it, so voice and
-- pace do not carry over as they do in a text that is spoken part by part.

local check = require 'argent.check'
local ops = require 'argent.ops'
local draws = require 'argent.draws'
local status = require 'argent.status'
local tensor = require 'argent.tensor'
local utterance = require 'argent.qwen3_tts.utterance'

-- Parts that may be done before their turn comes, for each row; their sound waits in memory.
local AHEAD = 4

---@class ag.Parallel the speech of all parts so far, with what ag.SpeechSoFar has of it
---@field parts string[]
---@field tickets table<integer, ag.Ticket>
---@field utterance ag.Utterance? of the part that is heard
---@field utterances ag.Utterance[] of the parts that have been heard
local Parallel = {}
Parallel.__index = Parallel

--- Speaks the parts of a text on the rows of a scheduler.
---@param scheduler ag.Scheduler with nothing else on it
---@param opts ag.Speech part i has the stream of draws that it has in a text spoken part by part;
---max_frames is of each part
---@return fun(): ag.Chunk? chunks in the order of the text; faults raise
---@return ag.Parallel
local function stream(scheduler, opts)
  check.type(opts.text, 'text', 'string')
  local self = setmetatable({
    scheduler = scheduler, opts = opts, parts = utterance.parts(scheduler.tts, opts),
    seed = draws.seed(opts, 0), tickets = {}, at = 1, asked = 0, list = {},
    utterances = {},
    frames = 0, seconds = 0, prompt_rows = 0, notes = {},
  }, Parallel)
  return function() return self:next() end, self
end

-- Asks for more parts while there is room.
local function ask(self)
  local ahead = AHEAD * self.scheduler.rows
  while self.asked < #self.parts and self.asked < self.at + ahead and self.scheduler:has_room() do
    local i, o = self.asked + 1, {}
    for k, v in pairs(self.opts) do o[k] = v end
    o.text, o.seed, o.split = self.parts[i], self.seed, 'off'
    o.stream = (self.opts.stream or 0) + utterance.STREAM_PER_PART * (i - 1)
    local ticket, err, code = self.scheduler:submit(o)
    if not ticket then status.throw(('part %d: %s'):format(i, err), code) end
    self.tickets[i], self.asked = ticket, i
  end
end

-- A part has been heard: only its codes are kept.
local function done(self, ticket)
  local stats = ticket:stats()
  self.list[#self.list + 1] = ticket:codes()
  self.utterances[self.at] = ticket.utterance
  self.tickets[self.at] = nil
  self.frames, self.seconds = self.frames + stats.frames, self.seconds + stats.seconds
  self.prompt_rows, self.notes = self.prompt_rows + stats.prompt_rows, stats.notes
  self.first = self.first or stats
  self.began = self.began or ticket.utterance.began
  self.finished = ticket.speech.finished
  self.ended = ticket.ended
  self.at = ticket.ended == 'runaway' and #self.parts + 1 or self.at + 1
end

--- The next chunk; nil at the end.
---@return ag.Chunk?
function Parallel:next()
  while self.at <= #self.parts do
    ask(self)
    local ticket = self.tickets[self.at]
    local chunk = ticket:take()
    self.utterance = ticket.utterance or self.utterance
    if chunk then return chunk end
    if ticket.ended == 'failed' then status.throw(ticket.err, ticket.code) end
    if ticket.ended then done(self, ticket) else self.scheduler:step() end
  end
end

--- The codes of all parts that have been heard.
---@return ag.Tensor i32 [F, G]
function Parallel:codes()
  local all = tensor.zeros(self.scheduler.tts.backend, {self.frames,
    self.scheduler.tts.cfg.talker.num_code_groups}, 'i32')
  local at = 0
  for _, codes in ipairs(self.list) do
    if #codes > 0 then ops.copy(all:narrow(1, at + 1, #codes), codes) end
    at = at + #codes
  end
  return all
end

--- Counts and times, as of ag.SpeechSoFar.
---@return table
function Parallel:stats()
  local now = self.tickets[self.at] and self.tickets[self.at]:stats()
  local first = self.first or now
  local seconds = self.seconds + (now and now.seconds or 0)
  local u = self.utterance
  local total = (self.finished or 0) - (self.began or u.began)
  if now then total = now.total_time + u.began - (self.began or u.began) end
  return {
    frames = self.frames + (now and now.frames or 0), seconds = seconds, parts = #self.parts,
    prompt_rows = self.prompt_rows, seed = self.seed, ended = self.ended,
    prefill_time = first.prefill_time, first_audio_time = first.first_audio_time,
    total_time = total, rtf = seconds > 0 and total / seconds or nil, notes = self.notes,
  }
end

check.methods(Parallel, 'parallel speech')

return {stream = stream}
