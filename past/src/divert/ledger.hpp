// Which blocks lie elsewhere than they belong: a durable list in the small records of a block store.
//
// A node has two: of the blocks that it diverted (pointers), and of those that it keeps for others (diverted replicas).
// Format: docs/formats/diversion.md. About 350 bytes of memory an entry, its record included. On the node's executor.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <unordered_map>
#include <vector>

#include "base/task.hpp"
#include "past/block_store.hpp"

namespace past {

class Ledger {
  public:
    enum class Kind : std::uint8_t { pointers = 16, diverted_replicas = 17 };
    static constexpr std::size_t kMaxTags = 16;

    struct Entry {
        base::Guid group;
        base::NodeId node;  ///< pointers: who keeps it; diverted replicas: for whom we keep it
        std::uint32_t bytes = 0;
        std::vector<Tag> tags;  ///< pointers only: one a volume, ascending
        friend bool operator==(const Entry&, const Entry&) = default;
    };
    using Entries = std::map<base::Guid, Entry>;
    struct Total {
        std::uint64_t blocks = 0;
        std::uint64_t bytes = 0;
        base::Guid digest;
    };

    /// `store` outlives this.
    Ledger(base::Executor executor, BlockStore& store, Kind kind)
        : executor_{std::move(executor)}, store_{store}, kind_{kind} {}

    /// Reads what an earlier run left.
    void load();

    /// Durable when it returns; an id that is listed already is replaced. After an error the list is as it was before.
    /// base::Errc::busy: there are kMaxSlots full slots, 67 million entries.
    base::Task<base::Result<void>> add(Entries entries);
    /// Of those listed. Off the list with the call, before anything is awaited; durable when that is done.
    base::Task<base::Result<void>> erase(std::vector<base::Guid> ids);

    [[nodiscard]] const Entry* find(const base::Guid& id) const;
    [[nodiscard]] bool contains(const base::Guid& id) const { return groups_of_.contains(id); }
    [[nodiscard]] const std::map<base::Guid, Entries>& by_group() const { return groups_; }
    [[nodiscard]] Total total(const base::Guid& group) const;
    /// Of one place, as far as they concern `node`.
    [[nodiscard]] Total total(const base::Guid& group, const base::NodeId& node) const;
    [[nodiscard]] const std::map<base::NodeId, Total>& totals(const base::Guid& group) const;
    [[nodiscard]] Entries of_node(const base::NodeId& node) const;
    [[nodiscard]] Entries of_node(const base::NodeId& node, const base::Guid& group) const;
    [[nodiscard]] std::uint64_t blocks() const { return blocks_; }
    [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
    [[nodiscard]] bool empty() const { return blocks_ == 0; }

    /// The bytes of a slot; for tests and the fuzzer. Requires: at most kSlotEntries.
    static constexpr std::size_t kSlotEntries = 64;
    static constexpr std::uint32_t kMaxSlots = 1U << 20U;
    using Slot = std::uint32_t;
    [[nodiscard]] static base::Bytes encode_slot(Kind kind, Slot slot, const Entries& entries);
    [[nodiscard]] static base::Result<std::pair<Slot, Entries>> decode_slot(Kind kind, base::ByteView bytes);

  private:
    [[nodiscard]] base::Guid slot_key(Slot slot) const;
    void list(Slot slot, const base::Guid& id, Entry entry);
    /// Returns the slot it was in.
    Slot unlist(const base::Guid& id);
    Slot slot_with_room();
    using Before = std::map<base::Guid, std::optional<Entry>>;  // nullopt: was not listed
    void undo(const Entries& entries, Before before);
    base::Task<base::Result<void>> save(std::set<Slot> slots);
    using Failure = std::shared_ptr<std::optional<base::Error>>;
    base::Task<void> save_one(Slot slot, Failure failure);

    base::Executor executor_;
    BlockStore& store_;
    const Kind kind_;
    std::map<base::Guid, Entries> groups_;
    std::map<base::Guid, std::map<base::NodeId, Total>> totals_;  // by group and node
    std::unordered_map<base::Guid, base::Guid> groups_of_;        // looked up, never iterated
    std::unordered_map<base::Guid, Slot> slots_of_;               // likewise
    std::vector<std::set<base::Guid>> slots_;
    std::set<Slot> roomy_;  // slots with fewer than kSlotEntries
    std::uint64_t blocks_ = 0, bytes_ = 0;
};

/// Takes over `tag`: one a volume, at its greatest generation. False, and nothing changed, if that would be more than
/// Ledger::kMaxTags.
[[nodiscard]] bool raise_tag(std::vector<Tag>& tags, const Tag& tag);

}  // namespace past
