-- Words as somebody counts them who reads along.

local words = require 'argent.text.words'

local function texts(text)
  local list = {}
  for i, w in ipairs(words.list(text)) do list[i] = w.text end
  return list
end

describe('the words of a text', function()
  it('stand between white space, with their punctuation', function()
    assert.same({'“Well,', "it's", '9', "o'clock", 'now!”'}, texts(
      "“Well, it's 9  o'clock\n– now!”"))
    assert.same({}, texts ' … – ')
    assert.same({}, texts '')
  end)

  it('are characters where a script has no spaces, with small ones that follow', function()
    assert.same({'今', '日', 'は', 'しゃ', 'コー', 'Hallo'}, texts '今日は、しゃコー Hallo')
    assert.same({'안녕하세요', '여러분.'}, texts '안녕하세요 여러분.')
  end)

  it('know their bytes, and the last one that is heard', function()
    local text = ' Ça va?" Oui.'
    local list = words.list(text)
    for _, w in ipairs(list) do assert.equal(w.text, text:sub(w.first, w.last)) end
    assert.equal('Ça', text:sub(list[1].first, list[1].spoken))
    assert.equal('va', text:sub(list[2].first, list[2].spoken))
    assert.equal('Oui', text:sub(list[3].first, list[3].spoken))
  end)
end)
