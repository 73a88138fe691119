-- Abbreviations of the ten languages, by what a stop behind them says about the end of a sentence.
-- All languages at once, because nobody says which one a text is in. An entry that begins with a
-- small letter stands for the capital too; a space in an entry may be missing in the text.

local M = {}

-- Something always follows: a name, an example, a cause.
M.joining = [[
Mr, Mrs, Ms, Messrs, Dr, Drs, prof, Rev, Hon, Gen, Col, Maj, Capt, Cmdr, Lt, Sgt, Cpl, Gov, Sen,
Rep, Pres, Supt, Mt, vs, e. g, i. e, cf, viz, approx, esp, incl, resp, Hr, Hrn, Fr, Frl, Dipl,
ing, z. B, d. h, u. a, v. a, z. T, u. U, z. Z, i. d. R, i. A, m. E, s. o, s. u, bzw, ca, vgl, sog,
inkl, exkl, zzgl, evtl, ggf, insb, bspw, geb, gest, hl, Tel, M, MM, Mme, Mmes, Mlle, Mlles, Mgr,
Pr, Ste, p. ex, c.-à-d, env, av, tél, Sr, Sra, Sres, Sras, Srta, Srtas, Dra, Dres, Ud, Uds, Vd,
Vds, Dª, Dña, Lic, Arq, Profa, Gral, p. ej, tel, aprox, Avda, Srs, Exmo, Exma, Ilmo, Ilma, Eng,
Profª, Sig, Sigg, Sig.ra, Sig.na, Dott, Dott.ssa, Dr.ssa, Prof.ssa, Avv, Arch, Geom, Rag, Mons,
p. es, ad es, cfr, т. е, т. к, т. н, т. наз, напр, ср, им, ул, пл, пер, просп, проф, акад, доц,
тов, св, гос, зам
]]

-- The same, but behind a number they are units, and may end a sentence: 1999 г., 5 см.
M.joining_or_unit = [[г, см]]

-- They belong to the number that follows, and are words otherwise: No. 5, but "No."
M.numbering = [[
No, Nos, p, pp, fig, figs, eq, sec, ch, chap, vol, vols, Jan, Feb, Mar, Apr, Jun, Jul, Aug, Sep,
Sept, Oct, Nov, Dec, Nr, Nrn, S, Bd, Kap, Abb, Tab, Abs, art, Okt, Dez, n, h, t, janv, févr, avr,
juil, déc, pág, págs, núm, cap, ene, abr, dic, núms, fev, mai, dez, pag, pagg, genn, febbr, ott,
с, стр, рис, гл, ст, табл, д, кв, корп, п, янв, февр, апр, авг, сент, окт, нояб, дек
]]

-- They close a list or a statement as often as not: a capital begins a sentence.
M.closing = [[
etc, usw, usf, o. ä, u. ä, u. v. m, u. s. w, ecc, т. д, т. п, др, пр, н. э
]]

-- Names and measures that go on, unless the next word is one that sentences begin with.
M.open = [[
Inc, Ltd, Co, Corp, Bros, Jr, St, Ave, Blvd, Rd, Ph. D, al, Esq, Univ, Dept, Ext, a. m, p. m, Str,
Jh, Jhd, Mio, Mrd, v. Chr, n. Chr, a. D, GmbH, J.-C, apr, Cie, éd, EE. UU, JJ. OO, Cía, a. C,
d. C, Cia, Ltda, S. p. A, S. r. l, Av, R, тыс, млн, млрд, руб, коп, г, гг, в, вв
]]

-- Words that often begin a sentence, and seldom a name.
M.starters = [[
The, It, He, She, We, They, You, I, This, That, These, Those, There, In, On, At, But, And, If,
When, What, Why, How, My, His, Her, Our, Their, An, Then, After, As, No, Yes, So, For, To, Der,
Die, Das, Er, Sie, Es, Wir, Ich, Ein, Eine, Im, Am, Aber, Und, Wenn, Dann, Da, Doch, Auch, Nach,
Le, La, Les, Il, Elle, Ils, Elles, On, Nous, Vous, Je, Un, Une, Ce, Cette, Ces, Mais, Et, En,
Dans, Puis, C', J', L', D', Qu', N', S', C’, J’, L’, D’, Qu’, N’, S’, El, Los, Las, Una, Él, Ella,
Ellos, Yo, Pero, Y, Cuando, Después, Entonces, O, Os, As, Ele, Ela, Eles, Elas, Um, Uma, Eu, Nós,
Mas, Em, Não, Quando, Depois, Na, Lo, Gli, Io, Lui, Lei, Noi, Loro, Ma, Non, Poi, Nel, Uno, Он,
Она, Оно, Они, Мы, Я, Вы, Это, В, На, Но, И, А, Если, Когда, Потом, Затем, По, Не, У, С
]]

-- Nouns behind a German ordinal: der 3. Oktober, das 20. Jahrhundert.
M.counted = [[
Januar, Jänner, Februar, März, April, Mai, Juni, Juli, August, September, Oktober, November,
Dezember, Jahrhundert, Jahrhunderts, Jahrtausend, Weltkrieg, Weltkriegs, Weltkrieges, Geburtstag,
Jahrestag, Stock, Stockwerk, Etage, Klasse, Kapitel, Mal, Platz, Tag, Woche, Monat, Jahr, Runde,
Auflage, Semester, Liga, Bundesliga, Reich, Hälfte, Spieltag, Halbzeit, Minute, Stunde, Bezirk,
Armee, Akt, Satz, Sinfonie
]]

-- Words in front of a German ordinal, with some that are common in the other languages left out.
M.before_ordinal = [[vom, zum, zur, beim, im, der, dem, am]]

return M
