// Changes a protobuf message as a message: fields come, go and take each other's values, so that most of what it makes
// is still a message and its names still name something. libFuzzer alone, which knows bytes, seldom gets there.
//
// Plain functions.
#pragma once

#include <google/protobuf/message.h>

#include <cstddef>
#include <cstdint>

namespace heed::fuzz {

// One change, which the seed chooses.
void MutateMessage(google::protobuf::Message* message, std::uint32_t seed);

// For LLVMFuzzerCustomMutator: changes the message in the bytes from `skip` on and leaves those before as they are. The
// new size; 0 where the bytes are no such message, or would be too many.
std::size_t MutateBytes(google::protobuf::Message* message, std::size_t skip, std::uint8_t* data, std::size_t size,
                        std::size_t max_size, std::uint32_t seed);

}  // namespace heed::fuzz
