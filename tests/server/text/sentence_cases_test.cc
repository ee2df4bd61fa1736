// What each language's sentences are, a row a case: "|" stands where one ends and the next begins.
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "heed/model/v1/model.pb.h"
#include "server/text/clauses.h"
#include "server/text/sentence_lists.h"
#include "server/text/sentences.h"

namespace heed {
namespace {

struct Case {
  const char* language;
  const char* text;
};

std::string Cut(const SentenceSplitter& splitter, std::string_view text) {
  std::vector<std::string> sentences;
  for (const ByteRange& range : splitter.Split(text)) {
    sentences.emplace_back(text.substr(range.begin, range.end - range.begin));
  }
  return absl::StrJoin(sentences, "|");
}

class SentenceCases : public ::testing::TestWithParam<Case> {};

TEST_P(SentenceCases, AreCutWhereTheMarksStand) {
  const Case& row = GetParam();
  const auto splitter = SentenceSplitter::Make(row.language);
  ASSERT_TRUE(splitter.ok());
  const std::string text = absl::StrReplaceAll(row.text, {{"|", ""}});
  EXPECT_EQ(Cut(*splitter, text), absl::StrReplaceAll(row.text, {{"| ", "|"}})) << row.language;
}

constexpr Case kOrdinary[] = {
    // Ordinary words are no abbreviations.
    {"en", "Click OK.| The window closes."},
    {"en", "I asked Joe.| He said no.| I left."},
    {"en", "Use option B.| The other one is wrong."},
    {"en", "You need vitamin C.| Oranges have it."},
    {"en", "So did you and I.| Mary left."},
    {"en", "The answer is no.| Everything else is yes."},
    {"en", "He sat in the sun.| Mark came.| It was fun.| Sam left."},
    {"de", "Das ist Max.| Paul kommt später."},
    {"de", "Das ist von dieser Art.| Peter weiß es."},
    {"de", "Es geht um ein Gen.| Das ist klar."},
    {"es", "Me gusta el mar.| Pedro nada."},
    {"fr", "C'est le mien.| Paul arrive.| Il est là."},
    {"it", "Vado al mare per me.| Paolo resta."},
    {"pt", "Ele foi ao mar.| Pedro ficou."},
    {"nb", "Boken er min.| Den er ny."},
    {"ru", "Это я.| Иван пришёл."},
    {"ru", "Он дал им.| Она ушла."},
    {"pl", "Daję im.| To wszystko."},
    {"tr", "Bunu al.| Sonra gel."},
    {"cs", "Je to gen.| To je jasné."},
    {"sv", "Öppna en fil.| Den är ny."},
    {"hi", "यह अच्छा है।| वह आया।"},
    {"ko", "옵션 B입니다.| 다음은 C입니다."},
    {"ko", "답은 옵션 B.| 다음은 틀렸다."},
    {"fr", "Prenez l'option B.| L'autre est fausse."},
    {"es", "Usa la opción B.| Otra cosa falla."},
    {"it", "Scegli l'opzione B.| L'altra è sbagliata."},
    {"pt", "Use a opção B.| A outra está errada."},
    {"pl", "Wybierz opcję B.| Druga jest zła."},
    {"ru", "Выберите вариант Б.| Другой неверен."},
    {"hi", "विकल्प B.| दूसरा गलत है।"},
    {"ar", "اختر الخيار B.| الآخر خطأ."},
    {"da", "Køerne står på en eng.| De spiser."},
    {"bg", "Това е баща ми, отец.| Той е тук."},
};

constexpr Case kAbbreviations[] = {
    {"en", "He met St. Mary, Gen. Lee and Capt. Kirk at Mt. Hood.| They left."},
    {"en", "See Eq. (4), Fig. 3 and Sec. IV of vol. 2.| It holds."},
    {"en", "It costs approx. 5 dollars, e.g. Monday, i.e. Python, etc.| The end."},
    {"en", "Apple Inc. Chairman Smith spoke.| He works at Apple Inc.| The firm grew."},
    {"en", "U.S. President Biden came at 5 p.m. Monday.| He lives in the U.S.| The end."},
    {"en", "J. R. R. Tolkien and J.-P. Sartre met George W. Bush.| They talked."},
    {"en", "On Jan. 5 he came.| (See p. 7.)| It was No. 1."},
    {"en", "Smith et al. Found nothing."},
    {"de", "Das ist z.B. Python, z. B. Java, d.h. Code, bzw. Text.| Ende."},
    {"de", "Dr. Müller und Prof. Schmidt wohnen in der Hauptstr. 5.| Sie kommen."},
    {"de", "Siehe Hauptstr. 3, Abs. 3, Nr. 5 und Bd. II, S. 7 usw.| Der Rest fehlt."},
    {"de", "Um 500 v. Chr. Geburt war das so, u. a. in Rom."},
    {"es", "El Sr. García y la Dra. López leen la Pág. 5, p. ej. Madrid.| Vale."},
    {"es", "Vive en EE. UU.| El año pasado volvió a las 5 p. m.| Todos lo saben."},
    {"fr", "M. Le Pen et Mme Dupont lisent l'art. 5, p. ex. Paris.| C'est tout."},
    {"fr", "Au IIIe s. av. J.-C. Rome naît, etc.| La fin."},
    {"it", "Il sig. Rossi e la sig.ra Bianchi vedono pag. 5, art. 3, ecc.| Il resto manca."},
    {"pt", "O Sr. Silva e a Dra. Costa leem a pág. 5, etc.| O resto falta."},
    {"ru", "Он живёт в г. Москве, ул. Ленина, д. 5, т. е. Россия.| Она тоже."},
    {"ru", "А. С. Пушкин родился в 1799 г. в Москве.| В 1837 г. Пушкин умер."},
    {"ru", "Это было в XIX в. до н. э. и т. д.| Потом всё кончилось."},
    {"ru", "Так закончился этот очень долгий и трудный 1990 г.| Москва спала."},
    {"uk", "Він живе в м. Києві, вул. Хрещатик, напр. Іван.| Вона теж."},
    {"bg", "Г-н Иванов живее на ул. Шипка, гр. София.| Той е тук."},
    {"pl", "Mieszka na ul. Długiej, prof. Kowalski, tzn. Jan.| To wszystko."},
    {"pl",
     "Najstarsze znane ślady są z V w. p.n.e.| Jednym z nich był Jan.| W 1492 r. Krzysztof Kolumb płynął.| Od lat 60. "
     "„Solidarność” była."},
    {"cs", "Pan Ing. Novák bydlí v ul. Dlouhá, např. Praha.| To je vše."},
    {"sk", "Pán Ing. Novák, napr. Bratislava.| To je všetko."},
    {"hr", "Gosp. dr. Horvat živi npr. Zagreb.| To je sve."},
    {"sr", "Др Петровић, нпр. Београд.| То је све."},
    {"nl", "Dhr. Jansen en mevr. De Vries, bijv. Jan, d.w.z. Piet.| Het is klaar."},
    {"sv", "T.ex. Anna och bl.a. Per kom.| Det var allt."},
    {"da", "F.eks. Anna og bl.a. Per kom.| Det var alt."},
    {"fi", "Esim. Anna ja mm. Pekka tulivat.| Se oli kaikki."},
    {"el", "Ο κ. Παπαδόπουλος, π.χ. ο Γιάννης, δηλ. Αθήνα.| Τι λες;| Ναι."},
    {"tr", "Sn. Yılmaz ve Doç. Dr. Kaya bkz. Ankara.| Bu kadar."},
    {"hu", "Pl. Péter és dr. Nagy eljött.| Ez minden."},
    {"ro", "Dl. Popescu, str. Lungă, de ex. București.| Asta e tot."},
    {"id", "Bpk. Budi tinggal di Jl. Merdeka, Prof. Ali.| Ini semua."},
    {"vi", "TS. Nguyễn và TP. Hồ Chí Minh.| Đó là tất cả."},
    {"hi", "डॉ. सिंह और प्रो. शर्मा आए।| वे गए।"},
    {"hi", "एम. के. गांधी और बी.आर. अंबेडकर मिले।| फिर गए।"},
    {"ar", "وصل د. محمد إلى هنا.| ثم غادر."},
    {"fa", "د. محمد آمد.| او رفت."},
    {"ta", "டாக். குமார் மற்றும் எம். ஜி. ராமச்சந்திரன் வந்தனர்.| அவர்கள் சென்றனர்."},
    {"ko", "Mr. Kim과 Dr. 이가 왔다.| 아드난 Z. 아민도 왔다."},
    {"zh", "Dr. 王来了。|他走了。"},
};

constexpr Case kNumbers[] = {
    {"de", "Am 3. Oktober spielt die 1. Bundesliga im 20. Jahrhundert.| Das ist der 3.| Danach kommt nichts."},
    {"de", "Ludwig XIV. Nachfolger war Ludwig XV.| Er starb 1774.| Paris trauerte."},
    {"de", "Am 25. 12. 2024 ist Feiertag.| Die 100. Sitzung ist heute."},
    {"da", "Den 2. Verdenskrig begyndte i 1939.| Han var 75.| Det var alt."},
    {"fi", "Helsingissä 3. Lokakuuta.| Se oli vuonna 1999.| Hän lähti."},
    {"cs", "V roce 1999.| Praha spala.| Karel IV. Lucemburský byl 2. Syn."},
    {"tr", "3. Selim ve 2. Dünya Savaşı 1999.| Bu kadar."},
    {"en", "He won in 1999.| Twenty people came.| It was number 3.| Next came four."},
    {"en", "1. Install it.| 2. Run it.| A. Stop it.| IV. Results follow."},
    {"en", "Python 3.11.2 is out.| Version 3.12.| Nothing else."},
    {"ko", "회의는 2024. 12. 25. 오후 3시에 열립니다.| 끝입니다."},
    {"ko", "제 3.2. 절을 보세요.| 3. 장은 다음입니다.| 끝."},
    {"ko", "2024.12.25. 오후에 열립니다.| 버전 3.11.2.| 그리고 끝.| 3. 1. 삼일절입니다."},
    {"ko", "1.1.2.3.4.5. 개요입니다.| ㄱ. 설치합니다."},
    {"en", "a. Install it.| 1a. Stop it.| See Fig. A and App. B for it."},
    {"zh", "1．安装。|2．运行。|一. 开始。|图3．1很好．|下一个。"},
    {"ko", "가. 설치합니다.| 나. 실행합니다.| 네.| 그렇습니다."},
};

constexpr Case kInitials[] = {
    {"fr", "É. Zola écrit.| Il dort."},
    {"pl", "Ł. Kowalski pisze.| On śpi."},
    {"ru", "Ю. Гагарин летит.| Он спит."},
    {"el", "Ά. Παπαδόπουλος γράφει.| Αυτός κοιμάται."},
    {"ar", "أحمد ز. أمين هنا.| هو نائم."},
    {"hu", "Gy. Kovács ír.| Ez minden."},
    {"en", "It was plan B.| Smith knows it.| Ask J. Smith."},
    {"de", "Hepatitis B.| Impfung hilft gegen K. Meier."},
};

constexpr Case kMarks[] = {
    // Note marks.
    {"en", "The end.[1]| Next one.[2][3]| Last.[citation needed]| Done."},
    {"en", "The end.¹| Next one."},
    {"zh", "结束。[1]|接下来。"},
    // Opening and closing marks.
    {"zh", "结束。|《红楼梦》很好。|（见下文。）|完了！|“好。”"},
    {"ja", "終わり。|「次」です。|（注。）|完了！"},
    {"en", "He left.| “Why?”| (It works.)| \"Yes.\"| *Note.*| Done."},
    {"en", "He (really!) Went home [...] The end."},
    {"fr", "« Non ! »| Il part.| « Oui. »| Elle reste."},
    {"de", "„Nein!“| Er ging.| »Ja.«| Sie blieb."},
    {"es", "¿Qué?| ¡Nada!| «No.»| Vale."},
    {"ru", "— Да.| — Нет.| «Нет!» — сказал он.| Потом ушёл."},
    // Quotes with speech.
    {"en", "“Go!” Peter said.| “Stop!”| He left.| \"Why?\" he asked."},
    {"en", "“I came. I saw,” he said.| He left."},
    {"de", "„Halt!“, sagte er.| „Nein!“ rief sie.| Ende."},
    {"fr", "« Non ! » dit-il.| Il part."},
    {"ja", "行く？と聞いた。|けいおん！の曲。|「嫌だ。」彼女は嘆いた。|だった（後に改名。）|次。"},
    {"ja", "実験した.|DNAは3.5である.|次だ.|価格.comとYahoo!ニュース。|何GB?|次。"},
    {"ja", "「はい。」と彼は言った。|「行く？」|彼は笑った。|「一。二。」と数えた。"},
    {"zh", "“走吧。”他说。|“你好！”|天黑了。|“一。二。”他说。"},
    {"ko", "“안녕.”이라고 말했다.| “가자!” 하고 외쳤다.| “가자!” 그가 말했다.| 끝."},
    {"ar", "«لا!» قال أحمد.| ثم غادر.| أين؟| هنا."},
    {"hi", "“नहीं!” उसने कहा।| वह गया।"},
    // Dots.
    {"en", "Wait...| Then he left.| And so on… and on."},
    {"ko", "음... 그건 아니야.| 그렇다...| 끝."},
    {"zh", "他……走了。|好！"},
    {"ja", "終わり。|...次です。"},
    // Small letters and no space.
    {"en", "Yahoo! is here.| iPhone users came.| See os.path and a.b."},
    {"en", "Is it?!| Yes: no.| Go.Then stop."},
    {"hi", "आया।|गया।"},
};

std::string Name(const ::testing::TestParamInfo<Case>& info) {
  return std::string(info.param.language) + "_" + std::to_string(info.index);
}
INSTANTIATE_TEST_SUITE_P(Ordinary, SentenceCases, ::testing::ValuesIn(kOrdinary), Name);
INSTANTIATE_TEST_SUITE_P(Abbreviations, SentenceCases, ::testing::ValuesIn(kAbbreviations), Name);
INSTANTIATE_TEST_SUITE_P(Numbers, SentenceCases, ::testing::ValuesIn(kNumbers), Name);
INSTANTIATE_TEST_SUITE_P(Initials, SentenceCases, ::testing::ValuesIn(kInitials), Name);
INSTANTIATE_TEST_SUITE_P(Marks, SentenceCases, ::testing::ValuesIn(kMarks), Name);

TEST(SentenceLists, TheBuiltInOnesAreInOrder) {
  EXPECT_TRUE(SentenceLists::Check("").ok()) << SentenceLists::Check("").ToString();
  for (const std::string language :
       {"ko", "en", "de", "fr", "es", "it", "pt", "ru", "pl", "zh", "ja", "tr", "hi", "ar"}) {
    EXPECT_THAT(SentenceLists::Languages(), ::testing::Contains(language));
  }
}

TEST(SentenceLists, AFaultIsToldByItsLine) {
  EXPECT_EQ(SentenceLists::Check("[en]\ninside: Dr.\n").message(), "line 2: \"Dr.\" cannot be in \"inside\"");
  EXPECT_EQ(SentenceLists::Check("[en]\nwords: a\n").message(), "line 2: \"a\" cannot be in \"words\"");
  EXPECT_EQ(SentenceLists::Check("[en\n").message(), "line 1: a section's name ends with ]");
  EXPECT_EQ(SentenceLists::Check("[en]\nwords\n").message(), "line 2: expected a list's name and a colon");
}

TEST(SentenceLists, ABundleAddsItsOwnOrReplacesThem) {
  model::v1::SentenceLists own;
  own.add_inside("Abk");
  own.add_may_end("Firma");
  own.add_openers("darauf");
  const std::string text = "Dr. Abk. Meier von Firma. Darauf kam Firma. Otto.";
  EXPECT_EQ(Cut(*SentenceSplitter::Make("de", &own), text), "Dr. Abk. Meier von Firma.|Darauf kam Firma. Otto.");
  own.set_replace(true);
  EXPECT_EQ(Cut(*SentenceSplitter::Make("de", &own), text), "Dr.|Abk. Meier von Firma.|Darauf kam Firma. Otto.");
}

TEST(ClauseEnd, IsTheLastMarkThenTheLastSpaceThenAnywhere) {
  EXPECT_EQ(ClauseEnd("one, two three", 0, 12), 4);
  EXPECT_EQ(ClauseEnd("3,000 two three", 2, 12), 9);
  EXPECT_EQ(ClauseEnd("abcdefgh", 2, 5), 5);
  EXPECT_EQ(ClauseEnd("a, b, c", 3, 7), 5);
  EXPECT_EQ(ClauseEnd("好，很好的", 0, 12), 6);
  EXPECT_EQ(ClauseEnd("好很好", 0, 4), 3);
  EXPECT_EQ(ClauseEnd("好很好", 0, 2), 3) << "at least one code point";
}

}  // namespace
}  // namespace heed
