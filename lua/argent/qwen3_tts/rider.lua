-- How an utterance rides on a row of a batch: what it answers when it is asked for a frame, and
-- what it makes of its codes or its fault.

local posix = require 'argent.posix'

local M = {}

---@class ag.UtteranceRider: ag.Rider
---@field utterance ag.Utterance
local Rider = {}
Rider.__index = Rider

-- Ends an utterance by a fault, which its next() passes on; code nil: err was raised.
local function fault(u, err, code)
  u.fault = {err = err, code = code}
  u:finish 'failed'
end

function Rider:prepare()
  local u = self.utterance
  if u.stopping then u.stopping, u.ended = nil, 'stopped' end -- the row stays, to continue
  if u.ended or not u:ready() then return false end
  if u.stale then
    local done, ok, err, code = pcall(u.read_prompt, u)
    if not done then fault(u, ok) elseif not ok then fault(u, err, code) end
    if u.ended then return false end
  end
  if u.frames >= (u.max_frames or u.guard) then
    u:finish(u.max_frames and 'limit' or 'runaway')
    return false
  end
  u.index = u.frames + 1
  return true
end

function Rider:prompted()
  local u = self.utterance
  u.prefill_time = u.prefill_time or posix.now() - u.began
end

function Rider:take(codes)
  local u = self.utterance
  if u.resume then
    u.resume = nil
    u:attach(u.opts.hooks)
  end
  if codes[0] == u.eos then
    if not u:next_part() then u:finish 'eos' end
    return
  end
  u.log:add(codes)
  u.frames = u.frames + 1
end

function Rider:failed(err, code)
  local u = self.utterance
  if code == 'value' then err, code = u.tts.diagnose(u.tts.weights, err) end
  fault(u, err, code)
end

function Rider:left()
  local u = self.utterance
  u.ended = u.ended or 'stopped' -- without a row there are no frames to come
  if u.lease then u.lease() end
end

--- Gives an utterance a row.
---@param u ag.Utterance
---@param batch? ag.Batch default: one of its own, from the model's pool
---@return boolean? ok
---@return string? err
---@return string? code 'capacity'
function M.board(u, batch)
  if not batch then
    batch, u.lease = u.tts.batches:take()
    batch:clear() -- of an utterance that was left early
  end
  local row = batch:join(setmetatable({utterance = u}, Rider))
  if not row then
    return nil, ('the batch is full: it has %d rows'):format(batch.rows), 'capacity'
  end
  u.batch, u.row = batch, row
  return true
end

--- Passes on the fault that has ended an utterance, once: raises what was raised.
---@param u ag.Utterance
---@return nil
---@return string err
---@return string code
function M.pass_on(u)
  local f = u.fault
  u.fault = nil
  if f.code == nil then error(f.err, 0) end
  return nil, f.err, f.code
end

return M
