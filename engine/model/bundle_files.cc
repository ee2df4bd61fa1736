#include "engine/model/bundle_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <set>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "engine/base/quote.h"
#include "engine/base/saturating.h"
#include "engine/base/status_macros.h"
#include "engine/model/sha256.h"

namespace heed {
namespace {

constexpr std::size_t kMaxNameBytes = 128;
constexpr std::size_t kHexDigits = 64;
constexpr std::size_t kReadBytes = std::size_t{1} << 30;  // one read() returns at most 2 GiB

// Names of everything in the open folder, sorted; takes the descriptor over.
absl::StatusOr<std::set<std::string>> ListFolder(int descriptor, const std::string& folder, int max_files) {
  DIR* dir = fdopendir(descriptor);
  if (dir == nullptr) {
    const int error = errno;
    close(descriptor);
    return absl::ErrnoToStatus(error, Quote(folder, 400));
  }
  const auto closer = absl::MakeCleanup([dir] { closedir(dir); });
  std::set<std::string> names;
  while (true) {
    errno = 0;
    const dirent* entry = readdir(dir);
    if (entry == nullptr) break;
    const std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    if (!IsBundleFileName(name)) {
      return absl::InvalidArgumentError(absl::StrCat(Quote(name), ": a file's name must be 1 to ", kMaxNameBytes,
                                                     " of [A-Za-z0-9._-] and not start with a dot"));
    }
    names.insert(name);
    if (names.size() > static_cast<std::size_t>(max_files)) {
      return absl::InvalidArgumentError(absl::StrCat(Quote(folder, 400), ": more than ", max_files, " files"));
    }
  }
  if (errno != 0) return absl::ErrnoToStatus(errno, Quote(folder, 400));
  return names;
}

// The open file's size.
absl::StatusOr<std::int64_t> SizeOf(int file, const std::string& name, std::int64_t max_bytes) {
  struct stat info;
  if (fstat(file, &info) != 0) return absl::ErrnoToStatus(errno, name);
  if (!S_ISREG(info.st_mode)) return absl::InvalidArgumentError(absl::StrCat(name, ": not a regular file"));
  if (info.st_size > max_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": ", info.st_size, " bytes, more than the bound of ", max_bytes));
  }
  return info.st_size;
}

absl::StatusOr<int> OpenFile(int folder, const std::string& name) {
  // O_NONBLOCK: opening a FIFO must not wait for a writer.
  const int file = openat(folder, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (file < 0) {
    if (errno == ENOENT) return absl::NotFoundError(absl::StrCat(name, ": missing from the bundle"));
    if (errno == ELOOP || errno == ENXIO) {
      return absl::InvalidArgumentError(absl::StrCat(name, ": not a regular file"));
    }
    return absl::ErrnoToStatus(errno, name);
  }
  return file;
}

absl::StatusOr<std::int64_t> FileSize(int folder, const std::string& name, std::int64_t max_bytes) {
  HEED_ASSIGN_OR_RETURN(const int file, OpenFile(folder, name));
  const auto closer = absl::MakeCleanup([file] { close(file); });
  return SizeOf(file, name, max_bytes);
}

absl::StatusOr<std::string> ReadFile(int folder, const std::string& name, std::int64_t max_bytes) {
  HEED_ASSIGN_OR_RETURN(const int file, OpenFile(folder, name));
  const auto closer = absl::MakeCleanup([file] { close(file); });
  HEED_ASSIGN_OR_RETURN(const std::int64_t size, SizeOf(file, name, max_bytes));
  std::string bytes(static_cast<std::size_t>(size), '\0');
  std::size_t filled = 0;
  while (filled < bytes.size()) {
    const ssize_t n = read(file, bytes.data() + filled, std::min(bytes.size() - filled, kReadBytes));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return absl::ErrnoToStatus(errno, name);
    if (n == 0) return absl::InvalidArgumentError(absl::StrCat(name, ": became shorter while it was read"));
    filled += static_cast<std::size_t>(n);
  }
  return bytes;
}

std::int64_t MaxBytes(const std::string& name, const BundleLimits& limits) {
  if (name == "parity.json") return limits.max_parity_bytes;
  if (name == "README.md" || name == "LICENSE" || name == "NOTICE") return limits.max_text_bytes;
  return limits.max_file_bytes;
}

// "HEX  NAME\n" lines to name -> hex.
absl::StatusOr<std::map<std::string, std::string>> ParseSums(absl::string_view text) {
  std::map<std::string, std::string> sums;
  int number = 0;
  while (!text.empty()) {
    ++number;
    const std::size_t end = text.find('\n');
    const absl::string_view line = text.substr(0, end);
    const auto fault = [&](absl::string_view what) {
      return absl::InvalidArgumentError(absl::StrCat(kSumsFile, ": line ", number, ": ", what));
    };
    if (end == absl::string_view::npos) return fault("does not end in a newline");
    text.remove_prefix(end + 1);
    const absl::string_view hex = line.substr(0, kHexDigits);
    const bool is_hex = hex.size() == kHexDigits && std::all_of(hex.begin(), hex.end(), [](char c) {
                          return absl::ascii_isdigit(c) || (c >= 'a' && c <= 'f');
                        });
    if (!is_hex || line.substr(kHexDigits, 2) != "  ") {
      return fault("expected 64 lower-case hex digits, two spaces and a file name");
    }
    const absl::string_view name = line.substr(kHexDigits + 2);
    if (!IsBundleFileName(name)) return fault(absl::StrCat("not a file name: ", Quote(name)));
    if (name == kSumsFile) return fault("lists itself");
    if (!sums.emplace(name, hex).second) return fault(absl::StrCat("lists ", name, " twice"));
  }
  return sums;
}

absl::Status CheckListing(const std::set<std::string>& names, const std::map<std::string, std::string>& sums) {
  for (const auto& [name, sum] : sums) {
    if (!names.contains(name)) {
      return absl::NotFoundError(absl::StrCat(name, ": listed in ", kSumsFile, " but missing from the bundle"));
    }
  }
  for (const std::string& name : names) {
    if (name != kSumsFile && !sums.contains(name)) {
      return absl::InvalidArgumentError(absl::StrCat(name, ": not listed in ", kSumsFile));
    }
  }
  return absl::OkStatus();
}

}  // namespace

