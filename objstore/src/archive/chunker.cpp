#include "objstore/archive/chunker.hpp"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace objstore::archive {
namespace {

// The gear hash shifts left once a byte, so its top bits depend on the last 64 bytes: a boundary is where the top ones
// are all zero. 21 of them before the normal size (1 place in 2 MiB), 17 after it (1 in 128 KiB): FastCDC's normalised
// chunking.
constexpr std::uint64_t kStrictMask = 0xFFFF'F800'0000'0000ULL;
constexpr std::uint64_t kEagerMask = 0xFFFF'8000'0000'0000ULL;
constexpr std::size_t kWindow = 64;

}  // namespace

Chunker::Chunker(const base::Key& key, ChunkSizes sizes) : sizes_{sizes} {
    assert(kWindow <= sizes.smallest && sizes.smallest < sizes.normal && sizes.normal < sizes.largest);
    for (std::size_t i = 0; i < gear_.size(); i += 4) {
        const auto number = static_cast<std::uint8_t>(i / 4);
        const auto digest = base::hmac_sha256(key, {base::as_bytes("pelago gear"), base::ByteView{&number, 1}});
        for (std::size_t word = 0; word < 4; ++word) {
            std::uint64_t value = 0;
            for (std::size_t byte = 8; byte-- > 0;) value = value << 8U | digest[word * 8 + byte];
            gear_[i + word] = value;
        }
    }
}

std::size_t Chunker::cut(base::ByteView data, bool last) const {
    assert(last || data.size() >= sizes_.largest);
    if (data.size() <= sizes_.smallest) return data.size();
    const std::size_t end = std::min(data.size(), sizes_.largest);
    const std::size_t normal = std::min(sizes_.normal, end);
    const std::uint8_t* bytes = data.data();
    std::uint64_t hash = 0;
    std::size_t at = sizes_.smallest - kWindow;
    for (; at < sizes_.smallest; ++at) hash = (hash << 1U) + gear_[bytes[at]];
    for (; at < normal; ++at) {
        hash = (hash << 1U) + gear_[bytes[at]];
        if ((hash & kStrictMask) == 0) return at + 1;
    }
    for (; at < end; ++at) {
        hash = (hash << 1U) + gear_[bytes[at]];
        if ((hash & kEagerMask) == 0) return at + 1;
    }
    return end;
}

}  // namespace objstore::archive
