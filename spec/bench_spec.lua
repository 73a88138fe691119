-- What argent bench says is measured, and its bytes are those of the files.

local ag = require 'argent'
local argparse = require 'argparse'
local bench = require 'argent.bench'
local cjson = require 'cjson'
local cli = require 'argent.cli.bench'
local command = require 'support.command'
local common = require 'argent.cli.common'
local ffi = require 'ffi'
local golden = require 'support.golden'
local json = require 'argent.json'
local kernels = require 'support.kernels'
local lib = require 'argent.ffi'
local ops = require 'argent.ops'
local parts = require 'argent.qwen3_tts.bench'
local posix = require 'argent.posix'
local released = require 'argent.qwen3_tts.released'
local tensor = require 'argent.tensor'
local utterance = require 'argent.qwen3_tts.utterance'

describe('bench', function()
  local be = assert(ag.backend('cpu', {threads = 2}))

  for _, model in ipairs(golden.models()) do
    it('counts the weights that a frame reads, from the files of ' .. model.name, function()
      for dtype, size in pairs {f32 = 4, bf16 = 2} do
        local tts = assert(ag.qwen3_tts.open(model.model, {backend = be, dtype = dtype}))
        local passes, want = tts.cfg.talker.num_code_groups - 1, {talker = 0, predictor = 0}
        local function up(n, by) return math.ceil(n / by) * by end
        for _, name in ipairs(tts.weights:names()) do
          local info = tts.weights:info(name)
          local shape = info.shape
          local matrix = #shape == 2 and not name:find 'embedding'
            and not name:find 'text_projection'
            and not name:find '^speaker_encoder'
          local part = name:find 'code_predictor' and 'predictor' or 'talker'
          local reads = part == 'predictor' and not name:find 'lm_head' and passes or 1
          if matrix then
            -- Packed in panels of 16 rows and chunks of 32 columns, but for f32 that is stored so.
            local rows = dtype == 'f32' and info.dtype == 'F32'
            local count = rows and shape[1] * shape[2] or up(shape[1], 16) * up(shape[2], 32)
            want[part] = want[part] + count * size * reads
          end
        end
        assert.same(want, parts.part_bytes(tts))
      end
    end)
  end

  it('prints its figures as a table and as JSON', function()
    local model = golden.models()[2].model
    local r = command.run {'bench', '-m', model, '--rounds', '3', '--json'}
    assert.equal(0, r.code, r.err)
    local figures = cjson.decode(r.out)
    for _, key in ipairs {'bandwidth', 'frame_bytes', 'limit', 'frame', 'ratio', 'hooked',
      'talker', 'predictor', 'op_cost', 'prefill', 'first_audio', 'codec_1', 'codec_8', 'rtf',
      'prompt_rows', 'speed'} do
      assert.is_true(figures[key] > 0, key)
    end
    assert.near(figures.frame / figures.limit, figures.ratio, 1e-6 * figures.ratio)
    assert.near(figures.frame_bytes / figures.bandwidth * 1e3, figures.limit, 1e-6 * figures.limit)
    assert.near(figures.limit, figures.talker_limit + figures.predictor_limit,
      1e-6 * figures.limit)
    for _, part in ipairs {'talker', 'predictor'} do
      local ratio = figures[part .. '_ratio']
      assert.near(figures[part] / figures[part .. '_limit'], ratio, 1e-6 * ratio)
    end
    assert.equal(12, figures.speed_frames)
    assert.same({'cpu', be.isa, 'bf16'}, {figures.device, figures.isa, figures.dtype})
    for _, key in ipairs {'talker_ms', 'predictor_ms', 'codec_ms', 'limit_ms', 'ratio_to_limit',
      'first_audio_ms', 'peak_memory_mb'} do
      assert.is_true(figures[key] > 0, key)
    end
    assert.near(figures.limit + figures.codec_limit, figures.limit_ms, 1e-6 * figures.limit_ms)
    local parts_ms = figures.talker_ms + figures.predictor_ms + figures.codec_ms
    assert.near(parts_ms / figures.limit_ms, figures.ratio_to_limit,
      1e-6 * figures.ratio_to_limit)
    assert.same({}, figures.rows)
    r = command.run {'bench', '-m', model, '--rounds', '3'}
    assert.equal(0, r.code, r.err)
    assert.matches('real time factor', r.out)
    assert.matches('\nend to end +[%d.]+ x real time, measured over 12 frames\n', r.out)
  end)

  it('measures several rows at once, and a model of random weights, as it is asked', function()
    local out = {}
    local print, files = common.print, released.files
    finally(function() common.print, released.files = print, files end)
    common.print = function(line) out[#out + 1] = line return 0 end
    released.files = function()
      local small = {}
      for _, name in ipairs {'config.json', 'generation_config.json',
        'speech_tokenizer/config.json'} do
        small[name] = assert(json.read(golden.models()[2].model .. '/' .. name))
      end
      return small
    end
    local p = argparse()
    cli.parser(p)
    local function run(...)
      return cli.run(p:parse {'--random', '0.6b', '--rounds', '3', '--rows', '1,3', ...})
    end
    assert.equal(0, run '--json')
    local figures = cjson.decode(out[1])
    assert.equal(2, #figures.rows)
    for i, rows in ipairs {1, 3} do
      local r = figures.rows[i]
      assert.equal(rows, r.rows)
      assert.is_true(r.talker_ms > 0 and r.predictor_ms > 0)
    end
    assert.equal(0, run())
    assert.matches('^random ', out[2])
    assert.matches('\n  3 rows at once +[%d.]+ ms talker, [%d.]+ ms predictor', out[2])
    assert.same({nil, '--random and -m: one of the two', 'usage'}, {run('-m', 'x')})
  end)

  it('says what --random and --rows take', function()
    local r = command.run {'bench', '--random', '3b'}
    assert.equal(2, r.code)
    assert.matches('0.6b', r.err)
    for _, bad in ipairs {'', '0', '1,', 'a', '1.5', '257'} do
      r = command.run {'bench', '--random', '0.6b', '--rows', bad}
      assert.equal(2, r.code)
      assert.matches('%-%-rows: expected integers from 1 to 256 like 1,2,8', r.err)
    end
  end)

  it('finds what the CPU could do, by all of its threads, in each kind of number', function()
    local kinds = {}
    while lib.ag_peak_name(#kinds) ~= nil do
      kinds[#kinds + 1] = ffi.string(lib.ag_peak_name(#kinds))
    end
    assert.equal('f32', kinds[1])
    local peaks = bench.peaks(be)
    assert.is_true(peaks.f32 > 1e9)
    for kind, rate in pairs(peaks) do
      assert.is_true(rate > 1e9 and rate < 1e15, kind)
    end
    local done, one = ffi.new 'double[1]', assert(ag.backend('cpu', {threads = 1}))
    assert.equal(0, lib.ag_peak_run(one, 0, 1000, done))
    local alone = done[0]
    assert.equal(0, lib.ag_peak_run(be, 0, 1000, done))
    assert.equal(be.threads * alone, done[0])
    assert.is_true(lib.ag_peak_run(be, #kinds, 1, done) ~= 0)
    assert.is_true(lib.ag_peak_run(assert(ag.backend 'cuda-emulated'), 0, 1, done) ~= 0)
    assert.same({}, bench.peaks(assert(ag.backend 'cuda-emulated')))
  end)

  it('knows the multiply-adds of the codec, from the shapes of its products', function()
    for _, model in ipairs(golden.models()) do
      local tts = assert(ag.qwen3_tts.open(model.model, {backend = be, dtype = 'f32'}))
      local stream, n = tts.codec:stream(), 0
      local real = {}
      for _, op in ipairs {'linear', 'conv1d', 'depthwise_conv1d'} do real[op] = ops[op] end
      finally(function()
        for op, fn in pairs(real) do ops[op] = fn end
      end)
      for op, fn in pairs(real) do
        ops[op] = function(out, x, w, ...)
          local rows = out:count() / (op == 'depthwise_conv1d' and w.shape[2] or w.shape[1])
          n = n + rows * w:count()
          return fn(out, x, w, ...)
        end
      end
      stream:push(tensor.zeros(be, {1, tts.codec.groups}, 'i32'), {tap = function() end})
      for op, fn in pairs(real) do ops[op] = fn end
      assert.near(n, parts.codec_work(tts.cfg.codec), 0.01 * n)
    end
  end)

  describe('reads memory', function()
    it('each cache line once, with any workers, streams and distance', function()
      local random = kernels.random(1)
      for _, threads in ipairs {1, 2, 3} do
        local b = assert(ag.backend('cpu', {threads = threads}))
        for _, words in ipairs {0, 15, 16, 1600, 16 * 1007 + 5} do
          local values, want = {}, 0
          for i = 1, words do values[i] = math.floor(random() * 2 ^ 31) end
          for i = 1, words - 15, 16 do want = bit.bxor(want, values[i]) end
          local t = ag.tensor(b, values, 'i32')
          for _, streams in ipairs {1, 2, 4, 8} do
            for _, ahead in ipairs {0, 256, 4096} do
              assert.equal(want, bit.tobit(bench.scan(t, streams, ahead)))
            end
          end
        end
      end
    end)

    it('on the CPU only, and only what is there', function()
      local t = ag.zeros(be, {64, 64})
      assert.has_error(function() bench.scan(t, 3, 0) end, 'scan: 3 streams; 1, 2, 4 or 8')
      assert.has_error(function() bench.scan(t:transpose(1, 2), 1, 0) end,
        'scan: the tensor is not contiguous')
      t:release()
      assert.has_error(function() bench.scan(t, 1, 0) end, 'scan: the tensor has been released')
      local rows = tensor.reserve(be, {2, 1024, 64})
      assert(rows:commit(2, 1024))
      assert.has_error(function() bench.scan(rows:select(1, 1), 1, 0) end,
        'scan: the tensor is not committed that far')
      bench.scan(rows:select(1, 2), 1, 0)
      local device = assert(ag.backend 'cuda-emulated')
      assert.has_error(function() bench.scan(ag.zeros(device, {64}), 1, 0) end,
        "scan: not on backend 'cuda-emulated'")
    end)

    it('for the bandwidth, and not by the kernels that it is to judge', function()
      local linear = ops.linear
      finally(function() ops.linear = linear end)
      ops.linear = function() error 'a product' end
      local best, sets = bench.bandwidth(be, {1, 2})
      assert.is_true(best > 1e8)
      assert.same({1, 2}, {sets[1].megabytes, sets[2].megabytes})
      assert.equal(best, math.max(sets[1].bandwidth, sets[2].bandwidth))
    end)
  end)

  describe('measures', function()
    local tts

    setup(function() tts = assert(ag.qwen3_tts.open(golden.models()[2].model, {backend = be})) end)

    it('the parts of a frame: all of its ops but the draw and what moves it on', function()
      local u = assert(utterance.start(tts, {text = 'Hello.', voice = tts:voices()[1], seed = 1}))
      assert(u:next())
      local p = parts.parts(u.batch)
      local rest = u.batch.program[1].ops - p.talker.ops - p.predictor.ops
      assert.is_true(rest >= 1 and rest <= 8, rest)
      assert.is_true(p.predictor.ops > p.talker.ops)
      u:finish()
    end)

    it('whole utterances by the clock, until there are enough frames', function()
      local now, clock = posix.now, 100
      finally(function() posix.now = now end)
      local asked, waits = {}, {3, 4, 5}
      posix.now = function() return clock end
      -- Utterances of 7 frames of half a second, which take 3, 4 and 5 seconds.
      local stub = {stream = function(_, o)
        asked[#asked + 1] = {o.max_frames, o.seed, o.text}
        clock = clock + waits[#asked]
        local frames = math.min(7, o.max_frames)
        local stats = {frames = frames, seconds = frames / 2}
        return function() end, {stats = function() return stats end}
      end}
      assert.equal(17 / 2 / (3 + 4 + 5), parts.speed(stub, {text = 'a', seed = 5}, 17))
      assert.same({{17, 5, 'a'}, {10, 6, 'a'}, {3, 7, 'a'}}, asked)
    end)

    it('every device by what it has finished, not by what it was asked', function()
      local real, waits = require('argent.backend').methods.sync, 0
      local methods = require('argent.backend').methods
      finally(function() methods.sync = real end)
      methods.sync = function(b)
        waits = waits + 1
        return real(b)
      end
      bench.run(tts, {voice = tts:voices()[1]}, 3)
      -- Of each kind of frame, part, codec and prefill, of the many ways to read, and of tiny ops.
      assert.is_true(waits >= 2 * 3 + 2 * 3 + 2 * 3 + 3 + 2 * 4 * 4 * 3 + 10)
    end)
  end)

  it('runs on a device', function()
    local device = assert(ag.backend 'cuda-emulated')
    local tts = assert(ag.qwen3_tts.open(golden.models()[2].model, {backend = device}))
    local r = bench.run(tts, {voice = tts:voices()[1]}, 3)
    for _, key in ipairs {'bandwidth', 'op_cost', 'frame', 'talker', 'predictor', 'codec_1',
      'first_audio', 'speed'} do
      assert.is_true(r[key] > 0, key)
    end
  end)
end)
