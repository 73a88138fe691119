-- Plans: ops recorded once and replayed without Lua. What changes between runs lies in tensors that
-- the ops read.

local ffi = require 'ffi'
local lib = require 'argent.ffi'
local backends = require 'argent.backend'
local check = require 'argent.check'
local status = require 'argent.status'
local tensor = require 'argent.tensor'

local M = {}

---@class ag.Plan
local Plan = {}
Plan.__index = Plan

--- Runs the recorded ops. Raises what an op would have raised; an interrupt raises 'interrupted'.
function Plan:run()
  if not self.raw then error('run: the plan has been released', 2) end
  local rc = lib.ag_plan_run(self.raw)
  if rc ~= 0 then status.raise(rc, 2) end
end

--- Runs the recorded ops; faults of the data are values.
---@return boolean? ok
---@return string? err
---@return string? code 'value', 'capacity', 'memory', 'interrupted'
function Plan:try()
  return status.check(lib.ag_plan_run(self.raw), true)
end

--- Runs the recorded ops and reads a tensor into host memory: on a device one wait for both.
---@param t ag.Tensor contiguous, of the plan's backend
---@param host ffi.cdata* at least `bytes` long
---@param bytes integer all of the tensor
---@return boolean? ok
---@return string? err
---@return string? code as of try
function Plan:read(t, host, bytes)
  if not tensor.is(t) then check.type(t, 'read: tensor', 'tensor') end
  check.type(host, 'read: host', 'cdata')
  check.int(bytes, 'read: bytes', 0, 2 ^ 53)
  local ok, err, code = status.check(lib.ag_plan_read(self.raw, t, host, bytes), true)
  return ok, err, code
end

--- Gives the recorded ops and their hold on tensors' memory back now, not when the collector comes
--- by. The plan cannot run again.
function Plan:release()
  local raw = self.raw
  self.raw = nil
  if raw then lib.ag_plan_free(ffi.gc(raw, nil)) end
end

--- Runs fn once with its ops recorded instead of executed, and returns the plan. An error in fn is
--- passed on; nothing stays recorded.
---@param backend ag.Backend
---@param fn function
---@return ag.Plan plan with fields ops and barriers (counts)
function M.capture(backend, fn)
  backends.check(backend, 'capture: backend')
  check.type(fn, 'capture: fn', 'function')
  status.raise(lib.ag_capture_begin(backend), 2)
  local ok, err = pcall(fn)
  if not ok then
    lib.ag_capture_abort(backend)
    error(err, 0)
  end
  local out = ffi.new('ag_plan *[1]')
  status.raise(lib.ag_capture_end(out, backend), 2)
  local raw = ffi.gc(out[0], lib.ag_plan_free)
  local plan = {raw = raw, ops = lib.ag_plan_size(raw), barriers = lib.ag_plan_barriers(raw)}
  return setmetatable(plan, Plan)
end

--- Runs the ops of fn together, as a plan that is not kept: dispatched and waited for once, where
--- eager ops are one by one. While a plan is being captured they become part of it.
---@param backend ag.Backend
---@param fn function
---@return boolean? ok
---@return string? err a fault of the data
---@return string? code
function M.once(backend, fn)
  backends.check(backend, 'once: backend')
  check.type(fn, 'once: fn', 'function')
  if lib.ag_capturing(backend) ~= 0 then
    fn()
    return true
  end
  local plan = M.capture(backend, fn)
  local ok, err, code = plan:try()
  plan:release()
  return ok, err, code
end

---@class ag.Program plans with Lua calls between them
local Program = {}
Program.__index = Program

--- Runs the plans and the calls in order, then reads a tensor, where one is given. Faults of the
--- data are values; what a call raises is passed on, and the rest is not run.
---@param t? ag.Tensor see Plan.read
---@param host? ffi.cdata*
---@param bytes? integer
---@return boolean? ok
---@return string? err
---@return string? code
function Program:try(t, host, bytes)
  for i = 1, #self do
    local step = self[i]
    if type(step) == 'function' then
      step()
    elseif t and i == #self then
      return step:read(t, host, bytes)
    else
      local ok, err, code = step:try()
      if not ok then return nil, err, code end
    end
  end
  if t then return status.check(lib.ag_tensor_read(t, host, bytes), true) end
  return true
end

--- Gives back what its plans hold, as plan:release does.
function Program:release()
  for _, step in ipairs(self) do
    if type(step) ~= 'function' then step:release() end
  end
end

--- Like capture, but the body may cut the recording: `call(f)` there makes f run at that place
--- every time, between the ops recorded before it and those after. Without a call it is one plan.
---@param backend ag.Backend
---@param body fun(call: fun(f: fun()))
---@return ag.Program
function M.program(backend, body)
  backends.check(backend, 'program: backend')
  check.type(body, 'program: body', 'function')
  local program = setmetatable({}, Program)
  local function keep(plan)
    if plan.ops > 0 then program[#program + 1] = plan end
  end
  -- capture wants a function that records one plan; the body records several. So it runs as a
  -- coroutine that gives way at each call.
  local run = coroutine.wrap(function()
    body(function(f)
      coroutine.yield(check.type(f, 'program: call', 'function'))
    end)
  end)
  repeat
    local f
    keep(M.capture(backend, function() f = run() end))
    program[#program + 1] = f
  until not f
  return program
end

check.methods(Plan, 'plan')
check.methods(Program, 'program')

return M
