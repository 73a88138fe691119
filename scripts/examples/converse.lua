-- A language model answers, and a voice speaks while it writes: both in one process. A sentence is
-- spoken as soon as it is whole; between two chunks of sound the model writes on.
--
--   scripts/fetch_weights
--   argent run scripts/examples/converse.lua 'Why is the sky blue?' answer.wav \
--     --lm ~/.cache/argent/weights/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
--
-- Standard error says when the first sound was there, and how many words were still to be written.

local ag = require 'argent'
local argparse = require 'argparse'
local posix = require 'argent.posix'
local sentences = require 'argent.text.sentences'

local p = argparse('converse.lua', 'A language model answers, and a voice speaks while it writes.')
p:argument('question', 'What it is asked.')
p:argument('output', 'Sound file.')
p:option('--lm', 'The language model: a folder or a GGUF file.')
p:option('--system', 'What it is told beforehand.', 'Answer in two short sentences.')
p:option('-m --model', 'The model that speaks (default: $ARGENT_MODEL, else the demo voice).')
p:option('--voice', 'A named voice.')
p:option('--seed', 'Of the draws of both.', '1'):convert(tonumber)
p:option('--max-tokens', 'At most so many tokens of text.', '120'):convert(tonumber)
p:option('--max-frames', 'At most so many frames a sentence.'):convert(tonumber)
p:option('--pause', 'Seconds between sentences.', '0.2'):convert(tonumber)
p:flag('--greedy', 'The likeliest token at each step.')
local ok, args = p:pparse(arg)
if not ok then return nil, args, 'usage' end
if not args.lm then return nil, '--lm FILE is missing', 'usage' end

local backend = assert(ag.backend 'cpu')
local lm, why, code = ag.decoder.open(args.lm, {backend = backend})
if not lm then return nil, why, code end
lm.template = lm.template or 'chatml'
local tts
tts, why, code = ag.qwen3_tts.open(args.model, {backend = backend})
if not tts then return nil, why, code end

local began = posix.now()
local pieces, g = lm:stream {seed = args.seed, greedy = args.greedy or nil,
  max_tokens = args.max_tokens, messages = {
    {role = 'system', content = args.system}, {role = 'user', content = args.question},
  }}
if not pieces then return nil, g, code end

local written, ready = '', {} -- what is no whole sentence yet, and sentences that wait

-- Writes one piece; a sentence is whole when the next one has begun.
local function write()
  local piece = not g.ended and pieces()
  if piece then
    io.stdout:write(piece)
    io.stdout:flush()
    written = written .. piece
  end
  local list = sentences.split(written)
  local whole = g.ended and #list or #list - 1
  for i = 1, whole do
    if list[i]:find '%w' then ready[#ready + 1] = list[i]:match '^%s*(.-)%s*$' end
  end
  written = whole > 0 and table.concat(list, '', whole + 1) or written
  return piece ~= nil and piece ~= false
end

local sounds, first, waiting = {}, nil, 0
repeat
  while #ready == 0 and write() do end
  local text = table.remove(ready, 1)
  if text then
    local chunks, spoken, kind = tts:stream {text = text, voice = args.voice or tts:voices()[1],
      seed = args.seed + #sounds, max_frames = args.max_frames}
    if not chunks then return nil, spoken, kind end
    local parts = {}
    for chunk in chunks do
      if not first then first, waiting = posix.now() - began, g.ended and 0 or 1 end
      parts[#parts + 1] = chunk.samples
      if waiting > 0 and not g.ended then waiting = waiting + 1 end
      write()
    end
    if #parts > 0 then sounds[#sounds + 1] = ag.audio.join(parts, {rate = tts.codec.rate}) end
  end
until not text and g.ended
io.stdout:write '\n'
if #sounds == 0 then return nil, 'nothing was written that could be spoken', 'value' end
io.stderr:write(('first sound after %.2f s; %s\n'):format(first, waiting > 0
  and ('%d pieces were written while it spoke'):format(waiting) or 'all was written by then'))
return ag.audio.join(sounds, {pause = args.pause}):save(args.output)
