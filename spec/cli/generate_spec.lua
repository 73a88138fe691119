-- argent generate and argent chat: what a language model writes, as the library writes it, and what
-- is refused.

local ag = require 'argent'
local command = require 'support.command'
local json = require 'argent.json'
local st = require 'support.st'
local unicode = require 'argent.text.unicode'

local GGUF = 'spec/fixtures/golden/decoders/smollm/model.gguf'
local QWEN = 'spec/fixtures/golden/decoders/qwen3'

local function run(args, opts)
  args[#args + 1], args[#args + 2] = '--threads', '1'
  return command.run(args, opts)
end

local function fails(code, line, r)
  assert.equal(line .. '\n', r.err)
  assert.equal(code, r.code)
  assert.equal('', r.out)
end

describe('argent generate', function()
  local lm = assert(ag.decoder.open(QWEN, {backend = assert(ag.backend('cpu', {threads = 1}))}))
  local drawn = {prompt = 'The sea', max_tokens = 9, seed = 4, temperature = 0.9, top_k = 40,
    top_p = 0.9, min_p = 0.01, repetition_penalty = 1.1, greedy = false}

  it('writes what the library writes, from an argument, a file and a pipe', function()
    local want = assert(lm:generate(drawn))
    local flags = {'--max-tokens', '9', '--seed', '4', '--temperature', '0.9', '--top-k', '40',
      '--top-p', '0.9', '--min-p', '0.01', '--repetition-penalty', '1.1'}
    local r = run {'generate', 'The sea', '-m', QWEN, unpack(flags)}
    want.text = unicode.repaired(want.text) -- random ids may leave half a character
    assert.same({0, want.text .. '\n', ''}, {r.code, r.out, r.err})
    r = run({'generate', '-', '-m', QWEN, '--json', unpack(flags)}, {stdin = 'The sea\n'})
    local said = assert(json.decode(r.out, 'json'))
    assert.same({want.text, want.ids, want.ended, 4}, {said.text, said.ids, said.ended, said.seed})
    assert.equal(#lm.tokenizer:encode 'The sea', said.prompt_tokens)
  end)

  it('takes a GGUF file, stops before a text, and takes the likeliest', function()
    local small = assert(ag.decoder.open(GGUF))
    local whole = assert(small:generate {prompt = 'a', greedy = true, max_tokens = 12})
    local r = run {'generate', 'a', '-m', GGUF, '--greedy', '--max-tokens', '12'}
    assert.same({0, whole.text .. '\n'}, {r.code, r.out})
    local stop = whole.text:sub(-3)
    r = run {'generate', 'a', '-m', GGUF, '--greedy', '--max-tokens', '12', '--stop', stop,
      '--stop', 'zzzzzz', '--json'}
    local said = assert(json.decode(r.out, 'json'))
    assert.equal('stop', said.ended)
    assert.equal(whole.text:sub(1, whole.text:find(stop, 1, true) - 1), said.text)
  end)

  it('refuses in one line what cannot be, with the exit code of its cause', function()
    fails(2, 'argent: generate: no text: give it as an argument, with -f FILE, or - for standard '
      .. 'input', run {'generate', '-m', QWEN})
    fails(4, 'argent: generate: text is not valid UTF-8 at byte 1',
      run {'generate', '\255', '-m', QWEN})
    fails(4, 'argent: generate: the prompt is empty', run {'generate', '', '-m', QWEN})
    local ids = #lm.tokenizer:encode(('b7'):rep(200))
    fails(4, ('argent: generate: session full: %d positions wanted, the model has 256'):format(
      ids - 1), run({'generate', '-', '-m', QWEN}, {stdin = ('b7'):rep(200)}))
    fails(3, 'argent: generate: spec/fixtures/golden/encoders/bert: is a text encoder, which '
      .. 'cannot write texts; use a language model',
      run {'generate', 'a', '-m', 'spec/fixtures/golden/encoders/bert'})
    fails(3, 'argent: generate: /none.gguf: no such model directory (from -m)',
      run {'generate', 'a', '-m', '/none.gguf'})
    fails(3, 'argent: say: ' .. GGUF .. ': is a language model, which cannot speak; use Qwen3-TTS',
      run {'say', 'a', '-m', GGUF})
    fails(2, "argent: generate: --min-p: expected a number from 0 to 1, got '2' (see argent "
      .. 'generate --help)', run {'generate', 'a', '--min-p', '2'})
    assert.matches('^argent: generate: no model: ARGENT_MODEL is not set, and there is none in '
      .. '.*; fetch one with: argent pull HuggingFaceTB/SmolLM2%-135M%-Instruct, or give %-m DIR '
      .. 'or FILE.gguf\n$', run({'generate', 'a'}).err)
  end)

  it('ends with 6 when nobody reads what it writes', function()
    fails(6, 'argent: generate: standard output: No space left on device',
      run({'generate', 'a', '-m', QWEN, '--max-tokens', '2'}, {before = 'exec >/dev/full;'}))
  end)
end)

describe('argent chat', function()
  local small = assert(ag.decoder.open(GGUF))

  it('answers each line, and knows what was said before', function()
    local messages, want = {{role = 'system', content = 'Be brief.'}}, {}
    for i, text in ipairs {'Hi', 'And you?'} do
      messages[#messages + 1] = {role = 'user', content = text}
      want[i] = assert(small:generate {messages = messages, greedy = true, max_tokens = 6})
      want[i] = unicode.repaired(want[i].text) -- a character may be cut off at the end
      messages[#messages + 1] = {role = 'assistant', content = want[i]}
    end
    local flags = {'-m', GGUF, '--greedy', '--max-tokens', '6', '--system', 'Be brief.'}
    local r = run({'chat', unpack(flags)}, {stdin = 'Hi\n\nAnd you?\n'})
    assert.same({0, want[1] .. '\n' .. want[2] .. '\n', ''}, {r.code, r.out, r.err})
    assert.equal(want[1] .. '\n', run({'chat', 'Hi', unpack(flags)}).out)
  end)

  it('wants to know how messages become text', function()
    local bare = os.tmpname()
    os.execute(('rm %s; cp -r %s %s'):format(bare, QWEN, bare))
    finally(function() os.execute('rm -r ' .. bare) end)
    st.write('{"chat_template": "{{ messages }}"}', bare .. '/tokenizer_config.json')
    fails(3, ('argent: chat: %s: its chat template is not one of those that are known; name one by '
      .. '--template: chatml, llama3, qwen2, smollm2'):format(bare), run {'chat', 'x', '-m', bare})
    local r = run {'chat', 'x', '-m', bare, '--template', 'chatml', '--max-tokens', '1'}
    assert.equal(0, r.code)
  end)
end)

describe('argent repl', function()
  it('calls a language model lm and a text encoder enc', function()
    local r = run({'repl', '-m', QWEN}, {stdin = "lm:generate({prompt='a',max_tokens=1}).ended\n"})
    assert.matches('limit', r.out)
    r = run({'repl', '-m', 'spec/fixtures/golden/encoders/bert'}, {stdin = "#enc:embed 'a'\n"})
    assert.matches('^16\n', r.out)
    assert.equal('', r.err)
  end)
end)
