-- One text while it is generated: the prompt goes in, ids come out until one that ends texts, a
-- stop text, or a limit. A step embeds the id that was drawn last, runs the layers and draws the
-- next; all that changes lies in small tensors, so it is one plan, cut where a hook looks.

local check = require 'argent.check'
local draws = require 'argent.draws'
local ffi = require 'ffi'
local hook = require 'argent.hook'
local ops = require 'argent.ops'
local plan = require 'argent.plan'
local status = require 'argent.status'
local stops = require 'argent.decoder.stops'
local templates = require 'argent.decoder.templates'
local tensor = require 'argent.tensor'

---Options of generate and stream. Those of sampling that are not given come from the model's
---generation_config.json.
---@class ag.Generate
---@field prompt string|integer[]|nil a text (special tokens in it are those tokens), or ids
---@field messages {role: string, content: string}[]? a chat instead, whose next answer is wanted
---@field max_tokens integer? default 256
---@field stop string|string[]|nil texts that end it; what stands from there on is left out
---@field greedy boolean? argmax
---@field seed integer? 0 .. 2^53; default: from the clock
---@field stream integer? another stream of draws for the same seed
---@field temperature number?
---@field top_k integer? 0 = off
---@field top_p number? 1 = off
---@field repetition_penalty number? 1 = off; it knows the prompt, too
---@field hooks ag.GenerationHooks?

---A hook may change the tensor that it sees in place, or return a tensor or a list of numbers of
---the same size; nil keeps what was there.
---@class ag.GenerationHooks
---@field hidden fun(g: ag.Generation, x: ag.Tensor): any? the hidden state [D] after the final norm
---@field logits fun(g: ag.Generation, x: ag.Tensor): any? raw logits [vocab]
---@field token fun(g: ag.Generation, id: integer): integer? the id that was drawn; a number that is
---returned replaces it

local SAMPLING = {'greedy', 'temperature', 'top_k', 'top_p', 'repetition_penalty'}
local OPTIONS = {'prompt', 'messages', 'max_tokens', 'stop', 'seed', 'stream', 'hooks',
  unpack(SAMPLING)}
local FORK = {'max_tokens', 'stop', 'seed', 'stream', 'hooks', unpack(SAMPLING)}
local HOOKS = {'hidden', 'logits', 'token'}
local MOST_TOKENS = 2 ^ 31 - 1

---@class ag.Generation
---@field lm ag.LM
---@field ids integer[] what was generated, without the id that ended it
---@field ended string? 'eos', 'stop', 'limit', 'stopped'; nil while it goes on
---@field seed integer
local Generation = {}
Generation.__index = Generation

