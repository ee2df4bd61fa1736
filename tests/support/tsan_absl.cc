// Tells the thread sanitizer about Abseil's locks. Debian's libraries are built without it, so it sees no ordering
// where absl::Mutex makes one and reports every guarded member as a race. This file, linked into the programs of the
// tsan preset alone, takes the place of the functions that our code calls, annotates, and calls the library's own.
//
// While the library works on the lock, the sanitizer looks away; it is told of the lock as of a native mutex, so that
// real races, double locking and lock-order cycles are still reported.
#include <dlfcn.h>
#include <sanitizer/tsan_interface.h>

#include <cstdlib>

#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"

namespace {

// The library's own function.
template <typename Function>
Function* Next(const char* mangled) {
  void* const function = dlsym(RTLD_NEXT, mangled);
  if (function == nullptr) std::abort();
  return reinterpret_cast<Function*>(function);
}

constexpr unsigned kWrite = 0;
constexpr unsigned kRead = __tsan_mutex_read_lock;

// The library calls its own functions through these, so a call inside a call is not told again.
thread_local int depth = 0;

// Around a call that takes the lock.
class Locking {
 public:
  Locking(void* mutex, unsigned flags) : mutex_(mutex), flags_(flags) {
    if (depth++ == 0) __tsan_mutex_pre_lock(mutex_, flags_);
  }
  ~Locking() {
    if (--depth == 0) __tsan_mutex_post_lock(mutex_, flags_, 0);
  }
  // Of a call that only tries.
  void Failed() { flags_ |= __tsan_mutex_try_lock_failed; }

 private:
  void* const mutex_;
  unsigned flags_;
};

// Around a call that gives the lock back.
class Unlocking {
 public:
  Unlocking(void* mutex, unsigned flags) : mutex_(mutex), flags_(flags) {
    if (depth++ == 0) __tsan_mutex_pre_unlock(mutex_, flags_);
  }
  ~Unlocking() {
    if (--depth == 0) __tsan_mutex_post_unlock(mutex_, flags_);
  }

 private:
  void* const mutex_;
  const unsigned flags_;
};

// Around a call that gives the lock back, waits and takes it again.
class Waiting {
 public:
  explicit Waiting(void* mutex) : mutex_(mutex) {
    if (depth++ > 0) return;
    __tsan_mutex_pre_unlock(mutex_, kWrite);
    __tsan_mutex_post_unlock(mutex_, kWrite);
    __tsan_mutex_pre_lock(mutex_, kWrite);
  }
  ~Waiting() {
    if (--depth == 0) __tsan_mutex_post_lock(mutex_, kWrite, 0);
  }

 private:
  void* const mutex_;
};

}  // namespace

#define HEED_NEXT(mangled, ...) static auto* const next = Next<__VA_ARGS__>(mangled)

namespace absl {
ABSL_NAMESPACE_BEGIN

void Mutex::Lock() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  HEED_NEXT("_ZN4absl7debian35Mutex4LockEv", void(Mutex*));
  Locking locking(this, kWrite);
  next(this);
}

void Mutex::Unlock() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  HEED_NEXT("_ZN4absl7debian35Mutex6UnlockEv", void(Mutex*));
  Unlocking unlocking(this, kWrite);
  next(this);
}

void Mutex::ReaderLock() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  HEED_NEXT("_ZN4absl7debian35Mutex10ReaderLockEv", void(Mutex*));
  Locking locking(this, kRead);
  next(this);
}

void Mutex::ReaderUnlock() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  HEED_NEXT("_ZN4absl7debian35Mutex12ReaderUnlockEv", void(Mutex*));
  Unlocking unlocking(this, kRead);
  next(this);
}

bool Mutex::TryLock() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  HEED_NEXT("_ZN4absl7debian35Mutex7TryLockEv", bool(Mutex*));
  Locking locking(this, __tsan_mutex_try_lock);
  const bool locked = next(this);
  if (!locked) locking.Failed();
  return locked;
}

