-- Numbers to colours. The map is viridis: equal steps of the number look like equal steps of
-- lightness, also in grey and to the colour-blind. It was made by Stefan van der Walt and Nathaniel
-- Smith for Matplotlib (public domain, CC0). These are sixteen of its 256 colours, equally spaced;
-- mixing in a straight line between two of them is never off by more than 7 of 255.

local M = {}

local POINTS = {}
for hex in ([[
  440154 481a6c 472f7d 414487 39568c 31688e 2a788e 23888e
  1f988b 22a884 35b779 54c568 7ad151 a5db36 d2e21b fde725
]]):gmatch '%x+' do
  local c = {}
  for i = 1, 5, 2 do c[#c + 1] = tonumber(hex:sub(i, i + 1), 16) end
  POINTS[#POINTS + 1] = c
end

M.white, M.ink, M.faint = {255, 255, 255}, {38, 38, 38}, {228, 228, 228}
M.line, M.pale = {49, 76, 140}, {157, 176, 219}
M.mark = {214, 39, 40}

-- Lines that the colour-blind tell apart, too: after the first, Okabe and Ito's.
local CURVES = {
  M.line, {213, 94, 0}, {0, 158, 115}, {204, 121, 167}, {86, 180, 233}, {230, 159, 0},
}
local DASHES = {false, {8, 5}, {2, 5}, {10, 4, 2, 4}}

--- What the i-th curve of a picture looks like: after six colours the same ones dashed.
---@param i integer from 1
---@return ag.Colour
---@return number[]? dash
function M.curve(i)
  local round = math.floor((i - 1) / #CURVES) % #DASHES
  return CURVES[(i - 1) % #CURVES + 1], DASHES[round + 1] or nil
end

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
