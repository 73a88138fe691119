-- Sound files with random changes: read as numbers, or refused in one line.

local ag = require 'argent'
local data_url = require 'argent.audio.data_url'
local mutate = require 'support.mutate'
local sound = require 'argent.audio.sound'
local st = require 'support.st'

local function read(path)
  local f = assert(io.open(path, 'rb'))
  local s = f:read '*a'
  f:close()
  return s
end

describe('a sound with random changes', function()
  local folder, remove = mutate.folder()
  teardown(remove)
  local be = assert(ag.backend('cpu', {threads = 1}))
  local x = {}
  for i = 1, 800 do x[i] = math.sin(i / 9) / 2 end
  local whole = sound.new {samples = ag.tensor(be, x), rate = 24000}

  for seed, name in ipairs {'wav', 'flac', 'ogg', 'mp3'} do
    it(('(%s) is read or refused'):format(name), function()
      local path, taken, refused = folder .. '/x.' .. name, 0, 0
      assert(whole:save(path))
      local bytes = read(path)
      mutate.each(seed, 4, function(_, say)
        local text = mutate.bytes(bytes)
        say(text)
        st.write(text, path)
        local samples, err = ag.audio.read(path, {backend = be, max_seconds = 10})
        if samples then
          taken = taken + 1
          assert(samples:count() <= 10 * 192000)
        else
          refused = refused + 1
          assert(mutate.is_plain(err) and err:find(path, 1, true), err)
        end
      end)
      -- Checksums of an ogg file's pages let nothing pass.
      assert.is_true(taken > 0 or name == 'ogg', 'none taken')
      assert.is_true(refused > 0, 'none refused')
    end)
  end

  it('(data: URL) is bytes or refused', function()
    local url = 'data:audio/wav;base64,UklGRiQAAABXQVZFZm10IBAAAAABAAEAgD4AAAB9AAACABAAZGF0YQAAAAA='
    mutate.each(9, 20, function(_, say)
      local text = mutate.bytes(url)
      say(text)
      local got, err = data_url.decode(text)
      assert(got == nil and (err == nil or mutate.is_plain(err)) or type(got) == 'string')
    end)
  end)
end)
