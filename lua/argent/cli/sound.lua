-- The sound that a verb makes: its options, what is refused before it is made, and where it goes:
-- into a file, to standard output, to a player.

local common = require 'argent.cli.common'
local file = require 'argent.audio.file'
local paths = require 'argent.cli.paths'
local pcm = require 'argent.audio.pcm'
local player = require 'argent.audio.player'
local posix = require 'argent.posix'
local speed = require 'argent.audio.speed'

local M = {}

local DEFAULT = 'speech.wav'

--- Adds the options of every verb that makes sound.
function M.options(p)
  p:option('-o --output', 'Sound file (wav, flac, ogg, opus, mp3 by extension), or - for raw '
    .. ('s16le on standard output; with --play none (default: %s).'):format(DEFAULT))
    :argname '<file>'
  p:option('--bits', 'Sample format of wav and flac: 16, 24 or float.', '16')
    :choices {'16', '24', 'float'}
  p:flag('--play', 'Let it be heard while it is made: by paplay, pw-play, aplay, ffplay or play.')
end

--- The option of verbs that speak: how fast.
function M.speed_option(p)
  common.number_option(p, '--speed', speed.SLOWEST, speed.FASTEST, ('%g to %g: slower or faster at '
    .. 'the same pitch (default: 1). It is a change to the sound that was made, by libsonic.')
    :format(speed.SLOWEST, speed.FASTEST))
end

--- Refuses an output that cannot be written, and fills in its default.
---@param args table parsed options
---@return boolean? ok
---@return string? err
---@return string? code
function M.check(args)
  if not args.output and not args.play then args.output = DEFAULT end
  if args.play then
    local ok, err, code = player.find(true)
    if not ok then return nil, '--play: ' .. err, code end
  end
  if not args.output then return true end
  if args.output ~= '-' then
    local format, err = file.format(args.output)
    if not format then return nil, err, 'usage' end
  elseif args.json then
    return nil, '--json and -o - both want standard output', 'usage'
  elseif posix.isatty(1) then
    return nil, '-o -: standard output is a terminal; pipe it into a player (| aplay -f S16_LE -r '
      .. '24000), use --play, or name a file', 'usage'
  end
  return paths.check_output(args.output, args.each)
end

--- How messages call an output.
---@param path string? nil when it is only played
---@return string
function M.name(path)
  return path and paths.output_name(path) or 'played'
end

-- A sound that is kept and heard. The player may fail; the sound that is kept does not depend on
-- it.
local Both = {}
Both.__index = Both

function Both:write(ptr, n)
  local ok, err, code = self.kept:write(ptr, n)
  if not ok or not self.heard then return ok, err, code end
  ok, err = self.heard:write(ptr, n)
  if not ok then
    common.note('going on without --play: ' .. err)
    self.heard:abort()
    self.heard = nil
  end
  return true
end

function Both:finish(opts)
  local ok, err, code = self.kept:finish(opts)
  if self.heard then self.heard:finish() end
  return ok, err, code
end

function Both:abort()
  self.kept:abort()
  if self.heard then self.heard:abort() end
end

-- A writer that gets its samples at another speed.
local Paced = {}
Paced.__index = Paced

function Paced:write(ptr, n)
  local out, count = self.speed:write(ptr, n)
  if count == 0 then return true end
  return self.writer:write(out, count)
end

function Paced:finish(opts)
  local ok, err, code = self.writer:write(self.speed:finish())
  if not ok then
    self.writer:abort()
    return nil, err, code
  end
  return self.writer:finish(opts)
end

function Paced:abort() self.writer:abort() end

-- A writer without regard to speed.
local function plain(args, rate)
  local writer, err, code
  if args.output then
    if args.output == '-' then writer = pcm.sink(1)
    else writer, err, code = file.create(args.output, {rate = rate, bits = args.bits}) end
    if not writer then return nil, err, code end
  end
  if not args.play then return writer end
  local heard
  heard, err, code = player.open(rate)
  if not heard then
    if writer then writer:abort() end
    return nil, err, code
  end
  return writer and setmetatable({kept = writer, heard = heard}, Both) or heard
end

--- A writer for the output options, with write, finish and abort as audio.file has them.
---@param args table output?, bits, play?, speed?
---@param rate integer
function M.create(args, rate)
  if not args.speed or args.speed == 1 then return plain(args, rate) end
  local pace, err, code = speed.new(rate, args.speed)
  if not pace then return nil, err, code end
  local writer
  writer, err, code = plain(args, rate)
  if not writer then return nil, err, code end
  return setmetatable({speed = pace, writer = writer}, Paced)
end

return M
