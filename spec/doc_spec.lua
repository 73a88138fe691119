-- What is written about names, as the prompt asks for it.

local ag = require 'argent'
local doc = require 'argent.doc'
local names = require 'argent.repl.names'

describe('documentation', function()
  local be = assert(ag.backend('cpu', {threads = 1}))
  local Synthesizer = require 'argent.qwen3_tts.synthesizer'
  local env = names.of({
    ag = ag, be = be, x = ag.zeros(be, {2}), tts = setmetatable({dir = '/m'}, Synthesizer), n = 5,
  })

  local function text(name)
    local d, err = doc.find(name, env)
    return doc.text(assert(d, err))
  end

  -- The text begins so and holds each of the parts.
  local function tells(name, first, ...)
    local all = text(name)
    assert.equal(first, all:match '^[^\n]*')
    for _, part in ipairs {...} do
      assert.truthy(all:find(part, 1, true), ('%s is not in\n%s'):format(part, all))
    end
  end

  it('is there for functions and methods, with their place', function()
    tells('ag.load', 'M.load(path, opts)', 'Reads every tensor of a safetensors or GGUF file.',
      'path: string', 'io.lua:')
    tells('x:narrow', 'Tensor:narrow(dim, first, length)', '1-based')
    tells('be.sync', 'Backend:sync()')
    tells('tensor.item', 'Tensor:item()')
  end)

  it('is there for ops, by their names alone, too', function()
    for _, name in ipairs {'ops.linear', 'ag.ops.linear', 'linear'} do
      tells(name, 'ops.linear(out, x, w, opt_bias, opt_scale)',
        'out[t, o] = sum_i x[t, i] w[o, i] + bias[o].')
    end
    for op in pairs(ag.ops) do assert.truthy(#text(op) > #op + 20) end
    tells('ag.ops', 'ops', 'ops.silu(out, x)  out = x / (1 + e^-x).')
  end)

  it('is there for modules: what they are for, and a line for each part', function()
    tells('ag', 'ag', 'ag.load(path, opts)  Reads every tensor of a safetensors or GGUF file.',
      'ag.plot  ag.plot: pictures of what goes on in speech',
      'ag.qwen3_tts  Qwen3-TTS from a model directory')
    tells('ag.plot', 'ag.plot', 'ag.plot.line(values, opts)  One curve or several.',
      'plot/init.lua')
    tells('ag.nn.Linear', 'ag.nn.Linear', 'y = W x + b', 'ag.nn.Linear.forward(out, x)')
  end)

  it('is there for objects and classes: their fields and methods', function()
    tells('x', 'ag.Tensor', 'shape: integer[]', ':item()  The number in a tensor of one element.')
    tells('tensor', 'ag.Tensor', ':item()')
    tells('be', 'ag.Backend', 'threads: integer', ':sync()')
    tells('tts', 'ag.Synthesizer', 'talker: ag.Talker', ':say(opts)  Speaks a text.')
    tells('session', 'ag.Session', ':reset(row)')
    tells('ag.Speech', 'ag.Speech', 'instruct: string?  how to speak')
    tells('ag.Hooks', 'ag.Hooks', 'logits: fun(u: ag.Utterance, x: ag.Tensor): any?  raw logits')
  end)

  it('is there for fields of objects, whether they have a value or not', function()
    tells('x.dtype', 'ag.Tensor.dtype: string')
    tells('be.live_bytes', 'ag.Backend.live_bytes: number', 'mapped files do not count')
    tells('tts.talker', 'ag.Synthesizer.talker: ag.Talker') -- this one is not open
  end)

  it('is there for options: named by their function, or alone', function()
    tells('tts:say', 'Synthesizer:say(opts)', 'ag.Speech: text, voice, ')
    tells('tts.say.seed', 'ag.Speech.seed: integer?', '0 .. 2^53')
    tells('seed', 'ag.Generate.seed: integer?', 'from the clock')
    tells('ag.backend.threads', 'threads: integer?', '0 or nil = one per core')
    tells('ag.plot.line.labels', 'labels: string[]?', "the curves' names in the legend")
  end)

  it('says what is not there, and what was meant', function()
    for name, message in pairs {
      nothing = "there is no 'nothing'",
      ['ag.laod'] = "there is no 'ag.laod', did you mean ag.load?",
      ['x:itme'] = "there is no 'x.itme', did you mean x.item?", n = "nothing is written about 'n'",
      ['ag.load.sede'] = "there is no 'ag.load.sede'", ['n.a.b'] = "there is no 'n.a'",
      ['ag.version'] = "nothing is written about 'ag.version'",
    } do
      assert.same({nil, message}, {doc.find(name, env)})
    end
  end)

  it('fits into a hundred columns', function()
    for _, name in ipairs {'ag', 'ops', 'ag.Speech', 'ag.Hooks', 'tts:say', 'ag.plot', 'x'} do
      for line in text(name):gmatch '[^\n]+' do
        assert.is_true(#line <= 100 or line:find '^  %(/' ~= nil, line)
      end
    end
  end)
end)
