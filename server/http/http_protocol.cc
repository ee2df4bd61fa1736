#include "server/http/http_protocol.h"

#include <algorithm>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/edge/gzip.h"
#include "server/http/accept.h"

namespace heed {
namespace {

namespace beast = boost::beast;
using Parser = beast::http::request_parser<beast::http::empty_body>;
using beast::http::field;

constexpr absl::string_view kEndOfHeader = "\r\n\r\n";
// Below this a packet holds it either way.
constexpr std::size_t kWorthCompressing = 1200;

absl::string_view View(beast::string_view text) { return {text.data(), text.size()}; }

// What a request line begins with: a method's letters. Anything else, TLS say, will never be a request.
bool MayBeginRequest(char c) { return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_'; }

absl::string_view Reason(int status) {
  const beast::string_view reason =
      beast::http::obsolete_reason(beast::http::int_to_status(static_cast<unsigned>(status)));
  return View(reason);
}

// The path and query of a target, which may name a scheme and a host as requests to proxies do.
std::pair<absl::string_view, absl::string_view> SplitTarget(absl::string_view target) {
  for (const absl::string_view scheme : {"http://", "https://"}) {
    if (!absl::StartsWithIgnoreCase(target, scheme)) continue;
    target.remove_prefix(scheme.size());
    const std::size_t path = target.find_first_of("/?");
    target.remove_prefix(std::min(path, target.size()));
    break;
  }
  const std::size_t mark = target.find('?');
  const absl::string_view path = target.substr(0, mark);
  return {path.empty() ? "/" : path, mark == absl::string_view::npos ? "" : target.substr(mark + 1)};
}

}  // namespace

HttpProtocol::HttpProtocol(const HttpRoutes* routes, const HttpLimits* limits, Clock* clock, Wire* wire)
    : routes_(routes), limits_(limits), clock_(clock), wire_(wire) {
  // The first request has less time than those after it: who connects has something to ask.
  wire_->WakeAt(clock_->Now() + limits_->request_time);
}

void HttpProtocol::Receive(absl::string_view bytes) {
  // Behind the last request nobody looks at them; its body may be still to come.
  if (state_ == State::kDone || (close_ && state_ != State::kBody)) return;
  input_.append(bytes.data(), bytes.size());
  if (state_ != State::kAnswer && !turn_) Advance();
}

void HttpProtocol::Produce(std::size_t room, std::string* out) {
  const std::size_t size = std::min(room, output_.size() - given_);
  out->append(output_, given_, size);
  given_ += size;
  if (size == 0 && room > 0 && state_ == State::kAnswer) FinishAnswer();
}

bool HttpProtocol::Reads() const {
  return !turn_ && !ended_ && (state_ == State::kIdle || state_ == State::kHeader || state_ == State::kBody);
}

void HttpProtocol::OnTime(absl::Time) {
  switch (state_) {
    case State::kIdle:
      if (turn_) return Advance();
      if (!asked_) fault_ = "request_time";  // it never asked for anything
      state_ = State::kDone;
      return;
    case State::kHeader:
    case State::kBody:
      return Refuse(408, "the request did not come whole in time", "request_time");
    case State::kAnswer:
      fault_ = "answer_time";
      output_.clear();
      given_ = 0;
      state_ = State::kDone;
      return;
    case State::kDone:
      return;
  }
}

void HttpProtocol::OnEnd() {
  ended_ = true;
  if (state_ == State::kAnswer || turn_) return;
  state_ = State::kDone;
}

void HttpProtocol::Advance() {
  const bool turn = std::exchange(turn_, false);
  if (state_ == State::kIdle) {
    // Some clients of old sent an empty line after a body; it begins nothing.
    const std::size_t begin = input_.find_first_not_of("\r\n");
    input_.erase(0, begin);
    if (input_.empty()) {
      if (ended_) state_ = State::kDone;
      if (turn) Idle();
      return;
    }
    state_ = State::kHeader;
    searched_ = 0;
    head_ = false;
    wire_->WakeAt(clock_->Now() + limits_->request_time);
  }
  if (state_ == State::kHeader) TakeHeader();
  if (state_ == State::kBody && input_.size() >= body_bytes_) {
    request_.body = input_.substr(0, body_bytes_);
    input_.erase(0, body_bytes_);
    Respond(routes_->find(request_.path)->second(request_));
  }
  if (ended_ && state_ != State::kAnswer) state_ = State::kDone;
}

void HttpProtocol::TakeHeader() {
  if (!MayBeginRequest(input_[0])) return Refuse(400, "this is no HTTP request", "malformed");
  const std::size_t from = searched_ - std::min(searched_, kEndOfHeader.size() - 1);
  const std::size_t end = input_.find(kEndOfHeader.data(), from, kEndOfHeader.size());
  const std::size_t size = end == std::string::npos ? input_.size() : end + kEndOfHeader.size();
  if (size > limits_->max_header_bytes) {
    return Refuse(431, absl::StrCat("the header is longer than ", limits_->max_header_bytes, " bytes"), "header_bytes");
  }
  searched_ = size;
  if (end != std::string::npos) ReadHeader(size);
}

void HttpProtocol::ReadHeader(std::size_t size) {
  Parser parser;
  parser.eager(false);
  parser.header_limit(static_cast<std::uint32_t>(limits_->max_header_bytes));
  parser.body_limit(limits_->max_body_bytes);
  beast::error_code error;
  const std::size_t taken = parser.put(boost::asio::const_buffer(input_.data(), size), error);
  if (error == beast::http::error::body_limit) {
    return Refuse(413, absl::StrCat("the body is longer than ", limits_->max_body_bytes, " bytes"), "body_bytes");
  }
  if (error == beast::http::error::bad_version) return Refuse(505, "the version is not HTTP/1.1 or 1.0", "malformed");
  if (error || taken != size || !parser.is_header_done()) {
    return Refuse(400, "this is no HTTP request", "malformed");
  }
  input_.erase(0, size);
  const auto& header = parser.get();
  head_ = header.method() == beast::http::verb::head;
  const std::size_t hosts = header.count(field::host);
  if (hosts > 1 || (hosts == 0 && header.version() == 11)) {
    return Refuse(400, "a request names one Host", "malformed");
  }
  if (header.count(field::transfer_encoding) > 0) return Refuse(411, "a body needs a Content-Length");
  if (header.count(field::expect) > 0) return Refuse(417, "there is nothing to expect; send the request");
  request_ = HttpRequest();
  const auto [path, query] = SplitTarget(View(header.target()));
  request_.path = std::string(path);
  request_.query = std::string(query);
  for (const auto& line : header) {
    std::string& value = request_.fields[absl::AsciiStrToLower(View(line.name_string()))];
    absl::StrAppend(&value, value.empty() ? "" : ", ", View(line.value()));
  }
  known_method_ = head_ || header.method() == beast::http::verb::get;
  close_ = !header.keep_alive();
  body_bytes_ = static_cast<std::size_t>(parser.content_length().value_or(0));
  CheckRequest();
}

void HttpProtocol::CheckRequest() {
  const bool found = routes_->contains(request_.path);
  if (found && known_method_) {
    state_ = State::kBody;
    return;
  }
  if (body_bytes_ > 0) close_ = true;  // nobody waits for what nobody reads
  HttpResponse response;
  response.status = found ? 405 : 404;
  response.body = found ? "only GET and HEAD are answered here\n" : "there is no such page\n";
  if (found) response.fields.emplace_back("Allow", "GET, HEAD");
  Respond(std::move(response));
}

void HttpProtocol::Respond(HttpResponse response) {
  if (response.body.size() < kWorthCompressing) return Write(response, response.body, "");
  if (!TakesGzip(request_.Field("accept-encoding"))) {
    return Write(response, response.body, "Vary: Accept-Encoding\r\n");
  }
  Write(response, Gzip(response.body), "Vary: Accept-Encoding\r\nContent-Encoding: gzip\r\n");
}

void HttpProtocol::Refuse(int status, absl::string_view text, absl::string_view fault) {
  close_ = true;
  input_.clear();
  if (fault_.empty()) fault_ = fault;
  HttpResponse response;
  response.status = status;
  response.body = absl::StrCat(text, "\n");
  Write(response, response.body, "");
}

void HttpProtocol::Write(const HttpResponse& response, absl::string_view body, absl::string_view more_fields) {
  output_ = absl::StrCat("HTTP/1.1 ", response.status, " ", Reason(response.status),
                         "\r\nDate: ", absl::FormatTime("%a, %d %b %Y %H:%M:%S GMT", absl::Now(), absl::UTCTimeZone()),
                         "\r\nConnection: ", close_ ? "close" : "keep-alive",
                         "\r\nContent-Type: ", response.content_type, "\r\nContent-Length: ", body.size(),
                         "\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n", more_fields);
  for (const auto& [name, value] : response.fields) absl::StrAppend(&output_, name, ": ", value, "\r\n");
  absl::StrAppend(&output_, "\r\n", head_ ? "" : body);
  given_ = 0;
  state_ = State::kAnswer;
  wire_->WakeAt(clock_->Now() + limits_->request_time);
  wire_->Flush();
}

void HttpProtocol::FinishAnswer() {
  // A page may be large, and connections idle long.
  output_ = std::string();
  if (input_.empty()) input_ = std::string();
  request_ = HttpRequest();
  asked_ = true;
  given_ = 0;
  state_ = close_ || (ended_ && input_.empty()) ? State::kDone : State::kIdle;
  turn_ = state_ == State::kIdle && !input_.empty();
  if (turn_) {
    wire_->WakeAt(clock_->Now());
  } else if (state_ == State::kIdle) {
    Idle();
  }
}

void HttpProtocol::Idle() {
  wire_->WakeAt(clock_->Now() + limits_->idle_time);
  wire_->Flush();  // it reads again
}

}  // namespace heed
