-- Several utterances on the rows of one batch: each says what it says alone, whatever its
-- neighbours do, and a fault is its own.

local ag = require 'argent'
local Batch = require 'argent.qwen3_tts.batch'
local free = require('support.speech').options
local golden = require 'support.golden'
local utterance = require 'argent.qwen3_tts.utterance'

local be = assert(ag.backend('cpu', {threads = 2}))

local function codes(u) return u:codes():totable() end

for _, model in ipairs(golden.models()) do
  describe('a batch on ' .. model.name, function()
    local tts, alone

    local function options(which, more)
      local texts = {'one two three', 'four', 'five six seven eight nine ten', 'three'}
      local o = free(model, tts, texts[which], 40 + which)
      o.max_frames = ({9, 12, 7, 8})[which]
      for k, v in pairs(more or {}) do o[k] = v end
      return o
    end

    local function new(rows)
      return Batch.new(tts.talker, tts.predictor, tts:pad_vector(), rows)
    end

    local function join(batch, which, more)
      return assert(utterance.start(tts, options(which, more), {batch = batch}))
    end

    local function finish(batch)
      while #batch.members > 0 do batch:step() end
    end

    setup(function()
      tts = assert(ag.qwen3_tts.open(model.model, {backend = be, dtype = 'f32'}))
      alone = {}
      for which = 1, 4 do
        local u = assert(utterance.start(tts, options(which)))
        while u:next() do end -- luacheck: ignore 542
        alone[which] = {codes = codes(u), ended = u.ended}
      end
    end)

    it('makes the codes of each row that it makes alone, whenever the second joins', function()
      for wait = 0, 8 do
        local batch = new(3)
        local a = join(batch, 1)
        for _ = 1, wait do batch:step() end
        local b = join(batch, 2)
        finish(batch)
        assert.same(alone[1].codes, codes(a))
        assert.same(alone[2].codes, codes(b))
        assert.same({alone[1].ended, alone[2].ended}, {a.ended, b.ended})
      end
    end)

    it('goes on with the bits it had when a row leaves, and lets another take its place', function()
      for stay = 1, 6 do
        local batch = new(3)
        local a, b, c = join(batch, 1), join(batch, 2), join(batch, 3)
        local _, full, code = utterance.start(tts, options(4), {batch = batch})
        assert.same({'the batch is full: it has 3 rows', 'capacity'}, {full, code})
        for _ = 1, stay do batch:step() end
        a:finish()
        local d = join(batch, 4)
        finish(batch)
        assert.same(alone[2].codes, codes(b))
        assert.same(alone[3].codes, codes(c))
        assert.same(alone[4].codes, codes(d))
        local so_far = {unpack(alone[1].codes, 1, #codes(a))}
        assert.same(so_far, codes(a))
      end
    end)

    it('calls the hooks of one row for that row alone, and others say what they said', function()
      local function hooks(into, change)
        local h = {}
        for _, name in ipairs {'hidden', 'logits', 'code', 'predictor_logits', 'input'} do
          h[name] = function(u, x, group)
            into[#into + 1] = {name, u.index, group or false, type(x) == 'number' and x
              or x:clone():totable()}
            if change and name == 'logits' and u.index == 4 then x:narrow(1, 1, 5):fill(30) end
          end
        end
        return h
      end
      for _, change in ipairs {false, true} do
        local log, plain = {}, {}
        local u = assert(utterance.start(tts, options(2, {hooks = hooks(plain, change)})))
        while u:next() do end -- luacheck: ignore 542
        local batch = new(2)
        local a = join(batch, 1)
        batch:step()
        local b = join(batch, 2, {hooks = hooks(log, change)})
        finish(batch)
        assert.same(alone[1].codes, codes(a))
        assert.same(codes(u), codes(b))
        assert.equal(change, not pcall(assert.same, alone[2].codes, codes(b)))
        assert.same(plain, log)
      end
    end)

    it('reads a long prompt in slices, so that nobody who speaks waits for all of it', function()
      local long = {text = ('one two three four five six seven. '):rep(12), split = 'off',
        layout = 'whole'}
      local u = assert(utterance.start(tts, options(3, long)))
      u:finish()
      -- As many tokens more as make the last slice one position.
      local function count(text) return #assert(tts.tokenizer:encode(text)) end
      local want, base = count(long.text) + (2 - u.prompt_rows) % 32, long.text
      for i = 0, 63 do
        long.text = base .. (' o'):rep(math.floor(i / 2)) .. ('.'):rep(i % 2)
        if count(long.text) == want then break end
      end
      u = assert(utterance.start(tts, options(3, long)))
      assert.equal(1, (u.prompt_rows - 1) % 32)
      while u:next() do end -- luacheck: ignore 542
      local batch = new(2)
      batch.slice = 32
      local a = join(batch, 1)
      batch:step()
      local b = join(batch, 3, long)
      assert.is_true(b.prompt_rows > 3 * 32)
      local frames = 0
      while b.frames == 0 and not a.ended do
        local before, at = batch.session.consumed[b.row.slot], a.frames
        batch:step()
        frames = frames + 1
        assert.is_true(batch.session.consumed[b.row.slot] - before <= 33) -- a slice and a frame
        assert.is_true(a.frames == at + 1 or a.ended ~= nil)
      end
      assert.is_true(frames >= 3)
      finish(batch)
      assert.same(alone[1].codes, codes(a))
      assert.same(codes(u), codes(b))
    end)

    it('reads as much of a prompt before a frame as takes half the time of one', function()
      local batch = new(2)
      local a = join(batch, 1)
      batch:step()
      local b = join(batch, 3, {text = ('one two three four five six seven. '):rep(12),
        split = 'off', layout = 'whole'})
      local function read()
        local before = batch.session.consumed[b.row.slot]
        batch:step()
        return batch.session.consumed[b.row.slot] - before
      end
      local first = read()
      assert.is_true(first <= 16 and batch.read_time > 0)
      batch.read_time = 0.125        -- 16 positions took so long,
      batch:pace(0.375)              -- and a frame takes three times that: 24 fit into its half
      assert.same({24, 24}, {batch.slice, read()})
      batch.read_time, batch.period = 0.125, nil
      batch:pace(100)
      assert.same({32, 32}, {batch.slice, read()})
      batch.read_time, batch.period = 0.125, nil
      batch:pace(0.001)
      assert.same({4, 4}, {batch.slice, read()})
      assert.is_nil(a.ended)
    end)

    -- Spoils a row in its fourth frame; the other goes on as if nothing had been.
    local function spoil(hooks, message, kind)
      local batch = new(2)
      local b = join(batch, 2, {hooks = hooks})
      local a = join(batch, 1)
      while not b.ended do batch:step() end
      local c = join(batch, 3) -- in the place that has become free
      finish(batch)
      assert.same(alone[1].codes, codes(a))
      assert.equal(alone[1].ended, a.ended)
      assert.same(alone[3].codes, codes(c))
      assert.equal('failed', b.ended)
      assert.equal(3, b.frames)
      if kind then
        local more, err, code = b:next()
        assert.same({nil, message, kind}, {more, err, code})
      else
        assert.error_matches(function() b:next() end, message)
      end
      assert.is_nil((b:next())) -- told once
    end

    it('ends the row alone whose logits are NaN', function()
      spoil({logits = function(u, x)
        if u.index == 4 then ag.ops.affine(x, x:fill(math.huge), 0, 0) end
      end}, 'the logits hold NaN', 'value')
      spoil({predictor_logits = function(u, x, g)
        if u.index == 4 and g == 1 then x:narrow(1, 2, 1):fill(math.huge) end
      end}, 'the logits hold +inf', 'value')
      spoil({logits = function(u, x) if u.index == 4 then x:fill(-math.huge) end end},
        'no finite logit is left', 'value')
    end)

    it('ends the row alone whose code is in no table', function()
      spoil({code = function(u, _, g)
        if u.index == 4 and g == 0 then u.row:state 'codes':narrow(1, 1, 1):fill(1e6) end
      end}, 'a code is not in its table', 'value')
      spoil({code = function(u, _, g)
        if u.index == 4 and g == 1 then return tts.cfg.predictor.vocab_size end
      end}, 'hooks.code: the id: expected an integer')
    end)

    it('ends the row alone whose hook raises, and whose session is full', function()
      spoil({input = function(u) if u.index == 4 then error('mine', 0) end end}, '^mine$')
      local batch = new(2)
      local a, b = join(batch, 1), join(batch, 2)
      for _ = 1, 3 do batch:step() end
      batch.session.consumed[b.row.slot] = batch.session.maximum
      finish(batch)
      assert.same(alone[1].codes, codes(a))
      assert.equal(3, b.frames)
      local more, err, code = b:next()
      assert.same({nil, 'capacity'}, {more, code})
      assert.matches('^session full: %d+ positions wanted', err)
    end)

    it('commits memory for the row that grows, and for no other', function()
      local batch = new(4)
      collectgarbage()
      collectgarbage()
      local before, bb = be.live_bytes, tts.talker.backbone.cfg
      local block = 256 * 2 * bb.num_hidden_layers * bb.num_key_value_heads * bb.head_dim * 4
      assert(batch.session:ensure(1, 2))
      assert.equal(before + block, be.live_bytes)
      assert(batch.session:ensure(700, 3))
      assert.equal(before + 4 * block, be.live_bytes)
      assert.same({0, 256, 768, 0}, batch.session.committed)
    end)

    it('forgets what rows had on reset, of one and of several', function()
      local s = tts.talker.backbone:session {rows = 3}
      local x = ag.zeros(be, {3, 4, tts.talker.cfg.hidden_size})
      assert(tts.talker.backbone:forward(s, x))
      s:reset(2)
      assert.same({{4, 0, 4}, {4, 0, 4}}, {s.pos, s.positions:totable()})
      s:reset()
      assert.same({{0, 0, 0}, {0, 0, 0}}, {s.pos, s.positions:totable()})
    end)

    it('forks from a row, between frames and in a logits hook, as it forks alone', function()
      local function forked(batch)
        local f, between
        local u = assert(utterance.start(tts, options(2, {hooks = {logits = function(v, x)
          if v.index == 3 and not f then
            x:narrow(1, 1, 3):fill(20)
            f = assert(v:fork {hooks = {}})
          end
        end}}), {batch = batch}))
        while u.frames < 5 and not u.ended do u.batch:step() end
        between = not u.ended and assert(u:fork {hooks = {}, seed = 9})
        local all = {u, f, between or nil}
        for i, v in ipairs(all) do
          while v:next() do end -- luacheck: ignore 542
          all[i] = codes(v)
        end
        -- The fork shares what the hook has changed, and goes on with the same draws.
        assert.same(all[1], all[2])
        return all
      end
      local batch = new(2)
      local a = join(batch, 1)
      batch:step()
      assert.same(forked(), forked(batch))
      finish(batch)
      assert.same(alone[1].codes, codes(a))
    end)

    it('refuses in the middle of a frame what concerns the rows beside it', function()
      local batch, b, said = new(2), nil, {}
      local a = join(batch, 1, {hooks = {predictor_logits = function(u, _, g)
        if u.index == 3 and g == 1 then
          for i, f in ipairs {function() b:next() end, function() b:fork() end} do
            said[i] = select(2, pcall(f))
          end
        end
      end}})
      b = join(batch, 2)
      finish(batch)
      assert.matches('batch_spec.lua:%d+: next: a frame is being made', said[1])
      assert.matches('batch_spec.lua:%d+: fork: in a hook only in `logits`, and only the utterance',
        said[2])
      assert.same(alone[1].codes, codes(a))
      assert.same(alone[2].codes, codes(b))
    end)

    it('ends the utterances whose rows it takes back', function()
      local batch = new(2)
      local a, b = join(batch, 1), join(batch, 2)
      while a.frames < 2 do batch:step() end
      batch:clear()
      assert.same({'stopped', 'stopped'}, {a.ended, b.ended})
      assert.is_nil((a:next()))
      assert.is_nil((a:iterate()()))
    end)

    it('goes on without a row that waits for text, and with it when the text is there', function()
      local function feed(batch, between)
        local o = options(3, {layout = 'stream', split = 'off', max_frames = 20})
        o.text = 'one two'
        local u = assert(utterance.start(tts, o, {batch = batch, open = true}))
        local steps = 0
        for _, more in ipairs {' three four', ' five', '.'} do
          while u:ready() and not u.ended do u.batch:step() end
          steps = steps + between(u)
          if not u.ended then
            u:append(more, assert(tts.tokenizer:encode(more)), more == '.')
          end
        end
        while not u.ended do u.batch:step() end
        return codes(u), steps
      end
      local expected = feed(nil, function() return 0 end)
      local batch, others = new(3), {}
      local got, steps = feed(batch, function(u)
        local which = #others + 1
        others[which] = join(batch, which)
        local n, at = 0, u.frames
        while others[which].frames < 4 and not others[which].ended do
          batch:step()
          n = n + 1
        end
        if not u:ready() then assert.equal(at, u.frames) end
        return n
      end)
      finish(batch)
      assert.same(expected, got)
      assert.is_true(steps > 3)
      for which, o in ipairs(others) do assert.same(alone[which].codes, codes(o)) end
    end)

    it('lets a row go that ends itself in the middle of a frame', function()
      local batch, seen = new(2), 0
      local b = join(batch, 2, {hooks = {code = function(u, _, g)
        seen = seen + 1
        if u.index == 4 and g == 0 then u:finish() end
      end}})
      local a = join(batch, 1)
      while not b.ended do batch:step() end
      assert.same({'stopped', 3}, {b.ended, b.frames})
      assert.equal(3 * tts.cfg.talker.num_code_groups + 1, seen) -- it is not asked again
      assert.equal(1, #batch.members)
      local c = join(batch, 3)
      finish(batch)
      assert.same(alone[1].codes, codes(a))
      assert.same(alone[3].codes, codes(c))
    end)

    it('tells watchers the position of every row', function()
      local seen = {}
      local batch = new(2)
      local a = join(batch, 1)
      for _ = 1, 3 do batch:step() end
      local b = join(batch, 2)
      while b.frames == 0 do batch:step() end
      local h = tts.talker:watch('norm', function(x, info)
        seen = {x.shape, info.pos, info.positions}
      end)
      batch:step()
      h:stop()
      local D = tts.talker.cfg.hidden_size
      local p, q = batch.session.consumed[a.row.slot] - 1, batch.session.consumed[b.row.slot] - 1
      assert.same({{2, 1, D}, p, {p, q}}, seen)
      finish(batch)
      assert.same(alone[1].codes, codes(a))
      assert.same(alone[2].codes, codes(b))
    end)
  end)
end

describe('a batch', function()
  it('makes the codes of the CPU on a GPU, rows coming and going', function()
    local emulated = assert(ag.backend 'cuda-emulated')
    local model = golden.models()[2]
    local got = {}
    for i, backend in ipairs {be, emulated} do
      local tts = assert(ag.qwen3_tts.open(model.model, {backend = backend, dtype = 'f32'}))
      local batch = Batch.new(tts.talker, tts.predictor, tts:pad_vector(), 2)
      local function join(text, seed)
        local o = free(model, tts, text, seed)
        o.max_frames = 5
        return assert(utterance.start(tts, o, {batch = batch}))
      end
      local a = join('one two', 3)
      batch:step()
      local b = join('three', 4)
      for _ = 1, 2 do batch:step() end
      a:finish()
      local c = join('four', 5)
      while #batch.members > 0 do batch:step() end
      got[i] = {codes(a), codes(b), codes(c)}
    end
    assert.same(got[1], got[2])
  end)
end)
