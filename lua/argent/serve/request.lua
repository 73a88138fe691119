-- One request and its answer, on a stream of lua-http. Whatever a client does, an answer is whole,
-- or its connection is cut so that the client sees it.

local cqueues = require 'cqueues'
local errno = require 'cqueues.errno'
local headers = require 'http.headers'
local json = require 'argent.json'
local limits = require 'argent.serve.limits'
local posix = require 'argent.posix'

local M = {}

-- How OpenAI's clients call what went wrong.
local TYPES = {
  [401] = 'authentication_error', [403] = 'permission_error', [404] = 'not_found_error',
  [429] = 'rate_limit_error',
}

---@class argent.Request
---@field id string
---@field method string
---@field path string without the query
---@field query string
---@field headers table of lua-http
---@field status integer? of the answer, once it has begun
---@field sent integer bytes of the answer's body
---@field gone boolean the client has left
---@field log table more for its line in the log
local Request = {}
Request.__index = Request

-- Bytes of bodies that requests hold, all together.
local held = 0

local count, start = 0, ('%x'):format(math.floor(posix.now() * 1e3) % 2 ^ 32)

--- Wraps a stream whose headers have been read.
---@param stream table
---@param head table
---@return argent.Request
function M.new(stream, head)
  count = count + 1
  local target = (head:get ':path' or ''):gsub('^https?://[^/]*', '') -- as proxies are asked
  local self = setmetatable({
    stream = stream, headers = head, id = ('req_%s_%d'):format(start, count),
    method = head:get ':method', path = target:match '^[^?#]*',
    query = target:match '%?([^#]*)' or '',
    sent = 0, held = 0, gone = false, log = {}, began = posix.now(), answer = headers.new(),
  }, Request)
  -- Told to close after the answer, lua-http would stop reading when the body is there, and nobody
  -- could see the client leave. The answer says it instead, which closes as well.
  if stream.close_when_done and stream.state == 'open' then
    stream.close_when_done = nil
    self.answer:upsert('connection', 'close')
  end
  return self
end

--- A header, or nil when it is not there or said more than once.
---@param name string lower case
---@return string?
function Request:header(name)
  local values = {self.headers:get(name)}
  return #values == 1 and values[1] or nil
end

-- ---- what comes in ----

