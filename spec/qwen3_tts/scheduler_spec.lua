-- tts:batch: many requests on few rows, each what it would be alone, whatever joins, leaves, fails
-- or is cancelled beside it.

local ag = require 'argent'
local compare = require 'support.compare'
local golden = require 'support.golden'
local join = require('argent.audio.sound').join
local speech = require 'support.speech'

local be = assert(ag.backend('cpu', {threads = 2}))

local TEXTS = {'One.', 'Two two, and a little more of it.', 'Three three.', 'Four.', 'Five six.'}

for _, model in ipairs(golden.models()) do
  describe('a batch of requests on ' .. model.name, function()
    local tts = assert(ag.qwen3_tts.open(model.model, {backend = be, dtype = 'f32'}))
    local alone = {}

    local function options(i, more)
      local o = speech.options(model, tts, TEXTS[i], 20 + i)
      o.max_frames = ({5, 30, 12, 3, 19})[i]
      for k, v in pairs(more or {}) do o[k] = v end
      return o
    end

    local function same(sound, i)
      alone[i] = alone[i] or assert(tts:say(options(i)))
      assert.same(alone[i].codes:totable(), sound.codes:totable())
      assert.is_true(compare.same_bits(alone[i].samples, sound.samples))
      assert.equal(alone[i].stats.ended, sound.stats.ended)
    end

    it('says of each what say says of it alone, on any number of rows', function()
      for rows = 1, 5 do
        local batch, number = assert(tts:batch {rows = rows}), {}
        for i = 1, #TEXTS do number[assert(batch:submit(options(i)))] = i end
        local seen = 0
        for ticket, sound in batch:sounds() do
          same(sound, number[ticket])
          assert.equal(sound.stats.ended, ticket.ended)
          seen = seen + 1
        end
        assert.equal(#TEXTS, seen)
        assert.same({0, 0, rows}, {#batch.speaking, #batch.waiting, #batch.batch.free})
      end
    end)

    it('gives chunks of all of them that are the same sound', function()
      local batch, number, parts = assert(tts:batch {rows = 3}), {}, {}
      for i = 1, #TEXTS do number[assert(batch:submit(options(i)))] = i end
      local ends = 0
      for ticket, chunk in batch:chunks() do
        local i = number[ticket]
        parts[i] = parts[i] or {}
        if chunk then
          assert.is_true(chunk.frames <= 8)
          parts[i][#parts[i] + 1] = chunk.samples
        else
          ends = ends + 1
          same({codes = ticket:codes(), samples = join(parts[i]).samples, stats = ticket:stats()},
            i)
        end
      end
      assert.equal(#TEXTS, ends)
    end)

    it('lets requests come, go and fail at any time, and the others are what they were', function()
      for _, at in ipairs {1, 2, 4, 5} do
        local batch = assert(tts:batch {rows = 3})
        local a, b = assert(batch:submit(options(2))), assert(batch:submit(options(3)))
        local c = assert(batch:submit(options(5, {hooks = {logits = function(u, x)
          if u.index == at then ag.ops.affine(x, x:fill(math.huge), 0, 0) end
        end}})))
        local d = assert(batch:submit(options(1, {hooks = {code = function(u)
          if u.index == 2 then error('mine', 0) end
        end}})))
        for _ = 1, at do batch:step() end
        b:cancel()
        assert.equal('cancelled', b.ended)
        assert.is_true(#batch.speaking <= 2)
        local e = assert(batch:submit(options(4)))
        while batch:step() do end -- luacheck: ignore 542
        same(assert(a:sound()), 2)
        same(assert(e:sound()), 4)
        local sound, err, code = c:sound()
        assert.same({nil, 'the logits hold NaN', 'value'}, {sound, err, code})
        assert.same({'failed', 'mine', nil}, {d.ended, d.err, d.code})
        assert.error_matches(function() d:sound() end, '^mine$')
        assert.same({nil, 'the request was cancelled', 'interrupted'}, {b:sound()})
      end
    end)

    it('says what is fed in pieces as a feed alone says it', function()
      if tts.cfg.kind ~= 'custom_voice' then return end
      local function write(feed, step)
        for word in (TEXTS[2]):gmatch '%S+%s*' do
          feed:write(word)
          step()
        end
        feed:finish()
      end
      local opts = {voice = options(1).voice, seed = 4, max_frames = 25}
      local feed, expected = assert(tts:feed(opts)), {}
      local function take()
        for chunk in feed:chunks() do expected[#expected + 1] = chunk.samples end
      end
      write(feed, take)
      take()
      local batch = assert(tts:batch {rows = 2})
      local other = assert(batch:submit(options(2)))
      local ticket = assert(batch:feed(opts))
      write(ticket, function() for _ = 1, 3 do batch:step() end end)
      while batch:step() do end -- luacheck: ignore 542
      same(assert(other:sound()), 2)
      assert.is_true(compare.same_bits(join(expected).samples, assert(ticket:sound()).samples))
    end)
  end)
end

describe('a batch of requests', function()
  local tts

  setup(function()
    for _, m in ipairs(golden.models()) do
      if m.name == 'custom' then tts = assert(ag.qwen3_tts.open(m.model, {backend = be})) end
    end
  end)

  local function options(more)
    local o = {text = 'One.', voice = 'ryan', seed = 3, max_frames = 6}
    for k, v in pairs(more or {}) do o[k] = v end
    return o
  end

  it('gives rows to those of higher priority first, and else in their order', function()
    local batch, order, number = assert(tts:batch {rows = 1}), {}, {}
    for i, priority in ipairs {0, 0, 5, -1, 5} do
      number[assert(batch:submit(options {priority = priority}))] = i
    end
    for ticket in batch:sounds() do order[#order + 1] = number[ticket] end
    assert.same({3, 5, 1, 2, 4}, order)
  end)

  it('has a bounded queue, and room again when a row is free', function()
    local batch = assert(tts:batch {rows = 2, queue = 1})
    for _ = 1, 3 do assert(batch:submit(options())) end
    local ticket, err, code = batch:submit(options())
    assert.same({nil, 'the queue is full: 0 are spoken and 3 wait', 'busy'}, {ticket, err, code})
    batch:step()
    assert.is_nil((batch:submit(options())))
    batch.speaking[1]:cancel()
    assert(batch:submit(options()))
  end)

  it('refuses what cannot be spoken when it is asked for', function()
    local batch = assert(tts:batch {rows = 2})
    local ticket, err, code = batch:submit(options {voice = 'ryn'})
    assert.is_nil(ticket)
    assert.equal('value', code)
    assert.matches("^unknown voice 'ryn', did you mean ryan%?", err)
    assert.equal(0, #batch.waiting)
    local here = debug.getinfo(1, 'S').short_src
    for message, o in pairs {
      ["submit: unknown option string 'txt'"] = {txt = 'a'},
      ['text: expected a string, got nil'] = {},
      ["top_k: expected an integer from 0 to 1048576, got string 'x'"] = options {top_k = 'x'},
      ["priority: expected an integer from -2147483648 to 2147483647, got string 'x'"] =
        options {priority = 'x'},
      ["split: expected one of auto, off, got string 'x'"] = options {split = 'x'},
    } do
      local line
      local ok, said = pcall(function()
        line = debug.getinfo(1, 'l').currentline + 1
        local t = batch:submit(o)
        return t
      end)
      assert.is_false(ok)
      assert.equal(1, (said:find(('%s:%d: %s'):format(here, line, message), 1, true)), said)
    end
  end)

  it('makes no ticket of an object that it is given', function()
    local batch, mine = assert(tts:batch {rows = 2}), {mine = true}
    local ok, err = pcall(batch.enqueue, batch, {}, 1, mine)
    batch:clear()
    assert.is_nil(getmetatable(mine))
    assert.is_false(ok)
    assert.matches("enqueue: unknown option string 'mine'", err)
  end)

  it('tells who holds a ticket when there is a chunk, and the end', function()
    local batch, told = assert(tts:batch {rows = 1}), {}
    local ticket = assert(batch:submit(options()))
    function ticket.notify(t) told[#told + 1] = t.ended or #t.chunks end
    while batch:step() do end -- luacheck: ignore 542
    assert.same({1, 2, 3, 4, 'limit'}, told) -- of 1, 1, 2 and 2 frames
    assert.equal(0, #batch.open)
  end)

  it('frees the row of speech that a hook has stopped', function()
    local batch = assert(tts:batch {rows = 1})
    local ticket = assert(batch:submit(options {hooks = {logits = function(u)
      if u.index == 3 then u:stop() end
    end}}))
    local after = assert(batch:submit(options()))
    while batch:step() do end -- luacheck: ignore 542
    assert.same({'stopped', 3, 'limit'}, {ticket.ended, #ticket:codes(), after.ended})
  end)

  it('cannot be stepped in a hook, nor while one has given way to other code', function()
    local batch, said = assert(tts:batch {rows = 2}), nil
    local a = assert(batch:submit(options {hooks = {logits = function()
      said = said or select(2, pcall(batch.step, batch))
    end}}))
    local b = assert(batch:submit(options {hooks = {logits = function(u)
      if u.index == 2 then coroutine.yield 'away' end
    end}}))
    local co = coroutine.wrap(function() while batch:step() do end end)
    assert.equal('away', co())
    assert.matches('step: a frame is being made', said)
    assert.is_nil(tts.in_hook)
    assert.error_matches(function() batch:step() end, 'step: a frame is being made')
    local sound = assert(tts:say(options())) -- others may speak meanwhile
    co()
    assert.same({'limit', 'limit'}, {a.ended, b.ended})
    for _, t in ipairs {a, b} do
      assert.is_true(compare.same_bits(sound.samples, assert(t:sound()).samples))
    end
  end)

  it('goes on after a hook that has cancelled another, or its own', function()
    local batch, b = assert(tts:batch {rows = 3}), nil
    local a = assert(batch:submit(options {hooks = {logits = function(u)
      if u.index == 3 then b:cancel() end
    end}}))
    b = assert(batch:submit(options()))
    local c
    c = assert(batch:submit(options {hooks = {predictor_logits = function(u)
      if u.index == 2 then c:cancel() end
    end}}))
    while batch:step() do end -- luacheck: ignore 542
    assert.same({'limit', 'cancelled', 'cancelled'}, {a.ended, b.ended, c.ended})
    assert.equal(3, #batch.batch.free)
    local d = assert(batch:submit(options()))
    while batch:step() do end -- luacheck: ignore 542
    assert.is_true(compare.same_bits(assert(tts:say(options())).samples,
      assert(d:sound()).samples))
  end)

  it('gives way between passes of the codec, where requests come and go', function()
    local batch = assert(tts:batch {rows = 2})
    local a = assert(batch:submit(options {seed = 1, max_frames = 20}))
    local b, c, calls = assert(batch:submit(options {seed = 2, max_frames = 20})), nil, 0
    while batch:step(function()
      calls = calls + 1
      if calls == 3 then
        b:cancel()
        c = assert(batch:submit(options {seed = 3, max_frames = 20}))
      end
    end) do end -- luacheck: ignore 542
    assert.is_true(calls > 8)
    assert.equal('cancelled', b.ended)
    for ticket, seed in pairs {[a] = 1, [c] = 3} do
      local want = assert(tts:say(options {seed = seed, max_frames = 20}))
      assert.is_true(compare.same_bits(want.samples, assert(ticket:sound()).samples))
    end
  end)

  it('goes on when one that is told of its sound cancels another', function()
    local batch = assert(tts:batch {rows = 3})
    local list = {}
    for i = 1, 3 do
      list[i] = assert(batch:submit(options {seed = i, max_frames = 20}))
    end
    local want = assert(tts:say(options {seed = 1, max_frames = 20}))
    list[1].notify = function()
      list[2]:cancel()
      list[3]:cancel()
    end
    while batch:busy() do batch:step() end
    local parts = {}
    for chunk in function() return list[1]:take() end do parts[#parts + 1] = chunk.samples end
    assert.same({'cancelled', 'cancelled'}, {list[2].ended, list[3].ended})
    assert.is_true(compare.same_bits(want.samples,
      require('argent.audio.sound').join(parts).samples))
    assert.same({0, 0, 0}, {list[1].ready, list[2].ready, list[3].ready})
  end)

  it('keeps within its memory, and refuses by name what never fits', function()
    local costs = assert(tts:batch {rows = 1}) and tts.costs
    local fixed = assert(tts:batch {rows = 1}).budget
    local used = fixed.memory - fixed.blocks * costs.block
    -- Room for five blocks of 256 positions on two rows.
    local batch = assert(tts:batch {rows = 2, memory = math.floor(used + costs.stream
      + 5.9 * costs.block)})
    assert.is_true(batch.budget.blocks <= 6 and batch.budget.blocks >= 4)
    local blocks = batch.budget.blocks
    local ticket, err, code = batch:submit(options {max_frames = 256 * blocks})
    assert.is_nil(ticket)
    assert.equal('memory', code)
    assert.matches(('^the text may need %%d+ positions, and the memory %%(.-%%) has room for %d: '
      .. 'give it more memory'):format(256 * blocks), err)
    -- Two that may take all blocks but one never speak together, but beside one of one block each
    -- does, on whatever row: memory moves from row to row.
    local enough, most = 256 * (blocks - 2) + 50, 0
    local function endless(frames)
      return assert(batch:submit(options {max_frames = frames, hooks = {logits = function(_, x)
        x:narrow(1, tts.cfg.talker.codec.eos + 1, 1):fill(-1e9)
      end}}))
    end
    local function speak(tickets, until_then)
      repeat
        batch:step()
        local committed = 0
        for _, n in ipairs(batch.batch.session.committed) do committed = committed + n end
        most = math.max(most, committed / 256)
        for _, t in ipairs(tickets) do t.chunks = {} end
      until until_then()
    end
    local long = 256 * (blocks - 1) - 64
    local x, a, b, y = endless(3), endless(long), endless(long), endless(150)
    local all = {x, a, b, y}
    speak(all, function() return a.utterance.frames > enough end)
    assert.same({'limit', nil, nil}, {x.ended, b.utterance, y.utterance})
    a:cancel()
    y.priority = 1
    table.insert(batch.waiting, 1, table.remove(batch.waiting)) -- it takes the row of a
    speak(all, function() return b.utterance and b.utterance.frames > enough end)
    assert.same({'limit', nil}, {y.ended, b.ended})
    local d = endless(150)
    speak({b, d}, function() return d.speech end)
    b:cancel()
    speak({d}, function() return d.ended end)
    local e = endless(long)
    speak({e}, function() return e.utterance and e.utterance.frames > enough end)
    e:cancel()
    assert.is_true(most <= blocks, most .. ' of ' .. blocks)
    local none
    none, err, code = tts:batch {rows = 4, memory = '1M'}
    assert.is_nil(none)
    assert.equal('memory', code)
    assert.matches('^4 rows need more memory than 1 MB: %d+ MB for the model', err)
    assert.error_matches(function() tts:batch {memory = 'much'} end,
      "batch: memory: expected bytes or a text such as '4G'")
  end)
end)
