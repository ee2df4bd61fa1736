// How libFuzzer changes what bundle_fuzzer.cc takes: mostly, a model.json in binary form
// is changed as a message.
#include <cstddef>
#include <cstdint>

#include "heed/model/v1/model.pb.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/mutate_message.h"

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size,
                                               unsigned seed) {
  heed::fuzz::SilenceProtobuf();
  constexpr std::size_t kSkip = 2;  // the file, and the bundle
  constexpr int kFiles = 11, kSpec = 1;
  if (size > kSkip && data[0] % kFiles == kSpec && seed % 8 < 6) {
    heed::model::v1::ModelSpec spec;
    const std::size_t changed = heed::fuzz::MutateBytes(&spec, kSkip, data, size, max_size, seed / 8);
    if (changed > 0) return changed;
  }
  return LLVMFuzzerMutate(data, size, max_size);
}
