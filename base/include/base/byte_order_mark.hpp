// Text files as editors leave them.
#pragma once

#include <string_view>

namespace base {

/// `text` without the mark (U+FEFF in UTF-8) that some editors put before it: it is no part of the first line.
[[nodiscard]] constexpr std::string_view without_byte_order_mark(std::string_view text) {
    constexpr std::string_view kMark = "\xEF\xBB\xBF";
    if (text.starts_with(kMark)) text.remove_prefix(kMark.size());
    return text;
}

}  // namespace base
