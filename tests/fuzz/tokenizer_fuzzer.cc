// Tokeniser files of every kind and a text that is encoded with them and decoded again. Nothing in a file crashes; a
// tokeniser that is made keeps the promises of server/text/tokenizer.h.
//
// An input: a byte for the kind, one of flags, the text, the mark, the pieces one a line, the rest is the model, the
// merges or the file of that kind. Text, mark and pieces are parts: two bytes of length each.
#include <google/protobuf/util/json_util.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "engine/model/check_vocabulary.h"
#include "server/text/charsmap.h"
#include "server/text/sentencepiece_model.h"
#include "server/text/sentences.h"
#include "server/text/string_array.h"
#include "server/text/text_decoder.h"
#include "server/text/tokenizer.h"
#include "server/text/utf8.h"
#include "tests/fuzz/fuzz.h"

namespace heed::fuzz {
namespace {

using model::v1::Vocabulary;

constexpr std::size_t kMaxTextBytes = 2000;  // an admitted text is bounded too

enum Kind { kModel, kListedModel, kBpe, kOpenNmt, kOpenNmtBpe, kWords, kCharacters, kPretokenized, kCharsmap, kList };
constexpr int kKinds = kList + 1;

struct Parts {
  int kind = 0;
  int flags = 0;
  std::string text, mark, file;
  std::vector<std::string> pieces;
};

// The pieces as a file of a vocabulary: whatever they are, it is valid.
std::string ListOf(const std::vector<std::string>& pieces) {
  const auto escaped = [](std::string* out, const std::string& piece) {
    *out += '"';
    for (const char c : piece) {
      if (c == '"' || c == '\\') *out += '\\';
      if (static_cast<unsigned char>(c) < ' ') {
        absl::StrAppend(out, "\\u00", absl::Hex(static_cast<unsigned char>(c), absl::kZeroPad2));
      } else {
        *out += c;
      }
    }
    *out += '"';
  };
  return absl::StrCat("[", absl::StrJoin(pieces, ",", escaped), "]");
}

// A vocabulary that fits the model, if that is one.
void FitModel(const Parts& parts, Vocabulary* vocabulary) {
  vocabulary->mutable_sentencepiece()->set_file("f");
  const auto model = ReadSentencePieceModel(parts.file, std::nullopt);
  RequireOneLine(model.status());
  if (!model.ok() || parts.kind == kListedModel) return;
  vocabulary->set_size(static_cast<int>(model->pieces.size()));
  vocabulary->set_unk_id(model->unk_id);
  if (model->bos_id >= 0) vocabulary->set_bos_id(model->bos_id);
  if (model->eos_id >= 0) vocabulary->set_eos_id(model->eos_id);
  for (std::size_t id = 0; id < model->pieces.size(); ++id) {
    if (model->pieces[id].type != SentencePieceModel::PieceType::kControl) continue;
    vocabulary->add_special_ids(static_cast<int>(id));
  }
}

Vocabulary VocabularyOf(const Parts& parts) {
  Vocabulary vocabulary;
  vocabulary.set_size(static_cast<int>(parts.pieces.size()));
  vocabulary.set_unk_id(0);
  vocabulary.set_eos_id(1);
  if (parts.kind != kModel) vocabulary.set_pieces("p");
  vocabulary.set_lowercase((parts.flags & 1) != 0);
  model::v1::OpenNmtTokenizer& opennmt = *vocabulary.mutable_opennmt();
  opennmt.set_mode(static_cast<model::v1::OpenNmtMode>(1 + parts.flags / 4 % 3));
  opennmt.set_spacer_annotate((parts.flags & 2) != 0);
  opennmt.set_joiner_annotate((parts.flags & 2) == 0);
  opennmt.set_mark(parts.mark);
  switch (parts.kind) {
    case kModel:
    case kListedModel:
      FitModel(parts, &vocabulary);
      break;
    case kBpe:
      vocabulary.mutable_bpe()->set_merges("f");
      vocabulary.mutable_bpe()->set_separator(parts.mark);
      vocabulary.mutable_bpe()->set_split_unknown((parts.flags & 2) != 0);
      break;
    case kOpenNmtBpe:
      opennmt.set_merges("f");
      break;
    case kWords:
      vocabulary.mutable_words();
      break;
    case kCharacters:
      vocabulary.mutable_characters()->set_space(parts.mark);
      break;
    case kPretokenized:
      vocabulary.mutable_pretokenized();
      break;
    default:
      break;
  }
  return vocabulary;
}

void RequireRanges(std::string_view text, const std::vector<ByteRange>& ranges) {
  const auto boundary = [text](int at) {
    return at == static_cast<int>(text.size()) || (static_cast<unsigned char>(text[at]) & 0xC0) != 0x80;
  };
  ByteRange last;
  for (const ByteRange& range : ranges) {
    Require(0 <= range.begin && range.begin <= range.end && range.end <= static_cast<int>(text.size()),
            "a range lies in its text");
    Require(last.begin <= range.begin && last.end <= range.end, "ranges are in order");
    Require(boundary(range.begin) && boundary(range.end), "a range begins and ends between code points");
    last = range;
  }
}

void RequireCover(std::string_view text, const std::vector<ByteRange>& ranges) {
  if (ranges.empty()) return;  // a text that normalisation deletes
  std::vector<bool> covered(text.size());
  for (const ByteRange& range : ranges) std::fill_n(covered.begin() + range.begin, range.end - range.begin, true);
  for (std::size_t i = 0; i < text.size(); i += CodePointAt(text, i).size) {
    Require(covered[i] || IsWhiteSpace(CodePointAt(text, i).value), "every byte that is no space has a piece", text);
  }
}

void RequireDecodes(const Tokenizer& tokenizer, const std::vector<TokenId>& ids, const std::vector<GivenToken>& given) {
  const DecodedText decoded = tokenizer.Decode(ids, given);
  Require(IsValidUtf8(decoded.text), "decoded text is UTF-8", decoded.text);
  Require(decoded.ranges.size() == ids.size(), "every id has a range");
  RequireRanges(decoded.text, decoded.ranges);
  const std::unique_ptr<TextDecoder> decoder = tokenizer.StartDecoding();
  std::string before;
  std::size_t next = 0, settled = 0;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    next < given.size() && given[next].index == static_cast<int>(i) ? decoder->Add(given[next++])
                                                                    : decoder->Add(ids[i]);
    Require(decoder->decoded().text.starts_with(before), "text that was told is never taken back");
    Require(decoder->settled() >= settled && decoder->settled() <= i + 1, "settled ranges stay so");
    before = decoder->decoded().text;
    settled = decoder->settled();
  }
  decoder->Finish();
  Require(decoder->decoded().text == decoded.text && decoder->decoded().ranges == decoded.ranges,
          "token by token gives the same text");
}

void TryText(const Tokenizer& tokenizer, int size, const std::string& text) {
  const EncodedText encoded = tokenizer.Encode(text);
  Require(encoded.ids.size() == encoded.ranges.size() && encoded.ids.size() == encoded.spellings.size(),
          "every id has a range and a spelling");
  RequireRanges(text, encoded.ranges);
  RequireCover(text, encoded.ranges);
  std::vector<GivenToken> given;
  for (std::size_t i = 0; i < encoded.ids.size(); ++i) {
    const TokenId id = encoded.ids[i];
    Require(id >= 0 && id < size, "an id is in the vocabulary");
    Require(!tokenizer.IsSpecial(id), "text never becomes a special id", text);
    const auto found = tokenizer.Find(encoded.spellings[i]);
    Require(!found.has_value() || (*found >= 0 && *found < size && !tokenizer.IsSpecial(*found)), "Find gives text");
    if (i % 3 != 1) continue;
    const ByteRange& range = encoded.ranges[i];
    given.push_back({.index = static_cast<int>(i),
                     .spelling = encoded.spellings[i],
                     .text = std::string_view(text).substr(range.begin, range.end - range.begin)});
  }
  RequireDecodes(tokenizer, encoded.ids, {});
  RequireDecodes(tokenizer, encoded.ids, given);
  std::vector<TokenId> any;  // as an engine may emit them, and two that it may not
  for (const char c : text) any.push_back(static_cast<unsigned char>(c) % (size + 2) - 1);
  RequireDecodes(tokenizer, any, {});
}

void TryCharsmap(const Parts& parts) {
  const auto map = Charsmap::Parse(parts.file);
  RequireOneLine(map.status());
  if (!map.ok()) return;
  for (std::size_t i = 0; i < parts.text.size(); i += CodePointAt(parts.text, i).size) {
    const Charsmap::Match match = map->Longest(std::string_view(parts.text).substr(i));
    Require(match.size >= 0 && i + match.size <= parts.text.size(), "a rule matches within the text");
    Require(IsValidUtf8(std::string_view(parts.text).substr(i, match.size)), "a rule takes whole characters");
  }
}

void Try(Input input) {
  Parts parts;
  parts.kind = input.Byte() % kKinds;
  parts.flags = input.Byte();
  parts.text = input.Part().substr(0, kMaxTextBytes);
  parts.mark = input.Part();
  const std::string pieces = input.Part();
  parts.file = input.Rest();
  if (!IsValidUtf8(parts.text) || !IsValidUtf8(parts.mark) || !IsValidUtf8(pieces)) return;
  parts.pieces = absl::StrSplit(pieces, '\n');
  if (parts.kind == kCharsmap) return TryCharsmap(parts);
  if (parts.kind == kList) return RequireOneLine(ParseStringArray(parts.file, parts.flags).status());
  const Vocabulary vocabulary = VocabularyOf(parts);
  if (const absl::Status fits = CheckVocabulary("source", vocabulary, true); !fits.ok()) return RequireOneLine(fits);
  const auto tokenizer = Tokenizer::Make(vocabulary, {{"f", parts.file}, {"p", ListOf(parts.pieces)}});
  RequireOneLine(tokenizer.status());
  if (tokenizer.ok()) TryText(**tokenizer, vocabulary.size(), parts.text);
}

}  // namespace
}  // namespace heed::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  heed::fuzz::Try(heed::fuzz::Input(data, size));
  return 0;
}
