-- How much memory speech may take: how many rows there can be, and how many blocks of positions
-- they share, decided before work begins. A row costs the state of a codec stream, and a block for
-- each 256 positions; weights, and what is allocated already, come first.

local posix = require 'argent.posix'

local M = {}

local UNITS = {[''] = 1, K = 2 ^ 10, M = 2 ^ 20, G = 2 ^ 30, T = 2 ^ 40}
-- Of the memory that is free here, by default.
local SHARE = 0.5
-- Rows by default: for each core so many, within bounds. More rows read the weights no more often,
-- but cores have more to compute.
local ROWS_PER_CORE, FEWEST, MOST = 4, 4, 32
-- A default row has room for half a minute of speech or so.
local USUAL_BLOCKS = 3

--- Bytes from a text such as 4G, 512M, 1.5G or a number of bytes.
---@param text string|number
---@return number? bytes
function M.parse(text)
  local n, unit = tostring(text):upper():match '^(%d+%.?%d*)%s*([KMGT]?)I?B?$'
  return n and tonumber(n) * UNITS[unit]
end

--- As people write it.
---@param bytes number
---@return string
function M.shown(bytes)
  if bytes >= 2 ^ 30 then return ('%.1f GB'):format(bytes / 2 ^ 30) end
  return ('%.0f MB'):format(bytes / 2 ^ 20)
end

local function first_line(path)
  local f = io.open(path)
  local line = f and f:read '*l'
  if f then f:close() end
  return line
end

--- The memory that this process could still have: what is available here, and within the limit of
--- its control group.
---@return number bytes
function M.available()
  local available = math.huge
  for line in io.lines '/proc/meminfo' do
    local kb = line:match '^MemAvailable:%s+(%d+)'
    if kb then available = tonumber(kb) * 1024 end
  end
  local limit = tonumber(first_line '/sys/fs/cgroup/memory.max')
  local used = tonumber(first_line '/sys/fs/cgroup/memory.current') or 0
  return math.min(available, limit and limit - used or math.huge)
end

-- The bytes of a model's weights that are used where they lie in the files, whether or not they are
-- in memory yet. Those that are used as copies count where these are.
local function weights_of(tts)
  local bytes = 0
  for _, w in ipairs {tts.weights, tts.codec_weights} do
    for name in pairs(w.used) do bytes = bytes + w:info(name).bytes end
    bytes = bytes - w.copied
  end
  return bytes
end

-- What a row costs, measured on one: the bytes of a block of positions, how many positions that is,
-- and the bytes of a codec stream.
local function costs(tts)
  local be = tts.backend
  local function live()
    collectgarbage()
    collectgarbage()
    return be.live_bytes
  end
  local session = tts.talker.backbone:session {}
  local before = live()
  assert(session:ensure(1))
  local cost = {block = live() - before, positions = session.committed[1]}
  session:release()
  before = live()
  local stream = tts.codec:stream()
  assert(stream.session:ensure(1))
  cost.stream = live() - before
  return cost
end

---@class argent.Budget
---@field memory number bytes in all
---@field rows integer
---@field blocks integer of positions, for all rows together
---@field block integer positions of one

--- Divides memory.
---@param tts ag.Synthesizer
---@param memory? number bytes in all, weights included; default: half of what is available, beside
---what is allocated already
---@param rows? integer default: by cores and memory
---@return argent.Budget? budget
---@return string? err
---@return string? code 'memory' when not even one row fits
function M.plan(tts, memory, rows)
  memory = memory or tts.backend.live_bytes + SHARE * M.available()
  tts.costs = tts.costs or costs(tts)
  local block, stream = tts.costs.block, tts.costs.stream
  local fixed = weights_of(tts) + tts.backend.live_bytes
  local left = memory - fixed
  if not rows then
    rows = math.max(FEWEST, math.min(MOST, ROWS_PER_CORE * posix.processors()))
    rows = math.max(1, math.min(rows, math.floor(left / (stream + USUAL_BLOCKS * block))))
  end
  local blocks = math.floor((left - rows * stream) / block)
  if blocks < 1 then
    return nil, ('%d row%s need%s more memory than %s: %s for the model, %s for each row, and '
      .. '%s for each block of positions'):format(rows, rows == 1 and '' or 's',
      rows == 1 and 's' or '', M.shown(memory), M.shown(fixed), M.shown(stream), M.shown(block)),
      'memory'
  end
  return {memory = memory, rows = rows, blocks = blocks, block = tts.costs.positions}
end

return M
