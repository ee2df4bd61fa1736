#include "client/cli/search_flags.h"

#include <cstdint>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace heed::cli {
namespace {

using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Reflection;

// "BEAM_STOP_" of BeamStop.
std::string PrefixOf(const EnumDescriptor& type) {
  return std::string(absl::StripSuffix(type.value(0)->name(), "UNSPECIFIED"));
}

// "best_ends" of BEAM_STOP_BEST_ENDS.
std::string WordOf(const EnumDescriptor& type, int index) {
  return absl::AsciiStrToLower(absl::StripPrefix(type.value(index)->name(), PrefixOf(type)));
}

Flag EnumFlag(const FieldDescriptor* field, std::string help, v1::SearchOptions* search) {
  const EnumDescriptor& type = *field->enum_type();
  std::vector<std::string> words;
  for (int i = 1; i < type.value_count(); ++i) words.push_back(WordOf(type, i));
  return ChoiceFlag(field->name(), std::move(help), std::move(words), [search, field](const std::string& word) {
    const EnumDescriptor& values = *field->enum_type();
    for (int i = 1; i < values.value_count(); ++i) {
      if (WordOf(values, i) == word) search->GetReflection()->SetEnum(search, field, values.value(i));
    }
  });
}

Flag OptionalBoolFlag(const FieldDescriptor* field, std::string help, v1::SearchOptions* search) {
  return {field->name(), "", std::move(help), [search, field](const std::string& value) {
            bool on = false;
            if (!absl::SimpleAtob(value, &on)) return absl::InvalidArgumentError("it must be true or false");
            search->GetReflection()->SetBool(search, field, on);
            return absl::OkStatus();
          }};
}

// The server's bounds apply; here it only has to be a value that the field can hold. `range` says them to people.
Flag FieldFlag(const std::string& name, std::string help, std::string range, v1::SearchOptions* search) {
  const FieldDescriptor* const field = v1::SearchOptions::descriptor()->FindFieldByName(name);
  const Reflection* const reflection = search->GetReflection();
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return IntFlag(
          name, std::move(help), [=](std::int32_t value) { reflection->SetInt32(search, field, value); },
          std::move(range));
    case FieldDescriptor::CPPTYPE_FLOAT:
      return FloatFlag(
          name, std::move(help), [=](float value) { reflection->SetFloat(search, field, value); }, std::move(range));
    case FieldDescriptor::CPPTYPE_BOOL:
      return OptionalBoolFlag(field, std::move(help), search);
    case FieldDescriptor::CPPTYPE_ENUM:
      return EnumFlag(field, std::move(help), search);
    default:
      return StringFlag(name, "NAME", std::move(help),
                        [=](const std::string& value) { reflection->SetString(search, field, value); });
  }
}

// "none", "average", "average:0.8", "gnmt", "gnmt:0.6", "gnmt:0.6:0".
absl::Status SetLengthNormalization(const std::string& value, v1::SearchOptions* search) {
  const std::vector<std::string> parts = absl::StrSplit(value, ':');
  float numbers[2] = {0, 0};  // alpha, beta
  const std::size_t count = parts.size() - 1;
  for (std::size_t i = 0; i < count && i < 2; ++i) {
    if (!absl::SimpleAtof(parts[i + 1], &numbers[i])) {
      return absl::InvalidArgumentError("what stands behind a colon must be a number: ALPHA 0 to 5, BETA 0 to 100");
    }
  }
  if (parts[0] == "none" && count == 0) {
    search->mutable_none();
  } else if (parts[0] == "average" && count <= 1) {
    auto* const average = search->mutable_average();
    if (count > 0) average->set_alpha(numbers[0]);
  } else if (parts[0] == "gnmt" && count <= 2) {
    auto* const gnmt = search->mutable_gnmt();
    if (count > 0) gnmt->set_alpha(numbers[0]);
    if (count > 1) gnmt->set_beta(numbers[1]);
  } else {
    return absl::InvalidArgumentError("it must be none, average[:ALPHA] or gnmt[:ALPHA[:BETA]]");
  }
  return absl::OkStatus();
}

struct FieldHelp {
  const char* name;
  const char* help;
  const char* range = "";  // of a number: docs of heed.v1.SearchOptions have the same
};

constexpr FieldHelp kUsual[] = {
    {"beam_size", "hypotheses kept; 1 is greedy", "1 to the server's --max_beam_size (16 where it says nothing else)"},
    {"n_best", "hypotheses returned, at most beam_size", "1 to --beam_size"},
    {"min_length", "fewest tokens of an output", "0 to --max_length"},
    {"max_length", "most tokens of an output",
     "1 to the server's --max_target_tokens (512 where it says nothing else)"},
    {"repetition_penalty", "factor on tokens that were used before; 1 is none", "1 to 10"},
    {"no_repeat_ngram_size", "no sequence of so many tokens twice; 0 is off", "0 to 16"},
    {"unknowns", "whether the unknown piece may come"},
    {"replace_unknowns", "put the source's word that was attended to most for an unknown piece"},
};

constexpr FieldHelp kToolkit[] = {
    {"beam_policy", "which continuations of a beam go on"},
    {"beam_stop", "when a beam search is over"},
    {"unfinished", "what becomes of the unfinished at max_length"},
    {"min_length_a", "min_length as A times the source's tokens", "0 to 100"},
    {"min_length_b", "plus so many", "0 to 100000"},
    {"max_length_a", "max_length as A times the source's tokens", "0 to 100"},
    {"max_length_b", "plus so many", "0 to 100000"},
    {"length_offset", "added to the length that scores are normalised by", "-1 to 1"},
    {"length_every_step", "normalise at every step (beam_policy keep)"},
    {"late_end_scores", "an end counts from the next step on (with length_every_step)"},
    {"unknown_penalty", "taken from the score for each unknown piece", "-100 to 100"},
    {"word_penalty", "taken from the score for each token", "-100 to 100"},
    {"coverage_penalty", "penalty on what attention covered"},
    {"coverage_beta", "factor of coverage_penalty", "0 to 100"},
    {"coverage_every_step", "coverage counts at every step, not at the end"},
    {"no_repeat_ngram_drops", "no_repeat_ngram_size drops a hypothesis instead of banning tokens"},
    {"attend", "the attend that coverage and replacing read"},
};

}  // namespace

std::vector<FlagGroup> SearchFlagGroups(v1::SearchOptions* search) {
  FlagGroup usual{"Search (default: the model's)", {}}, toolkit{"Search as a toolkit does it (docs/bundle.md)", {}};
  for (const FieldHelp& field : kUsual) usual.flags.push_back(FieldFlag(field.name, field.help, field.range, search));
  usual.flags.push_back({"length_normalization", "HOW", "none, average[:ALPHA] or gnmt[:ALPHA[:BETA]]",
                         [search](const std::string& value) { return SetLengthNormalization(value, search); }});
  for (const FieldHelp& field : kToolkit)
    toolkit.flags.push_back(FieldFlag(field.name, field.help, field.range, search));
  return {std::move(usual), std::move(toolkit)};
}

}  // namespace heed::cli
