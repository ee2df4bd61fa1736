#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <ostream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "client/cli/certificate.h"
#include "client/cli/commands.h"
#include "client/cli/connection.h"
#include "client/cli/width.h"

namespace heed::cli {
namespace {

constexpr char kUsage[] =
    "heed models [FLAGS] [NAME]: lists the models of a server, those that failed to load and why; or prints one\n"
    "model's parity certificate in a few lines, and its card.\n"
    "\n"
    "  heed models\n"
    "  heed models pydocs-ko-en\n"
    "  heed models --output=json pydocs-ko-en\n";

using Row = std::vector<std::string>;

std::string TaskName(v1::Task task) {
  switch (task) {
    case v1::TASK_TRANSLATE:
      return "translate";
    case v1::TASK_SUMMARIZE:
      return "summarize";
    default:
      return "-";
  }
}

Row RowOf(const v1::ModelSummary& model) {
  return {Printable(model.name()),
          Printable(model.version()),
          TaskName(model.task()),
          Printable(model.source_language() == model.target_language()
                        ? model.source_language()
                        : absl::StrCat(model.source_language(), "-", model.target_language())),
          absl::StrFormat("%.1f M", static_cast<double>(model.parameters()) / 1e6),
          model.precision().empty() ? "-" : Printable(model.precision()),
          absl::StrFormat("%.1f MB", static_cast<double>(model.weight_bytes()) / 1e6),
          absl::StrFormat("%.0f ms", model.load_seconds() * 1e3),
          model.attends().empty() ? "-" : Printable(absl::StrJoin(model.attends(), ",")),
          Printable(model.license())};
}

std::string Table(const std::vector<Row>& rows) {
  std::vector<int> widths(rows[0].size(), 0);
  for (const Row& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], DisplayWidth(row[i]));
  }
  std::string table;
  for (const Row& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) absl::StrAppend(&line, PadRight(row[i], widths[i]), "  ");
    table += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return table;
}

void PrintTable(const v1::ListModelsResponse& response, std::ostream& out) {
  std::vector<Row> rows = {
      {"NAME", "VERSION", "TASK", "LANGUAGES", "WEIGHTS", "PRECISION", "MEMORY", "LOADED IN", "ATTENDS", "LICENSE"}};
  std::string failed;
  for (const v1::ModelSummary& model : response.models()) {
    if (model.state() == v1::MODEL_STATE_FAILED) {
      absl::StrAppend(&failed, "failed to load: ", Printable(model.folder()), ": ", Printable(model.error()), "\n");
    } else {
      rows.push_back(RowOf(model));
    }
  }
  if (rows.size() > 1) out << Table(rows);
  out << failed;
}

template <typename Response>
int PrintJson(const Response& response, const Console& console) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.always_print_primitive_fields = true;
  std::string json;
  (void)google::protobuf::util::MessageToJsonString(response, &json, options);
  *console.out << ForOutput(json, console);
  return kExitOk;
}

struct ModelsOptions {
  ConnectionOptions connection;
  v1::GetModelRequest request;
  bool json = false;
};

int List(const ModelsOptions& options, Client* client, const Console& console) {
  const auto response = client->ListModels(absl::Now() + options.connection.timeout);
  if (!response.ok()) return PrintError(response.status(), options.connection, console);
  if (options.json) return PrintJson(*response, console);
  PrintTable(*response, *console.out);
  return kExitOk;
}

int Show(const ModelsOptions& options, Client* client, const Console& console) {
  const auto response = client->GetModel(options.request, absl::Now() + options.connection.timeout);
  if (!response.ok()) return PrintError(response.status(), options.connection, console);
  if (options.json) return PrintJson(*response, console);
  v1::ListModelsResponse one;
  *one.add_models() = response->model();
  PrintTable(one, *console.out);
  *console.out << "bundle " << Printable(response->model().bundle_digest()) << "\n"
               << CertificateOutline(response->parity_json()) << "\n"
               << PrintableText(response->card());
  return kExitOk;
}

}  // namespace

int RunModels(const std::vector<std::string>& arguments, const Console& console) {
  ModelsOptions options;
  bool help = false;
  const std::vector<FlagGroup> flags = {
      {"Models",
       {StringFlag("model_version", "VERSION", "of the model NAME (default: the only one)",
                   [&options](const std::string& value) { options.request.set_version(value); }),
        ChoiceFlag("output", "json: everything that the server says (default text)", {"text", "json"},
                   [&options](const std::string& value) { options.json = value == "json"; })}},
      ConnectionFlags(&options.connection),
      {"Other", {BoolFlag("help", "print this", &help)}}};
  const auto operands = ParseFlags(flags, arguments, console.environment);
  if (!operands.ok()) return PrintUsageError(std::string(operands.status().message()), console);
  if (help) {
    *console.out << kUsage << "\n" << FlagHelp(flags) << kExitCodeHelp;
    return kExitOk;
  }
  if (operands->size() > 1 || (operands->empty() && options.request.has_version())) {
    return PrintUsageError("heed models takes one NAME at most, and --model_version only with it", console);
  }
  const auto client = Connect(options.connection);
  if (!client.ok()) return PrintUsageError(std::string(client.status().message()), console);
  if (operands->empty()) return List(options, client->get(), console);
  options.request.set_name(operands->front());
  return Show(options, client->get(), console);
}

}  // namespace heed::cli
