-- Sentences and parts. The cases are written by hand; a bar stands where a sentence ends and
-- another begins. Where a text can be read in two ways the case says what we decided, and why.

local kernels = require 'support.kernels'
local sentences = require 'argent.text.sentences'
local unicode = require 'argent.text.unicode'

local CASES = {
  english = {
    'It rains. |It pours.', 'Dr. Smith met Mrs. Jones at 5 p.m. in St. Louis. |They spoke.',
    'It costs $3.14, or 1,000.50 in all. |Really? |Yes!',
    'See e.g. the U.S. report by J. R. R. Tolkien, No. 5. |It is long.',
    '"Stop!" he said. |"Why?" she asked. |Nobody knew.', 'He said: "I am here." |Then left',
    'Visit www.example.com or write to a.b@c.org. |Thanks.', 'Wait... what? |What?! |No... |Yes.',
    'The file is main.c, version 1.2.3. |Build it.', '(This is an aside.) |This is not.',
    'We left at 9 a.m. |The train was late.', 'Apples, pears, etc. are fruit. |So are plums.',
    'One.', 'One sentence without a stop', '  Leading space. |And more.  \n',
    'He left. |She stayed! |Why? |Because.',
    'Dr. Smith met Mrs. Jones and Prof. Lee. |They talked.',
    'See e.g. London, i.e. the capital. |See fig. 3 and pp. 4. |Done.',
    'J. R. R. Tolkien wrote it. |It sold.',
    'The U.S. Government said so. |He lives in the U.S. |The weather is fine.',
    'Pi is 3.14 and not 3,14. |The price is $1,000.50. |Good.',
    'Take No. 5 of them. |"No." |He left.',
    'We met at 5 p.m. on Monday. |It began at 9:30 a.m. |We were late.',
    -- A capital behind p.m. may be a weekday or a name: only a usual first word ends the sentence.
    'We met at 5 p.m. Monday.',
    'Look at https://example.com/a.b?c=d.e. |Then write to bob.smith@mail.example.org. |Bye.',
    'Open main.c and notes.v2.txt now. |It works on .NET and node.js.',
    'Wait... what? |Well... I think so. |He stopped... |Then he ran.',
    'What?! |No!! |Really?',
    '"Are you there?" he asked. |"Yes!" |"Stop!" John Smith said. |We went.',
    '"I came," he said. |"I saw." |(He did.) |[It is so.] |So.',
    'He said: "Go away." |Then he left.',
    'He paid for milk, eggs, etc. and left. |We have milk, eggs, etc. |John went.',
    'Apple Inc. announced it. |She joined Apple Inc. |They were glad.',
    'My wife and I. |Children too. |I. Newton saw it.',
    'On Jan. 5 it snowed. |On Sept. 12 it rained.',
    'The year was 1984. |Then came 1985. |Nothing else.',
    'hello there. |how are you? |fine.', -- no capital anywhere: small letters may begin
    'I like it. |iPhones sell. |It is an iPhone.',
  },
  german = {
    'Am 3. Oktober 1990 war es so weit. |Alle feierten.',
    'Das ist z.B. gut, bzw. sehr gut. |Oder nicht?',
    'Hr. Müller und Fr. Dr. Klein kamen um 10.30 Uhr. |Sie blieben.',
    'Ludwig XIV. von Frankreich starb 1715. |Er war alt.', '„Komm!“, rief sie. |„Nein.“ |Er ging.',
    'Es kostet 1.234,56 Euro usw. und mehr. |Ende.', 'Siehe Abb. 3 auf S. 12. |Danke.',
    'Am 3. Oktober ist Feiertag. |Am 4. nicht.',
    'Das war im 20. Jahrhundert. |Der 2. Weltkrieg begann 1939. |Er war lang.',
    'Wir nehmen z. B. Äpfel, z.B. Birnen, d. h. Obst. |Gut.',
    'Hr. Dr. Müller und Fr. Maier kommen. |Um 14.30 Uhr, ca. 3 Std. lang.',
    'Er kaufte Brot, Milch usw. |Dann ging er.',
    'Das kostet 1.000,50 Euro. |Das sind 3 Mio. Euro. |Viel!',
    '„Komm!“, sagte er. |„Warum?“ fragte sie. |»Darum.« |Ende.',
    'Siehe Abb. 3 und Bd. II. |Vgl. Kap. 4. |Schluss.',
    'Um 50 v. Chr. lebte er. |Um 50 v. Chr. |Das ist lange her.',
    'Der Termin ist am 3. 10. 2020 um 9. |Bitte kommen.',
    -- "am 3. Wir" is an ordinal without its noun as often as an end: we go on.
    'Er kam am 3. Wir gingen.',
  },
  french = {
    'M. Dupont et Mme Durand sont là. |Ils attendent.',
    '« Bonjour ! » dit-elle. |Il répondit : « Salut. » |Puis rien.',
    'Vraiment ? |Oui ! |C’est ça.', 'Il a 3,5 kg, p. ex. de sucre. |Bien.',
    'Voir chap. 4, pp. 12 et 13. |Merci.', 'J.-P. Martin est arrivé. |Enfin.',
    'M. Dupont et Mme. Durand sont là. |Ils parlent.',
    '« Bonjour ! » dit-il. |« Ça va ? » |Oui.',
    '« Je viens. » |Puis il partit.', 'Quoi ! |Non ? |Si…',
    'Prenez p. ex. Paris, c.-à-d. la capitale. |Bien.',
    'Il fait 3,5 degrés à 10 h. 30. |Il est né vers 50 av. J.-C. |Il est mort.',
    "J.-P. Sartre écrit. |L'homme lit. |C'est tout.",
    '— Tu viens ? |— Oui.', 'Voir chap. 3, p. 12, etc. |Le reste suit.',
  },
  spanish = {
    '¿Cómo estás? |¡Muy bien! |Gracias.',
    'El Sr. García y la Sra. López viven en la Avda. Mayor. |Son felices.',
    'Cuesta 1.000,50 euros. |Es caro.', '—¡Ven! —dijo ella. |Él no vino.',
    'EE. UU. es grande. |México también.', 'Véase la pág. 3, núm. 5. |Fin.',
    'El Sr. García y la Sra. López llegaron. |Hablaron.',
    '¿Qué tal? |¡Muy bien! |¿Y tú?', '¿Qué?|¡No!',
    'Vive en EE. UU. desde 1999. |Vive en EE. UU. |Los demás no.',
    'Compró pan, leche, etc. |Luego salió. |Véase pág. 12 y núm. 3.',
    '—Hola —dijo ella. |—Adiós.', 'Son 1.000,5 euros. |Así es. |Vamos.',
    'Ud. sabe, p. ej. María. |Bien… |Luego no.',
  },
  portuguese = {
    'O Sr. Silva e a Sra. Costa chegaram. |Que bom!', 'São 2,5 km até lá. |Vamos? |Vamos.',
    'O prof. Souza mora na av. Paulista. |Ele gosta.', '“Venha!”, disse ela. |Ele veio.',
    'Custa R$ 1.000,00. |Caro.', 'Ver pág. 10. |Obrigado.',
    'O Sr. Silva e a Sra. Dra. Costa chegaram. |Falaram.',
    'Visite a Av. Paulista, n. 5. |Depois volte.', 'Tudo bem? |Sim! |Até logo…',
    'Nasceu em 100 a.C. em Roma. |Morreu em 44 a.C. |Depois veio outro.',
    'Veja pág. 3, p. ex. Lisboa. |Ótimo.',
  },
  italian = {
    'Il Dott. Rossi e la Sig. Bianchi arrivano. |Ciao!', 'Costa 3,50 euro. |Poco, no? |Sì.',
    'Pane, latte, ecc. sono finiti. |Peccato.', '«Vieni!» disse. |Lui venne.',
    'L’ing. Verdi lavora qui. |Da anni.', 'Vedi pag. 7. |Grazie.',
    'Il Sig. Rossi e il Dott. Bianchi parlano. |Bene.',
    'La Dott.ssa Verdi arriva alle 10.30. |Poi esce.',
    'Compra pane, latte, ecc. |Domani torna.', 'La Fiat S.p.A. ha vinto. |Davvero?',
    'Vedi pag. 5, p. es. Roma. |«Andiamo!» disse. |«Sì.» |Perché?',
  },
  russian = {
    'Это т. е. пример. |Вот так.', 'А. С. Пушкин родился в 1799 г. в Москве. |Он поэт.',
    'Цена 3,14 руб. за кг. |Дорого!', '«Иди!» — сказал он. |Она ушла.',
    'Купил хлеб, молоко и т.д. |Потом ушёл.', 'Живёт на ул. Ленина, д. 5. |Давно?',
    'Куда?! |Домой... |Ладно.',
    'А. С. Пушкин родился в 1799 г. в Москве. |Он поэт.',
    'Это было в 1999 г. |Потом стало лучше. |Он из г. Москвы, ул. Ленина, д. 5.',
    'Купи хлеб, молоко и т. д. |Потом приходи. |Т. е. Иван, т.е. друг.',
    '— Да. |— Нет. |— Почему?', '«Стой!» — сказал он. |«Нет». |Он ушёл…',
    'Это 3,14 или 5 тыс. руб. в год. |См. рис. 3 и стр. 12. |Всё.',
    'Длина 5 см. |Ширина 3 см. |В XIX в. Россия росла.',
  },
  chinese = {
    '你好。|你是谁？|我是王！', '他说：“走吧。”|然后走了。', '价格是3.14元。|很贵……对吧？|是。', '访问www.example.com。|谢谢！',
    '真的吗？！|是的。', '（这是括号。）|这不是。',
    '你好。|我很好！|你呢？|再见……',
    '他说：“我来了。”|然后走了。', '“你好！”他说。|“你去哪儿？”我问道。|“再见。”|“好。”',
    '圆周率是3.14。|价格是１．５元。|好！！|真的？！',
    '我喜欢《你好！》这本书。|真的。', '等等……他来了。|是的。',
    '我用Python 3.11和node.js。|OK!|我们走。',
    '第一，天气好；第二，人多。|走吧。',
    '一、准备\n|二、开始\n|三、结束',
    '“对。”|他知道了。', -- 知道 is to know, 道 alone to say
  },
  japanese = {
    'こんにちは。|元気ですか？|はい！', '「行こう。」と彼は言った。|彼女は笑った。', '値段は3.14円です。|高い！', '『本当？』って聞いた。|そうだ。',
    'えっ！？|まさか…。|うん。', 'A社のB氏が来た。|帰った。',
    'こんにちは。|元気ですか？|はい！', '「行こう。」と言った。|彼は笑った。',
    '「はい。」|「いいえ。」|そうですか。', '「……」|彼は黙った。|それから……帰った。',
    'これは『君の名は。』という映画です。|見ました。', '価格は1,000.5円です。|安い！？|高い。',
    '（笑う。）|そして帰った。|え、本当？|うん。', 'Hello!|こんにちは。|OK. |次へ。',
    '今日は晴れ。　|明日は雨。\n|あさっては雪。',
  },
  korean = {
    '안녕하세요. |누구세요? |저는 김입니다!', '"가자." |그가 말했다. |그녀는 웃었다.', '가격은 3.14원입니다. |비싸요.',
    'www.example.com을 보세요. |감사합니다.', '정말요?! |네... |그래요.', '오전 9시에 만나요. |늦지 마세요.',
    '안녕하세요. |저는 학생입니다. |정말요? |네!', '"가자."라고 말했다. |그는 웃었다.',
    '3.1 운동은 1919년에 일어났다. |끝.', '그는 갔다... |그리고 왔다. |값은 1,000.5원이다.',
    '"왜?" |그가 물었다. |끝났다.|그리고 시작했다.',
  },
  lines = {
    'A heading\n\n|A paragraph that\nis wrapped at its lines. |It ends here\n \n|Another.',
    'He came.\n|She left.', 'five approx.\nsix', 'one\r\n\r\n|two\r\nthree',
    'Buy:\n|- milk\n|- eggs\n|* bread', 'Do:\n|1. Wash.\n|2. Cut it\n|3. Cook\n\n|Eat.',
    '1. Wash\n|2. Cut it\n|3. Cook', '\n\n Blank lines first. |More.',
    '1) one\n|2) two\n|a) three', 'in the year\n84. is no item', 'am\n3. Oktober',
    'A line of a poem\nand another\n\n\n\n|An end', 'one\u{2029}|two',
  },
}