void Mutex::LockWhen(const Condition& condition) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  HEED_NEXT("_ZN4absl7debian35Mutex8LockWhenERKNS0_9ConditionE", void(Mutex*, const Condition&));
  Locking locking(this, kWrite);
  next(this, condition);
}

void Mutex::Await(const Condition& condition) {
  HEED_NEXT("_ZN4absl7debian35Mutex5AwaitERKNS0_9ConditionE", void(Mutex*, const Condition&));
  Waiting waiting(this);
  next(this, condition);
}

bool Mutex::AwaitWithTimeout(const Condition& condition, absl::Duration timeout) {
  HEED_NEXT("_ZN4absl7debian35Mutex16AwaitWithTimeoutERKNS0_9ConditionENS0_8DurationE",
            bool(Mutex*, const Condition&, absl::Duration));
  Waiting waiting(this);
  return next(this, condition, timeout);
}

bool Mutex::AwaitWithDeadline(const Condition& condition, absl::Time deadline) {
  HEED_NEXT("_ZN4absl7debian35Mutex17AwaitWithDeadlineERKNS0_9ConditionENS0_4TimeE",
            bool(Mutex*, const Condition&, absl::Time));
  Waiting waiting(this);
  return next(this, condition, deadline);
}

void CondVar::Wait(Mutex* mutex) {
  HEED_NEXT("_ZN4absl7debian37CondVar4WaitEPNS0_5MutexE", void(CondVar*, Mutex*));
  Waiting waiting(mutex);
  next(this, mutex);
}

bool CondVar::WaitWithTimeout(Mutex* mutex, absl::Duration timeout) {
  HEED_NEXT("_ZN4absl7debian37CondVar15WaitWithTimeoutEPNS0_5MutexENS0_8DurationE",
            bool(CondVar*, Mutex*, absl::Duration));
  Waiting waiting(mutex);
  return next(this, mutex, timeout);
}

bool CondVar::WaitWithDeadline(Mutex* mutex, absl::Time deadline) {
  HEED_NEXT("_ZN4absl7debian37CondVar16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE", bool(CondVar*, Mutex*, absl::Time));
  Waiting waiting(mutex);
  return next(this, mutex, deadline);
}

void Notification::Notify() {
  HEED_NEXT("_ZN4absl7debian312Notification6NotifyEv", void(Notification*));
  __tsan_release(this);
  next(this);
}

void Notification::WaitForNotification() const {
  HEED_NEXT("_ZNK4absl7debian312Notification19WaitForNotificationEv", void(const Notification*));
  next(this);
  __tsan_acquire(const_cast<Notification*>(this));
}

bool Notification::WaitForNotificationWithTimeout(absl::Duration timeout) const {
  HEED_NEXT("_ZNK4absl7debian312Notification30WaitForNotificationWithTimeoutENS0_8DurationE",
            bool(const Notification*, absl::Duration));
  const bool notified = next(this, timeout);
  if (notified) __tsan_acquire(const_cast<Notification*>(this));
  return notified;
}

bool Notification::WaitForNotificationWithDeadline(absl::Time deadline) const {
  HEED_NEXT("_ZNK4absl7debian312Notification31WaitForNotificationWithDeadlineENS0_4TimeE",
            bool(const Notification*, absl::Time));
  const bool notified = next(this, deadline);
  if (notified) __tsan_acquire(const_cast<Notification*>(this));
  return notified;
}

bool BlockingCounter::DecrementCount() {
  HEED_NEXT("_ZN4absl7debian315BlockingCounter14DecrementCountEv", bool(BlockingCounter*));
  __tsan_release(this);
  return next(this);
}

void BlockingCounter::Wait() {
  HEED_NEXT("_ZN4absl7debian315BlockingCounter4WaitEv", void(BlockingCounter*));
  next(this);
  __tsan_acquire(this);
}

ABSL_NAMESPACE_END
}  // namespace absl
