-- --device: what a person gets who asks for a card, where there is one and where there is none. The
-- card of the first is the emulated one, see spec/support/card.lua.

local ag = require 'argent'
local card = require 'support.card'
local command = require 'support.command'
local golden = require 'support.golden'
local lfs = require 'lfs'

describe('--device', function()
  local dir, exe, model

  setup(function()
    dir = os.tmpname()
    os.remove(dir)
    assert(lfs.mkdir(dir))
    exe = card.make(dir)
    for _, m in ipairs(golden.models()) do
      if m.name == 'custom' then model = m.model end
    end
    if model:sub(1, 1) ~= '/' then model = lfs.currentdir() .. '/' .. model end
  end)

  teardown(function() os.execute('rm -rf ' .. command.quote(dir)) end)

  local function say(on, ...)
    return command.run({'say', 'Hi.', '-m', model, '--voice', 'ryan', '--greedy', '--max-frames',
      '3', '-o', '-', ...}, on)
  end

  local function lines(text) return select(2, text:gsub('\n', '\n')) end

  local function with_card(...) return say({exe = exe, env = card.env()}, ...) end

  local NOTE = 'a CUDA device is here; --device cuda uses it'

  describe('without a card', function()
    local function here(...)
      if ag.backend 'cuda' then pending 'this machine has a card' end
      return say({}, ...)
    end

    it('auto says once why, and goes on with the cpu', function()
      local auto, plain = here('--device', 'auto'), say({})
      assert.equal(0, auto.code, auto.err)
      assert.equal(plain.out, auto.out)
      local _, why = ag.backend 'cuda'
      assert.equal(('going on with the cpu: %s\n'):format(why), auto.err:match '^[^\n]*\n')
      assert.equal(lines(plain.err) + 1, lines(auto.err))
    end)

    it('cuda is one line, and exit code 3', function()
      local r = here('--device', 'cuda')
      assert.equal(3, r.code)
      assert.equal('', r.out)
      assert.matches("^argent: say: backend 'cuda': [^\n]*\n$", r.err)
    end)

    it('nothing is said where it is not asked for', function()
      for _, args in ipairs {{}, {'-v'}, {'--device', 'cpu', '-v'}} do
        local r = here(unpack(args))
        assert.equal(0, r.code, r.err)
        local said = r.err:gsub(command.root:gsub('%p', '%%%0'), '') -- its path may hold the word
        assert.is_nil(said:lower():find 'cuda')
      end
    end)
  end)

  describe('with a card', function()
    it('auto and cuda take it, and say nothing more than without', function()
      for _, device in ipairs {'auto', 'cuda'} do
        local r = with_card('--device', device, '-v')
        assert.equal(0, r.code, r.err)
        assert.matches('\ndevice: cuda%-emulated, emulated\n', r.err)
        assert.is_true(#r.out > 0)
        assert.equal(1, lines(with_card('--device', device).err))
      end
    end)

    it('it is not taken unasked; -v tells that it is there', function()
      local quiet, told = with_card(), with_card '-v'
      assert.equal(0, told.code, told.err)
      assert.equal(quiet.out, told.out)
      assert.is_nil(quiet.err:find(NOTE, 1, true))
      assert.truthy(told.err:find(NOTE, 1, true))
      assert.matches('\ndevice: cpu, %d+ threads, instruction set %a', told.err)
      assert.is_nil(with_card('--device', 'cpu', '-v').err:find(NOTE, 1, true))
    end)
  end)
end)
