// Who has what, as far as this node was told: pointers with leases. Decides; sends nothing, reads no clock.
//
// Paper: Zhao et al., "Tapestry" (JSAC 2004), section 3.3: a node on the way of a publish remembers the mapping. Limits
// and fairness are ours: docs/papers.md#tapestry. Not thread safe; one Node owns it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "announcement.hpp"
#include "base/clock.hpp"

namespace tapestry {

/// An announcement that this node keeps, and how far from here its publisher is.
struct Held {
    Announcement announcement;
    base::Duration delay{};  ///< from the publisher to us, one way, along the way that it came
    unsigned hops = 0;
    base::TimePoint expires{};
};

/// Objects [begin, end) of an announcement.
struct Range {
    std::size_t begin = 0;
    std::size_t end = 0;
    friend bool operator==(const Range&, const Range&) = default;
};

struct Pointer {
    base::Address publisher;
    base::Duration delay{};
    unsigned hops = 0;
    base::TimePoint expires{};
};

class PointerTable {
  public:
    struct Limits {
        std::size_t per_object = 8;
        std::size_t pointers = 1U << 20U;
        base::Duration tombstone = std::chrono::hours{1};   ///< how long a withdrawal is remembered
        base::Duration penalty = std::chrono::minutes{10};  ///< of a publisher that lied, doubling
        unsigned forgiven = 3;                              ///< lies before that
    };
    enum class Taken {
        news,     ///< something in the range was taken: pass it on
        nothing,  ///< all of it was known, or newer things are
        refused,  ///< the publisher is banned, its stamp is stale, or others' pointers fill the table fairly
    };

    explicit PointerTable(Limits limits) : limits_{limits} {}

    /// Takes over the objects of `range`. `held.expires` is set from now and the lease. `to_pass_on`: news is also what
    /// was known, but only from somebody who did not want it passed on.
    Taken take(base::TimePoint now, Held held, Range range, bool to_pass_on);
    /// Live pointers of the object, nearest first.
    [[nodiscard]] std::vector<Pointer> find(base::TimePoint now, const base::Guid& object) const;
    /// This very announcement, byte for byte, is kept.
    [[nodiscard]] bool holds(const Announcement& announcement) const;
    /// Somebody publishes it, whether he answered lately or not.
    [[nodiscard]] bool known(base::TimePoint now, const base::Guid& object) const;
    /// The publisher did not answer: find() leaves it out until it publishes again, known() does not.
    void suspect(const base::Guid& object, const base::NodeId& publisher);
    /// The publisher answered that it does not have what it published: forgotten. It counts as a lie only if it was
    /// published after the last one: whoever lost its objects at once, or restarted, is no liar.
    void accuse(base::TimePoint now, const base::Guid& object, const base::NodeId& publisher);
    /// Somebody's announcements are refused at present: what he has we do not know.
    [[nodiscard]] bool refuses_somebody(base::TimePoint now) const;
    void expire(base::TimePoint now);
    [[nodiscard]] std::optional<base::TimePoint> next_expiry() const;

    /// Every announcement kept that has a live pointer whose key `wanted` accepts, with the runs of such objects.
    void for_each(const std::function<bool(const base::Guid& key)>& wanted,
                  const std::function<void(const Held&, Range)>& visit) const;

    [[nodiscard]] std::size_t pointers() const { return pointers_; }
    [[nodiscard]] std::size_t announcements() const { return leases_.size(); }
    [[nodiscard]] std::size_t publishers() const { return publishers_.size(); }

  private:
    struct Kept : Held {
        std::size_t entries = 0;  ///< that refer to it; at none it is let go, its lease with it
    };
    using HeldPtr = std::shared_ptr<Kept>;
    struct Entry {
        HeldPtr held;
        std::uint16_t index = 0;
        bool gone = false;    // withdrawn: kept so that an older announcement does not undo it
        bool silent = false;  // did not answer
        bool passed = false;  // on to the next hop
    };
    struct Publisher {
        std::uint64_t greatest_stamp = 0;
        std::size_t pointers = 0;
        unsigned lies = 0;
        std::uint64_t forgiven_to = 0;  // what was announced up to this stamp is no lie any more
        base::TimePoint banned_until{};
        base::TimePoint forget_at{};
    };
    using Entries = std::vector<Entry>;

    bool take_one(const HeldPtr& held, std::uint16_t index, bool to_pass_on);
    bool make_room(const base::NodeId& publisher);
    void thin(Entries& entries);
    void erase(Entries& entries, std::size_t at);
    void let_go(const HeldPtr& held);
    void remove(const base::Guid& object, const HeldPtr& held);

    Limits limits_;
    std::size_t pointers_ = 0;                         // withdrawals count too: they take up room
    std::unordered_map<base::Guid, Entries> objects_;  // looked up, never iterated where the order could matter
    std::map<base::NodeId, Publisher> publishers_;
    std::multimap<base::TimePoint, HeldPtr> leases_;
};

}  // namespace tapestry
