// Which blocks damage took from this store, so that they are not taken for blocks that never were.
//
// Bytes: docs/formats/store.md#lost-blocks. A plain value: no disk, no clock. Not thread safe.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "base/bytes.hpp"
#include "base/guid.hpp"
#include "past/block_store.hpp"

namespace past::store {

class LostBlocks {
  public:
    static constexpr std::size_t kMaxTags = kMaxTagsPerBlock;  ///< of a block that are remembered

    /// The key of the small record that they are kept in.
    [[nodiscard]] static const base::Guid& record_key();
    /// Empty if there are none.
    [[nodiscard]] base::Bytes encode() const;
    /// None if the bytes are not what encode() makes.
    [[nodiscard]] static LostBlocks decode(base::ByteView bytes);

    [[nodiscard]] bool empty() const { return blocks_.empty(); }
    [[nodiscard]] std::size_t size() const { return blocks_.size(); }
    [[nodiscard]] bool contains(const base::Guid& id) const { return blocks_.contains(id); }
    /// The one lost last at the end.
    [[nodiscard]] std::vector<LostBlock> all() const;

    /// As the latest; the oldest go if they do not all fit into a record. Requires: it has a tag.
    void add(LostBlock block);
    void erase(const base::Guid& id);
    /// What an untag does to a held block, it does to a lost one: gone with its last tag.
    void untag(const base::Guid& id, const Tag& tag);

  private:
    struct Entry {
        LostBlock block;
        std::uint64_t order = 0;
    };
    [[nodiscard]] std::vector<const Entry*> in_order() const;

    std::map<base::Guid, Entry> blocks_;
    std::uint64_t next_order_ = 0;
    std::size_t bytes_ = 0;  // of the entries, encoded
};

}  // namespace past::store
