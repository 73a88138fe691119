-- Argent: tensors, two backends and the primitives of speech models for LuaJIT. This file is the
-- list of public names.

local lib = require 'argent.ffi'
local ffi = require 'ffi'
local backend = require 'argent.backend'
local tensor = require 'argent.tensor'
local plan = require 'argent.plan'
local strict = require 'argent.strict'

local M = {
  version = ffi.string(lib.ag_version()),
  backend = backend.open,
  tensor = tensor.from,
  zeros = tensor.zeros,
  arange = tensor.arange,
  linspace = tensor.linspace,
  rand = tensor.rand,
  randn = tensor.randn,
  cat = tensor.cat,
  stack = tensor.stack,
  where = tensor.where,
  is_tensor = tensor.is,
  capture = plan.capture,
  ops = require 'argent.ops',
}

-- Heavier parts are loaded when they are first named.
local lazy = {
  open = function() return require('argent.models').open end,
  nn = function() return strict.table(require 'argent.nn', 'ag.nn') end,
  qwen3_tts = function() return require 'argent.qwen3_tts' end,
  encoder = function() return strict.table(require 'argent.encoder', 'ag.encoder') end,
  decoder = function() return strict.table(require 'argent.decoder', 'ag.decoder') end,
  load = function() return require('argent.io').load end,
  save = function() return require('argent.io').save end,
  audio = function() return strict.table(require 'argent.audio', 'ag.audio') end,
  save_npy = function() return require('argent.npy').write end,
  show = function() return require('argent.show').show end,
  plot = function() return strict.table(require 'argent.plot', 'ag.plot') end,
}

return setmetatable(M, {
  __names = lazy, -- for completion
  __index = function(t, key)
    local get = lazy[key]
    if not get then error(strict.missing('ag', key, strict.names(t, lazy)), 2) end
    local v = get()
    rawset(t, key, v)
    return v
  end,
})
