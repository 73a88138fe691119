-- The seed of draws, and the keys that the op `sample` draws by (REFERENCE.md, "Draws").

local check = require 'argent.check'
local ffi = require 'ffi'
local lib = require 'argent.ffi'
local posix = require 'argent.posix'
local status = require 'argent.status'

local M = {}

--- The seed of the draws: the caller's, else from the clock.
---@param opts {seed: integer?}
---@param level integer levels up from the caller to the line to blame
---@return integer
function M.seed(opts, level)
  if opts.seed ~= nil then
    local seed = check.int(opts.seed, 'seed', 0, 2 ^ 53, level)
    return seed
  end
  return math.floor(posix.now() * 1e6) % 2 ^ 32
end

--- Marks the ids that a repetition penalty knows, and no others.
---@param seen ag.Tensor i32 of as many elements as there are ids
---@param ids integer[]
function M.mark(seen, ids)
  local n = seen:count()
  local marks = ffi.new('int32_t[?]', n)
  for i = 1, #ids do marks[ids[i]] = 1 end
  status.raise(lib.ag_tensor_write(seen, marks, n * 4), 2)
end

-- A 32-bit number as i32 holds it.
local function signed(u) return u >= 2 ^ 31 and u - 2 ^ 32 or u end

--- The key of the next draw.
---@param seed number
---@param stream integer
---@param draws integer done already
---@return integer[] seed low, seed high, draw number, stream
function M.key(seed, stream, draws)
  local low = seed % 2 ^ 32
  local high = (seed - low) / 2 ^ 32 % 2 ^ 32
  return {signed(low), signed(high), draws, signed(stream % 2 ^ 32)}
end

return M
