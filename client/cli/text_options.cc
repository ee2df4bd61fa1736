#include "client/cli/text_options.h"

#include <limits>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"

namespace heed::cli {
namespace {

constexpr std::int64_t kIntMin = std::numeric_limits<std::int32_t>::min();
constexpr std::int64_t kIntMax = std::numeric_limits<std::int32_t>::max();

// The server's bounds apply; here it only has to be a number that the field can hold.
Flag SearchInt(std::string name, std::string help, v1::SearchOptions* search,
               void (v1::SearchOptions::*set)(std::int32_t)) {
  return IntFlag(
      std::move(name), std::move(help),
      [search, set](std::int64_t value) { (search->*set)(static_cast<std::int32_t>(value)); }, kIntMin, kIntMax);
}

// "none", "average", "average:0.8", "gnmt", "gnmt:0.6".
absl::Status SetLengthNormalization(const std::string& value, v1::SearchOptions* search) {
  const std::vector<std::string> parts = absl::StrSplit(value, absl::MaxSplits(':', 1));
  float alpha = 0;
  const bool has_alpha = parts.size() == 2;
  if (has_alpha && !absl::SimpleAtof(parts[1], &alpha)) {
    return absl::InvalidArgumentError("the exponent behind the colon must be a number");
  }
  if (parts[0] == "none" && !has_alpha) {
    search->mutable_none();
  } else if (parts[0] == "average") {
    auto* const average = search->mutable_average();
    if (has_alpha) average->set_alpha(alpha);
  } else if (parts[0] == "gnmt") {
    auto* const gnmt = search->mutable_gnmt();
    if (has_alpha) gnmt->set_alpha(alpha);
  } else {
    return absl::InvalidArgumentError("it must be none, average, average:ALPHA, gnmt or gnmt:ALPHA");
  }
  return absl::OkStatus();
}

FlagGroup InputFlags(TextOptions* options) {
  return {"Input",
          {StringFlag("file", "FILE", "texts, one per line (- is standard input)", &options->file),
           BoolFlag("whole", "the file, or standard input, is one text of many lines", &options->whole),
           IntFlag(
               "batch_size", "lines sent in one request (default 32)",
               [options](std::int64_t value) { options->batch_size = value; }, 1, 4096),
           IntFlag(
               "in_flight", "requests under way at once (default 4)",
               [options](std::int64_t value) { options->in_flight = value; }, 1, 64)}};
}

FlagGroup ModelFlags(TextOptions* options) {
  v1::ModelSelector* const model = &options->model;
  return {"Model (not needed where the server has one for the task)",
          {StringFlag("model", "NAME", "by its name", [model](const std::string& value) { model->set_name(value); }),
           StringFlag("model_version", "VERSION", "its version (default: the only one)",
                      [model](const std::string& value) { model->set_version(value); }),
           StringFlag("source_language", "TAG", "by the language of the texts, \"ko\"",
                      [model](const std::string& value) { model->set_source_language(value); }),
           StringFlag("target_language", "TAG", "by the language wanted, \"en\"",
                      [model](const std::string& value) { model->set_target_language(value); })}};
}

FlagGroup SearchFlags(TextOptions* options) {
  v1::SearchOptions* const search = &options->search;
  return {
      "Search (default: the model's)",
      {SearchInt("beam_size", "hypotheses kept; 1 is greedy", search, &v1::SearchOptions::set_beam_size),
       SearchInt("n_best", "hypotheses returned, at most beam_size", search, &v1::SearchOptions::set_n_best),
       SearchInt("min_length", "fewest tokens of an output", search, &v1::SearchOptions::set_min_length),
       SearchInt("max_length", "most tokens of an output", search, &v1::SearchOptions::set_max_length),
       {"length_normalization", "HOW", "none, average[:ALPHA] or gnmt[:ALPHA]",
        [search](const std::string& value) { return SetLengthNormalization(value, search); }},
       FloatFlag("repetition_penalty", "factor on tokens that were used before; 1 is none",
                 [search](float value) { search->set_repetition_penalty(value); }),
       SearchInt("no_repeat_ngram_size", "no sequence of so many tokens twice; 0 is off", search,
                 &v1::SearchOptions::set_no_repeat_ngram_size),
       BoolFlag("shortlist", "only the output words that the model's shortlist gives (default true, where it has one)",
                &options->shortlist),
       BoolFlag("truncate", "cut what is too long for the model instead of refusing it", &options->truncate)}};
}

FlagGroup OutputFlags(TextOptions* options) {
  return {"Output",
          {ChoiceFlag("output", "json: one object per text and line, with everything (default text)", {"text", "json"},
                      [options](const std::string& value) { options->json = value == "json"; }),
           BoolFlag("attention", "draw what each output word attended to, as a heat map\n(json: return it)",
                    &options->attention),
           BoolFlag("energies", "the same for the numbers before the softmax", &options->energies),
           ChoiceFlag("unit", "rows and columns of the maps (default words; pieces with --energies)",
                      {"words", "pieces"}, [options](const std::string& value) { options->unit = value; }),
           StringFlag("attends", "A,B", "only these attends of the model", &options->attends),
           ChoiceFlag("color", "of the maps (default auto: on a terminal that has it, unless NO_COLOR is set)",
                      {"auto", "always", "never"}, [options](const std::string& value) { options->color = value; }),
           BoolFlag("progress", "show a bar for files, on a terminal (default true)", &options->progress),
           IntFlag(
               "max_reply_bytes", "largest reply to accept (default 4194304)",
               [options](std::int64_t value) {
                 options->max_reply_bytes = value;
                 // The message around the texts' results needs a little more than they do.
                 constexpr std::int64_t kMargin = 65536;
                 if (value > 0 && value <= kIntMax - kMargin) {
                   options->connection.client.max_receive_bytes = value + kMargin;
                 }
               },
               std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max())}};
}

}  // namespace

std::vector<FlagGroup> TextFlags(TextOptions* options) {
  return {InputFlags(options), ModelFlags(options), SearchFlags(options), OutputFlags(options),
          ConnectionFlags(&options->connection)};
}

absl::Status CheckTextOptions(const TextOptions& options, bool has_operands) {
  if (has_operands && !options.file.empty()) {
    return absl::InvalidArgumentError("texts come from the command line or from --file, not from both");
  }
  if (has_operands && options.whole) {
    return absl::InvalidArgumentError("--whole is for --file and standard input; a text on the command line is whole");
  }
  if (options.energies && options.unit == "words") {
    return absl::InvalidArgumentError("--energies cannot be folded to words; use --unit=pieces");
  }
  return absl::OkStatus();
}

std::optional<v1::AttentionOptions> AttentionOf(const TextOptions& options) {
  if (!options.attention && !options.energies) return std::nullopt;
  v1::AttentionOptions attention;
  if (options.attention) attention.add_components(v1::ATTENTION_COMPONENT_WEIGHTS);
  if (options.energies) attention.add_components(v1::ATTENTION_COMPONENT_ENERGIES);
  const bool words = options.unit.empty() ? !options.energies : options.unit == "words";
  attention.set_unit(words ? v1::ATTENTION_UNIT_WORDS : v1::ATTENTION_UNIT_PIECES);
  for (auto name : absl::StrSplit(options.attends, ',', absl::SkipEmpty())) attention.add_attends(std::string(name));
  return attention;
}

}  // namespace heed::cli
