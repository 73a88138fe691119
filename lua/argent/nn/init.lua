-- Layers for any model. Each has `load(scope, ...)`, which takes its weights from a scope
-- (argent.weights), and a forward that writes into tensors it is given and allocates nothing.

return {
  Linear = require 'argent.nn.linear',
  Embedding = require 'argent.nn.embedding',
  Attention = require 'argent.nn.attention',
  Mlp = require 'argent.nn.mlp',
  Norm = require 'argent.nn.norm',
  Block = require 'argent.nn.block',
  Backbone = require 'argent.nn.backbone',
}
