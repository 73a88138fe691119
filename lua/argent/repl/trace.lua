-- The frames that an error passed through, as a person at the prompt wants to see them: those of
-- the session and of scripts, without ours.

local M = {}

local OURS = debug.getinfo(1, 'S').source:match '^(@.*)repl/trace%.lua$'
local MOST = 8

local function is_ours(info)
  return info.source:sub(1, #OURS) == OURS or info.source:find '^=ops%.' ~= nil
    or info.source:find '^=method%.' ~= nil
end

local function text_of(info)
  local place = info.what == 'C' and '[C]' or ('%s:%d'):format(info.short_src, info.currentline)
  if info.what == 'main' then return place .. ': in main chunk' end
  if info.name then return ("%s: in function '%s'"):format(place, info.name) end
  return ('%s: in function <%s:%d>'):format(place, info.short_src, info.linedefined)
end

--- The frames from `level` on, down to the xpcall that runs the session's code. C functions count
--- to whoever called them.
---@param level integer as of debug.getinfo, counted from the caller
---@return string[] innermost first
function M.frames(level)
  local frames, called = {}, {}
  repeat
    level = level + 1
    local info = debug.getinfo(level, 'Slnf')
    if not info or info.func == xpcall or #frames >= MOST then break end
    if info.what == 'C' then
      called[#called + 1] = text_of(info)
    else
      if not is_ours(info) then
        for _, c in ipairs(called) do frames[#frames + 1] = c end
        frames[#frames + 1] = text_of(info)
      end
      called = {}
    end
  until false
  return frames
end

return M
