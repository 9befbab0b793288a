// SHA-256, HMAC and HKDF: the only hashes Pelago names things with (FIPS 180-4, RFC 2104, RFC 5869).
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "base/bytes.hpp"
#include "base/guid.hpp"

namespace base {

using Digest = std::array<std::uint8_t, 32>;
using Key = std::array<std::uint8_t, 32>;

[[nodiscard]] Guid sha256(ByteView bytes);
/// Of the parts, one after another, without copying them together.
[[nodiscard]] Guid sha256(std::initializer_list<ByteView> parts);

/// For input that arrives in pieces.
class Sha256 {
  public:
    Sha256();
    ~Sha256();
    Sha256(Sha256&&) noexcept;
    Sha256& operator=(Sha256&&) noexcept;
    void update(ByteView bytes);
    /// Ends it: call once.
    [[nodiscard]] Guid finish();

  private:
    struct State;
    std::unique_ptr<State> state_;
};

[[nodiscard]] Digest hmac_sha256(ByteView key, std::initializer_list<ByteView> parts);
/// HKDF-Expand after Extract with an empty salt; `label` names the use, so that no two uses share a key.
[[nodiscard]] Key derive_key(ByteView secret, std::string_view label, ByteView context = {});

/// CRC-32C (Castagnoli) of `bytes`, continuing from `seed`. Finds torn and rotten bytes; proves nothing to an
/// adversary.
[[nodiscard]] std::uint32_t crc32c(ByteView bytes, std::uint32_t seed = 0);
/// True if the last four bytes are the CRC-32C of all before them, little-endian. To be looked at before anything else:
/// a damaged version number is no later version.
[[nodiscard]] bool ends_with_crc32c(ByteView bytes);

}  // namespace base
