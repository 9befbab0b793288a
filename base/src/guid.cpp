#include "base/guid.hpp"

#include <algorithm>
#include <bit>

namespace base {
namespace {

constexpr std::uint64_t big_endian(std::uint64_t word) {
    return std::endian::native == std::endian::little ? __builtin_bswap64(word) : word;
}

}  // namespace

std::optional<Guid> Guid::from_bytes(ByteView view) {
    if (view.size() != kBytes) return std::nullopt;
    Array bytes;
    std::copy(view.begin(), view.end(), bytes.begin());
    return Guid{bytes};
}

std::optional<Guid> Guid::from_hex(std::string_view text) {
    return text.size() == kDigits ? from_prefix(text) : std::nullopt;
}

std::optional<Guid> Guid::from_prefix(std::string_view digits) {
    if (digits.size() > kDigits) return std::nullopt;
    std::string padded{digits};
    padded.resize(kDigits, '0');
    const auto bytes = base::from_hex(padded);
    return bytes ? from_bytes(*bytes) : std::nullopt;
}

std::string Guid::hex() const { return to_hex(bytes_); }

std::string Guid::short_hex(std::size_t digits) const { return hex().substr(0, digits); }

std::size_t Guid::common_prefix(const Guid& other) const {
    for (std::size_t i = 0; i < kBytes; ++i) {
        const unsigned differing = bytes_[i] ^ other.bytes_[i];
        if (differing != 0) return 2 * i + (differing < 0x10U ? 1 : 0);
    }
    return kDigits;
}

// In words, not bytes: it is the innermost step of every leaf-set search.
Guid clockwise_distance(const Guid& from, const Guid& to) {
    constexpr std::size_t kWords = Guid::kBytes / 8;
    std::array<std::uint64_t, kWords> a;
    std::array<std::uint64_t, kWords> b;
    std::memcpy(a.data(), from.bytes().data(), Guid::kBytes);
    std::memcpy(b.data(), to.bytes().data(), Guid::kBytes);
    std::uint64_t borrow = 0;
    for (std::size_t i = kWords; i-- > 0;) {
        const std::uint64_t subtrahend = big_endian(a[i]);
        const std::uint64_t minuend = big_endian(b[i]);
        const std::uint64_t difference = minuend - subtrahend - borrow;
        borrow = minuend < subtrahend || (minuend == subtrahend && borrow != 0) ? 1 : 0;
        b[i] = big_endian(difference);
    }
    Guid::Array bytes;
    std::memcpy(bytes.data(), b.data(), Guid::kBytes);
    return Guid{bytes};
}

Guid ring_distance(const Guid& a, const Guid& b) {
    return std::min(clockwise_distance(a, b), clockwise_distance(b, a));
}

bool closer(const Guid& key, const Guid& a, const Guid& b) {
    const auto to_a = ring_distance(key, a);
    const auto to_b = ring_distance(key, b);
    return to_a != to_b ? to_a < to_b : a < b;
}

}  // namespace base
