-- What a request for speech asks for: OpenAI's fields, and our own under `argent`. Everything is
-- checked here, so that what reaches the library is no misuse of it; a field that is not known is
-- refused by its name.

local check = require 'argent.check'
local encoder = require 'argent.audio.encoder'
local json = require 'argent.json'
local limits = require 'argent.serve.limits'
local speed = require 'argent.audio.speed'
local suggest = require 'argent.text.suggest'
local unicode = require 'argent.text.unicode'

local M = {}

local OPENAI = {'model', 'input', 'voice', 'instructions', 'response_format', 'speed',
  'stream_format', 'argent'}
-- What may stand for the model that is served: its own name, and what OpenAI's clients say.
local ALIASES = {['tts-1'] = true, ['tts-1-hd'] = true, ['gpt-4o-mini-tts'] = true}

local function integer(lo, hi)
  return function(v)
    return type(v) == 'number' and v % 1 == 0 and v >= lo and v <= hi,
      ('an integer from %.0f to %.0f'):format(lo, hi)
  end
end

local function number(lo, hi)
  return function(v)
    return type(v) == 'number' and v >= lo and v <= hi, ('a number from %g to %g'):format(lo, hi)
  end
end

local function boolean(v) return type(v) == 'boolean', 'true or false' end

local function text(v) return type(v) == 'string', 'a string' end

local function one_of(...)
  local list = {...}
  return function(v)
    for _, choice in ipairs(list) do
      if v == choice then return true end
    end
    return false, 'one of ' .. table.concat(list, ', ')
  end
end

