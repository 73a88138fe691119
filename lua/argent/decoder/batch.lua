-- Texts that are generated side by side: the weights are read once for all rows of a step. A text
-- joins with its prompt read and leaves between steps; what becomes of it depends on no other, and
-- its fault ends it alone. One text is a batch of one row.
--
-- A step embeds the id that each row drew last, runs the layers and draws the next; all that
-- changes lies in small tensors, so it is one plan for a number of rows, cut where a hook looks.

local check = require 'argent.check'
local ffi = require 'ffi'
local hook = require 'argent.hook'
local lib = require 'argent.ffi'
local ops = require 'argent.ops'
local plan = require 'argent.plan'
local tensor = require 'argent.tensor'

-- What the fault words of rows mean, by the library's names.
local FAULTS = {
  NAN = 'the logits hold NaN', INF = 'the logits hold +inf', NO_LOGIT = 'no finite logit is left',
  SETTING = 'a sampling setting is out of its range', ID = 'an id has no vector',
}

-- Positions of a prompt that go through the layers at once.
local CHUNK = 256

-- What moves with a row.
local STATE = {'token', 'faults', 'seen', 'key', 'params'}

---@class ag.TextBatch
---@field lm ag.LM
---@field rows integer the most texts at once
---@field session ag.Session
---@field members ag.Generation[] the texts, in the order of their rows
local Batch = {HOOKS = {'hidden', 'logits', 'token'}}
Batch.__index = Batch

