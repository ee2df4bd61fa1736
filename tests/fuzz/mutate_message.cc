#include "tests/fuzz/mutate_message.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <random>
#include <string>
#include <vector>

namespace heed::fuzz {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

class Mutator {
 public:
  Mutator(Message* root, std::uint32_t seed) : random_(seed) { Collect(root); }

  void Run() {
    Message* const message = messages_[Below(messages_.size())];
    const int fields = message->GetDescriptor()->field_count();
    if (fields == 0) return;
    const FieldDescriptor* field = message->GetDescriptor()->field(static_cast<int>(Below(fields)));
    // Of many fields most are unset: half of the changes are to what is there.
    std::vector<const FieldDescriptor*> set;
    message->GetReflection()->ListFields(*message, &set);
    if (!set.empty() && Below(2) == 0) field = set[Below(set.size())];
    field->is_repeated() ? ChangeList(message, field) : ChangeField(message, field);
  }

 private:
  std::size_t Below(std::size_t bound) { return std::uniform_int_distribution<std::size_t>(0, bound - 1)(random_); }

  // Every message in it, and every string.
  void Collect(Message* message) {
    messages_.push_back(message);
    const Reflection& reflection = *message->GetReflection();
    std::vector<const FieldDescriptor*> set;
    reflection.ListFields(*message, &set);
    for (const FieldDescriptor* field : set) {
      const int count = field->is_repeated() ? reflection.FieldSize(*message, field) : 1;
      for (int i = 0; i < count; ++i) {
        if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
          Collect(field->is_repeated() ? reflection.MutableRepeatedMessage(message, field, i)
                                       : reflection.MutableMessage(message, field));
        } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
          strings_.push_back(field->is_repeated() ? reflection.GetRepeatedString(*message, field, i)
                                                  : reflection.GetString(*message, field));
        }
      }
    }
  }

  void ChangeList(Message* message, const FieldDescriptor* field) {
    const Reflection& reflection = *message->GetReflection();
    const int size = reflection.FieldSize(*message, field);
    const std::size_t way = Below(4);
    if (way == 0 && size > 0) return reflection.RemoveLast(message, field);
    if (way == 1 && size > 1) {
      return reflection.SwapElements(message, field, static_cast<int>(Below(size)), static_cast<int>(Below(size)));
    }
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_STRING:
        if (way == 2 && size > 0) {
          return reflection.SetRepeatedString(message, field, static_cast<int>(Below(size)), AString());
        }
        return reflection.AddString(message, field, AString());
      case FieldDescriptor::CPPTYPE_INT32:
        return reflection.AddInt32(message, field, static_cast<std::int32_t>(ANumber()));
      case FieldDescriptor::CPPTYPE_ENUM:
        return reflection.AddEnumValue(message, field, AnEnum(field));
      case FieldDescriptor::CPPTYPE_MESSAGE: {
        Message* const added = reflection.AddMessage(message, field);
        if (size > 0) {
          added->CopyFrom(reflection.GetRepeatedMessage(*message, field, static_cast<int>(Below(size))));
        }
        return;
      }
      default:
        return;  // no list of ours
    }
  }

  void ChangeField(Message* message, const FieldDescriptor* field) {
    const Reflection& reflection = *message->GetReflection();
    if (Below(6) == 0) return reflection.ClearField(message, field);
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_STRING:
        return reflection.SetString(message, field, AString());
      case FieldDescriptor::CPPTYPE_INT32:
        return reflection.SetInt32(message, field, static_cast<std::int32_t>(ANumber()));
      case FieldDescriptor::CPPTYPE_INT64:
        return reflection.SetInt64(message, field, ANumber());
      case FieldDescriptor::CPPTYPE_FLOAT:
        return reflection.SetFloat(message, field, AFloat());
      case FieldDescriptor::CPPTYPE_DOUBLE:
        return reflection.SetDouble(message, field, AFloat());
      case FieldDescriptor::CPPTYPE_BOOL:
        return reflection.SetBool(message, field, Below(2) == 0);
      case FieldDescriptor::CPPTYPE_ENUM:
        return reflection.SetEnumValue(message, field, AnEnum(field));
      case FieldDescriptor::CPPTYPE_MESSAGE:
        static_cast<void>(reflection.MutableMessage(message, field));
        return;
      default:
        return;
    }
  }

  // One that stands elsewhere in the message, so that names name something; as the programs of a model write them too.
  std::string AString() {
    static constexpr const char* kEndings[] = {"", "", "", "", "'", ".h", ".c", ".weights", ".energies", "x"};
    std::string text = strings_.empty() ? "a" : strings_[Below(strings_.size())];
    if (Below(8) == 0) text.resize(Below(text.size() + 1));
    while (!text.empty() && (static_cast<unsigned char>(text.back()) & 0x80) != 0)
      text.pop_back();  // no half characters
    return text + kEndings[Below(std::size(kEndings))];
  }

  std::int64_t ANumber() {
    static constexpr std::int64_t kNumbers[] = {-1,
                                                0,
                                                1,
                                                2,
                                                3,
                                                4,
                                                5,
                                                7,
                                                8,
                                                16,
                                                100,
                                                1000,
                                                1 << 20,
                                                std::numeric_limits<std::int32_t>::max(),
                                                std::numeric_limits<std::int32_t>::min(),
                                                std::numeric_limits<std::int64_t>::max()};
    return kNumbers[Below(std::size(kNumbers))];
  }

  float AFloat() {
    static constexpr float kFloats[] = {0,
                                        1,
                                        -1,
                                        0.5F,
                                        2,
                                        1e-30F,
                                        1e30F,
                                        -1e30F,
                                        std::numeric_limits<float>::infinity(),
                                        std::numeric_limits<float>::quiet_NaN()};
    return kFloats[Below(std::size(kFloats))];
  }

  int AnEnum(const FieldDescriptor* field) {
    return static_cast<int>(Below(static_cast<std::size_t>(field->enum_type()->value_count()) + 1));
  }

  std::mt19937 random_;
  std::vector<Message*> messages_;
  std::vector<std::string> strings_;
};

}  // namespace

void MutateMessage(Message* message, std::uint32_t seed) { Mutator(message, seed).Run(); }

std::size_t MutateBytes(Message* message, std::size_t skip, std::uint8_t* data, std::size_t size, std::size_t max_size,
                        std::uint32_t seed) {
  if (size < skip || !message->ParseFromArray(data + skip, static_cast<int>(size - skip))) return 0;
  for (std::uint32_t changes = 0; changes <= seed % 3; ++changes) MutateMessage(message, seed + changes);
  const std::string bytes = message->SerializeAsString();
  if (bytes.size() + skip > max_size) return 0;
  std::copy_n(bytes.data(), bytes.size(), data + skip);
  return skip + bytes.size();
}

}  // namespace heed::fuzz
