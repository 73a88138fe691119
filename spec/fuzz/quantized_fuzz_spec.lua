-- A quantised model with random changes, in names, dtypes and shapes of its planes and in its
-- bytes: it speaks, or says in one line what is wrong with the file.

local ag = require 'argent'
local command = require 'support.command'
local golden = require 'support.golden'
local mutate = require 'support.mutate'
local st = require 'support.st'

local DTYPES = {'I8', 'U8', 'F16', 'BF16', 'F32', 'I32'}

-- text with what `fn` makes of one of the matches of a pattern.
local function replaced(text, pattern, fn)
  local at, n = math.random(select(2, text:gsub(pattern, '%0'))), 0
  return (text:gsub(pattern, function(...)
    n = n + 1
    if n == at then return fn(...) end
  end))
end

local function changed(header, data)
  local kind = math.random(5)
  if kind == 1 then
    header = replaced(header, '"dtype":"%w+"', function()
      return ('"dtype":"%s"'):format(DTYPES[math.random(#DTYPES)])
    end)
  elseif kind == 2 then
    header = replaced(header, '"shape":%[(%d+),(%d+)%]', function(a, b)
      return ('"shape":[%s,%s]'):format(b, a)
    end)
  elseif kind == 3 then
    header = replaced(header, '"([%w_.]+)":{"dtype"', function(name)
      return ('"%sx":{"dtype"'):format(name)
    end)
  else
    for _ = 1, 20 do
      local at = math.random(#data - 1)
      data = data:sub(1, at - 1) .. string.char(math.random(0, 255)) .. data:sub(at + 1)
    end
  end
  return header, data
end

describe('a quantised model with random changes', function()
  local folder, remove = mutate.folder()
  teardown(remove)
  local be = assert(ag.backend('cpu', {threads = 1}))

  for seed, dtype in ipairs {'q8', 'q4'} do
    it(('(%s) speaks or is refused'):format(dtype), function()
      local model
      for _, m in ipairs(golden.models()) do
        if m.name == 'custom' then model = m.model end
      end
      local dir = folder .. '/' .. dtype
      local r = command.run {'quantize', model, '-o', dir, '--dtype', dtype}
      assert.equal(0, r.code, r.err)
      local path = dir .. '/model.safetensors'
      local f = assert(io.open(path, 'rb'))
      local whole = f:read '*a'
      f:close()
      local n, spoken, refused = 0, 0, 0
      for i = 4, 1, -1 do n = n * 256 + whole:byte(i) end
      mutate.each(seed, 40, function()
        local header, data = changed(whole:sub(9, 8 + n), whole:sub(9 + n))
        st.write(st.bytes(header, data), path)
        local tts, err, code = ag.qwen3_tts.open(dir, {backend = be,
          dtype = math.random() < 0.5 and dtype or nil})
        if not tts then
          refused = refused + 1
          assert(mutate.is_plain(err) and err:find(dir, 1, true), err)
          assert(code == 'format' or code == 'model', code)
          return
        end
        local sound, why = tts:say {text = 'Hi.', voice = tts:voices()[1], max_frames = 1}
        assert(sound or mutate.is_plain(why), why)
        spoken = spoken + 1
      end)
      assert.is_true(spoken > 0 and refused > 0, ('%d, %d'):format(spoken, refused))
    end)
  end
end)
