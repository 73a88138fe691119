-- Takes out one guard after the other, in a copy of the tree, and runs the spec that is to notice:
-- luajit spec/faults/mutants.lua [NAME...], from the tree's root. Ends with 1 where one does not.

local PROCESS = 'spec/cli/process_spec.lua'

-- Each: what is guarded, a file, a text that stands in it once, what comes in its place, and the
-- spec, with words for busted, which splits a filter at its spaces: a dot stands for each.
local MUTANTS = {
  {'no memory for machine code (LuaJIT panics)', 'runtime/main.c',
    '    lua_atpanic(L, panic);\n', '', 'spec/faults/memory_spec.lua'},
  {'a reserve of memory for Lua', 'runtime/reserve.c',
    'n == 0 || !reserve.kept)', 'n == 0 || 1)', 'spec/faults/memory_spec.lua'},
  {'a library calls exit(-1)', 'runtime/main.c',
    '    on_exit(leave, NULL);\n', '    (void)leave;\n', 'spec/faults/memory_spec.lua'},
  {'a library crashes', 'runtime/signals.c',
    '    for (int i = 0; i < CRASHES; i++) sigaction(crashes[i], &crash, &before_crash[i]);\n',
    '    (void)crash;\n', 'spec/faults/memory_spec.lua'},
  {'code may not be made', 'runtime/main.c',
    'if (!may_make_code())', 'if (!may_make_code() && getenv("NEVER"))',
    'spec/faults/memory_spec.lua'},
  {'memory for registering machine code', 'CMakeLists.txt',
    'runtime/signals.c runtime/frames.c)', 'runtime/signals.c)', 'spec/faults/memory_spec.lua'},
  {'threads run anywhere after a refused pin', 'runtime/team.c',
    'i < t->started; i++)\n        pthread_setaffinity_np(', 'i < 0; i++)\n        '
    .. 'pthread_setaffinity_np(', 'spec/team_spec.lua'},
  {'the prefix stays after an uninstall', 'cmake/uninstall.cmake',
    'if(NOT "${inside}/" MATCHES "/argent/")', 'if(NOT "${folder}/" MATCHES "/argent/")',
    'spec/install_spec.lua'},
  {'SIGTERM is dealt with', 'runtime/signals.c',
    '    sigaction(SIGTERM, &action, NULL);\n', '', 'spec/faults/signal_spec.lua'},
  {'leftovers of killed writers go', 'runtime/partial.c',
    'if (writer && abandoned(dirfd(dir), e->d_name, writer))', 'if (0 && writer && abandoned('
    .. 'dirfd(dir), e->d_name, writer))', 'spec/faults/signal_spec.lua'},
  {'a short write goes on', 'lua/argent/posix.lua',
    'p, n = p + k, n - k', 'p, n = p + k, 0', 'spec/faults/write_spec.lua'},
  {'an interrupted write is made again', 'lua/argent/posix.lua',
    'elseif code ~= M.EINTR then', 'else', 'spec/faults/write_spec.lua'},
  {'a sound is on the disk before it is done', 'lua/argent/audio/file.lua',
    "if not ok then return nil, 'cannot write: ' .. err end\n", '\n',
    'spec/faults/write_spec.lua'},
  {'a rename that fails is told', 'runtime/partial.c',
    'if (rename(partial, path) != 0) return', 'if (rename(partial, path) != 0 && 0) return',
    'spec/faults/write_spec.lua'},
  {'tensors end before the file does', 'runtime/file_check.c',
    'if (e->end > size)', 'if (0 && e->end > size)', 'spec/faults/cut_spec.lua'},
  {'a page behind a file that shrank', 'runtime/signals.c',
    '    sigaction(SIGBUS, &bus, NULL);\n', '    (void)bus;\n', 'spec/faults/mapped_spec.lua'},
  {"a voice's checksum", 'lua/argent/qwen3_tts/voice.lua',
    'if meta.checksum ~= checksum(voice, meta) then', 'if false then',
    'spec/fuzz/voice_fuzz_spec.lua'},
  {'codes are whole numbers', 'lua/argent/cli/codes.lua',
    "type(code) ~= 'number' or code % 1 ~= 0 or", "type(code) ~= 'number' or",
    'spec/fuzz/voice_fuzz_spec.lua'},
  {'faults of configurations are one line', 'lua/argent/json.lua',
    "  if getmetatable(result) == Fault then return nil, result.message end\n", '',
    'spec/fuzz/config_fuzz_spec.lua'},
  {'methods are called with their object', 'lua/argent/check.lua',
    'function M.methods(class, what, is)\n', 'function M.methods(class, what, is)\n'
    .. '  if class then return class end\n', 'spec/misuse_spec.lua'},

  -- ---- signals and the end of a process ----

  {'a second signal ends the process', 'runtime/signals.c',
    'if (ended_by || !running) {', 'if (!running) {', PROCESS .. " --filter='second.signal'"},
  {'partials of living writers stay', 'runtime/partial.c',
    'if (kill((pid_t)writer, 0) == 0 || errno != ESRCH) return false;\n', '\n',
    PROCESS .. " --filter='cleaned.up'"},
  {'Ctrl-C in a loop of a script', 'lua/argent/interpreted.lua',
    '  jit.off(chunk, true)\n', '', PROCESS .. " --filter='one.Ctrl'"},
  {'Ctrl-C in a compiled loop', 'runtime/signals.c',
    '        if (now - first >= 0.1) end_at_once(signal_number);\n', '',
    "spec/cli/run_spec.lua --filter='second.time'"},
  {'SIGTERM at the prompt', 'runtime/signals.c',
    '    setitimer(ITIMER_REAL, &every, NULL);\n', '    (void)every;\n',
    'spec/cli/repl_spec.lua --filter=SIGTERM'},
  {'standard streams that are closed', 'runtime/main.c',
    'if (fcntl(fd, F_GETFD) < 0 &&', 'if (0 && fcntl(fd, F_GETFD) < 0 &&', PROCESS},
  {'finalizers run before tensors go', 'runtime/main.c',
    '    forget_scripts(L);\n', '    (void)forget_scripts;\n',
    PROCESS .. ' --filter=finalizers'},
  {'threads are not those of a fork', 'runtime/team.c',
    '{ pthread_atfork(NULL, NULL, count_fork); }', '{ (void)count_fork; }',
    PROCESS .. ' --filter=fork'},

  -- ---- the server ----

  {'bodies have a limit', 'lua/argent/serve/request.lua',
    'if length > limit then', 'if false then', "spec/serve/speech_spec.lua --filter='its.limit'"},
  {'a second signal stops the server', 'lua/argent/serve/server.lua',
    '    self.stopped = true\n    return\n', '    return\n',
    "spec/serve/speech_spec.lua --filter='told.twice'"},
  {'the queue has an end', 'lua/argent/qwen3_tts/scheduler.lua',
    'return #self.waiting < self.queue + self.rows - #self.speaking', 'return true',
    'spec/serve/speech_spec.lua'},

  -- ---- files ----

  {'values of weights are numbers', 'lua/argent/weights.lua',
    "    if count > 0 then fault('format'", "    if count < 0 then fault('format'",
    'spec/qwen3_tts/damage_spec.lua'},
  {'tensors do not overlap in a file', 'runtime/file_check.c',
    'if (e->begin < next) return', 'if (0) return', 'spec/safetensors_spec.lua'},
  {'names in GGUF are plain', 'runtime/gguf_header.c',
    "if (!length || (unsigned char)*c < 0x20 || *c == 0x7f)", 'if (!length && !(length = 1))',
    'spec/gguf_spec.lua'},
  {'merges.txt is whole', 'lua/argent/text/vocabulary.lua',
    'if made[ids[word:sub(1, i)]] and made[ids[word:sub(i + 1)]] then', 'if false then',
    'spec/text/vocabulary_spec.lua'},
  {'refs name a snapshot', 'lua/argent/hub.lua',
    "text:match '^(%w[%w._-]*)%s*$'", "text:match '^(%S+)%s*$'",
    'spec/hub_spec.lua --filter=refs'},
  {'no link leads out of the cache', 'lua/argent/hub.lua',
    'if not inside or real and is_directory(real) then', 'if false then',
    'spec/hub_spec.lua --filter=link'},
  {'a cache that cannot be read is told', 'lua/argent/hub.lua',
    '  if not ok then return nil, tostring', '  if not ok then return {}, tostring',
    "spec/hub_spec.lua --filter='cannot.be.read'"},
  {'what was fetched has its checksums', 'lua/argent/pull.lua',
    '  if not whole then\n', '  if not whole and false then\n', 'spec/pull_spec.lua'},
  {'there is room for what is fetched', 'lua/argent/pull.lua',
    'if not free or free >= bytes then', 'if free ~= bytes then', 'spec/pull_spec.lua'},
  {'a path holds no zero byte', 'lua/argent/io.lua',
    "  if v:find '%z' then error", '  if false then error', 'spec/safetensors_spec.lua'},

  -- ---- memory and misuse ----

  {'dead tensors go first', 'lua/argent/tensor.lua',
    '  if rc == lib.AG_ENOMEM then\n', '  if false then\n', 'spec/memory_spec.lua'},
  {'the code of an error counts', 'lua/argent/cli/init.lua',
    '  if no_memory(text) then', '  if lib.ag_out_of_memory(text) ~= 0 then',
    'spec/memory_spec.lua'},
  {'no memory is not a missing library', 'lua/argent/library.lua',
    '    if lib.ag_out_of_memory(found) ~= 0 then', '    if false then', 'spec/memory_spec.lua'},
  {'samples end with their array', 'lua/argent/audio/pcm.lua',
    '  if n > room then\n', '  if false then\n', 'spec/audio/pcm_spec.lua'},
  {'arrays for C are made for each call', 'lua/argent/tensor.lua',
    '  check.int(#shape, \'number of dimensions\', 0, MAX_DIMS, 1)\n  local dims = dims_of()\n',
    '  check.int(#shape, \'number of dimensions\', 0, MAX_DIMS, 1)\n'
    .. '  M.dims = M.dims or dims_of()\n  local dims = M.dims\n', 'spec/tensor_spec.lua'},
  {'an output is apart from its inputs', 'runtime/front.c',
    'if (itself || !agi_tensor_overlap(t, out)', 'if (1 || !agi_tensor_overlap(t, out)',
    'spec/ops/packed_conv_spec.lua'},
  {'what is written is apart, too', 'runtime/front.c',
    'if (j != i && agi_tensor_overlap(', 'if (0 && agi_tensor_overlap(',
    'spec/ops/aliasing_spec.lua'},
}

