// What `heed` says of outputs that are likely wrong: a mark before their lines, or their numbers at the end; and of
// texts that are in anything but what the model reads, a note each.
//
// On a terminal "~ " stands before a doubtful line, and a note says once what that means. Elsewhere lines are for
// programs and stay as they are; which were doubtful is said at the end. --plain leaves out both, --noplain marks
// everywhere.
//
// Not thread-safe: the main thread prints.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "client/cli/console.h"
#include "client/cli/text_options.h"
#include "client/client.h"
#include "heed/v1/text.pb.h"

namespace heed::cli {

// What a model reads, for people: "Korean (Hangul)", from its language and its model.json; the language alone where
// that does not say which scripts; empty where neither is known.
std::string ReadsWhat(const std::string& source_language, const std::string& spec_json);

class Doubts {
 public:
  // The client, which may be null, is asked what a model reads when a text is in anything else.
  Doubts(const TextOptions* options, const Console* console, Client* client);
  // Says what is to be said at the end.
  ~Doubts();
  Doubts(const Doubts&) = delete;
  Doubts& operator=(const Doubts&) = delete;

  // Whether a mark belongs to the line of this output, the best hypothesis of each segment; to that of this hypothesis.
  bool Marks(std::int64_t number, const v1::TextResult& result);
  bool Marks(const v1::Hypothesis& hypothesis);
  // Behind a line: says what the mark is where it stands for the first time, and that the text is in what the model
  // does not read where it is.
  void Explain(std::int64_t number, const v1::TextResult& result, const v1::ModelIdentity& model);

  // Whether Explain may write something for this result.
  static bool MayExplain(const v1::TextResult& result);

 private:
  void SaySource(std::int64_t number, const v1::TextResult& result, const v1::ModelIdentity& model);
  std::string AskReadsWhat(const v1::ModelIdentity& model) const;

  const TextOptions* const options_;
  const Console* const console_;
  Client* const client_;
  const bool shown_;  // there are marks
  bool marked_ = false, explained_ = false;
  std::int64_t texts_ = 0;           // so far
  std::int64_t doubtful_ = 0;        // of them
  std::vector<std::int64_t> first_;  // numbers of the first doubtful ones
  std::int64_t foreign_ = 0;         // texts in what the model does not read
  std::string reads_;                // what it reads
};

}  // namespace heed::cli
