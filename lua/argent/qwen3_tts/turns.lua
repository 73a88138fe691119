-- Whose frames go through the codec next. Speeches that are made together are heard together: the
-- codec serves first who runs dry first, a chunk at a time, so that nobody waits for the chunks of
-- all others.

local M = {}

-- Seconds of sound in a frame, and frames that the codec takes in one pass.
local FRAME, PASS = 0.08, 8

---@class argent.Turn
---@field pending integer frames that wait
---@field wanted integer frames that make a chunk
---@field ended boolean no more are to come
---@field dry number the time at which its listener has heard all; -math.huge: nothing was heard yet

--- The one that is served now: who has a chunk, or all that was left; and where frames are made
--- faster than they are heard, who would run dry before the chunk is full.
---@param list argent.Turn[]
---@param now number seconds
---@param pace number seconds that a frame of all takes
---@return argent.Turn? turn nil when nobody is
function M.choose(list, now, pace)
  local best
  for _, t in ipairs(list) do
    local due = t.pending >= t.wanted or t.pending > 0
      and (t.ended or pace < FRAME and t.dry <= now + 2 * pace)
    if due and (not best or t.dry < best.dry) then best = t end
  end
  return best
end

--- Serves until nobody is due, or until as many frames are through as `credit` says: the codec then
--- keeps up with the frames that are made, and its work is spread over their steps. Who was not
--- heard yet is served all the same.
---@param list argent.Turn[] a turn that was served has its pending, wanted and dry renewed
---@param credit number frames
---@param pace number
---@param clock fun(): number
---@param serve fun(turn: argent.Turn, most: integer): integer frames that went through, and renews
---@return number credit that is left; below 0 where a chunk was larger
function M.serve(list, credit, pace, clock, serve)
  while true do
    local turn = M.choose(list, clock(), pace)
    if not turn or credit <= 0 and turn.dry > -math.huge then return credit end
    credit = credit - serve(turn, PASS)
  end
end

return M
