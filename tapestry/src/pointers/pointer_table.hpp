// Who has what, as far as this node was told: pointers with leases. Decides; sends nothing, reads no clock.
//
// Paper: Zhao et al., "Tapestry" (JSAC 2004), section 3.3: a node on the way of a publish remembers the mapping. Limits
// and fairness are ours: docs/decisions/pointer-limits.md. Not thread safe; one Node owns it.
//
// Told in two files: pointer_table.cpp (what comes in, what is found), pointer_limits.cpp (who has to make room, and
// who is not believed).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <unordered_map>
#include <vector>

#include "announcing/announcement.hpp"
#include "base/clock.hpp"

namespace tapestry {

/// An announcement that this node keeps, and how far from here its publisher is.
struct Held {
    Announcement announcement;
    base::Duration delay{};  ///< from the publisher to us, one way, along the way that it came
    unsigned hops = 0;
    base::Duration age{};  ///< when it came to us: since it was made, as who sent it says
    base::TimePoint expires{};
    bool confirm = false;  ///< its publisher waits until the root has it
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
    base::TimePoint since{};  ///< has published the object here without a break
    unsigned root = 0;        ///< of the announcement
    std::uint64_t stamp = 0;  ///< the same
};

/// What a publisher said when it was asked for what it had announced and does not have.
struct Denial {
    base::Guid object;
    base::NodeId publisher;
    std::uint64_t announced = 0;             ///< stamp of the announcement for which it was asked
    std::optional<Announcement> withdrawal;  ///< that it signed then; already verified
    std::uint64_t born = 0;                  ///< stamp at which its process began; what it said before it forgot
};

class PointerTable {
  public:
    struct Limits {
        std::size_t per_object = 8;             ///< publishers
        std::size_t seniors = 2;                ///< of these, those that have published it longest, however far away
        std::size_t withdrawn_per_object = 64;  ///< besides
        std::size_t pointers = 1U << 20U;
        std::size_t bytes = 256U << 20U;
        std::size_t refused_objects = 1U << 16U;  ///< remembered of whom there is no pointer, equally many each
        base::Duration tombstone = std::chrono::hours{1};   ///< how long a withdrawal is remembered
        base::Duration penalty = std::chrono::minutes{10};  ///< of a publisher that lied, doubling
        base::Duration forgets = std::chrono::hours{1};     ///< a lie
        unsigned forgiven = 3;                              ///< lies before a penalty
    };
    enum class Taken {
        news,     ///< something in the range was taken, or is only one of too many here: pass it on
        nothing,  ///< all of it was known, or newer things are
        refused,  ///< the publisher is banned, its announcement is stale, or others' pointers fill the table fairly
    };

    /// `seed`: objects are named by whoever likes, so their hashes must not be foreseen.
    explicit PointerTable(Limits limits, std::uint64_t seed = 0);
    ~PointerTable();

    /// Takes over the objects of `range`; the signature was verified. `held.expires` is set. `to_pass_on`: news is also
    /// what was known, but only from somebody who did not want it passed on, or from a copy that may come less far,
    /// ends clearly sooner or is not to be confirmed.
    Taken take(base::TimePoint now, Held held, Range range, bool to_pass_on);
    /// take() would refuse it and learn nothing from it, whoever signed it: it is stale; or its publisher is banned,
    /// and that it was announced is known already.
    [[nodiscard]] bool refuses(base::TimePoint now, const Held& held, Range range) const;
    /// Of a stamp that is ahead of the clock by more than clocks may be; the signature was verified. No pointer, and
    /// nothing is held against what its publisher says with an earlier stamp; but known() for a lease. True if that is
    /// news, to be passed on.
    bool take_ahead(base::TimePoint now, const Announcement& announcement, Range range);
    /// take_ahead() would learn nothing from it, whoever signed it.
    [[nodiscard]] bool refuses_ahead(base::TimePoint now, const Announcement& announcement, Range range) const;
    /// Live pointers of the object, nearest first.
    [[nodiscard]] std::vector<Pointer> find(base::TimePoint now, const base::Guid& object) const;
    /// This very announcement, byte for byte, is kept for its object `index`.
    [[nodiscard]] bool holds(const Announcement& announcement, std::size_t index) const;
    /// Somebody else than `but` publishes it, whether he answered lately or not, or would have but is not believed at
    /// present, or was one too many; or may publish it, since live pointers had to make room.
    [[nodiscard]] bool known(base::TimePoint now, const base::Guid& object, const base::NodeId& but = {}) const;
    /// The publisher did not answer: find() leaves it out until it publishes again, known() does not.
    void suspect(const base::Guid& object, const base::NodeId& publisher);
    /// The publisher answered that it does not have it: forgotten, and remembered as withdrawn if it signed so; what it
    /// announced after it signed stays. A lie is a denial without a withdrawal, or of what was announced after an
    /// earlier denial of the same object in one life of the publisher, if no withdrawal came to take() since. True if
    /// the withdrawal was news.
    bool denied(base::TimePoint now, const Denial& denial);
    void expire(base::TimePoint now);

    /// Every announcement kept that has objects whose key `wanted` accepts, with the runs of these; a slice at a time,
    /// of about so many objects of announcements: from the place that the slice before returned; nullopt at the end.
    /// What comes and goes between slices may be visited or not.
    using Cursor = std::pair<base::TimePoint, std::uint64_t>;
    static constexpr Cursor kBegin{base::TimePoint::min(), 0};
    [[nodiscard]] std::optional<Cursor> for_some(Cursor from, std::size_t objects,
                                                 const std::function<bool(const base::Guid& key)>& wanted,
                                                 const std::function<void(const Held&, Range)>& visit) const;

