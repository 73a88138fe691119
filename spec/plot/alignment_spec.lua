-- The picture of the way through a text.

local ag = require 'argent'
local png = require 'support.png'
local colour = require 'argent.plot.colour'

describe('ag.plot.alignment', function()
  local way = {
    weights = {{0.9, 0.1, 0}, {0.5, 0.5, 0}, {0, 0.2, 0.8}, {0, 0, 1}},
    path = {1, 2, 3, 3},
    words = {{text = 'One', token = 1}, {text = 'two', token = 3}},
  }

  it('shows time across, tokens down, and marks the token of each frame', function()
    local path = os.tmpname()
    os.remove(path)
    path = path .. '.png'
    local image = assert(ag.plot.alignment(way, {title = 'One two', width = 800, height = 400}))
    assert(image:save(path))
    local p = png.read(path)
    os.remove(path)
    -- The middles of the marks, in order: each further right, and none higher than the one before.
    local mark, places = ('#%02x%02x%02x'):format(unpack(colour.mark)), {}
    for x = 0, p.width - 1 do
      for y = 0, p.height - 1 do
        if p:at(x, y) == mark then
          local last = places[#places]
          if not last or x > last.right + 1 then
            last = {top = y, right = x}
            places[#places + 1] = last
          end
          last.right, last.top = x, math.min(last.top, y)
        end
      end
    end
    assert.equal(4, #places)
    assert.is_true(places[1].top < places[2].top and places[2].top < places[3].top)
    assert.equal(places[3].top, places[4].top)
  end)

  it('refuses what is no way', function()
    local image, err, code = ag.plot.alignment({weights = {}, path = {}, words = {}})
    assert.is_nil(image)
    assert.equal('value', code)
    assert.matches('plot.alignment: weights: nothing to draw', err)
    assert.has_error(function() ag.plot.alignment(5) end)
    assert.has_error(function() ag.plot.alignment(way, {colour = 'red'}) end)
  end)
end)
