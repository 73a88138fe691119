-- A tiny model's files, cut at every byte: each cut opens as what it is, or is refused with the
-- file's name; none crashes.

local ag = require 'argent'
local amount = require 'support.amount'
local command = require 'support.command'
local ffi = require 'ffi'
local golden = require 'support.golden'
local json = require 'argent.json'
local lfs = require 'lfs'
local st = require 'support.st'

if not pcall(function() return ffi.C.truncate end) then
  ffi.cdef 'int truncate(const char *path, long size);'
end

local function read(path)
  local f = assert(io.open(path, 'rb'))
  local s = f:read '*a'
  f:close()
  return s
end

describe('a file cut at any byte', function()
  local be = assert(ag.backend('cpu', {threads = 1}))
  local folder, model, copy

  setup(function()
    folder = os.tmpname()
    os.remove(folder)
    assert(lfs.mkdir(folder))
    for _, m in ipairs(golden.models()) do
      for _, c in ipairs(m.cases) do
        if c.mode == 'custom_voice' then model = m.model end
      end
    end
    copy = golden.copy(model, folder .. '/model')
  end)
  teardown(function() os.execute('rm -rf ' .. command.quote(folder)) end)

  -- One line that begins with the file's path.
  local function check_refusal(path, err, n)
    assert.equal('string', type(err), n)
    assert.is_nil(err:find('\n', 1, true))
    assert.is_truthy(err:find(path, 1, true), ('cut at %d: %s'):format(n, err))
  end

  -- From the end, so that each cut is one call.
  local function each_cut(path, sample, fn)
    local size, places = lfs.attributes(path, 'size'), {}
    for n in amount.places(size, sample) do places[#places + 1] = size - n end
    for _, n in ipairs(places) do
      assert(ffi.C.truncate(path, n) == 0)
      fn(n)
    end
    return #places
  end

  for _, name in ipairs {'model.safetensors', 'speech_tokenizer/model.safetensors'} do
    it(('of %s is refused, header and data'):format(name), function()
      local path = copy .. '/' .. name
      local whole = read(path)
      local refused = 0
      local cuts = each_cut(path, 2000, function(n)
        local t, err, code = ag.load(path, {backend = be})
        assert.is_nil(t, n)
        assert.equal('format', code)
        check_refusal(path, err, n)
        refused = refused + 1
      end)
      assert.equal(cuts, refused)
      -- Every byte of its header, also where the data are sampled.
      local header = 0
      for i = 4, 1, -1 do header = header * 256 + whole:byte(i) end
      st.write(whole:sub(1, 8 + header), path)
      for n = 8 + header - 1, 0, -math.ceil((8 + header) / amount.of(3000, math.huge)) do
        assert(ffi.C.truncate(path, n) == 0)
        local t, err = ag.load(path, {backend = be})
        assert.is_nil(t, n)
        check_refusal(path, err, n)
      end
      st.write(whole, path)
    end)
  end

  it('of a GGUF file is refused, but for the padding at its end', function()
    local path, ALIGN = folder .. '/types.gguf', 32
    local whole = read(golden.root() .. '/gguf/types.gguf')
    st.write(whole, path)
    each_cut(path, 4000, function(n)
      local t, err = ag.load(path, {backend = be})
      if not t then return check_refusal(path, err, n) end
      assert.is_true(n > #whole - ALIGN and not whole:sub(n + 1):find '[^%z]', n)
    end)
  end)

  for _, name in ipairs {
    'config.json', 'generation_config.json', 'tokenizer_config.json', 'vocab.json', 'merges.txt',
    'speech_tokenizer/config.json',
  } do
    it(('of %s is refused, or opens'):format(name), function()
      local path = copy .. '/' .. name
      local whole, opened, refused = read(path), 0, 0
      each_cut(path, 60, function(n)
        local tts, err, code = ag.qwen3_tts.open(copy, {backend = be})
        if tts then
          opened = opened + 1
        else
          refused = refused + 1
          assert.is_truthy(code == 'format' or code == 'model', ('%s: %s'):format(code, err))
          check_refusal(copy .. '/', err, n)
        end
      end)
      st.write(whole, path)
      assert(ag.qwen3_tts.open(copy, {backend = be}))
      assert.is_true(refused > 20, ('%d refused, %d opened'):format(refused, opened))
    end)
  end

  for _, name in ipairs {'wav', 'flac', 'opus'} do
    it(('of a %s sound is refused, or read as far as it goes'):format(name), function()
      local path = folder .. '/x.' .. name
      local x = ag.zeros(be, {3000})
      for i = 1, 3000 do x:narrow(1, i, 1):fill(math.sin(i / 10)) end
      assert(require('argent.audio.sound').new({samples = x, rate = 24000}):save(path))
      local refused = 0
      each_cut(path, 300, function(n)
        local samples, err, code = ag.audio.read(path, {backend = be})
        if samples then
          assert.is_true(#samples <= 3000)
        else
          refused = refused + 1
          check_refusal(path, err, n)
          assert.is_truthy(code == 'value' or code == 'io', err)
        end
      end)
      assert.is_true(refused > 10)
    end)
  end

  it('of a file of codes is refused', function()
    local path = folder .. '/codes.json'
    local whole = json.encode {codes = {{1, 2, 3}, {4, 5, 6}}}
    local codes = require 'argent.cli.codes'
    for n = 0, #whole - 1 do
      st.write(whole:sub(1, n), path)
      local doc, err = codes.read(path)
      assert.is_nil(doc, n)
      check_refusal(path, err, n)
    end
    st.write(whole, path)
    assert.same({{1, 2, 3}, {4, 5, 6}}, codes.frames(assert(codes.read(path)), path))
  end)
end)
