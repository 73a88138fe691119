-- Philox 4x32-10 in Lua, written from the paper (Salmon et al., SC'11) and independent of
-- kernels/philox.h, which specs compare with it. Its own check is the published test vectors,
-- in sample_spec.lua.

local bit = require 'bit'

local M = {}

-- The high and low words of a 32 x 32 bit product, by halves, as doubles hold 53 bits.
local function multiply(a, b)
  local a1, a0 = math.floor(a / 65536), a % 65536
  local b1, b0 = math.floor(b / 65536), b % 65536
  local middle = a1 * b0 + a0 * b1 + math.floor(a0 * b0 / 65536)
  return a1 * b1 + math.floor(middle / 65536), middle % 65536 * 65536 + a0 * b0 % 65536
end

local function xor(a, b, c)
  return bit.bxor(bit.tobit(a), bit.tobit(b), bit.tobit(c)) % 2 ^ 32
end

--- Four words from a counter of four and a key of two.
---@param counter integer[]
---@param key integer[]
---@return integer[]
function M.words(counter, key)
  local c0, c1, c2, c3 = unpack(counter)
  local k0, k1 = unpack(key)
  for _ = 1, 10 do
    local high0, low0 = multiply(0xD2511F53, c0)
    local high1, low1 = multiply(0xCD9E8D57, c2)
    c0, c1, c2, c3 = xor(high1, c1, k0), low1, xor(high0, c3, k1), low0
    k0, k1 = (k0 + 0x9E3779B9) % 2 ^ 32, (k1 + 0xBB67AE85) % 2 ^ 32
  end
  return {c0, c1, c2, c3}
end

--- What a draw of Argent starts from (REFERENCE.md, "Draws"): the first word for a seed, a
--- frame, a group and a row.
---@return integer
function M.draw(seed, frame, group, row)
  return M.words({frame, group, row, 0}, {seed % 2 ^ 32, math.floor(seed / 2 ^ 32) % 2 ^ 32})[1]
end

--- A word as a number in [0, 1).
function M.uniform(word)
  return math.floor(word / 256) / 2 ^ 24
end

return M
