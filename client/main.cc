// The `heed` command. Everything is in client/cli.
#include <iostream>

#include "client/cli/commands.h"

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  return heed::cli::RunHeed({argv + 1, argv + argc}, heed::cli::Console::Real());
}
