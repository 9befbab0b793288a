// Pointers when the ring changes: to newcomers what is theirs now, and after a departure to whoever moved up. And what
// a root asks those beside it before it says that nobody publishes an object.
//
// What lies on the way to far roots waits for the next republish: a question that misses it there goes on to the root.
#include <algorithm>

#include "codec.hpp"
#include "node_impl.hpp"

namespace tapestry {

using base::Guid;
using base::Message;
using base::NodeId;
using base::Result;
using base::Task;

namespace {

constexpr std::chrono::seconds kHandOverTimeout{60};

}  // namespace

Parcel Node::Impl::moved(const Held& held, Range range, bool last) const {
    const base::Duration lease = held.announcement.lease();
    const auto age = held.announcement.withdrawn() ? base::Duration{} : lease - (held.expires - now());
    return {.announcement = held.announcement,
            .range = range,
            .hops = std::min<unsigned>(held.hops + 1, kMaxWay),  // more would be refused
            .delay = held.delay,
            .last = last,
            .age = std::clamp<base::Duration>(age, base::Duration{}, kMaxLease)};
}

// Where the set of those who keep a key's pointers (its root and the neighbours beside it) has changed, the first of
// those who had them tells the others.
Task<void> Node::Impl::move_pointers() {
    co_await env_.clock.sleep_for(config_.settle);
    moving_ = false;
    const auto joined = std::exchange(joined_, {});
    const bool left = std::exchange(left_, false);
    Bundles bundles;
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
            for (const auto& to : receivers) add(bundles, to, moved(held, {i, i + 1}, true), {});
        }
    });
    leave(bundles);
}

Task<Result<Message>> Node::Impl::on_hand_over(NodeId newcomer) {
    if (!settled_ || handing_over_) co_return base::Errc::busy;
    for (auto& node : kbr_.neighbours()) {
        if (node.id() != newcomer) continue;
        handing_over_ = true;
        const auto done = co_await hand_over(std::move(node));
        handing_over_ = false;
        if (!done) co_return done.error();
        co_return encode_done(Verb::hand_over);
    }
    co_return base::Errc::busy;  // not our neighbour as far as we know yet
}

Task<Result<void>> Node::Impl::hand_over(pastry::NodeHandle newcomer) {
    Bundles bundles;
    std::vector<std::vector<Parcel>> messages;
    const auto theirs = [&](const Guid& key) { return first_hop(key) == newcomer.id(); };
    std::size_t bytes = 0;
    table_.for_each(theirs, [&](const Held& held, Range range) {
        bytes += held.announcement.sealed().size();
        if (messages.empty() || messages.back().size() == kMaxParcels || bytes > kBundleBytes) {
            messages.emplace_back();
            bytes = held.announcement.sealed().size();
        }
        messages.back().push_back(moved(held, range, false));
    });
    for (const auto& parcels : messages) {
        auto message = encode(parcels);
        const auto taken = co_await call(newcomer.address, std::move(message));
        // What it refuses it would refuse again: one announcement does not keep the others from it.
        if (!taken && taken.error() != base::Errc::bad_format) co_return taken.error();
    }
    co_return base::ok();
}

// ---- one object

Result<Message> Node::Impl::on_beside(const Message& message) const {
    BASE_TRY(const auto object, decode_beside(message.header));
    std::vector<Parcel> parcels;
    for (const auto& [held, index] : table_.announcements_of(now(), object)) {
        parcels.push_back(moved(*held, {index, index + 1}, true));
    }
    if (parcels.empty() && !settled_) return base::Errc::busy;
    return encode(parcels, Verb::beside);
}

/// True if one of those beside the root of this key has answered, or there is none; what they know is in the table
/// then.
Task<bool> Node::Impl::ask_beside(Guid object, Guid key) {
    if (asking_beside_ >= config_.max_answers) co_return false;
    ++asking_beside_;
    base::TaskGroup asking{env_.executor};
    const auto answers = std::make_shared<std::size_t>(0);
    std::size_t asked_of = 0;
    for (auto& node : kbr_.replica_set(key, 1 + config_.root_backups)) {
        if (node.id() == self().id) continue;
        ++asked_of;
        asking.spawn(ask_one_beside(std::move(node), object, answers));
    }
    co_await asking.join();
    --asking_beside_;
    co_return *answers > 0 || asked_of == 0;
}

Task<void> Node::Impl::ask_one_beside(pastry::NodeHandle node, Guid object, std::shared_ptr<std::size_t> answers) {
    auto question = encode_beside(object);
    const auto answer = co_await call(node.address, std::move(question));
    if (!answer) {
        if (is_silence(answer.error())) kbr_.suspect(node.id());
        co_return;
    }
    auto parcels = decode_publish(*answer);
    if (!parcels) co_return;  // no answer: it may be hiding what it knows
    ++*answers;
    for (auto& parcel : *parcels) parcel.last = true;
    (void)co_await take_in(std::move(*parcels));
}

// ---- a newcomer

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
            const auto answer =
                co_await env_.transport.request(node.address, std::move(question), now() + kHandOverTimeout);
            all = all && answer.has_value();
        }
        if (all || now() >= sure_at) break;
        co_await env_.clock.sleep_for(config_.settle);
    }
    settled_ = true;
}

}  // namespace tapestry
