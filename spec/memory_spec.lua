-- Memory that has run out: what dead tensors hold is given back first, and then it is told.

local command = require 'support.command'
local st = require 'support.st'

-- Runs a script that may use `room` bytes of addresses more than it has when it begins.
local function run(room, text)
  local script = os.tmpname()
  st.write(([[
    local ag, ffi = require 'argent', require 'ffi'
    local be = assert(ag.backend('cpu', {threads = 1}))
    ffi.cdef 'int setrlimit(int what, const uint64_t *limits);'
    local f = assert(io.open '/proc/self/statm')
    local most = f:read '*n' * 4096 + %d
    f:close()
    -- Called where what the script needs first is there.
    local function limit()
      assert(ffi.C.setrlimit(9, ffi.new('uint64_t[2]', {most, most})) == 0) -- RLIMIT_AS
    end
    %s]]):format(room, text), script)
  local r = command.run {'run', script}
  os.remove(script)
  return r
end

describe('memory that has run out', function()
  -- Sanitizers reserve addresses as they go, and end a process that gets none.
  if command.run({'--version'}, {before = 'ulimit -v 2000000;'}).code ~= 0 then
    pending 'this build does not run with few addresses (sanitizers reserve more)'
    return
  end
  -- A tensor of 60 MB; two and a half of them fit. The collector would come by itself later only.
  local ROOM, ELEMENTS = 150 * 2 ^ 20, 15 * 2 ^ 20

  it('is that of dead tensors first, for new ones', function()
    local r = run(ROOM, ([[
      limit()
      for i = 1, 12 do
        local x = ag.zeros(be, {%d})
        x:narrow(1, 1, 1):fill(i)
      end
      print 'enough']]):format(ELEMENTS))
    assert.same({0, 'enough\n'}, {r.code, r.out}, r.err)
  end)

  it('is that of dead tensors first, for weights that are converted', function()
    local file = os.tmpname() .. '.safetensors'
    local r = run(ROOM + 40 * 2 ^ 20, ([[
      assert(ag.save(%q, {x = ag.zeros(be, {%d}, 'bf16')}))
      collectgarbage()
      collectgarbage()
      local w = assert(require('argent.weights').open(%q, {backend = be}))
      limit()
      for i = 1, 12 do assert(w:tensor('x', 'f32')) end
      print 'enough']]):format(file, ELEMENTS, file))
    os.remove(file)
    assert.same({0, 'enough\n'}, {r.code, r.out}, r.err)
  end)

  it('ends a command with exit code 5, where it is not', function()
    local r = run(ROOM, ([[
      limit()
      local keep = {}
      for i = 1, 12 do keep[i] = ag.zeros(be, {%d}) end]]):format(ELEMENTS))
    assert.equal(5, r.code, r.err)
    assert.matches('^argent: run: [^\n]*out of memory[^\n]*\n$', r.err)
  end)

  describe('while a command begins', function()
    it('ends it with exit code 5', function()
      for _, limit in ipairs {20000, 30000, 40000} do -- KB, too few to begin
        local before = ('ulimit -v %d;'):format(limit)
        local r = command.run({'say', 'x', '-o', '/dev/null'}, {before = before})
        if r.code == 127 or r.err:find 'Sanitizer' or r.err:find 'loading shared' then
          pending 'this build does not start with so few addresses'
          return
        end
        assert.equal(5, r.code, r.err)
        assert.matches('argent: [^\n]*out of memory\n$', r.err)
      end
    end)

    -- A script that ends as the library would where something could not be loaded.
    local function ends(text)
      local script = os.tmpname()
      st.write((text:gsub('SCRIPT', script)), script)
      local r = command.run {'run', script}
      os.remove(script)
      return r.code, r.err
    end

    it('is not taken for a module that is missing, as its file is there', function()
      local missing = [[error("module 'm' not found:\n\tno file './m.lua'\n\tno file '%s'")]]
      assert.equal(5, (ends(missing:format 'SCRIPT')))
      assert.equal(1, (ends(missing:format '/nowhere/m.lua')))
    end)

    it('is not taken for a library that is missing, or a file that is damaged', function()
      local code, err = ends [[
        local ffi = require 'ffi'
        local load = ffi.load
        ffi.load = function(name, ...)
          if not name:find 'sndfile' then return load(name, ...) end
          error('libsndfile.so.1: cannot open shared object file: Cannot allocate memory')
        end
        return require('argent.audio.file').create('/tmp/x.wav')]]
      assert.same({5, 'argent: run: out of memory\n'}, {code, err})
    end)

    it('is told by the code of an error, never by its words', function()
      assert.equal(3, (ends "return nil, 'config.json: Cannot allocate memory', 'format'"))
      assert.equal(1, (ends "error 'out of memory: not enough memory, Cannot allocate memory'"))
      for _, verb in ipairs {'say', 'inspect'} do
        local words = {verb, '-m', '/tmp/out of memory', verb == 'say' and 'Hello.' or nil}
        local r = command.run(words)
        assert.equal(3, r.code, r.err)
        assert.matches('/tmp/out of memory: no such model directory', r.err)
      end
    end)

    -- io.open that answers as the system does when it has none, for names that match.
    local OPEN = [[
      local open = io.open
      io.open = function(path, ...)
        if path:find %q then return nil, path .. ': Cannot allocate memory', 12 end
        return open(path, ...)
      end
    ]]

    it('is told so of the files of a model and of a recording', function()
      local demo = command.root .. '/models/demo'
      for _, name in ipairs {'config%.json$', 'vocab%.json$', 'merges%.txt$'} do
        local code, err = ends(OPEN:format(name) .. ([[
          return require('argent').qwen3_tts.open(%q)]]):format(demo))
        assert.equal(5, code, err)
        assert.matches('^argent: run: /[^\n]*: Cannot allocate memory\n$', err)
      end
      local code, err = ends(OPEN:format 'flac' .. ([[
        return require('argent').audio.read(%q, {backend = require('argent').backend 'cpu'})]])
        :format(demo .. '/sample.flac'))
      assert.equal(5, code, err)
    end)
  end)
end)
