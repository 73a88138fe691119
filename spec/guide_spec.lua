-- The guide and the README are run: every block of Lua, every block of shell commands, and they
-- print what they say. And every public function is in the guide.

local command = require 'support.command'
local lfs = require 'lfs'

local function slurp(path)
  local f = assert(io.open(path, 'rb'))
  local s = f:read '*a'
  f:close()
  return s
end

local function spit(path, text)
  local f = assert(io.open(path, 'wb'))
  assert(f:write(text))
  f:close()
end

-- The fenced blocks under each `## ` heading: {title, line, lua = {...}, sh = {...}, repl = ...}.
local function sections(path)
  local list = {{title = 'the top', line = 1, lua = {}, sh = {}, repl = {}}}
  local fence, block, number = nil, nil, 0
  for line in slurp(path):gmatch '([^\n]*)\n' do
    number = number + 1
    if fence then
      if line == '```' then
        local into = list[#list][fence]
        if into then into[#into + 1] = table.concat(block, '\n') .. '\n' end
        fence = nil
      else
        block[#block + 1] = line
      end
    elseif line:find '^```' then
      fence, block = line:sub(4), {}
    elseif line:find '^## ' then
      list[#list + 1] = {title = line:sub(4), line = number, lua = {}, sh = {}, repl = {}}
    end
  end
  return list
end

-- A folder with what a reader has after the quickstart; what is written there is kept apart from
-- the tree.
local function workplace()
  local dir = os.tmpname()
  os.remove(dir)
  assert(lfs.mkdir(dir))
  assert(lfs.mkdir(dir .. '/build'))
  assert(lfs.link(command.exe, dir .. '/build/argent', true))
  for _, name in ipairs {'lua', 'models', 'scripts', 'spec'} do
    assert(lfs.link(command.root .. '/' .. name, dir .. '/' .. name, true))
  end
  return dir
end

local function run_in(dir, shell, env)
  local prefix = 'cd ' .. command.quote(dir) .. ' && '
  return command.run({'-c', prefix .. shell}, {exe = 'bash', env = env, timeout = 120})
end

-- What the comments `--> ...` of a block promise, line by line; `...` stands for anything.
local function promised(code)
  local list = {}
  for text in code:gmatch '%-%-> ?([^\n]*)' do list[#list + 1] = text end
  return list
end

local function matches(want, got)
  local pattern = want:gsub('%%', '%%%%'):gsub('[%^%$%(%)%.%[%]%*%+%-%?]', '%%%0')
    :gsub('%%%.%%%.%%%.', '.*')
  return got:find('^' .. pattern .. '$') ~= nil
end

local function same_lines(want, out, where)
  local got = {}
  for line in out:gmatch '([^\n]*)\n' do got[#got + 1] = line end
  for i = 1, math.max(#want, #got) do
    assert.is_true(want[i] ~= nil and got[i] ~= nil and matches(want[i], got[i]),
      ('%s: line %d: promised %s, got %s'):format(where, i, want[i] or 'nothing', got[i]
        or 'nothing'))
  end
end

local function file(name)
  return command.root .. '/' .. name
end

for _, name in ipairs {'GUIDE.md', 'README.md'} do
  describe(name, function()
    for _, s in ipairs(sections(file(name))) do
      if #s.lua > 0 then
        it(('keeps its word under "%s": the script runs and prints what is '
          .. 'promised'):format(s.title),
          function()
            local dir = workplace()
            finally(function() os.execute('rm -rf ' .. command.quote(dir)) end)
            local code = table.concat(s.lua)
            spit(dir .. '/script.lua', code)
            local r = run_in(dir, 'build/argent run script.lua')
            assert.equal(0, r.code, r.err)
            assert.equal('', r.err)
            same_lines(promised(code), r.out, s.title)
          end)
      end
      for _, text in ipairs(s.repl) do
        it(('keeps its word under "%s": the prompt answers so'):format(s.title), function()
          local dir = workplace()
          finally(function() os.execute('rm -rf ' .. command.quote(dir)) end)
          local typed, want = {}, {}
          for line in text:gmatch '([^\n]*)\n' do
            local code = line:match '^> (.*)$'
            if code then typed[#typed + 1] = code else want[#want + 1] = line end
          end
          spit(dir .. '/input', table.concat(typed, '\n') .. '\n')
          local r = run_in(dir, 'build/argent repl <input 2>&1')
          assert.equal(0, r.code)
          same_lines(want, r.out, s.title)
        end)
      end
      if #s.sh > 0 then
        it(('keeps its word under "%s": the commands work'):format(s.title), function()
          if table.concat(s.sh):find '%f[%a]curl%f[%A]' and not command.has 'curl' then
            return pending 'curl is missing'
          end
          local dir = workplace()
          finally(function() os.execute('rm -rf ' .. command.quote(dir)) end)
          for _, text in ipairs(s.sh) do
            -- A server that runs when a command fails would keep its port.
            local r = run_in(dir, 'set -euo pipefail; '
              .. "trap 'kill $(jobs -p) 2>/dev/null || :' EXIT; " .. text, {TERM = 'dumb'})
            assert.equal(0, r.code, r.err)
          end
        end)
      end
    end
  end)
end

describe('GUIDE.md', function()
  -- Documented functions of these files are what scripts rely on; the others are the parts they are
  -- made of.
  local PUBLIC = {}
  for name in ([[
    backend tensor tensor/views tensor/elementwise tensor/reductions tensor/products tensor/make
    plan io weights audio/sound text/tokenizer text/sentences nn/session nn/watch
    nn/backbone qwen3_tts/init qwen3_tts/synthesizer qwen3_tts/utterance qwen3_tts/speech
    qwen3_tts/feed qwen3_tts/voice qwen3_tts/scheduler qwen3_tts/ticket qwen3_tts/talker
    qwen3_tts/code_predictor qwen3_tts/codec_decoder qwen3_tts/analysis plot/waveform plot/curves
    plot/grids plot/matrix
    plot/alignment plot/histogram plot/image plot/record
  ]]):gmatch '%S+' do PUBLIC[#PUBLIC + 1] = name end
  -- Documented for those who work on Argent.
  local INTERNAL = {}
  for name in ([[
    check own dtype is new prime start load step advanced state frame frame_embeddings pad_vector
    diagnose runaway_message next ready append prompt_rows rest from add tap check_codes
    codec_encoder lacks of check_path look_later unusable pending wanted conclude board active
    input_of of_codes is settle measure parts enqueue left read_prompt pieces renamed
    only_headers dtype_for product copied readable
  ]]):gmatch '%S+' do INTERNAL[name] = true end

  local code = {}
  for _, s in ipairs(sections(file 'GUIDE.md')) do code[#code + 1] = table.concat(s.lua) end
  code = table.concat(code)

  for _, name in ipairs(PUBLIC) do
    it('has every function of ' .. name .. ' by example', function()
      local source, count = slurp(file('lua/argent/' .. name .. '.lua')), 0
      for f in source:gmatch '%-%-%-[^\n]*\n *function [%w_]+[.:]([%w_]+)%(' do
        if not INTERNAL[f] then
          count = count + 1
          assert.is_truthy(code:find('[.:]' .. f .. '[^%w_]'), f .. ' has no example')
        end
      end
    end)
  end

  it('has every op by example', function()
    for name in pairs(require('argent').ops) do
      assert.is_truthy(code:find('ops.' .. name .. '(', 1, true), name .. ' has no example')
    end
  end)

  it('has every public name of argent by example', function()
    for name in slurp(file 'lua/argent/init.lua'):gmatch '\n  ([%l_%d]+) = ' do
      if name ~= 'nn' and name ~= 'version' and not name:find '^__' then
        assert.is_truthy(code:find('ag.' .. name, 1, true), name .. ' has no example')
      end
    end
  end)
end)
