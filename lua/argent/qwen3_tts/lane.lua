-- A lane: everything that one utterance (or several, row by row) needs while its frames are made,
-- built once and used again for the next. A frame is one plan: talker step, draw of group 0, the
-- predictor's G - 1 steps with their draws, the sum of the embeddings. What changes from frame to
-- frame lies in small tensors, so the plan never does; only the codes are read back.

local ffi = require 'ffi'
local lib = require 'argent.ffi'
local ops = require 'argent.ops'
local plan = require 'argent.plan'
local status = require 'argent.status'
local tensor = require 'argent.tensor'

-- Text vectors that wait to be added, at first; more makes a new buffer and with it new plans.
local TRAILING = 256
-- Ids from here to the end of the vocabulary are control ids; of them only the end token may be
-- drawn (reference, 6.1).
local CONTROL_IDS = 1024
local MINIMUM_DRAWS = 2

---@class ag.Lane
---@field rows integer
---@field codes ag.Tensor i32 [rows, G] of the latest frame
---@field hidden ag.Tensor [rows, 1, D] the talker's, of the latest position
---@field logits ag.Tensor [rows, vocab] raw, for the next draw of group 0
---@field input ag.Tensor [rows, D] the talker's next input row
local Lane = {}
Lane.__index = Lane

--- A lane of `rows` utterances side by side.
---@param talker ag.Talker
---@param predictor ag.CodePredictor
---@param rows? integer default 1
function Lane.new(talker, predictor, rows)
  local be, cfg = talker.backend, talker.cfg
  rows = rows or 1
  local D, G = cfg.hidden_size, cfg.num_code_groups
  local function i32(...) return tensor.zeros(be, {...}, 'i32') end
  return setmetatable({
    talker = talker, predictor = predictor, backend = be, rows = rows, groups = G,
    session = talker.backbone:session {rows = rows},
    state = predictor:state(rows),
    hidden = tensor.zeros(be, {rows, 1, D}), logits = tensor.zeros(be, {rows, cfg.vocab_size}),
    input = tensor.zeros(be, {rows, D}), text = tensor.zeros(be, {rows, D}),
    codes = i32(rows, G), seen = i32(rows, cfg.vocab_size),
    key = i32(rows, 4),                               -- seed low, seed high, draw number, stream
    -- temperature, top-k, top-p, repetition penalty
    params = tensor.zeros(be, {rows, 4}),
    predictor_params = tensor.zeros(be, {rows, 4}),
    -- rows of `trailing`: the one to add now, and the pad that stays
    next_text = i32(rows), last_text = i32(rows),
    trailing = tensor.zeros(be, {TRAILING, D}),
    host = ffi.new('int32_t[?]', rows * G),
  }, Lane)
end

