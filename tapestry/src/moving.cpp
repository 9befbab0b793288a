// Pointers when the ring changes: to newcomers what is theirs now, and after a departure to whoever moved up. And what
// a root asks those beside it before it says that nobody publishes an object.
//
// What lies on the way to far roots waits for the next republish: a question that misses it there goes on to the root.
#include <algorithm>
#include <ranges>

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

// Looked at in one go; then it is others' turn on the executor. A million objects: 4 s.
constexpr std::size_t kSliceObjects = 2048;
constexpr std::chrono::milliseconds kSlicePause{8};
constexpr unsigned kTries = 3;  // of a message

}  // namespace

Parcel Node::Impl::moved(const Held& held, Range range, bool last) const {
    const base::Duration lease = held.announcement.lease();
    const auto age = held.announcement.withdrawn() ? base::Duration{} : lease - (held.expires - now());
    return {.announcement = held.announcement,
            .range = range,
            .hops = std::min<unsigned>(held.hops + 1, kMaxHops),  // more would be refused
            .delay = held.delay,
            .last = last,
            .age = std::clamp<base::Duration>(age, base::Duration{}, kMaxLease)};
}

/// Sends what is to be handed to others while the table is gone through, to each receiver message by message.
class Node::Impl::Mover {
  public:
    explicit Mover(Impl& impl) : impl_{impl} {}

    using Wanted = std::function<bool(const Guid& key)>;
    using Pick = std::function<void(const Held&, Range)>;
    /// Shows `pick` all whose keys are wanted; it adds what is to go.
    Task<void> go(Wanted wanted, Pick pick) {
        for (auto from = std::optional{PointerTable::kBegin}; from;) {
            from = impl_.table_.for_some(*from, kSliceObjects, wanted, pick);
            co_await send(from ? kBundleBytes : 0);
            if (from) co_await impl_.env_.clock.sleep_for(kSlicePause);
        }
    }
    void add(const pastry::NodeHandle& to, Parcel parcel) {
        auto& outgoing = outgoing_[to.id()];
        outgoing.to = to.address;
        if (!outgoing.parcels.empty()) {
            auto& before = outgoing.parcels.back();
            const bool same = before.announcement.sealed().view().data() == parcel.announcement.sealed().view().data();
            if (same && before.range.end == parcel.range.begin) {
                before.range.end = parcel.range.end;
                return;
            }
        }
        outgoing.bytes += parcel.announcement.sealed().size();
        outgoing.parcels.push_back(std::move(parcel));
    }
    /// What a receiver that got nothing more said last.
    [[nodiscard]] std::optional<base::Error> failure() const { return failure_; }

  private:
    struct Outgoing {
        base::Address to;
        std::deque<Parcel> parcels;
        std::size_t bytes = 0;
        bool lost = false;
    };

    /// Of those that have more than so many bytes, or as many parcels as fit.
    Task<void> send(std::size_t kept_bytes) {
        for (auto& [id, outgoing] : outgoing_) {
            while (!outgoing.parcels.empty() &&
                   (outgoing.bytes > kept_bytes || outgoing.parcels.size() >= kMaxParcels)) {
                auto parcels = take_some(outgoing);
                if (!outgoing.lost) outgoing.lost = !co_await arrived(outgoing.to, std::move(parcels));
            }
        }
    }

    static std::vector<Parcel> take_some(Outgoing& outgoing) {
        std::vector<Parcel> some;
        std::size_t bytes = 0;
        while (!outgoing.parcels.empty() && some.size() < kMaxParcels) {
            const auto more = outgoing.parcels.front().announcement.sealed().size();
            if (!some.empty() && bytes + more > kBundleBytes) break;
            bytes += more;
            some.push_back(std::move(outgoing.parcels.front()));
            outgoing.parcels.pop_front();
        }
        outgoing.bytes -= bytes;
        return some;
    }

    /// Tried again where it is unknown whether it came, or there was no room for it just then.
    Task<bool> arrived(base::Address to, std::vector<Parcel> parcels) {
        for (unsigned tries = 1;; ++tries) {
            const auto began = impl_.now();
            auto message = encode(parcels);
            ++impl_.counters_.publishes_sent;
            impl_.counters_.parcels_sent += parcels.size();
            impl_.counters_.bytes_sent += message.size();
            const auto answer = co_await impl_.call(to, std::move(message));
            // What it refuses it would refuse again: one announcement does not keep the others from it.
            if (answer || answer.error() == base::Errc::bad_format) co_return true;
            const bool silent = is_silence(answer.error());
            if (silent) impl_.kbr_.suspect(to.id);
            if (tries == kTries || (!silent && answer.error() != base::Errc::busy)) {
                failure_ = answer.error();
                co_return false;
            }
            co_await impl_.env_.clock.sleep_for(impl_.config_.settle * tries);
            const auto waited = impl_.now() - began;
            for (auto& parcel : parcels) parcel.age = std::min<base::Duration>(parcel.age + waited, kMaxLease);
        }
    }

    Impl& impl_;
    std::map<NodeId, Outgoing> outgoing_;
    std::optional<base::Error> failure_;
};

