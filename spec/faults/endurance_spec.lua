-- Many utterances in one process: the memory stays what it was, and the last sound is the first.

local amount = require 'support.amount'
local command = require 'support.command'
local st = require 'support.st'

-- While LuaJIT compiles the last of its loops a process grows by up to a megabyte, which is 2 % of
-- what the demo voice takes, and nothing beside a released model.
local COMPILED = 1 -- MB
local SCRIPT = [[
  local ag = require 'argent'
  local tts = assert(ag.qwen3_tts.open(%q, {backend = assert(ag.backend('cpu', {threads = 1}))}))

  local function resident()
    collectgarbage()
    collectgarbage()
    local f = assert(io.open '/proc/self/statm')
    f:read '*n'
    local pages = f:read '*n'
    f:close()
    return pages * 4096 / 2 ^ 20
  end

  local function sound(seed)
    return assert(tts:say {text = 'Hi.', seed = seed, max_frames = 2}).samples
  end

  local first, before, live = sound(1):totable(), nil, nil
  for i = 2, %d do
    sound(i)
    if i == 200 then before, live = resident(), tts.backend.live_bytes end
  end
  local last, same = sound(1):totable(), true
  for i = 1, math.max(#first, #last) do same = same and first[i] == last[i] end
  last = nil
  print(same, before, resident(), tts.backend.live_bytes - live)]]

describe('a process that speaks for long', function()
  local utterances = amount.of(600, 10000, 220)

  it(('gives %d utterances of which the last is the first, in the same memory'):format(utterances),
    function()
      local script = st.write(SCRIPT:format(command.root .. '/models/demo', utterances))
      local r = command.run({'run', script}, {timeout = 7200})
      os.remove(script)
      assert.equal(0, r.code, r.err)
      local same, before, after, live = r.out:match '^(%w+)\t(%S+)\t(%S+)\t(%S+)\n$'
      assert.equal('true', same)
      assert.equal('0', live)
      -- A sanitizer keeps what is freed for a while.
      local sanitized = os.getenv 'ASAN_OPTIONS' ~= nil
      assert.is_true(sanitized or after - before < math.max(COMPILED, 0.01 * before),
        ('%s MB after 200 utterances, %s after all'):format(before, after))
    end)
end)
