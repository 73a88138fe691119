-- Base64 and the frame around it.

local data_url = require 'argent.audio.data_url'

describe('a data URL', function()
  it('holds the bytes of the vectors of RFC 4648, with padding or without', function()
    for digits, bytes in pairs {[''] = '', ['Zg=='] = 'f', ['Zm8='] = 'fo', ['Zm9v'] = 'foo',
      ['Zm9vYg=='] = 'foob', ['Zm9vYmE='] = 'fooba', ['Zm9vYmFy'] = 'foobar', ['Zg'] = 'f',
      ['Zm8'] = 'fo', ['Zm9v\r\nYmFy\n'] = 'foobar', ['+/+/AP8='] = '\251\255\191\0\255'} do
      assert.equal(bytes, data_url.decode('data:;base64,' .. digits))
    end
  end)

  it('is made of bytes, which it gives back', function()
    for digits, bytes in pairs {[''] = '', ['Zg=='] = 'f', ['Zm8='] = 'fo', ['Zm9v'] = 'foo',
      ['+/+/AP8='] = '\251\255\191\0\255'} do
      assert.equal('data:audio/wav;base64,' .. digits, data_url.encode('audio/wav', bytes))
      assert.equal(bytes, data_url.decode(data_url.encode('audio/wav', bytes)))
    end
  end)

  it('is told from a path by its first letters, in any case', function()
    for text, is in pairs {['data:x'] = true, ['DATA:,'] = true, ['data.wav'] = false,
      ['a/data:b'] = false, [''] = false} do
      assert.equal(is, data_url.is(text))
    end
  end)

  it('with other characters is refused by the first of them', function()
    for digits, at in pairs {['Zm9*'] = 4, ['Zg=a'] = 3, ['====='] = 1, ['Z-9v'] = 2} do
      assert.same({nil, ('character %d behind the comma is no base64'):format(at)},
        {data_url.decode('data:;base64,' .. digits)})
    end
  end)
end)
