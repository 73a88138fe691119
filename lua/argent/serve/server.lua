-- The server: it listens, and goes round and round between its clients and its rows. HTTP happens
-- between two frames, on one thread. A signal drains it, a second one stops it.

local condition = require 'cqueues.condition'
local cqueues = require 'cqueues'
local http_server = require 'http.server'
local limits = require 'argent.serve.limits'
local log = require 'argent.serve.log'
local posix = require 'argent.posix'
local signal = require 'cqueues.signal'

local M = {}

-- Rounds of the event loop between two frames, and between two passes of the codec: a request goes
-- through several coroutines.
local ROUNDS = 8
-- While it drains it looks so often whether all is done, seconds.
local LOOK = 0.05
local FOLLOW = 0.1

--- From here on SIGINT and SIGTERM wait until the server looks for them. To be called before there
--- are threads, which would take them otherwise.
function M.hold_signals()
  signal.block(signal.SIGTERM, signal.SIGINT)
end

---@class argent.Server
---@field app argent.App
---@field cq table the controller of cqueues
---@field listener table of lua-http
local Server = {}
Server.__index = Server

-- A context for TLS from files in PEM.
local function context(cert, key)
  local x509, pkey = require 'openssl.x509', require 'openssl.pkey'
  local chain_of = require 'openssl.x509.chain'
  local function slurp(path)
    local f, err = io.open(path, 'rb')
    if not f then return nil, err end
    local text
    text, err = f:read '*a'
    f:close()
    if not text then return nil, ('%s: %s'):format(path, err or 'cannot be read') end
    return text
  end
  local certs, err = slurp(cert)
  if not certs then return nil, err, 'io' end
  local private
  private, err = slurp(key)
  if not private then return nil, err, 'io' end
  local ctx = require('http.tls').new_server_context()
  local ok, fault = pcall(function()
    local chain, first = chain_of.new(), nil
    for pem in certs:gmatch '%-%-%-%-%-BEGIN CERTIFICATE%-%-%-%-%-.-END CERTIFICATE%-%-%-%-%-' do
      local one = x509.new(pem)
      if first then chain:add(one) else first = one end
    end
    ctx:setCertificate(assert(first, 'no certificate in it'))
    if #certs > 0 then ctx:setCertificateChain(chain) end
    ctx:setPrivateKey(pkey.new(private))
  end)
  if not ok then
    return nil, ('%s, %s: cannot be used for TLS: %s'):format(cert, key, tostring(fault)), 'io'
  end
  return ctx
end

-- How many connections there may be at once: each has a socket and perhaps the two ends of its
-- encoder's pipe, and some descriptors are for all else.
local function connections()
  return math.max(1, math.min(limits.connections, math.floor((posix.most_files() - 64) / 3)))
end

