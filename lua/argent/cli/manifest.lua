-- What the sounds of `say --each` were made of, in a file beside them. A sound that would come out
-- the same is not made again; one whose text, voice, options or model has changed is. The file has
-- a JSON object on each line, and lines are only added: the last one about a sound counts. Each
-- shard of the lines has a file of its own, so that processes on several machines do not write into
-- one; all of them are read, and of two records the later one counts.

local hash = require 'argent.hash'
local json = require 'argent.json'
local lfs = require 'lfs'

local M = {}

local NAME, SHARD = '.argent-each.jsonl', '.argent-each.%d-of-%d.jsonl'
local ANY = '^%.argent%-each[%d%-of.]*%.jsonl$'
-- Of each file of a model this much is looked at, at its beginning, middle and end.
local SAMPLE = 65536

-- Adds a file to a hash: its size and samples of it.
local function add_file(sum, path, name)
  local f = io.open(path, 'rb')
  if not f then return end
  local size = f:seek 'end'
  sum:add(('%s %d\n'):format(name, size))
  for _, at in ipairs {0, math.floor(size / 2), math.max(0, size - SAMPLE)} do
    f:seek('set', at)
    sum:add(f:read(SAMPLE) or '')
  end
  f:close()
end

--- A name for a model by its files, wherever they lie.
---@param dir string
---@return string hex
function M.fingerprint(dir)
  local sum, names = hash.new(), {}
  for _, folder in ipairs {'', 'speech_tokenizer/'} do
    if lfs.attributes(dir .. '/' .. folder, 'mode') == 'directory' then
      for name in lfs.dir(dir .. '/' .. folder) do
        if name:find '%.json$' or name:find '%.txt$' or name:find '%.safetensors$' then
          names[#names + 1] = folder .. name
        end
      end
    end
  end
  table.sort(names)
  for _, name in ipairs(names) do add_file(sum, dir .. '/' .. name, name) end
  return sum:hex()
end

--- A name for what a sound is made of.
---@param parts table plain values
---@return string hex
function M.hash(parts)
  return hash.new():add(json.encode(parts)):hex()
end

---@class argent.Manifest
local Manifest = {}
Manifest.__index = Manifest

local function slurp(path)
  local f = io.open(path, 'rb')
  if not f then return nil end
  local text = f:read '*a'
  f:close()
  return text
end

-- Takes in the records of a file.
local function read(self, text)
  for line in text:gmatch '[^\n]+' do
    local record = json.decode(line, NAME)
    if type(record) == 'table' and type(record.file) == 'string' then
      local time = tonumber(record.time) or 0
      if time >= (self.times[record.file] or 0) then
        self.hashes[record.file], self.times[record.file] = record.hash, time
      end
    end
  end
end

--- The manifest of a folder; what it does not understand it leaves alone.
---@param folder string
---@param shard? {index: integer, count: integer} whose records are written; all are read
---@return argent.Manifest?
---@return string? err
---@return string? code 'io'
function M.open(folder, shard)
  local name = shard and SHARD:format(shard.index, shard.count) or NAME
  local self = setmetatable({path = folder .. '/' .. name, hashes = {}, times = {}}, Manifest)
  local names = {}
  for file in lfs.dir(folder) do
    if file:find(ANY) then names[#names + 1] = file end
  end
  table.sort(names)
  for _, file in ipairs(names) do read(self, slurp(folder .. '/' .. file) or '') end
  local own = slurp(self.path)
  if own and own:find '[^\n]$' then -- a line that was cut short
    local ok, err, code = self:append '\n'
    if not ok then return nil, err, code end
  end
  return self
end

function Manifest:append(text)
  local f, err = io.open(self.path, 'ab')
  if not f then return nil, err, 'io' end
  local ok
  ok, err = f:write(text)
  local closed, fault = f:close()
  if ok and closed then return true end
  return nil, ('%s: cannot write: %s'):format(self.path, err or fault), 'io'
end

--- Whether a file was made of this.
---@param file string without its folder
---@param sum string of M.hash
---@return boolean
function Manifest:has(file, sum)
  return self.hashes[file] == sum
end

--- Notes what a file was made of; before it is made again, that it is none of what was noted.
---@param record table file, hash?, and whatever a person may want to know
---@return boolean? ok
---@return string? err
---@return string? code 'io'
function Manifest:note(record)
  self.hashes[record.file], record.time = record.hash, os.time()
  return self:append(json.encode(record) .. '\n')
end

return M
