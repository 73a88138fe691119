-- The hooks of an utterance: functions of a script that see, and may replace, what a frame is made
-- of. They are called between the ops that make it, so a frame with hooks is several plans.

local check = require 'argent.check'
local ffi = require 'ffi'
local hook = require 'argent.hook'

local M = {}

---A hook may change the tensor that it sees in place, or return a tensor or a list of numbers of
---the same size; nil keeps what was there. The tensor is the network's own memory, valid during the
---call.
---@class ag.Hooks
---@field hidden fun(u: ag.Utterance, x: ag.Tensor): any? the talker's hidden state [D], from which
---the logits are made
---@field logits fun(u: ag.Utterance, x: ag.Tensor): any? raw logits [vocab] of group 0, before the
---repetition penalty and all else that sampling does
---@field code fun(u: ag.Utterance, id: integer, group: integer): integer? an id that was drawn for
---a group, counted from 0; a number that is returned replaces it
---@field predictor_logits fun(u: ag.Utterance, x: ag.Tensor, group: integer): any? raw logits
---[book] of a group of the predictor, from 1
---@field input fun(u: ag.Utterance, x: ag.Tensor): any? the talker's next input row [D]: the sum of
---the frame's embeddings and of the next text vector

local NAMES = {'hidden', 'logits', 'code', 'predictor_logits', 'input'}

--- Refuses hooks of unknown names.
---@param hooks table?
---@param level integer extra levels up to the caller's line
function M.check(hooks, level)
  hook.check(hooks, NAMES, level + 1)
end

-- The id that a hook chose for a group: written, and where group 0 is concerned noted for the
-- repetition penalty instead of the one that was drawn.
local function replace_code(u, codes, group, drawn, id)
  local cfg = u.tts.cfg
  local size = group == 0 and cfg.talker.vocab_size or cfg.predictor.vocab_size
  check.int(id, 'hooks.code: the id', 0, size - 1)
  codes:narrow(1, group + 1, 1):fill(id)
  if group == 0 then
    local seen = u.row:state 'seen'
    if not u:has_drawn(drawn) then seen:narrow(1, drawn + 1, 1):fill(0) end
    seen:narrow(1, id + 1, 1):fill(1)
  end
end

-- The hooks of a frame that was begun in another utterance and has been seen there: they bring it
-- to where that one stood.
local function resumed(u, bound)
  for name, x in pairs(u.resume) do
    bound[name] = function(here) here:copy(x:view(-1)) end
  end
  return bound
end

-- Calls a hook of an utterance. While it runs, tts.in_hook says so to whatever it begins. It has a
-- coroutine of its own: when it gives way to other code, that code is in no hook.
local function call(u, name, fn, ...)
  local tts, co = u.tts, coroutine.create(fn)
  local function enter(...)
    local outer = tts.in_hook
    u.at, tts.in_hook = name, u
    return outer, coroutine.resume(co, ...)
  end
  local function leave(outer, ok, ...)
    u.at, tts.in_hook = nil, outer
    if not ok then error((...), 0) end
    if coroutine.status(co) == 'dead' then return (...) end
    return leave(enter(coroutine.yield(...)))
  end
  return leave(enter(u, ...))
end

--- An utterance's hooks as its row calls them, hook(x, group); nil when there are none.
---@param u ag.Utterance
---@param hooks ag.Hooks?
function M.bind(u, hooks)
  hooks = hooks or {}
  if not u.resume and not next(hooks) then return nil end
  local bound = {}
  for _, name in ipairs {'hidden', 'logits', 'predictor_logits', 'input'} do
    local fn = hooks[name]
    bound[name] = fn and function(x, group)
      hook.replace(name, x, call(u, name, fn, x, group))
    end
  end
  local input = bound.input
  bound.input = input and function(x)
    local before, n = x:host()
    input(x)
    local changed = ffi.string(before, 4 * n) ~= ffi.string(x:host(), 4 * n)
    u.replaced[u.index] = changed and x:clone() or nil
  end
  bound.code = hooks.code and function(codes, group)
    local drawn = codes:narrow(1, group + 1, 1):item()
    local id = call(u, 'code', hooks.code, drawn, group)
    if id ~= nil and id ~= drawn then replace_code(u, codes, group, drawn, id) end
  end
  return u.resume and resumed(u, bound) or bound
end

return M
