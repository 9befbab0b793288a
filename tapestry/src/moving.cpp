// Pointers when the ring changes: to newcomers what is theirs now, and after a departure to whoever moved up. And what
// a root asks those beside it before it says that nobody publishes an object.
//
// A newcomer is handed over all whose next hop it is. What else lies on ways to far roots waits for the next republish:
// a question that misses it there goes on to the root.
#include <algorithm>
#include <ranges>

#include "node_impl.hpp"
#include "wire/codec.hpp"

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
    // A withdrawal is kept for a lease from when it came, whatever its age; how old it was then counts as well.
    const bool withdrawn = held.announcement.withdrawn();
    const base::Duration kept_for = withdrawn ? config_.lease : held.announcement.lease();
    const auto age = kept_for - (held.expires - now()) + (withdrawn ? held.age : base::Duration{});
    return {.announcement = held.announcement,
            .range = range,
            .hops = std::min<unsigned>(held.hops + 1, kMaxHops),  // more would be refused
            .delay = held.delay,
            .last = last,
            .age = std::clamp<base::Duration>(age, base::Duration{}, kMaxLease)};
}

/// Sends one receiver what is its: of our table, gone through in slices, and of what we publish ourselves, which is in
/// no table of ours.
class Node::Impl::Mover {
  public:
    using Wanted = std::function<bool(const Guid& key)>;
    /// `last`: to be kept and not passed on.
    Mover(Impl& impl, base::Address to, Wanted wanted, bool last)
        : impl_{impl}, to_{std::move(to)}, wanted_{std::move(wanted)}, last_{last} {}

    Task<void> go() {
        co_await go_through_table();
        co_await go_through_own();
    }
    /// What the receiver said last, or that it was silent, if it got nothing more.
    [[nodiscard]] std::optional<base::Error> failure() const { return failure_; }

  private:
    Task<void> go_through_table() {
        const auto pick = [this](const Held& held, Range range) {
            auto parcel = impl_.moved(held, range, last_);
            const bool undoes_nothing = held.announcement.withdrawn() && parcel.age >= impl_.config_.lease;
            if (!undoes_nothing) add(std::move(parcel));
        };
        for (auto from = std::optional{PointerTable::kBegin}; from && !failure_;) {
            impl_.table_.expire(impl_.now());
            from = impl_.table_.for_some(*from, kSliceObjects, wanted_, pick);
            co_await send(from ? kBundleBytes : 0);
            if (from) co_await impl_.env_.clock.sleep_for(kSlicePause);
        }
    }

    Task<void> go_through_own() {
        for (unsigned root = 0; root < impl_.config_.roots && !failure_; ++root) {
            const auto objects = co_await own_wanted(root);
            const auto digits = impl_.prefix_digits();
            for (std::size_t begin = 0; begin < objects.size() && !failure_;) {
                for (auto& parcel : impl_.next_group(objects, begin, root, digits, impl_.lease())) {
                    parcel.hops = 1;
                    parcel.last = last_;
                    add(std::move(parcel));
                }
                co_await send(kBundleBytes);
            }
        }
        co_await send(0);
    }

    /// In the order of their keys.
    Task<std::vector<Guid>> own_wanted(unsigned root) {
        std::vector<Guid> objects;
        std::size_t seen = 0;
        for (auto at = impl_.own_.begin(); at != impl_.own_.end();) {
            const auto object = *at;
            if (wanted_(root_key(object, root))) objects.push_back(object);
            if (++seen % kSliceObjects == 0) co_await impl_.env_.clock.sleep_for(kSlicePause);
            at = impl_.own_.upper_bound(object);
        }
        co_return co_await impl_.in_order(std::move(objects), root);
    }

    void add(Parcel parcel) {
        bytes_ += parcel.announcement.sealed().size();
        parcels_.push_back(std::move(parcel));
    }

    /// As long as there are more than so many bytes, or as many parcels as fit.
    Task<void> send(std::size_t kept_bytes) {
        while (!failure_ && !parcels_.empty() && (bytes_ > kept_bytes || parcels_.size() >= kMaxParcels)) {
            auto some = take_some();
            failure_ = co_await lost(std::move(some));
        }
    }

    std::vector<Parcel> take_some() {
        std::vector<Parcel> some;
        std::size_t bytes = 0;
        while (!parcels_.empty() && some.size() < kMaxParcels) {
            const auto more = parcels_.front().announcement.sealed().size();
            if (!some.empty() && bytes + more > kBundleBytes) break;
            bytes += more;
            some.push_back(std::move(parcels_.front()));
            parcels_.pop_front();
        }
        bytes_ -= bytes;
        return some;
    }

