#include "server/rpc/reflection.h"

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.pb.h>
#include <gtest/gtest.h>

#include "heed/v1/translation.pb.h"

namespace heed {
namespace {

using ::testing::ElementsAre;
using ::testing::IsSupersetOf;

using Request = grpc::reflection::v1::ServerReflectionRequest;
using Response = grpc::reflection::v1::ServerReflectionResponse;

Response Answer(const Request& request) {
  // A message linked in only through its use.
  EXPECT_NE(v1::TranslateRequest::descriptor(), nullptr);
  return Reflection({"heed.v1.TranslationService"}).Answer(request);
}

std::vector<std::string> FileNames(const Response& response) {
  std::vector<std::string> names;
  for (const std::string& bytes : response.file_descriptor_response().file_descriptor_proto()) {
    google::protobuf::FileDescriptorProto file;
    EXPECT_TRUE(file.ParseFromString(bytes));
    names.push_back(file.name());
  }
  return names;
}

TEST(Reflection, ListsTheServicesAndGivesTheQuestionBack) {
  Request request;
  request.set_host("h");
  request.set_list_services("*");
  const Response response = Answer(request);
  ASSERT_EQ(response.list_services_response().service_size(), 1);
  EXPECT_EQ(response.list_services_response().service(0).name(), "heed.v1.TranslationService");
  EXPECT_EQ(response.valid_host(), "h");
  EXPECT_EQ(response.original_request().SerializeAsString(), request.SerializeAsString());
}

TEST(Reflection, AFileComesWithAllThatItImports) {
  for (const char* symbol : {"heed.v1.TranslationService", "heed.v1.TranslationService.Translate",
                             "heed.v1.TranslateRequest", "heed.v1.TranslateRequest.texts"}) {
    Request request;
    request.set_file_containing_symbol(symbol);
    const std::vector<std::string> names = FileNames(Answer(request));
    ASSERT_FALSE(names.empty()) << symbol;
    EXPECT_EQ(names[0], "heed/v1/translation.proto");
    EXPECT_THAT(names, IsSupersetOf({"heed/v1/text.proto", "heed/v1/stream.proto", "google/protobuf/duration.proto"}));
    EXPECT_EQ(std::set<std::string>(names.begin(), names.end()).size(), names.size()) << "once each";
  }
  Request request;
  request.set_file_by_filename("google/protobuf/duration.proto");
  EXPECT_THAT(FileNames(Answer(request)), ElementsAre("google/protobuf/duration.proto"));
}

TEST(Reflection, WhatIsNotThereIsNotFound) {
  std::vector<Request> requests(4);
  requests[0].set_file_by_filename("nothing.proto");
  requests[1].set_file_containing_symbol("heed.v1.Nothing");
  requests[2].mutable_file_containing_extension()->set_containing_type("heed.v1.TranslateRequest");
  requests[2].mutable_file_containing_extension()->set_extension_number(100);
  requests[3].set_all_extension_numbers_of_type("heed.v1.Nothing");
  for (const Request& request : requests) {
    EXPECT_EQ(Answer(request).error_response().error_code(), grpc::StatusCode::NOT_FOUND) << request.DebugString();
  }
  EXPECT_EQ(Answer({}).error_response().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST(Reflection, AMessageWithoutExtensionsHasNoNumbers) {
  Request request;
  request.set_all_extension_numbers_of_type("heed.v1.TranslateRequest");
  const Response response = Answer(request);
  EXPECT_EQ(response.all_extension_numbers_response().base_type_name(), "heed.v1.TranslateRequest");
  EXPECT_EQ(response.all_extension_numbers_response().extension_number_size(), 0);
}

}  // namespace
}  // namespace heed
