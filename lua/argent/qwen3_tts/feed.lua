-- Speech whose text comes while it is spoken, word by word from a pipe or a language model: text
-- goes in by write, sound comes out by chunks. Fed in any pieces it is what the whole text gives in
-- the layout 'stream', bit for bit.

local Speech = require 'argent.qwen3_tts.speech'
local check = require 'argent.check'
local increment = require 'argent.text.increment'
local sampling = require 'argent.qwen3_tts.sampling'
local draws = require 'argent.draws'
local unicode = require 'argent.text.unicode'
local utterance = require 'argent.qwen3_tts.utterance'

local OPTIONS = {'voice', 'language', 'instruct', 'reference', 'pattern', 'hooks', 'max_frames',
  unpack(sampling.OPTIONS)}

---@class ag.Feed
---@field batch ag.Batch? where it rides; nil: on one of its own
---@field speech ag.SpeechSoFar? nil until enough text is there to begin
---@field finished boolean no more text will come
local Feed = {OPTIONS = OPTIONS}
Feed.__index = Feed

--- Made by tts:feed{...}; opts as of ag.Speech without text, layout, split and special.
---@param tts ag.Synthesizer
---@param opts table
---@param batch? ag.Batch where it rides, with a free row when it begins
---@return ag.Feed
function Feed.new(tts, opts, batch)
  check.options(check.type(opts, 'feed', 'table', 1), 'feed', OPTIONS, 1)
  local copy = {layout = 'stream', split = 'off'}
  for k, v in pairs(opts) do copy[k] = v end
  copy.seed = draws.seed(opts, 2)
  sampling.of(tts.cfg.generation, copy, copy.seed, 2)
  return setmetatable({tts = tts, opts = copy, batch = batch, held = '', finished = false}, Feed)
end

-- Begins to speak if the settled text is enough. A recording's frames go beside the text, so with
-- one there must be as much text as frames.
local function begin(self)
  local text = self.settled
  if not text:find '%S' then
    if not self.finished then return true end
    return nil, 'text is empty', 'value'
  end
  if not self.finished and self.opts.reference and self.opts.reference.codes then
    local ids = assert(self.tts.tokenizer:encode(self.opts.reference.text .. text))
    if #ids <= #self.opts.reference.codes then return true end
  end
  self.opts.text = text
  local u, err, code = utterance.start(self.tts, self.opts,
    {open = not self.finished, batch = self.batch})
  if not u then return nil, err, code end
  self.speech, err, code = Speech.new(self.tts, u)
  if not self.speech then return nil, err, code end
  self.utterance = u
  return true
end

local function take(self, text)
  if not self.speech then
    self.settled = (self.settled or '') .. text
    return begin(self)
  end
  local u = self.utterance
  if u.ended then return true end
  local ids, err = self.tts.tokenizer:encode(text, {pattern = self.opts.pattern})
  if not ids then return nil, err, 'value' end
  if #ids > 0 or self.finished then u:append(text, ids, self.finished) end
  return true
end

--- More text, cut anywhere, even inside a character. The last word waits for what follows it.
---@param text string
---@return boolean? ok
---@return string? err the text is not UTF-8, or the model cannot begin with what was asked for
---@return string? code
function Feed:write(text)
  check.type(text, 'write', 'string')
  if self.finished then error('write: the feed is finished', 2) end
  self.held = self.held .. text
  local fault = unicode.fault(self.held)
  -- A character may be cut at the end; it has at most 4 bytes.
  if fault and fault <= #self.held - 3 then
    return nil, 'the text that was fed is not valid UTF-8', 'value'
  end
  local n = increment.settled(fault and self.held:sub(1, fault - 1) or self.held)
  if n == 0 then return true end
  text, self.held = self.held:sub(1, n), self.held:sub(n + 1)
  return take(self, text)
end

--- Speaks what is held back now, for a source that pauses. What comes later is tokenized by itself,
--- so flush at the end of a sentence.
---@return boolean? ok
---@return string? err
---@return string? code
function Feed:flush()
  if self.finished then error('flush: the feed is finished', 2) end
  local fault = unicode.fault(self.held)
  local n = fault and fault - 1 or #self.held -- a character may still be cut
  if n == 0 then return true end
  local text
  text, self.held = self.held:sub(1, n), self.held:sub(n + 1)
  local ok, err, code = take(self, text)
  return ok, err, code
end

--- No more text: the rest is spoken to its end.
---@return boolean? ok
---@return string? err
---@return string? code
function Feed:finish()
  if self.finished then return true end
  if unicode.fault(self.held) then
    return nil, 'the text that was fed is not valid UTF-8', 'value'
  end
  local text = self.held
  self.finished, self.held = true, ''
  return take(self, text)
end

--- What can be said so far: `for chunk in feed:chunks() do`. The loop ends when the speech has
--- ended, or waits for text; then write more and loop again. Faults raise.
---@return fun(): ag.Chunk?
function Feed:chunks()
  return function() return self.speech and self.speech:next() end
end

--- Whether all has been said.
---@return boolean
function Feed:done()
  return self.utterance ~= nil and self.utterance.ended ~= nil
    and self.speech.at == self.utterance.frames
end

--- Codes and stats of the speech so far, as of ag.SpeechSoFar; nil before it has begun.
function Feed:stats()
  return self.speech and self.speech:stats()
end

--- Gives up: what the feed holds is free for others. Not needed after the end.
function Feed:close()
  if self.speech then self.speech:close() end
end

check.methods(Feed, 'feed')

return Feed