    /// By whom an object is published: live announcements of it, and which of their objects it is. Valid until the next
    /// call that is not const.
    [[nodiscard]] std::vector<std::pair<const Held*, std::size_t>> announcements_of(base::TimePoint now,
                                                                                    const base::Guid& object) const;

    [[nodiscard]] std::size_t pointers() const { return pointers_; }
    [[nodiscard]] std::size_t bytes() const { return bytes_; }
    [[nodiscard]] std::size_t announcements() const { return leases_.size(); }
    [[nodiscard]] std::size_t publishers() const { return publishers_.size(); }
    [[nodiscard]] std::size_t lies_of(const base::NodeId& publisher) const;
    [[nodiscard]] bool banned(base::TimePoint now, const base::NodeId& publisher) const;

  private:
    using LeaseKey = Cursor;  // when it ends; a serial number
    struct Kept : Held {
        LeaseKey key;
        std::size_t entries = 0;  ///< that refer to it; at none it is let go, its lease with it
    };
    struct Passed {               ///< on to the next hop: the last copy that was
        std::uint32_t until = 0;  ///< it ends; seconds, rounded down
        bool ever = false;
        bool far = false;      ///< it had come by many hops
        bool confirm = false;  ///< one that was is to be confirmed
    };
    struct Entry {
        Kept* held = nullptr;
        std::uint32_t since = 0;  ///< seconds, rounded down
        Passed passed;
        std::uint16_t index = 0;
        bool gone : 1 = false;    ///< withdrawn: kept so that an older announcement does not undo it
        bool silent : 1 = false;  ///< did not answer
        bool denied : 1 = false;  ///< said at or after a denial: the publisher was asked for it, and did not have it
        [[nodiscard]] const Announcement& announcement() const { return held->announcement; }
        [[nodiscard]] const base::NodeId& publisher() const { return held->announcement.publisher().id; }
    };
    struct Publisher {
        struct Heard {
            std::uint64_t stamp = 0;
            base::TimePoint at{};
        };
        /// Stamps by when they came: what is older was made at least so long before. Rising; one that came later in
        /// proportion than the next tells nothing more and is not kept. The last is the greatest.
        std::vector<Heard> heard;
        [[nodiscard]] std::uint64_t greatest_stamp() const { return heard.empty() ? 0 : heard.back().stamp; }
        std::uint64_t born = 0;  ///< what it said before is void
        std::set<LeaseKey> leases;
        std::size_t pointers = 0;
        std::size_t bytes = 0;
        std::size_t ranked = 0;  ///< its bytes as by_bytes_ has them
        unsigned lies = 0;
        base::TimePoint lied_at{};
        base::TimePoint banned_until{};
        base::TimePoint forget_at{};
    };
    using Entries = std::vector<Entry>;
    struct Hash {
        std::uint64_t seed;
        std::size_t operator()(const base::Guid& guid) const noexcept;
    };

    // pointer_table.cpp
    [[nodiscard]] static bool is_better(const Held& held, const Passed& before);
    bool take_one(base::TimePoint now, Kept* held, std::uint16_t index, bool to_pass_on);
    void erase(Entries& entries, std::size_t at);
    void let_go(Kept* held);
    void remove(const base::Guid& object, const Kept* held);
    void remove_all(Kept* held);
    /// When an announcement that comes now ends; not after now: it is stale.
    [[nodiscard]] base::TimePoint ends(base::TimePoint now, const Announcement& announcement, base::Duration age,
                                       const Publisher& publisher) const;
    void note(Publisher& publisher, base::TimePoint now, std::uint64_t stamp);

    // pointer_limits.cpp
    static constexpr std::size_t kEntryBytes = 128;  ///< of memory, about; measured: docs/decisions/tapestry.md
    static constexpr std::size_t kHeldBytes = 512;   ///< the same, besides the announcement's own bytes
    [[nodiscard]] static std::size_t cost_of(const Announcement& announcement);
    [[nodiscard]] bool full() const;
    /// False if the announcement that has just come had to go again.
    bool make_room(const base::NodeId& newcomer, const LeaseKey& fresh);
    void charge(Publisher& publisher, std::ptrdiff_t pointers, std::ptrdiff_t bytes);
    void rank(const base::NodeId& id, Publisher& publisher);
    void thin(Entries& entries);
    void thin_live(Entries& entries);
    void lied(base::TimePoint now, Publisher& publisher) const;
    void forget_before(Publisher& publisher, std::uint64_t born);
    [[nodiscard]] bool remembers_refused(const Announcement& announcement, Range range, base::TimePoint until) const;
    bool remember_refused(const Announcement& announcement, Range range, base::TimePoint until);
    [[nodiscard]] bool no_room_for_refused(const base::NodeId& publisher) const;
    [[nodiscard]] bool refused_one(base::TimePoint now, const base::Guid& object) const;
    [[nodiscard]] std::size_t refused_share() const;
    void forget_old(base::TimePoint now);

    Limits limits_;
    std::size_t pointers_ = 0;  // withdrawals count too: they take up room
    std::size_t bytes_ = 0;
    std::uint64_t next_serial_ = 0;
    std::unordered_map<base::Guid, Entries, Hash> objects_;  // looked up, never iterated where the order could matter
    std::map<base::NodeId, Publisher> publishers_;
    std::set<std::pair<std::size_t, base::NodeId>> by_bytes_;  // publishers
    std::map<LeaseKey, std::unique_ptr<Kept>> leases_;
    /// What those announced who are refused, or were one too many, and until when that counts.
    std::map<base::NodeId, std::map<base::Guid, base::TimePoint>> refused_;
    std::size_t refused_objects_ = 0;    // in all of these
    base::TimePoint uncertain_until_{};  // what had to make room would have been here until then
    base::TimePoint forget_due_{};
};

}  // namespace tapestry
