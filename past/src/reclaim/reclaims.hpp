// Reclaims that wait for the grace time, and those that were executed: both survive a crash.
//
// Format: docs/formats/register.md#reclaims. Time is counted while the node runs, by the steady clock: a wrong wall
// clock or a long power cut makes the grace longer, never shorter.
//
// Anybody may sign a reclaim with a key of his own, of blocks that nobody has. So only those that name something kept
// here can fill the room, each owner at most half of it; the others, and those that were executed, are remembered for
// holders that were away as long as there is room.
#pragma once

#include <map>

#include "context.hpp"
#include "reclaim/reclaim_slots.hpp"

namespace past {

class Reclaims {
  public:
    explicit Reclaims(Context& context) : context_{context}, slots_{context.store} {}

    /// Reads what an earlier run left in the store.
    void load();
    /// Verifies, makes durable, and executes: now or after the grace. Twice is as good as once: the second
    /// waits for the first. Errors: not_owner, base::Errc::busy.
    base::Task<base::Result<void>> add(Reclaim reclaim);
    /// Executes what is due, for as long as the node runs.
    base::Task<void> run();

    /// The executed reclaim that took `id`, if its generation covers `tag`'s. Valid until the next suspension.
    [[nodiscard]] const Reclaim* reclaimed(const base::Guid& id, const Tag& tag) const;
    /// One that waits will take it, as far as this tag goes.
    [[nodiscard]] bool will_take(const base::Guid& id, const Tag& tag) const;
    [[nodiscard]] std::size_t pending() const;

  private:
    struct Entry : StoredReclaim {
        explicit Entry(base::Executor executor) : settled{std::move(executor)} {}
        /// It must not be forgotten: something is still to be dropped.
        [[nodiscard]] bool waits() const { return !executed && names_held; }
        [[nodiscard]] std::size_t cost() const;

        bool names_held = true;  // when it came, or was loaded, some of its blocks were kept here under its tag
        bool forgotten = false;
        base::Result<void> saved = base::Errc::stopped;
        base::Event settled;  // `saved` says how it ended
    };
    /// Costs of entries, by what they are kept for.
    struct Costs {
        std::size_t waiting = 0;
        std::size_t remembered = 0;
    };

    [[nodiscard]] bool names_held(const Reclaim& reclaim) const;
    [[nodiscard]] base::Result<void> check_room(const Entry& entry) const;
    void make_room();
    [[nodiscard]] Entry* next_to_forget(bool names_held);
    void list(std::shared_ptr<Entry> entry);
    void count(const Entry& entry, bool comes);
    using Named = std::map<base::Guid, std::map<base::Guid, const Entry*>>;  // by volume and block
    static void index(const Entry& entry, Named& where);
    static void unindex(const Entry& entry, Named& where);
    [[nodiscard]] static const Entry* covering(const Named& where, const base::Guid& id, const Tag& tag);
    void forget(Entry& entry);
    base::Task<void> execute(std::shared_ptr<Entry> entry);

    Context& context_;
    ReclaimSlots slots_;
    std::map<base::Guid, std::shared_ptr<Entry>> entries_;  // by digest
    Named taken_;                                           // executed
    Named to_take_;                                         // that wait
    std::map<base::PublicKey, Costs> owners_;
    Costs all_;
    std::size_t waiting_ = 0;  // entries
    std::size_t unheld_ = 0;   // cost of those that named nothing held
};

}  // namespace past
