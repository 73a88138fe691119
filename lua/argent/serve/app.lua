-- What the server does with a request: whether it may, which route it takes, and its line in the
-- log. The routes of a script (--lua FILE) stand beside our own.

local condition = require 'cqueues.condition'
local cqueues = require 'cqueues'
local errno = require 'cqueues.errno'
local headers = require 'http.headers'
local json = require 'argent.json'
local keys = require 'argent.serve.keys'
local limits = require 'argent.serve.limits'
local log = require 'argent.serve.log'
local makers = require 'argent.serve.makers'
local metrics = require 'argent.serve.metrics'
local page = require 'argent.serve.page'
local posix = require 'argent.posix'
local request_of = require('argent.serve.request').new
local speech = require 'argent.serve.speech'
local voices = require 'argent.serve.voices'
local websocket = require 'argent.serve.websocket'

-- The least that long work gets between two frames, seconds; and the longest that it waits for one,
-- as speech may end without one.
local SLICE, LONGEST_WAIT = 0.002, 0.5

---@class argent.App
---@field tts ag.Synthesizer
---@field scheduler ag.Scheduler
---@field model string the name that it is served by
---@field voices argent.Voices `app.voices:add(name, {voice = ...})` adds one
---@field steer fun(options: ag.Speech, request: argent.Request)? called with the options of each
---request for speech before it waits; may change them, give hooks, or raise to refuse it
---@field metrics argent.Metrics
---@field served string[] the names of all models that are served
---@field others {busy: (fun(self): boolean), step: fun(self), clear: fun(self)}[] what is worked on
---between two frames of speech
---@field stopping boolean no new requests are taken
local App = {}
App.__index = App

--- An app for a model.
---@param tts ag.Synthesizer
---@param scheduler ag.Scheduler
---@param opts {model: string, keys: string[]?, cors: string?, log_text: boolean?, max_input:
---integer?}
---@return argent.App
function App.new(tts, scheduler, opts)
  local self = setmetatable({
    tts = tts, scheduler = scheduler, model = opts.model, keys = opts.keys, cors = opts.cors,
    log_text = opts.log_text, max_input = opts.max_input or limits.input, routes = {},
    voices = voices.new(tts), metrics = metrics.new(), stopping = false, running = 0,
    frame = condition.new(), turn = condition.new(), served = {opts.model}, others = {},
    started = os.time(), seeds = math.floor(posix.now() * 1e6) % 2 ^ 32,
  }, App)
  self:route('GET', '/', page.get)
  self:route('GET', '/health', App.health)
  self:route('GET', '/metrics', App.show_metrics)
  self:route('GET', '/v1/models', App.models)
  self:route('POST', '/v1/audio/speech', speech.handle)
  self:route('GET', '/v1/audio/speech/stream', websocket.handle)
  self:route('GET', '/v1/audio/voices', makers.list)
  self:route('POST', '/v1/audio/voices', makers.create)
  return self
end

--- Adds a route, or replaces one.
---@param method string
---@param path string the whole path
---@param handler fun(app: argent.App, request: argent.Request)
function App:route(method, path, handler)
  self.routes[path] = self.routes[path] or {}
  self.routes[path][method] = handler
end

--- A seed for a request that names none.
---@return integer
function App:seed()
  self.seeds = (self.seeds + 1) % 2 ^ 32
  return self.seeds
end

