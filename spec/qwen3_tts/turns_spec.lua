-- Who is served by the codec, and when: nobody runs dry while frames are made fast enough.

local turns = require 'argent.qwen3_tts.turns'

local CHUNKS = {1, 1, 2, 4, 8}

-- Listeners of as many speeches that begin together, on a clock of our own: a frame of all takes
-- `pace` seconds, a pass of n frames through the codec 0.02 + 0.01 n. Returns for each when the
-- first sound came, and how long it was silent after that.
local function listen(speeches, frames, pace)
  local now, list, credit = 0, {}, 0
  for i = 1, speeches do
    list[i] = {made = 0, done = 0, chunk = 1, gap = 0}
  end
  local turn_of = {}
  local function renew(turn)
    local s = turn_of[turn]
    turn.pending, turn.wanted = s.made - s.done, CHUNKS[math.min(s.chunk, #CHUNKS)]
    turn.ended = s.made == frames
    turn.dry = s.first and s.heard_until or -math.huge
    return turn
  end
  local step_time = pace
  repeat
    local began = now
    now = now + pace
    local left, made = false, 0
    local ready = {}
    for i, s in ipairs(list) do
      if s.made < frames then s.made, made = s.made + 1, made + 1 end
      local turn = {}
      turn_of[turn] = s
      ready[i] = renew(turn)
    end
    credit = turns.serve(ready, math.max(credit + made, made == 0 and 1 or -math.huge), step_time,
      function() return now end, function(turn, most)
        local s = turn_of[turn]
        local n = math.min(most, s.made - s.done)
        now = now + 0.02 + 0.01 * n
        if s.first and now > s.heard_until then
          s.gap = s.gap + now - s.heard_until
          s.heard_until = now
        end
        s.first = s.first or now
        s.heard_until = (s.heard_until or now) + 0.08 * n
        s.done, s.chunk = s.done + n, s.chunk + 1
        renew(turn)
        return n
      end)
    step_time = step_time + 0.2 * (now - began - step_time)
    for _, s in ipairs(list) do left = left or s.done < frames end
  until not left
  return list, now
end

describe('turns of the codec', function()
  it('let nobody run dry who is made faster than he is heard', function()
    for _, speeches in ipairs {1, 2} do
      for _, s in ipairs(listen(speeches, 60, 0.02)) do
        assert.is_true(s.gap < 0.02, ('%d: %.3f s'):format(speeches, s.gap))
      end
    end
  end)

  it('give everybody a first sound before anybody a second chunk', function()
    local list = listen(8, 40, 0.1)
    local first = 0
    for _, s in ipairs(list) do first = math.max(first, s.first) end
    assert.is_true(first <= 0.1 + 8 * 0.03 + 1e-9)
  end)

  it('choose who runs dry first among those who have a chunk', function()
    local a = {pending = 8, wanted = 8, dry = 5}
    local b = {pending = 8, wanted = 8, dry = 3}
    local c = {pending = 7, wanted = 8, dry = 1}
    assert.equal(b, turns.choose({a, b, c}, 0, 0.1))
    -- c has no full chunk, but would run dry first: it is served where that helps.
    assert.equal(c, turns.choose({a, b, c}, 0.95, 0.05))
    assert.equal(b, turns.choose({a, b, c}, 0.95, 0.09))
    c.ended = true
    assert.equal(c, turns.choose({a, b, c}, 0, 0.1))
    assert.is_nil(turns.choose({{pending = 0, wanted = 1, dry = 0, ended = true}}, 9, 0.01))
  end)

  it('are spread over the frames that are made', function()
    -- Of eight speeches with a full chunk each, one is served after a frame of all eight.
    local list, served = {}, 0
    for i = 1, 8 do list[i] = {pending = 8, wanted = 8, dry = i} end
    local left = turns.serve(list, 8, 0.2, function() return 0 end, function(t, most)
      served = served + 1
      t.pending = t.pending - most
      return most
    end)
    assert.same({1, 0}, {served, left})
  end)
end)
