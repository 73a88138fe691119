-- The sound of an utterance as it is made: frames are collected into chunks and pass through the
-- codec's stream. What say, stream and feed have in common.

local check = require 'argent.check'
local join = require('argent.audio.sound').join
local posix = require 'argent.posix'
local status = require 'argent.status'
local tensor = require 'argent.tensor'

-- Frames per chunk of sound: the first sample soon, then fewer and larger passes through the codec.
-- The sound does not depend on it.
local CHUNKS = {1, 1, 2, 4, 8}

---@class ag.Chunk
---@field samples ag.Tensor f32 [n]
---@field rate integer
---@field frames integer frames in this chunk

---@class ag.SpeechSoFar
---@field utterance ag.Utterance
---@field rate integer
local Speech = {}
Speech.__index = Speech

--- The sound of an utterance that has just been started.
---@param tts ag.Synthesizer
---@param u ag.Utterance
---@return ag.SpeechSoFar? speech
---@return string? err
---@return string? code
function Speech.new(tts, u)
  local ok, err, code = Speech.prepare(tts, u.reference)
  if not ok then return nil, err, code end
  local codec, lease = tts.streams:take()
  local self = setmetatable({
    tts = tts, utterance = u, rate = tts.codec.rate, codec = codec, lease = lease,
    at = 0, step = 0, samples = 0,
  }, Speech)
  if u.reference and u.reference.primed then
    ok, err, code = codec:restore(u.reference.primed)
    if not ok then
      self:close()
      return nil, err, code
    end
  else
    codec:reset()
  end
  return self
end

--- For in-context cloning speech begins where the recording ends, whose frames pass through the
--- codec unheard (REFERENCE.md, "What is decoded"). This is done once: the reference keeps the
--- codec's state.
---@param tts ag.Synthesizer
---@param reference table? what utterances have of a voice
---@param pause? fun() called between pieces of some milliseconds; may yield
---@return boolean? ok
---@return string? err
---@return string? code
function Speech.prepare(tts, reference, pause)
  local codes = reference and reference.codes
  if not codes or reference.primed then return true end
  local codec, lease = tts.streams:take()
  local done, ok, err, code = pcall(function()
    codec:reset()
    local piece = pause and 1 or #codes
    for first = 1, #codes, piece do
      local unheard, why, kind = codec:push(codes:narrow(1, first, piece))
      if not unheard then return nil, why, kind end
      unheard:release()
      if pause then pause() end
    end
    return codec:save()
  end)
  lease()
  if not done then error(ok, 0) end
  reference.primed = ok
  return ok and true, err, code
end

--- The codes so far, i32 [F, G].
---@return ag.Tensor
function Speech:codes()
  return self.utterance:codes()
end

--- Counts and times so far.
---@return table stats frames, seconds (of sound), parts (of the text), prompt_rows, seed, ended,
---prefill_time, first_audio_time, total_time (seconds), rtf, notes
function Speech:stats()
  local u, seconds = self.utterance, self.samples / self.rate
  local total = (self.finished or posix.now()) - u.began
  return {
    frames = u.frames, seconds = seconds, parts = #u.parts, prompt_rows = u.prompt_rows,
    seed = u.seed, ended = u.ended, prefill_time = u.prefill_time,
    first_audio_time = self.first_audio_time, total_time = total,
    rtf = seconds > 0 and total / seconds or nil, notes = u.prompt.notes,
  }
end

-- From here on the codec may be another's.
local function finish(self, how)
  self.finished = self.finished or posix.now()
  self.utterance:finish(how)
  self.lease()
end

local function fail(self, fault, kind)
  finish(self, 'failed')
  status.throw(fault, kind)
end

--- Frames that have not been through the codec.
---@return integer
function Speech:pending()
  return self.utterance.frames - self.at
end

--- How many of them make the next chunk while more are to come.
---@return integer frames
function Speech:wanted()
  return CHUNKS[math.min(self.step + 1, #CHUNKS)]
end

--- The sound of what is pending; makes no frames.
---@param most? integer frames
---@return ag.Chunk? chunk nil without err when there is nothing
---@return string? err
---@return string? code
function Speech:decode(most)
  most = most and check.int(most, 'decode: frames', 1)
  local u, n = self.utterance, math.min(self:pending(), most or math.huge)
  if n == 0 then return nil end
  self.step = math.min(self.step + 1, #CHUNKS)
  local codes = u:codes(self.at + 1, n)
  local x, err, code = self.codec:push(codes)
  codes:release()
  if not x then return nil, err, code end
  self.at, self.samples = self.at + n, self.samples + x:count()
  self.first_audio_time = self.first_audio_time or posix.now() - u.began
  return {samples = x, rate = self.rate, frames = n}
end

--- The next chunk; nil when the utterance has ended or waits for text. Faults raise.
---@return ag.Chunk?
function Speech:next()
  local u, wanted = self.utterance, self:wanted()
  while not self.finished and self:pending() < wanted and u:ready() do
    local more, fault, kind = u:next()
    if fault then fail(self, fault, kind) end
    if not more then break end
  end
  if self.finished then return nil end -- a hook may have closed it
  local chunk, fault, kind = self:decode()
  if fault then fail(self, fault, kind) end
  if not chunk and u.ended then finish(self) end
  return chunk
end

--- All that is left, joined.
---@return ag.Tensor samples f32 [n]
function Speech:rest()
  local parts = {}
  for chunk in function() return self:next() end do parts[#parts + 1] = chunk.samples end
  if #parts == 0 then return tensor.zeros(self.tts.backend, {0}) end
  local joined = join(parts).samples
  for _, part in ipairs(parts) do part:release() end
  return joined
end

--- Gives up: what it holds is free for others. Not needed after the end.
function Speech:close()
  finish(self, 'stopped')
end

check.methods(Speech, 'speech')

return Speech
