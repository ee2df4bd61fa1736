#include "server/text/script_coverage.h"

#include <unicode/uchar.h>
#include <unicode/uniset.h>
#include <unicode/uscript.h>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/base/quote.h"
#include "engine/base/status_macros.h"
#include "server/text/utf8.h"

namespace heed {
namespace {

// Where a letter belongs.
enum class Belongs { kNowhere, kOwn, kElsewhere };

// There are codes for several scripts at once ("Jpan") and for what is of none, which no character has as its script.
absl::StatusOr<UScriptCode> ScriptNamed(const std::string& code, int index) {
  const auto script = static_cast<UScriptCode>(u_getPropertyValueEnum(UCHAR_SCRIPT, code.c_str()));
  bool known = script > USCRIPT_INHERITED && script != USCRIPT_UNKNOWN && code == uscript_getShortName(script);
  if (known) {
    UErrorCode error = U_ZERO_ERROR;
    icu::UnicodeSet characters;
    characters.applyIntPropertyValue(UCHAR_SCRIPT, script, error);
    known = U_SUCCESS(error) != 0 && !characters.isEmpty();
  }
  if (known) return script;
  return absl::InvalidArgumentError(absl::StrCat("model.json: source_scripts.scripts[", index, "] is ", Quote(code),
                                                 ", expected the ISO 15924 code of one script that characters have "
                                                 "(\"Hira\", \"Kana\" and \"Hani\" for Japanese)"));
}

Belongs Where(UChar32 letter, const std::vector<UScriptCode>& own) {
  if (std::any_of(own.begin(), own.end(), [&](UScriptCode script) { return uscript_hasScript(letter, script) != 0; })) {
    return Belongs::kOwn;
  }
  // The most scripts that a character of Unicode 14 has are 21; which is the first of a longer list is told all the
  // same.
  std::array<UScriptCode, 32> scripts = {USCRIPT_COMMON};
  UErrorCode error = U_ZERO_ERROR;
  uscript_getScriptExtensions(letter, scripts.data(), static_cast<int>(scripts.size()), &error);
  return scripts[0] == USCRIPT_COMMON || scripts[0] == USCRIPT_INHERITED ? Belongs::kNowhere : Belongs::kElsewhere;
}

}  // namespace

absl::StatusOr<ScriptCoverage> ScriptCoverage::Make(const model::v1::SourceScripts& scripts,
                                                    const model::v1::Vocabulary& source, const Tokenizer& tokenizer) {
  std::vector<UScriptCode> own;
  for (int i = 0; i < scripts.scripts_size(); ++i) {
    HEED_ASSIGN_OR_RETURN(const UScriptCode script, ScriptNamed(scripts.scripts(i), i));
    own.push_back(script);
  }
  std::vector<Kind> kinds(static_cast<std::size_t>(source.size()), Kind::kDoesNotCount);
  for (TokenId id = 0; id < source.size(); ++id) {
    Kind& kind = kinds[static_cast<std::size_t>(id)];
    if (tokenizer.IsSpecial(id)) continue;
    if (id == source.unk_id() || tokenizer.IsByte(id)) {
      kind = Kind::kForeign;
      continue;
    }
    const std::string_view piece = tokenizer.Piece(id);
    for (std::size_t at = 0; at < piece.size() && kind != Kind::kForeign;) {
      const CodePoint next = CodePointAt(piece, at);
      at += static_cast<std::size_t>(next.size);
      if (u_isalpha(static_cast<UChar32>(next.value)) == 0) continue;
      const Belongs where = Where(static_cast<UChar32>(next.value), own);
      if (where != Belongs::kNowhere) kind = where == Belongs::kOwn ? Kind::kOwn : Kind::kForeign;
    }
  }
  return ScriptCoverage(std::move(kinds));
}

std::optional<double> ScriptCoverage::Share(absl::Span<const TokenId> source) const {
  int own = 0, counted = 0;
  for (const TokenId id : source) {
    const Kind kind = kinds_[static_cast<std::size_t>(id)];
    counted += static_cast<int>(kind != Kind::kDoesNotCount);
    own += static_cast<int>(kind == Kind::kOwn);
  }
  if (counted == 0) return std::nullopt;
  return static_cast<double>(own) / counted;
}

}  // namespace heed
