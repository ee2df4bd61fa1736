#include "client/cli/text_options.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/cli/search_flags.h"

namespace heed::cli {
namespace {

constexpr std::int64_t kIntMax = std::numeric_limits<std::int32_t>::max();

FlagGroup InputFlags(TextOptions* options) {
  return {
      "Input",
      {StringFlag("file", "FILE", "texts, one per line (- is standard input)", &options->file),
       BoolFlag("whole", "the file, or standard input, is one text of many lines", &options->whole),
       IntFlag(
           "batch_size", "lines sent in one request (default 32)",
           [options](std::int64_t value) { options->batch_size = value; }, 1, 4096),
       IntFlag(
           "in_flight", "requests under way at once (default 4)",
           [options](std::int64_t value) { options->in_flight = value; }, 1, 64),
       BoolFlag("shortlist", "only the output words that the model's shortlist gives (default true, where it has one)",
                &options->shortlist),
       ChoiceFlag("too_long",
                  "what becomes of a sentence that is too long for the model: error refuses the text,\ntruncate drops "
                  "the rest, split makes several of it (default: the model's)",
                  {"error", "truncate", "split"},
                  [options](const std::string& word) {
                    options->too_long = word == "error"      ? v1::TOO_LONG_POLICY_ERROR
                                        : word == "truncate" ? v1::TOO_LONG_POLICY_TRUNCATE
                                                             : v1::TOO_LONG_POLICY_SPLIT;
                  }),
       BoolFlag("truncate", "the same as --too_long=truncate", [options](bool truncate) {
         options->too_long = truncate ? v1::TOO_LONG_POLICY_TRUNCATE : v1::TOO_LONG_POLICY_ERROR;
       })}};
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

FlagGroup TimeFlags(TextOptions* options) {
  return {"Time",
          {ChoiceFlag("priority", "who goes first when requests wait (default interactive)", {"interactive", "batch"},
                      [options](const std::string& value) {
                        options->priority = value == "batch" ? v1::PRIORITY_BATCH : v1::PRIORITY_INTERACTIVE;
                      }),
           DurationFlag("time_budget",
                        "take what is decoded when this is over, per request (1ms to 24h; --timeout is later)",
                        &options->time_budget, absl::Milliseconds(1), absl::Hours(24))}};
}

FlagGroup OutputFlags(TextOptions* options) {
  return {
      "Output",
      {ChoiceFlag("output", "json: one object per text and line, with everything (default text)", {"text", "json"},
                  [options](const std::string& value) { options->json = value == "json"; }),
       BoolFlag(
           "stream",
           "print words as they are decoded (of a text's first sentence; the others follow),\none text after the other",
           &options->stream),
       BoolFlag("plain",
                "no ~ before lines that are likely wrong, and no note that says which those are\n"
                "(default: ~ on a terminal, a note at the end elsewhere; --noplain: ~ everywhere)",
                [options](bool plain) { options->plain = plain; }),
       BoolFlag("attention", "draw what each output word attended to, as a heat map\n(json: return it)",
                &options->attention),
       BoolFlag("energies", "the same for the numbers before the softmax", &options->energies),
       BoolFlag("contexts", "return the context vectors (with --output=json)", &options->contexts),
       ChoiceFlag("unit", "rows and columns of the maps (default words; pieces with --energies and --contexts)",
                  {"words", "pieces"}, [options](const std::string& value) { options->unit = value; }),
       StringFlag("attends", "A,B", "only these attends of the model", &options->attends),
       {"head", "[A:]N", "draw this head alone, from 0 (of attend A); several: 0,3 or A:0,B:2",
        [options](const std::string& value) {
          absl::StatusOr<std::vector<HeadChoice>> heads = ParseHeads(value);
          if (!heads.ok()) return heads.status();
          options->heads = *std::move(heads);
          return absl::OkStatus();
        }},
       IntFlag(
           "width", "columns of the maps, 20 to 1000 (default the terminal's)",
           [options](std::int64_t value) { options->width = static_cast<int>(value); }, 20, 1000),
       ChoiceFlag("color", "of the maps (default auto: on a terminal that has it, unless NO_COLOR is set)",
                  {"auto", "always", "never"}, [options](const std::string& value) { options->color = value; }),
       BoolFlag("progress", "show a bar for files, on a terminal (default true)", &options->progress),
       IntFlag(
           "max_reply_bytes", "largest reply to accept (default 4194304)",
           [options](std::int64_t value) {
             options->max_reply_bytes = value;
             // The message around the texts' results needs a little more than they do.
             constexpr std::int64_t kMargin = 65536;
             options->connection.client.max_receive_bytes = std::min(value + kMargin, kIntMax);
           },
           1, kIntMax)}};
}

}  // namespace

std::vector<FlagGroup> TextFlags(TextOptions* options) {
  std::vector<FlagGroup> search = SearchFlagGroups(&options->search);
  return {InputFlags(options),
          ModelFlags(options),
          std::move(search[0]),
          OutputFlags(options),
          std::move(search[1]),
          TimeFlags(options),
          ConnectionFlags(&options->connection)};
}

absl::Status CheckTextOptions(const TextOptions& options, bool has_operands) {
  if (has_operands && !options.file.empty()) {
    return absl::InvalidArgumentError("texts come from the command line or from --file, not from both");
  }
  if (has_operands && options.whole) {
    return absl::InvalidArgumentError("--whole is for --file and standard input; a text on the command line is whole");
  }
  const bool drawn = options.attention || options.energies;
  if (options.stream && (options.json || drawn || options.contexts || options.search.n_best() > 1)) {
    return absl::InvalidArgumentError(
        "--stream prints the best text alone; leave out --output=json, --attention, "
        "--energies, --contexts and --n_best");
  }
  if ((options.energies || options.contexts) && options.unit == "words") {
    return absl::InvalidArgumentError(
        absl::StrCat(options.energies ? "--energies" : "--contexts", " cannot be folded to words; use --unit=pieces"));
  }
  if (options.contexts && !options.json) {
    return absl::InvalidArgumentError("--contexts are numbers, which are not drawn; use --output=json");
  }
  if (!options.heads.empty() && (options.json || !drawn)) {
    return absl::InvalidArgumentError(options.json ? "--head chooses what is drawn; --output=json has every head"
                                                   : "--head chooses what is drawn; use --attention or --energies");
  }
  return absl::OkStatus();
}

std::optional<v1::AttentionOptions> AttentionOf(const TextOptions& options) {
  if (!options.attention && !options.energies && !options.contexts) return std::nullopt;
  v1::AttentionOptions attention;
  if (options.attention) attention.add_components(v1::ATTENTION_COMPONENT_WEIGHTS);
  if (options.energies) attention.add_components(v1::ATTENTION_COMPONENT_ENERGIES);
  if (options.contexts) attention.add_components(v1::ATTENTION_COMPONENT_CONTEXTS);
  const bool words = options.unit.empty() ? !options.energies && !options.contexts : options.unit == "words";
  attention.set_unit(words ? v1::ATTENTION_UNIT_WORDS : v1::ATTENTION_UNIT_PIECES);
  for (auto name : absl::StrSplit(options.attends, ',', absl::SkipEmpty())) attention.add_attends(std::string(name));
  return attention;
}

google::protobuf::Duration ToProto(absl::Duration duration) {
  google::protobuf::Duration proto;
  proto.set_seconds(absl::IDivDuration(duration, absl::Seconds(1), &duration));
  proto.set_nanos(static_cast<std::int32_t>(absl::ToInt64Nanoseconds(duration)));
  return proto;
}

}  // namespace heed::cli
