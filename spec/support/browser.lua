-- A headless Chromium, driven by its DevTools protocol over a WebSocket.

local command = require 'support.command'
local json = require 'argent.json'
local posix = require 'argent.posix'

local M = {}

local Browser = {}
Browser.__index = Browser

--- Whether there is one; else why its specs are pending.
function M.available()
  if not pcall(require, 'http.websocket') then return false, 'lua-http is not installed' end
  if not command.has 'chromium' then
    return false, 'chromium is not installed'
  end
  return true
end

local function slurp(path)
  local f = assert(io.open(path, 'rb'))
  local s = f:read '*a'
  f:close()
  return s
end

--- Opens one with a window of so many pixels.
function M.open(width, height)
  local self = setmetatable({profile = os.tmpname(), log = os.tmpname(), count = 0, events = {}},
    Browser)
  os.remove(self.profile)
  os.execute(('timeout 120 chromium --headless --no-sandbox --disable-gpu --mute-audio '
    .. '--autoplay-policy=no-user-gesture-required --remote-debugging-port=0 '
    .. '--user-data-dir=%s --window-size=%d,%d about:blank >/dev/null 2>%s </dev/null &')
    :format(self.profile, width, height, self.log))
  local limit = posix.now() + 60
  local port
  repeat
    require('cqueues').sleep(0.1)
    port = slurp(self.log):match 'DevTools listening on ws://127%.0%.0%.1:(%d+)/'
  until port or posix.now() > limit
  assert(port, 'chromium does not start: ' .. slurp(self.log))
  local request = require 'http.request'
  local url
  repeat
    local _, stream = assert(request.new_from_uri(('http://127.0.0.1:%s/json/list'):format(port))
      :go(10))
    for _, page in ipairs(json.decode(assert(stream:get_body_as_string(10)), 'the list')) do
      if page.type == 'page' then url = page.webSocketDebuggerUrl end
    end
  until url or posix.now() > limit
  self.ws = require('http.websocket').new_from_uri(url)
  assert(self.ws:connect(10))
  return self
end

--- Calls a method of the protocol and returns its result.
function Browser:call(method, params)
  self.count = self.count + 1
  local id = self.count
  assert(self.ws:send(json.encode {id = id, method = method, params = params or {}}, 'text', 10))
  while true do
    local message = json.decode(assert(self.ws:receive(30)), 'message')
    if message.id == id then
      assert(not message.error, json.encode(message))
      return message.result
    end
    self.events[#self.events + 1] = message
  end
end

--- The value of an expression in the page.
function Browser:eval(expression)
  local r = self:call('Runtime.evaluate', {expression = expression, awaitPromise = true,
    returnByValue = true})
  assert(not r.exceptionDetails, json.encode(r))
  return r.result.value
end

--- Waits until an expression holds.
function Browser:wait(expression, seconds)
  local limit = posix.now() + (seconds or 30)
  while not self:eval('!!(' .. expression .. ')') do
    assert(posix.now() < limit, expression .. ' does not come true')
    require('cqueues').sleep(0.05)
  end
end

--- Presses a key.
function Browser:key(key, code, modifiers, text)
  for _, kind in ipairs {'keyDown', 'keyUp'} do
    self:call('Input.dispatchKeyEvent', {type = kind, key = key, code = key,
      windowsVirtualKeyCode = code, modifiers = modifiers or 0, text = kind == 'keyDown' and text
      or nil})
  end
end

--- A PNG of the page.
function Browser:screenshot()
  return require('basexx').from_base64(self:call('Page.captureScreenshot',
    {format = 'png'}).data)
end

function Browser:close()
  pcall(self.call, self, 'Browser.close')
  os.execute('sleep 0.3; rm -rf ' .. self.profile .. ' ' .. self.log)
end

return M
