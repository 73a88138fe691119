-- say --each: every line of a text its own sound file. Done again it makes what is not there yet; a
-- line that fails is reported, and the rest is done.

local common = require 'argent.cli.common'
local lfs = require 'lfs'
local lib = require 'argent.ffi'
local output = require 'argent.cli.output'

local M = {}

--- Refuses a template that does not hold exactly one number: 'out/%03d.wav'.
---@return boolean? ok
---@return string? err
---@return string? code
function M.check_template(template, option)
  local rest, numbers = template:gsub('%%%%', ''):gsub('%%0?%d?%d?d', '')
  if numbers ~= 1 or rest:find '%%' then
    return nil, ("%s: with --each the name needs one number, as in 'out/%%03d.wav' (%%%% is a "
      .. 'per cent sign)'):format(option), 'usage'
  end
  return true
end

local function exists(path)
  return lfs.attributes(path, 'mode') ~= nil
end

-- The folder of a path, made when only itself is missing.
local function make_folder(path)
  local folder = path:match '^(.+)/[^/]*$'
  if not folder or exists(folder) then return true end
  local ok, err = lfs.mkdir(folder)
  if not ok and not exists(folder) then return nil, ('%s: %s'):format(folder, err), 'io' end
  return true
end

-- The lines that hold something, with the number of each among them.
local function lines_of(text)
  local list = {}
  for line in (text .. '\n'):gmatch '(.-)\r?\n' do
    if line:find '%S' then list[#list + 1] = line end
  end
  return list
end

-- One line; nil, err, code as elsewhere, and what is raised too. Ctrl-C is passed on.
local function speak(tts, opts, args)
  local ok, stats, err, code = pcall(function()
    local chunks, speech, fault = tts:stream(opts)
    if not chunks then return nil, speech, fault end
    local stats, message, kind = output.save(tts, chunks, speech, args)
    return stats, message, kind
  end)
  if not ok then
    if lib.ag_interrupted() ~= 0 then error(stats, 0) end
    return nil, tostring(stats), 'internal'
  end
  return stats, err, code
end

--- Speaks every line.
---@param tts ag.Synthesizer
---@param text string
---@param opts ag.Speech without text; line i has seed + i - 1
---@param args table of the command: output and codes are templates
---@return integer? exit_code of the first line that failed, else 0
---@return string? err
---@return string? code
function M.run(tts, text, opts, args)
  local lines = lines_of(text)
  if #lines == 0 then return nil, 'no line holds any text', 'value' end
  local ok, err, code = make_folder(args.output)
  if ok and args.codes then ok, err, code = make_folder(args.codes) end
  if not ok then return nil, err, code end
  if opts.seed > 2 ^ 53 - (#lines - 1) then
    return nil, ('--seed %.0f: line %d would have a seed above 2^53; give one of at most %.0f')
      :format(opts.seed, #lines, 2 ^ 53 - #lines + 1), 'usage'
  end
  local made, skipped, failed, first_code = 0, 0, 0, 0
  for i, line in ipairs(lines) do
    local one = {
      output = args.output:format(i), codes = args.codes and args.codes:format(i), bits = args.bits,
      verbose = args.verbose, json = args.json, label = ('line %d of %d: '):format(i, #lines),
    }
    if exists(one.output) and (not one.codes or exists(one.codes)) then
      skipped = skipped + 1
    else
      local o = {text = line, seed = opts.seed + i - 1}
      for k, v in pairs(opts) do o[k] = o[k] or v end
      local stats
      stats, err, code = speak(tts, o, one)
      if stats then
        made = made + 1
      else
        failed = failed + 1
        if first_code == 0 then first_code = common.exit[code] or common.exit.internal end
        common.note(('argent: say: line %d: %s'):format(i, (err:gsub('%s*\n%s*', '; '))))
      end
    end
  end
  common.note(('%d made, %d skipped, %d failed'):format(made, skipped, failed))
  return first_code
end

return M
