// docs/formats/dedup-cache.md: what decodes encodes to the same bytes, and nothing reaches beyond its block.
#include <cstdlib>

#include "objstore/archive/dedup_cache.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const base::ByteView bytes{data, size};
    const auto record = objstore::archive::CacheRecord::decode(bytes);
    if (!record) return 0;
    const auto again = record->encode();
    if (!std::equal(again.begin(), again.end(), bytes.begin(), bytes.end())) std::abort();
    for (const auto& chunk : record->chunks) {
        const auto end = std::uint64_t{chunk.offset} + chunk.length;
        if (end > objstore::max_content_bytes(record->block.type)) std::abort();
    }
    return 0;
}
