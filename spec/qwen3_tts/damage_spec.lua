-- Damaged weights: NaN or an infinity in any tensor that is read ends with its name, however well
-- the network would have hidden it.

local command = require 'support.command'
local ag = require 'argent'
local golden = require 'support.golden'
local lfs = require 'lfs'
local safetensors = require 'support.safetensors'
local weights = require 'argent.weights'

local be = assert(ag.backend('cpu', {threads = 1}))

local VALUES = {
  F32 = {'\0\0\192\127', '\0\0\128\127', '\0\0\128\255'}, -- NaN, infinity, -infinity
  BF16 = {'\192\127', '\128\127', '\128\255'},
}
local KINDS = {'NaN', 'infinity', '-infinity'}

local LAST_BIAS = 'decoder.decoder.6.conv.bias'
local BOOK = 'decoder.quantizer.rvq_first.vq.layers.0._codebook.'
local USAGE, SUM = BOOK .. 'cluster_usage', BOOK .. 'embedding_sum'

describe('a model with damaged weights', function()
  local dir, model, voice, headers
  local LATER = weights.LATER

  local function path(part) return ('%s/%smodel.safetensors'):format(model, part) end

  setup(function()
    dir = os.tmpname()
    os.remove(dir)
    assert(lfs.mkdir(dir))
    for _, m in ipairs(golden.models()) do
      for _, c in ipairs(m.cases) do
        if c.mode == 'custom_voice' and not model then
          model, voice = golden.copy(m.model, dir .. '/model'), c.voice
        end
      end
    end
    headers = {}
    for _, part in ipairs {'', 'speech_tokenizer/'} do
      local f = assert(io.open(path(part), 'rb'))
      local head, size = f:read(8), 0
      f:close()
      for i = 8, 1, -1 do size = size * 256 + head:byte(i) end
      local _, header = safetensors.open(path(part))
      headers[part] = {data = 8 + size, tensors = header}
    end
  end)

  teardown(function() os.execute('rm -rf ' .. command.quote(dir)) end)
  after_each(function() weights.LATER = LATER end)

  -- Puts bytes at an offset of a file, and gives those that were there.
  local function patch(file, at, bytes)
    local f = assert(io.open(file, 'r+b'))
    f:seek('set', at)
    local before = f:read(#bytes)
    f:seek('set', at)
    f:write(bytes)
    f:close()
    return before
  end

  -- Runs fn with one value of a tensor replaced, or, in a table of embeddings, of which a speech
  -- reads some rows, one value of each row.
  local function poisoned(part, name, kind, fn)
    local t = headers[part].tensors[name]
    local bytes = VALUES[t.dtype][kind]
    local first, last = unpack(t.data_offsets)
    local step = name:find 'embedding%.' and t.shape[2] * #bytes or last - first
    local before = {}
    for at = first + step / 2 - step / 2 % #bytes, last - 1, step do
      before[#before + 1] = {at, patch(path(part), headers[part].data + at, bytes)}
    end
    local ok, err = pcall(fn)
    for _, b in ipairs(before) do patch(path(part), headers[part].data + b[1], b[2]) end
    if not ok then error(err, 0) end
  end

  -- What a person gets who wants to hear it.
  local function speak()
    local tts, err, code = ag.qwen3_tts.open(model, {backend = be})
    if not tts then return nil, err, code end
    local sound
    sound, err, code = tts:say {text = 'One two.', voice = voice, greedy = true, max_frames = 2}
    return sound, err, code
  end

  -- The tensors that speaking reads, of one of the files.
  local function used(part)
    local tts = assert(ag.qwen3_tts.open(model, {backend = be}))
    assert(tts:say {text = 'One two.', voice = voice, greedy = true, max_frames = 2})
    local names = {}
    for name in pairs((part == '' and tts.weights or tts.codec_weights).used) do
      names[#names + 1] = name
    end
    table.sort(names)
    return names
  end

  local function names_the_tensor(part, name, kind)
    poisoned(part, name, kind, function()
      local sound, err, code = speak()
      local where = ('%s in %s'):format(KINDS[kind], name)
      assert.is_nil(sound, where)
      assert.equal('format', code, where)
      assert.matches(('%s: %s: %%d+ values are NaN or infinite; the file is damaged'):format(
        path(part):gsub('%p', '%%%0'), name:gsub('%p', '%%%0')), err)
    end)
  end

  it('names each of them, in the talker and the code predictor', function()
    for i, name in ipairs(used '') do names_the_tensor('', name, i % 3 + 1) end
  end)

  it('names each of them when the large ones were not looked through at first', function()
    weights.LATER = 0
    for i, name in ipairs(used '') do names_the_tensor('', name, (i + 1) % 3 + 1) end
  end)

  it('names each of them in the codec, where a clamp and a maximum would hide some', function()
    for i, name in ipairs(used 'speech_tokenizer/') do
      names_the_tensor('speech_tokenizer/', name, i % 3 + 1)
    end
    for kind = 1, 3 do
      for _, name in ipairs {LAST_BIAS, 'decoder.decoder.5.beta', USAGE} do
        names_the_tensor('speech_tokenizer/', name, kind)
      end
    end
  end)

  it('names those that are finite and of which the codec makes infinities', function()
    -- 1000 as f32; the largest number of f32 over the least usage.
    for _, case in ipairs {
      {'decoder.decoder.5.beta', '\0\0\122\68', 'e^1000 is infinite'},
      {'decoder.decoder.5.alpha', '\0\0\122\68', 'e^1000 is infinite'},
      {USAGE, ('\0\0\0\0'):rep(8), SUM .. ': its entries are too large for their cluster_usage',
        SUM, '\255\255\127\127'},
    } do
      local before = {}
      for i = 1, #case, 3 do
        if case[i + 1] then
          local at = headers['speech_tokenizer/'].tensors[case[i]].data_offsets[1]
          at = at + headers['speech_tokenizer/'].data
          before[at] = patch(path 'speech_tokenizer/', at, case[i + 1])
        end
      end
      local _, err, code = speak()
      for at, bytes in pairs(before) do patch(path 'speech_tokenizer/', at, bytes) end
      assert.equal('format', code)
      assert.truthy(err:find(case[3], 1, true), err)
      assert.truthy(err:find(case[4] or case[1], 1, true), err)
    end
  end)

  it('is heard of when infinities come of nothing that was damaged', function()
    local tts = assert(ag.qwen3_tts.open(model, {backend = be}))
    tts.codec.last.bias = ag.tensor(be, {1 / 0})
    local want = 'the codec made NaN or infinite samples of frames '
    local sound, err, code = tts:say {text = 'One.', voice = voice, greedy = true, max_frames = 2}
    assert.same({nil, want .. '0 to 0', 'value'}, {sound, err, code})
    local codes = ag.zeros(be, {3, tts.codec.groups}, 'i32')
    assert.same({nil, want .. '0 to 2', 'value'}, {tts.codec:decode(codes)})
  end)

  it('is found whole by `argent inspect --scan`', function()
    local names = {'talker.model.norm.weight', 'talker.model.text_embedding.weight'}
    local function scan(more)
      return command.run {'inspect', '-m', model, '--scan', more}
    end
    local r = scan()
    assert.equal(0, r.code, r.err)
    assert.matches('\nscan: no NaN and no infinity in %d+ tensors\n', r.out)
    poisoned('', names[1], 1, function()
      poisoned('', names[2], 2, function()
        poisoned('speech_tokenizer/', LAST_BIAS, 3, function() r = scan() end)
      end)
    end)
    assert.equal(3, r.code)
    for _, name in ipairs {names[1], names[2], LAST_BIAS} do
      assert.matches(('\nscan: [^\n]+: %s: %%d+ values are NaN or infinite'):format(
        name:gsub('%p', '%%%0')), r.out)
    end
    assert.matches('^argent: inspect: 3 tensors are damaged; fetch the model again\n$', r.err)
  end)
end)
