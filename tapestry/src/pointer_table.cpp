#include "pointer_table.hpp"

#include <algorithm>

namespace tapestry {

using base::Guid;
using base::NodeId;
using base::TimePoint;

namespace {

template <class Lease>
std::uint64_t nanoseconds(Lease lease) {
    return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(lease).count());
}

}  // namespace

PointerTable::Taken PointerTable::take(TimePoint now, Held held, Range range, bool to_pass_on) {
    expire(now);
    const auto id = held.announcement.publisher().id;
    const auto stamp = held.announcement.stamp();
    auto& publisher = publishers_[id];
    if (publisher.greatest_stamp == 0) publisher.forget_at = now + 2 * limits_.tombstone;
    if (now < publisher.banned_until) return Taken::refused;
    if (publisher.greatest_stamp > stamp && publisher.greatest_stamp - stamp > nanoseconds(limits_.tombstone)) {
        return Taken::refused;  // its withdrawals of that time may be forgotten by now
    }
    publisher.greatest_stamp = std::max(publisher.greatest_stamp, stamp);
    publisher.forget_at = now + 2 * limits_.tombstone;
    const base::Duration lease = held.announcement.lease();
    held.expires = now + (held.announcement.withdrawn() ? limits_.tombstone : lease);
    const auto kept = std::make_shared<Kept>(Kept{std::move(held)});
    leases_.emplace(kept->expires, kept);
    ++kept->entries;  // ours, until we know whether somebody else's
    bool news = false;
    bool full = false;
    for (std::size_t i = range.begin; i < std::min(range.end, kept->announcement.size()); ++i) {
        if (pointers_ >= limits_.pointers && !make_room(id)) {
            full = true;
            break;
        }
        news = take_one(kept, static_cast<std::uint16_t>(i), to_pass_on) || news;
    }
    let_go(kept);
    if (news) return Taken::news;
    return full ? Taken::refused : Taken::nothing;
}

bool PointerTable::take_one(const HeldPtr& held, std::uint16_t index, bool to_pass_on) {
    const auto& fresh = held->announcement;
    auto& entries = objects_[fresh.object(index)];
    for (auto& entry : entries) {
        const auto& known = entry.held->announcement;
        if (known.publisher().id != fresh.publisher().id || known.root() != fresh.root()) continue;
        if (known.stamp() > fresh.stamp()) return false;
        if (known.stamp() == fresh.stamp()) return to_pass_on && !std::exchange(entry.passed, true);
        ++held->entries;
        const auto replaced =
            std::exchange(entry, Entry{.held = held, .index = index, .gone = fresh.withdrawn(), .passed = to_pass_on});
        let_go(replaced.held);
        return true;
    }
    ++held->entries;
    entries.push_back({.held = held, .index = index, .gone = fresh.withdrawn(), .passed = to_pass_on});
    ++pointers_;
    ++publishers_[fresh.publisher().id].pointers;
    if (entries.size() > limits_.per_object) thin(entries);
    return std::ranges::any_of(entries, [&](const Entry& entry) { return entry.held == held; });
}

// One too many: of those that live, the nearest and the farthest stay, and of the others goes the one that has another
// most nearly as far from here, so that what is left is near for somebody wherever he asks from.
void PointerTable::thin(Entries& entries) {
    std::ranges::stable_sort(entries, [](const Entry& a, const Entry& b) {
        return std::pair{a.gone, a.held->delay} < std::pair{b.gone, b.held->delay};
    });
    if (entries.back().gone) {
        erase(entries, entries.size() - 1);
        return;
    }
    std::size_t victim = entries.size() - 1;
    double least = 0;
    for (std::size_t i = 1; i + 1 < entries.size(); ++i) {
        const auto before = static_cast<double>(entries[i - 1].held->delay.count()) + 1;
        const auto gap = (static_cast<double>(entries[i].held->delay.count()) + 1) / before;
        if (i == 1 || gap < least) {
            victim = i;
            least = gap;
        }
    }
    erase(entries, victim);
}

void PointerTable::erase(Entries& entries, std::size_t at) {
    const auto found = publishers_.find(entries[at].held->announcement.publisher().id);
    if (found != publishers_.end()) --found->second.pointers;
    --pointers_;
    const auto held = entries[at].held;
    entries.erase(entries.begin() + static_cast<std::ptrdiff_t>(at));
    let_go(held);
}

void PointerTable::let_go(const HeldPtr& held) {
    if (--held->entries > 0) return;
    const auto [begin, end] = leases_.equal_range(held->expires);
    const auto lease = std::find_if(begin, end, [&](const auto& entry) { return entry.second == held; });
    if (lease != end) leases_.erase(lease);
}

void PointerTable::remove(const Guid& object, const HeldPtr& held) {
    const auto found = objects_.find(object);
    if (found == objects_.end()) return;
    auto& entries = found->second;
    for (std::size_t i = entries.size(); i-- > 0;) {
        if (entries[i].held == held) erase(entries, i);
    }
    if (entries.empty()) objects_.erase(found);
}

