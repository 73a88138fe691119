-- The text of ids as they come: whole characters, without special tokens, and cut before the first
-- stop text. What may still become a character or a stop text is held back.

local check = require 'argent.check'
local unicode = require 'argent.text.unicode'

---@class ag.Stops
local Stops = {}
Stops.__index = Stops

--- A text without ids.
---@param tokenizer ag.Tokenizer
---@param stop string|string[]|nil
---@param level integer levels up to the line to blame
---@return ag.Stops
function Stops.new(tokenizer, stop, level)
  local list = type(stop) == 'string' and {stop} or stop or {}
  check.type(list, 'stop', 'table', level)
  for i, s in ipairs(list) do
    check.type(s, ('stop[%d]'):format(i), 'string', level)
    if s == '' then error(('stop[%d]: expected a text that is not empty'):format(i), level + 2) end
  end
  return setmetatable({tokenizer = tokenizer, list = list, whole = '', given = 0}, Stops)
end

--- Adds an id.
---@param id integer
---@return boolean ended a stop text is there; the text ends before it
function Stops:add(id)
  if self.cut or self.tokenizer.contents[id] then return self.cut ~= nil end
  local from = #self.whole
  self.whole = self.whole .. self.tokenizer:decode {id}
  for _, s in ipairs(self.list) do
    local first = self.whole:find(s, math.max(1, from - #s + 2), true)
    if first and first <= (self.cut or math.huge) then self.cut = first end
  end
  if self.cut then self.whole = self.whole:sub(1, self.cut - 1) end
  return self.cut ~= nil
end

--- The text so far.
---@return string
function Stops:text()
  return self.whole
end

-- How many bytes at the end may be the beginning of a stop text.
local function held(self)
  local most = 0
  for _, s in ipairs(self.list) do
    for n = math.min(#s - 1, #self.whole), most + 1, -1 do
      if self.whole:sub(-n) == s:sub(1, n) then
        most = n
        break
      end
    end
  end
  return most
end

--- What has come since the last call and is sure to stay.
---@param last? boolean nothing follows: all of it
---@return string
function Stops:take(last)
  local sure = #self.whole
  if not (last or self.cut) then
    sure = sure - held(self)
    -- A character that is cut off at the end.
    local fault = unicode.fault(self.whole:sub(1, sure), self.given + 1)
    if fault and fault > sure - 4 then sure = fault - 1 end
  end
  local piece = self.whole:sub(self.given + 1, sure)
  self.given = math.max(self.given, sure)
  return piece
end

check.methods(Stops, 'stops')

return Stops
