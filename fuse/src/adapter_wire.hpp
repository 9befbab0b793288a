// What requests of the kernel say that libfuse 3.14 does not pass on. Reads the bytes that are handed to libfuse.
//
// Pure functions on one message; any thread.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"

namespace fusefs::wire {

struct Request {
    std::uint32_t opcode = 0;
    std::uint64_t unique = 0;
    bool drop_set_ids = false;        ///< write, truncate, open to truncate: by one who may not keep set-id bits
    bool is_first = false;            ///< it agrees on the protocol
    bool offers_killpriv_v2 = false;  ///< first: the kernel can leave set-id bits to us and say when to drop them
};

/// Requires nothing: what is too short for its kind says nothing.
[[nodiscard]] Request look_at(base::ByteView message);
/// "lookup", for statistics.
[[nodiscard]] std::string_view name_of(std::uint32_t opcode);

/// If the reply in `parts` answers the first request, that reply with the offer of killpriv_v2 taken; else nothing.
[[nodiscard]] std::vector<std::uint8_t> take_killpriv_v2(const iovec* parts, int count, std::uint64_t first_unique);

}  // namespace fusefs::wire
