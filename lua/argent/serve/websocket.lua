-- GET /v1/audio/speech/stream, a WebSocket: text comes in pieces, sound goes out while it comes.
-- The client sends JSON texts: {"type": "start", ...} with the fields of a request for speech but
-- for input, then {"type": "text", "text": "..."} as often as it likes, at last {"type": "end"}. It
-- gets sound as binary messages, and at the end {"type": "done", ...} or {"type": "error", ...}.

local cqueues = require 'cqueues'
local errno = require 'cqueues.errno'
local fields = require 'argent.serve.fields'
local json = require 'argent.json'
local limits = require 'argent.serve.limits'
local speech = require 'argent.serve.speech'
local unicode = require 'argent.text.unicode'
local websocket = require 'http.websocket'

local M = {}

-- Seconds for a frame that has begun to come, and between two looks for whether speech has ended.
local PING, LOOK = 0.1, 0.5

-- lua-http believes the length that a frame says. This stands between it and the socket, and
-- refuses frames that are longer than a message may be, or more of them than a speech may have.
local Bounded = {}

function Bounded:fill(n, timeout)
  if n > limits.message or self.total > limits.pieces then
    self.over = true
    return nil, 'the message is too long', 90 -- EMSGSIZE
  end
  return self.socket:fill(n, timeout)
end

function Bounded:xread(n, ...)
  if type(n) == 'number' then self.total = self.total + n end
  return self.socket:xread(n, ...)
end

local function bounded(socket)
  return setmetatable({socket = socket, total = 0}, {__index = function(_, name)
    if Bounded[name] then return Bounded[name] end
    local method = socket[name]
    return type(method) == 'function' and function(_, ...) return method(socket, ...) end or method
  end})
end

local function send(ws, object)
  return ws:send(json.encode(object), 'text', limits.write)
end

local function fail(ws, message, param, code)
  send(ws, {type = 'error', error = {message = message, type = 'invalid_request_error',
    param = param or json.null, code = code or json.null}})
  return nil
end

-- The next message of the client as an object; nil when there is none, with err when it is no good.
local function receive(ws, timeout)
  local text, kind, code = ws:receive(timeout)
  if not text and ws.socket.over then return nil, 'the messages are too long' end
  if not text then return nil, code == errno.ETIMEDOUT and 'no message came in time' or nil end
  if kind ~= 'text' then return nil, 'messages are JSON texts' end
  local object = json.decode(text, 'the message')
  if type(object) ~= 'table' or #object > 0 or type(object.type) ~= 'string' then
    return nil, 'a message is a JSON object with a type: start, text or end'
  end
  return object
end

-- Reads how to speak, and asks for it.
local function start(app, ws, request)
  local object, err = receive(ws, limits.text)
  if not object then return fail(ws, err or 'nothing came') end
  if object.type ~= 'start' then return fail(ws, 'the first message has the type start') end
  object.type, object.input = nil, '.' -- the text comes later
  local asked, message, param = fields.read(app, object, 'pcm')
  if not asked then return fail(ws, message, param) end
  local o = asked.options
  for _, name in ipairs {'text', 'layout', 'split'} do o[name] = nil end
  o.seed = o.seed or app:seed()
  local ticket, voiced, code
  ticket, err, code = app:submit(o, request, 'feed')
  if not ticket then return fail(ws, err, nil, code) end
  voiced, err, code = speech.voiced(ticket, asked.format, asked.speed, function(reason)
    request.log.cut = reason
    ws.socket:shutdown 'rw'
  end)
  if not voiced then
    ticket:cancel()
    return fail(ws, err, nil, code)
  end
  return ticket, voiced, asked
end

-- Behind the end of the text there are pings to answer, and a client that may leave.
local function attend(ws, ticket)
  while not ticket.ended do
    local ok, _, code = ws.socket:fill(1, 0)
    if ok then
      ws:receive(PING)
      if ws.readyState == 3 then return 'gone' end
    elseif code ~= errno.ETIMEDOUT then
      return 'gone'
    else
      cqueues.poll({pollfd = ws.socket:pollfd(), events = 'r'}, LOOK)
    end
  end
end

-- Takes text until the client says that it is all; returns why it is not good.
local function take_text(app, ws, ticket)
  local characters = 0
  while not ticket.ended do
    local object, err = receive(ws, limits.text)
    if not object then return err or 'gone' end
    if object.type == 'end' then
      ticket:finish()
      return attend(ws, ticket)
    elseif object.type ~= 'text' or type(object.text) ~= 'string' then
      return 'expected {"type": "text", "text": "..."} or {"type": "end"}'
    elseif unicode.fault(object.text) then
      return 'text: is not valid UTF-8'
    end
    characters = characters + #object.text
    if characters > app.max_input then
      return ('text: more than %d bytes in all'):format(app.max_input)
    end
    ticket:write(object.text)
  end
end

-- Sends the sound of a ticket, and how it ended.
local function send_sound(ws, voiced, request)
  while true do
    local bytes, err, code = voiced:next()
    if err and voiced.why == 'gone' then return nil end
    if err then
      if voiced.why then err, code = voiced.why, nil end
      request.log.error = err
      return fail(ws, err, nil, code)
    end
    if not bytes then break end
    if bytes ~= '' and not ws:send(bytes, 'binary', limits.write) then return nil end
    request.sent = request.sent + #bytes
  end
  local stats = voiced.ticket:stats()
  send(ws, {type = 'done', frames = stats.frames, seconds = stats.seconds, seed = stats.seed})
end

local function converse(app, ws, request)
  local ticket, voiced, asked = start(app, ws, request)
  if not ticket then return end
  cqueues.running():wrap(function()
    local ok, why = pcall(take_text, app, ws, ticket)
    if not ok then request.log.fault, why = tostring(why), 'an internal error' end
    if why and not ticket.ended then
      voiced.why = why
      ticket:cancel()
    end
  end)
  local done, fault = pcall(send_sound, ws, voiced, request)
  voiced:close()
  if not done then error(fault, 0) end
  request.log.ended, request.log.voice = ticket.ended, asked.voice:sub(1, 64)
  app.metrics:add('argent_speech_ended_total', 1, ('how="%s"'):format(ticket.ended))
end

--- Answers the request that opens a WebSocket.
---@param app argent.App
---@param request argent.Request
function M.handle(app, request)
  if not app:admits(request) then
    request:fail(403, 'this server does not speak with pages of other places')
    return
  end
  local ws, err = websocket.new_from_stream(request.stream, request.headers)
  if not ws then
    request:fail(426, 'this is a WebSocket: ' .. tostring(err), {headers = {
      upgrade = 'websocket', connection = 'upgrade'}})
    return
  end
  request.status, request.done = 101, true
  if not ws:accept({}, limits.write) then return end
  ws.socket = bounded(ws.socket)
  ws.close_timeout = 1
  local ok, fault = pcall(converse, app, ws, request)
  if not ok then request.log.fault = tostring(fault) end
  ws:close(ok and 1000 or 1011, nil, ws.close_timeout)
end

return M
