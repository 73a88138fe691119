-- A live reader: speaks each line of standard input as it comes, to a player or, as raw samples
-- (s16le, 24 kHz, mono), to standard output.
--
--   tail -f log.txt | argent run scripts/examples/live.lua | aplay -f S16_LE -r 24000
--   argent run scripts/examples/live.lua --player 'aplay -q -f S16_LE -r 24000'     # type, listen
--
-- A line is spoken at once, and what comes meanwhile waits its turn.

local ag = require 'argent'
local argparse = require 'argparse'
local pcm = require 'argent.audio.pcm'

local p = argparse('live.lua', 'Speaks lines as they come.')
p:option('-m --model', 'Model directory (default: $ARGENT_MODEL).')
p:option('--voice', 'A named voice.')
p:option('--language', 'Language of the text.')
p:option('--player', 'Command that takes raw samples (default: standard output).')
p:option('--seed', 'Of the first line; each line has the next one.'):convert(tonumber)
p:option('--max-frames', 'At most so many frames a line.'):convert(tonumber)
local ok, args = p:pparse(arg)
if not ok then return nil, args, 'usage' end

local tts, why, kind = ag.qwen3_tts.open(args.model)
if not tts then return nil, why, kind end
local out, name = io.stdout, 'standard output'
if args.player then
  name = args.player
  out, why = io.popen(args.player, 'w')
  if not out then return nil, ('%s: %s'):format(name, why), 'io' end
end

local spoken = 0

-- Speaks one line; nil, err, code where it cannot.
local function speak(line)
  local feed = tts:feed {voice = args.voice or tts:voices()[1], language = args.language,
    seed = args.seed and args.seed + spoken, max_frames = args.max_frames}
  local fine, err, code = feed:write(line)
  if fine then fine, err, code = feed:finish() end
  if not fine then return nil, err, code end
  for chunk in feed:chunks() do
    fine, err = out:write((assert(pcm.s16(chunk.samples:host()))))
    if fine then fine, err = out:flush() end -- heard now, not when a buffer is full
    if not fine then
      feed:close()
      return nil, ('%s: %s'):format(name, err), 'io'
    end
  end
  spoken = spoken + 1
  return true
end

for line in io.lines() do
  local ids, fault = tts.tokenizer:encode(line)
  if not ids then -- the next line may do
    io.stderr:write(('line skipped: %s\n'):format(fault))
  elseif line:find '%S' then
    local fine, err, code = speak(line)
    if not fine then return nil, err, code end
  end
end
if args.player then out:close() end
return 0
