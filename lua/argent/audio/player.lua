-- What plays sound on this machine: the first program of a list that is there. It takes a file, or
-- raw samples through a pipe, so that speech is heard while it is made.

local check = require 'argent.check'
local pcm = require 'argent.audio.pcm'
local posix = require 'argent.posix'

local M = {}

-- How each plays a file, and how it plays s16le in one channel from standard input. Newer pw-play
-- wants to be told that the samples are raw, older ones do not know the option.
local PLAYERS = {
  {name = 'paplay', file = 'paplay',
    pipe = 'paplay --raw --format=s16le --rate=%d --channels=1'},
  {name = 'pw-play', file = 'pw-play',
    pipe = 'pw-play $(pw-play --help | grep -qe --raw && echo --raw) --format s16 --rate %d '
      .. '--channels 1 -'},
  {name = 'aplay', file = 'aplay -q', pipe = 'aplay -q -t raw -f S16_LE -r %d -c 1'},
  {name = 'ffplay', file = 'ffplay -v quiet -autoexit -nodisp',
    pipe = 'ffplay -v quiet -autoexit -nodisp -f s16le -sample_rate %d -i -'},
  {name = 'play', file = 'play -q', pipe = 'play -q -t raw -e signed -b 16 -r %d -c 1 -'},
  {name = 'afplay', file = 'afplay'},
}

--- The player that is there.
---@param streams? boolean one that takes samples through a pipe
---@return {name: string, file: string, pipe: string?}?
---@return string? err
---@return string? code 'io'
function M.find(streams)
  for _, p in ipairs(PLAYERS) do
    local there = os.execute(('command -v %s >/dev/null 2>&1'):format(p.name)) == 0
    if there and (p.pipe or not streams) then return p end
  end
  return nil, 'no player found (paplay, pw-play, aplay, ffplay, play): apt install alsa-utils', 'io'
end

---@class ag.PlayerPipe with the interface of audio.file
local Pipe = {}
Pipe.__index = Pipe

--- Starts a player for samples to come.
---@param rate integer
---@return ag.PlayerPipe?
---@return string? err
---@return string? code 'io'
function M.open(rate)
  check.int(rate, 'player.open: rate', 8000, 192000)
  local player, err, code = M.find(true)
  if not player then return nil, err, code end
  local f
  f, err = io.popen('exec ' .. player.pipe:format(rate), 'w')
  if not f then return nil, ('%s: %s'):format(player.name, err), 'io' end
  return setmetatable({name = player.name, file = f}, Pipe)
end

--- Plays n samples behind those before; waits while the player has enough.
---@param ptr ffi.cdata* float array or pointer, samples in [-1, 1]; what is beyond is clipped
---@param n integer samples
---@return boolean? ok
---@return string? err
---@return string? code 'io'; 'internal' when a sample is NaN
function Pipe:write(ptr, n)
  local bytes, err, code = pcm.s16(ptr, n)
  if not bytes then return nil, err, code end
  local ok, fault, errno = posix.write(posix.fileno(self.file), bytes, #bytes)
  if ok then return true end
  return nil, errno == posix.EPIPE and self.name .. ': ended before the sound did; can it play?'
    or ('%s: %s'):format(self.name, fault), 'io'
end

--- Waits until all is heard.
---@return boolean ok
function Pipe:finish()
  self:abort()
  return true
end

--- Ends the stream; what the player has, it still plays.
function Pipe:abort()
  if self.file then self.file:close() end
  self.file = nil
end

return M
