#include "base/guid.hpp"

#include <algorithm>
#include <bit>

namespace base {
namespace {

// A GUID as a number in words, the most significant first: distances are the innermost step of every search for the
// nodes nearest to a key.
constexpr std::size_t kWords = Guid::kBytes / 8;
using Number = std::array<std::uint64_t, kWords>;

constexpr std::uint64_t big_endian(std::uint64_t word) {
    return std::endian::native == std::endian::little ? __builtin_bswap64(word) : word;
}

Number number_of(const Guid& guid) {
    Number number;
    std::memcpy(number.data(), guid.bytes().data(), Guid::kBytes);
    for (auto& word : number) word = big_endian(word);
    return number;
}

Guid guid_of(Number number) {
    for (auto& word : number) word = big_endian(word);
    Guid::Array bytes;
    std::memcpy(bytes.data(), number.data(), Guid::kBytes);
    return Guid{bytes};
}

/// Modulo 2^256.
Number minus(const Number& a, const Number& b) {
    Number difference;
    std::uint64_t borrow = 0;
    for (std::size_t i = kWords; i-- > 0;) {
        difference[i] = a[i] - b[i] - borrow;
        borrow = a[i] < b[i] || (a[i] == b[i] && borrow != 0) ? 1 : 0;
    }
    return difference;
}

Number shorter_way(const Number& a, const Number& b) {
    const auto clockwise = minus(b, a);
    constexpr auto kHalf = std::uint64_t{1} << 63U;
    return clockwise[0] < kHalf ? clockwise : minus(Number{}, clockwise);
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

Guid clockwise_distance(const Guid& from, const Guid& to) { return guid_of(minus(number_of(to), number_of(from))); }

Guid ring_distance(const Guid& a, const Guid& b) { return guid_of(shorter_way(number_of(a), number_of(b))); }

bool closer(const Guid& key, const Guid& a, const Guid& b) {
    const auto at = number_of(key);
    const auto to_a = shorter_way(at, number_of(a));
    const auto to_b = shorter_way(at, number_of(b));
    return to_a != to_b ? to_a < to_b : a < b;
}

}  // namespace base
