#include "server/models/precision.h"

#include "absl/strings/str_cat.h"
#include "engine/kernels/instruction_set.h"

namespace heed {
namespace {

const absl::Status& OnMachine(const MachinePrecision& machine, Precision precision) {
  static const auto* ok = new absl::Status();
  switch (precision) {
    case Precision::kFloat32:
      break;
    case Precision::kBfloat16:
      return machine.bfloat16;
    case Precision::kInt8:
      return machine.int8;
  }
  return *ok;
}

// The first recommended one that the machine has in full.
ChosenPrecision Advised(const model::v1::PrecisionAdvice& advice, const MachinePrecision& machine) {
  ChosenPrecision chosen;
  for (const std::string& name : advice.recommended()) {
    const std::optional<Precision> precision = PrecisionNamed(name);
    if (!precision.has_value()) continue;  // a checked spec has none
    const absl::Status& there = OnMachine(machine, *precision);
    if (there.ok()) {
      chosen.precision = *precision;
      break;
    }
    absl::StrAppend(&chosen.note, chosen.note.empty() ? "" : "; ", "the bundle recommends ", name, ": ",
                    there.message());
  }
  return chosen;
}

}  // namespace

MachinePrecision MachinePrecision::Here() {
  MachinePrecision here;
  here.bfloat16 = CheckPrecision(Precision::kBfloat16);
  if (!Int8IsFine()) {
    here.int8 = absl::FailedPreconditionError(absl::StrCat("int8 needs VNNI, which is not there: products run on ",
                                                           InstructionSet(),
                                                           ", and what weights are multiplied with has 7 bits"));
  }
  return here;
}

const ModelSetting* SettingOf(const PrecisionSettings& settings, const std::string& name, const std::string& version) {
  const ModelSetting* found = nullptr;
  for (const ModelSetting& setting : settings.models) {
    if (setting.name != name || (setting.version.has_value() && setting.version != version)) continue;
    if (found == nullptr || setting.version.has_value()) found = &setting;
  }
  return found;
}

absl::StatusOr<ChosenPrecision> ChoosePrecision(const model::v1::ModelSpec& spec, const PrecisionSettings& settings,
                                                const MachinePrecision& machine) {
  const ModelSetting* setting = SettingOf(settings, spec.name(), spec.version());
  const std::optional<Precision> asked = setting != nullptr ? setting->precision : settings.all;
  if (!asked.has_value()) return Advised(spec.precision(), machine);
  ChosenPrecision chosen{.precision = *asked};
  const absl::Status& there = OnMachine(machine, *asked);
  if (there.ok()) return chosen;
  if (*asked == Precision::kInt8) {  // as exact, but half as fine
    chosen.note = std::string(there.message());
    return chosen;
  }
  return absl::FailedPreconditionError(absl::StrCat(
      "model ", spec.name(), " ", spec.version(), " cannot be served in ", std::string(PrecisionName(*asked)), ", as ",
      setting != nullptr ? absl::StrCat("--model_settings ", settings.file) : "--precision",
      " says: ", there.message()));
}

}  // namespace heed
