// Announcements on their way: from the publisher hop by hop to the roots, and to where they belong when the ring
// changes.
//
// Parcels for one next hop travel together, so a full republish costs messages by next hops and bytes, not by objects.
// An announcement is never taken apart (its signature covers all of it): where ways part, each way gets the whole with
// the range that it is for.
#include <algorithm>

#include "base/limits.hpp"
#include "codec.hpp"
#include "node_impl.hpp"

namespace tapestry {

using base::Guid;
using base::Message;
using base::NodeId;
using base::Result;
using base::Task;
using pastry::NextHop;

namespace {

constexpr std::size_t kBundleBytes = 256U << 10U;
constexpr unsigned kMaxHops = 32;

bool same(const std::vector<NextHop>& a, const std::vector<NextHop>& b) {
    return std::ranges::equal(
        a, b, {}, [](const NextHop& hop) { return hop.node.id(); }, [](const NextHop& hop) { return hop.node.id(); });
}

/// What goes into one message each.
std::vector<std::vector<Parcel>> bundles_of(std::vector<Parcel> parcels) {
    std::vector<std::vector<Parcel>> bundles;
    std::size_t bytes = 0;
    for (auto& parcel : parcels) {
        if (bundles.empty() || bundles.back().size() == kMaxParcels || bytes >= kBundleBytes) {
            bundles.emplace_back();
            bytes = 0;
        }
        bytes += parcel.announcement.sealed().size();
        bundles.back().push_back(std::move(parcel));
    }
    return bundles;
}

}  // namespace

void Node::Impl::publish(const std::vector<Guid>& objects) {
    for (const auto& object : objects) {
        withdrawn_.erase(object);
        if (own_.insert(object).second) fresh_.insert(object);
    }
    if (!fresh_.empty()) news_->pulse();
}

void Node::Impl::unpublish(const std::vector<Guid>& objects) {
    for (const auto& object : objects) {
        fresh_.erase(object);
        if (own_.erase(object) > 0) withdrawn_.insert(object);
    }
    if (!withdrawn_.empty()) news_->pulse();
}

Task<void> Node::Impl::announce_forever() {
    const auto lease = std::chrono::ceil<std::chrono::seconds>(config_.lease);
    auto all_due = now();
    for (;;) {
        if (fresh_.empty() && withdrawn_.empty() && now() < all_due) {
            const auto timer = env_.clock.schedule(all_due, [news = news_] { news->pulse(); });
            co_await news_->wait();
            env_.clock.cancel(timer);
        }
        co_await env_.clock.sleep_for(config_.gather);
        if (!kbr_.active()) continue;
        if (now() >= all_due) {
            const auto jitter = 0.9 + env_.rng.unit() / 5;
            all_due = now() + std::chrono::duration_cast<base::Duration>(config_.republish_period * jitter);
            fresh_.clear();
            std::vector<Guid> all{own_.begin(), own_.end()};
            co_await announce(std::move(all), lease);
        }
        auto fresh = std::exchange(fresh_, {});
        std::vector<Guid> objects{fresh.begin(), fresh.end()};
        co_await announce(std::move(objects), lease);
        auto gone = std::exchange(withdrawn_, {});
        std::vector<Guid> withdrawn{gone.begin(), gone.end()};
        co_await announce(std::move(withdrawn), std::chrono::seconds{0});
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

Task<void> Node::Impl::announce(std::vector<Guid> objects, std::chrono::seconds lease) {
    if (objects.empty()) co_return;
    const auto digits = prefix_digits();
    for (unsigned root = 0; root < config_.roots; ++root) {
        std::vector<std::pair<Guid, Guid>> keyed;
        keyed.reserve(objects.size());
        for (const auto& object : objects) keyed.emplace_back(root_key(object, root), object);
        std::ranges::sort(keyed);
        std::vector<Parcel> parcels;
        std::size_t bytes = 0;
        for (std::size_t begin = 0; begin < keyed.size();) {
            std::vector<Guid> group;
            std::size_t end = begin;
            const auto way = first_hop(keyed[begin].first);
            while (end < keyed.size() && group.size() < kMaxObjects &&
                   keyed[end].first.common_prefix(keyed[begin].first) >= digits && first_hop(keyed[end].first) == way) {
                group.push_back(keyed[end++].second);
            }
            begin = end;
            const auto wall = static_cast<std::uint64_t>(env_.clock.wall_ns());
            last_stamp_ = std::max(last_stamp_ + 1, wall);
            Announcement::Terms terms{self().endpoint, static_cast<std::uint8_t>(root), last_stamp_, lease};
            auto announcement = Announcement::sign(identity_, std::move(terms), group);
            bytes += announcement.sealed().size();
            parcels.push_back({.announcement = std::move(announcement), .range = {0, group.size()}});
            if (bytes < 4 * kBundleBytes && begin < keyed.size()) continue;
            pass_on(parcels);
            parcels.clear();
            bytes = 0;
            co_await env_.clock.sleep_for(std::chrono::milliseconds{1});  // others' turn
        }
    }
}

// Where each object of the parcel goes: the next hop first, then those that are told besides.
std::vector<std::vector<NextHop>> Node::Impl::ways(const Parcel& parcel, const Nodes& avoid) const {
    std::vector<std::vector<NextHop>> all;
    const std::size_t besides = parcel.hops < config_.near_hops ? config_.backups_told : 0;
    for (std::size_t i = parcel.range.begin; i < parcel.range.end; ++i) {
        const auto key = parcel.announcement.key(i);
        auto hops = kbr_.next_hops(key, 1 + besides + avoid.size());
        std::erase_if(hops, [&](const NextHop& hop) { return contains(avoid, hop.node.id()); });
        if (!hops.empty() && hops.front().node.id() == kbr_.self().id()) {
            hops.resize(1);  // ours: our neighbours keep it as well, should we die
            for (auto& node : kbr_.replica_set(key, 1 + config_.root_backups)) {
                if (node.id() != kbr_.self().id()) hops.push_back({std::move(node), {}});
            }
        } else {
            hops.resize(std::min(hops.size(), 1 + besides));
        }
        all.push_back(std::move(hops));
    }
    return all;
}

void Node::Impl::pass_on(const std::vector<Parcel>& parcels, const Nodes& avoid) {
    std::map<NodeId, std::pair<pastry::NodeHandle, std::vector<Parcel>>> bundles;
    for (const auto& parcel : parcels) {
        if (parcel.hops >= kMaxHops) continue;
        const auto each = ways(parcel, avoid);
        for (std::size_t begin = 0; begin < each.size();) {
            std::size_t end = begin + 1;
            while (end < each.size() && same(each[begin], each[end])) ++end;
            const auto& hops = each[begin];
            for (std::size_t i = 0; i < hops.size(); ++i) {
                if (hops[i].node.id() == kbr_.self().id()) continue;
                Parcel next{.announcement = parcel.announcement,
                            .range = {parcel.range.begin + begin, parcel.range.begin + end},
                            .hops = parcel.hops + 1,
                            .delay = parcel.delay + hops[i].rtt / 2,
                            .last = i > 0};
                auto& [to, all] = bundles[hops[i].node.id()];
                to = hops[i].node;
                all.push_back(std::move(next));
            }
            begin = end;
        }
    }
    for (auto& [id, bundle] : bundles) send_all(bundle.first, std::move(bundle.second), avoid);
}

Task<void> Node::Impl::send_parcels(pastry::NodeHandle to, std::vector<Parcel> parcels, Nodes avoid) {
    auto message = encode(parcels);
    ++counters_.publishes_sent;
    counters_.parcels_sent += parcels.size();
    counters_.bytes_sent += message.size();
    const auto answer = co_await call(to.address, std::move(message));
    if (answer || avoid.size() >= 3) co_return;  // what is lost comes with the next republish
    avoid.push_back(to.id());
    std::erase_if(parcels, [](const Parcel& parcel) { return parcel.last; });
    for (auto& parcel : parcels) --parcel.hops;
    pass_on(parcels, avoid);
}

Task<Result<Message>> Node::Impl::on_publish(Message message) {
    auto parcels = decode_publish(message);
    if (!parcels) {
        ++counters_.refused;
        co_return parcels.error();
    }
    std::erase_if(*parcels, [&](const Parcel& parcel) {
        const auto& publisher = parcel.announcement.publisher().id;
        return publisher == kbr_.self().id() || !is_member_(publisher);
    });
    std::vector<std::uint8_t> good;  // what we hold was verified when it came
    for (const auto& parcel : *parcels) good.push_back(table_.holds(parcel.announcement) ? 1 : 0);
    auto check = [all = &*parcels, known = good, network = identity_.network]() mutable {
        for (std::size_t i = 0; i < known.size(); ++i) {
            if (known[i] == 0 && (*all)[i].announcement.verify(network)) known[i] = 1;
        }
        return std::move(known);
    };
    if (std::ranges::count(good, 0) > 0) good = co_await env_.workers.run(std::move(check));
    std::vector<Parcel> news;
    for (std::size_t i = 0; i < parcels->size(); ++i) {
        auto& parcel = (*parcels)[i];
        if (good[i] == 0) {
            ++counters_.refused;
            continue;
        }
        Held held{parcel.announcement, parcel.delay, parcel.hops, {}};
        const auto taken = table_.take(now(), std::move(held), parcel.range, !parcel.last);
        if (taken == PointerTable::Taken::refused) ++counters_.refused;
        if (taken == PointerTable::Taken::news && !parcel.last) news.push_back(std::move(parcel));
    }
    pass_on(news);
    co_return Message{base::Service::tapestry, static_cast<std::uint8_t>(Verb::publish), {}};
}

// ---- when the ring changes

// Where the set of those who keep a key's pointers (its root and the neighbours beside it) has changed, the first of
// those who had them tells the others: newcomers what they keep now, and after a departure whoever moved up. What lies
// on the way to far roots waits for the next republish: a question that misses it there goes on to the root.
Task<void> Node::Impl::move_pointers() {
    co_await env_.clock.sleep_for(config_.settle);
    moving_ = false;
    const auto joined = std::exchange(joined_, {});
    const bool left = std::exchange(left_, false);
    std::map<NodeId, std::pair<pastry::NodeHandle, std::vector<Parcel>>> bundles;
    std::vector<pastry::NodeHandle> receivers;
    const auto ours_to_tell = [&](const Guid& key) {
        receivers.clear();
        bool first = true;
        for (auto& node : kbr_.replica_set(key, 1 + config_.root_backups)) {
            const bool fresh = joined.contains(node.id());
            if (first && !fresh) {
                if (node.id() != kbr_.self().id()) return false;
                first = false;
            } else if (fresh || left) {
                receivers.push_back(std::move(node));
            }
        }
        return !first && !receivers.empty();
    };
    const auto any = [](const Guid&) { return true; };
    table_.for_each(any, [&](const Held& held, Range range) {
        for (std::size_t i = range.begin; i < range.end; ++i) {
            if (!ours_to_tell(held.announcement.key(i))) continue;
            for (const auto& to : receivers) {
                auto& [handle, parcels] = bundles[to.id()];
                handle = to;
                if (!parcels.empty() && parcels.back().range.end == i &&
                    parcels.back().announcement.sealed().view().data() == held.announcement.sealed().view().data()) {
                    ++parcels.back().range.end;
                } else {
                    parcels.push_back({held.announcement, {i, i + 1}, held.hops + 1, held.delay, true});
                }
            }
        }
    });
    for (auto& [id, bundle] : bundles) send_all(bundle.first, std::move(bundle.second));
}

void Node::Impl::send_all(const pastry::NodeHandle& to, std::vector<Parcel> parcels, const Nodes& avoid) {
    for (auto& bundle : bundles_of(std::move(parcels))) tasks_.spawn(send_parcels(to, std::move(bundle), avoid));
}

Task<Result<Message>> Node::Impl::on_hand_over(NodeId newcomer) {
    if (!settled_) co_return base::Errc::busy;
    std::vector<Parcel> parcels;
    const auto theirs = [&](const Guid& key) {
        const auto hops = kbr_.next_hops(key, 1);
        return !hops.empty() && hops.front().node.id() == newcomer;
    };
    table_.for_each(theirs, [&](const Held& held, Range range) {
        parcels.push_back({held.announcement, range, held.hops + 1, held.delay, false});
    });
    for (const auto& node : kbr_.neighbours()) {
        if (node.id() != newcomer) continue;
        for (const auto& bundle : bundles_of(std::move(parcels))) {
            auto message = encode(bundle);
            BASE_CO_CHECK(co_await call(node.address, std::move(message)));
        }
        co_return Message{base::Service::tapestry, static_cast<std::uint8_t>(Verb::hand_over), {}};
    }
    co_return base::Errc::busy;  // not our neighbour as far as we know yet
}

// A newcomer says "nobody publishes it" only when the neighbours on both sides gave it what they had, or when everybody
// who publishes has done so again since.
Task<void> Node::Impl::take_over() {
    while (!kbr_.active()) co_await env_.clock.sleep_for(config_.settle);
    const auto sure_at = now() + config_.republish_period * 5 / 4;
    for (;;) {
        const auto set = kbr_.replica_set(kbr_.self().id(), 3);
        bool all = true;
        for (const auto& node : set) {
            if (node.id() == kbr_.self().id()) continue;
            auto question = encode_hand_over();
            const auto answer = co_await call(node.address, std::move(question));
            all = all && answer.has_value();
        }
        if (all || now() >= sure_at) break;
        co_await env_.clock.sleep_for(config_.settle);
    }
    settled_ = true;
}

}  // namespace tapestry