// Where the set of those who keep a key's pointers (its root and the neighbours beside it) has changed, the first of
// those who had them tells the others.
Task<void> Node::Impl::move_pointers() {
    while (!joined_.empty() || left_) {
        co_await env_.clock.sleep_for(config_.settle);
        auto joined = std::exchange(joined_, {});
        co_await move_pointers(std::move(joined), std::exchange(left_, false));
    }
    moving_ = false;
}

Task<void> Node::Impl::move_pointers(std::set<NodeId> joined, bool left) {
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
    Mover mover{*this};
    Mover::Pick pick = [&](const Held& held, Range range) {
        for (std::size_t i = range.begin; i < range.end; ++i) {
            if (!ours_to_tell(held.announcement.key(i))) continue;
            for (const auto& to : receivers) mover.add(to, moved(held, {i, i + 1}, true));
        }
    };
    Mover::Wanted any = [](const Guid&) { return true; };
    co_await mover.go(std::move(any), std::move(pick));
}

Task<Result<Message>> Node::Impl::on_hand_over(NodeId newcomer) {
    const auto all = kbr_.neighbours();
    const auto at = std::ranges::find(all, newcomer, &pastry::NodeHandle::id);
    if (at == all.end()) co_return base::Errc::busy;  // not our neighbour as far as we know yet
    if (!handing_over_.insert(newcomer).second) co_return base::Errc::busy;
    const auto done = co_await hand_over(*at);
    handing_over_.erase(newcomer);
    if (!done) co_return done.error();
    co_return encode_handed_over(newcomer_);
}

Task<Result<void>> Node::Impl::hand_over(pastry::NodeHandle newcomer) {
    Mover mover{*this};
    Mover::Wanted theirs = [&](const Guid& key) {
        const auto hop = first_hop(key);  // zero: we are in doubt who is near it
        return hop.is_zero() ? base::closer(key, newcomer.id(), self().id) : hop == newcomer.id();
    };
    Mover::Pick pick = [&](const Held& held, Range range) { mover.add(newcomer, moved(held, range, false)); };
    co_await mover.go(std::move(theirs), std::move(pick));
    if (mover.failure()) co_return *mover.failure();
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

/// True if one of those beside the root of this key has answered, or we know that there is none; what they know is in
/// the table then.
Task<bool> Node::Impl::ask_beside(Guid object, Guid key) {
    if (asking_beside_ >= config_.max_answers) co_return false;
    ++asking_beside_;
    base::TaskGroup asking{env_.executor};
    const auto answers = std::make_shared<std::size_t>(0);
    auto set = kbr_.replica_set(key, 1 + config_.root_backups);
    const bool alone = set.size() == 1 && set[0].id() == self().id;  // empty: KBR cannot tell
    for (auto& node : set) {
        if (node.id() == self().id) continue;
        asking.spawn(ask_one_beside(std::move(node), object, answers));
    }
    co_await asking.join();
    --asking_beside_;
    co_return *answers > 0 || alone;
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
// who publishes has done so again since. A neighbour that came lately itself gives what it has, and who is beyond it is
// asked as well, up to the first that was there before: what is ours now may never have been the other's. Where our
// whole leaf set came lately it has forgotten what it knew, and there is nobody to wait for.
Task<void> Node::Impl::take_over() {
    while (!kbr_.active()) co_await env_.clock.sleep_for(config_.settle);
    const auto sure_at = now() + config_.republish_period * 5 / 4;
    std::map<NodeId, bool> given;
    while (now() < sure_at) {
        auto next = next_to_ask(given);
        const bool sure = !kbr_.replica_set(self().id, 1).empty();  // empty: KBR cannot tell who is beside us
        if (next.empty() && sure) break;
        bool answered = false;
        for (auto& node : next) answered = co_await ask_to_hand_over(std::move(node), given) || answered;
        if (!answered) co_await env_.clock.sleep_for(config_.settle);
    }
    settled_ = true;
    co_await env_.clock.sleep_until(sure_at);
    newcomer_ = false;
}

/// On each side the nearest that has not given us what it has yet (`given`: who has, and whether it is fresh).
std::vector<pastry::NodeHandle> Node::Impl::next_to_ask(const std::map<NodeId, bool>& given) const {
    auto ring = kbr_.neighbours();
    std::ranges::sort(ring, {}, [&](const auto& node) { return base::clockwise_distance(self().id, node.id()); });
    std::vector<pastry::NodeHandle> next;
    const auto look = [&](const auto& side) {
        for (const auto& node : side) {
            const auto found = given.find(node.id());
            if (found != given.end() && found->second) continue;
            if (found == given.end()) next.push_back(node);
            return;
        }
    };
    look(ring);
    look(std::views::reverse(ring));
    if (next.size() == 2 && next[0] == next[1]) next.pop_back();
    return next;
}

Task<bool> Node::Impl::ask_to_hand_over(pastry::NodeHandle node, std::map<NodeId, bool>& given) {
    auto question = encode_hand_over();
    const auto answer = co_await env_.transport.request(node.address, std::move(question), now() + kHandOverTimeout);
    const auto fresh = answer ? decode_handed_over(answer->header) : Result<bool>{answer.error()};
    if (!answer && is_silence(answer.error())) kbr_.suspect(node.id());
    if (fresh) given[node.id()] = *fresh;
    co_return fresh.has_value();
}

}  // namespace tapestry