--- What fields may be: functions of a value that say whether it is so, and what is expected.
M.kinds = {
  integer = integer, number = number, boolean = boolean, text = text, one_of = one_of,
  list = function(v) return type(v) == 'table' and (#v > 0 or next(v) == nil), 'a list' end,
  object = function(v) return type(v) == 'table' and #v == 0, 'an object' end,
}

--- Our own fields, by their names in the library.
M.OWN = {
  seed = integer(0, 2 ^ 53), stream = integer(0, 2 ^ 31 - 1), language = text,
  layout = one_of('whole', 'stream'), split = one_of('auto', 'off'),
  max_frames = integer(1, limits.frames),
  greedy = boolean, talker_greedy = boolean, predictor_greedy = boolean,
  temperature = number(1e-3, 1e3), top_k = integer(0, 2 ^ 20), top_p = number(0, 1),
  repetition_penalty = number(1e-3, 1e3),
  predictor_temperature = number(1e-3, 1e3), predictor_top_k = integer(0, 2 ^ 20),
  predictor_top_p = number(0, 1),
}

--- The keys of a table, sorted.
---@param set table
---@return string[]
local function names(set)
  local list = {}
  for name in pairs(set) do list[#list + 1] = name end
  table.sort(list)
  return list
end

-- Raised inside this file, and caught in read.
local Refusal = {}

local function refuse(param, fmt, ...)
  local message = ('%s: %s'):format(param, fmt:format(...))
  error(setmetatable({param = param, message = message, status = 400}, Refusal), 0)
end

local function known(object, list, prefix)
  for _, key in ipairs(names(object)) do
    key = tostring(key)
    local found = false
    for _, name in ipairs(list) do found = found or name == key end
    if not found then
      local guess = suggest.closest(key, list)
      refuse(prefix .. key:sub(1, 64):gsub('%c', '?'), 'unknown field%s (known: %s)',
        guess and (', did you mean %s?'):format(guess) or '', table.concat(list, ', '))
    end
  end
end

local function get(object, key)
  local v = object[key]
  if v ~= json.null then return v end
end

local function expect(object, key, valid, prefix)
  local v = get(object, key)
  if v == nil then return nil end
  local ok, expected = valid(v)
  if not ok then
    refuse((prefix or '') .. key, 'expected %s, got %s', expected,
      type(v) == 'table' and 'an object' or check.show(v):gsub('%c', '?'))
  end
  return v
end

local function input_of(app, object)
  local input = expect(object, 'input', text)
  if not input or not input:find '%S' then refuse('input', 'there is no text to speak') end
  local fault = unicode.fault(input)
  if fault then refuse('input', 'is not valid UTF-8 at byte %d', fault) end
  local _, continued = input:gsub('[\128-\191]', '')
  if #input - continued > app.max_input then
    refuse('input', 'has %d characters; %d are the limit', #input - continued, app.max_input)
  end
  return input
end

local function voice_of(object)
  local voice = get(object, 'voice')
  if type(voice) == 'table' then
    known(voice, {'id'}, 'voice.')
    voice = expect(voice, 'id', text, 'voice.')
  end
  if type(voice) ~= 'string' then refuse('voice', 'expected a name, or {"id": "voice_..."}') end
  return voice
end

M.names, M.refuse, M.known, M.expect = names, refuse, known, expect

--- Refuses a model that is not the one which is served.
---@param asked any the field
---@param served string
---@param aliases table<string, true> what OPENAI's clients call it
function M.model(asked, served, aliases)
  if asked == nil or asked == json.null then
    refuse('model', 'is missing; this server has %s', served)
  end
  if asked ~= served and not aliases[asked] then
    error(setmetatable({param = 'model', status = 404, message = ("model: there is no model '%s'; "
      .. 'this server has %s'):format(asked:sub(1, 100):gsub('%c', '?'), served)}, Refusal), 0)
  end
end

local function read(app, object, accept)
  known(object, OPENAI, '')
  M.model(expect(object, 'model', text), app.model, ALIASES)
  local asked = {options = {}}
  local o = asked.options
  o.text = input_of(app, object)
  local instruct = expect(object, 'instructions', text)
  if instruct and #instruct > limits.instructions then
    refuse('instructions', 'has %d bytes; %d are the limit', #instruct, limits.instructions)
  end
  asked.voice = voice_of(object)
  local voice, err = app.voices:get(asked.voice)
  if not voice then refuse('voice', '%s', err) end
  o.voice, o.reference, o.instruct = voice.voice, voice.reference, voice.instruct
  if instruct and instruct ~= '' then
    o.instruct = o.instruct and o.instruct ~= '' and o.instruct .. ' ' .. instruct or instruct
  end
  asked.format = expect(object, 'response_format', one_of(unpack(encoder.FORMATS))) or accept
  asked.speed = expect(object, 'speed', number(speed.SLOWEST, speed.FASTEST)) or 1
  asked.sse = expect(object, 'stream_format', one_of('audio', 'sse')) == 'sse'
  local own = expect(object, 'argent', function(v)
    return type(v) == 'table' and #v == 0, 'an object'
  end) or {}
  known(own, names(M.OWN), 'argent.')
  for name, valid in pairs(M.OWN) do o[name] = expect(own, name, valid, 'argent.') end
  return asked
end

--- Runs a function that reads fields; what it refuses is a value.
---@param fn fun(...): any
---@return any? result
---@return string? err
---@return string? param the field
---@return integer? status
function M.guarded(fn, ...)
  local ok, asked = pcall(fn, ...)
  if ok then return asked end
  if getmetatable(asked) ~= Refusal then error(asked, 0) end
  return nil, asked.message, asked.param, asked.status
end

--- Reads the JSON of a request for texts or vectors; answers it itself where it is refused.
---@param app argent.App
---@param request argent.Request
---@param limit integer bytes of its body
---@param fn fun(app: argent.App, object: table): table
---@return table? asked
function M.asked(app, request, limit, fn)
  local object = request:json(limit)
  if not object then return nil end
  local asked, err, param, status = M.guarded(fn, app, object)
  if not asked then
    request:fail(status, err, {param = param, code = status == 404 and 'model_not_found' or nil})
  end
  return asked
end

--- Reads a request for speech.
---@param app argent.App
---@param object table decoded JSON
---@param accept? string the format where the object names none
---@return {options: ag.Speech, voice: string, format: string, speed: number, sse: boolean}? asked
---@return string? err
---@return string? param the field
---@return integer? status
function M.read(app, object, accept)
  return M.guarded(read, app, object, accept or 'mp3')
end

return M
