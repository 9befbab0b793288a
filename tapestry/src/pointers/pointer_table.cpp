#include "pointers/pointer_table.hpp"

#include <algorithm>

namespace tapestry {

using base::Guid;
using base::NodeId;
using base::TimePoint;

namespace {

std::uint64_t nanoseconds(base::Duration span) {
    return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(span).count());
}

std::uint32_t seconds(TimePoint time) {
    return static_cast<std::uint32_t>(
        std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count());
}

TimePoint time_of(std::uint32_t seconds) { return TimePoint{std::chrono::seconds{seconds}}; }

// Half of those that are allowed, and more than any way of a network has: what came by more may not come to its root.
constexpr unsigned kManyHops = 16;
// Of a lease; so much less of its life is lost unheeded with each hop.
constexpr int kLittle = 16;

}  // namespace

PointerTable::PointerTable(Limits limits, std::uint64_t seed) : limits_{limits}, objects_{0, Hash{seed}} {}
PointerTable::~PointerTable() = default;

// All words count, and a secret: whoever picks ids cannot fill one bucket.
std::size_t PointerTable::Hash::operator()(const Guid& guid) const noexcept {
    std::uint64_t hash = seed;
    for (std::size_t at = 0; at < Guid::kBytes; at += sizeof(std::uint64_t)) {
        std::uint64_t word = 0;
        std::memcpy(&word, guid.bytes().data() + at, sizeof word);
        hash = (hash ^ word) * 0x9E37'79B9'7F4A'7C15U;
        hash ^= hash >> 32U;
    }
    return hash;
}

PointerTable::Taken PointerTable::take(TimePoint now, Held held, Range range, bool to_pass_on) {
    expire(now);
    const auto id = held.announcement.publisher().id;
    auto& publisher = publishers_[id];
    if (publisher.heard.empty()) publisher.forget_at = now + 2 * limits_.tombstone;
    if (now < publisher.banned_until) {
        if (!held.announcement.withdrawn()) remember_refused(held.announcement, range, publisher.banned_until);
        return Taken::refused;
    }
    held.expires = ends(now, held.announcement, held.age, publisher);
    if (held.expires <= now) return Taken::refused;
    publisher.forget_at = now + 2 * limits_.tombstone;
    note(publisher, now, held.announcement.stamp());

    const auto own_bytes = cost_of(held.announcement);
    const LeaseKey key{held.expires, next_serial_++};
    auto& slot = leases_[key];
    slot = std::make_unique<Kept>(Kept{std::move(held), key});
    auto* const kept = slot.get();
    publisher.leases.insert(key);
    charge(publisher, 0, static_cast<std::ptrdiff_t>(own_bytes));
    ++kept->entries;  // ours, until we know whether somebody else's
    bool news = false;
    for (std::size_t i = range.begin; i < std::min(range.end, kept->announcement.size()); ++i) {
        news = take_one(now, kept, static_cast<std::uint16_t>(i), to_pass_on) || news;
    }
    const bool withdrawn = kept->announcement.withdrawn();
    let_go(kept);
    rank(id, publisher);
    const bool room = make_room(id, key);
    if (!news) return Taken::nothing;
    return room || withdrawn ? Taken::news : Taken::refused;
}

// The lease counts from when the announcement was made, which who sent it says; and we know ourselves that it was not
// after anything else that its publisher signed later came to us. So what is kept back and shown again lives no longer
// for it, and what is handed from node to node does not either.
TimePoint PointerTable::ends(TimePoint now, const Announcement& announcement, base::Duration age,
                             const Publisher& publisher) const {
    const auto stamp = announcement.stamp();
    if (stamp < publisher.born) return now;
    auto made = now;
    const auto greatest = publisher.greatest_stamp();
    if (stamp < greatest && greatest - stamp > nanoseconds(limits_.tombstone)) {
        return now;  // its withdrawals of that time may be forgotten by now
    }
    for (const auto& heard : publisher.heard) {
        if (heard.stamp >= stamp) made = std::min(made, heard.at - std::chrono::nanoseconds{heard.stamp - stamp});
    }
    if (announcement.withdrawn()) return now + limits_.tombstone;
    return std::min(made, now - age) + announcement.lease();
}

