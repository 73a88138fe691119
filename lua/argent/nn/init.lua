-- Layers for any model. Each has `load(scope, ...)`, which takes its weights from a scope: that of
-- a file (argent.weights), or of tensors that a script has (nn.scope). Linear, Embedding and Norm
-- can be made of tensors alone (`new`). A forward writes into tensors it is given and allocates
-- nothing.

return {
  Linear = require 'argent.nn.linear',
  Embedding = require 'argent.nn.embedding',
  Attention = require 'argent.nn.attention',
  Mlp = require 'argent.nn.mlp',
  Norm = require 'argent.nn.norm',
  Block = require 'argent.nn.block',
  Backbone = require 'argent.nn.backbone',
  scope = require('argent.nn.scope').new,
}
