-- Several texts generated side by side, so that the weights are read once for all: what
-- `generate` does with a list. A text takes the row of one that has ended; what it becomes depends
-- on no other.

local Batch = require 'argent.decoder.batch'
local Generation = require 'argent.decoder.generation'
local check = require 'argent.check'
local draws = require 'argent.draws'

local M = {}

local ROWS = 8

-- The options of each text.
local function options_of(opts)
  local name = opts.prompts and 'prompts' or 'chats'
  local list = check.type(opts[name], 'generate: ' .. name, 'table', 2)
  if opts.prompts and opts.chats or opts.prompt or opts.messages then
    error('generate: needs one of prompt, messages, prompts and chats', 4)
  end
  local seed = draws.seed(opts, 3)
  local first = check.int(opts.stream or 0, 'stream', 0, 2 ^ 32 - 1 - #list, 2)
  local each = {}
  for i = 1, #list do
    local o = {}
    for k, v in pairs(opts) do o[k] = v end
    o.prompts, o.chats, o.rows, o.seed, o.stream = nil, nil, nil, seed, first + i - 1
    o[name == 'prompts' and 'prompt' or 'messages'] = list[i]
    each[i] = o
  end
  return each
end

-- Rows that stay for the next list.
local function batch_of(lm, rows)
  lm.wide = lm.wide and lm.wide.rows == rows and lm.wide or Batch.new(lm, rows)
  for _, g in ipairs {unpack(lm.wide.members)} do g:finish() end
  return lm.wide
end

--- Generates a list of texts.
---@param lm ag.LM
---@param opts ag.Generate with prompts or chats, and rows
---@return {ids: integer[], text: string, ended: string, seed: integer}[]?
---@return string? err of the first text that failed, with its number
---@return string? code
function M.generate(lm, opts)
  local each = options_of(opts)
  local rows = check.int(opts.rows or ROWS, 'generate: rows', 1, 256, 1)
  local batch = batch_of(lm, math.max(1, math.min(rows, #each)))
  local list, at = {}, 0
  local function fault(i, why, kind)
    for _, g in ipairs {unpack(batch.members)} do g:finish() end
    return nil, ('text %d: %s'):format(i, why), kind
  end
  repeat
    while at < #each and #batch.free > 0 do
      at = at + 1
      local g, err, code = Generation.start(lm, each[at], 'generate', batch, 1)
      if not g then return fault(at, err, code) end
      list[at] = g
    end
    local made = batch:step()
    for i, g in ipairs(list) do
      if g.raised then
        fault(i, '')
        error(g.raised[1], 0)
      end
      if g.err then return fault(i, g.err, g.code) end
    end
  until made == 0 and at == #each
  for i, g in ipairs(list) do
    list[i] = {ids = g.ids, text = g:text(), ended = g.ended, seed = g.seed}
  end
  return list
end

return M
