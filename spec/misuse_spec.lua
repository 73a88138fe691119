-- Misuse: every public function and method, called with nothing, with nil, a number, a table or
-- an object of another kind, says so at the line that called it. None hands to C what C would
-- crash on.

local ag = require 'argent'
local ffi = require 'ffi'
local golden = require 'support.golden'
local plan = require 'argent.plan'
local tensor = require 'argent.tensor'
local weights = require 'argent.weights'

local be = assert(ag.backend('cpu', {threads = 1}))

-- What is no object of any class. `nothing` stands for a call without arguments.
local nothing = {}
local FOREIGN = {
  nothing, 'nil', 1, 'text', {}, setmetatable({}, {}), ffi.new 'int[1]', function() end,
}

local function pack(...) return {n = select('#', ...), ...} end

-- What networks and loops call among themselves: it need not blame whoever calls it, but must not
-- crash either.
local INTERNAL = {}
for names in ([[
  tensor.own tensor.dtype tensor.read linear.forward backbone.step scope.unusable
  talker.prompt_rows predictor.pass predictor.frame predictor.frame_embeddings predictor.state
  utterance.rows_of utterance.append utterance.set_guard utterance.attach
  utterance.input_of
  stream.run stream.ops stream.conv stream.convnext stream.dequantize stream.residual_unit
  stream.block stream.last_block stream.rows utterance.input_of
  image.pixel
]]):gmatch '%S+' do INTERNAL[names] = true end

-- Calls fn with some arguments from a line of this file.
local function call(fn, args)
  return pack(pcall(function()
    local r = pack(fn(unpack(args, 1, args.n)))
    return unpack(r, 1, r.n)
  end))
end

local function show(name, args)
  local list = {}
  for i = 1, args.n do list[i] = type(args[i]) end
  return ('%s(%s)'):format(name, table.concat(list, ', '))
end

-- Whether an error was raised, which then must blame this file.
local function blames(name, args, r)
  if r[1] then return false end
  local what = show(name, args)
  assert.equal('string', type(r[2]), what)
  assert.matches('^[^\n]*spec/misuse_spec%.lua:%d+: ', r[2], what)
  assert.is_nil(r[2]:find('bad argument', 1, true), what .. ': ' .. r[2])
  return true
end

