-- The voices that can be asked for: those of the model, those of a folder of voice files, those
-- that a script has added, and those that clients have made, which live as long as the server.

local lfs = require 'lfs'
local limits = require 'argent.serve.limits'
local posix = require 'argent.posix'
local rand = require 'openssl.rand'
local suggest = require 'argent.text.suggest'

local M = {}

---@class argent.ServedVoice what it gives to say
---@field id string
---@field name string
---@field type string 'model', 'file', 'script', 'audio_sample', 'prompt'
---@field voice string?
---@field reference ag.Voice?
---@field instruct string?
---@field created integer seconds since 1970

---@class argent.Voices
local Voices = {}
Voices.__index = Voices

local function hex(bytes)
  return (bytes:gsub('.', function(c) return ('%02x'):format(c:byte()) end))
end

--- The voices of a model.
---@param tts ag.Synthesizer
---@return argent.Voices
function M.new(tts)
  local self = setmetatable({tts = tts, list = {}, by_name = {}, made = 0}, Voices)
  for _, name in ipairs(tts:voices()) do self:add(name, {voice = name, type = 'model'}) end
  if tts.cfg.kind == 'voice_design' then
    self:add('default', {instruct = '', type = 'model'})
  end
  return self
end

--- Adds a voice. Names are looked up in any letter case.
---@param name string
---@param voice {voice: string?, reference: ag.Voice?, instruct: string?, type: string?}
---@return argent.ServedVoice
function Voices:add(name, voice)
  voice.id = voice.id or name
  voice.name, voice.type, voice.created = name, voice.type or 'script', os.time()
  self.list[#self.list + 1] = voice
  self.by_name[name:lower()], self.by_name[voice.id:lower()] = voice, voice
  return voice
end

--- Adds the voice files of a folder, NAME.voice as NAME; read once, when the server starts.
---@param folder string
---@return boolean? ok
---@return string? err
---@return string? code
function Voices:load(folder)
  local kind, fault = posix.kind(folder)
  if kind ~= 'directory' then
    return nil, ('%s: %s'):format(folder, fault or 'is no folder'), 'io'
  end
  for file in lfs.dir(folder) do
    local name = file:match '^(.+)%.voice$'
    if name then
      local reference, err, code = self.tts:voice(folder .. '/' .. file)
      if not reference then return nil, err, code end
      self:add(name, {reference = reference, type = 'file'})
    end
  end
  return true
end

--- A voice by its name or id.
---@param name string
---@return argent.ServedVoice?
---@return string? err
function Voices:get(name)
  local voice = self.by_name[name:lower()]
  if voice then return voice end
  local names = {}
  for _, v in ipairs(self.list) do
    if v.type ~= 'audio_sample' and v.type ~= 'prompt' then names[#names + 1] = v.name end
  end
  table.sort(names)
  local guess = suggest.closest(name, names)
  return nil, ("there is no voice '%s'%s (%s)"):format(name:sub(1, 100):gsub('%c', '?'),
    guess and (', did you mean %s?'):format(guess) or '', #names > 0
      and 'this server has ' .. table.concat(names, ', ', 1, math.min(#names, 50))
      or 'this server has none yet: POST /v1/audio/voices makes one')
end

--- Keeps a voice that a client has made, under an id that cannot be guessed.
---@param name string
---@param voice table
---@return argent.ServedVoice? voice
---@return string? err there are too many
function Voices:keep(name, voice)
  if self.made >= limits.voices then
    return nil, ('there are %d voices that clients have made, and that is the limit: delete some')
      :format(self.made)
  end
  if self.by_name[name:lower()] then return nil, 'there is a voice of that name' end
  self.made = self.made + 1
  voice.id = 'voice_' .. hex(rand.bytes(12))
  return self:add(name, voice)
end

--- Takes out a voice that a client has made.
---@param id string
---@return boolean? ok nil: there is none of that id
function Voices:delete(id)
  local voice = self.by_name[id:lower()]
  if not voice or voice.id ~= id or (voice.type ~= 'audio_sample' and voice.type ~= 'prompt') then
    return nil
  end
  self.by_name[voice.id:lower()], self.by_name[voice.name:lower()] = nil, nil
  for i, v in ipairs(self.list) do
    if v == voice then table.remove(self.list, i) end
  end
  self.made = self.made - 1
  return true
end

return M
