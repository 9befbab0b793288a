// Who has to make room in a full table, whose pointers an object keeps of too many, and who is not believed.
#include <algorithm>
#include <tuple>

#include "pointers/pointer_table.hpp"

namespace tapestry {

using base::Guid;
using base::NodeId;
using base::TimePoint;

// ---- room

std::size_t PointerTable::cost_of(const Announcement& announcement) {
    return announcement.sealed().size() + kHeldBytes;
}

bool PointerTable::full() const { return pointers_ > limits_.pointers || bytes_ > limits_.bytes; }

void PointerTable::charge(Publisher& publisher, std::ptrdiff_t pointers, std::ptrdiff_t bytes) {
    publisher.pointers += static_cast<std::size_t>(pointers);  // modulo 2^64: a difference may be negative
    publisher.bytes += static_cast<std::size_t>(bytes);
    bytes_ += static_cast<std::size_t>(bytes);
}

/// Not with every charge: a look at who takes most is worth more than an order that is right at every moment.
void PointerTable::rank(const NodeId& id, Publisher& publisher) {
    if (publisher.ranked == publisher.bytes) return;
    by_bytes_.erase({publisher.ranked, id});
    publisher.ranked = publisher.bytes;
    if (publisher.ranked > 0) by_bytes_.emplace(publisher.ranked, id);
}

// Looked at when all is taken, since what comes may replace what is there: whoever renews or withdraws needs hardly any
// room. Whoever takes most loses its oldest announcements, if that is the newcomer its own: so everybody keeps an equal
// share of a full table, or all that he has if that is less. The fresh one goes only after all others of its publisher.
// Nobody may say "nobody publishes it" while what had to go would still be here.
bool PointerTable::make_room(const NodeId& newcomer, const LeaseKey& fresh) {
    bool kept = true;
    while (full() && !by_bytes_.empty()) {
        const auto [most, greatest] = *by_bytes_.rbegin();
        const auto id = most > publishers_[newcomer].bytes ? greatest : newcomer;
        auto& victim = publishers_[id];
        auto oldest = victim.leases.begin();
        if (*oldest == fresh && victim.leases.size() > 1) ++oldest;
        kept = kept && *oldest != fresh;
        auto* const held = leases_.at(*oldest).get();
        if (!held->announcement.withdrawn()) uncertain_until_ = std::max(uncertain_until_, held->expires);
        remove_all(held);
        rank(id, victim);
    }
    return kept;
}

namespace {

/// A publisher of one object.
struct Candidate {
    NodeId id;
    base::Duration delay{};
    std::uint32_t since = 0;
    bool silent = false;
};

/// `all`: sorted by distance, then by how long they have been there.
NodeId one_too_many(const std::vector<Candidate>& all, std::size_t seniors) {
    std::vector<std::uint32_t> since;
    for (const auto& each : all) since.push_back(each.since);
    std::ranges::sort(since);
    const auto seniors_here = std::min(seniors, since.size());
    const auto* victim = &all.back();
    std::optional<double> least;
    for (std::size_t i = 1; i < all.size(); ++i) {
        const bool farthest = i + 1 == all.size() && all[i].delay > all[i - 1].delay;
        const bool newest = all[i].since == since.back();
        const bool senior = seniors > 0 && !newest && all[i].since <= since[seniors_here - 1];
        if (senior) --seniors;
        if (farthest || senior) continue;
        const auto nearer = static_cast<double>(all[i - 1].delay.count()) + 1;
        const auto gap = (static_cast<double>(all[i].delay.count()) + 1) / nearer;
        if (least && (gap > *least || (gap == *least && all[i].since < victim->since))) continue;
        victim = &all[i];
        least = gap;
    }
    return victim->id;
}

}  // namespace

// Of too many publishers of one object goes one that has another nearly as far from here: what is left is near for
// somebody wherever he asks from. Not the nearest, not the farthest, and not those that have published it longest: a
// crowd of late comers does not push out who was there before. But first of all one that did not answer: the next may.
// Whoever goes is remembered as somebody who publishes it: those that stay may all withdraw before it says so again.
void PointerTable::thin_live(Entries& entries) {
    std::vector<Candidate> all;
    for (const auto& entry : entries) {
        if (entry.gone) continue;
        const auto same = std::ranges::find(all, entry.publisher(), &Candidate::id);
        if (same == all.end()) {
            all.push_back({entry.publisher(), entry.held->delay, entry.since, entry.silent});
            continue;
        }
        same->silent = same->silent && entry.silent;
        same->delay = std::min(same->delay, entry.held->delay);
        same->since = std::min(same->since, entry.since);
    }
    if (all.size() <= limits_.per_object) return;
    std::ranges::sort(all, {}, [](const Candidate& each) { return std::pair{each.delay, each.since}; });
    const auto silent = std::ranges::find(all, true, &Candidate::silent);
    const auto victim = silent != all.end() ? silent->id : one_too_many(all, limits_.seniors);
    for (std::size_t i = entries.size(); i-- > 0;) {
        const auto& entry = entries[i];
        if (entry.gone || entry.publisher() != victim) continue;
        const auto until = entry.held->expires;
        const Range this_one{entry.index, entry.index + std::size_t{1}};
        if (!remember_refused(entry.announcement(), this_one, until)) {
            uncertain_until_ = std::max(uncertain_until_, until);
        }
        erase(entries, i);
    }
}

// Withdrawals have places of their own: one that had to go would let what was announced before come back.
void PointerTable::thin(Entries& entries) {
    thin_live(entries);
    std::size_t withdrawn = 0;
    std::size_t first = 0;  // to be forgotten
    for (std::size_t i = 0; i < entries.size(); ++i) {
        if (!entries[i].gone) continue;
        if (++withdrawn == 1 || entries[i].held->key < entries[first].held->key) first = i;
    }
    if (withdrawn > limits_.withdrawn_per_object) erase(entries, first);
}

// ---- who is not believed

namespace {

bool withdraws(const Denial& denial) {
    const auto& signed_now = denial.withdrawal;
    return signed_now && signed_now->withdrawn() && signed_now->publisher().id == denial.publisher &&
           signed_now->size() == 1 && signed_now->object(0) == denial.object;
}

}  // namespace

void PointerTable::suspect(const Guid& object, const NodeId& publisher) {
    const auto found = objects_.find(object);
    if (found == objects_.end()) return;
    for (auto& entry : found->second) {
        if (entry.publisher() == publisher) entry.silent = true;
    }
}

// What the publisher announced after it signed stays: it may have come here while we asked. An announcement that it was
// asked for and that is not older than its withdrawal is of a clock that was set back meanwhile: it leads nowhere, but
// the withdrawal cannot take its place.
bool PointerTable::denied(TimePoint now, const Denial& denial) {
    const auto found = objects_.find(denial.object);
    if (found == objects_.end()) return false;
    const bool signed_so = withdraws(denial);
    auto& entries = found->second;
    std::uint64_t latest = 0;
    bool before = false;
    for (std::size_t i = entries.size(); i-- > 0;) {
        auto& entry = entries[i];
        if (entry.gone || entry.publisher() != denial.publisher) continue;
        const auto stamp = entry.announcement().stamp();
        if (signed_so && stamp >= denial.withdrawal->stamp()) {
            entry.silent = entry.silent || stamp <= denial.announced;
            continue;
        }
        latest = std::max(latest, stamp);
        before = before || entry.denied;
        erase(entries, i);
    }
    if (entries.empty()) objects_.erase(found);
    if (latest == 0) return false;
    const bool news = signed_so && take(now, {.announcement = *denial.withdrawal}, {0, 1}, true) == Taken::news;
    if (news) {
        for (auto& entry : objects_[denial.object]) {
            const bool later = entry.announcement().stamp() >= denial.withdrawal->stamp();
            entry.denied = entry.denied || (later && entry.publisher() == denial.publisher);
        }
    }
    auto& publisher = publishers_[denial.publisher];
    // A process that began after it had announced this has forgotten all that it held then.
    if (signed_so && denial.born > latest && denial.born <= denial.withdrawal->stamp()) {
        forget_before(publisher, denial.born);
    } else if (!signed_so || before) {
        lied(now, publisher);
    }
    rank(denial.publisher, publisher);
    return news;
}

void PointerTable::forget_before(Publisher& publisher, std::uint64_t born) {
    publisher.born = std::max(publisher.born, born);
    const auto leases = publisher.leases;  // a copy: they go one by one
    for (const auto& key : leases) {
        auto* const held = leases_.at(key).get();
        if (held->announcement.stamp() < born && !held->announcement.withdrawn()) remove_all(held);
    }
}

void PointerTable::lied(TimePoint now, Publisher& publisher) const {
    const auto forgotten = static_cast<std::uint64_t>((now - publisher.lied_at) / limits_.forgets);
    publisher.lies -= static_cast<unsigned>(std::min<std::uint64_t>(publisher.lies, forgotten));
    publisher.lied_at = now;
    ++publisher.lies;
    if (publisher.lies > limits_.forgiven) {
        publisher.banned_until = now + limits_.penalty * (1U << std::min(publisher.lies - limits_.forgiven - 1, 6U));
    }
    publisher.forget_at = std::max(now, publisher.banned_until) + 2 * limits_.tombstone;
}

std::size_t PointerTable::lies_of(const NodeId& publisher) const {
    const auto found = publishers_.find(publisher);
    return found == publishers_.end() ? 0 : found->second.lies;
}

bool PointerTable::banned(TimePoint now, const NodeId& publisher) const {
    const auto found = publishers_.find(publisher);
    return found != publishers_.end() && now < found->second.banned_until;
}

std::size_t PointerTable::refused_share() const {
    return limits_.refused_objects / std::max<std::size_t>(1, refused_.size());
}

bool PointerTable::no_room_for_refused(const NodeId& publisher) const {
    const auto found = refused_.find(publisher);
    return found != refused_.end() && found->second.size() >= refused_share();
}

bool PointerTable::remembers_refused(const Announcement& announcement, Range range, TimePoint until) const {
    const auto found = refused_.find(announcement.publisher().id);
    if (found == refused_.end()) return false;
    const auto& objects = found->second;
    for (std::size_t i = range.begin; i < std::min(range.end, announcement.size()); ++i) {
        const auto known = objects.find(announcement.object(i));
        if (known == objects.end() || known->second < until) return false;
    }
    return true;
}

// Nobody may say "nobody publishes it" of these: the word of a liar counts for that much, if it is his. Each has an
// equal share; who says more than that has only his own words forgotten. True if all was remembered.
bool PointerTable::remember_refused(const Announcement& announcement, Range range, TimePoint until) {
    auto& objects = refused_[announcement.publisher().id];
    const auto share = refused_share();
    bool all = true;
    for (std::size_t i = range.begin; i < std::min(range.end, announcement.size()); ++i) {
        const auto object = announcement.object(i);
        if (objects.size() >= share && !objects.contains(object)) {
            all = false;
            continue;
        }
        const auto [known, fresh] = objects.try_emplace(object, until);
        known->second = std::max(known->second, until);
        refused_objects_ += fresh ? 1 : 0;
        if (refused_objects_ <= limits_.refused_objects) continue;
        const auto most = std::ranges::max_element(refused_, {}, [](const auto& each) { return each.second.size(); });
        const auto forgotten = most->second.begin()->second;
        const auto whose = publishers_.find(most->first);
        // A liar's words may be forgotten; who is only ahead of us is no liar.
        const bool banned = whose != publishers_.end() && whose->second.banned_until >= forgotten;
        if (!banned) uncertain_until_ = std::max(uncertain_until_, forgotten);
        most->second.erase(most->second.begin());
        --refused_objects_;
    }
    return all;
}

// A stamp that was noted would make all that its publisher says later, by a right clock, look old. But it is no liar,
// and the wrong clock may be ours: nothing of it is forgotten without a word.
bool PointerTable::take_ahead(TimePoint now, const Announcement& announcement, Range range) {
    expire(now);
    if (refuses_ahead(now, announcement, range)) return false;
    const auto until = now + std::min<base::Duration>(announcement.lease(), limits_.tombstone);
    if (!remember_refused(announcement, range, until)) uncertain_until_ = std::max(uncertain_until_, until);
    return true;
}

bool PointerTable::refuses_ahead(TimePoint now, const Announcement& announcement, Range range) const {
    const auto lease = std::min<base::Duration>(announcement.lease(), limits_.tombstone);
    return announcement.withdrawn() || remembers_refused(announcement, range, now + lease / 2);
}

bool PointerTable::refused_one(TimePoint now, const Guid& object) const {
    return std::ranges::any_of(refused_, [&](const auto& each) {
        const auto known = each.second.find(object);
        return known != each.second.end() && known->second > now;
    });
}

void PointerTable::forget_old(TimePoint now) {
    forget_due_ = now + limits_.tombstone / 8;
    std::erase_if(publishers_,
                  [&](const auto& entry) { return entry.second.leases.empty() && entry.second.forget_at <= now; });
    for (auto& [id, objects] : refused_) {
        refused_objects_ -= std::erase_if(objects, [&](const auto& entry) { return entry.second <= now; });
    }
    std::erase_if(refused_, [](const auto& entry) { return entry.second.empty(); });
}

}  // namespace tapestry
