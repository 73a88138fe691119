-- The ways in which the codec computes: `f32`, each product as it is defined, `fast`, near it, and
-- `bf16`, so with rounded weights. How near is measured in decibels of the difference below the
-- sound, on the golden checkpoints and the demo voice.

local ag = require 'argent'
local command = require 'support.command'
local compare = require 'support.compare'
local golden = require 'support.golden'
local kernels = require 'support.kernels'

local NEAR, ROUNDED = 80, 30 -- decibels

local DEMO = ARGENT_ROOT .. '/models/demo'

-- Codes that no encoder made, but all of which are in their tables.
local function some_codes(codec, frames)
  local rnd, list = kernels.random(frames), {}
  for f = 1, frames do
    list[f] = {}
    for g = 1, codec.groups do
      list[f][g] = math.floor((rnd() + 1) / 2 * codec.cfg.codebook_size)
    end
  end
  return list
end

-- How far b is below a in decibels.
local function decibels(a, b)
  local x, n = a:host()
  local y, signal, noise = b:host(), 0, 0
  for i = 0, n - 1 do signal, noise = signal + x[i] ^ 2, noise + (x[i] - y[i]) ^ 2 end
  return noise == 0 and math.huge or 10 * math.log10(signal / noise)
end

local places = {DEMO, golden.models()[1].model}

for _, k in ipairs(kernels.all()) do
  describe('the fast codec on ' .. k.isa, function()
    if k.missing then
      pending(k.missing)
      return
    end
    local be = k.be[2]

    if be.kind ~= 'cpu' then
      it('is the f32 codec', function()
        local codec = assert(ag.qwen3_tts.codec(DEMO, {backend = be, codec = 'fast'}))
        assert.equal('f32', codec.mode)
      end)
      return
    end

    it('makes nearly the sound of f32', function()
      for _, place in ipairs(places) do
        local exact = assert(ag.qwen3_tts.codec(place, {backend = be, codec = 'f32'}))
        local fast = assert(ag.qwen3_tts.codec(place, {backend = be}))
        assert.same({'f32', 'fast'}, {exact.mode, fast.mode})
        local codes = some_codes(exact, 5)
        local want, got = assert(exact:decode(codes)), assert(fast:decode(codes))
        assert.is_true(decibels(want, got) >= NEAR, place)
      end
    end)

    it('rounds weights to bf16 if asked, which changes nothing where they are', function()
      for i, place in ipairs(places) do
        local codecs, sounds = {}, {}
        for _, mode in ipairs {'f32', 'fast', 'bf16'} do
          codecs[mode] = assert(ag.qwen3_tts.codec(place, {backend = be, codec = mode}))
          assert.equal(mode, codecs[mode].mode)
          sounds[mode] = assert(codecs[mode]:decode(some_codes(codecs[mode], 5)))
        end
        if i == 1 then -- the demo voice's weights are bf16
          assert.is_true(compare.same_bits(sounds.fast, sounds.bf16))
        else
          local near = decibels(sounds.f32, sounds.bf16)
          assert.is_true(near >= ROUNDED and near < NEAR, near)
        end
      end
    end)

    it('gives chunks of any size the bits of one pass, with any number of threads', function()
      for _, mode in ipairs(k.isa == 'plain' and {'fast'} or {'f32', 'fast'}) do
        local codec = assert(ag.qwen3_tts.codec(DEMO, {backend = be, codec = mode}))
        local codes = ag.tensor(be, some_codes(codec, 7), 'i32')
        local whole = assert(codec:decode(codes))
        local stream, at, per = codec:stream(), 0, codec.samples_per_frame
        for _, n in ipairs {1, 4, 2} do
          local part = assert(stream:push(codes:narrow(1, at + 1, n)))
          assert.is_true(compare.same_bits(whole:narrow(1, at * per + 1, n * per), part))
          at = at + n
        end
        for threads = 1, 3, 2 do
          local other = assert(ag.qwen3_tts.codec(DEMO, {backend = k.be[threads], codec = mode}))
          assert.is_true(compare.same_bits(whole, assert(other:decode(codes:totable()))))
        end
      end
    end)

    it('gives whoever looks at its stages the same sound', function()
      local codec = assert(ag.qwen3_tts.codec(DEMO, {backend = be}))
      local codes = some_codes(codec, 3)
      local seen = 0
      local plain = assert(codec:decode(codes))
      assert.is_true(compare.same_bits(plain,
        assert(codec:decode(codes, {tap = function() seen = seen + 1 end}))))
      assert.is_true(seen > 10)
    end)
  end)
end

describe('how the codec computes', function()
  it('goes with the dtype, unless it is said', function()
    for _, o in ipairs {{nil, nil, 'fast'}, {'bf16', nil, 'fast'}, {'f32', nil, 'f32'},
      {'q8', nil, 'bf16'}, {'q4', nil, 'bf16'}, {'q8', 'fast', 'fast'},
      {'f32', 'fast', 'fast'}, {'bf16', 'f32', 'f32'}} do
      local tts = assert(ag.qwen3_tts.open(DEMO, {dtype = o[1], codec = o[2]}))
      assert.equal(o[3], tts.codec.mode)
      local codec = assert(ag.qwen3_tts.codec(DEMO, {dtype = o[1], codec = o[2]}))
      assert.equal(o[3], codec.mode)
    end
  end)

  it('is refused where there is no such way', function()
    kernels.refuses("open: codec: expected one of f32, fast, bf16, got string 'int8'", function()
      ag.qwen3_tts.open(DEMO, {codec = 'int8'})
    end)
    kernels.refuses("codec: codec: expected one of f32, fast, bf16, got string 'int8'", function()
      ag.qwen3_tts.codec(DEMO, {codec = 'int8'})
    end)
  end)

  it('is an option of the command, which says what was chosen', function()
    local r = command.run {'say', 'Yes.', '--codec', 'f32', '-v', '--max-frames', '2', '-o', '-'}
    assert.equal(0, r.code, r.err)
    assert.matches('f32 codec', r.err, 1, true)
    r = command.run {'say', 'Yes.', '-v', '--max-frames', '2', '-o', '-'}
    assert.matches('fast codec', r.err, 1, true)
    assert.equal(2, command.run({'say', 'Yes.', '--codec', 'int8'}).code)
  end)
end)
