-- Chats and vectors over HTTP: what the library gives, whole and as events, side by side; refusals.

local ag = require 'argent'
local golden = require 'support.golden'
local json = require 'argent.json'
local server = require 'support.server'
local unicode = require 'argent.text.unicode'

local available, why = server.available()
local LM = 'spec/fixtures/golden/decoders/smollm/model.gguf'
local BERT = 'spec/fixtures/golden/encoders/bert'

local function speaker()
  for _, m in ipairs(golden.models()) do
    if m.name == 'custom' then return m.model end
  end
end

describe('argent serve with texts', function()
  if not available then
    it('answers chats', function() pending(why) end)
    return
  end
  local srv, lm, enc

  setup(function()
    srv = server.start {'-m', speaker(), '--threads', '1', '--rows', '1', '--lm', LM, '--encoder',
      BERT}
    local be = assert(ag.backend('cpu', {threads = 1}))
    lm = assert(ag.decoder.open(LM, {backend = be}))
    enc = assert(ag.encoder.open(BERT, {backend = be}))
  end)
  teardown(function() srv:stop() end)

  local CHAT = {{role = 'user', content = 'Hi'}}
  local function chat(more)
    local o = {model = 'model', messages = CHAT, max_tokens = 7, seed = 3, temperature = 0.8}
    for k, v in pairs(more or {}) do o[k] = v end
    return srv:request('POST', '/v1/chat/completions', o)
  end

  local function library(more)
    local o = {messages = CHAT, max_tokens = 7, seed = 3, temperature = 0.8, greedy = false}
    for k, v in pairs(more or {}) do o[k] = v end
    local r = assert(lm:generate(o))
    r.text = unicode.repaired(r.text)
    return r
  end

  it('answers a chat with what the library generates', function()
    local r, want = chat(), library()
    assert.equal(200, r.status, r.body)
    local choice = r.json.choices[1]
    assert.same({'chat.completion', 'model', 'assistant', want.text, 0},
      {r.json.object, r.json.model, choice.message.role, choice.message.content, choice.index})
    assert.equal(want.ended == 'limit' and 'length' or 'stop', choice.finish_reason)
    assert.equal(#want.ids, r.json.usage.completion_tokens)
    assert.equal('3', r.headers['x-argent-seed'])
    r = chat {temperature = 0, argent = {repetition_penalty = 1.2}}
    assert.equal(library {greedy = true, repetition_penalty = 1.2}.text,
      r.json.choices[1].message.content)
    local parts = {{role = 'developer', content = 'Be brief.'},
      {role = 'user', content = {{type = 'text', text = 'H'}, {type = 'text', text = 'i'}}}}
    r = chat {messages = parts, top_p = 0.9}
    assert.equal(library {top_p = 0.9, messages = {{role = 'system', content = 'Be brief.'},
      CHAT[1]}}.text, r.json.choices[1].message.content)
  end)

  it('sends it as events while it is written', function()
    local r = chat {stream = true, stream_options = {include_usage = true}}
    assert.same({200, 'text/event-stream', true}, {r.status, r.headers['content-type'], r.whole})
    local text, events, last = '', {}, nil
    for data in r.body:gmatch 'data: (.-)\n\n' do
      last = data
      if data ~= '[DONE]' then events[#events + 1] = assert(json.decode(data, 'event')) end
    end
    assert.equal('[DONE]', last)
    assert.equal('assistant', events[1].choices[1].delta.role)
    for i = 1, #events - 1 do
      assert.equal('chat.completion.chunk', events[i].object)
      text = text .. (events[i].choices[1].delta.content or '')
    end
    local want = library()
    assert.equal(want.text, text)
    assert.equal(want.ended == 'limit' and 'length' or 'stop',
      events[#events - 1].choices[1].finish_reason)
    assert.equal(#want.ids, events[#events].usage.completion_tokens)
  end)

  it('answers chats and speaks side by side, each as it would be alone', function()
    local socket, want = {}, {}
    for i = 1, 6 do
      local seed = 10 + i
      want[i] = library {seed = seed, max_tokens = 20}.text
      socket[i] = srv:connect()
      socket[i]:settimeout(60)
      socket[i]:write(server.bytes('POST', '/v1/chat/completions', {model = 'gpt-4o',
        messages = CHAT, max_tokens = 20, seed = seed, temperature = 0.8}))
      socket[i]:flush()
    end
    assert.equal(200, srv:speak().status)
    for i = 1, 6 do
      local parts = {}
      for part in function() return socket[i]:read(-65536) end do parts[#parts + 1] = part end
      socket[i]:close()
      local r = assert(server.parse(table.concat(parts)))
      assert.equal(want[i], json.decode(r.body, 'r').choices[1].message.content)
    end
  end)

  it('gives up what nobody waits for any more, also before it has begun', function()
    local before
    repeat -- a request's line comes after its answer
      before = #srv:lines()
      server.sleep(0.3)
    until #srv:lines() == before
    for _ = 1, 9 do -- more than rows
      local socket = srv:connect()
      socket:write(server.bytes('POST', '/v1/chat/completions', {model = 'model',
        messages = CHAT, max_tokens = 200, stream = true}))
      socket:flush()
      socket:close()
    end
    assert.equal(200, chat().status)
    local limit = require('argent.posix').now() + 20
    repeat
      server.sleep(0.05)
    until #srv:lines() >= before + 10 or require('argent.posix').now() > limit
    assert.equal(before + 10, #srv:lines()) -- each of them has come to its end
  end)

  it('gives the vectors of the library, as numbers and in base64', function()
    local texts = {'hello world', 'the cat'}
    local want = assert(enc:embed(texts))
    local r = srv:request('POST', '/v1/embeddings', {model = 'bert', input = texts})
    assert.equal(200, r.status, r.body)
    for i, item in ipairs(r.json.data) do
      assert.same({'embedding', i - 1}, {item.object, item.index})
      for c, x in ipairs(want:select(1, i):totable()) do
        assert.is_true(math.abs(x - item.embedding[c]) < 1e-6)
      end
    end
    assert.equal(#enc.tokenizer:encode(texts[1], 99) + #enc.tokenizer:encode(texts[2], 99),
      r.json.usage.prompt_tokens)
    r = srv:request('POST', '/v1/embeddings', {model = 'text-embedding-3-small', input = 'the cat',
      encoding_format = 'base64'})
    local host, n = want:select(1, 2):host()
    assert.equal(require('argent.audio.data_url').base64(require('ffi').string(host, n * 4)),
      r.json.data[1].embedding)
  end)

  it('lists all models', function()
    local ids = {}
    for i, m in ipairs(srv:request('GET', '/v1/models').json.data) do ids[i] = m.id end
    assert.same({'model', 'model', 'bert'}, ids)
  end)

  it('refuses by the field what it cannot do', function()
    for _, case in ipairs {
      {{messages = {}}, 400, 'messages: there is no message to answer', 'messages'},
      {{messages = {{role = 'robot', content = 'x'}}}, 400,
        "messages[0].role: expected one of system, developer, user, assistant, got string 'robot'",
        'messages[0].role'},
      {{messages = {{role = 'user', content = {{type = 'image_url'}}}}}, 400,
        'messages[0].content[0]: expected {"type": "text", "text": "..."}',
        'messages[0].content[0]'},
      {{model = 'gpt-9'}, 404, "model: there is no model 'gpt-9'; this server has model", 'model'},
      {{n = 2}, 400, 'n: expected 1, got 2', 'n'},
      {{temprature = 1}, 400, nil, 'temprature'},
      {{argent = {top_kk = 1}}, 400, nil, 'argent.top_kk'},
      {{stop = {''}}, 400, 'stop: expected a text, or a list of at most 4, got an object', 'stop'},
    } do
      local r = chat(case[1])
      assert.same({case[2], case[4]}, {r.status, r.json.error.param})
      if case[3] then assert.equal(case[3], r.json.error.message) end
    end
    local r = chat {messages = {{role = 'user', content = ('b7'):rep(300)}}}
    assert.same({400, 'context_length_exceeded'}, {r.status, r.json.error.code})
    for input, says in pairs {[''] = 'input: is empty', [5] = 'input: expected a text, or a list, '
      .. 'got 5'} do
      r = srv:request('POST', '/v1/embeddings', {model = 'bert', input = input})
      assert.same({400, says}, {r.status, r.json.error.message})
    end
    r = srv:request('POST', '/v1/embeddings', {model = 'bert', input = {'a'}, dimensions = 5})
    assert.equal('dimensions: the vectors of this model have 16', r.json.error.message)
    r = srv:request('POST', '/v1/embeddings', {model = 'bert', input = {{1, 2}}})
    assert.equal('input[0]: expected a text', r.json.error.message)
  end)
end)
