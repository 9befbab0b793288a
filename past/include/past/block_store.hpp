// What one node keeps: blocks and small records, on its own Disk. One contract, one suite (tests/contract).
//
// Formats: docs/formats/store.md. On the node's executor; disk work goes to Workers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/bytes.hpp"
#include "base/guid.hpp"
#include "base/result.hpp"
#include "base/task.hpp"

namespace past {

/// Who wants a block kept: a volume's tag, and the session (generation) that last said so.
struct Tag {
    base::Guid volume;
    std::uint64_t generation = 0;
    friend bool operator==(const Tag&, const Tag&) = default;
};

/// Of one block. Anybody may tag what he knows the id of, and every tag costs its holders memory and messages. What
/// carries a block's tags (a repair, the list of lost blocks) has room for as many.
constexpr std::size_t kMaxTagsPerBlock = 64;

/// A piece is the whole block for now (1-of-n). The caller has checked that `bytes` hash to `id`.
struct Block {
    base::Guid id;
    base::SharedBytes bytes;
};

/// A block whose copy here turned out to be damaged and was dropped.
struct LostBlock {
    base::Guid id;
    base::Guid group;
    std::vector<Tag> tags;  ///< of those who wanted it kept, and still do
    friend bool operator==(const LostBlock&, const LostBlock&) = default;
};

/// Blocks of one place on this node. `digest` is the exclusive or of SHA-256(block id) over them, so that two nodes see
/// with one comparison that they hold the same set.
struct GroupSummary {
    base::Guid group;
    std::uint64_t blocks = 0;
    std::uint64_t bytes = 0;
    base::Guid digest;
    std::uint64_t unconfirmed = 0;  ///< of these blocks: kept in our stead by a node that is away
    friend bool operator==(const GroupSummary&, const GroupSummary&) = default;
};

struct StoreUsage {
    std::uint64_t blocks = 0;
    std::uint64_t block_bytes = 0;      ///< payload of the live blocks
    std::uint64_t disk_bytes = 0;       ///< files of the store, garbage included: what the cap counts
    std::uint64_t capacity_bytes = 0;   ///< what the files may come to: the cap, or less where the device has less
    std::uint64_t reserve_bytes = 0;    ///< kept for deletes and records: puts are refused before they eat it
    std::uint64_t index_bytes = 0;      ///< memory, whatever the blocks weigh
    std::uint64_t max_index_bytes = 0;  ///< puts are refused before it takes more
    std::uint64_t lost_blocks = 0;      ///< see lost()
    bool read_only = false;             ///< the disk failed, or may not be written: the store serves, but takes nothing
    bool state_lost = false;            ///< when it was opened, tags or records that were acknowledged were gone
};

class BlockStore {
  public:
    virtual ~BlockStore() = default;

    /// All blocks with this tag, durable when it returns; concurrent puts share a sync. A block that is there already
    /// gets the tag only. Errc::no_space: none of them was stored (refused before acknowledging; what was there is
    /// intact). Errc::too_many_tags: likewise, as one of them is held under kMaxTagsPerBlock tags of other volumes (or
    /// fewer, if it is held elsewhere). base::Errc::io_failed: the store is read-only from now on.
    virtual base::Task<base::Result<void>> put(base::Guid group, Tag tag, std::vector<Block> blocks) = 0;
    /// The same where no client waits: what it asks of other nodes, if anything, gives way to their clients.
    virtual base::Task<base::Result<void>> put_for_repair(base::Guid group, Tag tag, std::vector<Block> blocks) {
        return put(group, tag, std::move(blocks));
    }
    /// The bytes, hashed and equal to `id`. Errc::block_not_found; Errc::corrupt_block (the damaged copy is dropped, so
    /// that repair puts a good one; until then this stays the answer, see lost()). base::Errc::io_failed: it is not
    /// known whether it is here, since a part of the disk could not be read.
    virtual base::Task<base::Result<base::SharedBytes>> get(base::Guid id) = 0;
    /// For each id: true and (durably) tagged with this generation if held, false otherwise: also if it is held, but
    /// has no room for one more tag.
    virtual base::Task<base::Result<std::vector<bool>>> touch(Tag tag, std::vector<base::Guid> ids) = 0;
    /// Drops the volume's tag of each block as far as its generation is <= `tag.generation`; a block left without a tag
    /// is gone, durably, when it returns. Works on a full disk. Returns how many blocks are gone.
    virtual base::Task<base::Result<std::uint64_t>> untag(Tag tag, std::vector<base::Guid> ids) = 0;
    /// Forgets blocks whatever their tags, lost ones too: they were handed over to others. Durable when it returns.
    virtual base::Task<base::Result<void>> discard(std::vector<base::Guid> ids) = 0;
    /// Takes these off the list of lost blocks: others have them. What is held stays, also if it was put a moment ago.
    /// Durable when it returns.
    virtual base::Task<base::Result<void>> forget_lost(std::vector<base::Guid> ids) = 0;

    [[nodiscard]] virtual bool has(const base::Guid& id) const = 0;
    /// Of a held block; 0 if it is not held.
    [[nodiscard]] virtual std::uint32_t length(const base::Guid& id) const = 0;
    /// Tags of a held block; empty if it is not held.
    [[nodiscard]] virtual std::vector<Tag> tags(const base::Guid& id) const = 0;
    /// Sorted by group; a copy of all, so nothing to ask for because of one.
    [[nodiscard]] virtual std::vector<GroupSummary> groups() const = 0;
    /// Of one place; with no blocks if none of it are held.
    [[nodiscard]] virtual GroupSummary summary(const base::Guid& group) const = 0;
    /// Ids of a group after `after` in order, at most `limit`.
    [[nodiscard]] virtual std::vector<base::Guid> list(const base::Guid& group, const base::Guid& after,
                                                       std::size_t limit) const = 0;
    /// Blocks that were dropped for damage, the latest last: until they are put again, forget_lost() names them, or
    /// nobody wants them any more (untag drops their tags too). Durable; as many as fit into 64 KiB, about 600.
    [[nodiscard]] virtual std::vector<LostBlock> lost() const = 0;
    [[nodiscard]] virtual StoreUsage usage() const = 0;

    /// Small mutable state, at most 64 KiB a value, for what must survive a crash: register promises, high-water marks.
    /// Durable when it returns; served from the reserve, so it works when puts are refused.
    virtual base::Task<base::Result<void>> put_record(base::Guid key, base::Bytes value) = 0;
    [[nodiscard]] virtual std::optional<base::Bytes> record(const base::Guid& key) const = 0;
    [[nodiscard]] virtual std::vector<base::Guid> record_keys() const = 0;
};

}  // namespace past
