-- Our side of scripts/compare: the same prompt, tokens and sentences.

local ag = require 'argent'
local posix = require 'argent.posix'

local what, path, dtype = arg[1], arg[2], arg[3]
local be = assert(ag.backend('cpu', {threads = 2}))

local function memory()
  local f = assert(io.open '/proc/self/status')
  local text = f:read '*a'
  f:close()
  return tonumber(text:match 'VmHWM:%s*(%d+)') / 1024
end

local function lm()
  local model = assert(ag.decoder.open(path, {backend = be, dtype = dtype}))
  local ids = {}
  for i = 1, 512 do ids[i] = (i * 7919) % 40000 + 10 end
  -- No id may end the text: as many are generated as over there.
  local opts = {prompt = {1, 2, 3, 4, 5, 6, 7, 8}, greedy = true, repetition_penalty = 1,
    max_tokens = 129}
  model.cfg.ends = {}
  local function run()
    local began = posix.now()
    local _, g = model:stream(opts)
    assert(g:next()) -- reads the last id of the prompt, too
    local read = posix.now() - began
    began = posix.now()
    for _ = 1, 128 do assert(g:next()) end
    local wrote = posix.now() - began
    g:finish()
    return read, wrote
  end
  run()
  opts.prompt = ids
  local read, wrote = run()
  print(('Argent %s: %.0f %.1f %.0f'):format(dtype, 512 / read, 128 / wrote, memory()))
end

local WORDS = {}
for word in ('a cat dog runs across the old bridge while rain falls on quiet streets and people '
  .. 'talk about prices music science cooking travel'):gmatch '%S+' do
  WORDS[#WORDS + 1] = word
end

local function embed()
  local model = assert(ag.encoder.open(path, {backend = be}))
  local texts = {}
  for i = 0, 999 do
    local words = {}
    for j = 0, 4 + i % 16 do words[j + 1] = WORDS[(i * 7 + j * (i % 5 + 1)) % #WORDS + 1] end
    texts[i + 1] = table.concat(words, ' ')
  end
  assert(model:embed {unpack(texts, 1, 32)})
  local began = posix.now()
  assert(model:embed(texts))
  print(('Argent f32: %.0f - %.0f'):format(1000 / (posix.now() - began), memory()))
end

if what == 'lm' then lm() else embed() end
