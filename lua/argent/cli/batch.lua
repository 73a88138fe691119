-- say --each: every line of a text its own sound file. Done again it makes what is not there yet
-- or would come out otherwise; a line that fails is reported, and the rest is done. Several lines
-- may be spoken side by side, which reads the weights once for all; their sounds are the same.

local captions = require 'argent.cli.captions'
local common = require 'argent.cli.common'
local lfs = require 'lfs'
local lib = require 'argent.ffi'
local lines = require 'argent.cli.lines'
local manifest = require 'argent.cli.manifest'
local output = require 'argent.cli.output'
local posix = require 'argent.posix'
local draws = require 'argent.draws'
local speech = require 'argent.cli.speech'
local status = require 'argent.status'

local M = {}

-- What may be written beside each sound.
M.BESIDE = {'codes', unpack(captions.KINDS)}

--- Refuses a template that does not hold exactly one number or id, in the file's name:
--- 'out/%03d.wav', 'out/%s.wav'.
---@return boolean? ok
---@return string? err
---@return string? code
function M.check_template(template, option)
  local folder, name = template:gsub('%%%%', ''):match '^(.-)([^/]*)$'
  local rest, numbers = name:gsub('%%0?%d?%d?d', '')
  local ids
  rest, ids = rest:gsub('%%s', '')
  if numbers + ids ~= 1 or rest:find '%%' or folder:find '%%' then
    return nil, ("%s: with --each the file's name needs one number or id, as in 'out/%%03d.wav' or "
      .. "'out/%%s.wav' (%%%% is a per cent sign)"):format(option), 'usage'
  end
  return true
end

local function exists(path)
  return lfs.attributes(path, 'mode') ~= nil
end

local function split(path)
  local folder, name = path:match '^(.*)/([^/]*)$'
  if not folder then return '.', path end
  return folder == '' and '/' or folder, name
end

-- The folder of a path, made when only itself is missing.
local function make_folder(path)
  local folder = split(path)
  if exists(folder) then return true end
  local ok, err = lfs.mkdir(folder)
  if not ok and not exists(folder) then return nil, ('%s: %s'):format(folder, err), 'io' end
  return true
end

local function takes_id(template)
  return template:gsub('%%%%', ''):find '%%s' ~= nil
end

-- Refuses ids that cannot name the files of their lines.
local function check_ids(list, by_id)
  local taken = {}
  for _, line in ipairs(list) do
    line.id_or_number = line.id or tostring(line.number)
    local id = line.id_or_number
    if by_id and not line.err then
      if id == '' or #id > 200 or id:find '^%.' or id:find '[/%c]' then
        line.err = ("id '%s': cannot be the name of a file"):format(id)
      elseif taken[id] then
        line.err = ("id '%s': is that of line %d too"):format(id, taken[id])
      end
      taken[id] = taken[id] or line.number
    end
  end
end

local function fill(template, line)
  return template and template:format(takes_id(template) and line.id_or_number or line.number)
end

-- What a line is spoken with, and a hash of all that its sound depends on. A seed from the clock is
-- not among it: any will do.
local function prepare(self, line)
  local args = lines.merge(self.args, line)
  local ok, err, code = speech.check(args)
  if not ok then return nil, err, code end
  local opts
  opts, err, code = speech.of(self.tts, args, self.voices)
  if not opts then return nil, err, code end
  opts.text = line.text
  local parts = {model = self.model, dtype = self.tts.dtype, codec = self.tts.codec.mode,
    bits = args.bits, speed = args.speed}
  for k, v in pairs(opts) do parts[k] = v end
  parts.reference = opts.reference and opts.reference:checksum()
  if not line.given.seed then
    opts.seed = self.seed + line.number - 1
    parts.seed = args.seed and opts.seed
  end
  return opts, manifest.hash(parts)
end

-- Whether what is asked for beside the sound is there.
local function all_exist(args)
  for _, kind in ipairs(M.BESIDE) do
    if args[kind] and not exists(args[kind]) then return false end
  end
  return true
end

-- Begins to speak a line, unless its sound is there. Returns what is known of it: skipped, a fault,
-- or a ticket.
local function begin(self, line, label)
  local args, job = self.args, {line = line}
  job.args = {
    output = fill(args.output, line), bits = args.bits,
    play = args.play, speed = args.speed, verbose = args.verbose, json = args.json, label = label,
    about = {line = line.number, id = line.id},
  }
  for _, kind in ipairs(M.BESIDE) do job.args[kind] = fill(args[kind], line) end
  local function fault(err, code)
    job.err, job.code = err, code
    return job
  end
  if line.err then return fault(line.err, 'value') end
  local opts, sum, code = prepare(self, line)
  if not opts then return fault(sum, code) end
  local file = job.args.output
  job.file, job.hash = select(2, split(file)), sum
  if self.manifest:has(job.file, sum) and exists(file) and all_exist(job.args) then
    job.skipped = true
    return job
  end
  local ok, err
  if self.manifest.hashes[job.file] then
    ok, err, code = self.manifest:note {file = job.file}
    if not ok then return fault(err, code) end
  end
  job.ticket, err, code = self.scheduler:submit(opts)
  if not job.ticket then return fault(err, code) end
  return job