    /// Tried again where it is unknown whether it came, or there was no room for it just then.
    Task<std::optional<base::Error>> lost(std::vector<Parcel> parcels) {
        for (unsigned tries = 1;; ++tries) {
            const auto began = impl_.now();
            auto message = encode(parcels);
            ++impl_.counters_.publishes_sent;
            impl_.counters_.parcels_sent += parcels.size();
            impl_.counters_.bytes_sent += message.size();
            const auto answer = co_await impl_.call(to_, std::move(message));
            // What it refuses it would refuse again: one announcement does not keep the others from it.
            if (answer || answer.error() == base::Errc::bad_format) co_return std::nullopt;
            const bool silent = is_silence(answer.error());
            if (silent) impl_.kbr_.suspect(to_.id);
            if (tries == kTries || (!silent && answer.error() != base::Errc::busy)) co_return answer.error();
            co_await impl_.env_.clock.sleep_for(impl_.config_.quiet_period * tries);
            const auto waited = impl_.now() - began;
            for (auto& parcel : parcels) parcel.age = std::min<base::Duration>(parcel.age + waited, kMaxLease);
        }
    }

    Impl& impl_;
    const base::Address to_;
    const Wanted wanted_;
    const bool last_;
    std::deque<Parcel> parcels_;
    std::size_t bytes_ = 0;
    std::optional<base::Error> failure_;
};

/// Of these nodes the `count` next to us on each side of the ring.
std::vector<NodeId> Node::Impl::next_to_us(std::vector<NodeId> nodes, std::size_t count) const {
    std::ranges::sort(nodes, {}, [&](const NodeId& node) { return base::clockwise_distance(self().id, node); });
    if (nodes.size() > 2 * count) {
        const auto begin = nodes.begin() + static_cast<std::ptrdiff_t>(count);
        nodes.erase(begin, nodes.end() - static_cast<std::ptrdiff_t>(count));
    }
    return nodes;
}

// Where the set of those who keep a key's pointers (its root and the neighbours beside it) has changed, the first of
// those who had them tells the others. These are next to it on the ring: nobody else needs to look. Each is told by a
// task of its own, so that a slow one keeps nobody waiting.
Task<void> Node::Impl::move_pointers() {
    co_await env_.clock.sleep_for(config_.quiet_period);  // what happens meanwhile is told with it
    moving_ = false;
    auto change = std::exchange(change_, {});
    std::vector<NodeId> near;
    for (const auto& node : kbr_.neighbours()) near.push_back(node.id());
    auto were_near = near;  // and, of those who left, who could have kept what we keep
    were_near.insert(were_near.end(), change.left.begin(), change.left.end());
    were_near = next_to_us(std::move(were_near), config_.root_backups + change.left.size());
    std::erase_if(change.left, [&](const NodeId& node) { return !contains(were_near, node); });
    for (const auto& node : next_to_us(std::move(near), config_.root_backups)) {
        const bool lacks_something = !change.left.empty() || change.joined.contains(node);
        if (!lacks_something && !to_tell_.contains(node)) continue;
        const auto [to_tell, idle] = to_tell_.try_emplace(node);
        to_tell->second.add(change);
        if (idle) tasks_.spawn(tell_what_moved(node));
    }
}

Task<void> Node::Impl::tell_what_moved(NodeId id) {
    while (!to_tell_[id].empty()) {
        const auto change = std::exchange(to_tell_[id], {});
        const auto to = kbr_.find(id);
        if (!to) continue;  // it is gone; if it comes back it is told of that
        Mover::Wanted wanted = [&](const Guid& key) { return ours_to_tell(key, id, change); };
        Mover mover{*this, to->address, std::move(wanted), true};
        co_await mover.go();
    }
    to_tell_.erase(id);
}

/// `to` is one of those who keep the pointers of `key`, and new to it: it came, or somebody nearer left. (Then it may
/// have had them as a backup; but backups are told once, and whoever died may not have come to it.) And we are the
/// first of those who are not new.
bool Node::Impl::ours_to_tell(const Guid& key, const NodeId& to, const Change& change) const {
    const auto nearer = [&](const NodeId& gone) { return base::closer(key, gone, to); };
    if (!change.joined.contains(to) && std::ranges::none_of(change.left, nearer)) return false;
    const auto set = kbr_.replica_set(key, 1 + config_.root_backups);
    const auto& since = to_tell_.at(to).joined;  // while this is being told
    const auto first = std::ranges::find_if(set, [&](const auto& node) {
        const auto& id = node.id();
        return !change.joined.contains(id) && !since.contains(id) && !change_.joined.contains(id);
    });
    if (first == set.end() || first->id() != self().id) return false;
    return std::ranges::find(set, to, &pastry::NodeHandle::id) != set.end();
}