bool IsBundleFileName(absl::string_view name) {
  return !name.empty() && name.size() <= kMaxNameBytes && name[0] != '.' &&
         std::all_of(name.begin(), name.end(),
                     [](char c) { return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-'; });
}

absl::StatusOr<BundleFiles> ReadBundleFiles(const std::string& folder, const BundleLimits& limits) {
  const int descriptor = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) {
    if (errno == ENOENT || errno == ENOTDIR)
      return absl::NotFoundError(absl::StrCat(Quote(folder, 400), ": no such folder"));
    return absl::ErrnoToStatus(errno, Quote(folder, 400));
  }
  const auto closer = absl::MakeCleanup([descriptor] { close(descriptor); });
  const int listing = openat(descriptor, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (listing < 0) return absl::ErrnoToStatus(errno, Quote(folder, 400));
  HEED_ASSIGN_OR_RETURN(const std::set<std::string> names, ListFolder(listing, folder, limits.max_files));

  const std::int64_t max_sums = static_cast<std::int64_t>(limits.max_files) * (kHexDigits + 3 + kMaxNameBytes);
  HEED_ASSIGN_OR_RETURN(std::string sums_text, ReadFile(descriptor, std::string(kSumsFile), max_sums));
  HEED_ASSIGN_OR_RETURN(const auto sums, ParseSums(sums_text));
  HEED_RETURN_IF_ERROR(CheckListing(names, sums));

  BundleFiles result;
  HEED_ASSIGN_OR_RETURN(result.digest, Sha256Hex(sums_text));
  std::map<std::string, std::int64_t> sizes;
  for (const auto& [name, expected] : sums) {
    HEED_ASSIGN_OR_RETURN(const std::int64_t size, FileSize(descriptor, name, MaxBytes(name, limits)));
    sizes[name] = size;
    result.bytes = SaturatingAdd(result.bytes, size, name == kSpecFile ? SpecBytes(size) : 0);
  }
  if (result.bytes > limits.max_bytes) {
    return absl::ResourceExhaustedError(absl::StrCat("its files alone need ", result.bytes,
                                                     " bytes of memory, more than the bound of ", limits.max_bytes));
  }
  for (const auto& [name, expected] : sums) {
    // A file that has grown since does not pass for what was added up.
    HEED_ASSIGN_OR_RETURN(std::string bytes, ReadFile(descriptor, name, sizes[name]));
    HEED_ASSIGN_OR_RETURN(const std::string found, Sha256Hex(bytes));
    if (found != expected) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, ": SHA-256 is ", found, ", ", kSumsFile, " says ", expected));
    }
    result.files.emplace(name, std::move(bytes));
  }
  result.files.emplace(kSumsFile, std::move(sums_text));
  return result;
}

}  // namespace heed
