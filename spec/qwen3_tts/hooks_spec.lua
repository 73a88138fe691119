-- A script in the loop: hooks, options in flight, stopping and continuing, forks, watching.

local ag = require 'argent'
local compare = require 'support.compare'
local golden = require 'support.golden'
local speech = require 'support.speech'

local be = assert(ag.backend('cpu', {threads = 2}))

local function frames(iterator)
  local list = {}
  for frame in iterator do list[#list + 1] = frame.codes end
  return list
end

-- What a hook that changes nothing sees, by name.
local function silent(log)
  local hooks = {}
  for _, name in ipairs {'hidden', 'logits', 'code', 'predictor_logits', 'input'} do
    hooks[name] = function(u, x, group)
      log[#log + 1] = {name = name, index = u.index, x = x, group = group}
    end
  end
  return hooks
end

for _, model in ipairs(golden.models()) do
  describe('a hook on ' .. model.name, function()
    local tts = assert(ag.qwen3_tts.open(model.model, {backend = be, dtype = 'f32'}))
    local cfg = tts.cfg

    local function options(more)
      local o = speech.options(model, tts, 'one two three', 5)
      o.max_frames = 7
      for k, v in pairs(more or {}) do o[k] = v end
      return o
    end
    local iterate, spoken = assert(tts:frames(options()))
    local plain = frames(iterate)
    local ended = spoken.ended -- 'limit', or 'eos' where the draws had it so

    it('that changes nothing changes no bit of the sound', function()
      local sound = assert(tts:say(options()))
      for _, name in ipairs {'hidden', 'logits', 'code', 'predictor_logits', 'input'} do
        local log = {}
        local with = assert(tts:say(options {hooks = {[name] = silent(log)[name]}}))
        assert.is_true(#log >= #plain)
        assert.is_true(compare.same_bits(sound.samples, with.samples))
      end
      local all = assert(tts:say(options {hooks = silent {}}))
      assert.is_true(compare.same_bits(sound.samples, all.samples))
      assert.same(sound.codes:totable(), all.codes:totable())
    end)

    it('sees every stage of a frame in order', function()
      local log, G = {}, cfg.talker.num_code_groups
      frames(assert(tts:frames(options {hooks = silent(log), max_frames = 2})))
      local at = 0
      for index = 1, 2 do
        local want = {{'hidden'}, {'logits'}, {'code', 0}}
        for g = 1, G - 1 do
          want[#want + 1] = {'predictor_logits', g}
          want[#want + 1] = {'code', g}
        end
        want[#want + 1] = {'input'}
        for i, w in ipairs(want) do
          local seen = log[at + i]
          assert.same({w[1], index}, {seen.name, seen.index})
          if w[1] == 'predictor_logits' or w[1] == 'code' then assert.equal(w[2], seen.group) end
        end
        at = at + #want
      end
      assert.equal(at, #log)
    end)

    it('sees the hidden state that makes the logits, of the right sizes', function()
      local hidden
      frames(assert(tts:frames(options {hooks = {
        hidden = function(_, x)
          assert.same({cfg.talker.hidden_size}, x.shape)
          hidden = x:clone()
        end,
        logits = function(_, x)
          assert.same({cfg.talker.vocab_size}, x.shape)
          local again = ag.zeros(be, {1, cfg.talker.vocab_size})
          tts.talker.head:forward(again, hidden:view(1, -1))
          assert.is_true(compare.same_bits(x, again:view(-1)))
        end,
        predictor_logits = function(_, x) assert.same({cfg.predictor.vocab_size}, x.shape) end,
        input = function(_, x) assert.same({cfg.talker.hidden_size}, x.shape) end,
      }})))
    end)

    it('chooses what is drawn: by logits changed in place, returned, or by the id', function()
      local function favour(x)
        local t = {}
        for i = 1, #x do t[i] = i == 8 and 50 or -50 end
        return t
      end
      for _, hooks in ipairs {
        {logits = function(_, x) return favour(x) end},
        {logits = function(_, x) x:set(favour(x)) end},
        {logits = function(_, x) return ag.tensor(be, favour(x)) end},
        {code = function(_, _, group) return group == 0 and 7 or nil end},
      } do
        for _, codes in ipairs(frames(assert(tts:frames(options {hooks = hooks})))) do
          assert.equal(7, codes[1])
        end
      end
      local hooks = {predictor_logits = function(_, x, g) return g == 2 and favour(x) or nil end}
      for _, codes in ipairs(frames(assert(tts:frames(options {hooks = hooks})))) do
        assert.equal(7, codes[3])
      end
    end)

    it('changes what follows from what it replaced, as if it had been drawn', function()
      -- The same ids by two ways: forced one by one, and by logits that leave no choice.
      local function forced(by)
        local sums = {}
        frames(assert(tts:frames(options {max_frames = 4, hooks = {
          code = by == 'code' and function(u, _, g) return g == 0 and 3 + u.index or nil end or nil,
          logits = by == 'logits' and function(u, x)
            x:fill(-100)
            x:narrow(1, 4 + u.index, 1):fill(100)
          end or nil,
          predictor_logits = function(_, x) x:fill(0):narrow(1, 2, 1):fill(100) end,
          input = function(_, x) sums[#sums + 1] = x:totable() end,
        }})))
        return sums
      end
      assert.same(forced 'logits', forced 'code')
    end)

    it('notes a replaced id for the repetition penalty, and not the drawn one', function()
      -- A penalty this strong lets no id be drawn twice while others are left; greedy, so that
      -- every draw is the best of the rest.
      local o = {greedy = true, repetition_penalty = 100, max_frames = 3}
      local logits, drawn = {}, {}
      o.hooks = {
        logits = function(_, x)
          logits[#logits + 1] = true
          x:fill(1)
          x:narrow(1, 1, 4):set {9, 8, 7, 6}
        end,
        code = function(u, id, g)
          if g > 0 then return end
          drawn[#drawn + 1] = id
          if u.index == 1 then return 1 end -- instead of 0
        end,
      }
      frames(assert(tts:frames(options(o))))
      assert.same({0, 0, 2}, drawn)
    end)

    it('replaces the next input row', function()
      local other = frames(assert(tts:frames(options {greedy = true, hooks = {
        input = function(_, x) return x * 0 end}})))
      local same = frames(assert(tts:frames(options {greedy = true, hooks = {
        input = function(_, x) x:fill(0) end}})))
      assert.same(other, same)
      assert.not_same(frames(assert(tts:frames(options {greedy = true}))), other)
    end)

    it('changes options in flight, at once', function()
      -- Greedy from the start, or set by the first hook that is called.
      local greedy = frames(assert(tts:frames(options {greedy = true})))
      local set = frames(assert(tts:frames(options {hooks = {
        logits = function(u) if u.index == 1 then u:set {greedy = true} end end}})))
      assert.same(greedy, set)
      local late = {}
      local iterator, u = assert(tts:frames(options()))
      for frame in iterator do
        late[#late + 1] = frame.codes
        if frame.index == 3 then u:set {greedy = true} end
      end
      assert.same({plain[1], plain[2], plain[3]}, {late[1], late[2], late[3]})
      assert.not_same(plain[4], late[4])
    end)

    it('stops, and the loop continues later as if it had not', function()
      local iterator, u = assert(tts:frames(options {hooks = {
        logits = function(u) if u.index == 3 then u:stop() end end}}))
      local list = frames(iterator)
      assert.equal(3, #list)
      assert.equal('stopped', u.ended)
      for codes in u:iterate() do list[#list + 1] = codes.codes end
      assert.same(plain, list)
      assert.equal(ended, u.ended)
    end)

    it('that finishes ends the loop for good, and nothing can be forked from it', function()
      local iterator, u = assert(tts:frames(options {hooks = {
        code = function(v, _, g) if v.index == 2 and g == 1 then v:finish() end end}}))
      assert.equal(1, #frames(iterator))
      assert.same({}, frames(u:iterate()))
      assert.equal('stopped', u.ended)
      assert.error_matches(function() u:fork() end, 'fork: the utterance has ended')
    end)

    it('that asks for a frame of its own speech is misuse at its line', function()
      for _, ask in ipairs {function(u) u:next() end, function(u) u:iterate()() end} do
        local where = debug.getinfo(ask, 'S')
        local iterator = assert(tts:frames(options {hooks = {
          code = function(u) if u.index == 2 then ask(u) end end}}))
        local ok, err = pcall(frames, iterator)
        assert.is_false(ok)
        assert.matches(('%s:%d: next: a frame is being made'):format(where.short_src,
          where.linedefined), err, 1, true)
      end
    end)

    it('may close the stream that calls it, and whoever speaks next is not disturbed', function()
      local so_far, iterator, after
      iterator, so_far = assert(tts:stream(options {hooks = {code = function(u, _, g)
        if u.index == 6 and g == 1 then
          so_far:close()
          iterator, after = assert(tts:stream(options()))
          after = {iterator, iterator().samples}
        end
      end}}))
      local n = 0
      for _ in iterator do n = n + 1 end
      assert.equal(3, n) -- of 1, 1 and 2 frames
      local parts = {after[2]}
      for chunk in after[1] do parts[#parts + 1] = chunk.samples end
      local joined = require('argent.audio.sound').join(parts).samples
      assert.is_true(compare.same_bits(assert(tts:say(options())).samples, joined))
    end)

    it('may give way to other code in the middle of a frame', function()
      local run = coroutine.wrap(function()
        local list = frames(assert(tts:frames(options {hooks = {
          predictor_logits = function(_, _, g) if g == 2 then coroutine.yield 'waiting' end end}})))
        return list
      end)
      local waits, result = 0, run()
      while result == 'waiting' do
        waits = waits + 1
        assert(tts:say(options())) -- somebody else speaks meanwhile
        result = run()
      end
      assert.equal(#plain + (ended == 'eos' and 1 or 0), waits) -- the end token is drawn too
      assert.same(plain, result)
    end)

    it('that fails ends the utterance with its own error, and others go on', function()
      local iterator, u = assert(tts:frames(options {hooks = {
        code = function(v) if v.index == 2 then error('mine', 0) end end}}))
      assert.has_error(function() frames(iterator) end, 'mine')
      assert.equal('failed', u.ended)
      assert.same(plain, frames(assert(tts:frames(options()))))
    end)

    it('that speaks with itself is stopped with an error that says so', function()
      local o = options()
      o.hooks = {logits = function() return assert(tts:say(o)) and nil end}
      local ok, err = pcall(function()
        local sound = tts:say(o)
        return sound
      end)
      assert.is_false(ok)
      assert.matches('hooks_spec.lua:%d+: say: 32 utterances inside each other: a hook speaks with '
        .. 'hooks that speak again; give the inner call other hooks', err)
      -- Speech inside a hook is all right, and what follows is as ever.
      local inner
      o.hooks = {logits = function(u)
        if u.index == 1 then inner = assert(tts:say(options())) end
      end}
      local outer = assert(tts:say(o))
      assert.is_true(compare.same_bits(inner.samples, outer.samples))
    end)

    it('is refused when it is unknown, no function, or returns nonsense', function()
      local function try(hooks)
        return function() frames(assert(tts:frames(options {hooks = hooks}))) end
      end
      assert.error_matches(try {logit = print}, "hooks: unknown option string 'logit'")
      assert.error_matches(try {logits = 3}, 'hooks.logits: expected a function, got 3')
      assert.error_matches(try {logits = function() return {1, 2} end},
        'hooks.logits: expected nil, or '
        .. cfg.talker.vocab_size .. ' values')
      assert.error_matches(try {code = function() return 1e6 end},
        'hooks.code: the id: expected an integer')
      assert.error_matches(try {code = function() return 'a' end},
        'hooks.code: the id: expected an integer')
    end)

    describe('fork', function()
      it('goes two ways from one state: the same draws, or others', function()
        local iterator, u = assert(tts:frames(options()))
        local list = {}
        for _ = 1, 3 do list[#list + 1] = iterator().codes end
        local same, other = assert(u:fork()), assert(u:fork {seed = 99})
        for codes in iterator do list[#list + 1] = codes.codes end
        assert.same(plain, list)
        local function all(v)
          local r = {plain[1], plain[2], plain[3]}
          for frame in v:iterate() do r[frame.index] = frame.codes end
          return r
        end
        assert.same(plain, all(same))
        local different = all(other)
        assert.not_same(plain, different)
        assert.is_string(other.ended)
      end)

      it('in a logits hook takes the draw another way', function()
        local forks = {}
        local iterator = assert(tts:frames(options {hooks = {
          logits = function(u)
            if u.index == 2 then forks[1] = assert(u:fork {hooks = {}}) end
            if u.index == 4 then forks[2] = assert(u:fork()) end
          end}}))
        assert.same(plain, frames(iterator))
        local function rest(v, first)
          local r = {}
          for i = 1, first - 1 do r[i] = plain[i] end
          for frame in v:iterate() do r[frame.index] = frame.codes end
          return r
        end
        assert.same(plain, rest(forks[1], 2))
        assert.same(plain, rest(forks[2], 4))
        assert.equal(2, #forks)
      end)

      it('is refused in other hooks and after the end', function()
        local iterator, u = assert(tts:frames(options {hooks = {code = function(v) v:fork() end}}))
        assert.error_matches(function() iterator() end,
          'fork: in a hook only in `logits`, not in `code`')
        assert.error_matches(function() u:fork() end, 'fork: the utterance has ended')
        assert.error_matches(function() u:fork {temprature = 1} end,
          "unknown option string 'temprature'")
      end)
    end)

    it('set to the same voice reads everything anew and changes no frame', function()
      for _, layout in ipairs {'whole', 'stream'} do
        local o = options {layout = layout, repetition_penalty = 1.5}
        local want, list = frames(assert(tts:frames(o))), {}
        local iterator, u = assert(tts:frames(o))
        for frame in iterator do
          list[#list + 1] = frame.codes
          if frame.index == 2 or frame.index == 5 then
            u:set(u.reference and {speaker = u.reference.speaker} or {language = 'auto'})
          end
        end
        assert.same(want, list)
      end
    end)

    if cfg.kind == 'custom_voice' then
      it('set to a voice that is not there ends the speech at once with that message', function()
        local iterator, u = assert(tts:frames(options()))
        iterator()
        tts.diagnose = function() error 'the weights are looked through for damage' end
        u:set {voice = 'nobody'}
        local ok, err = pcall(iterator)
        tts.diagnose = nil
        assert.is_false(ok)
        assert.matches("^unknown voice 'nobody' ", tostring(err))
      end)
    end

    if cfg.kind == 'base' then
      it('changes the voice vector in flight', function()
        local o, list = options(), {}
        local iterator, u = assert(tts:frames(o))
        for frame in iterator do
          list[#list + 1] = frame.codes
          if frame.index == 3 then u:set {speaker = o.reference.speaker * -1} end
        end
        assert.same({plain[1], plain[2], plain[3]}, {list[1], list[2], list[3]})
        assert.not_same(plain, list)
        assert.error_matches(function() u:set {speaker = {1, 2}} end,
          'voice: speaker: a vector of 2')
      end)
    end
  end)

  describe('watching ' .. model.name, function()
    local tts = assert(ag.qwen3_tts.open(model.model, {backend = be, dtype = 'f32'}))
    local function options()
      local o = speech.options(model, tts, 'one two', 5)
      o.max_frames = 4
      return o
    end

    it('every tensor by name changes nothing and sees each position once', function()
      local plain = assert(tts:say(options()))
      for _, part in ipairs {'talker', 'predictor', 'codec'} do
        local handles, seen = {}, {}
        for _, name in ipairs(tts[part]:watch_names()) do
          handles[#handles + 1] = tts[part]:watch(name, function(x, info)
            assert.equal(name, info.name)
            seen[name] = seen[name] or {}
            table.insert(seen[name], {info.pos, x.shape})
          end)
        end
        local sound = assert(tts:say(options()))
        assert.is_true(compare.same_bits(plain.samples, sound.samples))
        for _, h in ipairs(handles) do h:stop() end
        for _, name in ipairs(tts[part]:watch_names()) do assert.is_table(seen[name], name) end
        if part == 'talker' then
          local rows, L = sound.stats.prompt_rows, tts.cfg.talker.num_hidden_layers
          local log = seen[('layers.%d.mlp.out'):format(L - 1)]
          local pos = 0
          for _, s in ipairs(log) do
            assert.equal(pos, s[1])
            pos = pos + s[2][2]
          end
          assert.equal(rows + 3, pos) -- the last frame takes no step of its own
          local last = seen['layers.0.attn.probs'][#log][2]
          assert.same({1, tts.cfg.talker.num_attention_heads, 1, pos}, last)
          assert.equal(pos - 1, seen.logits[#seen.logits][1])
        end
      end
      local again = assert(tts:say(options()))
      assert.is_true(compare.same_bits(plain.samples, again.samples))
    end)

    it('sees attention weights that add up to one and never look ahead', function()
      local checked = 0
      local h = tts.talker:watch('layers.1.attn.probs', function(x, info)
        for _, head in ipairs(x:totable()[1]) do
          for t, row in ipairs(head) do
            local sum = 0
            for p, w in ipairs(row) do
              sum = sum + w
              if p > info.pos + t then assert.equal(0, w) end
            end
            assert.is_true(math.abs(sum - 1) < 1e-5)
            checked = checked + 1
          end
        end
      end)
      assert(tts:say(options()))
      h:stop()
      assert.is_true(checked > 10)
    end)

    it('may change a tensor, and the network goes on from the change', function()
      local plain = assert(tts:say(options()))
      local h = tts.talker:watch('layers.0.mlp.out', function(x) x:fill(0) end)
      local changed = assert(tts:say(options()))
      h:stop()
      h:stop()
      assert.not_same(plain.codes:totable(), changed.codes:totable())
      assert.same(plain.codes:totable(), assert(tts:say(options())).codes:totable())
    end)

    it('that raises ends the speech with its error, whatever it is', function()
      for _, raised in ipairs {'mine', false} do
        local iterator, u = assert(tts:frames(options()))
        iterator()
        local h = tts.talker:watch('norm', function() error(raised or nil, 0) end)
        local ok, err = pcall(iterator)
        h:stop()
        assert.same({false, raised or 'nil', 'failed', 1}, {ok, err, u.ended, u.frames})
      end
    end)

    it('refuses a name that is not there, with a guess', function()
      assert.error_matches(function() tts.talker:watch('layers.0.attn.prob', print) end,
        "watch: the talker has no 'layers.0.attn.prob', did you mean 'layers.0.attn.probs'%?")
      assert.error_matches(function() tts.codec:watch('nonsense', print) end,
        "the codec has no 'nonsense'")
      assert.error_matches(function() tts.talker:watch('norm') end,
        'watch: function: expected a function')
    end)
  end)
end

describe('a session', function()
  it('forks: both copies go on alone, bit for bit', function()
    local model = golden.models()[1]
    local tts = assert(ag.qwen3_tts.open(model.model, {backend = be, dtype = 'f32'}))
    local bb = tts.talker.backbone
    local D = bb.cfg.hidden_size
    local random = require('support.kernels').random(3)
    local function rows(n) return require('support.kernels').tensor(be, {n, D}, random) end
    local first, a, b = rows(300), rows(5), rows(5)
    local s = bb:session {}
    assert(bb:forward(s, first))
    local fork = assert(s:fork())
    assert.equal(300, fork.pos)
    assert(bb:forward(fork, b))
    local ha, hb = assert(bb:forward(s, a)), assert(bb:forward(assert(s:fork()), b))
    local alone = bb:session {}
    assert(bb:forward(alone, first))
    assert.is_true(compare.same_bits(assert(bb:forward(alone, a)), ha))
    assert.is_true(compare.same_bits(assert(bb:forward(alone, b)), hb))
    -- The codec's transformer has a window and a ring.
    local ring = tts.codec.transformer
    local r, W = ring:session {}, ring.cfg.hidden_size
    local x = require('support.kernels').tensor(be, {150, W}, random)
    assert(ring:forward(r, x))
    local rf = assert(r:fork())
    local y = x:narrow(1, 1, 9):contiguous()
    assert.is_true(compare.same_bits(assert(ring:forward(r, y)), assert(ring:forward(rf, y))))
  end)

  it('stands at its beginning where the copy of a row finds no room', function()
    local tts = assert(ag.qwen3_tts.open(golden.models()[1].model, {backend = be, dtype = 'f32'}))
    local bb = tts.talker.backbone
    local s, other = bb:session {}, bb:session {}
    local x = ag.zeros(be, {3, bb.cfg.hidden_size}):fill(0.5)
    local first = assert(bb:forward(s, x))
    other:advanced(other.maximum + 1)
    local ok, err, code = s:copy(other)
    assert.same({nil, 'capacity'}, {ok, code})
    assert.matches('^session full', err)
    assert.same({0, {0}}, {s.pos, s.positions:totable()})
    assert.is_true(compare.same_bits(first, assert(bb:forward(s, x))))
  end)
end)