/// A greater stamp that comes late (somebody shows it again) does not make what is older any younger.
void PointerTable::note(Publisher& publisher, TimePoint now, std::uint64_t stamp) {
    constexpr std::size_t kMost = 8;
    auto& heard = publisher.heard;
    if (stamp <= publisher.greatest_stamp()) return;
    const auto tells_more = [&](const Publisher::Heard& one) {
        return one.at < now - std::chrono::nanoseconds{static_cast<std::int64_t>(
                                  std::min<std::uint64_t>(stamp - one.stamp, nanoseconds(limits_.tombstone)))};
    };
    while (!heard.empty() && !tells_more(heard.back())) heard.pop_back();
    if (heard.size() == kMost) heard.erase(heard.begin());
    heard.push_back({stamp, now});
}

bool PointerTable::refuses(TimePoint now, const Held& held, Range range) const {
    const auto& announcement = held.announcement;
    const auto found = publishers_.find(announcement.publisher().id);
    if (found == publishers_.end()) return held.age >= announcement.lease() && !announcement.withdrawn();
    const auto banned_until = found->second.banned_until;
    if (now >= banned_until) return ends(now, announcement, held.age, found->second) <= now;
    return announcement.withdrawn() || no_room_for_refused(found->first) ||
           remembers_refused(announcement, range, banned_until);
}

// Nobody vouches for hops and age of a copy: one that was sent ahead to be in the way of better ones is not.
bool PointerTable::is_better(const Held& held, const Passed& before) {
    if (!before.ever || (held.confirm && !before.confirm)) return true;
    const bool far = held.hops > kManyHops;
    if (far != before.far) return before.far;
    if (held.announcement.withdrawn()) return false;
    return held.expires >= time_of(before.until) + base::Duration{held.announcement.lease()} / kLittle;
}

bool PointerTable::take_one(TimePoint now, Kept* held, std::uint16_t index, bool to_pass_on) {
    const auto& fresh = held->announcement;
    const auto& id = fresh.publisher().id;
    auto& entries = objects_[fresh.object(index)];
    Entry entry{.held = held, .since = seconds(now), .index = index};
    entry.gone = fresh.withdrawn();
    if (to_pass_on) entry.passed = {seconds(held->expires), true, held->hops > kManyHops, held->confirm};
    for (auto& known : entries) {
        if (known.publisher() != id) continue;
        if (!known.gone) entry.since = std::min(entry.since, known.since);
        // Whoever withdraws unasked begins anew, and what was said before a denial is none of what was said after it.
        known.denied = known.denied && !fresh.withdrawn();
        entry.denied = entry.denied || (known.denied && known.announcement().stamp() <= fresh.stamp());
    }
    for (auto& known : entries) {
        if (known.publisher() != id || known.announcement().root() != fresh.root()) continue;
        const bool same = known.announcement().stamp() == fresh.stamp();
        if (known.announcement().stamp() > fresh.stamp()) return false;
        const bool news = !same || (to_pass_on && is_better(*held, known.passed));
        if (same && !news) entry.passed = known.passed;
        if (same) entry.passed.confirm = entry.passed.confirm || known.passed.confirm;
        if (same && held->expires <= known.held->expires) {
            known.passed = entry.passed;
            return news;
        }
        // Another, or younger than who sent it first had said.
        ++held->entries;
        let_go(std::exchange(known, entry).held);
        thin(entries);
        return news;
    }
    ++held->entries;
    entries.push_back(entry);
    ++pointers_;
    charge(publishers_[id], 1, kEntryBytes);
    thin(entries);
    return true;  // of others further on it may be one of the few that stay, or known and to be taken back
}

void PointerTable::erase(Entries& entries, std::size_t at) {
    auto* const held = entries[at].held;
    if (const auto found = publishers_.find(entries[at].publisher()); found != publishers_.end()) {
        charge(found->second, -1, -static_cast<std::ptrdiff_t>(kEntryBytes));
    }
    --pointers_;
    entries.erase(entries.begin() + static_cast<std::ptrdiff_t>(at));
    let_go(held);
}

void PointerTable::let_go(Kept* held) {
    if (--held->entries > 0) return;
    const auto id = held->announcement.publisher().id;
    if (const auto found = publishers_.find(id); found != publishers_.end()) {
        found->second.leases.erase(held->key);
        charge(found->second, 0, -static_cast<std::ptrdiff_t>(cost_of(held->announcement)));
        rank(id, found->second);
    }
    leases_.erase(LeaseKey{held->key});
}

