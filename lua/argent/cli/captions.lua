-- When it was said, as files: subtitles (SubRip, WebVTT) and the words as JSON.

local common = require 'argent.cli.common'
local json = require 'argent.json'

local M = {}

--- The options of `say` that name such a file.
M.KINDS = {'srt', 'vtt', 'words'}

--- Adds them to a parser.
function M.options(p)
  p:option('--srt', 'Also write subtitles, a cue for each sentence (SubRip).'):argname '<file>'
  p:option('--vtt', 'The same as WebVTT, with the time of each word.'):argname '<file>'
  p:option('--words', 'Also write when each word and sentence is said, as JSON.')
    :argname '<file>'
end

-- Hours, minutes, seconds and milliseconds.
local function clock(seconds, point)
  local ms = math.floor(seconds * 1000 + 0.5)
  return ('%02d:%02d:%02d%s%03d'):format(math.floor(ms / 3600000), math.floor(ms / 60000) % 60,
    math.floor(ms / 1000) % 60, point, ms % 1000)
end

-- A cue's text on one line.
local function line(text)
  return (text:gsub('%s+', ' '))
end

--- Subtitles in the format of SubRip.
---@param a ag.Alignment
---@return string
function M.srt(a)
  local out = {}
  for i, s in ipairs(a.sentences) do
    out[i] = ('%d\n%s --> %s\n%s\n'):format(i, clock(s.start, ','), clock(s.stop, ','),
      line(s.text))
  end
  return table.concat(out, '\n')
end

local ENTITIES = {['&'] = '&amp;', ['<'] = '&lt;', ['>'] = '&gt;'}
local function escaped(text)
  return (text:gsub('[&<>]', ENTITIES))
end

--- Subtitles in the format WebVTT. Inside a cue each word but the first has its time, so that a
--- player can light it up.
---@param a ag.Alignment
---@return string
function M.vtt(a)
  local out, at = {'WEBVTT\n'}, 1
  for _, s in ipairs(a.sentences) do
    local text, cue, from = line(s.text), {}, 1
    while a.words[at] and a.words[at].start < s.stop do
      local w = a.words[at]
      local first, last = text:find(w.text, from, true)
      if not first then break end
      local time = #cue > 0 and w.start > s.start and ('<%s>'):format(clock(w.start, '.')) or ''
      cue[#cue + 1] = escaped(text:sub(from, first - 1)) .. time .. escaped(w.text)
      from, at = last + 1, at + 1
    end
    cue[#cue + 1] = escaped(text:sub(from))
    out[#out + 1] = ('%s --> %s\n%s\n'):format(clock(s.start, '.'), clock(s.stop, '.'),
      table.concat(cue))
  end
  return table.concat(out, '\n')
end

local function rounded(list)
  local out = {}
  for i, w in ipairs(list) do
    out[i] = {text = w.text, start = math.floor(w.start * 1000 + 0.5) / 1000,
      stop = math.floor(w.stop * 1000 + 0.5) / 1000}
  end
  return out
end

--- {"words": [{"text", "start", "stop"}, ...], "sentences": [...], "estimated": bool}, seconds.
---@param a ag.Alignment
---@return string
function M.words(a)
  return json.encode {words = rounded(a.words), sentences = rounded(a.sentences),
    estimated = a.estimated} .. '\n'
end

-- Times in a sound that is heard at another speed.
local function paced(a, speed)
  for _, list in ipairs {a.words, a.sentences} do
    for _, w in ipairs(list) do w.start, w.stop = w.start / speed, w.stop / speed end
  end
end

--- Writes what was asked for.
---@param tts ag.Synthesizer
---@param said ag.SpeechSoFar
---@param args table srt?, vtt?, words?: file names; speed?: of the sound
---@return boolean? ok
---@return string? err
---@return string? code
function M.write(tts, said, args)
  if not (args.srt or args.vtt or args.words) then return true end
  local a, err, code = tts:align(said)
  if not a then return nil, 'word times: ' .. err, code end
  paced(a, args.speed or 1)
  if a.estimated then
    common.note('the word times are estimated: the model has no alignment.json')
  end
  for _, kind in ipairs(M.KINDS) do
    if args[kind] then
      local ok
      ok, err, code = common.write_file(args[kind], M[kind](a))
      if not ok then return nil, err, code end
    end
  end
  return true
end

return M
