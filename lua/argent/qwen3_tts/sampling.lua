-- How ids are drawn: the options of both stages, checked, with the defaults of
-- generation_config.json.

local check = require 'argent.check'

local M = {}

--- What may change while an utterance is spoken.
M.IN_FLIGHT = {
  'greedy', 'talker_greedy', 'predictor_greedy',
  'temperature', 'top_k', 'top_p', 'repetition_penalty',
  'predictor_temperature', 'predictor_top_k', 'predictor_top_p',
}

M.OPTIONS = {'seed', 'stream', unpack(M.IN_FLIGHT)}

-- Whether a stage takes the most likely id: by its own option, else by the one for both stages,
-- else by the model's defaults.
local function greedy(own, both, sampled)
  if own == nil then own = both end
  if own == nil then own = not sampled end
  return own
end

--- Sampling parameters of both stages: the caller's, else those of generation_config.json.
---@param g table cfg.generation
---@param opts ag.Speech
---@param seed integer
---@param level integer levels up from the caller to the line to blame
---@return ag.Sampling
function M.of(g, opts, seed, level)
  local function pick(name, default, lo, hi, int)
    local v = opts[name]
    if v == nil then return default end
    v = (int and check.int or check.number)(v, name, lo, hi, level + 1)
    return v -- no tail call, which would take this function's level away
  end
  local t = {pick('temperature', g.temperature, 1e-3, 1e3), pick('top_k', g.top_k, 0, 2 ^ 20, true),
    pick('top_p', g.top_p, 0, 1), pick('repetition_penalty', g.repetition_penalty, 1e-3, 1e3)}
  local p = {pick('predictor_temperature', g.subtalker_temperature, 1e-3, 1e3),
    pick('predictor_top_k', g.subtalker_top_k, 0, 2 ^ 20, true),
    pick('predictor_top_p', g.subtalker_top_p, 0, 1), 1}
  if greedy(opts.talker_greedy, opts.greedy, g.do_sample) then t[1] = 0 end
  if greedy(opts.predictor_greedy, opts.greedy, g.subtalker_dosample) then p[1] = 0 end
  local stream = check.int(opts.stream or 0, 'stream', 0, nil, level)
  return {seed = seed, stream = stream, talker = t, predictor = p}
end

return M
