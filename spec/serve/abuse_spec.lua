-- Five hundred requests that no good client sends: each is refused or its connection closed, the
-- server goes on, and its memory does not grow. And clients that vanish, stall and flood.

local golden = require 'support.golden'
local json = require 'argent.json'
local server = require 'support.server'
local st = require 'support.st'

local available, why = server.available()

local GOOD = {model = 'tts-1', voice = 'ryan', input = 'One.', response_format = 'pcm',
  argent = {seed = 1, max_frames = 3}}

local function post(body, headers)
  local h = {['Content-Type'] = 'application/json'}
  for k, v in pairs(headers or {}) do h[k] = v end
  return server.bytes('POST', '/v1/audio/speech', body, h)
end

-- A body with a field replaced, as JSON text that may be no JSON.
local function with(field, text)
  local o = {}
  for k, v in pairs(GOOD) do o[k] = v end
  o[field] = '@@'
  return (json.encode(o):gsub('"@@"', (text:gsub('%%', '%%%%'))))
end

-- Kinds of requests: kind(i) are the bytes of the i-th.
local KINDS = {
  {'methods', function(i)
    local m = ({'BREW', 'get', 'P@ST', 'CONNECT', 'TRACE', 'PATCH', 'PUT', '', ('A'):rep(5000),
      'GET\0'})[i % 10 + 1]
    return m .. ' /v1/audio/speech HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'
  end},
  {'request lines', function(i)
    return ({'GET\r\n\r\n', '\0\0\0\0', 'GET / HTTP/9.9\r\n\r\n', 'GET  / HTTP/1.1\r\n\r\n',
      'GET /' .. ('a'):rep(10000) .. ' HTTP/1.1\r\n\r\n', ('x'):rep(70000), '\r\n\r\n\r\n\r\n',
      'GET / HTTP/1.1\nHost: x\n\n', '\22\3\1\2\0\1\0\1\252', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'})
      [i % 10 + 1]
  end},
  {'header lines', function(i)
    local h = ({'no colon', ': no name', 'a b: c', 'A: ' .. ('v'):rep(9000), 'A: b\0c',
      'Content-Length : 5', ('n'):rep(9000) .. ': v', '\255\254: v', 'A:\r\n b', 'X: \r\r\n'})
      [i % 10 + 1]
    return 'POST /v1/audio/speech HTTP/1.1\r\nHost: x\r\nConnection: close\r\n' .. h .. '\r\n\r\n'
  end},
  {'ten thousand headers', function(i)
    return 'GET /v1/audio/speech HTTP/1.1\r\nHost: x\r\n' .. ('X-%d: y\r\n'):format(i):rep(10000)
      .. '\r\n'
  end},
  {'lengths', function(i)
    local v = ({'-1', 'abc', '1e3', '99999999999999999999', '1048577', '5, 5', '0x10', '', '+5',
      '5\r\nContent-Length: 6'})[i % 10 + 1]
    return 'POST /v1/audio/speech HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n'
      .. 'Connection: close\r\nContent-Length: ' .. v .. '\r\n\r\n{}{}{}'
  end},
  {'chunked bodies', function(i)
    local body = ({'5\r\n{"a":\r\n0\r\n\r\n', 'ffffffff\r\nx', 'zz\r\n\r\n', '-5\r\n', '5\r\nabc'})
      [i % 5 + 1]
    return 'POST /v1/audio/speech HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n'
      .. 'Connection: close\r\nTransfer-Encoding: ' .. (i % 3 == 0 and 'gzip, ' or '')
      .. 'chunked\r\n\r\n' .. body
  end},
  {'encodings of a transfer', function(i)
    return 'POST /v1/audio/speech HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: '
      .. ({'banana', '\1', 'chunked, chunked', 'identity', ';;;'})[i % 5 + 1] .. '\r\n\r\n{}'
  end},
  {'content types', function(i)
    return post(json.encode(GOOD), {['Content-Type'] = ({'text/plain', '', 'application/jsonx',
      'multipart/form-data', 'application/x-www-form-urlencoded'})[i % 5 + 1]})
  end},
  {'no JSON', function(i)
    return post(({'', '{', '[]', 'null', '"text"', '{"a":1,}', '{"a"}', '\255\254', 'NaN',
      ('{"a":'):rep(100) .. '1' .. ('}'):rep(100), ('['):rep(100000), '{"input":"\\ud800"}',
      '{"input":"a\0b"', ('{"a":1}'):rep(3), '{"input":' .. ('1'):rep(1000) .. '}'})[i % 15 + 1])
  end},
  {'fields', function(i)
    return post(({with('input', '"\255"'), with('input', '[1]'), with('input', '{}'),
      with('input', '1e308'), with('input', '"' .. ('x'):rep(5000) .. '"'), with('voice', '7'),
      with('voice', '{"id": 5}'), with('voice', '["a"]'), with('voice', '"../../etc/passwd"'),
      with('voice', '"a\\u0000b"'), with('speed', '-1'), with('speed', '1e999'),
      with('speed', '"fast"'), with('argent', '[1]'), with('argent', '{"seed": -1}'),
      with('argent', '{"hooks": {}}'), with('argent', '{"reference": "/etc/passwd"}'),
      with('argent', '{"max_frames": 0}'), with('model', '5'), with('model', '"/etc"'),
      with('response_format', '"../x"'), with('response_format', '{}'),
      with('stream_format', '[]'), with('instructions', '5'), with('nothing', '1')})[i % 25 + 1])
  end},
  {'half a body', function(i)
    local text = post(json.encode(GOOD))
    return text:sub(1, -2 - i % 40)
  end},
  {'forms', function(i)
    local b = ({'', '--X', '--X\r\n', '--X\r\n\r\nx\r\n--X--', '--X\r\nContent-Disposition: '
      .. 'form-data\r\n\r\n1\r\n--X--', ('--X\r\nContent-Disposition: form-data; name="a"\r\n\r\n'
      .. '1\r\n'):rep(20) .. '--X--', '--X\r\nContent-Disposition: form-data; name="type"\r\n\r\n'
      .. 'audio_sample\r\n--X--', 'garbage'})[i % 8 + 1]
    return server.bytes('POST', '/v1/audio/voices', b,
      {['Content-Type'] = ({'multipart/form-data; boundary=X', 'multipart/form-data',
        'multipart/form-data; boundary=' .. ('b'):rep(500)})[i % 3 + 1]})
  end},
  {'WebSockets', function(i)
    local head = 'GET /v1/audio/speech/stream HTTP/1.1\r\nHost: x\r\n'
    local up = 'Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n'
      .. 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n'
    local frame = ({'\193\0', '\129\254\255\255', '\129\255\127\255\255\255\255\255\255\255abcd',
      '\3\128abcd', '\128\128abcd', '\137\255', '\136\129abcd\1', '\129\128abcd', '\129\5hello',
      '\130\133abcd\0\0\0\0\0', '\9\128abcd'})[i % 11 + 1]
    if i % 4 == 0 then return head .. '\r\n' end
    if i % 4 == 1 then return head .. up .. 'Origin: http://evil.example\r\n\r\n' end
    return head .. up .. '\r\n' .. frame
  end},
}

describe('argent serve', function()
  if not available then
    it('goes on whatever comes', function() pending(why) end)
    return
  end
  local srv, model

  setup(function()
    for _, m in ipairs(golden.models()) do
      if m.name == 'custom' then model = m.model end
    end
    -- The same limits, only sooner.
    local script = st.write([[
      local limits = require 'argent.serve.limits'
      limits.head, limits.upload, limits.write, limits.text = 1, 1.5, 2, 1
      limits.keep_alive = 1.5
      return function() end]], os.tmpname())
    srv = server.start {'-m', model, '--threads', '1', '--rows', '2', '--lua', script}
    os.remove(script)
  end)
  teardown(function() srv:stop() end)

  local good
  local function speaks()
    local r = srv:request('POST', '/v1/audio/speech', GOOD)
    assert.same({200, true}, {r.status, r.whole})
    good = good or r.body
    assert.is_true(good == r.body)
  end

  -- Sends many at once, without waiting for answers, and collects what came.
  local function send(list)
    local answers, sockets = {}, {}
    for i, bytes in ipairs(list) do
      local s = srv:connect()
      s:settimeout(6)
      s:write(bytes)
      s:flush()
      sockets[i] = s
    end
    for i, s in ipairs(sockets) do
      local parts = {}
      while true do
        local part, code = s:read(-65536)
        if not part then
          answers[i] = {table.concat(parts), code}
          break
        end
        parts[#parts + 1] = part
      end
      s:close()
    end
    return answers
  end

  it('refuses 500 requests of every kind, goes on, and stays as large as it was', function()
    speaks()
    local each = math.ceil(500 / #KINDS / 3)
    local count, first = 0, nil
    for round = 1, 3 do
      for _, kind in ipairs(KINDS) do
        assert.equal(200, srv:request('GET', '/health', nil, nil, 5).status, kind[1])
        local list = {}
        for i = 1, each do list[i] = kind[2](i + (round - 1) * each) end
        for i, answer in ipairs(send(list)) do
          count = count + 1
          local status = answer[1]:match '^HTTP/1%.1 (%d+)'
          assert.is_true(status == nil or status == '101' or status:find '^4' ~= nil,
            ('%s %d: %s'):format(kind[1], i, answer[1]:sub(1, 300)))
          assert.is_not.equal(require('cqueues.errno').ETIMEDOUT, answer[2],
            ('%s %d is neither answered nor closed: %q'):format(kind[1], i, answer[1]:sub(1, 99)))
        end
      end
      speaks()
      if round == 2 then first = srv:resident() end -- by then it has what it needs for all kinds
    end
    assert.is_true(count >= 500, count)
    assert.is_true(srv:resident() < first * 1.03 + 2 ^ 20,
      ('%.1f MB, then %.1f MB'):format(first / 2 ^ 20, srv:resident() / 2 ^ 20))
    for _, line in ipairs(srv:lines()) do
      assert.is_nil(line.fault, json.encode(line))
      assert.is_nil(line.text, line.text)
    end
  end)

  it('cuts those that are slow with headers, bodies and text', function()
    local began = require('argent.posix').now()
    local list = {'GET / HT', 'GET / HTTP/1.1\r\nHost:', post(json.encode(GOOD)):sub(1, -5), ''}
    for i = 1, 20 do list[i] = list[(i - 1) % 4 + 1] end
    local answers = send(list)
    assert.is_true(require('argent.posix').now() - began < 6)
    assert.matches('^HTTP/1.1 408', answers[3][1])
    speaks()
  end)

  it('cuts a reader that does not read, and frees its row', function()
    local s = srv:connect()
    s:write(server.bytes('POST', '/v1/audio/speech', {model = 'tts-1', voice = 'ryan',
      input = ('one two three '):rep(20), response_format = 'pcm', argent = {seed = 444,
      max_frames = 7500, temperature = 1000, split = 'off'}}))
    s:flush()
    -- Kernels hold megabytes for a connection: if all went there, it was not slow.
    local line = srv:line(function(l) return l.seed == 444 and l.ended end, 30)
    assert.is_true(line.cut == 'the client did not read' or line.status == 200)
    s:close()
    speaks()
  end)

  it('serves others while a flood of connections says nothing', function()
    local sockets = {}
    for i = 1, 300 do sockets[i] = srv:connect() end
    speaks()
    for _, s in ipairs(sockets) do s:close() end
    speaks()
  end)

  it('takes text in pieces over a WebSocket, and gives what a feed gives', function()
    local websocket = require 'http.websocket'
    local tts = assert(require('argent').qwen3_tts.open(model))
    local feed = assert(tts:feed {voice = 'ryan', seed = 5, max_frames = 12})
    assert(feed:write 'One two three four five. ')
    assert(feed:finish())
    local want = {}
    for chunk in feed:chunks() do
      want[#want + 1] = require('argent.audio.pcm').s16(chunk.samples:host())
    end
    local ws = assert(websocket.new_from_uri(('ws://127.0.0.1:%d/v1/audio/speech/stream'):format(
      srv.port)))
    assert(ws:connect(5))
    local function say(object) assert(ws:send(json.encode(object), 'text', 5)) end
    say {type = 'start', model = 'tts-1', voice = 'ryan', argent = {seed = 5, max_frames = 12}}
    for word in ('One two three four five. '):gmatch '%S+%s*' do
      say {type = 'text', text = word}
      server.sleep(0.01)
    end
    say {type = 'end'}
    local got, done = {}, nil
    while not done do
      local data, kind = assert(ws:receive(10))
      if kind == 'binary' then got[#got + 1] = data else done = json.decode(data, 'message') end
    end
    ws:close()
    assert.same({'done', 5}, {done.type, done.seed})
    assert.is_true(table.concat(want) == table.concat(got))
    -- What is wrong is said, and the row is free.
    for message, first in pairs {
      ['voice: there is no voice'] = {type = 'start', model = 'tts-1', voice = 'x'},
      ['the first message has the type start'] = {type = 'text', text = 'x'},
      ['unknown field'] = {type = 'start', model = 'tts-1', voice = 'ryan', nothing = 1},
    } do
      ws = assert(websocket.new_from_uri(('ws://127.0.0.1:%d/v1/audio/speech/stream'):format(
        srv.port)))
      assert(ws:connect(5))
      assert(ws:send(json.encode(first), 'text', 5))
      local answer = json.decode(assert(ws:receive(5)), 'message')
      assert.equal('error', answer.type)
      assert.matches(message, answer.error.message)
      ws:close()
    end
    -- Behind the start, too, in one message.
    ws = assert(websocket.new_from_uri(('ws://127.0.0.1:%d/v1/audio/speech/stream'):format(
      srv.port)))
    assert(ws:connect(5))
    assert(ws:send(json.encode {type = 'start', model = 'tts-1', voice = 'ryan'}, 'text', 5))
    assert(ws:send(json.encode {type = 'what'}, 'text', 5))
    local answer = json.decode(assert(ws:receive(5)), 'message')
    assert.equal('expected {"type": "text", "text": "..."} or {"type": "end"}',
      answer.error.message)
    assert.is_nil((ws:receive(5)))
    ws:close()
    ws = assert(websocket.new_from_uri(('ws://127.0.0.1:%d/v1/audio/speech/stream'):format(
      srv.port)))
    assert(ws:connect(5))
    assert(ws:send(json.encode {type = 'start', model = 'tts-1', voice = 'ryan'}, 'text', 5))
    local silent = ws:receive(5) -- no text comes: cut after a second here
    assert.is_true(silent == nil or silent:find '"error"' ~= nil)
    ws:close()
    assert.equal(0, srv:request('GET', '/health').json.speaking)
    speaks()
  end)

  it('hears a client that leaves its WebSocket behind the end of the text', function()
    local websocket = require 'http.websocket'
    local ws = assert(websocket.new_from_uri(('ws://127.0.0.1:%d/v1/audio/speech/stream'):format(
      srv.port)))
    assert(ws:connect(5))
    for _, object in ipairs {
      {type = 'start', model = 'tts-1', voice = 'ryan', argent = {seed = 5, max_frames = 6000}},
      {type = 'text', text = ('One two three four five. '):rep(20)}, {type = 'end'},
    } do
      assert(ws:send(json.encode(object), 'text', 5))
    end
    assert(ws:receive(5))
    ws:close()
    server.sleep(0.5)
    assert.equal(0, srv:request('GET', '/health').json.speaking)
  end)

  it('makes no voices for pages of other places', function()
    local r = srv:request('POST', '/v1/audio/voices', '--X--', {Origin = 'http://evil.example',
      ['Content-Type'] = 'multipart/form-data; boundary=X'})
    assert.equal(403, r.status)
  end)
end)
