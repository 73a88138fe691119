-- Voice files and codes with random changes: taken, or refused in one line.

local ag = require 'argent'
local codes = require 'argent.cli.codes'
local golden = require 'support.golden'
local mutate = require 'support.mutate'
local st = require 'support.st'

local function read(path)
  local f = assert(io.open(path, 'rb'))
  local s = f:read '*a'
  f:close()
  return s
end

describe('with random changes', function()
  local folder, remove = mutate.folder()
  teardown(remove)

  it('a voice file is refused', function()
    local be = assert(ag.backend('cpu', {threads = 1}))
    local tts
    for _, m in ipairs(golden.models()) do
      if m.name == 'base' then tts = assert(ag.qwen3_tts.open(m.model, {backend = be})) end
    end
    local D, G = tts.cfg.talker.hidden_size, tts.cfg.talker.num_code_groups
    local frame = {}
    for g = 1, G do frame[g] = g end
    local path = folder .. '/x.voice'
    local voice = assert(tts:voice {speaker = ag.zeros(be, {D}), codes = {frame, frame},
      text = 'Hi.'})
    assert(voice:save(path))
    local whole, taken = read(path), 0
    mutate.each(1, 2, function(_, say)
      local text = mutate.bytes(whole)
      say(text)
      st.write(text, path)
      local loaded, err, code = tts:voice(path)
      if loaded then
        taken = taken + 1 -- spaces of the header, an order of its fields
      else
        assert(mutate.is_plain(err) and err:find(path, 1, true), err)
        assert(code == 'value', code)
      end
    end)
    assert.is_true(taken < mutate.rounds / 200, taken .. ' taken')
  end)

  it('a file of codes is taken, of whole numbers, or refused', function()
    local doc = {codes = {{1, 2, 3}, {4, 5, 6}, {7, 8, 9}}}
    local path, taken, refused = folder .. '/codes.json', 0, 0
    mutate.each(2, 2, function(_, say)
      local text = mutate.json(doc)
      say(text)
      st.write(text, path)
      local frames, err
      local found, why = codes.read(path)
      if found ~= nil then frames, err = codes.frames(found, path) else err = why end
      if frames then
        taken = taken + 1
        for _, f in ipairs(frames) do
          assert(#f == #frames[1] and #f > 0)
          for _, c in ipairs(f) do assert(c % 1 == 0 and c >= 0 and c < 2 ^ 31) end
        end
      else
        refused = refused + 1
        assert(mutate.is_plain(err) and err:find(path, 1, true), err)
      end
    end)
    assert.is_true(taken > 0 and refused > 0)
  end)
end)
