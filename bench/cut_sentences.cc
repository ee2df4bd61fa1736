// Cuts each line of standard input into sentences and writes their ends as a line of byte positions; for
// bench/sentences.py. Usage: cut_sentences LANGUAGE < lines
#include <iostream>
#include <string>

#include "server/text/sentences.h"

int main(int argc, char** argv) {
  const absl::StatusOr<heed::SentenceSplitter> splitter = heed::SentenceSplitter::Make(argc == 2 ? argv[1] : "");
  if (!splitter.ok()) {
    std::cerr << "cut_sentences LANGUAGE < lines: " << splitter.status().message() << "\n";
    return 1;
  }
  for (std::string line; std::getline(std::cin, line);) {
    const char* separator = "";
    for (const heed::ByteRange& sentence : splitter->Split(line)) {
      std::cout << separator << sentence.end;
      separator = " ";
    }
    std::cout << "\n";
  }
}