local function cut_at_bars(marked)
  local list = {}
  for piece in (marked .. '|'):gmatch '([^|]*)|' do list[#list + 1] = piece end
  return list
end

describe('sentences.split', function()
  for language, list in pairs(CASES) do
    for _, marked in ipairs(list) do
      it(('cuts %s: %s'):format(language, (marked:gsub('%c', '~'))), function()
        assert.same(cut_at_bars(marked), (sentences.split((marked:gsub('|', '')))))
      end)
    end
  end

  it('gives no sentence for no text, and one for space alone', function()
    assert.same({}, (sentences.split ''))
    assert.same({' \n\n '}, (sentences.split ' \n\n '))
  end)

  it('says which sentences end a paragraph', function()
    local _, paragraphs = sentences.split 'One. Two.\n\nThree.\n- four\n'
    assert.same({false, true, false, true}, paragraphs)
  end)
end)

local BITS = {
  'a', 'Word', 'word', ' ', ' ', '  ', '\n', '\n\n', '\r\n', '.', '.', '!', '?', '...', '…', ',',
  ';', ':', '"', '”', '“', '»', '«', ')', '(', '1', '12', '3.14', 'Dr.', 'z. B.', 'U.S.',
  'и т. д.', 'p. ex.', '。', '！', '？', '」', '「', '、', '，', '你好', 'はい', 'カタカナ', '안녕',
  'É', 'e\204\129', '\204\129', '🙂', '👩\226\128\141🚀', '\0', '\255', '\227\128', '\240\159',
  '\194\160', '\227\128\128', '- ', '—', '¿', '\226\128\169', 'https://a.org/b?c', 'Я',
}

local function mixture(random, most)
  local list = {}
  for i = 1, 1 + math.floor((random() + 1) / 2 * most) do
    list[i] = BITS[1 + math.floor((random() + 1) / 2 * #BITS) % #BITS]
  end
  return table.concat(list)
end

-- How many well-formed characters, or bytes that belong to none.
local function characters(s)
  local n, at = 0, 1
  while at <= #s do
    local lead = s:byte(at)
    local tail = lead >= 0xf0 and 3 or lead >= 0xe0 and 2 or lead >= 0xc0 and 1 or 0
    local whole = s:find('^[\128-\191]' .. ('[\128-\191]'):rep(tail - 1), at + 1)
    at = at + (tail > 0 and whole and tail + 1 or 1)
    n = n + 1
  end
  return n
end

describe('sentences.parts', function()
  local function parts(limit, text)
    return sentences.parts(text, {limit = limit, cost = characters})
  end

  it('leaves a text under the limit whole, even an empty one', function()
    assert.same({''}, sentences.parts '')
    assert.same({'One. Two.\n\nThree.'}, sentences.parts 'One. Two.\n\nThree.')
    assert.same({'One. Two.'}, parts(9, 'One. Two.'))
  end)

  it('puts as many whole sentences into a part as fit', function()
    assert.same({'One. ', 'Two.'}, parts(8, 'One. Two.'))
    assert.same({'One. Two. ', 'Three. Four.'}, parts(13, 'One. Two. Three. Four.'))
    assert.same({'你好。我很好。', '你呢？'}, parts(9, '你好。我很好。你呢？'))
  end)

  it('ends a part with a paragraph rather than fill it', function()
    assert.same({'One. Two.\n\n', 'Three. Four.'}, parts(18, 'One. Two.\n\nThree. Four.'))
    -- unless that leaves it nearly empty
    assert.same({'A.\n\nTwo is long. ', 'Three is longer.'},
      parts(20, 'A.\n\nTwo is long. Three is longer.'))
  end)

  it('cuts a long sentence behind a clause, else between words', function()
    assert.same({'One two, ', 'three four ', 'five: six – ', 'seven.'},
      parts(12, 'One two, three four five: six – seven.'))
    -- not where that leaves the part nearly empty, and not inside a number
    assert.same({'Oh, abcdefgh ', 'ijklmnop'}, parts(17, 'Oh, abcdefgh ijklmnop'))
    assert.same({'1,000.50 ', 'and 10:30 ', 'o clock'}, parts(10, '1,000.50 and 10:30 o clock'))
  end)

  it('cuts Chinese and Japanese behind a clause, else between characters', function()
    assert.same({'今天天气很好，', '我们去公园。'}, parts(8, '今天天气很好，我们去公园。'))
    assert.same({'今天天气', '很好。'}, parts(4, '今天天气很好。'))
    -- no part begins with a closing mark, a small kana or half a word of katakana
    assert.same({'私は', '行って」'}, parts(4, '私は行って」'))
    assert.same({'私の', '人々'}, parts(3, '私の人々'))
    assert.same({'私の', 'テレビ'}, parts(4, '私のテレビ'))
  end)

  it('cuts inside a word only where it alone is too long, and between its characters', function()
    assert.same({'a ', 'long'}, parts(5, 'a long'))
    assert.same({'abcde', 'fgh i'}, parts(5, 'abcdefgh i'))
    assert.same({'ee\204\129', 'e\204\129e'}, parts(3, 'ee\204\129e\204\129e'))
    assert.same({'e', 'e\204\129', 'e'}, parts(2, 'ee\204\129e'))
    assert.same({'👩\226\128\141🚀', '👩\226\128\141🚀'}, parts(5, '👩\226\128\141🚀👩\226\128\141🚀'))
  end)

  it('ends a part where the cost says, also where more text costs less', function()
    -- A tokenizer's words merge: 'One. T' may cost more than 'One. Tw'.
    local function cost(s) return #s + (s:find '%.%s*$' and 3 or 0) end
    local text = 'One. Two. Three. Four.'
    for limit = 4, 25 do
      for _, part in ipairs(sentences.parts(text, {limit = limit, cost = cost})) do
        assert.is_true(cost(part) <= limit or #part == 1, part)
      end
    end
  end)

  it('counts a character of Chinese as much as four letters', function()
    assert.equal(1, #sentences.parts(('a'):rep(480)))
    assert.equal(2, #sentences.parts(('a'):rep(481)))
    assert.equal(1, #sentences.parts(('好'):rep(120)))
    assert.equal(2, #sentences.parts(('好'):rep(121)))
    assert.equal(2, #sentences.parts(('값'):rep(121)))
  end)

  it('refuses misuse', function()
    assert.error_matches(function() sentences.split() end, 'text: expected a string, got nil')
    assert.error_matches(function() sentences.parts(1) end, 'text: expected a string, got 1')
    local function refuses(opts, message)
      assert.error_matches(function() sentences.parts('a', opts) end, message)
    end
    refuses({max = 1}, "unknown option string 'max'")
    refuses({limit = 0 / 0}, 'parts: limit: expected a number')
    refuses({limit = 0}, 'parts: limit: expected a number from 1')
    refuses({cost = 1}, 'parts: cost: expected a function')
  end)
end)

describe('any mixture of text', function()
  it('is the join of its sentences, none of them empty', function()
    local random = kernels.random(11)
    for _ = 1, 5000 do
      local text = mixture(random, 40)
      local list = sentences.split(text)
      assert.equal(text, table.concat(list))
      for _, s in ipairs(list) do assert.not_equal('', s) end
    end
  end)

  it('is the join of its parts, none above the limit but a single character', function()
    local random = kernels.random(12)
    for i = 1, 3000 do
      local text, limit = mixture(random, 60), 1 + i % 23
      local list = sentences.parts(text, {limit = limit, cost = characters})
      assert.equal(text, table.concat(list))
      for _, part in ipairs(list) do
        local n = characters(part)
        assert.is_true(n <= limit or n == 1, ('%q of %q at %d'):format(part, text, limit))
      end
    end
  end)

  it('cuts no character in two', function()
    local random = kernels.random(13)
    for i = 1, 1000 do
      local text = mixture(random, 60):gsub('[\240\255]', ''):gsub('\227\128$', '')
      if not unicode.fault(text) then
        for _, part in ipairs(sentences.parts(text, {limit = 1 + i % 9})) do
          assert.is_nil(unicode.fault(part))
        end
      end
    end
  end)

  it('ends its parts with sentences where they fit', function()
    local random = kernels.random(14)
    for _ = 1, 300 do
      local text = mixture(random, 200)
      local longest, ends, at = 0, {}, 0
      for _, s in ipairs(sentences.split(text)) do
        longest, at = math.max(longest, characters(s)), at + #s
        ends[at] = true
      end
      at = 0
      for _, part in ipairs(sentences.parts(text, {limit = longest, cost = characters})) do
        at = at + #part
        assert.is_true(ends[at], part)
      end
    end
  end)
end)

describe('a long hostile text', function()
  local function seconds(text)
    local began = os.clock()
    local parts = sentences.parts(text)
    local took = os.clock() - began
    assert.is_true(table.concat(parts) == text)
    return took, #parts
  end

  for name, unit in pairs {
    ['one word'] = 'a', ['one line of words'] = 'word ', ['clauses'] = 'word, ',
    ['full stops'] = '.', ['stops and quotes'] = '."', ['stops and brackets'] = '. (',
    ['questions'] = '? ', ['NUL'] = '\0', ['line ends'] = '\n', ['blank lines'] = '\n ',
    ['combining marks'] = '\204\129', ['no UTF-8'] = '\255', ['cut characters'] = '\227\128',
    ['Chinese without stops'] = '天', ['items'] = '- a\n', ['short sentences'] = 'One two. ',
    ['abbreviations'] = 'Dr. ', ['wide stops'] = '。', ['initials'] = 'A. ', ['numbers'] = '1. ',
    ['joined emoji'] = '👩\226\128\141', ['only punctuation'] = '?!.,;:…"«»()-',
  } do
    it('is cut in linear time: ' .. name, function()
      local short, long = unit:rep(math.ceil(6e4 / #unit)), unit:rep(math.ceil(48e4 / #unit))
      assert.is_true(table.concat((sentences.split(short))) == short)
      local base = seconds(short)
      local took, parts = seconds(long)
      assert.is_true(took < 16 * base + 0.5, ('%g s, and %g s for 8 times as much'):format(base,
        took))
      assert.is_true(parts >= 100)
    end)
  end

  it('may be a megabyte without one stop', function()
    local text = ('word'):rep(2 ^ 18)
    assert.same({text}, (sentences.split(text)))
    assert.is_true(seconds(text) < 20)
  end)
end)
