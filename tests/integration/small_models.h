// Folders of small bundles with random weights and real vocabularies, for servers in tests. What they write is
// gibberish, but the same gibberish each time.
//
// Plain functions.
#pragma once

#include <string>
#include <vector>

#include "heed/v1/translation.pb.h"
#include "tests/support/bundle_folder.h"

namespace heed {

// One model per kind of decoder:
//   luong     ko to en, by sentence; general attention "c" on an LSTM
//   marian    ko to fr; two GRU cells around additive attention "c"
//   variety   ko to de; dot attention with two heads, every other op
//   plain     ko to ja; no attention at all
//   gist      summarises ko; additive attention "c" before a GRU
// 380 pieces a side, hidden sizes large enough for the real kernels.
void WriteSmallModels(const std::string& folder);

// `luong` alone, under that name.
void WriteLuong(const std::string& folder, const std::string& name);

// "slow", ko to en: a step takes tens of microseconds or more. For requests that must still run while the test does
// something else; ask for SlowRequest.
void WriteSlowModel(const std::string& folder);

// `texts` texts of exactly `tokens` target tokens each (a server's --max_target_tokens may forbid as many).
v1::TranslateRequest SlowRequest(int texts, int tokens);

// Korean sentences, each different from the others; `count` at most 10,000.
std::vector<std::string> Sentences(int count);

// The files that WriteLuong writes, for tests that damage them.
BundleFileMap LuongFiles(const std::string& name);

}  // namespace heed
