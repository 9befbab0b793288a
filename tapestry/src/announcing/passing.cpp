// Announcements on their way, hop by hop to the roots of their keys.
//
// Parcels for one next hop travel together. An announcement is never taken apart (its signature covers all of it):
// where ways part, each way gets the whole with the range that it is for. Who accepted a parcel answers for it: a
// silent next hop is reported to KBR and another way taken at once; a silent root's neighbours get what it should have;
// what finds no way at all is tried again a few times before it is left to the next republish. What the next hop
// refuses ends there.
#include <algorithm>

#include "base/membership.hpp"
#include "node_impl.hpp"
#include "wire/codec.hpp"

namespace tapestry {

using base::Guid;
using base::Message;
using base::NodeId;
using base::Result;
using base::Task;
using pastry::NextHop;

namespace {

constexpr std::size_t kMostSilent = 4;  // other next hops tried at once
constexpr unsigned kRounds = 3;         // tried again later
constexpr std::chrono::seconds kFirstPause{5};

bool same(const std::vector<NextHop>& a, const std::vector<NextHop>& b) {
    return std::ranges::equal(
        a, b, {}, [](const NextHop& hop) { return hop.node.id(); }, [](const NextHop& hop) { return hop.node.id(); });
}

/// What it does not understand or allow nobody else is offered: whoever likes could have megabytes sent around by what
/// only looks right.
bool is_final(const base::Error& error) {
    using base::Errc;
    return error == Errc::bad_format || error == Errc::unsupported || error == Errc::denied;
}

bool same_announcement(const Announcement& a, const Announcement& b) {
    return a.sealed().view().data() == b.sealed().view().data();
}

/// Of memory, about. Parts of one announcement that come together share its bytes.
std::size_t bytes_of(const std::vector<Parcel>& parcels) {
    std::size_t bytes = parcels.size() * sizeof(Parcel);
    for (std::size_t i = 0; i < parcels.size(); ++i) {
        const auto& announcement = parcels[i].announcement;
        if (i > 0 && same_announcement(parcels[i - 1].announcement, announcement)) continue;
        bytes += announcement.sealed().size();
    }
    return bytes;
}

}  // namespace

// Where what is for `key` goes from here: the next hop first (ourselves, if we are the root), then those that are told
// besides. Empty: we do not know at present.
std::vector<NextHop> Node::Impl::way(const Guid& key, unsigned hops, const Effort& effort) const {
    const auto& silent_nodes = effort.silent;
    const auto usable = [&](const NodeId& id) { return id != kbr_.self().id() && !contains(silent_nodes, id); };
    const auto near_root = [&](std::vector<NextHop> out, std::size_t backups) {
        for (auto& node : kbr_.replica_set(key, 1 + config_.root_backups + silent_nodes.size())) {
            if (out.size() > backups) break;
            if (usable(node.id())) out.push_back({std::move(node), {}});
        }
        return out;
    };
    const std::size_t besides = !effort.told && hops < config_.near_hops ? config_.backups_told : 0;
    auto out = kbr_.next_hops(key, 1 + besides + silent_nodes.size());
    const bool ours = !out.empty() && out.front().node.id() == kbr_.self().id();
    if (ours) {  // our neighbours keep it as well, should we die
        return near_root({std::move(out.front())}, config_.root_backups);
    }
    std::erase_if(out, [&](const NextHop& hop) { return !usable(hop.node.id()); });
    if (out.empty()) {  // the root is silent: whoever takes its place, or can reach it
        return near_root({}, silent_nodes.size() == 1 && effort.rounds == 0 ? config_.root_backups : 0);
    }
    out.resize(std::min(out.size(), 1 + besides));
    return out;
}

void Node::Impl::pass_on(std::vector<Parcel> parcels, Bundles& bundles, const Effort& effort) {
    std::vector<Parcel> stranded;
    std::map<NodeId, std::vector<Acknowledgement>> here;
    for (const auto& parcel : parcels) {
        if (parcel.hops >= kMaxHops) continue;
        const auto way_of = [&](std::size_t i) { return way(parcel.announcement.key(i), parcel.hops, effort); };
        auto next_hops = way_of(parcel.range.begin);
        for (std::size_t begin = parcel.range.begin; begin < parcel.range.end;) {
            const auto hops = std::move(next_hops);
            auto end = begin + 1;
            for (; end < parcel.range.end; ++end) {
                next_hops = way_of(end);
                if (!same(hops, next_hops)) break;
            }
            const Range range{begin, end};
            begin = end;
            if (hops.empty()) {
                stranded.push_back(parcel);
                stranded.back().range = range;
                continue;
            }
            const bool ours = hops.front().node.id() == kbr_.self().id();
            if (ours && parcel.confirm) {
                here[parcel.announcement.publisher().id].push_back({parcel.announcement.stamp(), range});
            }
            for (std::size_t i = ours ? 1 : 0; i < hops.size(); ++i) {
                auto next = parcel;
                next.range = range;
                ++next.hops;
                next.step = hops[i].rtt / 2;
                next.delay += next.step;
                next.last = parcel.last || i > 0;
                next.confirm = parcel.confirm && i == 0;
                add(bundles, hops[i].node, std::move(next), effort);
            }
        }
    }
    for (const auto& [publisher, acknowledgements] : here) confirm(publisher, acknowledgements);
    if (!stranded.empty()) tasks_.spawn(pass_on_later(std::move(stranded), effort));
}

void Node::Impl::pass_on(std::vector<Parcel> parcels, const Effort& effort) {
    Bundles bundles;
    pass_on(std::move(parcels), bundles, effort);
    leave(bundles, effort);
}

void Node::Impl::confirm(const NodeId& publisher, const std::vector<Acknowledgement>& acknowledgements) {
    for (std::size_t at = 0; at < acknowledgements.size(); at += kMaxParcels) {
        const auto count = static_cast<std::ptrdiff_t>(std::min(kMaxParcels, acknowledgements.size() - at));
        const auto first = acknowledgements.begin() + static_cast<std::ptrdiff_t>(at);
        tell(publisher, encode(std::vector<Acknowledgement>{first, first + count}));
    }
}

void Node::Impl::add(Bundles& bundles, const pastry::NodeHandle& to, Parcel parcel, const Effort& effort) {
    auto& bundle = bundles[to.id()];
    bundle.to = to;
    if (!bundle.parcels.empty()) {
        auto& before = bundle.parcels.back();
        if (same_announcement(before.announcement, parcel.announcement) && before.range.end == parcel.range.begin &&
            before.last == parcel.last && before.confirm == parcel.confirm) {
            before.range.end = parcel.range.end;
            return;
        }
    }
    const auto bytes = parcel.announcement.sealed().size();
    if (bundle.parcels.size() == kMaxParcels || bundle.bytes + bytes > kBundleBytes) leave(bundle, effort);
    bundle.bytes += bytes;
    bundle.parcels.push_back(std::move(parcel));
}

void Node::Impl::leave(Bundle& bundle, const Effort& effort) {
    bundle.bytes = 0;
    auto parcels = std::exchange(bundle.parcels, {});
    if (parcels.empty()) return;
    if (under_way_ < config_.max_publishes_under_way) {
        ++under_way_;
        tasks_.spawn(send_parcels(bundle.to, std::move(parcels), effort));
    } else {
        take_back(parcels);
        tasks_.spawn(pass_on_later(std::move(parcels), effort));
    }
}

/// They have not come a hop further.
void Node::Impl::take_back(std::vector<Parcel>& parcels) {
    for (auto& parcel : parcels) {
        if (parcel.hops > 0) --parcel.hops;
        parcel.delay -= std::exchange(parcel.step, {});
    }
}

void Node::Impl::leave(Bundles& bundles, const Effort& effort) {
    for (auto& [id, bundle] : bundles) leave(bundle, effort);
}

Task<void> Node::Impl::send_parcels(pastry::NodeHandle to, std::vector<Parcel> parcels, Effort effort) {
    auto message = encode(parcels);
    ++counters_.publishes_sent;
    counters_.parcels_sent += parcels.size();
    counters_.bytes_sent += message.size();
    const auto answer = co_await call(to.address, std::move(message));
    --under_way_;
    if (answer) co_return;
    if (is_silence(answer.error())) kbr_.suspect(to.id());
    std::erase_if(parcels, [](const Parcel& parcel) { return parcel.last; });
    if (parcels.empty()) co_return;
    if (is_final(answer.error())) {
        counters_.parcels_lost += parcels.size();
        co_return;
    }
    take_back(parcels);
    effort.told = true;
    if (effort.silent.size() < kMostSilent && answer.error() != base::Errc::busy) {
        effort.silent.push_back(to.id());
        pass_on(std::move(parcels), effort);
    } else {
        tasks_.spawn(pass_on_later(std::move(parcels), std::move(effort)));
    }
}

Task<void> Node::Impl::pass_on_later(std::vector<Parcel> parcels, Effort effort) {
    const auto bytes = bytes_of(parcels);
    if (effort.rounds == kRounds || waiting_ + parcels.size() > config_.max_waiting_parcels ||
        waiting_bytes_ + bytes > config_.max_waiting_bytes) {
        counters_.parcels_lost += parcels.size();  // until the next republish
        co_return;
    }
    waiting_ += parcels.size();
    waiting_bytes_ += bytes;
    const base::Duration pause = kFirstPause * (1U << effort.rounds);
    co_await env_.clock.sleep_for(pause);
    waiting_ -= parcels.size();
    waiting_bytes_ -= bytes;
    for (auto& parcel : parcels) parcel.age += pause;
    effort.silent.clear();
    ++effort.rounds;
    pass_on(std::move(parcels), effort);
}

// ---- arriving

bool Node::Impl::acceptable(const Announcement& announcement) const {
    const auto& publisher = announcement.publisher().id;
    return publisher != kbr_.self().id() && announcement.root() < config_.roots && is_member_(publisher);
}

/// Of its publisher's clock or of ours we know nothing but that they differ by more than clocks may.
bool Node::Impl::is_ahead(const Announcement& announcement) const {
    return announcement.stamp() > static_cast<std::uint64_t>(env_.clock.wall_ns() + base::kClockSlackNs);
}

/// Before its signature is looked at, which takes longest.
bool Node::Impl::refused_unread(const Parcel& parcel) const {
    const auto& announcement = parcel.announcement;
    if (!acceptable(announcement)) return true;
    if (is_ahead(announcement)) return table_.refuses_ahead(now(), announcement, parcel.range);
    return table_.refuses(now(), {announcement, parcel.delay, parcel.hops, parcel.age, {}}, parcel.range);
}

/// For each whether its signature is right. What we hold was verified when it came.
Task<std::vector<std::uint8_t>> Node::Impl::verify(std::shared_ptr<const std::vector<Parcel>> parcels) {
    std::vector<std::uint8_t> good;
    for (const auto& parcel : *parcels) good.push_back(table_.holds(parcel.announcement, parcel.range.begin) ? 1 : 0);
    if (std::ranges::count(good, 0) == 0) co_return good;
    auto check = [parcels, good, network = identity_.network]() mutable {
        for (std::size_t i = 0; i < good.size(); ++i) {
            if (good[i] == 0 && (*parcels)[i].announcement.verify(network)) good[i] = 1;
        }
        return std::move(good);
    };
    co_return co_await env_.workers.run(std::move(check));
}

Task<Result<Message>> Node::Impl::on_publish(Message message) {
    auto parcels = decode_publish(message);
    if (!parcels) {
        ++counters_.refused;
        co_return parcels.error();
    }
    message = {};
    pass_on(co_await take_in(std::move(*parcels)));
    co_return encode_done(Verb::publish);
}

/// What of it is news and to be passed on.
Task<std::vector<Parcel>> Node::Impl::take_in(std::vector<Parcel> parcels) {
    counters_.refused += std::erase_if(parcels, [&](const Parcel& parcel) { return refused_unread(parcel); });
    const auto all = std::make_shared<std::vector<Parcel>>(std::move(parcels));
    const auto good = co_await verify(all);
    std::vector<Parcel> news;
    for (std::size_t i = 0; i < all->size(); ++i) {
        auto& parcel = (*all)[i];
        if (good[i] == 0) {
            ++counters_.refused;
            continue;
        }
        parcel.announcement = parcel.announcement.detached();
        if (is_ahead(parcel.announcement)) {
            ++counters_.refused;
            parcel.confirm = false;  // it has not come to anybody who takes it
            const bool fresh = table_.take_ahead(now(), parcel.announcement, parcel.range);
            if (fresh && !parcel.last) news.push_back(std::move(parcel));
            continue;
        }
        const auto publisher = parcel.announcement.publisher().id;
        if (const auto rtt = kbr_.rtt(publisher)) parcel.delay = *rtt / 2;  // better than what it was told to be
        Held held{parcel.announcement, parcel.delay, parcel.hops, parcel.age, {}, parcel.confirm};
        const auto taken = table_.take(now(), std::move(held), parcel.range, !parcel.last);
        if (taken == PointerTable::Taken::refused) ++counters_.refused;
        if (taken == PointerTable::Taken::news && !parcel.last) news.push_back(std::move(parcel));
    }
    co_return news;
}

}  // namespace tapestry
