-- When each word of a text was said. The talker's attention says which token it spoke in each
-- frame; the most likely way through the tokens that never turns back gives the times.

local attended = require 'argent.qwen3_tts.attended'
local ffi = require 'ffi'
local sentences = require 'argent.text.sentences'
local unicode = require 'argent.text.unicode'
local words = require 'argent.text.words'

local M = {}

-- Tokens that a frame may move on by, and what each one that is passed over costs (nats).
local FASTEST, PASSED_OVER = 4, 1.0
local LEAST = 1e-4 -- of a frame's attention: what a token has that got none

---@class ag.TimedWord
---@field text string with its punctuation
---@field start number seconds from the beginning of the sound
---@field stop number

---@class ag.Alignment
---@field words ag.TimedWord[]
---@field sentences ag.TimedWord[]
---@field parts {text: string, start: number, stop: number}[] exact
---@field estimated boolean the words' times come from heads that were guessed
---@field paths {weights: number[][], path: integer[], words: {text: string, token: integer}[]}[] of
---each part: attention of each frame to each token, the token, from 1, that it is taken to have
---spoken, and the token at which each word begins
---@field heads {layer: integer, head: integer}[] whose attention it is, counted from 0

--- The most likely way through the tokens.
---@param weights ffi.cdata* [F * N]
---@param F integer
---@param N integer
---@param begin integer the first token that may be spoken, from 0
---@return integer[] tokens of each frame, from 0
function M.path(weights, F, N, begin)
  if F == 0 or N == 0 then return {} end
  local from = ffi.new('uint8_t[?]', F * N)
  local score, next_score = ffi.new('double[?]', N), ffi.new('double[?]', N)
  for j = 0, N - 1 do
    score[j] = j < begin and -math.huge
      or math.log(weights[j] + LEAST) - PASSED_OVER * (j - begin)
  end
  for f = 1, F - 1 do
    for j = 0, N - 1 do
      local best, step = -math.huge, 0
      for k = 0, math.min(FASTEST, j) do
        local s = score[j - k] - PASSED_OVER * math.max(0, k - 1)
        if s > best then best, step = s, k end
      end
      next_score[j] = best + math.log(weights[f * N + j] + LEAST)
      from[f * N + j] = step
    end
    score, next_score = next_score, score
  end
  local at, best = N - 1, -math.huge
  for j = 0, N - 1 do -- it is to end with the text
    local s = score[j] - PASSED_OVER * (N - 1 - j)
    if s >= best then best, at = s, j end
  end
  local path = {}
  for f = F - 1, 0, -1 do
    path[f + 1] = at
    at = at - from[f * N + at]
  end
  return path
end

-- The frame, with its fraction, at which the speech comes to token j: the path says between which
-- frames, and where between their middles the attention has gone over by half.
local function arrival(a, path, j)
  local F, N, f = a.frames, a.tokens, 1
  while f <= F and path[f] < j do f = f + 1 end
  if f == 1 then return 0 end
  if f > F then return F end
  local function over(frame)
    local mass = 0
    for k = j, N - 1 do mass = mass + a.weights[(frame - 1) * N + k] end
    return mass
  end
  local before, after = over(f - 1), over(f)
  local share = after > before and (0.5 - before) / (after - before) or 0.5
  return f - 1.5 + math.min(1, math.max(0, share))
end

