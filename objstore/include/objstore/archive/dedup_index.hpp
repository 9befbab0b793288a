// Which chunks the volume holds already, and where: the memory side of deduplication.
//
// At most 40 bytes a chunk, and about 200 a block. Not thread safe; one backup owns it. An entry is a hint: it counts
// only once its block is known to be there (state::here), because a reclaim may have taken it.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "objstore/block.hpp"
#include "objstore/records.hpp"

namespace objstore::archive {

/// A chunk within a block of the index.
struct ChunkLocation {
    std::uint32_t block = 0;
    std::uint32_t offset = 0;
    std::uint32_t length = 0;
    friend bool operator==(const ChunkLocation&, const ChunkLocation&) = default;
};

class DedupIndex {
  public:
    enum class Presence : std::uint8_t { unknown, here, gone };

    /// `ref` may be null as long as the block is not sealed. Returns its number, from 0.
    std::uint32_t add_block(BlockRefPtr ref, Presence presence);
    void set_block(std::uint32_t block, BlockRefPtr ref) { blocks_[block].ref = std::move(ref); }
    void set_presence(std::uint32_t block, Presence presence) { blocks_[block].presence = presence; }
    [[nodiscard]] const BlockRefPtr& block(std::uint32_t block) const { return blocks_[block].ref; }
    [[nodiscard]] Presence presence(std::uint32_t block) const { return blocks_[block].presence; }
    [[nodiscard]] std::uint32_t blocks() const { return static_cast<std::uint32_t>(blocks_.size()); }

    /// A later place of the same chunk replaces an earlier one.
    void add(const ChunkHash& hash, ChunkLocation place);
    [[nodiscard]] std::optional<ChunkLocation> find(const ChunkHash& hash) const;
    [[nodiscard]] std::size_t chunks() const { return entries_.size(); }
    /// Of the chunks; the blocks come on top.
    [[nodiscard]] std::size_t chunk_memory_bytes() const;

  private:
    struct Entry {
        ChunkHash hash;
        ChunkLocation place;
    };
    struct Block {
        BlockRefPtr ref;
        Presence presence = Presence::unknown;
    };

    [[nodiscard]] std::size_t slot_of(const ChunkHash& hash) const;
    void grow();

    std::deque<Entry> entries_;         // never moved: no doubling
    std::vector<std::uint32_t> slots_;  // open addressing; number of the entry plus one, 0 is free
    std::vector<Block> blocks_;
};

}  // namespace objstore::archive
