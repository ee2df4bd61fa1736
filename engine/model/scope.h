// The names of one program: which values its ops make, and what a reference in model.json means.
//
// All names are declared before the first op is checked, because the step program reads the previous step's values
// before the ops that make them. Types and sizes are filled in as ops are checked; a primed reference needs its size
// earlier, which SizeInference (size_inference.h) gives.
//
// Not thread-safe: one check owns it.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/model/place.h"
#include "engine/model/program.h"
#include "heed/model/v1/model.pb.h"

namespace heed {

enum class ProgramKind { kEncoder, kInit, kStep };

const char* ProgramName(ProgramKind kind);  // "encoder", "init", "step"

const char* TypeName(ValueType type);  // "a vector"

// "cell" for an op that holds a cell; "" if it holds nothing.
const char* OpKindName(const model::v1::Op& op);

// "step.h (cell)".
Place PlaceOf(ProgramKind kind, const model::v1::Op& op);

// Every reference that the op makes, primes included, in the order of its fields.
std::vector<std::string> ReferencesOf(const model::v1::Op& op);

// NAME of "NAME.part'".
absl::string_view BaseName(absl::string_view reference);

class Scope {
 public:
  explicit Scope(ProgramKind kind) : kind_(kind) {}

  // Adds a value that the encoder exports; all of these come before Declare.
  void Import(const Value& encoder_value, int encoder_index);

  // Adds the values of all ops, in order, without sizes. INVALID_ARGUMENT: a name that is ill-formed, stands twice, or
  // is one of `taken` (the names of the encoder's outputs); an op that holds nothing or reads more than 64 values; more
  // than 1024 ops.
  absl::Status Declare(const google::protobuf::RepeatedPtrField<model::v1::Op>& ops,
                       const std::set<std::string>& taken);

  // The value that `reference` means to op number `reader`. INVALID_ARGUMENT: unknown; made by this op or a later one;
  // primed outside the step program, or primed although it never changes. Primed values are noted.
  absl::StatusOr<Ref> Resolve(const Place& place, const char* field, const std::string& reference, int reader);

  // Index of the value called `name` (without prime), or -1.
  int Find(const std::string& name) const;

  // Sets what the op that makes value `index` turned out to be; once each. INVALID_ARGUMENT if its size, or the sum of
  // all that were set, is beyond the bound, or the size is not the one that was inferred.
  absl::Status Define(const Place& place, int index, ValueType type, std::int64_t size);

  const Value& value(int index) const { return values_[index]; }
  std::vector<Value>& values() { return values_; }
  const std::set<int>& primed() const { return primed_; }

 private:
  void Add(const std::string& name, ValueType type, int op);
  void DeclareValues(const model::v1::Op& op, int index);

  const ProgramKind kind_;
  std::vector<Value> values_;  // size 0 until known
  std::vector<int> made_by_;   // op number of each value; -1: the encoder
  std::map<std::string, int> by_name_;
  std::set<int> primed_;
  std::int64_t total_ = 0;  // sizes of the values that were defined, distributions apart
};

}  // namespace heed