--- Starts utterances: forgets the last ones, prefills the prompts, loads the text still to come.
--- All lists have one entry per row.
---@param prompts ag.Tensor[] [rows of the prompt, D]
---@param trailing ag.Tensor[] [L, D] text vectors to add, one a frame
---@param pad ag.Tensor [D] what is added when they are used up
---@param sampling {seed: number, stream: integer, talker: number[], predictor: number[]}[] talker
---and predictor: temperature, top-k, top-p, repetition penalty
---@return boolean? ok
---@return string? err
---@return string? code
function Lane:start(prompts, trailing, pad, sampling)
  local rows, D = self.rows, self.talker.cfg.hidden_size
  local need = 0
  for _, t in ipairs(trailing) do need = need + #t + 1 end
  if need > #self.trailing then
    self.trailing = tensor.zeros(self.backend, {math.max(need, 2 * #self.trailing), D})
    self.first_plan, self.frame_plan = nil, nil
  end
  self.session:reset()
  self.seen:fill(0)
  local next_text, last_text, key, params, predictor_params, at = {}, {}, {}, {}, {}, 0
  for r = 1, rows do
    local s, n = sampling[r], #trailing[r]
    if n > 0 then self.trailing:narrow(1, at + 1, n):copy(trailing[r]) end
    self.trailing:select(1, at + n + 1):copy(pad)
    next_text[r], last_text[r] = at, at + n
    at = at + n + 1
    local low = s.seed % 2 ^ 32
    local function signed(u) return u >= 2 ^ 31 and u - 2 ^ 32 or u end
    local high = (s.seed - low) / 2 ^ 32 % 2 ^ 32
    for _, v in ipairs {signed(low), signed(high), 0, s.stream} do key[#key + 1] = v end
    for i = 1, 4 do
      params[#params + 1] = s.talker[i]
      predictor_params[#predictor_params + 1] = s.predictor[i]
    end
  end
  self.next_text:set(next_text)
  self.last_text:set(last_text)
  self.key:set(key)
  self.params:set(params)
  self.predictor_params:set(predictor_params)
  local backbone = self.talker.backbone
  for r = 1, rows do
    local n = #prompts[r]
    local h, err, code = backbone:forward(self.session, prompts[r], {row = r})
    if not h then return nil, err, code end
    self.hidden:select(1, r):copy(h:narrow(1, n, 1))
  end
  self.talker.head:forward(self.logits, self.hidden:view(rows, D))
  self.stepped = true -- the logits for the next draw are there
  return true
end

--- The ops of one talker step: input -> hidden, logits.
function Lane:step_ops()
  local rows, D = self.rows, self.talker.cfg.hidden_size
  self.talker.backbone:step(self.session, self.hidden, self.input:view(rows, 1, D))
  self.talker.head:forward(self.logits, self.hidden:view(rows, D))
end

--- The ops that draw a frame from logits and hidden, and add up the talker's next input.
function Lane:draw_ops()
  local cfg, rows = self.talker.cfg, self.rows
  local book, hidden = self.predictor.cfg.vocab_size, self.hidden:view(rows, cfg.hidden_size)
  ops.sample(self.codes:select(2, 1), self.logits, self.key, self.params, self.seen, 0,
    cfg.vocab_size - CONTROL_IDS, cfg.codec.eos, MINIMUM_DRAWS)
  self.predictor:frame(self.state, self.input, hidden, self.talker.codec_embedding, self.codes,
    function(codes, logits, group)
      ops.sample(codes, logits, self.key, self.predictor_params, nil, group, book, -1, 0)
    end)
  ops.embedding(self.text, self.trailing, self.next_text, 0)
  ops.add(self.input, self.input, self.text, 1)
  ops.advance(self.next_text, 1, self.last_text)
  ops.advance(self.key:select(2, 3), 1, nil)
end

--- The talker step that follows a frame, for whoever wants hidden and logits before the next draw;
--- `next` does it otherwise.
---@return boolean? ok
---@return string? err
---@return string? code
function Lane:step()
  local ok, err, code = self.session:ensure(1)
  if not ok then return nil, err, code end
  self.step_plan = self.step_plan or plan.capture(self.backend, function() self:step_ops() end)
  ok, err, code = self.step_plan:try()
  if not ok then return nil, err, code end
  self.session:advanced(1)
  self.stepped = true
  return true
end

--- Makes the next frame. Its codes are in self.host, row by row, and in self.codes; a row whose
--- first code is the end token has ended, and what is drawn for it from then on is to be ignored.
---@return boolean? ok
---@return string? err
---@return string? code 'capacity' when the session is full, 'value' when logits are NaN,
---'interrupted'
function Lane:next()
  local ok, err, code = self.session:ensure(self.stepped and 0 or 1)
  if not ok then return nil, err, code end
  if self.stepped then
    self.first_plan = self.first_plan or plan.capture(self.backend, function() self:draw_ops() end)
    ok, err, code = self.first_plan:try()
  else
    self.frame_plan = self.frame_plan or plan.capture(self.backend, function()
      self:step_ops()
      self:draw_ops()
    end)
    ok, err, code = self.frame_plan:try()
    if ok then self.session:advanced(1) end
  end
  if not ok then return nil, err, code end
  self.stepped = false
  status.raise(lib.ag_tensor_read(self.codes, self.host, self.rows * self.groups * 4))
  return true
end

return Lane
