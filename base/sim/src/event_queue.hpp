// What will happen, ordered by (time, order of asking). The innermost loop of the simulator.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "base/clock.hpp"
#include "base/error.hpp"
#include "base/sim/network.hpp"
#include "base/transport.hpp"

namespace base::sim {

struct Incarnation;

/// A message, or the news that there will be none, on its way to a node.
struct Delivery {
    enum class Kind : std::uint8_t { none, notify, request, answer, refused };
    Kind kind = Kind::none;
    NodeIndex from = 0;
    NodeIndex to = 0;
    std::uint64_t request = 0;  ///< which one; unique in the world
    TimePoint give_up{};        ///< a request or answer that is cut off is sent again until then
    std::uint32_t tries = 0;
    Message message;
    std::unique_ptr<Error> error;  ///< an answer that is one
};

/// One thing to do: a callback in a process (or of the world: no owner), or a delivery.
struct ScheduledEvent {
    Incarnation* owner = nullptr;
    Clock::Callback callback;
    Delivery delivery;
};

/// A binary heap of small entries over stable slots. Cancelling frees the slot at once and leaves a dead entry behind;
/// dead entries are swept when they are most of the heap, so a million cancelled deadlines cost nothing.
class EventQueue {
  public:
    /// Never 0, never the same twice.
    std::uint64_t add(TimePoint when, ScheduledEvent event);
    bool cancel(std::uint64_t id);
    /// Drops everything that `owner` would have done.
    void drop(const Incarnation* owner);

    /// The time of the earliest; nullopt if there is none.
    [[nodiscard]] std::optional<TimePoint> next();
    /// Requires: next().
    ScheduledEvent take();
    [[nodiscard]] std::size_t size() const { return heap_.size() - dead_; }

  private:
    static constexpr unsigned kSlotBits = 24;

    struct Entry {
        TimePoint when;
        std::uint64_t sequence;
        std::uint32_t slot;
        /// For a heap whose top is the earliest.
        friend bool operator<(const Entry& a, const Entry& b) {
            return a.when != b.when ? a.when > b.when : a.sequence > b.sequence;
        }
    };
    struct Slot {
        std::uint64_t sequence = 0;  ///< 0: free
        ScheduledEvent event;
    };

    [[nodiscard]] bool dead(const Entry& entry) const { return slots_[entry.slot].sequence != entry.sequence; }
    void free(std::uint32_t slot);
    void sweep();

    std::vector<Entry> heap_;
    std::deque<Slot> slots_;
    std::vector<std::uint32_t> free_;
    std::uint64_t sequence_ = 0;
    std::size_t dead_ = 0;
};

}  // namespace base::sim
