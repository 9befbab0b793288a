// Messages that this node holds: accepted, perhaps sent on, not yet acknowledged by the next one. And those it has
// seen.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <unordered_set>
#include <vector>

#include "messages.hpp"

namespace pastry {

/// A message that is our responsibility until the next hop has acknowledged it, or we have delivered it.
struct Held {
    Envelope envelope;
    std::optional<NodeHandle> next;  ///< who has it in flight; none while it waits for a way
    bool to_root = false;            ///< `next` is the root of the key: no other will do until it is declared faulty
    bool upcalled = false;           ///< the application has seen it go by
    std::uint32_t transmission = 0;
    std::size_t bytes = 0;  ///< counted against the limit; an upcall may change the message later
    base::TimePoint accepted;
    base::TimePoint sent;
    base::TimePoint deadline;
    std::vector<base::NodeId> excluded;  ///< missed an acknowledgement of this message
};

class Hops {
  public:
    Hops(std::size_t max_messages, std::size_t max_bytes) : max_messages_{max_messages}, max_bytes_{max_bytes} {}

    [[nodiscard]] bool has_room_for(const Envelope& envelope) const;
    /// Returns the hop id. Requires: has_room_for(envelope).
    std::uint64_t hold(Envelope envelope, base::TimePoint now);
    [[nodiscard]] Held* find(std::uint64_t hop_id);
    void set_deadline(std::uint64_t hop_id, base::TimePoint deadline);
    void drop(std::uint64_t hop_id);

    [[nodiscard]] std::vector<std::uint64_t> overdue(base::TimePoint now) const;
    /// Those in flight to `node`.
    [[nodiscard]] std::vector<std::uint64_t> sent_to(const base::NodeId& node) const;
    /// Those that wait for a way.
    [[nodiscard]] std::vector<std::uint64_t> waiting() const;
    [[nodiscard]] std::optional<base::TimePoint> next_deadline() const;
    [[nodiscard]] std::size_t size() const { return held_.size(); }

  private:
    std::size_t max_messages_;
    std::size_t max_bytes_;
    std::size_t bytes_ = 0;
    std::uint64_t next_id_ = 1;
    std::map<std::uint64_t, Held> held_;
    std::set<std::pair<base::TimePoint, std::uint64_t>> deadlines_;
};

/// Remembers the last so many (origin, message, hops) that were taken in.
class Seen {
  public:
    /// As `hops` of a message that was delivered here.
    static constexpr std::uint32_t kDelivered = 0xFFFF'FFFF;

    explicit Seen(std::size_t limit) : limit_{limit} {}
    /// False if it was seen before.
    bool insert(const base::NodeId& origin, std::uint64_t message_id, std::uint32_t hops);
    [[nodiscard]] bool contains(const base::NodeId& origin, std::uint64_t message_id, std::uint32_t hops) const;

  private:
    struct Key {
        base::NodeId origin;
        std::uint64_t message_id = 0;
        std::uint32_t hops = 0;
        friend bool operator==(const Key&, const Key&) = default;
    };
    struct Hash {
        std::size_t operator()(const Key& key) const noexcept {
            return std::hash<base::Guid>{}(key.origin) ^ (key.message_id * 0x9E37'79B9'7F4A'7C15U) ^ key.hops;
        }
    };
    std::size_t limit_;
    std::unordered_set<Key, Hash> known_;
    std::deque<Key> order_;
};

}  // namespace pastry
