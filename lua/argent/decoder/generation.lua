-- One text while it is generated: the prompt goes in, ids come out until one that ends texts, a
-- stop text, or a limit. It rides on a row of a batch (argent.decoder.batch), by default alone.

local Batch = require 'argent.decoder.batch'
local check = require 'argent.check'
local draws = require 'argent.draws'
local hook = require 'argent.hook'
local status = require 'argent.status'
local stops = require 'argent.decoder.stops'
local templates = require 'argent.decoder.templates'

---Options of generate and stream. Those of sampling that are not given come from the model's
---generation_config.json.
---@class ag.Generate
---@field prompt string|integer[]|nil a text (special tokens in it are those tokens), or ids
---@field messages {role: string, content: string}[]? a chat instead, whose next answer is wanted
---@field prompts (string|integer[])[]? several texts, side by side; only of generate
---@field chats {role: string, content: string}[][]? several chats, the same
---@field rows integer? how many of them at once, default 8
---@field max_tokens integer? default 256
---@field stop string|string[]|nil texts that end it; what stands from there on is left out
---@field greedy boolean? argmax
---@field seed integer? 0 .. 2^53; default: from the clock
---@field stream integer? another stream of draws for the same seed
---@field temperature number?
---@field top_k integer? 0 = off
---@field top_p number? 1 = off
---@field min_p number? leaves out what is less likely than so much of the likeliest; 0 = off
---@field repetition_penalty number? 1 = off; it knows the prompt, too
---@field hooks ag.GenerationHooks?

---A hook may change the tensor that it sees in place, or return a tensor or a list of numbers of
---the same size; nil keeps what was there.
---@class ag.GenerationHooks
---@field hidden fun(g: ag.Generation, x: ag.Tensor): any? the hidden state [D] after the final norm
---@field logits fun(g: ag.Generation, x: ag.Tensor): any? raw logits [vocab]
---@field token fun(g: ag.Generation, id: integer): integer? the id that was drawn; a number that is
---returned replaces it

local SAMPLING = {'greedy', 'temperature', 'top_k', 'top_p', 'min_p', 'repetition_penalty'}
local OPTIONS = {'prompt', 'messages', 'max_tokens', 'stop', 'seed', 'stream', 'hooks',
  unpack(SAMPLING)}
local FORK = {'max_tokens', 'stop', 'seed', 'stream', 'hooks', unpack(SAMPLING)}
local MOST_TOKENS = 2 ^ 31 - 1

---@class ag.Generation
---@field lm ag.LM
---@field ids integer[] what was generated, without the id that ended it
---@field ended string? 'eos', 'stop', 'limit', 'stopped', 'failed'; nil while it goes on
---@field err string? why it failed
---@field code string?
---@field seed integer
local Generation = {}
Generation.__index = Generation

