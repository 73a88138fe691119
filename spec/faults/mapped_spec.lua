-- A model's files that shrink or change while they are mapped. What is said then may be a sound of
-- other weights, or a fault; never a crash, and never half a file.

local amount = require 'support.amount'
local command = require 'support.command'
local faults = require 'support.faults'
local golden = require 'support.golden'
local lfs = require 'lfs'
local st = require 'support.st'

describe('a model whose file is changed while it is used', function()
  local folder, script, model, voice = nil, os.tmpname(), nil, nil

  setup(function()
    folder = os.tmpname()
    os.remove(folder)
    assert(lfs.mkdir(folder))
    for _, m in ipairs(golden.models()) do
      for _, c in ipairs(m.cases) do
        if c.mode == 'custom_voice' then model, voice = m.model, c.voice end
      end
    end
    -- Opens the model, does something to its weights, and speaks.
    st.write(([[
      local ag, ffi = require 'argent', require 'ffi'
      ffi.cdef 'int truncate(const char *path, long size);'
      local dir, file, how, at, out = arg[1], arg[2], arg[3], tonumber(arg[4]), arg[5]
      local path = dir .. '/' .. file
      local size = require('lfs').attributes(path, 'size')
      local be = assert(ag.backend('cpu', {threads = 2}))
      local tts, err, code = ag.qwen3_tts.open(dir, {backend = be})
      if not tts then return nil, err, code end
      at = math.floor(at * size)
      if how == 'shrink' then
        ffi.C.truncate(path, at)
      else
        local f = assert(io.open(path, 'r+b'))
        f:seek('set', at)
        local n = math.min(20000, size - at)
        math.randomseed(at)
        local bytes = {}
        local same = how == 'zero' and 0 or 255
        for i = 1, n do bytes[i] = string.char(how == 'noise' and math.random(0, 255) or same) end
        f:write(table.concat(bytes))
        f:close()
      end
      local sound
      sound, err, code = tts:say {text = 'Hi.', voice = %q, seed = 1, max_frames = 3}
      if not sound then return nil, err, code end
      return sound:save(out)]]):format(voice), script)
  end)
  teardown(function()
    os.execute('rm -rf ' .. command.quote(folder))
    os.remove(script)
  end)

  local CODES = {[0] = true, [1] = true, [3] = true, [4] = true, [6] = true}

  for _, how in ipairs {'shrink', 'noise', 'zero', 'ones'} do
    it(('(%s) gives a sound or says what is wrong'):format(how), function()
      for _, file in ipairs {'model.safetensors', 'speech_tokenizer/model.safetensors'} do
        local ended = {}
        for n in amount.places(200, 12) do
          local copy = golden.copy(model, folder .. '/model')
          local r = faults.run {'run', script, copy, file, how, tostring((n - 1) / 200), '%d/x.wav'}
          os.execute('rm -rf ' .. command.quote(copy))
          local what = ('%s of %s at %g: %d, %s'):format(how, file, (n - 1) / 200, r.code, r.err)
          assert.is_true(CODES[r.code] or false, what)
          ended[r.code] = (ended[r.code] or 0) + 1
          for name, bytes in pairs(r.files) do
            assert.is_true(r.code == 0 and name == 'x.wav' and #bytes > 44, what .. name)
          end
          if r.code == 6 then
            assert.matches('model%.safetensors: cut short while it was in use', r.err, what)
          end
        end
        if how == 'shrink' then assert.is_truthy(ended[6]) end
      end
    end)
  end
end)
