// What we publish ourselves: said again and again, in groups that travel as one, until it is withdrawn; that is said
// again too, for as long as what was said before may count somewhere.
#include <algorithm>

#include "base/limits.hpp"
#include "base/membership.hpp"
#include "base/wait.hpp"
#include "node_impl.hpp"
#include "wire/codec.hpp"

namespace tapestry {

using base::Guid;
using base::NodeId;
using base::Task;
using base::TimePoint;

namespace {

// Signed and bundled in one go; then it is others' turn, on the executor and on the network: 8 MB a second.
constexpr std::size_t kSliceBytes = 128U << 10U;
constexpr std::chrono::milliseconds kSlicePause{16};

/// The same objects in the order of their keys for this root.
std::vector<Guid> in_order_of_keys(const std::vector<Guid>& objects, unsigned root) {
    struct Place {
        std::uint64_t begins = 0;  // of the key: nearly always decides
        std::uint32_t index = 0;
    };
    std::vector<Place> places;
    places.reserve(objects.size());
    for (const auto& object : objects) {
        const auto key = root_key(object, root);
        std::uint64_t begins = 0;
        for (std::size_t i = 0; i < sizeof begins; ++i) begins = (begins << 8U) | key.bytes()[i];
        places.push_back({begins, static_cast<std::uint32_t>(places.size())});
    }
    std::ranges::sort(places, [&](const Place& a, const Place& b) {
        if (a.begins != b.begins) return a.begins < b.begins;
        return root_key(objects[a.index], root) < root_key(objects[b.index], root);
    });
    std::vector<Guid> ordered;
    ordered.reserve(objects.size());
    for (const auto& place : places) ordered.push_back(objects[place.index]);
    return ordered;
}

std::vector<Guid> emptied(std::set<Guid>& objects) {
    std::vector<Guid> all{objects.begin(), objects.end()};
    objects.clear();
    return all;
}

}  // namespace

void Node::Impl::publish(const std::vector<Guid>& objects) {
    for (const auto& object : objects) {
        withdrawn_.erase(object);
        taken_back_.erase(object);
        if (own_.insert(object).second) fresh_.insert(object);
    }
    if (!fresh_.empty()) news_->pulse();
}

void Node::Impl::unpublish(const std::vector<Guid>& objects) {
    for (const auto& object : objects) {
        fresh_.erase(object);
        if (own_.erase(object) == 0 && !taken_back_.contains(object)) continue;
        withdrawn_.insert(object);
        taken_back_[object] = now() + config_.lease;
    }
    if (!withdrawn_.empty()) news_->pulse();
}

Said Node::Impl::said(const Guid& object) const {
    if (own_.contains(object)) return Said::published;
    return taken_back_.contains(object) ? Said::withdrawn : Said::nothing;
}

Task<void> Node::Impl::announce_forever() {
    auto all_due = now();
    for (;;) {
        if (fresh_.empty() && withdrawn_.empty()) co_await base::wait_until(env_.clock, news_, all_due);
        co_await env_.clock.sleep_for(config_.gather);
        if (!kbr_.active()) continue;
        if (now() >= all_due) {
            const auto jitter = 0.9 + env_.rng.unit() / 5;
            all_due = now() + std::chrono::duration_cast<base::Duration>(config_.republish_period * jitter);
            fresh_.clear();
            std::vector<Guid> all{own_.begin(), own_.end()};
            co_await announce(std::move(all), lease());
            std::erase_if(taken_back_, [&](const auto& each) { return each.second <= now(); });
            for (const auto& [object, until] : taken_back_) withdrawn_.insert(object);
        }
        auto fresh = emptied(fresh_);
        co_await announce(std::move(fresh), lease());
        auto gone = emptied(withdrawn_);
        co_await announce(std::move(gone), std::chrono::seconds{0});
    }
}

// Said at once, and again as long as a root has not confirmed it. What is not ours any more is withdrawn.
Task<std::vector<Guid>> Node::Impl::published(std::vector<Guid> objects, TimePoint deadline) {
    const auto awaited = std::make_shared<Awaited>(env_.executor);
    for (const auto& object : objects) awaited->missing.emplace(object, (1U << config_.roots) - 1);
    while (!awaited->missing.empty() && now() < deadline) {
        if (!kbr_.active()) {
            co_await env_.clock.sleep_until(std::min(deadline, now() + config_.quiet_period));
            continue;
        }
        std::vector<Guid> held;
        std::vector<Guid> gone;
        for (const auto& [object, roots] : awaited->missing) {
            fresh_.erase(object);
            withdrawn_.erase(object);
            (own_.contains(object) ? held : gone).push_back(object);
        }
        co_await announce(std::move(held), lease(), awaited);
        co_await announce(std::move(gone), std::chrono::seconds{0}, awaited);
        const auto until = std::min(deadline, now() + config_.find_timeout);
        const std::shared_ptr<base::Event> changed{awaited, &awaited->changed};
        while (!awaited->missing.empty() && now() < until) co_await base::wait_until(env_.clock, changed, until);
    }
    std::vector<Guid> missing;
    for (const auto& [object, roots] : awaited->missing) missing.push_back(object);
    std::erase_if(on_their_way_, [&](const auto& each) {
        const auto waits = each.second.awaited.lock();
        return !waits || waits == awaited;
    });
    co_return missing;
}

void Node::Impl::acknowledged(const std::vector<Acknowledgement>& acknowledgements) {
    for (const auto& acknowledgement : acknowledgements) {
        const auto at = on_their_way_.find(acknowledgement.stamp);
        if (at == on_their_way_.end()) continue;
        const auto awaited = at->second.awaited.lock();
        if (!awaited) continue;
        const auto& announcement = at->second.announcement;
        for (std::size_t i = acknowledgement.range.begin; i < std::min(acknowledgement.range.end, announcement.size());
             ++i) {
            const auto object = announcement.object(i);
            const auto missing = awaited->missing.find(object);
            if (missing == awaited->missing.end()) continue;
            if (own_.contains(object) == announcement.withdrawn()) continue;  // we have said otherwise since
            missing->second &= ~(1U << announcement.root());
            if (missing->second == 0) awaited->missing.erase(missing);
        }
        if (awaited->missing.empty()) awaited->changed.pulse();
    }
}

// So many that the nodes whose ids share them are few: then an announcement has one way until near its roots.
std::size_t Node::Impl::prefix_digits() const {
    const auto near = kbr_.neighbours();
    if (near.empty()) return 0;
    const auto reach = base::ring_distance(kbr_.self().id(), near.back().id());
    std::size_t digits = 0;
    while (digits < 8 && reach.digit(digits) == 0) ++digits;
    return digits;
}

NodeId Node::Impl::first_hop(const Guid& key) const {
    const auto hops = kbr_.next_hops(key, 1);
    return hops.empty() ? NodeId{} : hops.front().node.id();
}

// `objects` in the order of their keys.
std::size_t Node::Impl::group_end(const std::vector<Guid>& objects, std::size_t begin, unsigned root,
                                  std::size_t digits) const {
    const auto first = root_key(objects[begin], root);
    const auto way = first_hop(first);
    auto end = begin + 1;
    for (; end < objects.size() && end - begin < kMaxObjects; ++end) {
        const auto key = root_key(objects[end], root);
        if (key.common_prefix(first) < digits || first_hop(key) != way) break;
    }
    return end;
}

// A long list takes its time: what was published or withdrawn meanwhile, and perhaps announced as such, is left out.
std::vector<Guid> Node::Impl::still_so(std::span<const Guid> objects, bool published) const {
    std::vector<Guid> same;
    same.reserve(objects.size());
    for (const auto& object : objects) {
        if (own_.contains(object) == published) same.push_back(object);
    }
    return same;
}

Announcement Node::Impl::sign(unsigned root, std::chrono::seconds lease, std::span<const Guid> objects) {
    const auto wall = static_cast<std::uint64_t>(env_.clock.wall_ns());
    // What our clock said while it was ahead by more than clocks may be nobody took. But if it was right then, and is
    // wrong now, all that it says now looks old: see sign_as_before().
    if (last_stamp_ > wall + base::kClockSlackNs) {
        stamp_before_ = std::max(stamp_before_, last_stamp_);
        last_stamp_ = wall;
    } else {
        last_stamp_ = std::max(last_stamp_ + 1, wall);
    }
    return sign_at(last_stamp_, root, lease, objects);
}

/// Going on where our clock was before it was set back by more than clocks may differ: which of the two times is right
/// only others know, and they take the one that is.
std::optional<Announcement> Node::Impl::sign_as_before(unsigned root, std::chrono::seconds lease,
                                                       std::span<const Guid> objects) {
    if (stamp_before_ <= last_stamp_) return {};
    return sign_at(++stamp_before_, root, lease, objects);
}

Announcement Node::Impl::sign_at(std::uint64_t stamp, unsigned root, std::chrono::seconds lease,
                                 std::span<const Guid> objects) const {
    Announcement::Terms terms{self().endpoint, static_cast<std::uint8_t>(root), stamp, lease};
    return Announcement::sign(identity_, std::move(terms), objects);
}

/// Sorted by their keys for this root; for root 0 they are already.
Task<std::vector<Guid>> Node::Impl::in_order(std::vector<Guid> objects, unsigned root) {
    if (root == 0) co_return objects;
    auto sort = [from = std::move(objects), root] { return in_order_of_keys(from, root); };
    co_return co_await env_.workers.run(std::move(sort));
}

/// Of `objects`, in the order of their keys, those from `begin` on that travel as one; `begin` is behind them then.
/// Nothing if none of them is still what it was; two if our clock was set back.
std::vector<Parcel> Node::Impl::next_group(const std::vector<Guid>& objects, std::size_t& begin, unsigned root,
                                           std::size_t digits, std::chrono::seconds lease) {
    const auto end = group_end(objects, begin, root, digits);
    const auto group = still_so(std::span{objects}.subspan(begin, end - begin), lease.count() > 0);
    begin = end;
    if (group.empty()) return {};
    std::vector<Parcel> parcels;
    parcels.push_back({.announcement = sign(root, lease, group), .range = {0, group.size()}});
    if (auto before = sign_as_before(root, lease, group))
        parcels.push_back({.announcement = std::move(*before), .range = {0, group.size()}});
    return parcels;
}

// `objects` sorted. Messages leave when they are full, the rest at the end: there are as many as next hops, and as many
// more as the bytes fill.
Task<void> Node::Impl::announce(std::vector<Guid> objects, std::chrono::seconds lease,
                                std::shared_ptr<Awaited> awaited) {
    if (objects.empty()) co_return;
    Bundles bundles;
    for (unsigned root = 0; root < config_.roots; ++root) {
        objects = co_await in_order(std::move(objects), root);
        const auto digits = prefix_digits();
        std::vector<Parcel> parcels;
        std::size_t bytes = 0;
        for (std::size_t begin = 0; begin < objects.size();) {
            for (auto& parcel : next_group(objects, begin, root, digits, lease)) {
                const auto& announcement = parcel.announcement;
                if (awaited) on_their_way_.insert_or_assign(announcement.stamp(), OnItsWay{announcement, awaited});
                parcel.confirm = awaited != nullptr;
                bytes += announcement.sealed().size();
                parcels.push_back(std::move(parcel));
            }
            if (bytes < kSliceBytes) continue;
            bytes = 0;
            pass_on(std::exchange(parcels, {}), bundles);
            co_await env_.clock.sleep_for(kSlicePause);
        }
        pass_on(std::move(parcels), bundles);
    }
    leave(bundles);
}

}  // namespace tapestry
