-- Texts that a language model writes for the server: those that are being written share each pass
-- through the weights, others wait for a row. A step of it stands between two frames of speech.

local Batch = require 'argent.decoder.batch'
local Generation = require 'argent.decoder.generation'
local check = require 'argent.check'
local condition = require 'cqueues.condition'

---@class argent.Texts
---@field lm ag.LM
---@field batch ag.TextBatch
---@field waiting argent.TextTicket[]
---@field writing argent.TextTicket[]
---@field queue integer how many may wait
local Texts = {}
Texts.__index = Texts

---@class argent.TextTicket
---@field g ag.Generation? once it has a row
---@field err string?
---@field code string?
---@field news table condition: something has come
local Ticket = {}
Ticket.__index = Ticket

---@param lm ag.LM
---@param rows integer
---@param queue integer
---@return argent.Texts
function Texts.new(lm, rows, queue)
  return setmetatable({lm = lm, batch = Batch.new(lm, rows), queue = queue, waiting = {},
    writing = {}}, Texts)
end

--- Asks for a text.
---@param opts ag.Generate
---@return argent.TextTicket?
---@return string? err
---@return string? code 'busy'
function Texts:submit(opts)
  if #self.batch.free == 0 and #self.waiting >= self.queue then
    return nil, ('all rows write and %d requests wait'):format(#self.waiting), 'busy'
  end
  local ticket = setmetatable({texts = self, opts = opts, news = condition.new()}, Ticket)
  self.waiting[#self.waiting + 1] = ticket
  return ticket
end

--- Whether anything is to be done.
---@return boolean
function Texts:busy()
  return #self.waiting > 0 or #self.writing > 0
end

-- Reads the prompt of the text that has waited longest: one in a step, since it takes its time.
local function begin(self)
  local ticket = #self.batch.free > 0 and table.remove(self.waiting, 1)
  if not ticket then return end
  local done, g, err, code = pcall(Generation.start, self.lm, ticket.opts, 'generate', self.batch)
  if not done then g, err, code = nil, tostring(g), 'internal' end
  ticket.g, ticket.err, ticket.code = g, err, code
  if g then self.writing[#self.writing + 1] = ticket end
  ticket.news:signal()
end

--- Draws the next token of every text.
function Texts:step()
  begin(self)
  self.batch:step()
  local still = {}
  for _, ticket in ipairs(self.writing) do
    ticket.news:signal()
    if not ticket.g.ended then still[#still + 1] = ticket end
  end
  self.writing = still
end

--- Gives up all that is written and waits.
function Texts:clear()
  for _, list in ipairs {self.waiting, self.writing} do
    for _, ticket in ipairs {unpack(list)} do
      ticket.err, ticket.code = 'the server is stopping', 'stopping'
      ticket:cancel()
      ticket.news:signal()
    end
  end
end

--- The next piece of text, waited for; nil at the end, with err where that is no good one.
---@return string? piece
---@return string? err
---@return string? code
function Ticket:next()
  while not self.over do
    local g = self.g
    if g and not self.err then
      local ended = g.ended
      local piece = g.stops:take(ended ~= nil)
      self.over = ended ~= nil
      if ended == 'failed' then self.err, self.code = g.err, g.code
      elseif piece ~= '' then return piece end
    end
    if self.err then
      self.over = true
      return nil, self.err, self.code
    end
    if not self.over then self.news:wait() end
  end
end

--- Gives it up. Safe to call when it has ended.
function Ticket:cancel()
  if self.g then
    self.g:finish()
  elseif not self.err then
    self.err, self.code = 'the client has left', 'gone'
    self.news:signal()
  end
  for i, ticket in ipairs(self.texts.waiting) do
    if ticket == self then table.remove(self.texts.waiting, i) end
  end
end

check.methods(Texts, 'texts')
check.methods(Ticket, 'ticket')

return Texts
