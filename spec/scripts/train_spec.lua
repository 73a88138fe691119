-- The recipe of the demo voice, at a size that a test can wait for: everything from texts to a
-- model that loads. What it needs is not part of Argent; ARGENT_TRAIN_PYTHON names a Python that
-- has it, build/train is where .ci/run puts one.

local ag = require 'argent'
local command = require 'support.command'
local json = require 'argent.json'
local lfs = require 'lfs'
require 'support.near'

local python = os.getenv 'ARGENT_TRAIN_PYTHON' or command.root .. '/build/train/bin/python'
local NEEDS = {'torch', 'hibari', 'onnx', 'onnxruntime', 'scipy', 'tokenizers', 'safetensors'}

local function missing()
  local wordnet = os.getenv 'WORDNET' or '/usr/share/wordnet'
  if not lfs.attributes(wordnet .. '/data.noun') then
    return 'WordNet is not installed (apt-get install wordnet-base)'
  end
  for _, name in ipairs(NEEDS) do
    local has = command.run({'-c', ('import importlib.util, sys; sys.exit(importlib.util.find_spec('
      .. '"%s") is None)'):format(name)}, {exe = python})
    if has.code ~= 0 then
      return ('%s has no %s (pip install -r scripts/train/requirements.txt)'):format(python, name)
    end
  end
end

-- What Python computes with the trained modules, in bf16's numbers as they are exported: the wave
-- of some codes, and the logits of the first code of a prompt.
local BY_PYTHON = [==[
import pathlib, sys
sys.path.insert(0, 'scripts/train')
import numpy as np, torch
import codec, model, prompts, settings, tokens
s = settings.small(sys.argv[1])
def load(module, name):
    state = torch.load(s.path(name))['model']
    module.load_state_dict({k: v.to(torch.bfloat16).float() for k, v in state.items()})
    return module
with torch.no_grad():
    codes = torch.arange(24).view(1, 6, 4) * 37 % 1024
    load(codec.Codec(), 'decoder.pt')(codes).numpy().tofile(s.path('wave.f32'))
    t = tokens.Tokens(s.work)
    one = dict(text='Hello, world.', voice='oak', codes=np.zeros((1, 4), np.int16),
               word=np.zeros(1, np.uint8), place=np.zeros(1, np.float16))
    b = prompts.Prompts(s, t).batch([one])
    m = load(model.Talker(t.size), 'talker.pt')
    hidden, _ = m.talker.model.run(m.vectors(b.text, b.codec, b.rest))
    m.talker.codec_head(hidden[0, b.at[0]]).numpy().tofile(s.path('logits.f32'))
]==]

describe('the recipe of the demo voice', function()
  local lacks, dir = missing(), nil

  -- The home is of the run's own: packages keep caches there.
  local function recipe(...)
    return command.run({'-W', 'ignore', command.root .. '/scripts/train/recipe.py', ...}, {
      exe = python, timeout = 900, env = {HOME = dir, OMP_NUM_THREADS = '1', TRAIN_JOBS = '1'}})
  end

  setup(function()
    if lacks then return end
    dir = os.tmpname()
    os.remove(dir)
    local r = recipe('all', '--small', '--work', dir)
    assert(r.code == 0, r.out .. r.err)
  end)

  teardown(function()
    if dir then os.execute('rm -rf ' .. command.quote(dir)) end
  end)

  local function makes(what, test)
    it(what, function()
      if lacks then
        pending(lacks)
        return
      end
      test()
    end)
  end

  -- The lines of a training's log.
  local function log(name)
    local lines = {}
    for line in io.lines(('%s/%s.log'):format(dir, name)) do
      lines[#lines + 1] = assert(json.decode(line, name))
    end
    return lines
  end

  local function floats(name)
    local f = assert(io.open(dir .. '/' .. name, 'rb'))
    local bytes = f:read '*a'
    f:close()
    local ffi = require 'ffi'
    local p, out = ffi.cast('const float *', bytes), {}
    for i = 1, #bytes / 4 do out[i] = p[i - 1] end
    return out
  end

  makes('learns: what was held out is foretold better after than before', function()
    local talker, decoder = log 'talker', log 'decoder'
    for _, voice in ipairs {'heart', 'oak', 'stream'} do
      local key = ('held_%s_ce0'):format(voice)
      assert.is_true(talker[#talker][key] < talker[1][key] - 0.1, voice)
    end
    assert.is_true(decoder[#decoder].held_mel < decoder[1].held_mel - 0.5)
  end)

  makes('keeps the held-out sentences out of the texts', function()
    local held = {}
    for line in io.lines(command.root .. '/scripts/train/heldout.tsv') do
      held[line:match '\t(.*)$':lower():gsub('[^%w]+', ' ')] = true
    end
    for line in io.lines(dir .. '/texts.txt') do
      assert.is_nil(held[line:lower():gsub('[^%w]+', ' ')], line)
    end
  end)

  makes('goes on where a training was left', function()
    local r = recipe('talker', '--small', '--work', dir, '--set', 'talker_steps=42')
    assert.equal(0, r.code, r.out .. r.err)
    local lines = log 'talker'
    assert.equal(40, lines[#lines - 1].step)
    assert.equal(42, lines[#lines].step)
    assert.equal(0, recipe('export', '--small', '--work', dir).code)
  end)

  makes('exports a model that Argent loads, and computes as the training does', function()
    local script = dir .. '/by_python.py'
    local f = assert(io.open(script, 'w'))
    f:write(BY_PYTHON)
    f:close()
    local r = command.run({script, dir}, {exe = python, env = {HOME = dir}})
    assert.equal(0, r.code, r.err)

    local tts = assert(ag.qwen3_tts.open(dir .. '/model', {dtype = 'f32'}))
    assert.same({'heart', 'oak'}, tts:voices())
    local codes = {}
    for i = 1, 6 do
      codes[i] = {}
      for g = 1, 4 do codes[i][g] = (4 * (i - 1) + g - 1) * 37 % 1024 end
    end
    local want = floats 'wave.f32'
    for i, x in ipairs(want) do want[i] = math.max(-1, math.min(1, x)) end
    assert.near(want, assert(tts.codec:decode(codes)), 1e-4)

    local logits
    local frames = assert(tts:frames {text = 'Hello, world.', voice = 'oak', seed = 1,
      max_frames = 1, hooks = {logits = function(_, x) logits = logits or x:totable() end}})
    for _ in frames do end -- luacheck: ignore 542
    assert.near(floats 'logits.f32', logits, 1e-3)

    local sound = assert(tts:say {text = 'Good morning.', voice = 'heart', layout = 'stream',
      seed = 1, max_frames = 5})
    assert.is_false(assert(tts:align(sound)).estimated)
  end)
end)