-- lua-http waits for ever for the first byte of a connection. Here one has so long for it, or, when
-- there are as many connections as there may be, until all that came before it have spoken or gone.
local function expect_bytes(listener)
  local add, silent = listener.add_socket, {}
  function listener.add_socket(self, socket)
    self.n_connections = self.n_connections + 1
    local place = {news = condition.new(), given_up = false}
    silent[#silent + 1] = place
    self.cq:wrap(function()
      local bytes = {pollfd = socket:pollfd(), events = 'r'}
      local came = not place.given_up
        and cqueues.poll(bytes, place.news, limits.keep_alive) == bytes
      for i, other in ipairs(silent) do
        if other == place then table.remove(silent, i) end
      end
      self.n_connections = self.n_connections - 1
      if came then
        add(self, socket)
      else
        socket:close()
        self.connection_done:signal(1)
      end
    end)
    if self.n_connections >= self.max_concurrent then
      silent[1].given_up = true
      silent[1].news:signal()
    end
    return true
  end
end

--- Listens.
---@param app argent.App
---@param opts {host: string, port: integer, tls_cert: string?, tls_key: string?}
---@return argent.Server? server
---@return string? err
---@return string? code 'io'
function M.listen(app, opts)
  local ctx, err, code
  if opts.tls_cert then
    ctx, err, code = context(opts.tls_cert, opts.tls_key)
    if not ctx then return nil, err, code end
  end
  local cq = cqueues.new()
  local listener
  listener, err = http_server.listen {
    cq = cq, host = opts.host, port = opts.port, tls = ctx ~= nil, ctx = ctx, version = 1.1,
    reuseaddr = true, max_concurrent = connections(),
    connection_setup_timeout = limits.head, intra_stream_timeout = limits.keep_alive,
    onstream = function(_, stream) app:serve(stream) end,
    onerror = function() end, -- of a client's connection, which nobody else has to know of
  }
  local ok = listener ~= nil
  if ok then ok, err = listener:listen() end
  if not ok then
    return nil, ('cannot listen on %s port %d: %s'):format(opts.host, opts.port, tostring(err)),
      'io'
  end
  expect_bytes(listener)
  app.listener = listener
  local _, host, port = listener:localname()
  return setmetatable({app = app, cq = cq, listener = listener, host = host, port = port,
    scheme = ctx and 'https' or 'http'}, Server)
end

-- The first signal ends what is new, the second all.
local function on_signal(self)
  if self.app.stopping then
    self.stopped = true
    return
  end
  self.app.stopping = true
  log.write {event = 'stopping', speaking = #self.app.scheduler.speaking,
    waiting = #self.app.scheduler.waiting}
  self.listener:pause()
end

local function heed_signals(self)
  local waiter = signal.listen(signal.SIGTERM, signal.SIGINT)
  self.cq:wrap(function()
    while true do
      waiter:wait()
      on_signal(self)
    end
  end)
end

-- A coroutine that fails ends itself alone.
local function step(self, timeout)
  local ok, err = self.cq:step(timeout)
  if not ok then log.write {event = 'fault', fault = tostring(err)} end
end

-- What clients say, and what they are told.
local function listen(self)
  for _ = 1, ROUNDS do step(self, 0) end
end

-- What is raised on the way of all is nobody's own fault: it ends those who speak or wait, and the
-- server goes on.
local function advance(self, s)
  local ok, err = pcall(s.step, s, function() listen(self) end)
  if ok then return end
  log.write {event = 'fault', fault = tostring(err)}
  for _, list in ipairs {s.waiting, s.speaking} do
    for _, ticket in ipairs {unpack(list)} do
      ticket:conclude('failed', 'an internal error; the log of the server has more', 'internal')
    end
  end
  s:clear()
end

-- A frame of all who speak, and what it says of the server.
local function speak(self)
  local app = self.app
  local s, m, began = app.scheduler, app.metrics, posix.now()
  local frames, seconds = 0, 0
  local before = {}
  for _, t in ipairs(s.speaking) do before[t] = {t.utterance.frames, t.speech.samples} end
  local speaking = {unpack(s.speaking)}
  advance(self, s)
  for _, t in ipairs(s.speaking) do
    if not before[t] then
      speaking[#speaking + 1] = t
      before[t] = {0, 0}
    end
  end
  for _, t in ipairs(speaking) do
    frames = frames + t.utterance.frames - before[t][1]
    seconds = seconds + (t.speech.samples - before[t][2]) / t.speech.rate
    if before[t][2] == 0 and t.speech.samples > 0 and t.asked then
      m:first_audio(posix.now() - t.asked)
    end
  end
  local took = posix.now() - began
  m:add('argent_frames_total', frames)
  m:add('argent_speech_seconds_total', seconds)
  m:add('argent_work_seconds_total', took)
  if frames > 0 then
    local function follow(name, value)
      local v = m.values[name]['']
      m:set(name, v and v + FOLLOW * (value - v) or value)
    end
    follow('argent_frames_per_second', frames / took)
    follow('argent_real_time_factor', took / (0.08 * frames))
  end
end

-- A round of all that there is to be done; false: nothing.
local function work(self)
  local app, any = self.app, false
  if app.scheduler:busy() then
    speak(self)
    app.frame:signal()
    any = true
  end
  for _, other in ipairs(app.others) do
    if other:busy() then
      other:step()
      any = true
    end
  end
  return any
end

--- Serves until a signal has come and all is done.
---@return integer exit_code
function Server:run()
  heed_signals(self)
  local app = self.app
  while not self.stopped do
    listen(self)
    if not work(self) then
      if app.stopping and app.running == 0 then break end
      step(self, app.stopping and LOOK or nil)
    end
  end
  if self.stopped then
    app.scheduler:clear()
    for _, other in ipairs(app.others) do other:clear() end
    listen(self)
  end
  log.write {event = 'stopped', dropped = app.running}
  return self.stopped and 143 or 0
end

return M
