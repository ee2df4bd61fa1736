#include "client/cli/print_result.h"

#include <google/protobuf/util/json_util.h>

#include <nlohmann/json.hpp>
#include <ostream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/attention_map.h"

namespace heed::cli {
namespace {

constexpr char kMark[] = "~ ";

std::string Json(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.always_print_primitive_fields = true;
  std::string json;
  // Fails for messages that hold an Any or a malformed time alone; heed.v1 has neither.
  (void)google::protobuf::util::MessageToJsonString(message, &json, options);
  return json;
}

std::string JsonString(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// SEGMENT.RANK, score and text of each hypothesis.
void PrintHypotheses(std::int64_t number, const v1::TextOutput& output, const Console& console, Doubts* doubts) {
  for (int i = 0; i < output.segments_size(); ++i) {
    for (int rank = 0; rank < output.segments(i).hypotheses_size(); ++rank) {
      const v1::Hypothesis& hypothesis = output.segments(i).hypotheses(rank);
      *console.out << (doubts->Marks(hypothesis) ? kMark : "")
                   << absl::StrFormat("%d.%d.%d\t%.4f\t", number, i + 1, rank + 1, hypothesis.score())
                   << ForOutput(hypothesis.text(), console) << "\n";
    }
  }
}

}  // namespace

bool ResultPrinter::Print(std::int64_t number, const std::string& source, const v1::TextResult& result,
                          const v1::ModelIdentity& model) const {
  std::ostream& out = *console.out;
  if (result.has_error()) {
    const auto code = static_cast<absl::StatusCode>(result.error().code());
    PrintNote(absl::StrCat("text ", number, ": ", absl::StatusCodeToString(code), ": ", result.error().message()),
              console);
  }
  if (options.json) {
    out << ForOutput(absl::StrCat("{\"source\":", JsonString(source), ",\"result\":", Json(result),
                                  ",\"model\":", Json(model), "}\n"),
                     console);
    doubts->Explain(number, result, model);
    return !result.has_error();
  }
  const v1::TextOutput& output = result.output();
  if (options.search.n_best() > 1) {
    PrintHypotheses(number, output, console, doubts);
  } else {
    out << (doubts->Marks(number, result) ? kMark : "") << ForOutput(output.text(), console) << "\n";
  }
  doubts->Explain(number, result, model);
  for (int i = 0; i < output.segments_size(); ++i) {
    const v1::Segment& segment = output.segments(i);
    if (segment.truncated()) {
      PrintNote(absl::StrCat("text ", number, ": bytes ", segment.begin(), " to ", segment.end(),
                             " were too long for the model and were cut short"),
                console);
    }
    for (int rank = 0; rank < segment.hypotheses_size(); ++rank) {
      for (const HeatMap& map : MapsOf(source, output, i, rank, options.heads)) {
        out << "\n" << Draw(map, draw) << "\n";
      }
    }
  }
  return !result.has_error();
}

DrawOptions ChooseDrawing(const TextOptions& options, const Console& console) {
  DrawOptions draw;
  draw.width = options.width.value_or(console.columns);
  const std::string term = console.environment("TERM").value_or("");
  const Colors has = ColorsOf(term, console.environment("COLORTERM").value_or(""));
  const bool no_color = !console.environment("NO_COLOR").value_or("").empty();
  if (options.color == "always") {
    // Where nothing is known, it is no terminal that will show them, but a page or a pager.
    draw.colors = has != Colors::kNone ? has : term.empty() ? Colors::k256 : Colors::k16;
  } else if (options.color == "auto" && console.out_is_terminal && !no_color && !term.empty() && term != "dumb") {
    draw.colors = has;
  }
  return draw;
}

}  // namespace heed::cli