--- The body. Its length must be said, once, and is believed only up to the limit.
---@param limit integer bytes
---@return string? body
---@return integer? status of the refusal
---@return string? message
function Request:body(limit)
  if self.headers:get 'transfer-encoding' then
    return nil, 411, 'say the length of the body (Content-Length) instead of sending it in chunks'
  end
  local said = self:header 'content-length'
  local length = said and said:match '^%d+$' and tonumber(said)
  if not length then return nil, 411, 'the request needs one Content-Length' end
  if length > limit then
    return nil, 413, ('the body has %.0f bytes; %d are the limit'):format(length, limit)
  end
  if (self:header 'expect' or ''):lower() == '100-continue' then
    self.stream:write_continue(limits.write)
  end
  local parts, size, deadline = {}, 0, cqueues.monotime() + limits.upload
  while size < length do
    local left = deadline - cqueues.monotime()
    local chunk, err, code = nil, nil, errno.ETIMEDOUT
    if left > 0 then chunk, err, code = self.stream:get_next_chunk(left) end
    if not chunk then
      if code == errno.ETIMEDOUT then return nil, 408, 'the body did not come in time' end
      self.gone = true
      return nil, 400, 'the body ends early' .. (err and ': ' .. tostring(err) or '')
    end
    parts[#parts + 1], size = chunk, size + #chunk
    held, self.held = held + #chunk, self.held + #chunk
    if held > limits.held then
      return nil, 503, 'the server is taking in too much at once; come again'
    end
  end
  self.read = true
  return table.concat(parts)
end

--- Its body is not needed any more.
function Request:release()
  held, self.held = held - self.held, 0
end

--- The body as a JSON object; what is wrong with it has been answered when there is none.
---@param limit integer bytes
---@return table? object
function Request:json(limit)
  local kind = (self:header 'content-type' or ''):lower():match '^%s*([^;%s]*)'
  if kind ~= 'application/json' then
    self:fail(415, 'the body must be JSON, with Content-Type: application/json')
    return nil
  end
  local body, status, message = self:body(limit)
  if not body then
    self:fail(status, message)
    return nil
  end
  local object, err = json.decode(body, 'the body')
  if type(object) ~= 'table' or #object > 0 then
    self:fail(400, err or 'the body must be a JSON object')
    return nil
  end
  return object
end

--- Calls fn when the client leaves before the answer is complete. Bytes of a next request that come
--- early are none of our business: from then on only writing shows who has left.
---@param fn fun()
function Request:watch(fn)
  local socket = self.stream.connection.socket
  cqueues.running():wrap(function()
    while not self.done do
      local ok, _, code = socket:fill(1, 0)
      if self.done or ok then return end
      if code ~= errno.ETIMEDOUT then
        self.gone = true
        fn()
        return
      end
      cqueues.poll({pollfd = socket:pollfd(), events = 'r'}, 1)
    end
  end)
end

-- ---- what goes out ----

--- Begins an answer whose body follows by send.
---@param status integer
---@param fields? table<string, string>
---@return boolean ok
function Request:start(status, fields)
  local h = self.answer
  self.status = status
  h:upsert(':status', ('%d'):format(status))
  h:upsert('x-request-id', self.id)
  h:upsert('x-content-type-options', 'nosniff')
  h:upsert('cache-control', 'no-store')
  for name, value in pairs(fields or {}) do h:upsert(name, value) end
  -- Else lua-http ends a body that has no length by closing the connection, where it closes it, and
  -- a cut would look like the end.
  if not h:get 'content-length' and self.stream.peer_version == 1.1 then
    h:upsert('transfer-encoding', 'chunked')
  end
  local ok = self.stream:write_headers(h, self.method == 'HEAD', limits.write)
  if not ok then self:cut() end
  return ok ~= nil
end

--- Sends a part of the body.
---@param bytes string
---@return boolean ok false: the client has left, or does not read
function Request:send(bytes)
  if self.done then return false end
  if bytes == '' or self.method == 'HEAD' then return true end
  local ok, _, code = self.stream:write_chunk(bytes, false, limits.write)
  if ok then
    self.sent = self.sent + #bytes
    return true
  end
  self.log.cut = self.log.cut or code == errno.ETIMEDOUT and 'the client did not read'
    or 'the client has left'
  self:cut()
  return false
end

--- Ends a body that is complete.
function Request:finish()
  if self.done then return end
  self.done = true
  if self.method ~= 'HEAD' then self.stream:write_chunk('', true, limits.write) end
end

--- Ends an answer that is not complete: the connection is closed without the end of the body, so
--- nobody takes it for whole.
function Request:cut()
  if self.done then return end
  self.done = true
  local socket = self.stream.connection.socket
  if socket then socket:shutdown 'rw' end
end

--- A whole answer.
---@param status integer
---@param body string
---@param fields? table<string, string>
function Request:respond(status, body, fields)
  fields = fields or {}
  fields['content-length'] = ('%d'):format(#body)
  if not self:start(status, fields) then return end
  if self:send(body) then self:finish() end
end

--- A whole answer in JSON.
function Request:reply(status, object, fields)
  fields = fields or {}
  fields['content-type'] = 'application/json'
  self:respond(status, json.encode(object), fields)
end

--- An answer that says what is wrong, as OpenAI's clients read it. Where the body of the request
--- has not been read, the connection ends with it.
---@param status integer
---@param message string
---@param more? {param: string?, code: string?, headers: table<string, string>?}
function Request:fail(status, message, more)
  more = more or {}
  local fields = more.headers or {}
  local unread = self.method == 'POST' and not self.read
  if unread then fields.connection = 'close' end
  if status == 503 and not fields['x-should-retry'] then
    fields['retry-after'] = ('%d'):format(limits.retry)
  end
  -- What is wrong with a field may quote it, and the log holds nothing that users say.
  self.log.error = self.log.error or more.code or more.param and 'invalid ' .. more.param or message
  self:reply(status, {error = {
    message = message, type = TYPES[status] or status >= 500 and 'server_error'
      or 'invalid_request_error',
    param = more.param or json.null, code = more.code or json.null,
  }}, fields)
end

return M
