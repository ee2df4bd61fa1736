#include "server/lifecycle/reload.h"

#include <cstdint>

#include "server/lifecycle/log.h"

namespace heed {

void ReloadHooks::Add(std::string what, Hook hook) {
  absl::MutexLock lock(&mu_);
  hooks_.emplace_back(std::move(what), std::move(hook));
}

void ReloadHooks::Run() {
  std::vector<std::pair<std::string, Hook>> hooks;
  {
    absl::MutexLock lock(&mu_);
    hooks = hooks_;
  }
  std::int64_t failed = 0;
  for (const auto& [what, hook] : hooks) {
    const absl::Status status = hook();
    if (status.ok()) continue;
    ++failed;
    Log(LogLevel::kError, "reload_failed", {{"item", what}, {"reason", std::string(status.message())}});
  }
  Log(LogLevel::kInfo, "reloaded", {{"items", static_cast<std::int64_t>(hooks.size()) - failed}, {"failed", failed}});
}

}  // namespace heed