--- How long a client should wait whom a full queue has sent away, seconds.
---@return integer
function App:wait_time()
  return math.max(limits.retry, math.min(60, #self.scheduler.waiting))
end

-- Where somebody speaks, long work goes on for half a frame's time before it waits for the next
-- frame; else it lets other requests in.
local function pauses(self, request)
  local since = posix.now()
  return function()
    if request.gone then error('the client has left', 0) end
    if posix.now() - since < math.max(self.scheduler.pace / 2, SLICE) then return end
    if self.scheduler:busy() then self.frame:wait(LONGEST_WAIT) else cqueues.sleep(0) end
    since = posix.now()
  end
end

--- Runs what is long beside a frame, one at a time, as it may need much scratch.
---@param request argent.Request
---@param fn fun(pause: fun()): ... calls pause between pieces of some milliseconds; it raises when
---the client has left
---@return ... what fn returns; nil, err, 'gone' when the client has left
function App:work(request, fn)
  while self.working do self.turn:wait() end
  self.working = true
  local pause = pauses(self, request)
  local function done(ok, ...)
    self.working = false
    self.turn:signal(1)
    if ok then return ... end
    if request.gone then return nil, 'the client has left', 'gone' end
    error((...), 0)
  end
  return done(pcall(function()
    pause()
    return fn(pause)
  end))
end

--- Asks for a text to be spoken, after the script has had its say.
---@param options ag.Speech
---@param request argent.Request
---@param how string 'submit', or 'feed' for text that comes in pieces
---@return ag.Ticket?
---@return string? err
---@return string? code
function App:submit(options, request, how)
  if self.stopping then return nil, 'the server is stopping', 'stopping' end
  if self.steer then
    local ok, err = pcall(self.steer, options, request)
    if not ok then return nil, tostring(err), 'value' end
  end
  local reference = options.reference
  if reference and reference.codes and not (reference.prepared and reference.prepared.primed) then
    local ok, err, code = self:work(request, function(pause)
      return self.tts:prepare(reference, pause)
    end)
    if not ok then return nil, err, code end
  end
  local ticket, err, code = self.scheduler[how](self.scheduler, options)
  if ticket then ticket.asked = request.began end
  return ticket, err, code
end

--- Whether the page that sends a request may. Browsers let any page open a WebSocket or send a form
--- anywhere; they say which page it is.
---@param request argent.Request
---@return boolean
function App:admits(request)
  local origin = request:header 'origin'
  return not origin or origin == self.cors or self.cors == '*'
    or origin:match '^https?://(.*)$' == request:header ':authority'
end

-- ---- small routes ----

function App:health(request)
  request:reply(self.stopping and 503 or 200, {
    status = self.stopping and 'stopping' or 'ok', model = self.model,
    rows = self.scheduler.rows, speaking = #self.scheduler.speaking,
    waiting = #self.scheduler.waiting,
  })
end

function App:models(request)
  local data = {}
  for i, name in ipairs(self.served) do
    data[i] = {id = name, object = 'model', created = self.started, owned_by = 'argent'}
  end
  request:reply(200, {object = 'list', data = data})
end

function App:show_metrics(request)
  local m, s = self.metrics, self.scheduler
  m:set('argent_queue_waiting', #s.waiting)
  m:set('argent_rows_speaking', #s.speaking)
  m:set('argent_rows', s.rows)
  m:set('argent_connections', self.listener and self.listener.n_connections or 0)
  request:respond(200, m:text(), {['content-type'] = 'text/plain; version=0.0.4'})
end

-- ---- the way of a request ----

-- Names of routes in metrics: paths that do not exist are one.
local function label(self, path)
  if self.routes[path] then return path end
  return path:find '^/v1/audio/voices/' and '/v1/audio/voices/{id}' or 'other'
end

local function find(self, request)
  local of = self.routes[request.path]
  if of then
    local method = request.method == 'HEAD' and of.GET and 'GET' or request.method
    if of[method] then return of[method] end
    local allowed = {}
    for name in pairs(of) do allowed[#allowed + 1] = name end
    table.sort(allowed)
    return nil, allowed
  end
  local id = request.path:match '^/v1/audio/voices/([%w_%-]+)$'
  if id then
    if request.method ~= 'DELETE' then return nil, {'DELETE'} end
    return function(app, r) makers.delete(app, r, id) end
  end
end

-- The page and the health may be had without a key: there is nothing of anybody in them.
local OPEN = {['/'] = true, ['/health'] = true}

local function answer(self, request)
  if self.cors then
    request.answer:upsert('access-control-allow-origin', self.cors)
    request.answer:upsert('access-control-expose-headers', 'x-request-id, x-argent-seed')
  end
  if self.cors and request.method == 'OPTIONS' then
    request:respond(200, '', {
      ['access-control-allow-methods'] = 'GET, POST, DELETE',
      ['access-control-allow-headers'] = 'authorization, content-type',
      ['access-control-max-age'] = '600',
    })
    return
  end
  if self.keys and not OPEN[request.path]
    and not keys.admit(self.keys, request:header 'authorization') then
    request:fail(401, 'the request needs a key of this server: Authorization: Bearer KEY',
      {code = 'invalid_api_key', headers = {['www-authenticate'] = 'Bearer'}})
    return
  end
  local handler, allowed = find(self, request)
  if handler then
    handler(self, request)
    if not request.done and not request.status then error('the handler has not answered', 0) end
  elseif allowed then
    request:fail(405, ('%s is not among the methods of %s: %s'):format(request.method,
      request.path:sub(1, 100), table.concat(allowed, ', ')),
      {headers = {allow = table.concat(allowed, ', ')}})
  else
    request:fail(404, 'there is no such path', {code = 'not_found'})
  end
end

-- What went wrong inside is for the log; the client learns that it did.
local function failed(request, err)
  request.log.fault = tostring(err)
  if request.status then
    request:cut()
  else
    request:fail(500, 'an internal error; the log of the server has more under this request id',
      {headers = {['x-should-retry'] = 'false'}})
  end
end

-- Ends a connection whose request has not been read to its end. What is still coming is read for a
-- moment, so that the client gets the answer and no reset. lua-http's own way would wait for ever
-- for the end of a body of no valid length.
local function abandon(stream)
  local socket = stream.connection.socket
  if socket then
    socket:shutdown 'w'
    local deadline, size = cqueues.monotime() + limits.linger, 0
    repeat
      local bytes = socket:xread(-65536, 'b', deadline - cqueues.monotime())
      size = size + (bytes and #bytes or 0)
    until not bytes or size > limits.body or cqueues.monotime() >= deadline
    socket:shutdown 'rw'
  end
  if stream.state ~= 'closed' then stream:set_state 'closed' end
end

-- The headers of a request that cannot be read: answered where it has got that far.
local function unreadable(stream, code)
  if stream.state ~= 'open' then return end
  local request = request_of(stream, headers.new())
  request.method = request.method or 'GET'
  request:fail(code == errno.E2BIG and 431 or code == errno.ETIMEDOUT and 408 or 400,
    'the headers of the request cannot be read', {headers = {connection = 'close'}})
end

--- Answers what comes on a stream of lua-http.
---@param stream table
function App:serve(stream)
  local began = posix.now()
  local read, head, _, code = pcall(stream.get_headers, stream, limits.head)
  if not read or not head then
    pcall(unreadable, stream, code)
    abandon(stream)
    return
  end
  local request = request_of(stream, head)
  self.running = self.running + 1
  local ok, err = pcall(answer, self, request)
  if not ok then pcall(failed, request, err) end
  if stream.state ~= 'closed' and request.status ~= 101 then abandon(stream) end
  self.running = self.running - 1
  request:release()
  local line = request.log
  line.id, line.method, line.path = request.id, request.method, request.path:sub(1, 200)
  line.status, line.bytes = request.status or 0, request.sent
  line.ms = math.floor((posix.now() - began) * 1e3 + 0.5)
  self.metrics:add('argent_requests_total', 1, ('route="%s",status="%d"'):format(
    label(self, request.path), line.status))
  local written, bad = pcall(log.write, line)
  if not written then log.write {id = request.id, fault = json.encode(tostring(bad))} end
end

return App