-- The functions of a table, by name.
local function functions(t)
  local list = {}
  for name, fn in pairs(t) do
    if type(fn) == 'function' and name:sub(1, 2) ~= '__' then list[#list + 1] = {name, fn} end
  end
  table.sort(list, function(a, b) return a[1] < b[1] end)
  return list
end

describe('misuse', function()
  local tts, model, w
  local sound_file = os.tmpname() .. '.wav'

  setup(function()
    for _, m in ipairs(golden.models()) do
      for _, c in ipairs(m.cases) do
        if c.mode == 'custom_voice' then model = m.model end
      end
    end
    tts = assert(ag.qwen3_tts.open(model, {backend = be}))
    w = assert(weights.open(model, {backend = be}))
  end)

  teardown(function() os.remove(sound_file) end)

  local function utterance()
    local _, u = assert(tts:frames {text = 'Hi.', voice = tts:voices()[1], max_frames = 1})
    return u
  end

  local function speech()
    local _, s = assert(tts:stream {text = 'Hi.', voice = tts:voices()[1], max_frames = 1})
    return s
  end

  -- How an object of each public class is made.
  local OBJECTS = {
    backend = function() return be end,
    tensor = function() return ag.zeros(be, {2, 3}) end,
    plan = function() return ag.capture(be, function() ag.zeros(be, {1}):fill(1) end) end,
    program = function()
      return plan.program(be, function() ag.zeros(be, {1}):fill(1) end)
    end,
    weights = function() return w end,
    scope = function() return w:scope 'talker.' end,
    session = function() return tts.talker.backbone:session {capacity = 8} end,
    backbone = function() return tts.talker.backbone end,
    synthesizer = function() return tts end,
    talker = function() return tts.talker end,
    predictor = function() return tts.predictor end,
    codec = function() return tts.codec end,
    stream = function() return tts.codec:stream() end,
    tokenizer = function() return tts.tokenizer end,
    utterance = utterance,
    speech = speech,
    feed = function() return tts:feed {voice = tts:voices()[1]} end,
    linear = function() return tts.talker.head end,
    watch = function() return tts.talker:watch('norm', function() end) end,
    sound = function()
      return require('argent.audio.sound').new {samples = ag.zeros(be, {3}), rate = 24000}
    end,
    sink = function() return ag.audio.sink(999) end,
    writer = function()
      return assert(require('argent.audio.file').create(sound_file))
    end,
    image = function() return ag.plot.waveform(ag.zeros(be, {100})) end,
  }

  local function methods_of(kind, object)
    if tensor.is(object) then return functions(tensor.methods) end
    if type(object) == 'cdata' then return functions(require('argent.backend').methods) end
    if kind == 'linear' then return functions(getmetatable(object)) end
    local index = getmetatable(object).__index
    return functions(type(index) == 'table' and index or require('argent.nn.session').methods)
  end

  local function is_method(fn)
    fn = require('argent.check').original(fn)
    return debug.getlocal(fn, 1) == 'self'
  end

  for kind, make in pairs(OBJECTS) do
    it(('of a %s without its self is an error of the caller'):format(kind), function()
      local object, seen = make(), 0
      for _, m in ipairs(methods_of(kind, object)) do
        for _, v in ipairs(is_method(m[2]) and FOREIGN or {}) do
          local args = v == nothing and {n = 0} or v == 'nil' and {n = 1} or {n = 1, v}
          local what = show(kind .. '.' .. m[1], args)
          assert.is_true(blames(kind .. '.' .. m[1], args, call(m[2], args)), what)
          seen = seen + 1
        end
        for _, null in ipairs {ffi.cast('ag_backend *', nil), ffi.cast('ag_plan *', nil)} do
          local args = {n = 1, null}
          if is_method(m[2]) then
            assert.is_true(blames(kind .. '.' .. m[1], args, call(m[2], args)))
          end
        end
        for other, make_other in pairs(OBJECTS) do
          if is_method(m[2]) and other ~= kind and other ~= 'writer' then
            local args = {n = 1, make_other()}
            assert.is_true(blames(kind .. '.' .. m[1], args, call(m[2], args)))
          end
        end
      end
      assert.is_true(seen > 0)
    end)
  end

  for kind, make in pairs(OBJECTS) do
    it(('of a %s with other arguments is an error of the caller, or a value'):format(kind),
      function()
        for _, m in ipairs(methods_of(kind, make())) do
          local name = kind .. '.' .. m[1]
          for _, v in ipairs(is_method(m[2]) and FOREIGN or {}) do
            local object = make()
            local args = v == nothing and {n = 1, object} or v == 'nil' and {n = 2, object}
              or {n = 2, object, v}
            local r = call(m[2], args)
            if not INTERNAL[name] then blames(name, args, r) end
          end
        end
      end)
  end

  local MODULES = {
    ag = ag, ['ag.ops'] = ag.ops, ['ag.audio'] = ag.audio, ['ag.plot'] = ag.plot,
    ['ag.qwen3_tts'] = ag.qwen3_tts, ['ag.plot.record'] = ag.plot.record,
    io = {load = ag.load, save = ag.save}, weights = weights, plan = plan, tensor = tensor,
  }
  for module, list in pairs(MODULES) do
    it(('of %s is an error of the caller, or a value'):format(module), function()
      for _, f in ipairs(functions(list)) do
        local name = module .. '.' .. f[1]
        for _, v in ipairs(FOREIGN) do
          local args = v == nothing and {n = 0} or v == 'nil' and {n = 1} or {n = 1, v}
          local r = call(f[2], args)
          if not INTERNAL[name] then blames(name, args, r) end
        end
      end
    end)
  end

  it('of a function that takes a backend is an error of the caller, whatever else it is given',
    function()
      local function fn() end
      for _, case in ipairs {
        {'once', plan.once, fn}, {'program', plan.program, fn}, {'capture', ag.capture, fn},
        {'zeros', ag.zeros, {2}}, {'tensor', ag.tensor, {1, 2}},
        {'reserve', tensor.reserve, {2}, 'f32', 1},
      } do
        for _, v in ipairs(FOREIGN) do
          local args = {n = 4, v ~= nothing and v ~= 'nil' and v or nil, unpack(case, 3)}
          assert.is_true(blames(case[1], args, call(case[2], args)), show(case[1], args))
        end
      end
    end)
end)