// Whoever has most loses its oldest announcement, unless the newcomer would then have more than it.
bool PointerTable::make_room(const NodeId& publisher) {
    const auto most = std::ranges::max_element(
        publishers_, {}, [](const auto& entry) { return std::pair{entry.second.pointers, entry.first}; });
    if (most == publishers_.end() || most->first == publisher) return false;
    if (most->second.pointers <= publishers_[publisher].pointers + kMaxObjects) return false;
    const auto victim = most->first;
    const auto oldest = std::ranges::find_if(
        leases_, [&](const auto& lease) { return lease.second->announcement.publisher().id == victim; });
    if (oldest == leases_.end()) return false;
    const auto held = oldest->second;
    for (std::size_t i = 0; i < held->announcement.size(); ++i) remove(held->announcement.object(i), held);
    return true;
}

std::vector<Pointer> PointerTable::find(TimePoint now, const Guid& object) const {
    std::vector<Pointer> live;
    const auto found = objects_.find(object);
    if (found == objects_.end()) return live;
    for (const auto& entry : found->second) {
        if (entry.gone || entry.silent || entry.held->expires <= now) continue;
        const auto& held = *entry.held;
        const auto& publisher = held.announcement.publisher();
        const auto same = std::ranges::find(live, publisher.id, [](const Pointer& p) { return p.publisher.id; });
        if (same == live.end()) {
            live.push_back({publisher, held.delay, held.hops, held.expires});
        } else if (held.delay < same->delay) {
            *same = {publisher, held.delay, held.hops, held.expires};
        }
    }
    std::ranges::sort(live, {}, [](const Pointer& pointer) { return std::pair{pointer.delay, pointer.publisher.id}; });
    return live;
}

bool PointerTable::holds(const Announcement& announcement) const {
    const auto found = objects_.find(announcement.object(0));
    return found != objects_.end() && std::ranges::any_of(found->second, [&](const Entry& entry) {
               return std::ranges::equal(entry.held->announcement.sealed().view(), announcement.sealed().view());
           });
}

bool PointerTable::known(TimePoint now, const Guid& object) const {
    const auto found = objects_.find(object);
    return found != objects_.end() && std::ranges::any_of(found->second, [&](const Entry& entry) {
               return !entry.gone && entry.held->expires > now;
           });
}

void PointerTable::suspect(const Guid& object, const NodeId& publisher) {
    const auto found = objects_.find(object);
    if (found == objects_.end()) return;
    for (auto& entry : found->second) {
        if (entry.held->announcement.publisher().id == publisher) entry.silent = true;
    }
}

void PointerTable::accuse(TimePoint now, const Guid& object, const NodeId& publisher) {
    auto& liar = publishers_[publisher];
    bool lied = false;
    if (const auto found = objects_.find(object); found != objects_.end()) {
        auto& entries = found->second;
        for (std::size_t i = entries.size(); i-- > 0;) {
            const auto& announcement = entries[i].held->announcement;
            if (entries[i].gone || announcement.publisher().id != publisher) continue;
            lied = lied || announcement.stamp() > liar.forgiven_to;
            erase(entries, i);
        }
        if (entries.empty()) objects_.erase(found);
    }
    if (!lied) return;
    liar.forgiven_to = liar.greatest_stamp;
    ++liar.lies;
    if (liar.lies > limits_.forgiven) {
        liar.banned_until = now + limits_.penalty * (1U << std::min(liar.lies - limits_.forgiven - 1, 6U));
    }
    liar.forget_at = std::max(now, liar.banned_until) + 2 * limits_.tombstone;
}

bool PointerTable::refuses_somebody(TimePoint now) const {
    return std::ranges::any_of(publishers_, [&](const auto& entry) { return entry.second.banned_until > now; });
}

void PointerTable::expire(TimePoint now) {
    while (!leases_.empty() && leases_.begin()->first <= now) {
        const auto held = leases_.begin()->second;  // gone with its last entry
        for (std::size_t i = 0; i < held->announcement.size(); ++i) remove(held->announcement.object(i), held);
    }
    std::erase_if(publishers_,
                  [&](const auto& entry) { return entry.second.pointers == 0 && entry.second.forget_at <= now; });
}

std::optional<TimePoint> PointerTable::next_expiry() const {
    if (leases_.empty()) return {};
    return leases_.begin()->first;
}

void PointerTable::for_each(const std::function<bool(const Guid& key)>& wanted,
                            const std::function<void(const Held&, Range)>& visit) const {
    for (const auto& [expires, held] : leases_) {
        const auto& announcement = held->announcement;
        std::optional<std::size_t> begin;
        for (std::size_t i = 0; i <= announcement.size(); ++i) {
            bool in = false;
            if (i < announcement.size() && wanted(announcement.key(i))) {
                const auto found = objects_.find(announcement.object(i));
                in = found != objects_.end() && std::ranges::any_of(found->second, [&](const Entry& entry) {
                         return entry.held == held && entry.index == i;
                     });
            }
            if (in && !begin) begin = i;
            if (!in && begin) visit(*held, {*std::exchange(begin, std::nullopt), i});
        }
    }
}

}  // namespace tapestry
