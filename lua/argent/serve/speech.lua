-- POST /v1/audio/speech: text in, sound out while it is made.

local condition = require 'cqueues.condition'
local data_url = require 'argent.audio.data_url'
local encoder = require 'argent.audio.encoder'
local fields = require 'argent.serve.fields'
local json = require 'argent.json'
local limits = require 'argent.serve.limits'
local speed = require 'argent.audio.speed'

local M = {}

--- The media type of each format.
M.TYPES = {
  mp3 = 'audio/mpeg', opus = 'audio/ogg; codecs=opus', ogg = 'audio/ogg', flac = 'audio/flac',
  wav = 'audio/wav', pcm = 'audio/pcm',
}

-- The first format of the Accept header that is made here; nil for none.
local function accepted(request)
  local accept = request:header 'accept' or ''
  for kind in accept:gmatch '[^,;%s]+' do
    for format, name in pairs(M.TYPES) do
      if kind:lower() == name:match '^[^;]*' and format ~= 'ogg' then return format end
    end
  end
end

-- Why a ticket could not be had, as a status.
local REFUSED = {busy = 429, value = 400, memory = 400, capacity = 400, stopping = 503}

local function refuse(app, request, err, code, begun)
  local status = not begun and REFUSED[code] or 500
  app.metrics:add('argent_refused_total', 1, ('reason="%s"'):format(code or 'internal'))
  request:fail(status, tostring(err), {code = code, headers = {
    ['retry-after'] = status == 429 and ('%d'):format(app:wait_time()) or nil,
    ['x-should-retry'] = status ~= 429 and 'false' or nil,
  }})
end

---@class argent.Voiced the sound of a ticket as bytes of a format
---@field ticket ag.Ticket
---@field why string? why it was given up before its end
local Voiced = {}
Voiced.__index = Voiced

-- Those whose readers may not have taken everything.
local open = {}

-- Speech may be made faster than it is read. Where all that waits for readers is too much, the one
-- with the most is given up.
local function bound_unread()
  local bytes, most = 0, nil
  for voiced in pairs(open) do
    local n = voiced.ticket.ready * 4
    bytes = bytes + n
    if not most or n > most.ticket.ready * 4 then most = voiced end
  end
  if bytes > limits.unread then most:give_up 'the client does not keep up' end
end

--- Bytes of a ticket's sound.
---@param ticket ag.Ticket
---@param format string
---@param pace number
---@param drop fun(why: string) cuts the connection, when its reader is too slow
function M.voiced(ticket, format, pace, drop)
  local rate = ticket.tts.codec.rate
  local self = setmetatable({ticket = ticket, format = format, rate = rate, drop = drop,
    news = condition.new()}, Voiced)
  local err, code
  self.speed, err, code = speed.new(rate, pace)
  if not self.speed then return nil, err, code end
  open[self] = true
  function ticket.notify()
    self.news:signal()
    bound_unread()
  end
  return self
end

-- The encoder holds descriptors, so those that wait for a row have none.
local function encode(self, ptr, n)
  local err, code
  if not self.encoder then
    self.encoder, err, code = encoder.new(self.format, self.rate)
    if not self.encoder then return nil, err, code end
  end
  return self.encoder:write(ptr, n)
end

--- Gives up, whatever its reader does.
---@param why string
function Voiced:give_up(why)
  self.why = why
  self:close()
  self.drop(why)
end

--- The next bytes, waited for; nil at the end, with err when that is no good one.
---@return string? bytes
---@return string? err
---@return string? code
function Voiced:next()
  while true do
    local chunk, ended = self.ticket:take(), self.ticket.ended
    if chunk then
      local ptr, n = self.speed:write(chunk.samples:host())
      local bytes, err, code = encode(self, ptr, n)
      chunk.samples:release()
      if not bytes or bytes ~= '' then return bytes, err, code end
    elseif not ended then
      self.news:wait()
    elseif self.over then
      return nil
    else
      self.over = true
      if self.why then return nil, self.why end
      if ended == 'failed' then return nil, tostring(self.ticket.err), self.ticket.code end
      if ended == 'runaway' then
        return nil, self.ticket.tts.runaway_message(self.ticket:stats()), 'runaway'
      elseif ended == 'cancelled' then
        return nil, 'the server is stopping', 'stopping'
      end
      local ptr, n = self.speed:finish()
      local last, err, code = encode(self, ptr, n)
      if not last then return nil, err, code end
      return last .. self.encoder:finish()
    end
  end
end

