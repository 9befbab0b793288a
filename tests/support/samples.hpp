// An owner's key and content that does not compress, the same in every run.
#pragma once

#include <cstdint>
#include <random>

#include "base/bytes.hpp"
#include "base/crypto.hpp"

namespace support {

inline base::SigningKey owner_key() {
    base::Key seed{};
    seed.fill(7);
    return base::SigningKey{seed};
}

inline base::Bytes noise(std::size_t size, std::uint32_t seed) {
    std::mt19937 random{seed};
    base::Bytes bytes(size);
    for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random());
    return bytes;
}

}  // namespace support
