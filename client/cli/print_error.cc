#include <optional>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/cli/connection.h"
#include "client/cli/console.h"
#include "client/cli/probe.h"
#include "client/error.h"
#include "client/proxy.h"

namespace heed::cli {
namespace {

constexpr absl::Duration kProbeTime = absl::Milliseconds(500);

// What answers at an address where nobody spoke gRPC as asked; empty: nothing that would help.
std::string WhatAnswers(const ClientOptions& client) {
  switch (Probe(client.address, client.tls, kProbeTime)) {
    case Speaks::kTls:
      return client.tls ? ""
                        : "it speaks TLS: use --tls, or --tls_ca=FILE with the certificate that it has or is signed by";
    case Speaks::kHttp2:
      return client.tls ? "it speaks without TLS: leave out --tls, --tls_ca and --tls_certificate (and HEED_TLS...)"
                        : "";
    case Speaks::kHttp1:
      return "it speaks HTTP/1 and no gRPC: is that the port of the metrics, or a web server?";
    case Speaks::kNothing:
      return "";
  }
  return "";
}

void Hint(const std::string& hint, const Console& console) {
  if (!hint.empty()) PrintNote(absl::StrCat("  ", hint), console);
}

void HintUnavailable(const std::string& message, const ConnectionOptions& connection, const Console& console) {
  const ClientOptions client = WithTls(connection);
  const std::optional<Proxy> proxy = ProxyFor(client.address);
  Hint(absl::StrCat("that was ", client.address, "; --address or HEED_ADDRESS names another server"), console);
  if (proxy.has_value()) {
    if (!absl::StrContains(message, proxy->shown)) Hint(absl::StrCat("it was called", Describe(*proxy)), console);
    return;  // what a probe met would be something else
  }
  // Where a certificate was not taken, TLS is what both speak.
  if (client.tls && absl::StrContains(absl::AsciiStrToLower(message), "certificate")) {
    return Hint("--tls_ca=FILE says whom to trust, --tls_server_name the name that the certificate must carry",
                console);
  }
  // Who answered in HTTP/2 with a fault of its own is known by that.
  if (!absl::StrContains(message, "failed to connect") && !absl::StrContains(message, "no connection")) return;
  Hint(WhatAnswers(client), console);
}

// The flag behind a field whose name is not the flag's.
std::string FlagOf(const std::string& field) {
  if (field == "texts") return "--batch_size says how many lines go into one request";
  if (absl::StartsWith(field, "attention.attends")) return "--attends names them";
  return "";
}

}  // namespace

ExitCode PrintError(const absl::Status& status, const ConnectionOptions& connection, const Console& console) {
  const std::string message(status.message());
  PrintNote(absl::StrCat(absl::StatusCodeToString(status.code()), ": ", message), console);
  for (const auto& violation : FieldViolations(status)) {
    if (!absl::StrContains(message, violation.field())) {
      PrintNote(absl::StrCat("  ", violation.field(), ": ", violation.description()), console);
    }
    Hint(FlagOf(violation.field()), console);
  }
  if (absl::IsUnavailable(status)) HintUnavailable(message, connection, console);
  if (absl::IsDeadlineExceeded(status)) {
    Hint(absl::StrCat("--timeout is ", absl::FormatDuration(connection.timeout),
                      " for each request, retries included; a longer one may be enough"),
         console);
  }
  return ExitCodeOf(status);
}

}  // namespace heed::cli
