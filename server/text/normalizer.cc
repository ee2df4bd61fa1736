#include "server/text/normalizer.h"

#include <algorithm>
#include <cstddef>

#include "server/text/utf8.h"

namespace heed {
namespace {

void AddSpace(NormalizedText* out) {
  out->text += kSpaceSymbol;
  out->unit.insert(out->unit.end(), kSpaceSymbol.size(), -1);
}

void AddUnit(std::string_view output, ByteRange source, NormalizedText* out) {
  bool listed = false;
  for (char c : output) {
    if (c == ' ') {
      AddSpace(out);
      continue;
    }
    if (!listed) out->units.push_back(source);
    listed = true;
    out->text += c;
    out->unit.push_back(static_cast<int>(out->units.size()) - 1);
  }
}

void RemoveSpacesAtEnd(NormalizedText* out) {
  while (out->text.ends_with(kSpaceSymbol)) out->text.resize(out->text.size() - kSpaceSymbol.size());
  out->unit.resize(out->text.size());
  const auto last = std::find_if(out->unit.rbegin(), out->unit.rend(), [](int unit) { return unit >= 0; });
  out->units.resize(last == out->unit.rend() ? 0 : *last + 1);
}

}  // namespace

Normalizer::Step Normalizer::Next(std::string_view text) const {
  if (const std::size_t size = symbols_.LongestPrefix(text); size > 0) {
    return {static_cast<int>(size), text.substr(0, size)};
  }
  const Charsmap::Match match = model_.charsmap.Longest(text);
  if (match.size > 0) return {match.size, match.output};
  const int size = CodePointAt(text, 0).size;
  return {size, text.substr(0, size)};
}

NormalizedText Normalizer::Normalize(std::string_view text) const {
  NormalizedText out;
  std::size_t position = 0;
  if (model_.remove_extra_whitespaces) {
    while (position < text.size()) {
      const Step step = Next(text.substr(position));
      if (step.output != " ") break;
      position += step.size;
    }
  }
  if (position == text.size()) return out;
  out.text.reserve(text.size() + text.size() / 2);
  out.unit.reserve(text.size() + text.size() / 2);
  if (model_.add_dummy_prefix && !model_.whitespace_as_suffix) AddSpace(&out);
  bool after_space = model_.remove_extra_whitespaces;
  while (position < text.size()) {
    Step step = Next(text.substr(position));
    while (after_space && step.output.starts_with(' ')) step.output.remove_prefix(1);
    const int begin = static_cast<int>(position);
    AddUnit(step.output, {begin, begin + step.size}, &out);
    if (!step.output.empty()) after_space = step.output.back() == ' ';
    if (!model_.remove_extra_whitespaces) after_space = false;
    position += step.size;
  }
  if (model_.remove_extra_whitespaces) RemoveSpacesAtEnd(&out);
  if (model_.add_dummy_prefix && model_.whitespace_as_suffix) AddSpace(&out);
  return out;
}

}  // namespace heed
