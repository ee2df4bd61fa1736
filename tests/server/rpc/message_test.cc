#include "server/rpc/message.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "heed/v1/translation.pb.h"
#include "server/edge/gzip.h"
#include "server/errors/errors.h"
#include "server/rpc/reply_bytes.h"
#include "server/rpc/status.h"

namespace heed {
namespace {

using ::testing::HasSubstr;

grpc::ByteBuffer Bytes(const std::string& first, const std::string& second = "") {
  std::vector<grpc::Slice> slices = {grpc::Slice(first), grpc::Slice(second)};
  return grpc::ByteBuffer(slices.data(), slices.size());
}

constexpr std::int64_t kFields = 100;

std::string Joined(const grpc::ByteBuffer& bytes) {
  std::vector<grpc::Slice> slices;
  EXPECT_TRUE(bytes.Dump(&slices).ok());
  std::string joined;
  for (const grpc::Slice& slice : slices) joined.append(slice.begin(), slice.end());
  return joined;
}

std::string Inflated(absl::string_view bytes) {
  Inflater inflater;
  EXPECT_TRUE(inflater.Begin().ok());
  std::string out(1 << 20, 0);
  std::size_t made = 0;
  EXPECT_TRUE(inflater.Run(&bytes, out.data(), out.size(), &made).ok());
  EXPECT_TRUE(inflater.at_end());
  out.resize(made);
  return out;
}

TEST(Message, SurvivesTheWayThroughBytes) {
  v1::TranslateRequest request;
  request.add_texts("안녕");
  grpc::ByteBuffer bytes;
  ASSERT_TRUE(SerializeMessage(request, &bytes).ok());
  v1::TranslateRequest back;
  ASSERT_TRUE(ParseMessage(bytes, kFields, &back).ok());
  EXPECT_EQ(back.texts(0), "안녕");
}

TEST(Message, IsParsedAcrossSlicesAndWhenEmpty) {
  v1::TranslateRequest request;
  request.add_texts("hello");
  const std::string bytes = request.SerializeAsString();
  v1::TranslateRequest back;
  ASSERT_TRUE(ParseMessage(Bytes(bytes.substr(0, 3), bytes.substr(3)), kFields, &back).ok());
  EXPECT_EQ(back.texts(0), "hello");
  ASSERT_TRUE(ParseMessage(Bytes(""), kFields, &back).ok());
  EXPECT_EQ(back.texts_size(), 0);
}

TEST(Message, BytesThatAreNoneAndStringsThatAreNotUtf8AreInvalidArgument) {
  v1::TranslateRequest request;
  for (const std::string& bytes : {std::string("\x0a\xff\xff\xff"), std::string("\x12\x02\xff\xfe")}) {
    const absl::Status status = ParseMessage(Bytes(bytes), kFields, &request);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr("does not parse as heed.v1.TranslateRequest"));
  }
}

TEST(Message, PutTogetherFromItsFieldsHasTheSameBytes) {
  v1::TranslateResponse response;
  for (const int size : {0, 10, 1000, 100000}) {
    response.add_results()->mutable_output()->set_text(std::string(static_cast<std::size_t>(size), 'a'));
  }
  response.mutable_model()->set_name("echo");
  for (const bool gzip : {false, true}) {
    ReplyBytes reply;
    for (const v1::TextResult& result : response.results()) ASSERT_TRUE(reply.Add(1, result).ok());
    ASSERT_TRUE(reply.Add(2, response.model()).ok());
    while (gzip && reply.GzipSome()) {
    }
    EXPECT_EQ(reply.gzipped(), gzip);
    std::string bytes = Joined(reply.Take());
    if (gzip) {
      EXPECT_LT(bytes.size(), 10000U);
      bytes = Inflated(bytes);
    }
    EXPECT_EQ(bytes, response.SerializeAsString());
  }
}

TEST(Message, OfAShortReplyIsNotCompressed) {
  v1::TextResult result;
  result.mutable_output()->set_text(std::string(1000, 'a'));
  ReplyBytes small;
  ASSERT_TRUE(small.Add(1, result).ok());
  EXPECT_FALSE(small.GzipSome());
  EXPECT_FALSE(small.gzipped());
  EXPECT_GT(small.Take().Length(), 1000U);
}

TEST(Message, SaysItsPriorityBeforeItIsParsed) {
  const auto peek = [](const google::protobuf::Message& message, std::int64_t max_fields) {
    const std::string bytes = message.SerializeAsString();
    return PeekPriority(Bytes(bytes.substr(0, bytes.size() / 2), bytes.substr(bytes.size() / 2)), max_fields,
                        *message.GetDescriptor());
  };
  v1::StreamTranslateRequest stream;
  v1::TranslateRequest* request = stream.mutable_request();
  for (int i = 0; i < 8; ++i) request->add_texts("안녕");
  request->mutable_search()->set_beam_size(3);
  request->set_too_long(v1::TOO_LONG_POLICY_TRUNCATE);
  EXPECT_EQ(peek(*request, kFields), Priority::kInteractive);
  request->set_priority(v1::PRIORITY_BATCH);
  EXPECT_EQ(peek(*request, kFields), Priority::kBatch);
  EXPECT_EQ(peek(stream, kFields), Priority::kBatch);
  EXPECT_EQ(peek(stream, 8), Priority::kInteractive) << "it is refused for its fields anyhow";
  EXPECT_EQ(PeekPriority(Bytes("\x0a\xff\xff\xff"), kFields, *request->GetDescriptor()), Priority::kInteractive);
}

TEST(Message, OfTooManyFieldsIsRefusedBeforeItIsParsed) {
  v1::StreamTranslateRequest stream;
  v1::TranslateRequest* request = stream.mutable_request();
  for (int i = 0; i < 8; ++i) request->add_texts("");
  for (int i = 0; i < 4; ++i) request->mutable_attention()->add_attends("");
  const grpc::ByteBuffer bytes = Bytes(stream.SerializeAsString());
  v1::StreamTranslateRequest back;
  EXPECT_TRUE(ParseMessage(bytes, 14, &back).ok()) << "8, 4 and the two messages";
  back.Clear();
  EXPECT_EQ(ParseMessage(bytes, 13, &back).ToString().substr(0, 64),
            "INVALID_ARGUMENT: the request has more than 13 fields, those of ");
  EXPECT_EQ(back.request().texts_size(), 0);
}

TEST(Status, CarriesItsDetailsAsGoogleRpcStatus) {
  const grpc::Status status = ToGrpcStatus(InvalidField("search.beam_size", "0", "1 to 16"));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(status.error_message(), "search.beam_size is 0; it must be 1 to 16");
  google::rpc::Status details;
  ASSERT_TRUE(details.ParseFromString(status.error_details()));
  EXPECT_EQ(details.code(), 3);
  EXPECT_EQ(details.message(), status.error_message());
  bool found = false;
  for (const auto& any : details.details()) {
    google::rpc::BadRequest bad_request;
    if (any.UnpackTo(&bad_request)) {
      found = true;
      EXPECT_EQ(bad_request.field_violations(0).field(), "search.beam_size");
    }
  }
  EXPECT_TRUE(found);
}

TEST(Status, TheRetryDelayIsNoDetail) {
  const grpc::Status status =
      ToGrpcStatus(WithRetryDelay(absl::ResourceExhaustedError("full"), absl::Milliseconds(10)));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(status.error_details(), "");
}

}  // namespace
}  // namespace heed
