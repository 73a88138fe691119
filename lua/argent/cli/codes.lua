-- Codes as JSON, {"codes": [[...], ...]}: what `say --codes` writes.

local common = require 'argent.cli.common'
local file = require 'argent.audio.file'
local json = require 'argent.json'
local paths = require 'argent.cli.paths'

local M = {}

local LIMIT = 2 ^ 26

-- The frames of a parsed document, checked before FFI could bend them.
local function frames_of(doc, groups, name)
  local frames = type(doc) == 'table' and doc.codes
  if type(frames) ~= 'table' then return nil, name .. ': expected {"codes": [[...], ...]}' end
  for f, frame in ipairs(frames) do
    groups = groups or type(frame) == 'table' and #frame > 0 and #frame
    if type(frame) ~= 'table' or #frame ~= groups then
      return nil, ('%s: frame %d does not have %d codes'):format(name, f - 1, groups or 1)
    end
    for g, code in ipairs(frame) do
      if type(code) ~= 'number' or code % 1 ~= 0 or code < 0 or code >= 2 ^ 31 then
        return nil, ('%s: frame %d, group %d is not a code'):format(name, f - 1, g - 1)
      end
    end
  end
  if #frames == 0 then return nil, name .. ': no frames' end
  return frames
end

--- How messages call the file.
---@param path string
---@return string
function M.name(path)
  return path == '-' and 'standard input' or paths.shown(path)
end

--- The document in a file, or in standard input for '-'.
---@param path string
---@return any? doc
---@return string? err
---@return string? code 'io', 'value'
function M.read(path)
  local text, err, code = common.read_input(path, LIMIT)
  if not text then return nil, err, code end
  local doc
  doc, err = json.decode(text, M.name(path))
  if doc == nil then
    local sound = file.format(path) and ('; argent encode %s makes codes of a sound'):format(
      paths.shown(path))
    return nil, err .. (sound or ''), 'value'
  end
  return doc
end

--- The frames of a document, each of `groups` codes, or all of as many as the first.
---@param doc any
---@param path string where it came from, for messages
---@param groups? integer
---@return integer[][]? frames
---@return string? err
---@return string? code 'value'
function M.frames(doc, path, groups)
  local frames, err = frames_of(doc, groups, M.name(path))
  if not frames then return nil, err, 'value' end
  return frames
end

return M
