-- /v1/audio/voices: which voices there are, and new ones from a recording (Base models) or a
-- description (VoiceDesign models).

local json = require 'argent.json'
local limits = require 'argent.serve.limits'
local multipart = require 'argent.serve.multipart'
local read_sound = require 'argent.audio.read'
local unicode = require 'argent.text.unicode'

local M = {}

local FIELDS = {type = true, name = true, consent = true, audio_sample = true, prompt = true,
  text = true, model = true, script_hint = true}

local function object_of(v)
  return {
    object = 'audio.voice', id = v.id, name = v.name, created_at = v.created, type = v.type,
    prompt = v.type == 'prompt' and v.instruct or nil,
  }
end

--- GET: all voices.
function M.list(app, request)
  local data = json.array {}
  for _, v in ipairs(app.voices.list) do data[#data + 1] = object_of(v) end
  request:reply(200, {object = 'list', data = data, languages = app.tts:languages()})
end

-- The fields of the request, from a form or from JSON; nil when it has been answered.
local function read(request)
  local kind = request:header 'content-type' or ''
  if not kind:lower():find '^%s*multipart/form%-data' then
    local object = request:json(limits.body)
    if not object then return nil end
    local form = {}
    for name, value in pairs(object) do
      if type(value) ~= 'string' then
        request:fail(400, name .. ': expected a string', {param = name})
        return nil
      end
      form[name] = {value = value}
    end
    return form
  end
  local body, status, message = request:body(limits.recording)
  if not body then
    request:fail(status, message)
    return nil
  end
  local form, err = multipart.parse(kind, body)
  if not form then request:fail(400, err) end
  return form
end

-- The voice of a recording. Frames of those who speak are made between pieces of the work.
local function clone(app, request, bytes, text)
  return app:work(request, function(pause)
    local samples, err, code = read_sound.read({bytes = bytes}, {backend = app.tts.backend,
      rate = app.tts.codec.rate, max_seconds = limits.recording_seconds, pause = pause})
    if not samples then return nil, err, code end
    local reference
    reference, err, code = app.tts:clone {audio = samples, text = text, pause = pause}
    samples:release()
    return reference, err, code
  end)
end

-- What the voice is made of; nil, err, param when that cannot be.
local function make(app, request, form, value)
  local kind, model = value 'type', app.tts.cfg.kind
  if kind == 'audio_sample' then
    if model ~= 'base' then
      return nil, ('a voice from a recording needs a Base model; this one is %s'):format(model),
        'type'
    elseif not form.audio_sample then
      return nil, 'audio_sample: the recording is missing', 'audio_sample'
    elseif not value 'consent' then
      return nil, 'consent: say who has agreed to this use of the voice, or the id of the consent',
        'consent'
    elseif #(value 'text' or '') > limits.transcript then
      return nil, ('text: has %d bytes; %d are the limit'):format(#value 'text', limits.transcript),
        'text'
    end
    local reference, err = clone(app, request, form.audio_sample.value, value 'text')
    if not reference then return nil, 'audio_sample: ' .. err, 'audio_sample' end
    return {reference = reference}
  elseif kind == 'prompt' then
    if model ~= 'voice_design' then
      return nil, ('a voice from a description needs a VoiceDesign model; this one is %s')
        :format(model), 'type'
    elseif not value 'prompt' or #value 'prompt' > limits.instructions then
      return nil, ('prompt: expected a description of at most %d bytes'):format(
        limits.instructions), 'prompt'
    end
    return {instruct = value 'prompt'}
  end
  return nil, 'type: expected audio_sample or prompt', 'type'
end

--- POST: a new voice.
function M.create(app, request)
  if not app.keys and not app:admits(request) then
    request:fail(403, 'this server does not speak with pages of other places')
    return
  end
  local form = read(request)
  if not form then return end
  local function value(name)
    local v = form[name] and form[name].value
    return v ~= '' and v or nil
  end
  for name, field in pairs(form) do
    if not FIELDS[name] then
      request:fail(400, ('%s: unknown field'):format(name:sub(1, 64):gsub('%c', '?')),
        {param = name:sub(1, 64)})
      return
    elseif name ~= 'audio_sample' and unicode.fault(field.value) then
      request:fail(400, name .. ': is not valid UTF-8', {param = name})
      return
    end
  end
  local name = value 'name'
  if not name or #name > 64 or name:find '%c' then
    request:fail(400, 'name: expected a name of at most 64 bytes', {param = 'name'})
    return
  end
  request:watch(function() end)
  local voice, err, param = make(app, request, form, value)
  if request.gone then
    request:cut()
    return
  end
  if not voice then
    request:fail(400, err, {param = param})
    return
  end
  voice.type = value 'type'
  voice, err = app.voices:keep(name, voice)
  if not voice then
    request:fail(409, err, {param = 'name', headers = {['x-should-retry'] = 'false'}})
    return
  end
  request.log.voice, request.log.consent = voice.id, value 'consent'
  request:reply(200, object_of(voice))
end

--- DELETE /v1/audio/voices/ID.
function M.delete(app, request, id)
  if not app.voices:delete(id) then
    request:fail(404, 'there is no voice of that id that a client has made', {param = 'voice_id'})
    return
  end
  request:reply(200, {object = 'audio.voice.deleted', id = id, deleted = true})
end

return M
