// What scripts have to do with spaces.
//
// Thread-safe: a function.
#pragma once

namespace heed {

// Whether the letter is of a script whose words follow each other without space: Han, Kana, Thai, Lao, Khmer, Burmese.
bool IsUnspacedScript(char32_t c);

}  // namespace heed
