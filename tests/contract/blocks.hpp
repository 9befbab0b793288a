// Blocks and names for tests, deterministic.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/hash.hpp"
#include "past/block_store.hpp"

namespace contract {

/// A block of `size` bytes that follow from `seed`.
inline past::Block block_of(std::uint64_t seed, std::size_t size) {
    base::Bytes bytes(size);
    std::uint64_t state = seed * 0x9E3779B97F4A7C15ULL + 1;
    for (auto& byte : bytes) {
        state ^= state << 13U;
        state ^= state >> 7U;
        state ^= state << 17U;
        byte = static_cast<std::uint8_t>(state >> 24U);
    }
    past::Block block;
    block.id = base::sha256(bytes);
    block.bytes = base::SharedBytes{std::move(bytes)};
    return block;
}

inline base::Guid guid_of(std::string_view name) { return base::sha256(base::as_bytes(name)); }

}  // namespace contract
