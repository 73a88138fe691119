-- OpenAI's own Python client asks for chats and vectors, unchanged; see openai_spec.

local ag = require 'argent'
local command = require 'support.command'
local golden = require 'support.golden'
local json = require 'argent.json'
local server = require 'support.server'
local unicode = require 'argent.text.unicode'

local LM = 'spec/fixtures/golden/decoders/smollm/model.gguf'
local BERT = 'spec/fixtures/golden/encoders/bert'

describe("OpenAI's client", function()
  it('chats with argent serve and gets vectors, errors as its exceptions', function()
    local ok, why = server.available()
    local exe, missing = server.openai()
    if not ok or not exe then pending(why or missing) return end
    local model
    for _, m in ipairs(golden.models()) do
      if m.name == 'custom' then model = m.model end
    end
    local srv = server.start {'-m', model, '--threads', '1', '--rows', '1', '--lm', LM,
      '--encoder', BERT}
    finally(function() srv:stop() end)
    local r = command.run({command.root .. '/spec/serve/openai_texts.py',
      ('http://127.0.0.1:%d/v1'):format(srv.port)}, {exe = command.quote(exe)})
    assert.equal(0, r.code, r.err)
    local lines = {}
    for line in r.out:gmatch '[^\n]+' do lines[#lines + 1] = line end
    local lm = assert(ag.decoder.open(LM))
    local said = assert(lm:generate {messages = {{role = 'user', content = 'Hi'}}, max_tokens = 7,
      seed = 3, temperature = 0.8, greedy = false})
    assert.equal(unicode.repaired(said.text), json.decode('[' .. lines[1] .. ']', 'text')[1])
    assert.equal(('%s %d'):format(said.ended == 'limit' and 'length' or 'stop', #said.ids),
      lines[2])
    assert.equal('stream', lines[3])
    local want = assert(assert(ag.encoder.open(BERT)):embed {'hello world', 'the cat'}):totable()
    for i, v in ipairs(assert(json.decode(lines[4], 'vectors'))) do
      for c, x in ipairs(v) do assert.is_true(math.abs(x - want[i][c]) < 1e-6) end
    end
    assert.same({'model model bert', 'NotFoundError 404 model', 'BadRequestError 400 temperature',
      'BadRequestError 400 messages', 'BadRequestError 400 input[0]'}, {unpack(lines, 5)})
  end)
end)
