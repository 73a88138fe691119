-- What a person types or pipes, with random changes: command lines, JSONL, manifests, the prompt.

local ag = require 'argent'
local cli = require 'argent.cli'
local command = require 'support.command'
local common = require 'argent.cli.common'
local complete = require 'argent.repl.complete'
local doc = require 'argent.doc'
local golden = require 'support.golden'
local json = require 'argent.json'
local lines = require 'argent.cli.lines'
local manifest = require 'argent.cli.manifest'
local mutate = require 'support.mutate'
local names = require 'argent.repl.names'
local posix = require 'argent.posix'
local st = require 'support.st'
local verbs = require 'argent.cli.table'

local function pick(list) return list[math.random(#list)] end

describe('with random changes', function()
  local folder, remove = mutate.folder()
  teardown(remove)

  it('a command line is done or refused in one line', function()
    local model
    for _, m in ipairs(golden.models()) do model = m.model end
    local LINES = { -- of verbs that write no files
      {'tokenize', '-m', model, 'Hello.', '--special'},
      {'tokenize', '-m', model, '--pattern', 'local_directory', 'a', 'b'},
      {'inspect', '-m', model, '--tensors'},
      {'voices', '-m', model},
      {'completion', 'bash'}, {'--version'}, {'help', 'say'}, {'say', '--help'},
    }
    local said
    local note = common.note
    common.note = function(text) said = text end
    finally(function() common.note = note end)
    local codes = {}
    mutate.each(1, 8, function(_, say)
      local argv = {[0] = 'argent'}
      for i, word in ipairs(pick(LINES)) do argv[i] = word end
      for _ = 1, math.random(2) do
        local at, kind = math.random(#argv), math.random(4)
        if kind == 1 then argv[at] = mutate.bytes(argv[at]):gsub('%z', '?')
        elseif kind == 2 then table.insert(argv, at, pick(pick(LINES)))
        elseif kind == 3 and #argv > 1 then table.remove(argv, at)
        else table.insert(argv, at, '--' .. pick {'seed', 'model', 'dtype', 'x', '', 'help'}) end
      end
      if argv[1] == 'run' or argv[1] == 'repl' then return end
      say(table.concat(argv, ' '))
      said = nil
      local code = posix.silenced(1, cli.main, argv)
      codes[code] = (codes[code] or 0) + 1
      assert(code == 0 or code == 2 or code == 3 or code == 4 or code == 6, code)
      if code ~= 0 and argv[1] then assert(said:find '^argent: [^\n]*$' or #argv == 0, said) end
    end)
    assert.is_true(codes[0] > 0 and codes[2] > 0 and codes[3] > 0)
  end)

  it('the options of every verb are parsed or refused', function()
    local WORDS = {'-o', '--output', 'x.wav', '--seed', '7', '-1', '--temperature=0.5', '--voice',
      'ryan', '--each', '-f', '-', '--', 'text', '--bits', 'float', '--top-k', '1e9', '--threads'}
    local parsers, parsed = {}, 0
    for _, name in ipairs(verbs.VERBS) do
      if not verbs.verb(name).raw then parsers[#parsers + 1] = verbs.parser(name) end
    end
    mutate.each(2, 8, function(_, say)
      local argv = {}
      for i = 1, math.random(0, 8) do
        local word = pick(WORDS)
        argv[i] = math.random() < 0.3 and mutate.bytes(word) or word
      end
      say(table.concat(argv, ' '))
      local ok, got = pick(parsers):pparse(argv)
      if ok then parsed = parsed + 1 else assert(type(got) == 'string') end
    end)
    assert.is_true(parsed > 0)
  end)

  it('lines of JSON are texts, or say what is wrong with them', function()
    local ALL = json.encode {id = 'a', text = 'Hello.', voice = 'ryan', seed = 7, temperature = 0.9,
      greedy = true, top_k = 50} .. '\n' .. json.encode {text = 'Hi.', language = 'english'} .. '\n'
    local good, bad = 0, 0
    mutate.each(3, 4, function(_, say)
      local text = mutate.bytes(ALL)
      say(text)
      for _, line in ipairs(lines.read(text)) do
        if line.err then
          bad = bad + 1
          assert(type(line.err) == 'string' and not line.err:find '%.lua:%d+:', line.err)
        else
          good = good + 1
          assert(type(line.text) == 'string')
          lines.merge({voice = 'x', seed = 1}, line)
        end
      end
    end)
    assert.is_true(good > 0 and bad > 0)
  end)

  it('a manifest is understood as far as it goes, and can be added to', function()
    local path = folder .. '/.argent-each.jsonl'
    local ALL = json.encode {file = '001.wav', hash = '0018354b68b350cf', text = 'Hi.'} .. '\n'
      .. json.encode {file = '002.wav', hash = 'ffffffffffffffff'} .. '\n'
    mutate.each(4, 8, function(_, say)
      local text = mutate.bytes(ALL)
      say(text)
      st.write(text, path)
      local m = assert(manifest.open(folder))
      assert(m:note {file = '003.wav', hash = 'x'})
      assert(manifest.open(folder):has('003.wav', 'x'))
    end)
  end)

  it('names to complete and to look up are found or not', function()
    local be = assert(ag.backend('cpu', {threads = 1}))
    local env = names.of({ag = ag, be = be, x = ag.zeros(be, {2, 3})})
    local ENTRIES = {'ag.', 'ag.plot.', 'x:na', 'tts:say {te', 'print(ag.load', ':doc ag.lo',
      'ag["', 'x.shape', 'tts.say.seed', 'ops.linear', 'tensor.narrow', 'a.b.c.d', ':'}
    mutate.each(5, 8, function(_, say)
      local entry = mutate.bytes(pick(ENTRIES))
      say(entry)
      assert(type(complete.complete(entry, env, {'help', 'doc'})) == 'table')
      local found, err = doc.find(entry, env)
      assert(found and type(doc.text(found)) == 'string' or type(err) == 'string')
    end)
  end)

  it('entries at the prompt are run or refused, and the session goes on', function()
    local ENTRIES = {'1 + 1', 'x = {1, 2, "a"}', 'x[1]', 'local y = 2', 'ag.version', 'print(x, y)',
      ':help', ':doc ag.load', ':mem', 't = ag.zeros(be, {2, 3})', 't:narrow(1, 1, 1)', 't + 1',
      't.shape', 'error("a")', 'function f(a) return a end', 'f(f)', '_', '= 3', '-- x', 'nil'}
    local out, most, sessions = {}, 300, 0
    mutate.each(6, 8, function()
      local entry = pick(ENTRIES)
      if math.random() < 0.6 then entry = mutate.bytes(entry):gsub('[\r\n%z]', ' ') end
      if not entry:find 'quit' then out[#out + 1] = entry end
      if #out < most then return end
      out[#out + 1] = 'print "still here"\n'
      local r = command.run({'repl'}, {stdin = table.concat(out, '\n')})
      assert(r.code == 0, r.err:sub(-500))
      assert(r.out:find('still here', 1, true) or r.err:find('inside an entry', 1, true),
        r.err:sub(-500))
      assert(not r.err:find('lua/argent', 1, true), r.err)
      out, sessions = {}, sessions + 1
    end)
    assert.is_true(sessions > 0)
  end)
end)