// Who has much to hand over may take longer than the newcomer waits: it asks again until it is told that it has all.
Task<Result<Message>> Node::Impl::on_hand_over(NodeId newcomer, Message message) {
    BASE_CO_TRY(const auto born, decode_hand_over(message.header));
    const auto all = kbr_.neighbours();
    const auto at = std::ranges::find(all, newcomer, &pastry::NodeHandle::id);
    if (at == all.end()) co_return base::Errc::busy;  // not our neighbour as far as we know yet
    std::erase_if(handed_over_, [&](const auto& each) { return each.second.forget_at <= now(); });
    const auto before = handed_over_.find(newcomer);
    if (before != handed_over_.end() && before->second.born == born) co_return encode_handed_over(warming_up_);
    if (!handing_over_.insert(newcomer).second) co_return base::Errc::busy;
    const auto done = co_await hand_over(*at);
    handing_over_.erase(newcomer);
    if (!done) co_return done.error();
    handed_over_.insert_or_assign(newcomer, HandedOver{born, now() + sure_after()});
    co_return encode_handed_over(warming_up_);
}

Task<Result<void>> Node::Impl::hand_over(pastry::NodeHandle newcomer) {
    Mover::Wanted theirs = [&](const Guid& key) {
        const auto hop = first_hop(key);  // zero: we are in doubt who is near it
        return hop.is_zero() ? base::closer(key, newcomer.id(), self().id) : hop == newcomer.id();
    };
    Mover mover{*this, newcomer.address, std::move(theirs), false};
    co_await mover.go();
    if (mover.failure()) co_return *mover.failure();
    co_return base::ok();
}

// ---- one object

// We keep no pointers to ourselves: what we publish is signed for who asks.
Result<Message> Node::Impl::on_neighbour_query(const Message& message) {
    BASE_TRY(const auto object, decode_neighbour_query(message.header));
    std::vector<Parcel> parcels;
    for (const auto& [held, index] : table_.announcements_of(now(), object)) {
        parcels.push_back(moved(*held, {index, index + 1}, true));
    }
    for (unsigned root = 0; root < config_.roots && own_.contains(object); ++root) {
        auto announcement = sign(root, lease(), {&object, 1});
        parcels.push_back({.announcement = std::move(announcement), .range = {0, 1}, .hops = 1, .last = true});
    }
    if (parcels.empty() && !complete_) return base::Errc::busy;
    return encode(parcels, Verb::neighbour_query);
}

/// True if one of those beside the root of this key has answered, or we know that there is none; what they know is in
/// the table then.
Task<bool> Node::Impl::query_neighbours(Guid object, Guid key) {
    if (neighbour_queries_ >= config_.max_answers) co_return false;
    ++neighbour_queries_;
    base::TaskGroup asking{env_.executor};
    const auto answers = std::make_shared<std::size_t>(0);
    auto set = kbr_.replica_set(key, 1 + config_.root_backups);
    const bool alone = set.size() == 1 && set[0].id() == self().id;  // empty: KBR cannot tell
    for (auto& node : set) {
        if (node.id() == self().id) continue;
        asking.spawn(query_neighbour(std::move(node), object, answers));
    }
    co_await asking.join();
    --neighbour_queries_;
    co_return *answers > 0 || alone;
}

Task<void> Node::Impl::query_neighbour(pastry::NodeHandle node, Guid object, std::shared_ptr<std::size_t> answers) {
    auto question = encode_neighbour_query(object);
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
    while (!kbr_.active()) co_await env_.clock.sleep_for(config_.quiet_period);
    const auto sure_at = now() + sure_after();
    std::map<NodeId, bool> given;
    while (now() < sure_at) {
        auto next = next_to_ask(given);
        const bool sure = !kbr_.replica_set(self().id, 1).empty();  // empty: KBR cannot tell who is beside us
        if (next.empty() && sure) break;
        bool answered = false;
        for (auto& node : next) answered = co_await ask_to_hand_over(std::move(node), given) || answered;
        if (!answered) co_await env_.clock.sleep_for(config_.quiet_period);
    }
    complete_ = true;
    co_await env_.clock.sleep_until(sure_at);
    warming_up_ = false;
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
    auto question = encode_hand_over(born_);
    const auto answer = co_await env_.transport.request(node.address, std::move(question), now() + kHandOverTimeout);
    const auto fresh = answer ? decode_handed_over(answer->header) : Result<bool>{answer.error()};
    // Who does not answer in time is at work on it: KBR finds out by itself whether it is dead.
    if (!answer && answer.error() == base::Errc::unreachable) kbr_.suspect(node.id());
    if (fresh) given[node.id()] = *fresh;
    co_return fresh.has_value();
}

}  // namespace tapestry
