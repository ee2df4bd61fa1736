#include "tests/integration/small_models.h"

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/test_models.h"

namespace heed {
namespace {

constexpr int kPieces = 380;  // of tests/data/text/unigram.model

TestSizes Sizes() {
  return {.source_vocabulary = kPieces,
          .target_vocabulary = kPieces,
          .embedding = 40,
          .encoder_hidden = 33,
          .decoder_hidden = 70,
          .attention = 52};
}

std::string Vocabulary() {
  std::ifstream file("tests/data/text/unigram.model", std::ios::binary);
  if (!file) {
    std::cerr << "tests/data/text/unigram.model cannot be read: run from the source root\n";
    std::abort();
  }
  return {std::istreambuf_iterator<char>(file), {}};
}

BundleFileMap FilesOf(BundleBuilder builder, const std::string& name, const std::string& target_language) {
  builder.spec().set_name(name);
  builder.spec().set_target_language(target_language);
  if (target_language == "ko") builder.spec().set_task(model::v1::TASK_SUMMARIZE);
  return FilesOfBundle(builder.Build(), {{"source.spm", Vocabulary()}, {"target.spm", Vocabulary()}});
}

void Write(const std::string& folder, BundleBuilder builder, const std::string& name,
           const std::string& target_language) {
  WriteBundleFolder(absl::StrCat(folder, "/", name), FilesOf(std::move(builder), name, target_language));
}

}  // namespace

BundleFileMap LuongFiles(const std::string& name) {
  BundleBuilder builder = LuongLstm(Sizes(), 3);
  builder.spec().set_segmentation(model::v1::SEGMENTATION_SENTENCE);
  return FilesOf(std::move(builder), name, "en");
}

void WriteLuong(const std::string& folder, const std::string& name) {
  WriteBundleFolder(absl::StrCat(folder, "/", name), LuongFiles(name));
}

void WriteSmallModels(const std::string& folder) {
  WriteLuong(folder, "luong");
  Write(folder, Marian(Sizes(), 4), "marian", "fr");
  Write(folder, Variety(Sizes(), 5), "variety", "de");
  Write(folder, NoAttention(Sizes(), 6), "plain", "ja");
  Write(folder, BahdanauGru(Sizes(), 7), "gist", "ko");
}

void WriteSlowModel(const std::string& folder) {
  TestSizes sizes = Sizes();
  sizes.encoder_hidden = 160;
  sizes.embedding = 192;
  sizes.attention = 256;
  Write(folder, LuongLstm(sizes, 8), "slow", "en");
}

v1::TranslateRequest SlowRequest(int texts, int tokens) {
  v1::TranslateRequest request;
  for (const std::string& text : Sentences(texts)) request.add_texts(text);
  request.mutable_search()->set_beam_size(1);
  request.mutable_search()->set_min_length(tokens - 1);
  request.mutable_search()->set_max_length(tokens);
  return request;
}

std::vector<std::string> Sentences(int count) {
  static constexpr const char* kSubjects[] = {"이 함수는",       "서버는",          "파이썬은",         "그 클래스는",
                                              "모듈을 가져오면", "예외가 일어나면", "파일을 열고 나서", "정규식은",
                                              "스레드가 둘이면", "사전은"};
  static constexpr const char* kMiddles[] = {
      "문자열을", "여러 값을 순서대로", "자료와 메서드를 함께", "키와 값을 짝지어", "요청을 받아", "그 안의 이름을",
      "꼭",       "버전 3.11에서",      "두 개의 인자를",       "아무 일도"};
  static constexpr const char* kEnds[] = {"돌려줍니다.",    "담습니다.", "멈춥니다.",       "닫아야 합니다.",
                                          "찾습니다.",      "보냅니다.", "쓸 수 있습니다.", "추가되었습니다.",
                                          "하지 않습니다.", "묶습니다."};
  std::vector<std::string> sentences;
  for (int i = 0; i < count; ++i) {
    sentences.push_back(absl::StrCat(kSubjects[i % 10], " ", kMiddles[i / 10 % 10], " ", kEnds[(i + i / 10) % 10],
                                     i < 100 ? "" : absl::StrCat(" ", i)));
  }
  return sentences;
}

}  // namespace heed
