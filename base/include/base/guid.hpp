// The 256-bit identifiers that nodes and objects share, on one ring of 2^256 points.
//
// Paper: Rowstron & Druschel 2001, section 2 (128-bit ids there; ours are a SHA-256 wide). Digits are base 16 (b = 4),
// the most significant first.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.hpp"

namespace base {

class Guid {
  public:
    static constexpr std::size_t kBytes = 32;
    static constexpr std::size_t kDigits = 64;
    using Array = std::array<std::uint8_t, kBytes>;

    constexpr Guid() = default;  // zero
    constexpr explicit Guid(const Array& bytes) : bytes_{bytes} {}

    /// Nullopt unless `view` is exactly 32 bytes.
    [[nodiscard]] static std::optional<Guid> from_bytes(ByteView view);
    /// Nullopt unless `text` is exactly 64 hexadecimal digits.
    [[nodiscard]] static std::optional<Guid> from_hex(std::string_view text);
    /// The smallest GUID that begins with these digits (at most 64): "65a1fc" is 65a1fc000...0. For tests and prefixes.
    [[nodiscard]] static std::optional<Guid> from_prefix(std::string_view digits);

    [[nodiscard]] constexpr const Array& bytes() const { return bytes_; }
    [[nodiscard]] ByteView view() const { return bytes_; }
    /// 64 hexadecimal digits.
    [[nodiscard]] std::string hex() const;
    /// The first `digits` hexadecimal digits, as people see it in lists.
    [[nodiscard]] std::string short_hex(std::size_t digits = 8) const;

    /// Digit `index` of 64, 0 the most significant; 0..15. Requires: index < 64.
    [[nodiscard]] constexpr unsigned digit(std::size_t index) const {
        const std::uint8_t byte = bytes_[index / 2];
        return index % 2 == 0 ? byte >> 4U : byte & 0x0FU;
    }
    /// How many leading digits both share: 0..64.
    [[nodiscard]] std::size_t common_prefix(const Guid& other) const;
    [[nodiscard]] constexpr bool is_zero() const { return *this == Guid{}; }

    friend constexpr auto operator<=>(const Guid&, const Guid&) = default;
    friend constexpr bool operator==(const Guid&, const Guid&) = default;

  private:
    Array bytes_{};
};

/// (to - from) modulo 2^256: how far clockwise `to` lies from `from`.
[[nodiscard]] Guid clockwise_distance(const Guid& from, const Guid& to);
/// The shorter way round.
[[nodiscard]] Guid ring_distance(const Guid& a, const Guid& b);
/// True if `a` is numerically closer to `key` than `b` is. Of two equally close, the smaller id wins, so that of any
/// set of nodes exactly one is the root of a key.
[[nodiscard]] bool closer(const Guid& key, const Guid& a, const Guid& b);

using NodeId = Guid;

}  // namespace base

template <>
struct std::hash<base::Guid> {
    /// GUIDs are hashes already: their first bytes will do. Never used where an adversary picks ids freely.
    std::size_t operator()(const base::Guid& guid) const noexcept {
        std::size_t value = 0;
        std::memcpy(&value, guid.bytes().data(), sizeof value);
        return value;
    }
};
