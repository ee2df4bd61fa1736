// How libFuzzer changes what request_fuzzer.cc takes: half of the time a request is changed as a message.
#include <cstddef>
#include <cstdint>

#include "heed/v1/translation.pb.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/mutate_message.h"

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size,
                                               unsigned seed) {
  heed::fuzz::SilenceProtobuf();
  if (size > 1 && seed % 8 < 4) {
    heed::v1::TranslateRequest text;
    heed::v1::StreamTranslateRequest stream;
    const int rpc = data[0] & 7;
    std::size_t changed = 0;
    // Summarize's requests have the same fields.
    if (rpc <= 2) changed = heed::fuzz::MutateBytes(&text, 1, data, size, max_size, seed / 8);
    if (rpc == 3 || rpc == 4) changed = heed::fuzz::MutateBytes(&stream, 1, data, size, max_size, seed / 8);
    if (changed > 0) return changed;
  }
  return LLVMFuzzerMutate(data, size, max_size);
}
