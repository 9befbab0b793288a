// Looking around in a tree: who is there, how far, how do they stand; and attaching below one of them.
#include <algorithm>

#include "followers/followers_impl.hpp"
#include "wire/codec_followers.hpp"

namespace tapestry {

using base::Address;
using base::Duration;
using base::NodeId;
using base::Result;
using base::Task;

namespace {

constexpr std::size_t kLooksAtOnce = 6;
constexpr double kWorthLookingOn = 0.95;
constexpr double kShareOfTheWayUp = 0.3;
constexpr double kHopMs = 1;

double milliseconds(Duration span) { return std::chrono::duration<double, std::milli>(span).count(); }

}  // namespace

// The way to our parent counts in full, the parent's own way to the top by a third, and each hop a little: a near
// parent is preferred to a far one that is nearer to the top, so few edges are far, and still no long chains come of
// it. With more weight on the way to the top its place matters too much: a top at the end of a slow line has everybody
// for a neighbour (docs/decisions/followers.md has what was measured).
double Followers::Impl::cost(const Seen& seen) {
    const auto& there = seen.view.standing;
    return milliseconds(seen.rtt) / 2 + kShareOfTheWayUp * milliseconds(there.delay) + kHopMs * there.rank.depth;
}

bool Followers::Impl::has_room(const Followed& followed, const Seen& seen) {
    return seen.view.room > 0 || (seen.view.yielding > 0 && !followed.tree.children().empty());
}

Task<std::vector<Address>> Followers::Impl::some_others(FollowedPtr followed) {
    std::vector<NodeId> known;
    if (followed->tree.parent()) known.push_back(followed->tree.parent()->address.id);
    for (const auto& [id, child] : followed->tree.children()) known.push_back(id);
    const auto found = co_await dolr_.other_holders(followed->object, std::move(known), now() + config_.locate_timeout);
    std::vector<Address> others;
    if (found) {
        for (const auto& location : *found) others.push_back(location.holder);
    }
    co_return others;
}

// From where we begin on to parents and children of what is near, until nothing better turns up.
Task<std::vector<Followers::Impl::Seen>> Followers::Impl::explore(FollowedPtr followed, std::vector<Address> begin,
                                                                  std::size_t most) {
    std::multimap<Duration, Address> waiting;  // by how far from us its neighbour is that told of it
    for (auto& address : begin) waiting.emplace(Duration{}, std::move(address));
    auto met = not_to_look_at(*followed);
    std::vector<Seen> all;
    std::optional<double> best;
    while (most > 0 && !followed->gone) {
        std::vector<Address> batch;
        while (!waiting.empty() && batch.size() < std::min(most, kLooksAtOnce)) {
            auto next = waiting.extract(waiting.begin());
            const auto& id = next.mapped().id;
            if (is_member_(id) && met.insert(id).second) batch.push_back(std::move(next.mapped()));
        }
        if (batch.empty()) break;
        most -= batch.size();
        auto seen = co_await look_at_all(followed, std::move(batch));
        auto better = best;
        for (auto& one : seen) {
            const auto& standing = one.view.standing;
            const bool usable = followed->tree.eligible(one.address.id, standing) && has_room(*followed, one);
            if (usable && cost(one) < better.value_or(cost(one) + 1)) better = cost(one);
            if (!standing.parent.id.is_zero()) waiting.emplace(one.rtt, standing.parent);
            auto children = one.view.children;
            for (std::size_t i = children.size(); i > 0; --i) {
                std::swap(children[i - 1], children[env_.rng.below(i)]);
                waiting.emplace(one.rtt, std::move(children[i - 1]));
            }
            all.push_back(std::move(one));
        }
        if (best && *better > kWorthLookingOn * *best) break;
        best = better;
    }
    co_return all;
}

std::set<NodeId> Followers::Impl::not_to_look_at(const Followed& followed) const {
    std::set<NodeId> nodes{self()};
    for (const auto& [id, child] : followed.tree.children()) nodes.insert(id);
    for (const auto& [id, until] : followed.avoided) {
        if (now() < until) nodes.insert(id);
    }
    return nodes;
}

Task<std::vector<Followers::Impl::Seen>> Followers::Impl::look_at_all(FollowedPtr followed,
                                                                      std::vector<Address> batch) {
    std::vector<std::optional<Seen>> views(batch.size());
    base::TaskGroup group{env_.executor};
    for (std::size_t i = 0; i < batch.size(); ++i) group.spawn(look_into(followed, std::move(batch[i]), &views[i]));
    co_await group.join();
    std::vector<Seen> seen;
    for (auto& view : views) {
        if (view) seen.push_back(std::move(*view));
    }
    co_return seen;
}

Task<void> Followers::Impl::look_into(FollowedPtr followed, Address at, std::optional<Seen>* seen) {
    const auto began = now();
    auto message = encode(Look{followed->object, followed->tree.rank(), followed->newest.sequence, false});
    const auto answer = co_await call(at, std::move(message), config_.look_timeout);
    auto view = answer ? decode_view(*answer) : Result<View>{answer.error()};
    if (!view) {
        std::erase_if(followed->known, [&](const Address& one) { return one.id == at.id; });
        co_return;
    }
    remember(*followed, at);
    if (followed->tree.placed()) heard_of_tree(*followed, view->standing.rank, at);
    *seen = Seen{std::move(at), std::move(*view), now() - began};
}

/// What was answered; nullopt: nothing. After `welcome` we are attached there.
Task<std::optional<Verdict>> Followers::Impl::attach(FollowedPtr followed, Address to, Duration rtt) {
    auto& tree = followed->tree;
    auto message = encode(Attach{followed->object, tree.rank(), followed->newest.sequence,
                                 static_cast<std::uint32_t>(tree.children().size())});
    const auto answer = co_await call(to, std::move(message), config_.call_timeout);
    auto reply = answer ? decode_attach_reply(*answer) : Result<AttachReply>{answer.error()};
    if (!reply) co_return std::nullopt;
    if (reply->verdict != Verdict::welcome) co_return reply->verdict;
    auto& standing = reply->view.standing;
    if (followed->gone || !tree.may_hang_below(to.id, standing)) {
        tell_left(*followed, to, {});
        co_return Verdict::not_higher;
    }
    const auto sequence = standing.sequence;
    const auto old = tree.parent() ? tree.parent()->address : Address{};
    tree.hang_below(now(), to, std::move(standing), rtt);
    if (!old.id.is_zero() && old.id != to.id) tell_left(*followed, old, to);
    followed->withheld = 0;
    followed->evicted = false;
    followed->improve_after = config_.improve_first;
    followed->improve_at = now() + followed->improve_after;
    followed->digest_wake->pulse();
    if (!answer->payload.empty()) {
        News news{sequence, answer->payload};
        (void)co_await receive(followed, to.id, std::move(news));
    }
    pump(followed, to);
    co_return Verdict::welcome;
}

}  // namespace tapestry