local function read(path)
  local f = assert(io.open(path, 'rb'))
  local s = f:read '*a'
  f:close()
  return s
end

local function write(path, s)
  local f = assert(io.open(path, 'wb'))
  f:write(s)
  f:close()
end

-- text with `from`, which must stand in it once, replaced.
local function mutated(text, from, to)
  local first, last = text:find(from, 1, true)
  if not first or text:find(from, last + 1, true) then return nil end
  return text:sub(1, first - 1) .. to .. text:sub(last + 1)
end

local function sh(command, ...)
  return os.execute(command:format(...)) == 0
end

local tree = os.tmpname()
os.remove(tree)
assert(sh('mkdir %s && git ls-files -z | xargs -0 cp --parents -t %s', tree, tree), 'cannot copy')
local BUILD = 'cd %s && cmake -S . -B build -DARGENT_CUDA=OFF >build.log 2>&1'
  .. ' && cmake --build build --parallel 2 >>build.log 2>&1'
local SPEC = 'cd %s && timeout 900 busted --lua=luajit --no-keep-going %s >spec.log 2>&1'
assert(sh(BUILD, tree), 'the copy does not build')

local missed = 0
for _, m in ipairs(MUTANTS) do
  local name, file, from, to, spec = unpack(m)
  local wanted = not arg[1]
  for _, word in ipairs(arg) do wanted = wanted or name:find(word, 1, true) ~= nil end
  if wanted then
    local path = tree .. '/' .. file
    local whole = read(path)
    local text = mutated(whole, from, to)
    local result
    if not text then
      result = 'NOT FOUND'
    else
      write(path, text)
      if not sh(BUILD, tree) then result = 'DOES NOT BUILD'
      elseif sh(SPEC, tree, spec) then result = 'MISSED'
      else result = 'caught' end
      write(path, whole)
    end
    if result ~= 'caught' then missed = missed + 1 end
    print(('%-42s %-14s %s'):format(name, result, spec))
    io.stdout:flush()
  end
end
sh('rm -rf %s', tree)
os.exit(missed == 0 and 0 or 1)
