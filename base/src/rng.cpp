#include "base/rng.hpp"

#include <cstring>

namespace base {

std::uint64_t Rng::next() {
    std::array<std::uint8_t, 8> bytes;
    fill(bytes);
    std::uint64_t value = 0;
    std::memcpy(&value, bytes.data(), bytes.size());
    return value;
}

std::uint64_t Rng::below(std::uint64_t bound) {
    // Values above the last whole multiple of bound would favour small results: draw again.
    const std::uint64_t limit = UINT64_MAX - (UINT64_MAX % bound + 1) % bound;
    std::uint64_t value = next();
    while (value > limit) value = next();
    return value % bound;
}

double Rng::unit() { return static_cast<double>(next() >> 11U) * 0x1.0p-53; }

Guid Rng::guid() {
    Guid::Array bytes;
    fill(bytes);
    return Guid{bytes};
}

Key Rng::secret() {
    Key key;
    fill(key);
    return key;
}

}  // namespace base
