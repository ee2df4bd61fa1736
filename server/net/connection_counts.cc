#include "server/net/connection_counts.h"

#include <arpa/inet.h>

#include <algorithm>

#include "absl/strings/match.h"

namespace heed {
namespace {

// Whom an address counts for: whoever has one of IPv6 has the 2^64 beside it.
std::string Holder(const std::string& address) {
  in6_addr six = {};
  if (inet_pton(AF_INET6, address.c_str(), &six) != 1) return address;
  return std::string(reinterpret_cast<const char*>(six.s6_addr), 8);
}

bool IsLoopback(const std::string& address) { return absl::StartsWith(address, "127.") || address == "::1"; }

}  // namespace

bool ConnectionCounts::Add(const std::string& address) {
  if (per_address_ > 0 && !address.empty() && !IsLoopback(address)) {
    int& count = by_address_[Holder(address)];
    if (count >= per_address_) return false;
    ++count;
  }
  ++open_;
  return true;
}

void ConnectionCounts::Remove(const std::string& address) {
  --open_;
  const auto found = by_address_.find(Holder(address));
  if (found != by_address_.end() && --found->second == 0) by_address_.erase(found);
}

bool ConnectionCounts::Enter(const std::string& address) {
  absl::MutexLock lock(&mu_);
  if (open_ < limit_ && Add(address)) return true;
  ++refused_;
  return false;
}

bool ConnectionCounts::EnterOver(const std::string& address) {
  absl::MutexLock lock(&mu_);
  if (Add(address)) return true;
  ++refused_;
  return false;
}

bool ConnectionCounts::Move(const std::string& from, const std::string& to) {
  absl::MutexLock lock(&mu_);
  if (!Add(to)) {
    ++refused_;
    return false;
  }
  Remove(from);
  return true;
}

void ConnectionCounts::Leave(const std::string& address, absl::string_view fault) {
  absl::MutexLock lock(&mu_);
  Remove(address);
  if (!fault.empty()) ++faults_[std::string(fault)];
}

void ConnectionCounts::Lower(int limit) {
  absl::MutexLock lock(&mu_);
  limit_ = std::max(1, std::min(limit_, limit));
}

bool ConnectionCounts::full() const {
  absl::MutexLock lock(&mu_);
  return open_ >= limit_;
}

ConnectionStats ConnectionCounts::stats() const {
  absl::MutexLock lock(&mu_);
  return {open_, limit_, refused_, faults_};
}

}  // namespace heed
