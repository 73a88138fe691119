-- Sentences of the ten languages, and parts of long texts.

local kernels = require 'support.kernels'
local sentences = require 'argent.text.sentences'

-- Sentences as they should come out; a space follows each but the last, unless a line says `tight`.
local CASES = {
  english = {
    {'It rains.', 'It pours.'},
    {'Dr. Smith met Mrs. Jones at 5 p.m. in St. Louis.', 'They spoke.'},
    {'It costs $3.14, or 1,000.50 in all.', 'Really?', 'Yes!'},
    {'See e.g. the U.S. report by J. R. R. Tolkien, No. 5.', 'It is long.'},
    {'"Stop!" he said.', '"Why?" she asked.', 'Nobody knew.'},
    {'He said: "I am here." Then left'}, -- a quotation and a new sentence: see below
    {'Visit www.example.com or write to a.b@c.org.', 'Thanks.'},
    {'Wait... what?', 'What?!', 'No...', 'Yes.'},
    {'The file is main.c, version 1.2.3.', 'Build it.'},
    {'(This is an aside.)', 'This is not.'},
    {'We left at 9 a.m. The train was late.'}, -- may end: see below
    {'Apples, pears, etc. are fruit.', 'So are plums.'},
  },
  german = {
    {'Am 3. Oktober 1990 war es so weit.', 'Alle feierten.'},
    {'Das ist z.B. gut, bzw. sehr gut.', 'Oder nicht?'},
    {'Hr. Müller und Fr. Dr. Klein kamen um 10.30 Uhr.', 'Sie blieben.'},
    {'Ludwig XIV. von Frankreich starb 1715.', 'Er war alt.'},
    {'„Komm!“, rief sie.', '„Nein.“', 'Er ging.'},
    {'Es kostet 1.234,56 Euro usw. und mehr.', 'Ende.'},
    {'Siehe Abb. 3 auf S. 12.', 'Danke.'},
  },
  french = {
    {'M. Dupont et Mme Durand sont là.', 'Ils attendent.'},
    {'« Bonjour ! » dit-elle.', 'Il répondit : « Salut. »', 'Puis rien.'},
    {'Vraiment ?', 'Oui !', 'C’est ça.'},
    {'Il a 3,5 kg, p. ex. de sucre.', 'Bien.'},
    {'Voir chap. 4, pp. 12 et 13.', 'Merci.'},
    {'J.-P. Martin est arrivé.', 'Enfin.'},
  },
  spanish = {
    {'¿Cómo estás?', '¡Muy bien!', 'Gracias.'},
    {'El Sr. García y la Sra. López viven en la Avda. Mayor.', 'Son felices.'},
    {'Cuesta 1.000,50 euros.', 'Es caro.'},
    {'—¡Ven! —dijo ella.', 'Él no vino.'},
    {'EE. UU. es grande.', 'México también.'},
    {'Véase la pág. 3, núm. 5.', 'Fin.'},
  },
  italian = {
    {'Il Dott. Rossi e la Sig. Bianchi arrivano.', 'Ciao!'},
    {'Costa 3,50 euro.', 'Poco, no?', 'Sì.'},
    {'Pane, latte, ecc. sono finiti.', 'Peccato.'},
    {'«Vieni!» disse.', 'Lui venne.'},
    {'L’ing. Verdi lavora qui.', 'Da anni.'},
    {'Vedi pag. 7.', 'Grazie.'},
  },
  portuguese = {
    {'O Sr. Silva e a Sra. Costa chegaram.', 'Que bom!'},
    {'São 2,5 km até lá.', 'Vamos?', 'Vamos.'},
    {'O prof. Souza mora na av. Paulista.', 'Ele gosta.'},
    {'“Venha!”, disse ela.', 'Ele veio.'},
    {'Custa R$ 1.000,00.', 'Caro.'},
    {'Ver pág. 10.', 'Obrigado.'},
  },
  russian = {
    {'Это т. е. пример.', 'Вот так.'},
    {'А. С. Пушкин родился в 1799 г. в Москве.', 'Он поэт.'},
    {'Цена 3,14 руб. за кг.', 'Дорого!'},
    {'«Иди!» — сказал он.', 'Она ушла.'},
    {'Купил хлеб, молоко и т.д.', 'Потом ушёл.'},
    {'Живёт на ул. Ленина, д. 5.', 'Давно?'},
    {'Куда?!', 'Домой...', 'Ладно.'},
  },
  chinese = {
    tight = true,
    {'你好。', '你是谁？', '我是王！'},
    {'他说：“走吧。”', '然后走了。'},
    {'价格是3.14元。', '很贵……对吧？', '是。'},
    {'访问www.example.com。', '谢谢！'},
    {'真的吗？！', '是的。'},
    {'（这是括号。）', '这不是。'},
  },
  japanese = {
    tight = true,
    {'こんにちは。', '元気ですか？', 'はい！'},
    {'「行こう。」と彼は言った。', '彼女は笑った。'},
    {'値段は3.14円です。', '高い！'},
    {'『本当？』って聞いた。', 'そうだ。'},
    {'えっ！？', 'まさか…。', 'うん。'},
    {'A社のB氏が来た。', '帰った。'},
  },
  korean = {
    {'안녕하세요.', '누구세요?', '저는 김입니다!'},
    {'"가자." 그가 말했다.', '그녀는 웃었다.'}, -- see below: two sentences by the mark
    {'가격은 3.14원입니다.', '비싸요.'},
    {'www.example.com을 보세요.', '감사합니다.'},
    {'정말요?!', '네...', '그래요.'},
    {'오전 9시에 만나요.', '늦지 마세요.'},
  },
}

