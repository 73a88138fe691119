-- Hears what was said: Debian's pocketsphinx with its American English model, among sentences that
-- it is told beforehand. It is another program with models of its own, so what it understands does
-- not rest on what Argent believes.

local ag = require 'argent'
local command = require 'support.command'
local ffi = require 'ffi'

local M = {}

local MODEL = '/usr/share/pocketsphinx/model/en-us'
local RATE = 16000

local function exists(path)
  local f = io.open(path)
  if f then f:close() end
  return f ~= nil
end

--- Why nothing can be recognised here; nil where it can.
---@return string?
function M.missing()
  if not command.has 'pocketsphinx_batch' then
    return 'pocketsphinx is not installed (apt-get install pocketsphinx pocketsphinx-en-us)'
  elseif not exists(MODEL .. '/cmudict-en-us.dict') then
    return 'pocketsphinx has no English model (apt-get install pocketsphinx-en-us)'
  end
end

--- A sentence as the recogniser gives it: words in lower case.
---@param sentence string
---@return string
function M.words(sentence)
  return (sentence:lower():gsub("[^%a' ]", ''))
end

-- What a microphone would make of it: 16 kHz, as loud as it goes, silence and a little noise around
-- it (a recogniser that is used to rooms stumbles over digital zeros).
local function write(path, samples)
  local x = ag.tensor(assert(ag.backend 'cpu'), samples)
  local y = assert(ag.audio.resample(x, 24000, RATE)):totable()
  local pad, peak, noise = RATE / 5, 1e-9, 1
  for _, v in ipairs(y) do peak = math.max(peak, math.abs(v)) end
  local pcm = ffi.new('int16_t[?]', #y + 2 * pad)
  for i = 0, #y + 2 * pad - 1 do
    noise = noise * 16807 % 2147483647
    local v = (y[i - pad + 1] or 0) / peak * 0.7 + (noise / 2147483647 - 0.5) * 4e-3
    pcm[i] = v * 32767
  end
  local f = assert(io.open(path, 'wb'))
  f:write(ffi.string(pcm, 2 * (#y + 2 * pad)))
  f:close()
end

local function spit(path, text)
  local f = assert(io.open(path, 'w'))
  f:write(text)
  f:close()
end

-- Runs the recogniser over sounds; `search` says what it may hear, as options, in a folder where
-- files() has put what they name.
local function listen(sounds, search, files)
  local dir, names = os.tmpname(), {}
  os.remove(dir)
  os.execute('mkdir ' .. dir)
  for i, samples in ipairs(sounds) do
    names[i] = tostring(i)
    write(('%s/%d.raw'):format(dir, i), samples)
  end
  spit(dir .. '/ids', table.concat(names, '\n') .. '\n')
  if files then files(dir) end
  local r = command.run({'-c', ([[
    cd %s && pocketsphinx_batch -logfn /dev/null -hmm %s/en-us -dict %s/cmudict-en-us.dict \
      %s -adcin yes -cepdir . -cepext .raw -ctl ids -hyp heard && cat heard
  ]]):format(dir, MODEL, MODEL, search)}, {exe = 'sh', timeout = 1200})
  os.execute('rm -r ' .. dir)
  assert(r.code == 0, r.err)
  local heard = {}
  for text in r.out:gmatch '([^\n]*) %(%d+ %-?%d+%)\n' do heard[#heard + 1] = text end
  assert(#heard == #sounds, r.out)
  return heard
end

--- What is heard in sounds by one who knows that each is one of these sentences.
---@param sentences string[]
---@param sounds number[][] samples at 24 kHz
---@return string[] heard words, '' for a sound that is none of the sentences
function M.hear(sentences, sounds)
  local choices = {}
  for i, s in ipairs(sentences) do choices[i] = M.words(s) end
  return listen(sounds, '-jsgf grammar', function(dir)
    spit(dir .. '/grammar', ('#JSGF V1.0;\ngrammar said;\npublic <said> = %s;\n'):format(
      table.concat(choices, ' | ')))
  end)
end

--- What is heard by one who knows nothing but English.
---@param sounds number[][] samples at 24 kHz
---@return string[] heard words
function M.hear_anything(sounds)
  return listen(sounds, ('-lm %s/en-us.lm.bin'):format(MODEL))
end

--- How many words have to be put in, left out or replaced to make one text the other; and how many
--- words the first has.
---@param said string
---@param heard string words in lower case
---@return integer errors
---@return integer words
function M.word_errors(said, heard)
  local a, b, row = {}, {}, {}
  for w in M.words(said):gmatch '%S+' do a[#a + 1] = w end
  for w in heard:gmatch '%S+' do b[#b + 1] = w end
  for j = 0, #b do row[j] = j end
  for i, word in ipairs(a) do
    local diagonal = row[0]
    row[0] = i
    for j, other in ipairs(b) do
      local kept = diagonal + (word == other and 0 or 1)
      diagonal = row[j]
      row[j] = math.min(kept, row[j] + 1, row[j - 1] + 1)
    end
  end
  return row[#b], #a
end

return M
