-- suggest.closest: the distance rule by hand-made cases, and what it refuses to guess.

local suggest = require 'argent.text.suggest'

local VOICES = {'aiden', 'dylan', 'eric', 'ono_anna', 'ryan', 'serena', 'uncle_fu', 'vivian'}
local LANGUAGES = {'auto', 'chinese', 'english', 'french', 'german', 'italian'}

describe('suggest.closest', function()
  it('finds the name behind one wrong, missing, extra or swapped letter', function()
    assert.equal('ryan', suggest.closest('rian', VOICES))
    assert.equal('ryan', suggest.closest('ryn', VOICES))
    assert.equal('ryan', suggest.closest('ryann', VOICES))
    assert.equal('ryan', suggest.closest('rayn', VOICES))
    assert.equal('english', suggest.closest('engilsh', LANGUAGES))
    assert.equal('uncle_fu', suggest.closest('unclefu', VOICES))
  end)

  it('allows two slips in six letters and three in nine, not more', function()
    assert.equal('german', suggest.closest('jermen', LANGUAGES))
    assert.is_nil(suggest.closest('jermem', LANGUAGES))
    assert.equal('abcdefghi', suggest.closest('xxxdefghi', {'abcdefghi'}))
    assert.is_nil(suggest.closest('xxxxefghi', {'abcdefghi'}))
  end)

  it('counts a swap of neighbours as one slip', function()
    assert.equal('abcd', suggest.closest('bacd', {'abcd'}))
    assert.is_nil(suggest.closest('badc', {'abcd'}))
  end)

  it('ignores letter case and returns the name as the list spells it', function()
    assert.equal('Ono_Anna', suggest.closest('ONOANNA', {'Ono_Anna'}))
  end)

  it('prefers the closer name, and of equals the first', function()
    assert.equal('serena', suggest.closest('sereno', {'sirene', 'serena'}))
    assert.equal('cat', suggest.closest('cut', {'cat', 'cot'}))
  end)

  it('suggests nothing where nothing is close', function()
    assert.is_nil(suggest.closest('klingon', LANGUAGES))
    assert.is_nil(suggest.closest('', VOICES))
    assert.is_nil(suggest.closest('x', {'y'}))
    assert.is_nil(suggest.closest('ryan', {}))
  end)

  it('gives up at once on a word or a name that nobody mistyped', function()
    local long = ('a'):rep(1e6)
    assert.is_nil(suggest.closest(long, VOICES))
    assert.is_nil(suggest.closest('ryan', {long}))
    assert.equal('ryan', suggest.closest('rian', {long, 'ryan'}))
    local limit, over = ('a'):rep(64), ('a'):rep(65)
    assert.equal(limit, suggest.closest(limit, {limit}))
    assert.is_nil(suggest.closest(over, {limit}))
    assert.is_nil(suggest.closest(limit, {over}))
  end)

  it('refuses arguments of other types', function()
    local _, err = pcall(suggest.closest, nil, VOICES)
    assert.matches('word: expected a string, got nil', err, 1, true)
    _, err = pcall(suggest.closest, 'x', 'y')
    assert.matches("list: expected a table, got string 'y'", err, 1, true)
  end)
end)
