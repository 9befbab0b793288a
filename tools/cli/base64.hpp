// RFC 4648, section 4: with padding.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.hpp"

namespace tools {

[[nodiscard]] std::string to_base64(base::ByteView bytes);
/// Nullopt for anything but the one encoding of some bytes.
[[nodiscard]] std::optional<base::Bytes> from_base64(std::string_view text);

}  // namespace tools
