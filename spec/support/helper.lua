-- Loaded by busted before any spec: finds the tree and loads argent once, because busted forgets
-- modules between files while ffi.cdef and ffi.metatype are permanent.

local here = debug.getinfo(1, 'S').source:match('^@(.*)spec/support/helper%.lua$')
_G.ARGENT_ROOT = here == '' and '.' or here:gsub('/$', '')

package.path = ARGENT_ROOT .. '/lua/?.lua;' .. ARGENT_ROOT .. '/lua/?/init.lua;' .. ARGENT_ROOT
  .. '/spec/?.lua;'
  .. package.path

local ok, err = pcall(require, 'argent')
-- The parts that argent loads when they are named, too: else a spec could meet other copies of
-- their modules than argent has kept from the file before.
if ok then ok, err = pcall(require, 'argent.qwen3_tts') end
if not ok and not tostring(err):find("module 'argent' not found", 1, true) then
  error(err)
end

require('support.untouched').watch(require 'busted')