end

-- Lines take rows as these become free, in their order.
local function board(self)
  while #self.jobs < #self.list and self.scheduler:has_room() do
    local i = #self.jobs + 1
    self.jobs[i] = begin(self, self.list[i], ('%d of %d: '):format(i, #self.list))
  end
end

-- The sound of a job, while those of the lines beside it are made. What is raised is a fault of the
-- line too; Ctrl-C is passed on.
local function save(self, job)
  local ticket = job.ticket
  local done, stats, err, code = pcall(output.save, self.tts, function()
    while true do
      board(self)
      local chunk = ticket:take()
      if not chunk and ticket.ended == 'failed' then status.throw(ticket.err, ticket.code) end
      if chunk or ticket.ended then return chunk end
      self.scheduler:step()
    end
  end, ticket, job.args)
  ticket:cancel()
  if done then return stats, err, code end
  if lib.ag_interrupted() ~= 0 then error(stats, 0) end
  return nil, tostring(stats), 'internal'
end

-- Brings a job to its end: 'made', 'skipped', or nil, err, code.
local function finish(self, job)
  if job.skipped then return 'skipped' end
  if job.err then return nil, job.err, job.code end
  local stats, err, code = save(self, job)
  if not stats then return nil, err, code end
  local ok
  ok, err, code = self.manifest:note {
    file = job.file, hash = job.hash, line = job.line.number, id = job.line.id, seed = stats.seed,
    seconds = stats.seconds,
  }
  job.seconds = stats.seconds
  return ok and 'made', err, code
end

-- The lines of a shard: every n-th, so that long and short ones are spread.
local function share_of(list, shard)
  local share = {}
  for i = shard.index, #list, shard.count do share[#share + 1] = list[i] end
  return share
end

--- Speaks every line.
---@param tts ag.Synthesizer
---@param text string
---@param args table of the command: its files' names are templates; line n has seed + n - 1
---@return integer? exit_code of the first line that failed, else 0
---@return string? err
---@return string? code
function M.run(tts, text, args)
  local list = lines.read(text)
  if #list == 0 then return nil, 'no line holds any text', 'value' end
  local seed, last = draws.seed(args, 0), list[#list].number
  if seed > 2 ^ 53 - (last - 1) then
    return nil, ('--seed %.0f: line %d would have a seed above 2^53; give one of at most %.0f')
      :format(seed, last, 2 ^ 53 - (last - 1)), 'usage'
  end
  local ok, err, code = make_folder(args.output:format(1))
  local by_id = takes_id(args.output)
  for _, kind in ipairs(M.BESIDE) do
    if ok and args[kind] then ok, err, code = make_folder(args[kind]:format(1)) end
    by_id = by_id or takes_id(args[kind] or '')
  end
  if not ok then return nil, err, code end
  check_ids(list, by_id)
  if args.shard then list = share_of(list, args.shard) end
  local self = {
    tts = tts, args = args, seed = seed, voices = {}, model = manifest.fingerprint(tts.dir),
    list = list, jobs = {},
  }
  self.scheduler, err, code = tts:batch {rows = args.rows, memory = args.memory, queue = 0}
  if not self.scheduler then return nil, err, code end
  if args.verbose then common.note('batch: ' .. self.scheduler:summary()) end
  self.manifest, err, code = manifest.open((split(args.output:format(1))), args.shard)
  if not self.manifest then return nil, err, code end

  local count, first_code = {made = 0, skipped = 0, failed = 0}, 0
  local began, seconds = posix.now(), 0
  for i, line in ipairs(list) do
    board(self)
    local done
    done, err, code = finish(self, self.jobs[i])
    seconds = seconds + (done == 'made' and self.jobs[i].seconds or 0)
    self.jobs[i] = false -- its frames are not needed any more
    if not done then
      done = 'failed'
      if first_code == 0 then first_code = common.exit[code] or common.exit.internal end
      common.note(('argent: say: line %d: %s'):format(line.number, (err:gsub('%s*\n%s*', '; '))))
    end
    count[done] = count[done] + 1
  end
  if count.made > 0 then
    common.note(('%.1f s of speech in %.1f s'):format(seconds, posix.now() - began))
  end
  common.note(('%d made, %d skipped, %d failed'):format(count.made, count.skipped, count.failed))
  return first_code
end

return M
