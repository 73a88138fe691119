-- What the verbs that write texts share: the options of a language model, and how its text gets
-- out while it comes.

local common = require 'argent.cli.common'
local json = require 'argent.json'
local posix = require 'argent.posix'
local unicode = require 'argent.text.unicode'

local M = {}

local SAMPLING = {'seed', 'greedy', 'temperature', 'top_k', 'top_p', 'min_p', 'repetition_penalty',
  'max_tokens', 'stop'}

--- Adds them to a parser.
function M.options(p)
  common.text_model_option(p, 'Model directory, GGUF file')
  common.dtype_option(p)
  common.cache_option(p)
  common.integer_option(p, '--max-tokens', 1, 2 ^ 31 - 1, 'Stop after so many (default: 256).')
  p:option('--stop', 'Stop before this text; may be given more than once.'):argname '<text>'
    :count '*'
  common.integer_option(p, '--seed', 0, 2 ^ 53,
    'Seed of the draws, 0 to 2^53 (default: from the clock; --json says it).')
  p:flag('--greedy', 'Take the most likely token at every step.')
  common.number_option(p, '--temperature', 1e-3, 1e3,
    "Default of all sampling options: the model's.",
    '--greedy takes the most likely token at every step')
  common.integer_option(p, '--top-k', 0, 2 ^ 20, '0 = off.')
  common.number_option(p, '--top-p', 0, 1, '1 = off.')
  common.number_option(p, '--min-p', 0, 1, 'Leave out what is less likely than so much of the '
    .. 'likeliest; 0 = off.')
  common.number_option(p, '--repetition-penalty', 1e-3, 1e3, '1 = off.')
  common.device_options(p)
end

--- The options of lm:stream; prompt or messages are still missing.
---@param args table parsed options
---@return ag.Generate
function M.of(args)
  local opts = {}
  for _, name in ipairs(SAMPLING) do opts[name] = args[name] end
  -- A word about how to draw means that there is to be drawn, whatever the model's default.
  for _, name in ipairs {'temperature', 'top_k', 'top_p', 'min_p'} do
    if opts[name] and opts.greedy == nil then opts.greedy = false end
  end
  return opts
end

--- Writes a text to standard output while it comes, or an object about it when it is whole.
---@param lm ag.LM
---@param opts ag.Generate
---@param as_json boolean
---@return string? text
---@return string? err
---@return string? code
function M.write(lm, opts, as_json)
  local began = posix.now()
  local pieces, g, code = lm:stream(opts)
  if not pieces then return nil, g, code end
  for piece in pieces do
    if not as_json then
      -- At its end a text may be cut off within a character.
      local ok, err = io.stdout:write(unicode.repaired(piece))
      if ok then ok, err = io.stdout:flush() end
      if not ok then
        g:finish()
        return nil, 'standard output: ' .. tostring(err), 'io'
      end
    end
  end
  local line = as_json and json.encode {
    text = unicode.repaired(g:text()), ids = json.array(g.ids), ended = g.ended, seed = g.seed,
    prompt_tokens = #g.prompt_ids, seconds = posix.now() - began,
  } or ''
  local ok, why, kind = common.print(line)
  if not ok then return nil, why, kind end
  return unicode.repaired(g:text())
end

return M