void PointerTable::remove(const Guid& object, const Kept* held) {
    const auto found = objects_.find(object);
    if (found == objects_.end()) return;
    auto& entries = found->second;
    for (std::size_t i = entries.size(); i-- > 0;) {
        if (entries[i].held == held) erase(entries, i);
    }
    if (entries.empty()) objects_.erase(found);
}

void PointerTable::remove_all(Kept* held) {
    const auto announcement = held->announcement;  // `held` goes with its last entry
    for (std::size_t i = 0; i < announcement.size(); ++i) remove(announcement.object(i), held);
}

std::vector<Pointer> PointerTable::find(TimePoint now, const Guid& object) const {
    std::vector<Pointer> live;
    const auto found = objects_.find(object);
    if (found == objects_.end()) return live;
    for (const auto& entry : found->second) {
        if (entry.gone || entry.silent || entry.held->expires <= now) continue;
        const auto& held = *entry.held;
        Pointer pointer{.publisher = held.announcement.publisher(),
                        .delay = held.delay,
                        .since = time_of(entry.since),
                        .root = held.announcement.root(),
                        .stamp = held.announcement.stamp()};
        const auto same = std::ranges::find(live, entry.publisher(), [](const Pointer& p) { return p.publisher.id; });
        if (same == live.end()) {
            live.push_back(std::move(pointer));
        } else if (held.delay < same->delay) {
            *same = std::move(pointer);
        }
    }
    std::ranges::sort(live, {}, [](const Pointer& pointer) { return std::pair{pointer.delay, pointer.publisher.id}; });
    return live;
}

std::vector<std::pair<const Held*, std::size_t>> PointerTable::announcements_of(TimePoint now,
                                                                                const Guid& object) const {
    std::vector<std::pair<const Held*, std::size_t>> live;
    const auto found = objects_.find(object);
    if (found == objects_.end()) return live;
    for (const auto& entry : found->second) {
        if (!entry.gone && entry.held->expires > now) live.emplace_back(entry.held, entry.index);
    }
    return live;
}

bool PointerTable::holds(const Announcement& announcement, std::size_t index) const {
    const auto found = objects_.find(announcement.object(index));
    return found != objects_.end() && std::ranges::any_of(found->second, [&](const Entry& entry) {
               return std::ranges::equal(entry.announcement().sealed().view(), announcement.sealed().view());
           });
}

bool PointerTable::known(TimePoint now, const Guid& object, const NodeId& but) const {
    if (now < uncertain_until_ || refused_one(now, object)) return true;
    const auto found = objects_.find(object);
    return found != objects_.end() && std::ranges::any_of(found->second, [&](const Entry& entry) {
               return !entry.gone && entry.held->expires > now && entry.publisher() != but;
           });
}

void PointerTable::expire(TimePoint now) {
    while (!leases_.empty() && leases_.begin()->first.first <= now) remove_all(leases_.begin()->second.get());
    if (now >= forget_due_) forget_old(now);
}

std::optional<PointerTable::Cursor> PointerTable::for_some(Cursor from, std::size_t objects,
                                                           const std::function<bool(const Guid& key)>& wanted,
                                                           const std::function<void(const Held&, Range)>& visit) const {
    for (auto at = leases_.lower_bound(from); at != leases_.end(); ++at) {
        const auto& held = at->second;
        const auto& announcement = held->announcement;
        if (objects == 0) return at->first;
        objects -= std::min(objects, announcement.size());
        std::optional<std::size_t> begin;
        for (std::size_t i = 0; i <= announcement.size(); ++i) {
            bool in = false;
            if (i < announcement.size()) {
                const auto found = objects_.find(announcement.object(i));
                in = found != objects_.end() && std::ranges::any_of(found->second, [&](const Entry& entry) {
                         return entry.held == held.get() && entry.index == i;
                     });
                in = in && wanted(announcement.key(i));
            }
            if (in && !begin) begin = i;
            if (!in && begin) visit(*held, {*std::exchange(begin, std::nullopt), i});
        }
    }
    return {};
}

}  // namespace tapestry