function Generation:__tostring()
  return ('generation: %d tokens, %s'):format(#self.ids, self.ended or 'going on')
end

--- What a generation works in, which the next one can use again.
---@param lm ag.LM
function Generation.state(lm)
  local be, D, V = lm.backend, lm.cfg.hidden_size, lm.cfg.vocab_size
  return {
    session = lm.backbone:session(), token = tensor.zeros(be, {1}, 'i32'),
    x = tensor.zeros(be, {1, 1, D}), hidden = tensor.zeros(be, {1, 1, D}),
    logits = tensor.zeros(be, {1, V}), key = tensor.zeros(be, {1, 4}, 'i32'),
    params = tensor.zeros(be, {1, 4}), seen = tensor.zeros(be, {1, V}, 'i32'),
    programs = {}, host = ffi.new 'int32_t[1]',
  }
end

-- ---- options ----

-- `level`: levels up from the caller to the line to blame.
local function set_sampling(self, level)
  local opts, d = self.opts, self.lm.cfg.generation
  local function pick(name, lo, hi, int)
    local v = opts[name]
    if v == nil then return d[name] end
    v = (int and check.int or check.number)(v, name, lo, hi, level + 1)
    return v -- no tail call, which would take this function's level away
  end
  local params = {pick('temperature', 1e-3, 1e3), pick('top_k', 0, 2 ^ 20, true),
    pick('top_p', 0, 1), pick('repetition_penalty', 1e-3, 1e3)}
  local greedy = opts.greedy
  if greedy == nil then greedy = not d.do_sample end
  if greedy then params[1] = 0 end
  self.state.params:set(params)
  local stream = check.int(opts.stream or 0, 'stream', 0, 2 ^ 32 - 1, level)
  self.state.key:set(draws.key(self.seed, stream, #self.ids))
end

-- The ids of the prompt, which begin the context.
local function prompt_ids(lm, opts, what, level)
  if (opts.prompt == nil) == (opts.messages == nil) then
    error(what .. ': needs either prompt or messages', level + 2)
  end
  local text = opts.prompt
  if type(text) == 'table' then
    for i, id in ipairs(text) do
      check.int(id, ('prompt[%d]'):format(i), 0, lm.cfg.vocab_size - 1, level)
    end
    return text
  end
  if opts.messages then
    local err
    text, err = templates.render(lm.template, opts.messages, level + 1)
    if not text then return nil, err end
  end
  check.type(text, 'prompt', 'string', level)
  local ids, err = lm.tokenizer:encode(text, {special = true})
  return ids, err
end

--- Begins: reads the prompt.
---@param lm ag.LM
---@param opts ag.Generate
---@param what string how messages call it
---@return ag.Generation?
---@return string? err
---@return string? code
function Generation.start(lm, opts, what)
  check.type(opts, what .. ': options', 'table', 1)
  check.options(opts, what, OPTIONS, 1)
  hook.check(opts.hooks, HOOKS, 1)
  local self = setmetatable({
    lm = lm, opts = opts, ids = {}, seed = draws.seed(opts, 2), hooks = opts.hooks or {},
    max_tokens = check.int(opts.max_tokens or 256, 'max_tokens', 1, MOST_TOKENS, 1),
    stops = stops.new(lm.tokenizer, opts.stop, 2),
  }, Generation)
  local ids, err = prompt_ids(lm, opts, what, 2)
  if not ids then return nil, err, 'value' end
  if #ids == 0 then return nil, what .. ': the prompt is empty', 'value' end
  self.prompt_ids = ids
  self.state, self.lease = lm.states:take()
  set_sampling(self, 2)
  local ok, code
  ok, err, code = self:read_prompt()
  if not ok then
    self:finish()
    return nil, err, code
  end
  return self
end

-- The layers read all ids but the last, which is the input of the first step.
function Generation:read_prompt()
  local s, ids = self.state, self.prompt_ids
  s.session:reset()
  local before = {} -- by a loop: unpack is for some thousand values at most
  for i = 1, #ids - 1 do before[i] = ids[i] end
  if #before > 0 then
    local x = self.lm:embed(before)
    local h, err, code = self.lm.backbone:forward(s.session, x)
    if not h then return nil, err, code end
    h:release()
  end
  s.token:set {ids[#ids]}
  local seen = {}
  for v = 1, self.lm.cfg.vocab_size do seen[v] = 0 end
  for _, id in ipairs(ids) do seen[id + 1] = 1 end
  s.seen:set(seen)
  return true
end

-- ---- steps ----

-- The id that a hook chose: written, and noted for the repetition penalty instead of the drawn one.
local function replace_token(self, id)
  local s = self.state
  local drawn = s.token:item()
  if id == nil or id == drawn then return end
  check.int(id, 'hooks.token: the id', 0, self.lm.cfg.vocab_size - 1)
  local before = false
  for _, list in ipairs {self.prompt_ids, self.ids} do
    for _, v in ipairs(list) do before = before or v == drawn end
  end
  if not before then s.seen:select(1, 1):narrow(1, drawn + 1, 1):fill(0) end
  s.seen:select(1, 1):narrow(1, id + 1, 1):fill(1)
  s.token:fill(id)
end

-- The step as a program; `names` are the hooks that cut it.
local function program_of(self)
  local s, lm = self.state, self.lm
  local names = {}
  for _, name in ipairs(HOOKS) do names[#names + 1] = self.hooks[name] and name or nil end
  local key = table.concat(names, ',')
  local p = s.programs[key]
  if p and p.version == lm.watchers.version then return p end
  p = plan.program(lm.backend, function(call)
    -- The state outlives this generation: who steps it is asked when the hook is called.
    local function point(name, x)
      if not self.hooks[name] then return end
      call(function()
        local now = s.user
        if name == 'token' then replace_token(now, now.hooks.token(now, s.token:item()))
        else hook.replace(name, x, now.hooks[name](now, x)) end
      end)
    end
    local tap = lm.watchers:tap(function() return s.session.consumed[1] end, call)
    lm.embedding:forward(s.x:view(1, -1), s.token)
    lm.backbone:step(s.session, s.hidden, s.x, nil, tap)
    point('hidden', s.hidden:view(-1))
    lm.head:forward(s.logits, s.hidden:view(1, -1))
    if tap then tap('logits', s.logits) end
    point('logits', s.logits:view(-1))
    ops.sample(s.token, s.logits, s.key, s.params, s.seen, 0, lm.cfg.vocab_size, -1, 0)
    point('token')
    ops.advance(s.key:select(2, 3), 1)
  end)
  p.version = lm.watchers.version
  s.programs[key] = p
  return p
end

--- Draws the next id.
---@return integer? id nil when the text has ended, see `ended`
---@return string? err
---@return string? code
function Generation:next()
  if self.ended then return nil end
  local s = self.state
  if s.making then error('next: a step is being made; the next one follows when the hook has '
    .. 'returned', 2) end
  local ok, err, code = s.session:ensure(1)
  if not ok then return nil, err, code end
  local program = program_of(self)
  s.user, s.making = self, true
  local done
  done, ok, err, code = pcall(program.try, program, s.token, s.host, 4)
  s.user, s.making = nil, nil
  if not done then error(ok, 0) end
  if not ok then return nil, err, code end
  s.session:advanced(1)
  local id = s.host[0]
  if self.lm.cfg.ends[id] then
    self.ended = 'eos'
    return nil
  end
  self.ids[#self.ids + 1] = id
  if self.stops:add(id) then self.ended = 'stop'
  elseif self.stopping then self.ended = 'stopped'
  elseif #self.ids >= self.max_tokens then self.ended = 'limit' end
  return id
end

--- Ends it after the id that is being drawn (in a hook) or was drawn last.
function Generation:stop()
  self.stopping = true
end

--- The text so far: without special tokens, and without what a stop text has cut off.
---@return string
function Generation:text()
  return self.stops:text()
end

--- The text to come, piece by piece; see LM.stream.
---@return fun(): string?
function Generation:pieces()
  return function()
    while not self.ended do
      local _, err, code = self:next()
      if err then
        self:finish()
        status.throw(err, code)
      end
      local piece = self.stops:take(self.ended ~= nil)
      if piece ~= '' then
        if self.ended then self:finish() end
        return piece
      end
    end
    self:finish()
  end
end

--- Changes sampling options from now on.
---@param changes table greedy, temperature, top_k, top_p, repetition_penalty
---@return ag.Generation self
function Generation:set(changes)
  check.options(check.type(changes, 'set', 'table'), 'set', SAMPLING)
  local opts = {}
  for _, from in ipairs {self.opts, changes} do
    for k, v in pairs(from) do opts[k] = v end
  end
  self.opts = opts
  set_sampling(self, 1)
  return self
end

--- A second generation that stands where this one stands, between steps: both go on alone.
---@param changes? table sampling options, seed, stream, max_tokens, stop, hooks (default: the same)
---@return ag.Generation?
---@return string? err
---@return string? code 'memory'
function Generation:fork(changes)
  changes = check.options(changes, 'fork', FORK)
  if not self.state then error('fork: the generation has been finished', 2) end
  if self.state.making then error('fork: not in a hook', 2) end
  hook.check(changes.hooks, HOOKS, 0)
  local g = setmetatable({}, Generation)
  for k, v in pairs(self) do g[k] = v end
  g.opts, g.ids, g.ended, g.stopping = {}, {}, nil, nil
  for i, id in ipairs(self.ids) do g.ids[i] = id end
  for _, from in ipairs {self.opts, changes} do
    for k, v in pairs(from) do g.opts[k] = v end
  end
  g.hooks, g.seed = g.opts.hooks or {}, changes.seed and draws.seed(changes, 1) or self.seed
  g.max_tokens = check.int(g.opts.max_tokens or 256, 'max_tokens', 1, MOST_TOKENS)
  g.stops = stops.new(self.lm.tokenizer, g.opts.stop, 1)
  for _, id in ipairs(g.ids) do g.stops:add(id) end
  g.stops:take()
  g.state, g.lease = self.lm.states:take()
  local ok, err, code = g.state.session:copy(self.state.session)
  if not ok then
    g:finish()
    return nil, err, code
  end
  for _, name in ipairs {'token', 'seen'} do g.state[name]:copy(self.state[name]) end
  set_sampling(g, 1)
  return g
end

--- Gives its memory to the next one. Safe to call more than once.
function Generation:finish()
  if not self.ended then self.ended = 'stopped' end
  if self.lease then self.lease() end
  self.lease, self.state = nil, nil
end

check.methods(Generation, 'generation')

return Generation
