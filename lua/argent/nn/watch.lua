-- Watching: functions that see a network's tensors by name while it runs. A network's forward pass
-- calls `tap(name, x)` wherever a tensor is complete; nobody watching, tap is nil and costs
-- nothing.

local check = require 'argent.check'
local suggest = require 'argent.text.suggest'

---@class ag.Watch
---@field version integer changes whenever somebody begins or stops to watch; plans made for another
---version do not fit
local Watch = {}
Watch.__index = Watch

--- The watchers of one network.
---@param what string how messages call it: 'talker'
---@param names fun(): string[] everything that can be watched
---@return ag.Watch
function Watch.new(what, names)
  return setmetatable({what = what, names = names, version = 0, count = 0, by_name = {}}, Watch)
end

---@class ag.WatchHandle
local Handle = {}
Handle.__index = Handle

--- Ends the watching. Calling it twice is harmless.
function Handle:stop()
  local list = self.watch.by_name[self.name] or {}
  for i, h in ipairs(list) do
    if h == self then
      table.remove(list, i)
      if #list == 0 then self.watch.by_name[self.name] = nil end
      self.watch.count = self.watch.count - 1
      self.watch.version = self.watch.version + 1
      return
    end
  end
end

--- Calls fn(x, info) whenever the tensor of that name has been computed: info.name, and info.pos,
--- the position of its first element in time, counted from 0; of several rows side by side that of
--- the first row, and of all in the list info.positions. x is the network's own memory, valid
--- during the call: clone what is to be kept; a change in it goes on into the network.
---@param name string
---@param fn fun(x: ag.Tensor, info: {name: string, pos: integer, positions: integer[]?})
---@return ag.WatchHandle handle with :stop()
function Watch:add(name, fn)
  check.type(name, 'watch: name', 'string', 1)
  check.type(fn, 'watch: function', 'function', 1)
  local known = self.names()
  local found = false
  for _, n in ipairs(known) do found = found or n == name end
  if not found then
    local guess = suggest.closest(name, known)
    error(("watch: the %s has no '%s'%s (watch_names() lists them)"):format(self.what, name,
      guess and (", did you mean '%s'?"):format(guess) or ''), 3)
  end
  local handle = setmetatable({watch = self, name = name, fn = fn}, Handle)
  self.by_name[name] = self.by_name[name] or {}
  table.insert(self.by_name[name], handle)
  self.count = self.count + 1
  self.version = self.version + 1
  return handle
end

local function show(self, name, x, pos)
  if type(x) == 'function' then x = x() end
  local first, all = pos()
  for _, h in ipairs {unpack(self.by_name[name] or {})} do
    h.fn(x, {name = name, pos = first, positions = all})
  end
end

--- What a forward pass gets as its tap; nil while nobody watches.
---@param pos fun(): integer, integer[]? the position of the first row, and of all rows, asked when
---a tensor is there
---@param call? fun(f: fun()) of plan.program: then the pass is being recorded
---@return fun(name: string, x: ag.Tensor|fun(): ag.Tensor)?
function Watch:tap(pos, call)
  if self.count == 0 then return nil end
  return function(name, x)
    if not self.by_name[name] then return end
    if call then call(function() show(self, name, x, pos) end) else show(self, name, x, pos) end
  end
end

check.methods(Watch, 'watch')
check.methods(Handle, 'watch handle')

return Watch
