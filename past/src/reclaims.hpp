// Reclaims that wait for the grace time, and those that were executed: both survive a crash.
//
// Format: docs/formats/register.md#reclaims. Time is counted while the node runs, by the steady clock: a wrong wall
// clock or a long power cut makes the grace longer, never shorter.
#pragma once

#include <map>

#include "context.hpp"
#include "reclaim_slots.hpp"

namespace past {

class Reclaims {
  public:
    explicit Reclaims(Context& context) : context_{context}, slots_{context.store} {}

    /// Reads what an earlier run left in the store.
    void load();
    /// Verifies, makes durable, and executes: now or after the grace. Twice is as good as once: the second
    /// waits for the first.
    /// Errors: not_owner, base::Errc::busy.
    base::Task<base::Result<void>> add(Reclaim reclaim);
    /// Executes what is due, for as long as the node runs.
    base::Task<void> run();

    /// The executed reclaim that took `id`, if its generation covers `tag`'s.
    [[nodiscard]] const Reclaim* reclaimed(const base::Guid& id, const Tag& tag) const;
    [[nodiscard]] std::size_t pending() const;

  private:
    struct Entry : StoredReclaim {
        explicit Entry(base::Executor executor) : settled{std::move(executor)} {}

        std::vector<base::Guid> sorted;  // its blocks, to search
        base::Result<void> saved = base::Errc::stopped;
        base::Event settled;  // `saved` says how it ended
    };

    base::Task<void> execute(std::shared_ptr<Entry> entry);
    void forget(Entry& entry);

    Context& context_;
    ReclaimSlots slots_;
    std::map<base::Guid, std::shared_ptr<Entry>> entries_;  // by digest
    std::size_t ids_ = 0;
};

}  // namespace past
