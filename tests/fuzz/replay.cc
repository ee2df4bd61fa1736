// The main of a fuzzer without libFuzzer: tries each file that it is given, or of the folders that it is given, so that
// every build and every sanitizer tries the corpus. Fails where there is none.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "tests/fuzz/fuzz.h"

namespace {

namespace fs = std::filesystem;

std::vector<fs::path> FilesOf(const fs::path& place) {
  if (!fs::is_directory(place)) return {place};
  std::vector<fs::path> files;
  for (const fs::directory_entry& entry : fs::directory_iterator(place)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

void Try(const std::string& bytes) {
  // A copy of exactly this size, so that a sanitizer sees a read beyond its end.
  const std::vector<std::uint8_t> input(bytes.begin(), bytes.end());
  LLVMFuzzerTestOneInput(input.data(), input.size());
}

}  // namespace

int main(int argc, char** argv) {
  int tried = 0;
  Try("");
  for (int i = 1; i < argc; ++i) {
    for (const fs::path& path : FilesOf(argv[i])) {
      std::ifstream file(path, std::ios::binary);
      if (!file.good()) {
        std::fprintf(stderr, "replay: %s cannot be read\n", path.c_str());
        return 1;
      }
      std::fprintf(stderr, "%s\n", path.c_str());  // the last line says which one it was
      Try({std::istreambuf_iterator<char>(file), {}});
      ++tried;
    }
  }
  std::fprintf(stderr, "replay: %d inputs\n", tried);
  return tried > 0 ? 0 : 1;
}
