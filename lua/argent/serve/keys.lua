-- API keys: who may ask. Keys are compared in a time that does not depend on where they differ.

local bit = require 'bit'
local digest = require 'openssl.digest'

local M = {}

local function hash(text)
  return digest.new('sha256'):final(text)
end

-- Digests are of one length, so nothing of a key's length shows either.
local function same(a, b)
  local different = 0
  for i = 1, #a do different = bit.bor(different, bit.bxor(a:byte(i), b:byte(i))) end
  return different == 0
end

--- Reads keys: one a line; empty lines and those that begin with # do not count.
---@param path string
---@return string[]? digests
---@return string? err
---@return string? code 'io', 'usage' when there is no key in it
function M.read(path)
  local f, err = io.open(path, 'rb')
  if not f then return nil, err, 'io' end
  local text = f:read '*a'
  f:close()
  if not text then return nil, path .. ': cannot be read', 'io' end
  local keys = {}
  for line in text:gmatch '[^\r\n]+' do
    local key = line:match '^%s*(.-)%s*$'
    if key ~= '' and key:sub(1, 1) ~= '#' then keys[#keys + 1] = hash(key) end
  end
  if #keys == 0 then return nil, path .. ': holds no key', 'usage' end
  return keys
end

--- Whether a request carries one of the keys.
---@param keys string[] digests
---@param authorization string? the header
---@return boolean
function M.admit(keys, authorization)
  local given = hash(authorization and authorization:match '^[Bb]earer%s+(.+)$' or '')
  local found = false
  for _, key in ipairs(keys) do found = same(key, given) or found end
  return found
end

return M
