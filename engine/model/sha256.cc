#include "engine/model/sha256.h"

#include <openssl/evp.h>

#include "absl/strings/escaping.h"

namespace heed {

absl::StatusOr<std::string> Sha256Hex(absl::string_view bytes) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  if (EVP_Digest(bytes.data(), bytes.size(), digest, &size, EVP_sha256(), nullptr) != 1) {
    return absl::InternalError("SHA-256 is not available from the crypto library");
  }
  return absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(digest), size));
}

}  // namespace heed