-- Where the cases above are in doubt, this is what we decided: what is heard as a false pause is
-- worse than a long sentence, and marks are followed where nothing speaks against them.
local DECIDED = {
  ['He said: "I am here." Then left'] = {'He said: "I am here."', 'Then left'},
  ['We left at 9 a.m. The train was late.'] = {'We left at 9 a.m.', 'The train was late.'},
  ['"가자." 그가 말했다. 그녀는 웃었다.'] = {'"가자."', '그가 말했다.', '그녀는 웃었다.'},
}

local function trimmed(list)
  local out = {}
  for i, s in ipairs(list) do out[i] = s:gsub('%s+$', '') end
  return out
end

describe('sentences', function()
  local count = 0
  for language, cases in pairs(CASES) do
    for _, case in ipairs(cases) do
      count = count + 1
      local text = table.concat(case, cases.tight and '' or ' ')
      it(('are found in %s: %s'):format(language, text), function()
        local got = sentences.split(text)
        assert.same(DECIDED[text] or case, trimmed(got))
        assert.equal(text, table.concat(got))
      end)
    end
  end

  it('are found in sixty cases and more of ten languages', function()
    assert.is_true(count >= 60, count)
    local languages = 0
    for _ in pairs(CASES) do languages = languages + 1 end
    assert.equal(10, languages)
  end)

  it('end with empty lines and before list items, not with every line', function()
    assert.same({'A title\n\n', 'One line\nand its end.\n', 'Items:\n', '- one\n',
      '- two\n', '1. three'},
      sentences.split 'A title\n\nOne line\nand its end.\nItems:\n- one\n- two\n1. three')
    local _, paragraphs = sentences.split 'One. Two.\n\nThree.'
    assert.same({false, true, true}, paragraphs)
  end)

  it('keep every byte of any text', function()
    local random = kernels.random(11)
    local bits = {'word', 'Word', ' ', ' ', '.', '!', '?', '…', '。', '「', '」', '"', '\n',
      '\n\n', '3', '14',
      'Dr', 'z.B', ',', '，', '\255', '\194', '\226\128', '\0', '\194\160', 'é', '»',
      '- ', '한글', 'と', '\240\159'}
    for _ = 1, 3000 do
      local list = {}
      for i = 1, 1 + math.floor((random() + 1) * 15) do
        list[i] = bits[1 + math.floor((random() + 1) / 2 * #bits) % #bits]
      end
      local text = table.concat(list)
      assert.equal(text, table.concat((sentences.split(text))))
      for _, limit in ipairs {1, 3, 10} do
        local parts = sentences.parts(text, {limit = limit, cost = function(s) return #s end})
        assert.equal(text, table.concat(parts))
        for _, part in ipairs(parts) do
          assert.is_true(part ~= '' or text == '')
          assert.is_true(#part <= math.max(limit, 4))
        end
      end
    end
  end)

  it('are found in time that grows with the text', function()
    for _, text in ipairs {('word '):rep(200000), ('.'):rep(1000000), ('。'):rep(300000),
      ('\n'):rep(1000000), (' '):rep(1000000), ('"'):rep(1000000), ('a. '):rep(300000)} do
      local began = os.clock()
      assert.equal(text, table.concat(sentences.parts(text)))
      assert.is_true(os.clock() - began < 8, os.clock() - began)
    end
  end)
end)

describe('parts', function()
  local function length(s) return #s end

  it('are the whole text when it is short', function()
    assert.same({'One. Two.'}, sentences.parts 'One. Two.')
    assert.same({''}, sentences.parts '')
  end)

  it('hold as many whole sentences as fit', function()
    assert.same({'One. Two. ', 'Three. ', 'Four.'},
      sentences.parts('One. Two. Three. Four.', {limit = 10, cost = length}))
  end)

  it('end with a paragraph where one ends in their second half', function()
    local text = 'One is here. Two too.\n\nThree is. Four is not.'
    assert.same({'One is here. Two too.\n\n', 'Three is. Four is not.'},
      sentences.parts(text, {limit = 34, cost = length}))
  end)

  it('cut a sentence that is too long at commas, spaces, and characters', function()
    assert.same({'One, two, ', 'three and ', 'four'},
      sentences.parts('One, two, three and four', {limit = 10, cost = length}))
    assert.same({'abcd', 'efgh', 'ij'}, sentences.parts('abcdefghij', {limit = 4, cost = length}))
    assert.same({'一二三，', '四五六七', '八九'}, sentences.parts('一二三，四五六七八九', {limit = 4}))
  end)

  it('refuse a limit or a cost that is none', function()
    assert.error_matches(function() sentences.parts('a', {limit = 0}) end, 'parts: limit')
    assert.error_matches(function() sentences.parts('a', {cost = 3}) end, 'parts: cost')
    assert.error_matches(function() sentences.split(3) end, 'text: expected a string')
  end)
end)
