// Runs `heed translate --stream` and `heed summarize --stream`: one text after the other, its words printed as they
// come.
#pragma once

#include "client/cli/text_command.h"
#include "client/cli/text_input.h"

namespace heed::cli {

// Returns the exit code.
int RunStream(TextInput* input, const StreamTexts& stream, Client* client, const TextOptions& options,
              const Console& console);

}  // namespace heed::cli
