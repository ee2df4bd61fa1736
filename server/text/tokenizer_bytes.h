// What a tokeniser will take in memory, said by its files' sizes and the number of their entries before anything is
// made of them.
//
// Plain function, thread-safe. It takes time in proportion to the files, and no memory.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "heed/model/v1/model.pb.h"

namespace heed {

// The most that Tokenizer::Make takes for `vocabulary`, while it works included. `files` that it does not find count
// nothing.
std::int64_t TokenizerBytes(const model::v1::Vocabulary& vocabulary, const std::map<std::string, std::string>& files);

}  // namespace heed