function Generation:__tostring()
  return ('generation: %d tokens, %s'):format(#self.ids, self.ended or 'going on')
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
    pick('top_p', 0, 1), pick('repetition_penalty', 1e-3, 1e3), pick('min_p', 0, 1)}
  local greedy = opts.greedy
  if greedy == nil then greedy = not d.do_sample end
  if greedy then params[1] = 0 end
  self.batch:of(self, 'params'):set(params)
  local stream = check.int(opts.stream or 0, 'stream', 0, 2 ^ 32 - 1, level)
  self.batch:of(self, 'key'):set(draws.key(self.seed, stream, #self.ids))
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
  local ids, err = lm:ids(text)
  return ids, err
end

-- Takes a row. A batch of its own may hold a text that was given up.
local function ride(self, batch)
  self.batch = batch
  if not batch then
    self.batch, self.lease = self.lm.batches:take()
    for _, g in ipairs {unpack(self.batch.members)} do self.batch:leave(g) end
  end
  self.batch:join(self)
end

--- Begins: reads the prompt.
---@param lm ag.LM
---@param opts ag.Generate
---@param what string how messages call it
---@param batch? ag.TextBatch with room; default: one of its own
---@param level? integer levels up from the caller's caller to the line to blame
---@return ag.Generation?
---@return string? err
---@return string? code
function Generation.start(lm, opts, what, batch, level)
  level = level or 0
  check.type(opts, what .. ': options', 'table', level + 1)
  check.options(opts, what, OPTIONS, level + 1)
  hook.check(opts.hooks, Batch.HOOKS, level + 1)
  local self = setmetatable({
    lm = lm, opts = opts, ids = {}, seed = draws.seed(opts, level + 2), hooks = opts.hooks or {},
    max_tokens = check.int(opts.max_tokens or 256, 'max_tokens', 1, MOST_TOKENS, level + 1),
    stops = stops.new(lm.tokenizer, opts.stop, level + 2),
  }, Generation)
  local ids, err = prompt_ids(lm, opts, what, level + 2)
  if not ids then return nil, err, 'value' end
  if #ids == 0 then return nil, 'the prompt is empty', 'value' end
  self.prompt_ids = ids
  ride(self, batch)
  set_sampling(self, level + 2)
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
  local ids = self.prompt_ids
  local before = {} -- by a loop: unpack is for some thousand values at most
  for i = 1, #ids - 1 do before[i] = ids[i] end
  if #before > 0 then
    local h, err, code = self.lm.backbone:forward(self.batch.session, self.lm:embed(before),
      {row = self.slot})
    if not h then return nil, err, code end
    h:release()
  end
  self.batch:of(self, 'token'):set {ids[#ids]}
  draws.mark(self.batch:of(self, 'seen'), ids)
  return true
end

-- ---- steps ----

--- Takes the id that was drawn.
---@param id integer
function Generation:take(id)
  if self.lm.cfg.ends[id] then
    self.ended = 'eos'
  else
    self.ids[#self.ids + 1] = id
    if self.stops:add(id) then self.ended = 'stop'
    elseif self.stopping then self.ended = 'stopped'
    elseif #self.ids >= self.max_tokens then self.ended = 'limit' end
  end
  if self.ended then self:finish() end
end

--- Ends it by a fault.
---@param err string
---@param code string
function Generation:failed(err, code)
  self.err, self.code = err, code
  self.ended = 'failed'
  self:finish()
end

--- Draws the next id of a text that has its batch for itself.
---@return integer? id nil when the text has ended, see `ended`
---@return string? err
---@return string? code
function Generation:next()
  if self.ended then return nil end
  local batch, n = self.batch, #self.ids
  if batch.making then error('next: a step is being made; the next one follows when the hook has '
    .. 'returned', 2) end
  batch:step()
  if self.raised then error(self.raised[1], 0) end
  if self.err then return nil, self.err, self.code end
  return #self.ids > n and self.ids[#self.ids] or nil
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
---@param changes table greedy, temperature, top_k, top_p, min_p, repetition_penalty
---@return ag.Generation self
function Generation:set(changes)
  check.options(check.type(changes, 'set', 'table'), 'set', SAMPLING)
  if not self.batch then error('set: the generation has ended', 2) end
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
  if not self.batch then error('fork: the generation has been finished', 2) end
  if self.batch.making then error('fork: not in a hook', 2) end
  hook.check(changes.hooks, Batch.HOOKS, 0)
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
  g.batch, g.lease, g.index = nil, nil, nil
  ride(g)
  local ok, err, code = g.batch.session:copy_row(g.slot, self.batch.session, self.slot)
  if not ok then
    g:finish()
    return nil, err, code
  end
  for _, name in ipairs {'token', 'seen'} do g.batch:of(g, name):copy(self.batch:of(self, name)) end
  set_sampling(g, 1)
  return g
end

--- Gives its row to the next one. Safe to call more than once.
function Generation:finish()
  if self.batch and self.batch.making then -- in a hook
    self.stopping = true
    return
  end
  if not self.ended then self.ended = 'stopped' end
  if self.batch and self.batch.members[self.index] == self then self.batch:leave(self) end
  if self.lease then self.lease() end
  self.lease, self.batch = nil, nil
end

check.methods(Generation, 'generation')

return Generation
