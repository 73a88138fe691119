-- Starts `argent serve` and talks to it, also as no well-behaved client would.

local command = require 'support.command'
local json = require 'argent.json'
local posix = require 'argent.posix'

local M = {}

--- Whether the server's libraries are here; else why its specs are pending.
---@return boolean ok
---@return string? why
function M.available()
  if pcall(require, 'http.server') then return true end
  return false, 'lua-http is not installed'
end

--- A Python that has OpenAI's client; else why the specs of it are pending.
---@return string? exe
---@return string? why
function M.openai()
  for _, exe in ipairs {os.getenv 'ARGENT_PYTHON' or '', command.root
    .. '/build/openai/bin/python'} do
    if exe ~= '' and os.execute(command.quote(exe) .. " -c 'import openai' 2>/dev/null") == 0 then
      return exe
    end
  end
  return nil, "Python with the package openai is not here: python3 -m venv build/openai && "
    .. 'build/openai/bin/pip install openai'
end

local Server = {}
Server.__index = Server

local function slurp(path)
  local f = assert(io.open(path, 'rb'))
  local s = f:read '*a'
  f:close()
  return s
end

local function sleep(seconds)
  require('cqueues').sleep(seconds)
end
M.sleep = sleep

--- Starts a server on a port that is free.
---@param args string[] more arguments
---@param before? string shell commands for the process first, such as a ulimit
---@return table server with port, request, raw, lines, signal, wait, stop
function M.start(args, before)
  local self = setmetatable({log = os.tmpname(), out = os.tmpname()}, Server)
  local words = {}
  for i, a in ipairs(args) do words[i] = command.quote(a) end
  -- Nothing of the person who runs the specs may show. What is left of a spec that fails ends by
  -- itself after some minutes.
  local script, pid = os.tmpname(), os.tmpname()
  local f = assert(io.open(script, 'wb'))
  f:write(('( echo $BASHPID >%s; ulimit -t 300; %s exec env -u ARGENT_MODEL HOME=/nonexistent %s '
    .. 'serve --port 0 %s 2>%s ) & wait $!; echo $? >%s; rm -f %s %s\n'):format(pid, before or '',
    command.quote(command.exe), table.concat(words, ' '), self.log, self.out, script, pid))
  f:close()
  os.execute(('bash %s </dev/null >/dev/null 2>&1 &'):format(script))
  local limit = posix.now() + 60
  repeat
    sleep(0.02)
    for line in slurp(self.log):gmatch '[^\n]+' do
      local port = line:match '"url":"%w+://.*:(%d+)/"'
      self.port = tonumber(port)
    end
    if slurp(self.out) ~= '' then error('the server has ended: ' .. slurp(self.log)) end
  until self.port or posix.now() > limit
  assert(self.port, 'the server does not listen: ' .. slurp(self.log))
  self.pid = tonumber(slurp(pid))
  return self
end

--- A connection: a socket of cqueues in blocking mode.
function Server:connect()
  local socket = require 'cqueues.socket'
  local s = assert(socket.connect('127.0.0.1', self.port))
  s:setmode('bn', 'bn')
  s:onerror(function(_, _, code) return code end)
  return s
end

