// What can be read again while the server runs, a certificate say. SIGHUP asks for all of it.
//
//   core->reload.Add("certificate", [this] { return ReadCertificate(); });
//
// Thread-safe. Hooks are called on main's thread, one after another; they are callable until the process drains.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"

namespace heed {

class ReloadHooks {
 public:
  // What a hook cannot read leaves as it is what was there; its status says why.
  using Hook = std::function<absl::Status()>;

  // `what` is its name in the log, snake_case.
  void Add(std::string what, Hook hook);

  // Calls each, in the order in which they were added. Logs one line, "reloaded", and one more for each that failed.
  void Run();

 private:
  absl::Mutex mu_;
  std::vector<std::pair<std::string, Hook>> hooks_ ABSL_GUARDED_BY(mu_);
};

}  // namespace heed