-- The first byte of each token in the text of the prompt, from 1, at its first letter if it begins
-- with a space; and that text, in NFC as the tokenizer gives it.
local function places(tokenizer, ids)
  local at, first, pieces = 1, {}, {}
  for i, id in ipairs(ids) do
    local piece = tokenizer:decode {id}
    local space = piece:match '^%s*'
    first[i] = at + (#space < #piece and #space or 0)
    pieces[i], at = piece, at + #piece
  end
  return first, table.concat(pieces)
end

-- The words of a part, each with the tokens, from 0, that begin it and that follow its sound.
local function words_of(u, part, prompt)
  local first, text = places(u.tts.tokenizer, prompt.text_ids)
  local before = u.parts[part - 1] or ''
  -- The prompt drops white space in front of it.
  local skip = #unicode.nfc(before .. u.parts[part]) - #text
  local begin = math.max(0, #unicode.nfc(before) - skip)
  local function token_at(byte) -- the first that begins there or later
    for i, b in ipairs(first) do
      if b >= byte then return i - 1 end
    end
    return #first
  end
  local list, own = words.list(text), {}
  for _, w in ipairs(list) do
    if w.first > begin then
      own[#own + 1] = {text = w.text, last = w.last - begin, from = token_at(w.first),
        to = token_at(w.spoken + 1)}
    end
  end
  return own, token_at(begin + 1), text:sub(begin + 1)
end

-- Adds the times of one part; the utterance begins `before` seconds into the sound.
local function align_part(u, part, delay, before, out)
  local a, err, code = attended.of(u, part)
  if not a then return nil, err, code end
  local rate = u.tts.codec.rate / u.tts.codec.samples_per_frame
  local base, total = u.starts[part] + before * rate, u.frames / rate + before
  local function seconds(frames)
    return math.min(total, (base + frames) / rate + delay)
  end
  local own, begin, text = words_of(u, part, a.prompt)
  local path = M.path(a.weights, a.frames, a.tokens, begin)
  local timed, latest = {}, 0
  local function at_token(j) -- where several begin in one frame their order is kept
    latest = math.max(latest, j < a.tokens and arrival(a, path, j) or a.frames)
    return seconds(latest)
  end
  for i, w in ipairs(own) do
    local start = at_token(w.from)
    timed[i] = {text = w.text, start = start, stop = at_token(w.to), last = w.last}
  end
  out.parts[#out.parts + 1] = {text = u.parts[part], start = base / rate,
    stop = (base + a.frames) / rate}

  -- A sentence lasts from its first word to its last, those at the part's ends to these.
  local list, at, byte = sentences.split(text), 1, 0
  for i, s in ipairs(list) do
    byte = byte + #s
    local first = at
    while timed[at] and (timed[at].last <= byte or i == #list) do at = at + 1 end
    if at > first then
      out.sentences[#out.sentences + 1] = {text = (s:gsub('^%s+', ''):gsub('%s+$', '')),
        start = first == 1 and base / rate or timed[first].start,
        stop = at > #timed and (base + a.frames) / rate or timed[at - 1].stop}
    end
  end
  for _, w in ipairs(timed) do
    w.last = nil
    out.words[#out.words + 1] = w
  end
  local weights = {}
  for f = 1, a.frames do
    weights[f] = {}
    for j = 1, a.tokens do weights[f][j] = a.weights[(f - 1) * a.tokens + j - 1] end
    path[f] = path[f] + 1
  end
  local marks = {}
  for i, w in ipairs(own) do marks[i] = {text = w.text, token = w.from + 1} end
  out.paths[#out.paths + 1] = {weights = weights, path = path, words = marks}
  out.heads, out.estimated = a.heads, a.estimated
  return true
end

--- When the words and the sentences of utterances were said whose sounds follow each other.
---@param utterances ag.Utterance[] of one model
---@return ag.Alignment?
---@return string? err
---@return string? code
function M.of(utterances)
  local alignment, err, code = attended.alignment(utterances[1].tts)
  if alignment == nil then return nil, err, code end
  local out, before = {words = {}, sentences = {}, parts = {}, paths = {}}, 0
  for _, u in ipairs(utterances) do
    for part = 1, #u.starts do
      local ok
      ok, err, code = align_part(u, part, alignment and alignment.delay or 0, before, out)
      if not ok then return nil, err, code end
    end
    local codec = u.tts.codec
    before = before + u.frames * codec.samples_per_frame / codec.rate
  end
  return out
end

return M
