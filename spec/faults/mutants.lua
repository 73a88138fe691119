-- Takes out one guard after the other, in a copy of the tree, and runs the spec that is to notice:
-- luajit spec/faults/mutants.lua [NAME...], from the tree's root. Ends with 1 where one does not.

-- file: a text that stands in it once, and what comes in its place.
local MUTANTS = {
  {'no memory for machine code (LuaJIT panics)', 'runtime/main.c',
    '    lua_atpanic(L, panic);\n', '', 'spec/faults/memory_spec.lua'},
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
      elseif sh('cd %s && busted --lua=luajit %s >spec.log 2>&1', tree, spec) then result = 'MISSED'
      else result = 'caught' end
      write(path, whole)
    end
    if result ~= 'caught' then missed = missed + 1 end
    print(('%-45s %-14s %s'):format(name, result, spec))
    io.stdout:flush()
  end
end
sh('rm -rf %s', tree)
os.exit(missed == 0 and 0 or 1)
