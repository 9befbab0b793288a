#include "base/guid.hpp"

#include <algorithm>

namespace base {

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

Guid clockwise_distance(const Guid& from, const Guid& to) {
    Guid::Array difference;
    int borrow = 0;
    for (std::size_t i = Guid::kBytes; i-- > 0;) {
        const int digit = int{to.bytes()[i]} - int{from.bytes()[i]} - borrow;
        borrow = digit < 0 ? 1 : 0;
        difference[i] = static_cast<std::uint8_t>(digit);  // modulo 256
    }
    return Guid{difference};
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
