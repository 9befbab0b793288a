#include "objstore/archive/dedup_index.hpp"

#include <cstring>

namespace objstore::archive {
namespace {

constexpr std::size_t kFirstSlots = 1024;

// Chunk hashes are keyed, so nobody can choose them to collide: their first bytes place them.
std::uint64_t spread(const ChunkHash& hash) {
    std::uint64_t value = 0;
    std::memcpy(&value, hash.data(), sizeof value);
    return value;
}

}  // namespace

std::uint32_t DedupIndex::add_block(BlockRefPtr ref, Presence presence) {
    blocks_.push_back({std::move(ref), presence});
    return static_cast<std::uint32_t>(blocks_.size() - 1);
}

// The slot that holds `hash`, or the free one where it belongs. Requires: a free slot.
std::size_t DedupIndex::slot_of(const ChunkHash& hash) const {
    // Multiplying maps 64 bits onto any number of slots, so that the table can grow by a half instead of doubling.
    __extension__ using Wide = unsigned __int128;
    auto slot = static_cast<std::size_t>(static_cast<Wide>(spread(hash)) * slots_.size() >> 64U);
    while (slots_[slot] != 0 && entries_[slots_[slot] - 1].hash != hash)
        slot = slot + 1 == slots_.size() ? 0 : slot + 1;
    return slot;
}

void DedupIndex::grow() {
    slots_.assign(slots_.empty() ? kFirstSlots : slots_.size() + slots_.size() / 2, 0);
    for (std::size_t i = 0; i < entries_.size(); ++i)
        slots_[slot_of(entries_[i].hash)] = static_cast<std::uint32_t>(i + 1);
}

void DedupIndex::add(const ChunkHash& hash, ChunkLocation place) {
    if ((entries_.size() + 1) * 5 > slots_.size() * 4) grow();
    auto& slot = slots_[slot_of(hash)];
    if (slot != 0) {
        entries_[slot - 1].place = place;
        return;
    }
    entries_.push_back({hash, place});
    slot = static_cast<std::uint32_t>(entries_.size());
}

std::optional<ChunkLocation> DedupIndex::find(const ChunkHash& hash) const {
    if (slots_.empty()) return std::nullopt;
    const auto slot = slots_[slot_of(hash)];
    if (slot == 0) return std::nullopt;
    return entries_[slot - 1].place;
}

std::size_t DedupIndex::chunk_memory_bytes() const {
    return entries_.size() * sizeof(Entry) + slots_.capacity() * sizeof(slots_[0]);
}

}  // namespace objstore::archive