--- Lets go of what it holds. Safe to call more than once.
function Voiced:close()
  open[self] = nil
  self.ticket:cancel()
  for chunk in function() return self.ticket:take() end do chunk.samples:release() end
  if self.encoder then self.encoder:close() end
end

local function usage(app, ticket, text)
  local ids = app.tts.tokenizer:encode(text) or {}
  local frames = ticket:stats().frames
  return {input_tokens = #ids, output_tokens = frames, total_tokens = #ids + frames}
end

-- How bytes go out: as they are, or as events.
local function event(object)
  return 'data: ' .. json.encode(object) .. '\n\n'
end

local function delta(bytes)
  return event {type = 'speech.audio.delta', audio = data_url.base64(bytes)}
end

-- Sends what the ticket brings. An answer is begun with the first sound, so that what fails before
-- it is a plain error; what fails later cuts the connection.
local function stream(request, voiced, asked, head)
  local begun = false
  for _ in function() return not request.gone end do
    local bytes, err, code = voiced:next()
    if request.gone then return true end
    if err and not begun then return nil, err, code end
    if err then
      if asked.sse then
        request:send(event {type = 'error', error = {message = err, code = code or json.null}})
      end
      request.log.error = err
      request:cut()
      return true
    end
    if not bytes then return true, begun end
    if not begun then
      begun = true
      if not request:start(200, head) then return true end
    end
    if not request:send(asked.sse and delta(bytes) or bytes) then return true end
  end
  return true
end

-- For clients of HTTP/1.0, which cannot tell a cut answer from a whole one: all of it at once.
local function whole(request, voiced, asked, head)
  local parts = {}
  while not request.gone do
    local bytes, err, code = voiced:next()
    if err then return nil, err, code end
    if not bytes then break end
    parts[#parts + 1] = bytes
  end
  local body = table.concat(parts)
  if asked.format == 'wav' then
    body = encoder.wav_header(voiced.ticket.tts.codec.rate, #body - 44) .. body:sub(45)
  end
  request:respond(200, body, head)
  return true
end

-- What the log says of speech.
local function note(app, request, ticket, asked)
  local log, stats = request.log, ticket:stats()
  log.ended, log.voice, log.format = ticket.ended, asked.voice:sub(1, 64), asked.format
  log.characters, log.seed = #asked.options.text, ticket.options.seed
  if app.log_text then log.text = asked.options.text end
  if stats then
    log.frames, log.seconds = stats.frames, stats.seconds
    log.queue_ms = math.floor((ticket.utterance.began - request.began) * 1e3)
    log.notes = #stats.notes > 0 and stats.notes or nil
  end
  app.metrics:add('argent_speech_ended_total', 1, ('how="%s"'):format(ticket.ended))
end

--- Answers a request for speech.
---@param app argent.App
---@param request argent.Request
function M.handle(app, request)
  local object = request:json(limits.body)
  if not object then return end
  local asked, err, param, status = fields.read(app, object, accepted(request))
  if not asked then
    request:fail(status, err, {param = param, code = status == 404 and 'model_not_found' or nil})
    return
  end
  if asked.sse and request.stream.peer_version == 1.0 then
    request:fail(400, 'stream_format: sse needs HTTP/1.1', {param = 'stream_format'})
    return
  end
  local code, ticket
  asked.options.seed = asked.options.seed or app:seed()
  request:watch(function() if ticket then ticket:cancel() end end)
  ticket, err, code = app:submit(asked.options, request, 'submit')
  if request.gone then
    if ticket then ticket:cancel() end
    request:cut()
    return
  end
  if not ticket then
    refuse(app, request, err, code)
    return
  end
  local voiced
  voiced, err, code = M.voiced(ticket, asked.format, asked.speed, function(why)
    request.log.cut = why
    request:cut()
  end)
  if not voiced then
    ticket:cancel()
    refuse(app, request, err, code)
    return
  end
  local head = {
    ['content-type'] = asked.sse and 'text/event-stream' or M.TYPES[asked.format],
    ['x-argent-seed'] = ('%.0f'):format(asked.options.seed),
  }
  local send = request.stream.peer_version == 1.0 and whole or stream
  local done, ok, begun
  done, ok, err, code = pcall(send, request, voiced, asked, head)
  if not done then
    voiced:close()
    error(ok, 0)
  end
  begun = err
  if ok and begun == true and not request.done then
    if asked.sse then
      request:send(event {type = 'speech.audio.done', usage = usage(app, ticket,
        asked.options.text)})
    end
    request:finish()
  end
  voiced:close()
  note(app, request, ticket, asked)
  if request.gone then request:cut()
  elseif not ok then refuse(app, request, err, code, true) end
end

return M
