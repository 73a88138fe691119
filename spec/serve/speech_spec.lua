-- The server as a client sees it: sound in every format, bit for bit what say gives, while it is
-- made; refusals with their status; voices, keys, steering.

local ag = require 'argent'
local command = require 'support.command'
local golden = require 'support.golden'
local json = require 'argent.json'
local server = require 'support.server'
local st = require 'support.st'

local available, why = server.available()

local function model(name)
  for _, m in ipairs(golden.models()) do
    if m.name == name then return m.model end
  end
end

describe('argent serve', function()
  if not available then
    it('speaks over HTTP', function() pending(why) end)
    return
  end
  local srv, tts

  setup(function()
    srv = server.start {'-m', model 'custom', '--threads', '2', '--rows', '4'}
    tts = assert(ag.qwen3_tts.open(model 'custom'))
  end)
  teardown(function() srv:stop() end)

  local function samples(o)
    local sound = assert(tts:say(o))
    local ptr, n = sound.samples:host()
    return assert(require('argent.audio.pcm').s16(ptr, n)), sound
  end

  it('answers with the sound that say makes, as wav and as raw samples', function()
    local want, sound = samples {text = 'One two.', voice = 'ryan', seed = 1, max_frames = 6}
    local r = srv:speak()
    assert.same({200, 'audio/wav', true, '1'}, {r.status, r.headers['content-type'], r.whole,
      r.headers['x-argent-seed']})
    assert.equal('RIFF', r.body:sub(1, 4))
    assert.is_true(want == r.body:sub(45))
    r = srv:speak {response_format = 'pcm'}
    assert.is_true(want == r.body)
    local line = srv:line(function(l) return l.id == r.headers['x-request-id'] end)
    assert.same({200, #sound.codes, #want, 'ryan', 8}, {line.status, line.frames, line.bytes,
      line.voice, line.characters})
    assert.is_nil(line.text)
  end)

  it('answers in every format, mp3 by default, and by Accept', function()
    for format, magic in pairs {mp3 = '^\255', opus = '^OggS', flac = '^fLaC', ogg = '^OggS'} do
      local r = srv:speak {response_format = format}
      assert.same({200, true}, {r.status, r.whole})
      assert.matches(magic, r.body)
      local path = st.write(r.body, os.tmpname() .. '.' .. format)
      local read, info = ag.audio.read(path, {backend = tts.backend})
      os.remove(path)
      assert(read, info)
      local _, sound = samples {text = 'One two.', voice = 'ryan', seed = 1, max_frames = 6}
      assert.is_true(#read >= sound.samples:count())
    end
    local r = srv:speak({response_format = json.null})
    assert.equal('audio/mpeg', r.headers['content-type'])
    r = srv:speak({response_format = json.null}, {Accept = 'text/html, audio/flac;q=0.5'})
    assert.equal('audio/flac', r.headers['content-type'])
    r = srv:speak {response_format = 'aac'}
    assert.equal(400, r.status)
    assert.same({'response_format', 'invalid_request_error'}, {r.json.error.param,
      r.json.error.type})
    assert.equal("response_format: expected one of flac, mp3, ogg, opus, pcm, wav, got string "
      .. "'aac'", r.json.error.message)
  end)

  it('sends events on demand, with the same bytes and the usage at the end', function()
    local want, sound = samples {text = 'One two.', voice = 'ryan', seed = 1, max_frames = 6}
    local r = srv:speak {response_format = 'pcm', stream_format = 'sse'}
    assert.equal('text/event-stream', r.headers['content-type'])
    local parts, last = {}, nil
    for data in r.body:gmatch 'data: ([^\n]*)\n\n' do
      local event = json.decode(data, 'event')
      if event.type == 'speech.audio.delta' then
        parts[#parts + 1] = require('basexx').from_base64(event.audio)
      end
      last = event
    end
    assert.is_true(#parts >= 3)
    assert.is_true(want == table.concat(parts))
    assert.same({'speech.audio.done', #sound.codes}, {last.type, last.usage.output_tokens})
    assert.equal(last.usage.input_tokens + #sound.codes, last.usage.total_tokens)
  end)

  it('plays faster and slower', function()
    local plain = #srv:speak({response_format = 'pcm'}).body
    local fast = #srv:speak({response_format = 'pcm', speed = 2}).body
    assert.is_true(math.abs(fast / plain - 0.5) < 0.1)
  end)

  it('gives whole answers to clients of HTTP/1.0', function()
    local text = server.bytes('POST', '/v1/audio/speech', {model = 'tts-1', voice = 'ryan',
      input = 'One two.', response_format = 'wav', argent = {seed = 1, max_frames = 6}})
    local r = server.parse((srv:raw((text:gsub('HTTP/1.1', 'HTTP/1.0', 1)))
      :gsub('^HTTP/1.0', 'HTTP/1.1')))
    assert.same({200, true}, {r.status, r.whole})
    local path = st.write(r.body, os.tmpname() .. '.wav')
    local _, info = ag.audio.read(path, {backend = tts.backend})
    os.remove(path)
    assert.equal(#r.body - 44, info.seconds * 48000)
  end)

  it('speaks side by side, each what it would be alone, and drops who goes', function()
    local sockets, want = {}, {}
    for i = 1, 12 do
      local o = {text = ('One two three four. '):rep(i % 3 + 1), voice = 'ryan', seed = i,
        max_frames = 10 + i}
      want[i] = samples(o)
      sockets[i] = srv:connect()
      sockets[i]:write(server.bytes('POST', '/v1/audio/speech', {model = 'tts-1', voice = 'ryan',
        input = o.text, response_format = 'pcm', argent = {seed = i, max_frames = 10 + i}}))
      sockets[i]:flush()
      if i % 4 == 0 then sockets[i]:close() end
    end
    for i = 1, 12 do
      if i % 4 ~= 0 then
        local r = server.parse(sockets[i]:read '*a')
        assert.same({200, true}, {r.status, r.whole})
        assert.is_true(want[i] == r.body, i)
        sockets[i]:close()
      end
    end
    local limit = require('argent.posix').now() + 5
    local health
    repeat
      health = srv:request('GET', '/health').json
    until health.speaking + health.waiting == 0 or require('argent.posix').now() > limit
    assert.same({0, 0}, {health.speaking, health.waiting})
  end)

  it('frees the row of a client that has gone', function()
    local s = srv:connect()
    s:write(server.bytes('POST', '/v1/audio/speech', {model = 'tts-1', voice = 'ryan',
      input = ('one two three '):rep(20), response_format = 'pcm',
      argent = {seed = 333, max_frames = 7500, split = 'off'}}))
    s:flush()
    assert.is_truthy(s:read(1))
    s:close()
    local line = srv:line(function(l) return l.seed == 333 and l.ended end)
    assert.same({'cancelled', 200, nil}, {line.ended, line.status, line.error})
    assert.equal(0, srv:request('GET', '/health').json.speaking)
  end)

  it('says what is wrong with a request, and where', function()
    local function refused(fields, status, param, message)
      local r = srv:speak(fields)
      assert.equal(status, r.status, r.body)
      assert.equal(param, r.json.error.param)
      assert.matches(message, r.json.error.message)
    end
    refused({input = ''}, 400, 'input', 'there is no text')
    refused({input = ' \n'}, 400, 'input', 'there is no text')
    refused({input = json.null}, 400, 'input', 'there is no text')
    refused({input = 5}, 400, 'input', 'expected a string, got 5')
    refused({input = ('ä'):rep(4097)}, 400, 'input', 'has 4097 characters; 4096 are the limit')
    refused({model = json.null}, 400, 'model', 'is missing; this server has model')
    refused({model = 'gpt-9'}, 404, 'model', "there is no model 'gpt%-9'; this server has model")
    refused({voice = 'ryn'}, 400, 'voice', "there is no voice 'ryn', did you mean ryan%?")
    -- What a field says may be anybody's words: they are in the answer and not in the log.
    srv:line(function(l) return l.error == 'invalid voice' end)
    for _, line in ipairs(srv:lines()) do
      assert.is_nil(line.error and line.error:find('ryn', 1, true))
    end
    refused({voice = json.null}, 400, 'voice', 'expected a name, or {"id"')
    refused({voice = {name = 'x'}}, 400, 'voice.name', 'unknown field')
    refused({speed = 5}, 400, 'speed', 'expected a number from 0.25 to 4, got 5')
    refused({inptu = 'x'}, 400, 'inptu', 'unknown field, did you mean input%?')
    refused({argent = {sed = 1}}, 400, 'argent.sed', 'unknown field, did you mean seed%?')
    refused({argent = {seed = 1.5}}, 400, 'argent.seed', 'expected an integer from 0')
    refused({argent = {max_frames = 1e9}}, 400, 'argent.max_frames', 'expected an integer from 1')
    refused({argent = {top_k = {}}}, 400, 'argent.top_k', 'got an object')
    refused({argent = {language = 'klingon'}}, 400, json.null, "unknown language 'klingon'")
    refused({stream_format = 'x'}, 400, 'stream_format', 'expected one of audio, sse')
    assert.equal(200, srv:speak({voice = {id = 'RYAN'}}).status)
  end)

  it('knows its paths and their methods', function()
    local r = srv:request('GET', '/nothing')
    assert.same({404, 'not_found_error'}, {r.status, r.json.error.type})
    r = srv:request('GET', '/v1/audio/speech')
    assert.same({405, 'POST'}, {r.status, r.headers.allow})
    r = srv:request('HEAD', '/health')
    assert.same({200, ''}, {r.status, r.body})
    r = srv:request('GET', 'http://localhost/health')
    assert.equal(200, r.status)
    r = srv:request('GET', '/v1/models')
    assert.same({'list', 'model'}, {r.json.object, r.json.data[1].id})
    r = srv:request('POST', '/v1/audio/speech', '{}', {['Content-Type'] = 'text/plain'})
    assert.equal(415, r.status)
    r = srv:request('OPTIONS', '/v1/audio/speech', nil, {Origin = 'http://evil.example'})
    assert.same({405, nil}, {r.status, r.headers['access-control-allow-origin']})
  end)

  it('lists voices and languages, and makes none from recordings with such a model', function()
    local r = srv:request('GET', '/v1/audio/voices')
    local names = {}
    for _, v in ipairs(r.json.data) do names[#names + 1] = v.name end
    assert.same(tts:voices(), names)
    assert.same(tts:languages(), r.json.languages)
    r = srv:request('POST', '/v1/audio/voices', {type = 'prompt', name = 'x', prompt = 'y'})
    assert.equal(400, r.status)
    assert.matches('needs a VoiceDesign model; this one is custom_voice', r.json.error.message)
  end)

  it('counts what it does', function()
    local text = srv:request('GET', '/metrics').body
    for _, name in ipairs {'argent_queue_waiting 0', 'argent_rows 4', 'argent_frames_total %d+',
      'argent_first_audio_seconds_count %d+', 'argent_real_time_factor [%d.]+',
      'argent_requests_total{route="/v1/audio/speech",status="200"} %d+',
      'argent_speech_ended_total{how="limit"} %d+', 'argent_refused_total{reason="value"} %d+',
      'argent_frames_per_second [%d.]+'} do
      assert.matches('\n' .. name .. '\n', text)
    end
  end)

  it('has a page of its own that asks for nothing elsewhere', function()
    local r = srv:request('GET', '/')
    assert.equal('text/html; charset=utf-8', r.headers['content-type'])
    assert.matches("default%-src 'none'", r.headers['content-security-policy'])
    for url in r.body:gmatch '%f[%w]https?://[^%s"\'<]+' do
      assert.matches('^http://www%.w3%.org/', url) -- the name of a vocabulary
    end
  end)
end)

local function slurp(path)
  local f = assert(io.open(path, 'rb'))
  local s = f:read '*a'
  f:close()
  return s
end

-- A form that makes a voice.
local function voice_form(fields)
  local parts = {}
  for name, value in pairs(fields) do
    parts[#parts + 1] = ('--XX\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n')
      :format(name, name == 'audio_sample' and '; filename="a.wav"\r\nContent-Type: audio/wav'
        or '', value)
  end
  return table.concat(parts) .. '--XX--\r\n',
    {['Content-Type'] = 'multipart/form-data; boundary=XX'}
end

local function voice_bytes(fields)
  return server.bytes('POST', '/v1/audio/voices', voice_form(fields))
end

local function post_voice(srv, fields)
  return srv:request('POST', '/v1/audio/voices', voice_form(fields))
end

describe('argent serve, with options,', function()
  if not available then
    it('keeps others out', function() pending(why) end)
    return
  end
  local srv
  after_each(function()
    if srv then srv:stop() end
    srv = nil
  end)

  it('asks for a key', function()
    local keys = st.write('# mine\nsecret-one\nsecret-two\n', os.tmpname())
    finally(function() os.remove(keys) end)
    srv = server.start {'-m', model 'custom', '--threads', '1', '--api-key-file', keys}
    assert.equal(401, srv:speak().status)
    assert.equal(401, srv:speak(nil, {Authorization = 'Bearer secret-on'}).status)
    assert.equal(401, srv:request('GET', '/metrics').status)
    assert.equal(200, srv:request('GET', '/health').status)
    assert.equal(200, srv:speak(nil, {Authorization = 'Bearer secret-two'}).status)
  end)

  it('refuses to let others in without a key, or with half of what TLS needs', function()
    local r = command.run {'serve', '-m', model 'custom', '--host', '0.0.0.0'}
    assert.same({2, 'argent: serve: --host 0.0.0.0 lets others in: give --api-key-file FILE\n'},
      {r.code, r.err})
    r = command.run {'serve', '-m', model 'custom', '--tls-cert', 'x'}
    assert.same({2, 'argent: serve: --tls-cert and --tls-key go together\n'}, {r.code, r.err})
    r = command.run {'serve', '-m', model 'custom', '--api-key-file', '/nowhere'}
    assert.equal(6, r.code)
    srv = server.start {'-m', model 'custom', '--threads', '1'}
    r = command.run {'serve', '-m', model 'custom', '--threads', '1', '--port', tostring(srv.port)}
    assert.equal(6, r.code)
    assert.matches('cannot listen on 127.0.0.1 port %d+: ', r.err)
  end)

  it('sends clients away when the queue is full, and tells them when to come again', function()
    srv = server.start {'-m', model 'custom', '--threads', '1', '--rows', '1', '--queue', '1'}
    local sockets = {}
    for i = 1, 2 do
      sockets[i] = srv:connect()
      sockets[i]:write(server.bytes('POST', '/v1/audio/speech', {model = 'tts-1', voice = 'ryan',
        input = ('one two three '):rep(40), argent = {max_frames = 7500, split = 'off'},
        response_format = 'pcm'}))
      sockets[i]:flush()
    end
    local limit, r = require('argent.posix').now() + 10
    repeat
      r = srv:speak()
    until r.status == 429 or require('argent.posix').now() > limit
    assert.same({429, 'rate_limit_error', '2'}, {r.status, r.json.error.type,
      r.headers['retry-after']})
    for _, s in ipairs(sockets) do s:close() end
  end)

  it('refuses a body that is larger than its limit before it comes', function()
    srv = server.start {'-m', model 'custom', '--threads', '1'}
    local s = srv:connect()
    s:write('POST /v1/audio/speech HTTP/1.1\r\nHost: here\r\nConnection: close\r\n'
      .. 'Content-Type: application/json\r\nContent-Length: 1048577\r\n\r\n')
    s:flush()
    local r = server.parse(s:read '*a')
    assert.equal(413, r.status)
    assert.truthy(r.body:find('the body has 1048577 bytes; 1048576 are the limit', 1, true))
  end)

  it('holds so many bytes of bodies at once, and no more', function()
    local script = st.write([[
      require('argent.serve.limits').held = 3000
      return function() end]], os.tmpname())
    finally(function() os.remove(script) end)
    srv = server.start {'-m', model 'custom', '--threads', '1', '--lua', script}
    local s = srv:connect()
    s:write((server.bytes('POST', '/v1/audio/speech', ('x'):rep(4000),
      {['Content-Type'] = 'application/json'}):sub(1, -1101))) -- 2900 of them
    s:flush()
    local limit, r = require('argent.posix').now() + 10
    repeat
      r = srv:speak()
    until r.status ~= 200 or require('argent.posix').now() > limit
    assert.same({503, '2', 'the server is taking in too much at once; come again'},
      {r.status, r.headers['retry-after'], r.json.error.message})
    s:close()
    repeat
      r = srv:speak()
    until r.status == 200 or require('argent.posix').now() > limit
    assert.equal(200, r.status)
  end)

  it('cuts the reader that is furthest behind when too much waits to be read', function()
    local limits, speech = require 'argent.serve.limits', require 'argent.serve.speech'
    local unread = limits.unread
    finally(function() limits.unread = unread end)
    limits.unread = 4000
    -- A ticket as far as speech.voiced knows one, with so many samples that nobody has taken.
    local function ticket(ready)
      return {ready = ready, tts = {codec = {rate = 24000}}, take = function() end,
        cancel = function(t) t.ended = 'cancelled' end}
    end
    local cut, tickets, voiced = {}, {ticket(100), ticket(600), ticket(300)}, {}
    for i, t in ipairs(tickets) do
      voiced[i] = assert(speech.voiced(t, 'pcm', 1, function(reason) cut[i] = reason end))
    end
    tickets[1]:notify()
    assert.same({}, cut) -- 1000 samples of four bytes
    tickets[3].ready = 301
    tickets[3]:notify()
    assert.same({nil, 'the client does not keep up'}, cut)
    assert.same({nil, 'cancelled', nil}, {tickets[1].ended, tickets[2].ended, tickets[3].ended})
    local bytes, err = voiced[2]:next()
    assert.same({nil, 'the client does not keep up'}, {bytes, err})
    tickets[3].ready = 900 -- of the two that are left no more than there may be
    tickets[3]:notify()
    assert.is_nil(cut[3])
    for _, v in ipairs(voiced) do v:close() end
  end)

  it('hears who speaks though silent connections take all places', function()
    local script = st.write([[
      require('argent.serve.limits').connections = 10
      return function() end]], os.tmpname())
    finally(function() os.remove(script) end)
    srv = server.start {'-m', model 'custom', '--threads', '1', '--lua', script}
    local silent, began = {}, require('argent.posix').now()
    for i = 1, 40 do silent[i] = srv:connect() end
    assert.equal(200, srv:speak().status)
    for _, s in ipairs(silent) do s:close() end
    assert.is_true(require('argent.posix').now() - began < 15) -- they may be silent for 20 s
  end)

  it('takes as many connections as it may have descriptors for', function()
    local script = st.write([[
      require('argent.serve.limits').keep_alive = 0.5
      return function() end]], os.tmpname())
    finally(function() os.remove(script) end)
    srv = server.start({'-m', model 'custom', '--threads', '1', '--lua', script}, 'ulimit -n 110;')
    local idle, sockets = {}, {}
    for i = 1, 80 do idle[i] = srv:connect() end
    for i = 1, 12 do
      sockets[i] = srv:connect()
      sockets[i]:write(server.bytes('POST', '/v1/audio/speech', {model = 'tts-1', voice = 'ryan',
        input = 'One two.', response_format = 'mp3', argent = {seed = i, max_frames = 6}}))
      sockets[i]:flush()
    end
    for i = 1, 12 do
      local r = server.parse(sockets[i]:read '*a')
      assert.same({200, true}, {r.status, r.whole})
      sockets[i]:close()
    end
    for _, s in ipairs(idle) do s:close() end
  end)

  it('clones voices, on a Base model, and forgets them when told', function()
    srv = server.start {'-m', model 'base', '--threads', '2'}
    local wav = slurp(command.root .. '/spec/fixtures/golden/base/reference.wav')
    local function post(fields) return post_voice(srv, fields) end
    local r = post {type = 'audio_sample', name = 'anna', audio_sample = wav}
    assert.same({400, 'consent'}, {r.status, r.json.error.param})
    r = post {type = 'audio_sample', name = 'anna', audio_sample = 'RIFF' .. ('x'):rep(99),
      consent = 'c'}
    assert.same({400, 'audio_sample'}, {r.status, r.json.error.param})
    r = post {type = 'audio_sample', name = 'anna', audio_sample = wav, consent = 'cons_1234'}
    assert.equal(200, r.status, r.body)
    assert.same({'audio.voice', 'anna', 'audio_sample'}, {r.json.object, r.json.name, r.json.type})
    local id = r.json.id
    assert.matches('^voice_%x+$', id)
    assert.equal(409, post({type = 'audio_sample', name = 'Anna', audio_sample = wav,
      consent = 'c'}).status)
    srv.voice = 'anna'
    local a, b = srv:speak(), srv:speak {voice = {id = id}}
    assert.equal(200, a.status, a.body)
    assert.is_true(a.body == b.body)
    local tts = assert(ag.qwen3_tts.open(model 'base'))
    local sound = assert(tts:say {text = 'One two.', seed = 1, max_frames = 6,
      reference = assert(tts:clone {audio = command.root
        .. '/spec/fixtures/golden/base/reference.wav'})})
    assert.is_true(a.body:sub(45) == require('argent.audio.pcm').s16(sound.samples:host()))
    r = srv:request('DELETE', '/v1/audio/voices/' .. id)
    assert.same({200, true}, {r.status, r.json.deleted})
    assert.equal(404, srv:request('DELETE', '/v1/audio/voices/' .. id).status)
    assert.equal(400, srv:speak().status)
    assert.equal('cons_1234', srv:line(function(l) return l.consent end).consent)
  end)

  it('goes on speaking while it makes a voice, and while it prepares one', function()
    local script = st.write([[
      return function(app)
        local frames, seen = 0, {}
        function app.steer(options)
          if options.seed == 777 then
            options.temperature = 1000
            options.hooks = {logits = function() frames = frames + 1 end}
          end
        end
        for _, name in ipairs {'clone', 'prepare'} do
          local fn = app.tts[name]
          app.tts[name] = function(...)
            local before = frames
            local result, err, code = fn(...)
            seen[name] = frames - before
            return result, err, code
          end
        end
        app:route('GET', '/seen', function(_, request) request:reply(200, seen) end)
      end]], os.tmpname())
    finally(function() os.remove(script) end)
    srv = server.start {'-m', model 'base', '--threads', '1', '--lua', script}
    local wav = slurp(command.root .. '/spec/fixtures/golden/base/reference.wav')
    assert.equal(200, post_voice(srv, {type = 'audio_sample', name = 'anna', audio_sample = wav,
      consent = 'c'}).status)
    local s = srv:connect()
    s:write(server.bytes('POST', '/v1/audio/speech', {model = 'tts-1', voice = 'anna',
      input = ('one two three '):rep(20), response_format = 'pcm',
      argent = {seed = 777, max_frames = 7500, split = 'off'}}))
    s:flush()
    assert.is_truthy(s:read(1))
    -- A client that leaves while its voice is made holds nobody up.
    local gone = srv:connect()
    gone:write(voice_bytes {type = 'audio_sample', name = 'gone', audio_sample = wav,
      consent = 'c', text = 'One two three.'})
    gone:flush()
    gone:close()
    assert.equal(200, post_voice(srv, {type = 'audio_sample', name = 'bert', audio_sample = wav,
      consent = 'c', text = 'One two three.'}).status)
    srv.voice = 'bert'
    local r = srv:speak()
    assert.equal(200, r.status, r.body)
    local seen = srv:request('GET', '/seen').json
    s:close()
    assert.is_true(seen.clone >= 3, seen.clone)
    assert.is_true(seen.prepare >= 3, seen.prepare)
    local tts = assert(ag.qwen3_tts.open(model 'base'))
    local sound = assert(tts:say {text = 'One two.', seed = 1, max_frames = 6,
      reference = assert(tts:clone {audio = command.root
        .. '/spec/fixtures/golden/base/reference.wav', text = 'One two three.'})})
    assert.is_true(r.body:sub(45) == require('argent.audio.pcm').s16(sound.samples:host()))
    assert.equal(400, post_voice(srv, {type = 'audio_sample', name = 'long', audio_sample = wav,
      consent = 'c', text = ('x'):rep(5000)}).status)
  end)

  it('speaks with voices that are described, on a VoiceDesign model', function()
    srv = server.start {'-m', model 'design', '--threads', '1'}
    local r = srv:request('POST', '/v1/audio/voices', {type = 'prompt', name = 'old man',
      prompt = 'An old man, amused.'})
    assert.equal(200, r.status, r.body)
    assert.equal('An old man, amused.', r.json.prompt)
    local a = srv:speak {voice = {id = r.json.id}}
    local b = srv:speak {voice = 'default', instructions = 'An old man, amused.'}
    assert.equal(200, a.status, a.body)
    assert.is_true(a.body == b.body)
    -- Over a WebSocket, too.
    local described = require('argent.qwen3_tts').open(model 'design')
    local feed = assert(described:feed {instruct = 'An old man, amused.', seed = 1,
      max_frames = 6})
    assert(feed:write 'One two. ')
    assert(feed:finish())
    local want, got, done = {}, {}, nil
    for chunk in feed:chunks() do
      want[#want + 1] = require('argent.audio.pcm').s16(chunk.samples:host())
    end
    local ws = assert(require('http.websocket').new_from_uri(
      ('ws://127.0.0.1:%d/v1/audio/speech/stream'):format(srv.port)))
    assert(ws:connect(5))
    for _, object in ipairs {
      {type = 'start', model = 'tts-1', voice = {id = r.json.id},
        argent = {seed = 1, max_frames = 6}},
      {type = 'text', text = 'One two. '}, {type = 'end'},
    } do
      assert(ws:send(json.encode(object), 'text', 5))
    end
    while not done do
      local data, kind = assert(ws:receive(10))
      if kind == 'binary' then got[#got + 1] = data else done = json.decode(data, 'message') end
    end
    ws:close()
    assert.equal('done', done.type)
    assert.is_true(table.concat(want) == table.concat(got))
  end)

  it('gives a row back whose sound cannot be sent on', function()
    local script = st.write([[
      local function fail() error('no more', 0) end
      require('argent.audio.speed').new = function() return {write = fail, finish = fail} end
      return function() end]], os.tmpname())
    finally(function() os.remove(script) end)
    srv = server.start {'-m', model 'custom', '--threads', '1', '--lua', script}
    local r = srv:speak {argent = {max_frames = 6000}}
    assert.equal(500, r.status)
    assert.equal('no more', srv:line(function(l) return l.fault end).fault)
    assert.equal(0, srv:request('GET', '/health').json.speaking)
  end)

  it('goes on after a frame that could not be made', function()
    local script = st.write([[
      return function(app)
        local batch, broken = app.scheduler.batch, false
        local step = batch.step
        function batch.step(...)
          if broken then
            broken = false
            error('broken', 0)
          end
          return step(...)
        end
        function app.steer(options) broken = options.seed == 666 end
      end]], os.tmpname())
    finally(function() os.remove(script) end)
    srv = server.start {'-m', model 'custom', '--threads', '1', '--lua', script}
    local good = srv:speak()
    local r = srv:speak {argent = {seed = 666}}
    assert.same({500, 'an internal error; the log of the server has more', 'false'},
      {r.status, r.json.error.message, r.headers['x-should-retry']})
    assert.equal('broken', srv:line(function(l) return l.event == 'fault' end).fault)
    assert.is_true(good.body == srv:speak().body)
    assert.equal(0, srv:request('GET', '/health').json.speaking)
  end)

  it('frees the row of a client that has gone before the next frame', function()
    local script = st.write([[
      return function(app)
        local frames = 0
        function app.steer(options)
          options.hooks = {logits = function(u, x)
            frames = u.index
            x:narrow(1, app.tts.cfg.talker.codec.eos + 1, 1):fill(-1e9)
            if frames <= 16 then return end
            local till = require('argent.posix').now() + 0.3 -- a slow model
            while require('argent.posix').now() < till do end
          end}
        end
        app:route('GET', '/frames', function(_, request) request:reply(200, {n = frames}) end)
      end]], os.tmpname())
    finally(function() os.remove(script) end)
    srv = server.start {'-m', model 'custom', '--threads', '1', '--lua', script}
    local s = srv:connect()
    s:write(server.bytes('POST', '/v1/audio/speech', {model = 'tts-1', voice = 'ryan',
      input = 'One two three.', response_format = 'pcm', argent = {seed = 9, max_frames = 500}}))
    s:flush()
    assert.is_truthy(s:read(1))
    -- Sound goes out eight frames at a time by then, so that no write tells who has left.
    local frames
    repeat
      frames = srv:request('GET', '/frames').json.n -- asked and answered between two frames
    until frames > 19
    s:close()
    local line = srv:line(function(l) return l.seed == 9 and l.ended end)
    assert.equal('cancelled', line.ended)
    -- The one that was being made when the client left, and the one before it for what this takes.
    assert.is_true(line.frames <= frames + 2, line.frames - frames)
  end)

  it('lets a script add routes, voices and hooks', function()
    local script = st.write([[
      return function(app)
        app:route('GET', '/hello', function(_, request) request:reply(200, {hello = true}) end)
        app.voices:add('narrator', {voice = 'eric'})
        function app.steer(options, request)
          if request:header 'x-forbidden' then error('not today', 0) end
          options.max_frames = 3
        end
      end]], os.tmpname())
    finally(function() os.remove(script) end)
    srv = server.start {'-m', model 'custom', '--threads', '1', '--lua', script, '--log-text'}
    assert.is_true(srv:request('GET', '/hello').json.hello)
    local r = srv:speak {voice = 'narrator'}
    assert.equal(200, r.status)
    local line = srv:line(function(l) return l.frames end)
    assert.same({3, 'One two.'}, {line.frames, line.text})
    r = srv:speak(nil, {['X-Forbidden'] = '1'})
    assert.same({400, 'not today'}, {r.status, r.json.error.message})
  end)

  it('tells the client when speech goes wrong, and never ends it like a good one', function()
    local script = st.write([[
      return function(app)
        local eos = app.tts.cfg.talker.codec.eos
        function app.steer(options, request)
          local at = tonumber(request:header 'x-break')
          options.hooks = {logits = function(u, x)
            if u.index == at then require('argent').ops.affine(x, x:fill(math.huge), 0, 0) end
            if request:header 'x-endless' then x:narrow(1, eos + 1, 1):fill(-1e9) end
          end}
        end
      end]], os.tmpname())
    finally(function() os.remove(script) end)
    srv = server.start {'-m', model 'custom', '--threads', '2', '--lua', script}
    local r = srv:speak(nil, {['X-Break'] = '1'})
    assert.same({500, 'server_error', 'false'}, {r.status, r.json.error.type,
      r.headers['x-should-retry']})
    assert.matches('the logits hold NaN', r.json.error.message)
    r = srv:speak({response_format = 'pcm'}, {['X-Break'] = '5'})
    assert.same({200, false}, {r.status, r.whole})
    r = srv:speak({response_format = 'pcm', stream_format = 'sse'}, {['X-Break'] = '5'})
    assert.is_false(r.whole)
    assert.matches('data: {"error":{"code":"value","message":"the logits hold NaN"}', r.body)
    r = srv:speak({response_format = 'pcm', argent = {seed = 1}}, {['X-Endless'] = '1'})
    assert.same({200, false}, {r.status, r.whole})
    srv:line(function(l) return l.ended == 'runaway' end)
    -- Opus holds back its first page; nothing was sent when it fails.
    assert.equal(200, srv:speak().status)
  end)

  it('lets speech come to its end when it is told to stop, and takes none that is new', function()
    srv = server.start {'-m', model 'custom', '--threads', '1'}
    local s = srv:connect()
    s:write(server.bytes('POST', '/v1/audio/speech', {model = 'tts-1', voice = 'ryan',
      input = ('one two three '):rep(20), response_format = 'pcm',
      argent = {seed = 3, max_frames = 400, temperature = 1000, split = 'off'}}))
    s:flush()
    local first = s:read(4096)
    srv:signal 'TERM'
    srv:line(function(l) return l.event == 'stopping' end)
    local r = server.parse(first .. s:read '*a')
    assert.same({200, true}, {r.status, r.whole})
    assert.equal(0, srv:wait())
    assert.is_truthy(srv:line(function(l) return l.event == 'stopped' end))
  end)

  it('stops at once when it is told twice', function()
    local script = os.tmpname()
    srv = server.start {'-m', model 'custom', '--threads', '1', '--lua', st.write([[
      return function(app)
        function app.steer(options)
          options.hooks = {logits = function(_, x)
            x:narrow(1, app.tts.cfg.talker.codec.eos + 1, 1):fill(-1e9)
          end}
        end
      end]], script)}
    os.remove(script)
    local s = srv:connect()
    s:write(server.bytes('POST', '/v1/audio/speech', {model = 'tts-1', voice = 'ryan',
      input = 'One.', response_format = 'pcm', argent = {max_frames = 7500}}))
    s:flush()
    local first = s:read(4096)
    srv:signal 'TERM'
    srv:line(function(l) return l.event == 'stopping' end)
    srv:signal 'INT'
    assert.equal(143, srv:wait())
    assert.is_false(server.parse(first .. (s:read '*a' or '')).whole)
  end)

  it('serves HTTPS', function()
    local dir = os.tmpname()
    os.remove(dir)
    os.execute('mkdir ' .. dir)
    finally(function() os.execute('rm -rf ' .. dir) end)
    if os.execute(('openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost '
      .. '-keyout %s/key.pem -out %s/cert.pem 2>/dev/null'):format(dir, dir)) ~= 0 then
      pending 'openssl is not installed'
      return
    end
    srv = server.start {'-m', model 'custom', '--threads', '1', '--tls-cert', dir .. '/cert.pem',
      '--tls-key', dir .. '/key.pem'}
    local f = io.popen(('curl -s --cacert %s/cert.pem https://localhost:%d/health'):format(dir,
      srv.port))
    local text = f:read '*a'
    f:close()
    if text == '' then pending 'curl is not installed' return end
    assert.equal('ok', json.decode(text, 'health').status)
  end)
end)
