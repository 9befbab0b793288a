// Reclaims that wait for the grace time, and those that were executed: both survive a crash.
//
// Format: docs/formats/register.md#reclaims. Time is counted while the node runs, by the steady clock: a wrong wall
// clock or a long power cut makes the grace longer, never shorter.
#pragma once

#include <map>

#include "context.hpp"

namespace past {

class Reclaims {
  public:
    explicit Reclaims(Context& context) : context_{context} {}

    /// Reads what an earlier run left in the store.
    void load();
    /// Verifies, makes durable, and executes: now or after the grace. Twice is as good as once.
    /// Errors: not_owner, base::Errc::busy.
    base::Task<base::Result<void>> add(Reclaim reclaim);
    /// Executes what is due, for as long as the node runs.
    base::Task<void> run();

    /// The executed reclaim that took `id`, if its generation covers `tag`'s.
    [[nodiscard]] const Reclaim* reclaimed(const base::Guid& id, const Tag& tag) const;
    [[nodiscard]] std::size_t pending() const;

  private:
    struct Entry {
        Reclaim reclaim;
        std::vector<base::Guid> sorted;  // its blocks, to search
        base::Guid digest;               // of the encoded reclaim
        base::Duration left{};           // until it is executed, or forgotten
        bool executed = false;
        std::vector<std::uint32_t> slots;  // records that hold it
    };

    base::Task<base::Result<void>> save(Entry& entry);
    base::Task<void> execute(std::shared_ptr<Entry> entry);
    base::Task<void> forget(std::shared_ptr<Entry> entry);
    [[nodiscard]] std::uint32_t take_slot();
    [[nodiscard]] base::Bytes head_record(const Entry& entry) const;

    Context& context_;
    std::map<base::Guid, std::shared_ptr<Entry>> entries_;  // by digest
    std::vector<std::uint32_t> free_slots_;
    std::uint32_t next_slot_ = 0;
    std::size_t ids_ = 0;
};

}  // namespace past
