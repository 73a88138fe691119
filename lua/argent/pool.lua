-- Things that cost much to make and can be used again. They are taken and given back; the collector
-- gives back those that their user forgot.

local check = require 'argent.check'

local Pool = {}
Pool.__index = Pool

---@param make fun(): any
function Pool.new(make)
  return setmetatable({make = make, free = {}, made = 0}, Pool)
end

--- A thing and a function that gives it back (calling it twice is harmless). Keep the function as
--- long as the thing.
---@return any thing
---@return userdata lease call lease() to give the thing back
function Pool:take()
  -- A loop that was left early has not given its thing back; the collector finds it.
  if #self.free == 0 and self.made > 0 then
    collectgarbage()
    collectgarbage()
  end
  local thing = table.remove(self.free)
  if not thing then
    thing = self.make()
    self.made = self.made + 1
  end
  local lease, free, back = newproxy(true), self.free, false
  local function give()
    if not back then free[#free + 1] = thing end
    back = true
  end
  local meta = getmetatable(lease)
  meta.__gc, meta.__call = give, give
  return thing, lease
end

check.methods(Pool, 'pool')

return Pool