--- A batch without texts.
---@param lm ag.LM
---@param rows integer
---@return ag.TextBatch
function Batch.new(lm, rows)
  local be, D, V = lm.backend, lm.cfg.hidden_size, lm.cfg.vocab_size
  local function f32(...) return tensor.zeros(be, {...}) end
  local function i32(...) return tensor.zeros(be, {...}, 'i32') end
  local read = i32(2 * rows) -- what comes back after a step: faults, then ids
  local self = setmetatable({
    lm = lm, rows = rows, session = lm.backbone:session {rows = rows, chunk = CHUNK},
    members = {}, free = {},
    x = f32(rows, 1, D), hidden = f32(rows, 1, D), logits = f32(rows, V), seen = i32(rows, V),
    key = i32(rows, 4), params = f32(rows, 5), slots = i32(rows), read = read,
    faults = read:narrow(1, 1, rows), token = read:narrow(1, rows + 1, rows),
    host = ffi.new('int32_t[?]', 2 * rows), programs = {},
  }, Batch)
  for slot = rows, 1, -1 do self.free[#self.free + 1] = slot end
  return self
end

--- A text's part of a tensor of the batch.
---@param g ag.Generation
---@param name string 'token', 'seen', 'key', 'params', 'logits'
---@return ag.Tensor
function Batch:of(g, name)
  return self[name]:narrow(1, g.index, 1)
end

--- Takes a text in. Its prompt is still to be read.
---@param g ag.Generation
function Batch:join(g)
  g.slot = assert(table.remove(self.free), 'the batch is full')
  self.members[#self.members + 1] = g
  g.index = #self.members
  self.session:reset(g.slot)
  self:of(g, 'faults'):fill(0)
  self.order = nil
end

--- Takes a text out; the last one gets its row.
---@param g ag.Generation
function Batch:leave(g)
  local last = table.remove(self.members)
  if last ~= g then
    for _, name in ipairs(STATE) do self:of(g, name):copy(self:of(last, name)) end
    self.members[g.index], last.index = last, g.index
  end
  self.free[#self.free + 1] = g.slot
  g.index, self.order = nil, nil
end

-- The id that a hook chose: written, and noted for the repetition penalty instead of the drawn one.
local function replace_token(self, g, chosen)
  local token, seen = self:of(g, 'token'), self:of(g, 'seen')
  local drawn = token:item()
  if chosen == nil or chosen == drawn then return end
  check.int(chosen, 'hooks.token: the id', 0, self.lm.cfg.vocab_size - 1)
  local before = false
  for _, list in ipairs {g.prompt_ids, g.ids} do
    for _, v in ipairs(list) do before = before or v == drawn end
  end
  if not before then seen:narrow(2, drawn + 1, 1):fill(0) end
  seen:narrow(2, chosen + 1, 1):fill(1)
  token:fill(chosen)
end

-- Where hooks look: a cut in the plan if one of the n texts has a hook of that name. What it raises
-- is its text's fault.
local function point(self, n, names, call, name, x)
  if not names[name] then return end
  local views = {}
  for i = 1, n do views[i] = x:select(1, i):view(-1) end
  call(function()
    for i = 1, n do
      local g = self.members[i]
      local fn = not g.raised and g.hooks[name]
      if fn then
        local ok, err = pcall(function()
          if name == 'token' then replace_token(self, g, fn(g, views[i]:item()))
          else hook.replace(name, views[i], fn(g, views[i])) end
        end)
        if not ok then g.raised = {err} end
      end
    end
  end)
end

local function step_ops(self, n, names, call)
  local lm = self.lm
  local function of(name) return self[name]:narrow(1, 1, n) end
  local tap = lm.watchers:tap(function()
    local positions = {}
    for i = 1, n do positions[i] = self.session.consumed[self.members[i].slot] end
    return positions[1], positions
  end, call)
  lm.embedding:forward(of 'x':view(n, -1), of 'token', of 'faults')
  lm.backbone:step(self.session, of 'hidden', of 'x', of 'slots', tap)
  point(self, n, names, call, 'hidden', of 'hidden')
  lm.head:forward(of 'logits', of 'hidden':view(n, -1))
  if tap then tap('logits', of 'logits') end
  point(self, n, names, call, 'logits', of 'logits')
  ops.sample(of 'token', of 'logits', of 'key', of 'params', of 'seen', 0, lm.cfg.vocab_size, -1,
    0, of 'faults')
  point(self, n, names, call, 'token', of 'token')
  ops.advance(of 'key':select(2, 3), 1)
end

local function program_of(self, n)
  local names, list = {}, {}
  for _, name in ipairs(Batch.HOOKS) do
    for i = 1, n do names[name] = names[name] or self.members[i].hooks[name] ~= nil end
    list[#list + 1] = names[name] and name or nil
  end
  local key = n .. ':' .. table.concat(list, ',')
  local p = self.programs[key]
  if not p or p.version ~= self.lm.watchers.version then
    p = plan.program(self.lm.backend, function(call) step_ops(self, n, names, call) end)
    p.version, p.bytes = self.lm.watchers.version, (self.rows + n) * 4
    p.drawn = self.read:narrow(1, 1, self.rows + n)
    self.programs[key] = p
  end
  return p
end

local function run(self, n)
  if not self.order then
    local slots = {}
    for i = 1, self.rows do slots[i] = i <= n and self.members[i].slot - 1 or 0 end
    self.slots:set(slots)
    self.order = true
  end
  local program = program_of(self, n)
  self.making = true
  local done, ok, err, code = pcall(program.try, program, program.drawn, self.host, program.bytes)
  self.making = false
  if not done then -- a watcher raised it, and watchers see all rows
    for _, g in ipairs(self.members) do g.raised = g.raised or {ok} end
    return true
  end
  return ok, err, code
end

--- Draws the next id of every text. Those that end leave.
---@return integer made how many texts there were
function Batch:step()
  local members = {unpack(self.members)}
  for _, g in ipairs(members) do
    local ok, err, code = self.session:ensure(1, g.slot)
    if not ok then g:failed(err, code) end
  end
  local n = #self.members
  if n == 0 then return 0 end
  members = {unpack(self.members)}
  local ok, err, code = run(self, n)
  for i, g in ipairs(members) do
    local fault = self.host[i - 1]
    if not ok then
      g:failed(err, code)
    elseif g.raised then
      g:failed(tostring(g.raised[1]), 'internal')
    elseif fault ~= 0 then
      local name = ffi.string(lib.ag_fault_name(fault))
      g:failed(self.lm.weights:damaged() or FAULTS[name] or name, 'value')
    else
      self.session:advanced(1, g.slot)
      g:take(self.host[self.rows + i - 1])
    end
  end
  return n
end

check.methods(Batch, 'batch')

return Batch
