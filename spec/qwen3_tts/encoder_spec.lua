-- The networks that listen, tts.speaker:embed and tts.codec:encode, against the official PyTorch
-- implementation on the Base models of spec/fixtures/golden (or of the folder that ARGENT_GOLDEN
-- names). Bounds: stages and vector 1e-4 relative; codes equal.

local ag = require 'argent'
local cases = require 'support.cases'
local command = require 'support.command'
local compare = require 'support.compare'
local golden = require 'support.golden'
local lfs = require 'lfs'
local sound = require 'support.sound'
require 'support.near'

local BOUND = 1e-4

local backends = {}
for _, isa in ipairs {'plain', 'avx2', 'avx512'} do
  local be, err = ag.backend('cpu', {threads = 2, isa = isa})
  backends[#backends + 1] = {isa = isa, be = be, missing = err}
end
local be = assert(ag.backend('cpu', {threads = 2}))

-- The models with recordings, and the lengths that the recording was cut to.
local function listeners()
  local list = {}
  for _, model in ipairs(golden.models()) do
    model.lengths = {}
    for file in lfs.dir(model.dir) do
      model.lengths[#model.lengths + 1] = tonumber(file:match '^analysis_(%d+)%.safetensors$')
    end
    table.sort(model.lengths)
    if #model.lengths > 0 then list[#list + 1] = model end
  end
  assert(#list > 0, 'no golden model has a recording')
  return list
end

local function recording(model, backend)
  local file = assert(sound.read(model.dir .. '/reference.wav'))
  local values = {}
  for i = 1, file.frames do values[i] = file.samples[i - 1] end
  return ag.tensor(backend, values)
end

local function analysis(model, n, backend)
  return assert(ag.load(('%s/analysis_%d.safetensors'):format(model.dir, n), {backend = backend}))
end

-- What a tap saw: name -> the parts joined, [T, C].
local function collector(backend)
  local parts, stages = {}, {}
  local function tap(name, x)
    parts[name] = parts[name] or {}
    table.insert(parts[name], x:clone())
  end
  return tap, function()
    for name, list in pairs(parts) do
      local T, at = 0, 0
      for _, p in ipairs(list) do T = T + #p end
      local x = ag.zeros(backend, {T, list[1].shape[2]})
      for _, p in ipairs(list) do
        x:narrow(1, at + 1, #p):copy(p)
        at = at + #p
      end
      stages[name] = x
    end
    return stages
  end
end

local function open(model, backend)
  return assert(ag.qwen3_tts.open(model.model, {backend = backend, dtype = 'f32'}))
end

for _, k in ipairs(backends) do
  describe('listening on ' .. k.isa, function()
    if k.missing then
      pending(k.missing)
      return
    end
    for _, model in ipairs(listeners()) do
      local tts, samples

      setup(function() tts, samples = open(model, k.be), recording(model, k.be) end)

      for _, n in ipairs(model.lengths) do
        it(('%s: every stage of the codec\'s encoder, and the codes of %d samples'):format(
          model.name, n), function()
          local e, x = analysis(model, n, k.be), samples:narrow(1, 1, n)
          local tap, stages = collector(k.be)
          local codes = assert(tts.codec:encode(x, {tap = tap}))
          for name, got in pairs(stages()) do
            local want = e['encoder.' .. name]:transpose(1, 2):contiguous()
            assert.same(want.shape, got.shape)
            assert.is_true(compare.relative(want, got) <= BOUND, name)
          end
          assert.same(e.codes:totable(), codes:totable())
          assert.equal(math.ceil(n / tts.codec.samples_per_frame), #codes)
          assert.same_bits(codes, assert(tts.codec:encode(x))) -- the plan
        end)

        it(('%s: the speaker of %d samples'):format(model.name, n), function()
          local e, x = analysis(model, n, k.be), samples:narrow(1, 1, n)
          local tap, stages = collector(k.be)
          local vector = assert(tts.speaker:embed(x, {tap = tap}))
          assert.is_true(compare.relative(e.speaker:view(-1), vector) <= BOUND)
          for name, got in pairs(stages()) do
            local want = name == 'mel' and e.mel or e['speaker.' .. name]
            if name == 'pool' then got = got:view(-1)
            elseif name ~= 'mel' then want = want:transpose(1, 2):contiguous() end
            assert.is_true(compare.relative(want, got) <= BOUND, name)
          end
          assert.same_bits(vector, assert(tts.speaker:embed(x))) -- the plan
        end)
      end

      it(model.name .. ': speaks as the official one from the recording alone', function()
        local reference = {
          speaker = assert(tts.speaker:embed(samples)), codes = assert(tts.codec:encode(samples)),
        }
        for _, case in ipairs(model.cases) do
          local e = assert(ag.load(('%s/%s.safetensors'):format(model.dir, case.name),
            {backend = k.be}))
          local said = assert(tts:say(cases.options(case, reference)))
          assert.same(e.codes:totable(), said.codes:totable())
          local n = #said.samples
          local extra = #e.wave - n -- see golden_spec
          assert.is_true(extra == 0 or (case.mode == 'icl' and extra == 1))
          assert.is_true(compare.distance(e.wave:narrow(1, 1 + extra, n), said.samples) <= 1e-4)
        end
      end)

      it(model.name .. ': gives the same codes whatever goes through at once', function()
        local encoder = assert(tts.codec.open_encoder())
        local function stages(chunk, n)
          encoder.chunk = chunk
          local tap, joined = collector(k.be)
          local codes = assert(tts.codec:encode(samples:narrow(1, 1, n), {tap = tap}))
          local planned = assert(tts.codec:encode(samples:narrow(1, 1, n)))
          encoder.chunk = nil
          assert.same_bits(codes, planned)
          return codes, joined()
        end
        local row = encoder.samples_per_row
        for _, n in ipairs {1, row - 1, row, row + 1, 7 * row, 9 * row + 5, 20 * row - 1} do
          local codes, one = stages(64, n)
          for _, chunk in ipairs {1, 2, 7} do
            local again, other = stages(chunk, n)
            assert.same_bits(codes, again)
            for name, x in pairs(one) do assert.same_bits(x, other[name]) end
          end
        end
      end)

      it(model.name .. ': hears the same on any number of threads', function()
        local x = samples:narrow(1, 1, 9000):totable()
        local codes, vector
        for threads = 1, 3 do
          local other = open(model, assert(ag.backend('cpu', {threads = threads, isa = k.isa})))
          local c, v = assert(other.codec:encode(x)), assert(other.speaker:embed(x))
          codes, vector = codes or c, vector or v
          assert.same_bits(codes, c)
          assert.same_bits(vector, v)
        end
      end)
    end
  end)
end

describe('listening', function()
  local model = listeners()[1]
  local tts, samples, dir

  setup(function()
    tts, samples = open(model, be), recording(model, be)
    dir = os.tmpname()
    os.remove(dir)
    assert(lfs.mkdir(dir))
  end)

  teardown(function() os.execute("rm -rf '" .. dir .. "'") end)

  it('takes a list of numbers as well, and a part of a tensor', function()
    local wide = ag.zeros(be, {4000, 2})
    wide:select(2, 2):copy(samples:narrow(1, 1, 4000))
    local x = samples:narrow(1, 1, 4000)
    for _, other in ipairs {x:totable(), wide:select(2, 2)} do
      assert.same_bits(assert(tts.codec:encode(x)), assert(tts.codec:encode(other)))
      assert.same_bits(assert(tts.speaker:embed(x)), assert(tts.speaker:embed(other)))
    end
  end)

  it('begins with the first frame and rounds up to the last', function()
    local per = tts.codec.samples_per_frame
    for _, at in ipairs {{1, 1}, {per - 1, 1}, {per, 1}, {per + 1, 2}, {3 * per, 3},
      {3 * per + 1, 4}} do
      assert.same({at[2], tts.cfg.talker.num_code_groups},
        assert(tts.codec:encode(samples:narrow(1, 1, at[1]))).shape)
    end
  end)

  it('costs nothing until it is asked for', function()
    local fresh = open(model, be)
    local function unread(w, prefix)
      for _, name in ipairs(w:unused()) do
        if name:sub(1, #prefix) == prefix then return true end
      end
      return false
    end
    assert.is_true(unread(fresh.codec_weights, 'encoder.encoder.'))
    assert.is_true(unread(fresh.weights, 'speaker_encoder.'))
    assert(fresh.codec:encode(samples))
    assert(fresh.speaker:embed(samples))
    assert.is_false(unread(fresh.codec_weights, 'encoder.encoder.'))
    assert.is_false(unread(fresh.weights, 'speaker_encoder.'))
  end)

  it('keeps nothing of a recording', function()
    local function live()
      assert(tts.codec:encode(samples):release() == nil)
      assert(tts.speaker:embed(samples):release() == nil)
      collectgarbage()
      collectgarbage()
      return be.live_bytes
    end
    local before = live()
    for _ = 1, 3 do assert.equal(before, live()) end
  end)

  it('refuses recordings that are too short, with the length it needs', function()
    local x, err, code = tts.codec:encode({})
    assert.same({nil, 'encode: 0 samples (0.00 s at 24000 Hz) are too short a recording; it takes '
      .. 'at least 1', 'value'}, {x, err, code})
    local least = assert(tts.speaker.open_encoder()).least
    x, err, code = tts.speaker:embed(samples:narrow(1, 1, least - 1))
    assert.is_nil(x)
    assert.equal(('embed: %d samples (%.2f s at 24000 Hz) are too short a recording; it takes at '
      .. 'least %d'):format(least - 1, (least - 1) / 24000, least), err)
    assert.equal('value', code)
    assert(tts.speaker:embed(samples:narrow(1, 1, least)))
  end)

  it('refuses NaN and infinities in a recording', function()
    for what, listen in pairs {
      encode = function(x) return tts.codec:encode(x) end,
      embed = function(x) return tts.speaker:embed(x) end,
    } do
      local x = samples:narrow(1, 1, 5000):clone()
      x:narrow(1, 77, 1):fill(1 / 0)
      x:narrow(1, 4000, 1):copy(ag.tensor(be, {0 / 0}))
      local out, err, code = listen(x)
      assert.same({nil, what .. ': 2 of the 5000 samples are NaN or infinite; read the recording '
        .. 'again', 'value'}, {out, err, code})
    end
  end)

  it('says so when samples are so large that the networks make NaN of them', function()
    local x = ag.zeros(be, {5000}):fill(3e38)
    local out, err, code = tts.codec:encode(x)
    assert.same({nil, 'encode: the network made NaN of this recording; samples are in [-1, 1]',
      'value'}, {out, err, code})
  end)

  it('hears silence', function()
    local x = ag.zeros(be, {5000})
    assert.equal(math.ceil(5000 / tts.codec.samples_per_frame), #assert(tts.codec:encode(x)))
    assert(tts.speaker:embed(x))
  end)

  it('raises at the line of who passes something else', function()
    local function refuses(message, fn)
      local ok, err = pcall(fn)
      assert.is_false(ok)
      assert.matches('encoder_spec.lua:%d+: ', err)
      assert.equal(message, err:match ':%d+: (.*)$')
      local line = tonumber(err:match 'encoder_spec.lua:(%d+): ')
      local info = debug.getinfo(fn, 'S')
      assert.is_true(line >= info.linedefined and line <= info.lastlinedefined, err)
    end
    refuses('encode: samples: expected f32 [n], got f32 [2, 3]', function()
      local _ = tts.codec:encode(ag.zeros(be, {2, 3}))
    end)
    refuses('embed: samples: expected f32 [n], got i32 [9]', function()
      local _ = tts.speaker:embed(ag.zeros(be, {9}, 'i32'))
    end)
    refuses("encode: samples: expected a table, got string 'a.wav'", function()
      local _ = tts.codec:encode('a.wav')
    end)
    refuses("embed: samples[2]: expected a number, got string '1'", function()
      local _ = tts.speaker:embed({0, '1'})
    end)
    refuses("encode: unknown option string 'tpa' (known: tap, pause)", function()
      local _ = tts.codec:encode(samples, {tpa = print})
    end)
    refuses("embed: unknown option string 'rate' (known: tap, pause)", function()
      local _ = tts.speaker:embed(samples, {rate = 8000})
    end)
  end)

  it('tells who has no speaker encoder what to use instead', function()
    local instead = {
      custom_voice = 'a custom_voice model without a speaker encoder; choose a voice by its name, '
        .. 'or clone with a Base model',
      voice_design = 'a voice_design model without a speaker encoder; describe the voice with an '
        .. 'instruction, or clone with a Base model',
    }
    for _, other in ipairs(golden.models()) do
      local t = open(other, be)
      if t.cfg.kind ~= 'base' then
        local out, err, code = t.speaker:embed(samples)
        assert.same({nil, other.model .. '/model.safetensors: ' .. instead[t.cfg.kind],
          'unsupported'}, {out, err, code})
      end
    end
  end)

  -- A copy of the model whose tensors of one file went through `change`.
  local function altered(file, change)
    local copy = golden.copy(model.model, ('%s/%d'):format(dir, math.random(1e9)))
    local t = assert(ag.load(copy .. '/' .. file, {backend = be}))
    change(t)
    assert(ag.save(copy .. '/' .. file, t))
    return open({model = copy}, be), copy .. '/' .. file
  end

  it('speaks without the analysis networks, which say that they are missing', function()
    local without, file = altered('speech_tokenizer/model.safetensors', function(t)
      for name in pairs(t) do
        if name:find '^encoder%.' then t[name] = nil end
      end
    end)
    local out, err, code = without.codec:encode(samples)
    assert.same({nil, file .. ': has no encoder (encoder.*), so recordings cannot become codes; '
      .. 'fetch the whole speech_tokenizer, or clone from the speaker vector alone', 'unsupported'},
      {out, err, code})
    without, file = altered('model.safetensors', function(t)
      for name in pairs(t) do
        if name:find '^speaker_encoder%.' then t[name] = nil end
      end
    end)
    out, err, code = without.speaker:embed(samples)
    assert.same({nil, file .. ': a base model without a speaker encoder; fetch the whole model, or '
      .. 'clone with a Base model', 'unsupported'}, {out, err, code})
    local r = command.run {'inspect', '-m', without.dir}
    assert.equal(3, r.code)
    assert.matches('complete: no: .*: a base model without a speaker encoder', r.out)
    assert(without:say {text = 'x', greedy = true, max_frames = 2,
      reference = {speaker = ag.zeros(be, {without.cfg.talker.hidden_size})}})
  end)

  it('names the tensor that is missing, misshapen or damaged', function()
    local name = 'encoder.encoder.layers.3.conv.bias'
    local bad, file = altered('speech_tokenizer/model.safetensors', function(t) t[name] = nil end)
    local out, err, code = bad.codec:encode(samples)
    assert.same({nil, file .. ': ' .. name .. ': missing', 'format'}, {out, err, code})
    name = 'speaker_encoder.blocks.2.tdnn1.conv.bias'
    bad, file = altered('model.safetensors', function(t) t[name] = ag.zeros(be, {5}) end)
    local want = ('%s: %s: shape [5], expected [%d]'):format(file, name,
      bad.cfg.speaker_encoder.enc_channels[1])
    out, err, code = bad.speaker:embed(samples)
    assert.same({nil, want, 'format'}, {out, err, code})
    local function spoil(t)
      t[name] = t[name]:to('f32'):clone()
      t[name]:view(-1):narrow(1, 2, 1):copy(ag.tensor(be, {0 / 0}))
    end
    bad, file = altered('model.safetensors', spoil)
    want = '%s: %s: 1 values are NaN or infinite; the file is damaged, fetch it again'
    out, err, code = bad.speaker:embed(samples)
    assert.same({nil, want:format(file, name), 'format'}, {out, err, code})
    name = 'encoder.downsample.conv.weight'
    bad, file = altered('speech_tokenizer/model.safetensors', spoil)
    out, err, code = bad.codec:encode(samples)
    assert.same({nil, want:format(file, name), 'format'}, {out, err, code})
  end)
end)
