-- One row of a batch: what an utterance has there while its frames are made. Its keys and values
-- lie in a slot of the talker's session, its text still to come in a window of the same number, and
-- the small state of its draws in the batch's tensors, at `index`, which changes as others come and
-- go.

local draws = require 'argent.draws'
local ops = require 'argent.ops'
local tensor = require 'argent.tensor'

---@class ag.Rider whom a row asks and tells; an utterance is one
---@field prepare fun(self): boolean? before every frame: whether it wants one
---@field prompted fun(self) the talker has read the prompt
---@field take fun(self, codes: ffi.cdata*) its frame, int32 [G], valid during the call
---@field failed fun(self, err: any, code: string?) a fault of its own; code nil: a hook raised err
---@field left fun(self) its row is free for others

---@class ag.Row
---@field batch ag.Batch
---@field rider ag.Rider
---@field index integer? where its small state lies; nil once it has left
---@field slot integer of the talker's session, from 1
---@field hooks table<string, fun(x: ag.Tensor, group: integer)>? hidden, logits, code,
---predictor_logits, input: called while its frames are made
---@field raised any what a hook raised in the frame that is being made
---@field gone boolean? it has left while that frame is made, and goes at its end
---@field prompt ag.Tensor? [n, D] what the talker still has to read, from row `read` + 1 on
local Row = {}
Row.__index = Row

--- Made by batch:join.
function Row.new(batch, rider, slot)
  return setmetatable({batch = batch, rider = rider, slot = slot}, Row)
end

--- The row's part of one of the batch's tensors: input, codes, key, seen, ...
---@param name string
---@return ag.Tensor view, valid until rows come or go
function Row:state(name)
  return self.batch[name]:select(1, self.index)
end

--- Begins: forgets what was there. The batch reads the prompt before the row's first frame, all but
--- its last row, which is the input of that frame.
---@param prompt ag.Tensor [n, D], n >= 1, which is the row's from now on
---@param text ag.Tensor [L, D] text vectors to add, one a frame
---@param made integer? frames that are in the prompt already, and have used up as many text vectors
function Row:begin(prompt, text, made)
  self.batch.session:reset(self.slot)
  for _, name in ipairs {'seen', 'codes', 'faults'} do ops.fill(self:state(name), 0) end
  self.prompt, self.read = prompt, 0
  self.added = math.min(made or 0, #text)
  self:set_text(text)
end

-- What waits to be added from now on: `text` from its row `added` + 1 on, then the pad for ever.
function Row:set_text(text)
  self.text, self.loaded = text, self.added
  self:refill()
end

--- Fills the window with the text that comes next.
function Row:refill()
  local batch = self.batch
  local first, size = (self.slot - 1) * batch.WINDOW, batch.WINDOW - 1
  local n = math.min(#self.text - self.loaded, size)
  local window = batch.window:narrow(1, first + 1, n + 1)
  if n > 0 then window:narrow(1, 1, n):copy(self.text:narrow(1, self.loaded + 1, n)) end
  window:select(1, n + 1):copy(batch.pad)
  batch.next_text:narrow(1, self.index, 1):fill(first)
  batch.last_text:narrow(1, self.index, 1):fill(first + n)
  self.loaded = self.loaded + n
end

--- Adds text vectors behind those still waiting.
---@param vectors ag.Tensor [L, D]
function Row:append_text(vectors)
  local waiting = #self.text - self.added
  local text = tensor.zeros(self.batch.backend, {waiting + #vectors, vectors.shape[2]})
  if waiting > 0 then
    text:narrow(1, 1, waiting):copy(self.text:narrow(1, self.added + 1, waiting))
  end
  if #vectors > 0 then text:narrow(1, waiting + 1, #vectors):copy(vectors) end
  self.added = 0
  self:set_text(text)
end

--- A frame has been made.
function Row:advanced()
  self.batch.session:advanced(1, self.slot)
  if self.added < #self.text then self.added = self.added + 1 end
  if self.added == self.loaded and self.loaded < #self.text then self:refill() end
end

---@class ag.Sampling
---@field seed number
---@field stream integer
---@field talker number[] temperature (0: argmax), top-k, top-p, repetition penalty
---@field predictor number[] likewise
---@field draws integer? draws done already (default 0)

--- How the next draws are made.
---@param s ag.Sampling
function Row:set_sampling(s)
  self:state 'key':set(draws.key(s.seed, s.stream, s.draws or 0))
  self:state 'params':set(s.talker)
  self:state 'predictor_params':set(s.predictor)
end

--- Marks the ids that the repetition penalty knows.
---@param ids integer[]
function Row:mark_seen(ids)
  draws.mark(self:state 'seen', ids)
end

--- Makes this row stand where `other` stands, before the frame that is being made there, if one is:
--- what is drawn from then on is the same.
---@param other ag.Row of a batch of the same model, its prompt read
---@return boolean? ok
---@return string? err
---@return string? code 'memory'
function Row:copy(other)
  local ok, err, code = self.batch.session:copy_row(self.slot, other.batch.session, other.slot)
  if not ok then return nil, err, code end
  for _, name in ipairs(self.batch.STATE) do self:state(name):copy(other:state(name)) end
  self.added = other.added
  self:set_text(other.text)
  return true
end

--- Leaves the batch, between frames or while one is made; what it holds is free for others. Safe to
--- call more than once.
function Row:leave()
  if self.index then self.batch:leave(self) end
end

return Row
