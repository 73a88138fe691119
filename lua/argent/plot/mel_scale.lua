-- The frequency axis of a mel spectrogram (reference, 9.3): bands equally spaced on the Slaney mel
-- scale, which is linear below 1 kHz and logarithmic above.

local M = {}

M.RATE, M.HOP = 24000, 256
local TOP = 12000
local LABELS = {100, 250, 500, 1000, 1500, 2000, 3000, 4000, 6000, 8000, 12000}

local function mel_of(hz)
  if hz < 1000 then return 3 * hz / 200 end
  return 15 + 27 * math.log(hz / 1000) / math.log(6.4)
end

--- Where a frequency lies among `bands` rows of equal height: band b (from 0) peaks at (b + 1) of
--- the bands + 1 equal steps up to 12 kHz, and that is the middle of its row.
---@param hz number
---@param bands integer
---@return number at 0 to 1, beyond for frequencies outside of all rows
function M.at(hz, bands)
  return (mel_of(hz) / mel_of(TOP) * (bands + 1) - 0.5) / bands
end

--- Labels for the axis.
---@return ag.Tick[]
function M.ticks(bands)
  local ticks = {}
  for _, hz in ipairs(LABELS) do
    ticks[#ticks + 1] = {at = math.min(1, M.at(hz, bands)), text = ('%d'):format(hz)}
  end
  return ticks
end

return M
