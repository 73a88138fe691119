-- Texts as language models make them: draws, hooks, forks, streams, stop texts, limits, refusals.

local ag = require 'argent'
local json = require 'argent.json'
local stops = require 'argent.decoder.stops'

local FOLDER = 'spec/fixtures/golden/decoders/'
local be = assert(ag.backend('cpu', {threads = 1}))
local lm = assert(ag.decoder.open(FOLDER .. 'qwen3', {backend = be, dtype = 'f32'}))
local PROMPT = {17, 40, 9}
local drawn = {temperature = 0.9, top_k = 0, top_p = 1, greedy = false}

local function opts(more)
  local o = {prompt = PROMPT, max_tokens = 12, seed = 5}
  for k, v in pairs(drawn) do o[k] = v end
  for k, v in pairs(more or {}) do o[k] = v end
  return o
end

local function ids(more)
  return assert(lm:generate(opts(more))).ids
end

describe('generate', function()
  it('draws the same ids from the same seed, others from another and from another stream',
    function()
      local a = ids()
      assert.same(a, ids())
      assert.are_not.same(a, ids {seed = 6})
      assert.are_not.same(a, ids {stream = 1})
    end)

  it('gives the same ids from a text and from the ids of that text', function()
    local text = 'Hello, world!'
    local from = assert(lm.tokenizer:encode(text, {special = true}))
    assert.same(ids {prompt = text}, ids {prompt = from})
  end)

  it('answers a chat as it continues the rendered text', function()
    local chat = {{role = 'user', content = 'Hi'}}
    local text = '<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n'
    local o = opts {messages = chat}
    o.prompt = nil
    assert.same(ids {prompt = text}, assert(lm:generate(o)).ids)
  end)

  it('ends at the limit, and says so', function()
    local r = assert(lm:generate(opts {hooks = {token = function(_, id)
      return id == 0 and 7 or nil
    end}}))
    assert.equal('limit', r.ended)
    assert.equal(12, #r.ids)
  end)

  it('ends at the end token, which is not part of the ids', function()
    local r = assert(lm:generate(opts {hooks = {token = function(g)
      return #g.ids == 3 and 0 or 50
    end}}))
    assert.same({50, 50, 50}, r.ids)
    assert.equal('eos', r.ended)
  end)

  it('leaves out special tokens of the text, and keeps them among the ids', function()
    local special = lm.tokenizer:id '<|im_start|>'
    local r = assert(lm:generate(opts {max_tokens = 2, hooks = {token = function(g)
      return #g.ids == 0 and special or 50
    end}}))
    assert.same({special, 50}, r.ids)
    assert.equal(lm.tokenizer:decode {50}, r.text)
  end)

  it('shows hooks the hidden state and the logits, and takes what they put in place', function()
    local seen = {}
    local forced = assert(lm:generate(opts {max_tokens = 3, hooks = {
      hidden = function(_, x) seen[#seen + 1] = x:count() end,
      logits = function(_, x)
        local row = {}
        for v = 1, x:count() do row[v] = v == 101 and 1 or -1e30 end
        return row
      end,
    }}))
    assert.same({16, 16, 16}, seen)
    assert.same({100, 100, 100}, forced.ids)
  end)

  it('makes the same ids with hooks that only look, and with watchers', function()
    local a, n = ids(), 0
    assert.same(a, ids {hooks = {hidden = function() end, logits = function() end,
      token = function() end}})
    local watch = lm:watch('layers.1.out', function() n = n + 1 end)
    assert.same(a, ids())
    watch:stop()
    assert.is_true(n >= #a)
    assert.same(a, ids())
  end)

  it('penalises what the prompt and the text hold, as transformers does', function()
    local logits, after = {}, nil
    local g = lm:generate(opts {prompt = {60, 61, 62}, greedy = true, max_tokens = 1,
      repetition_penalty = 1000, hooks = {logits = function(_, x)
        local row = {}
        for v = 1, x:count() do row[v] = -50 end
        row[61], row[62], row[63], row[65] = 9, 9, 9, 0.01
        logits = row
        return row
      end, token = function(_, id) after = id end}})
    assert.is_truthy(g and logits[65])
    assert.equal(64, after)
  end)

  it('stops in a hook', function()
    local r = assert(lm:generate(opts {hooks = {token = function(g)
      if #g.ids == 1 then g:stop() end
      return 50
    end}}))
    assert.equal('stopped', r.ended)
    assert.same({50, 50}, r.ids)
  end)

  it('refuses what has no meaning, at the line of the caller', function()
    for _, case in ipairs {
      {{}, 'generate: needs either prompt or messages'},
      {{prompt = 'a', messages = {}}, 'generate: needs either prompt or messages'},
      {{prompt = {1.5}}, 'prompt%[1%]: expected an integer'},
      {{prompt = {352}}, 'prompt%[1%]: expected an integer'},
      {{prompt = 'a', max_tokens = 0}, 'max_tokens: expected an integer'},
      {{prompt = 'a', temperature = -1}, 'temperature: expected a number'},
      {{prompt = 'a', stop = {''}}, 'stop%[1%]: expected a text that is not empty'},
      {{prompt = 'a', top = 1}, "generate: unknown option string 'top'"},
      {{prompt = 'a', hooks = {code = print}}, "hooks: unknown option string 'code'"},
      {{messages = {{role = 'robot', content = ''}}}, 'messages%[1%]%.role: expected one of'},
    } do
      local ok, err = pcall(function() lm:generate(case[1]) end)
      assert.is_false(ok)
      assert.matches('generation_spec.lua:%d+: ' .. case[2], err)
    end
  end)

  it('refuses a prompt that is empty or not UTF-8 as a value', function()
    for _, case in ipairs {{'', 'the prompt is empty'},
      {'\255', 'text is not valid UTF%-8 at byte 1'}} do
      local r, err, code = lm:generate {prompt = case[1]}
      assert.is_nil(r)
      assert.matches(case[2], err)
      assert.equal('value', code)
    end
  end)

  it('says when the model has no room left, and goes on with the next text', function()
    local long = {}
    for i = 1, 250 do long[i] = 50 end
    local r, err, code = lm:generate(opts {prompt = long, hooks = {
      token = function() return 50 end,
    }})
    assert.is_nil(r)
    assert.matches('session full', err)
    assert.equal('capacity', code)
    assert.equal(12, #ids {hooks = {token = function() return 50 end}})
  end)

  it('takes a prompt of more ids than Lua has places for arguments', function()
    local long = {}
    for i = 1, 20000 do long[i] = 50 end
    local r, err, code = lm:generate(opts {prompt = long})
    assert.is_nil(r)
    assert.matches('session full', err)
    assert.equal('capacity', code)
  end)

  it('raises what a hook raises, and works on', function()
    local ok, err = pcall(function()
      lm:generate(opts {hooks = {logits = function() error('mine', 0) end}})
    end)
    assert.is_false(ok)
    assert.equal('mine', err)
    assert.same(ids(), ids())
  end)
end)

describe('stream', function()
  it('gives piece by piece the text that generate gives at once', function()
    local pieces = {}
    local next_piece, g = lm:stream(opts())
    for piece in next_piece do pieces[#pieces + 1] = piece end
    local r = assert(lm:generate(opts()))
    assert.equal(r.text, table.concat(pieces))
    assert.same(r.ids, g.ids)
  end)

  it('can be left early, many times, with others made meanwhile', function()
    for _ = 1, 20 do (lm:stream(opts()))() end
    assert.same(ids(), ids())
  end)
end)

describe('fork', function()
  it('goes on as the one it came from would, and both go on alone', function()
    local want = ids()
    local _, g = lm:stream(opts())
    for _ = 1, 4 do assert(g:next()) end
    local twin = assert(g:fork())
    local other = assert(g:fork {seed = 99})
    while twin:next() do end
    while other:next() do end
    while g:next() do end
    assert.same(want, g.ids)
    assert.same(want, twin.ids)
    assert.same({unpack(want, 1, 4)}, {unpack(other.ids, 1, 4)})
    assert.are_not.same(want, other.ids)
    for _, v in ipairs {g, twin, other} do v:finish() end
  end)
end)

describe('the text of ids', function()
  local tok = {contents = {}, words = {}}
  function tok:decode(list) return self.words[list[1]] end
  local function feed(stop, list)
    local s, out = stops.new(tok, stop, 0), {}
    for i, word in ipairs(list) do
      tok.words[i] = word
      local ended = s:add(i)
      out[#out + 1] = s:take(ended or i == #list)
      if ended then break end
    end
    return out, s:text()
  end

  it('holds back what may become a stop text, and gives it when it does not', function()
    assert.same({'a', '', 'enough', 'e'}, (feed({'end.'}, {'a', 'en', 'ough', 'e'})))
    local out, text = feed({'end.'}, {'a', 'en', 'ough', ' en', 'd. b'})
    assert.equal('aenough ', text)
    assert.equal('aenough ', table.concat(out))
    assert.equal('', out[2])
  end)

  it('cuts before the first of several stop texts, though it began in an earlier id', function()
    local _, text = feed({'xyz', 'yz'}, {'..x', 'y', 'z'})
    assert.equal('..', text)
  end)

  it('gives characters whole', function()
    local out = feed(nil, {'\240\159', '\152', '\128!'})
    assert.same({'', '', '\240\159\152\128!'}, out)
  end)
end)

describe('generate with a list', function()
  local prompts = {'The sea', {17, 40, 9}, 'a', 'Hello, world!', {50}}

  -- What text i is by itself.
  local function alone(i, more)
    local o = opts(more)
    o.prompt, o.stream = prompts[i], (o.stream or 0) + i - 1
    return assert(lm:generate(o))
  end

  local function list(more)
    local o = opts(more)
    o.prompt, o.prompts = nil, prompts
    return lm:generate(o)
  end

  for _, rows in ipairs {1, 2, 3, 8} do
    it(('of 5 texts, %d at once, gives each what it is by itself'):format(rows), function()
      local together = assert(list {rows = rows, stop = {'e'}, repetition_penalty = 1.3})
      assert.equal(5, #together)
      for i, r in ipairs(together) do
        assert.same(alone(i, {stop = {'e'}, repetition_penalty = 1.3}), r)
      end
    end)
  end

  it('shows each text to its hooks', function()
    local seen = {}
    local hooks = {
      logits = function(g, x) if #g.prompt_ids == 1 then x:narrow(1, 61, 1):fill(1e4) end end,
      token = function(_, id) seen[#seen + 1] = id end,
    }
    local together = assert(list {rows = 4, hooks = hooks, max_tokens = 3})
    assert.same({60, 60, 60}, together[5].ids)
    assert.same({60, 60, 60}, together[3].ids)
    assert.same(alone(1, {max_tokens = 3}).ids, together[1].ids)
    assert.equal(15, #seen)
  end)

  it('of chats answers each', function()
    local chats = {{{role = 'user', content = 'Hi'}}, {{role = 'user', content = 'a b'}}}
    local o = opts {greedy = true}
    o.prompt, o.chats = nil, chats
    local together = assert(lm:generate(o))
    for i, chat in ipairs(chats) do
      local one = opts {greedy = true, messages = chat, stream = i - 1}
      one.prompt = nil
      assert.same(assert(lm:generate(one)), together[i])
    end
  end)

  it('ends with the fault of one, which it names, and works on', function()
    local long = {}
    for i = 1, 300 do long[i] = 50 end
    local r, err, code = lm:generate {prompts = {'a', long}, max_tokens = 2}
    assert.same({nil, 'text 2: session full: 299 positions wanted, the model has 256', 'capacity'},
      {r, err, code})
    assert.same({nil, 'text 1: the prompt is empty', 'value'},
      {lm:generate {prompts = {''}}})
    local ok, why = pcall(lm.generate, lm, {prompts = {'a', 'b'}, hooks = {
      token = function() error('mine', 0) end,
    }})
    assert.same({false, 'mine'}, {ok, why})
    for i, one in ipairs(assert(list())) do assert.same(alone(i), one) end
    assert.same({}, lm:generate {prompts = {}})
  end)

  it('says what is wrong with the logits of one', function()
    local hooks = {logits = function(g, x)
      if #g.ids == 1 then ag.ops.affine(x, x:fill(math.huge), 0, 0) end -- inf * 0
    end}
    assert.same({nil, 'the logits hold NaN', 'value'}, {lm:generate(opts {hooks = hooks})})
    hooks.logits = function(g, x)
      if #g.prompt_ids == 1 then ag.ops.affine(x, x:fill(3e38), 3, 0) end
    end
    assert.same({nil, 'text 3: the logits hold +inf', 'value'}, {list {hooks = hooks}})
    assert.same(ids(), ids())
  end)

  it('refuses what has no meaning, at the line of the caller', function()
    for _, case in ipairs {
      {{prompts = 'a'}, 'generate: prompts: expected a table'},
      {{prompts = {'a'}, prompt = 'b'}, 'generate: needs one of prompt, messages, prompts and'},
      {{prompts = {'a'}, rows = 0}, 'generate: rows: expected an integer'},
      {{prompts = {'a'}, min_p = 2}, 'min_p: expected a number'},
    } do
      local ok, err = pcall(function() lm:generate(case[1]) end)
      assert.is_false(ok)
      assert.matches('generation_spec.lua:%d+: ' .. case[2], err)
    end
  end)
end)

describe('perplexity', function()
  it('is e to the mean surprise, by an independent sum', function()
    local golden = assert(json.read(FOLDER .. 'qwen3/golden.json'))
    local list = {unpack(golden.prompt, 1, 10)}
    local logits, sum = assert(lm:logits(list)):totable(), 0
    for i = 1, 9 do
      local total = 0
      for _, x in ipairs(logits[i]) do total = total + math.exp(x) end
      sum = sum - math.log(math.exp(logits[i][list[i + 1] + 1]) / total)
    end
    assert.is_true(math.abs(assert(lm:perplexity(list)) / math.exp(sum / 9) - 1) < 1e-6)
  end)

  it('wants two tokens', function()
    local r, err = lm:perplexity 'a'
    assert.is_nil(r)
    assert.equal('perplexity: the text has less than two tokens', err)
  end)
end)