--- Sends bytes and reads all that comes until the server closes or `timeout` (10 s) is over.
---@return string
function Server:raw(bytes, timeout)
  local s = self:connect()
  s:settimeout(timeout or 10)
  s:write(bytes)
  s:flush()
  local parts = {}
  while true do
    local part = s:read(-65536)
    if not part then break end
    parts[#parts + 1] = part
  end
  s:close()
  return table.concat(parts)
end

-- The parts of a chunked body, joined; false when it is not whole.
local function unchunk(body)
  local parts, at = {}, 1
  while true do
    local hex, stop = body:match('^(%x+)\r\n()', at)
    if not hex then return table.concat(parts), false end
    local n = tonumber(hex, 16)
    if n == 0 then return table.concat(parts), true end
    parts[#parts + 1] = body:sub(stop, stop + n - 1)
    if #parts[#parts] < n then return table.concat(parts), false end
    at = stop + n + 2
  end
end

--- Parses an answer.
---@return {status: integer, headers: table<string, string>, body: string, whole: boolean}?
function M.parse(text)
  local status, head, body = text:match '^HTTP/1%.1 (%d+)[^\r\n]*\r\n(.-)\r\n\r\n(.*)$'
  if not status then return nil end
  local r = {status = tonumber(status), headers = {}, whole = true}
  for name, value in (head .. '\r\n'):gmatch '([^:\r\n]+): *([^\r\n]*)\r\n' do
    r.headers[name:lower()] = value
  end
  if (r.headers['transfer-encoding'] or ''):find 'chunked' then
    r.body, r.whole = unchunk(body)
  else
    r.body = body
    r.whole = #body == tonumber(r.headers['content-length'])
  end
  return r
end

--- The bytes of a request.
---@param method string
---@param path string
---@param body? string|table JSON
---@param headers? table<string, string>
function M.bytes(method, path, body, headers)
  local h = {Host = 'localhost', Connection = 'close'}
  if type(body) == 'table' then
    body, h['Content-Type'] = json.encode(body), 'application/json'
  end
  if body then h['Content-Length'] = tostring(#body) end
  for k, v in pairs(headers or {}) do h[k] = v end
  local lines = {('%s %s HTTP/1.1'):format(method, path)}
  for k, v in pairs(h) do
    if v ~= '' then lines[#lines + 1] = k .. ': ' .. v end
  end
  return table.concat(lines, '\r\n') .. '\r\n\r\n' .. (body or '')
end

--- Asks, and reads the answer.
function Server:request(method, path, body, headers, timeout)
  local text = self:raw(M.bytes(method, path, body, headers), timeout or 60)
  local r = assert(M.parse(text), ('no answer to %s %s: %q'):format(method, path, text:sub(1, 80)))
  if (r.headers['content-type'] or ''):find '^application/json' and r.body ~= '' then
    r.json = json.decode(r.body, 'the answer')
  end
  return r
end

--- Asks for speech; fields replace those of a small request.
function Server:speak(fields, headers, timeout)
  local o = {model = 'tts-1', voice = self.voice or 'ryan', input = 'One two.',
    response_format = 'wav', argent = {seed = 1, max_frames = 6}}
  for k, v in pairs(fields or {}) do o[k] = v end
  return self:request('POST', '/v1/audio/speech', o, headers, timeout)
end

--- The lines of the log so far, as objects.
function Server:lines()
  local list = {}
  for line in slurp(self.log):gmatch '[^\n]+' do
    list[#list + 1] = json.decode(line, 'the log') or {text = line}
  end
  return list
end

--- Waits until the log has a line that `pick` accepts.
function Server:line(pick, seconds)
  local limit = posix.now() + (seconds or 20)
  repeat
    for _, line in ipairs(self:lines()) do
      if pick(line) then return line end
    end
    sleep(0.02)
  until posix.now() > limit
  error('the log has no such line: ' .. slurp(self.log))
end

function Server:signal(name)
  os.execute(('kill -%s %d'):format(name, self.pid))
end

--- Bytes that are resident.
function Server:resident()
  local pages = slurp(('/proc/%d/statm'):format(self.pid)):match '^%d+ (%d+)'
  return tonumber(pages) * posix.page_size()
end

--- Waits for the end.
---@return integer exit_code
function Server:wait(seconds)
  local limit = posix.now() + (seconds or 20)
  repeat
    local code = tonumber(slurp(self.out))
    if code then return code end
    sleep(0.02)
  until posix.now() > limit
  error('the server does not end: ' .. slurp(self.log))
end

--- Stops it, however.
function Server:stop()
  if slurp(self.out) == '' then
    self:signal 'TERM'
    self:signal 'TERM'
    if not pcall(self.wait, self, 10) then self:signal 'KILL' end
  end
  os.remove(self.log)
  os.remove(self.out)
end

return M
