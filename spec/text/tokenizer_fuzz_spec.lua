-- The tokenizer under random input: texts, and the files of a model. Seeded, so that a failure
-- comes again. NFC is compared with utf8proc's own one-call function, which the tokenizer avoids.

local ffi = require 'ffi'
local golden = require 'support.golden'
local real_tokenizer = require 'support.real_tokenizer'
local Tokenizer = require 'argent.text.tokenizer'

ffi.cdef [[
ptrdiff_t utf8proc_map(const uint8_t *text, ptrdiff_t size, uint8_t **out, int options);
void free(void *);
]]

local function load_utf8proc()
  for _, name in ipairs{'libutf8proc.so.3', 'libutf8proc.so.2'} do
    local ok, lib = pcall(ffi.load, name)
    if ok then return lib end
  end
end

local utf8proc = load_utf8proc()

--- NFC, or nil where the text is not valid UTF-8.
local function nfc(text)
  local out = ffi.new('uint8_t *[1]')
  local size = utf8proc.utf8proc_map(text, #text, out, 2 + 8) -- STABLE, COMPOSE
  if size < 0 then return nil end
  local result = ffi.string(out[0], size)
  ffi.C.free(out[0])
  return result
end

local function utf8(code)
  local function tail(shift) return 128 + math.floor(code / 2 ^ shift) % 64 end
  if code < 0x80 then return string.char(code) end
  if code < 0x800 then return string.char(192 + math.floor(code / 64), tail(0)) end
  if code < 0x10000 then return string.char(224 + math.floor(code / 4096), tail(6), tail(0)) end
  return string.char(240 + math.floor(code / 262144), tail(12), tail(6), tail(0))
end

local RANGES = { -- where characters combine, split or normalise unlike ASCII
  {0, 0x7f}, {0, 0x7f}, {0x80, 0x24f}, {0x2b0, 0x36f}, {0x300, 0x345}, {0x370, 0x52f},
  {0x590, 0x6ff}, {0x900, 0x97f}, {0xe00, 0xfff}, {0x1100, 0x11ff}, {0x1ab0, 0x1dff},
  {0x1e00, 0x1fff}, {0x2000, 0x206f}, {0x2070, 0x2bff}, {0x3000, 0x30ff}, {0x4e00, 0x9fff},
  {0xac00, 0xd7a3}, {0xf900, 0xffff}, {0x1d100, 0x1d1ff}, {0x1f300, 0x1faff}, {0x2f800, 0x2fa1d},
  {0xe0000, 0x10ffff},
}

local function random_unicode()
  local out = {}
  for i = 1, math.random(0, 40) do
    local range = RANGES[math.random(#RANGES)]
    out[i] = utf8(math.random(range[1], range[2]))
  end
  return table.concat(out)
end

local function random_bytes()
  local out, most = {}, math.random() < 0.5 and 255 or 195 -- often valid when most bytes are ASCII
  for i = 1, math.random(0, 24) do
    out[i] = string.char(math.random() < 0.8 and math.random(0, 127) or math.random(0, most))
  end
  return table.concat(out)
end

describe('the tokenizer, given random texts,', function()
  local tok

  setup(function() tok = assert(Tokenizer.open(real_tokenizer.dir())) end)

  local function survives(text)
    local want = nfc(text)
    for _, pattern in ipairs{'native', 'local_directory'} do
      for _, special in ipairs{false, true} do
        local ids, err = tok:encode(text, {special = special, pattern = pattern})
        if want then
          assert.equal(want, tok:decode(assert(ids, err)))
        else
          assert.is_nil(ids)
          assert.matches('^text is not valid UTF%-8 at byte %d+$', err)
        end
      end
    end
    return want ~= nil
  end

  it('gives NFC of the text back, or says where it is not valid', function()
    math.randomseed(1)
    local valid = 0
    for _ = 1, 2000 do valid = valid + (survives(random_bytes()) and 1 or 0) end
    assert.is_true(valid > 200 and valid < 1800)
    for _ = 1, 2000 do
      local text = random_unicode()
      assert.is_true(survives(text))
    end
  end)

  it('finds added tokens wherever they are', function()
    math.randomseed(2)
    local tokens = {'<|im_start|>', '<|im_end|>', '<tts_pad>', '<think>', '</think>'}
    for _ = 1, 500 do
      local parts, expected = {}, {}
      for _ = 1, math.random(0, 6) do
        local plain = random_unicode():gsub('<', '')
        local added = tokens[math.random(#tokens)]
        parts[#parts + 1] = plain .. added
        for _, id in ipairs(tok:encode(plain)) do expected[#expected + 1] = id end
        expected[#expected + 1] = tok:id(added)
      end
      assert.same(expected, tok:encode(table.concat(parts), {special = true}))
    end
  end)

  it('takes any list of its ids', function()
    math.randomseed(3)
    for _ = 1, 500 do
      local ids, joined = {}, {}
      for i = 1, math.random(0, 20) do
        ids[i] = math.random(0, tok.size - 1)
        joined[i] = tok:decode{ids[i]}
      end
      assert.equal(table.concat(joined), tok:decode(ids))
    end
  end)
end)

describe('Tokenizer.open, given files with random damage,', function()
  local function read(path)
    local file = assert(io.open(path, 'rb'))
    local text = file:read('*a')
    file:close()
    return text
  end

  it('opens them or says in one line why not', function()
    math.randomseed(4)
    local model, files = golden.models()[1].model, {}
    local names = {'vocab.json', 'merges.txt', 'tokenizer_config.json'}
    for _, name in ipairs(names) do files[name] = read(model .. '/' .. name) end
    local refused = 0
    for round = 1, 600 do
      local name = names[round % 3 + 1]
      local whole = files[name]
      local text = whole
      for _ = 1, math.random(3) do
        local at = math.random(#text)
        local kind = math.random(4)
        if kind == 1 then text = text:sub(1, at) -- cut
        elseif kind == 2 then text = text:sub(1, at - 1) .. text:sub(at + math.random(9)) -- lost
        elseif kind == 3 then text = text:sub(1, at) .. text:sub(math.random(#text)) -- repeated
        else text = text:sub(1, at - 1) .. string.char(math.random(0, 255)) .. text:sub(at + 1) end
      end
      files[name] = text
      local dir, guard = real_tokenizer.directory(files)
      files[name] = whole
      local tok, err = Tokenizer.open(dir)
      if tok then
        assert.equal('Hello, world!', tok:decode(assert(tok:encode('Hello, world!'))))
      else
        refused = refused + 1
        -- A word that vocab.json lost may be missed in another file.
        assert.equal(dir .. '/', err:sub(1, #dir + 1))
        assert.matches('^[%w_]+%.%w+:', err:sub(#dir + 2))
        assert.is_nil(err:find('%c'))
      end
      assert(guard)
    end
    assert.is_true(refused > 200)
  end)
end)
