// A message of bytes that somebody else chose.
#pragma once

#include <algorithm>

#include "base/transport.hpp"

/// The first two bytes divide the rest into header and payload; fewer bytes are an empty message.
inline base::Message foreign_message(base::ByteView bytes) {
    base::Message message;
    if (bytes.size() < 2) return message;
    const std::size_t cut =
        std::min<std::size_t>(bytes[0] | (static_cast<std::size_t>(bytes[1]) << 8U), bytes.size() - 2);
    message.header = base::to_bytes(bytes.subspan(2, cut));
    message.payload = base::to_bytes(bytes.subspan(2 + cut));
    return message;
}
