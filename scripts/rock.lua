-- The command `argent` of a rock (argent-dev-1.rockspec): runs the executable, which a rock keeps
-- in a folder of its own, with the paths by which luarocks has this script find modules.

local place = require 'argent.place'

local function quote(s) return "'" .. s:gsub("'", "'\\''") .. "'" end

local words = {'exec', quote(place.command)}
for i = 1, #arg do words[#words + 1] = quote(arg[i]) end
local code = os.execute(('LUA_PATH=%s LUA_CPATH=%s; export LUA_PATH LUA_CPATH; %s'):format(
  quote(package.path), quote(package.cpath), table.concat(words, ' ')))
os.exit(code > 255 and math.floor(code / 256) or code)
