-- Numbers to colours. The map is viridis: equal steps of the number look like equal steps of
-- lightness, also in grey and to the colour-blind. It was made by Stefan van der Walt and Nathaniel
-- Smith for Matplotlib (public domain, CC0); these are eleven of its colours, and between two of
-- them we mix in a straight line, never off by more than 4 of 255.

local M = {}

local POINTS = {
  {0x44, 0x01, 0x54}, {0x48, 0x25, 0x76}, {0x41, 0x44, 0x87}, {0x35, 0x60, 0x8d},
  {0x2a, 0x78, 0x8e}, {0x21, 0x91, 0x8c}, {0x22, 0xa8, 0x84}, {0x43, 0xbf, 0x71},
  {0x7a, 0xd1, 0x51}, {0xbb, 0xdf, 0x27}, {0xfd, 0xe7, 0x25},
}

M.white, M.ink, M.faint = {255, 255, 255}, {38, 38, 38}, {228, 228, 228}
M.line, M.pale = {49, 76, 140}, {157, 176, 219}
M.mark = {214, 39, 40}

--- The colour of a number.
---@param v number 0 to 1; what is beyond gets the end's colour
---@return ag.Colour
function M.map(v)
  local at = math.max(0, math.min(1, v)) * (#POINTS - 1)
  local i = math.min(math.floor(at), #POINTS - 2)
  local a, b, t = POINTS[i + 1], POINTS[i + 2], at - i
  local c = {}
  for k = 1, 3 do c[k] = math.floor(a[k] + (b[k] - a[k]) * t + 0.5) end
  return c
end

return M
