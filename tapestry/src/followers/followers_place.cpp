// Finding a place in the tree, keeping it, and finding a better one.
#include <algorithm>

#include "base/wait.hpp"
#include "followers/followers_impl.hpp"
#include "wire/codec_followers.hpp"

namespace tapestry {

using base::Address;
using base::Duration;
using base::NodeId;
using base::Result;
using base::Task;
using base::TimePoint;

namespace {

constexpr std::size_t kMostKnown = 32;
constexpr std::size_t kMostHints = 16;
constexpr std::size_t kMostLooks = 24;  // to find a place
constexpr std::size_t kFewLooks = 8;    // for other trees
constexpr std::size_t kKnownAsked = 8;
constexpr std::size_t kMostLooksToImprove = 12;
constexpr std::ptrdiff_t kMostHangs = 6;
constexpr double kBetterTop = 0.75;  // of its ways to all branches
constexpr double kGain = 0.9;        // of the present cost, to be worth a move

}  // namespace

Task<void> Followers::Impl::keep_place(FollowedPtr followed) {
    while (!followed->gone) {
        auto& tree = followed->tree;
        if (const auto silent = tree.silent_at(); silent && now() >= *silent) lose_parent(*followed);
        const bool seek = std::exchange(followed->seek, false);
        if (seek || (!tree.parent() && now() >= followed->look_at)) {
            co_await find_place(followed);
        } else if (tree.parent() && now() >= followed->improve_at) {
            co_await improve(followed);
        } else if (now() >= followed->compare_at) {
            co_await compare(followed);
        } else {
            co_await base::wait_until(env_.clock, followed->place_wake, next_due(*followed));
        }
    }
}

TimePoint Followers::Impl::next_due(const Followed& followed) const {
    const auto& tree = followed.tree;
    const auto own = tree.parent() ? std::min(*tree.silent_at(), followed.improve_at) : followed.look_at;
    return std::min(own, followed.compare_at);
}

void Followers::Impl::lose_parent(Followed& followed) {
    ++counters_.parents_lost;
    // Below a top that is gone nobody will raise the round: one of us must. Deeper down somebody else's rank may rise
    // with the next round, and we can attach below him.
    const auto patience = followed.tree.rank().depth == 1 ? Duration{} : Duration{config_.digest_period * 3 / 2};
    const auto& standing = followed.tree.parent()->standing;
    if (!standing.parent.id.is_zero()) hint(followed, standing.parent);
    followed.tree.lose_parent(now() + patience);
    followed.look_at = now();
    followed.look_after = config_.digest_period / 4;
    followed.place_wake->pulse();
}

/// Our parent gave our place to somebody with children; it keeps us until we have another.
void Followers::Impl::evicted(Followed& followed) {
    if (std::exchange(followed.evicted, true)) return;
    followed.improve_at = now();
    followed.place_wake->pulse();
}

/// Somebody stands so in a tree. If that is another tree and ranks higher, we belong there.
void Followers::Impl::heard_of_tree(Followed& followed, const Rank& rank, const Address& whom) {
    const auto& tree = followed.tree;
    if (whom.endpoint.empty() || rank.same_tree(tree.rank()) || !tree.outranks_us(rank)) return;
    if (now() < followed.sought_at + followed.seek_after) return;  // nobody keeps us busy with stories
    followed.sought_at = now();
    hint(followed, whom);
    followed.seek = true;
    followed.place_wake->pulse();
}

/// To be asked first when we look for a place.
void Followers::Impl::hint(Followed& followed, const Address& whom) {
    if (whom.id == self() || whom.endpoint.empty()) return;
    if (followed.hints.size() == kMostHints) followed.hints.erase(followed.hints.begin());
    followed.hints.push_back(whom);
}

/// A random few of all that we hear of.
void Followers::Impl::remember(Followed& followed, const Address& follower) {
    if (follower.id == self() || follower.endpoint.empty()) return;
    auto& known = followed.known;
    std::erase_if(known, [&](const Address& one) { return one.id == follower.id; });
    if (known.size() >= kMostKnown)
        known.erase(known.begin() + static_cast<std::ptrdiff_t>(env_.rng.below(kMostKnown)));
    known.push_back(follower);
}

// ---- finding

// A place is found fastest among those that we know; the DOLR is asked where nobody is known or nobody takes us, and by
// a top that looks for other trees.
Task<void> Followers::Impl::find_place(FollowedPtr followed) {
    auto& tree = followed->tree;
    tree.hold();
    auto begin = std::exchange(followed->hints, {});
    bool attached = false;
    if (!tree.placed()) {
        append_known(*followed, begin, kKnownAsked);
        attached = co_await attach_near(followed, std::exchange(begin, {}));
    }
    if (!attached && !followed->gone) {
        const auto others = co_await some_others(followed);
        begin.insert(begin.end(), others.begin(), others.end());
        if (tree.placed()) append_known(*followed, begin, 1);
        attached = co_await attach_near(followed, std::move(begin));
    }
    if (tree.let_go()) followed->digest_wake->pulse();
    if (!tree.placed() && may_become_top(*followed)) {
        tree.become_top();
        followed->look_after = config_.digest_period / 4;
        followed->digest_wake->pulse();
    }
    const auto jitter = 0.5 + env_.rng.unit();
    followed->look_at = now() + std::chrono::duration_cast<Duration>(followed->look_after * jitter);
    if (tree.top()) followed->look_after = std::min<Duration>(followed->look_after * 2, config_.compare_period);
    followed->seek_after =
        attached ? config_.digest_period / 4 : std::min<Duration>(followed->seek_after * 2, config_.compare_period);
}

// Of several that have no place the one with the highest rank becomes the top, of equals the one with the greatest id:
// so there are few at a time. Who waits for one that never does waits no longer than this.
bool Followers::Impl::may_become_top(const Followed& followed) const {
    const auto since = now() - followed.tree.patient_until();
    if (since < Duration{}) return false;
    return !followed.better_orphan || since > config_.digest_period * 2;
}

/// Below the best that takes us, of those that can be found from `begin`; who has a place leaves it only for another
/// tree.
Task<bool> Followers::Impl::attach_near(FollowedPtr followed, std::vector<Address> begin) {
    auto& tree = followed->tree;
    auto seen = co_await explore(followed, std::move(begin), tree.placed() ? kFewLooks : kMostLooks);
    const bool placed = tree.placed();
    const std::pair ours{tree.rank(), self()};
    for (const auto& one : seen) {
        const auto& there = one.view.standing;
        const bool orphaned = there.parent.id.is_zero() && there.rank.top != one.address.id;
        if (orphaned && std::pair{there.rank, one.address.id} > ours) followed->better_orphan = true;
    }
    std::erase_if(seen, [&](const Seen& one) {
        const auto& there = one.view.standing;
        return !tree.may_hang_below(one.address.id, there) || (placed && there.rank.same_tree(tree.rank()));
    });
    std::ranges::stable_sort(seen, {}, [](const Seen& one) { return cost(one); });
    if (seen.size() > kMostHangs) seen.erase(seen.begin() + kMostHangs, seen.end());
    for (const auto& one : seen) {
        const auto verdict = co_await attach(followed, one.address, one.rtt);
        if (verdict == Verdict::welcome) co_return true;
        if (followed->gone) break;
    }
    co_return false;
}

void Followers::Impl::append_known(const Followed& followed, std::vector<Address>& to, std::size_t count) {
    for (; count > 0 && !followed.known.empty(); --count) {
        to.push_back(followed.known[env_.rng.below(followed.known.size())]);
    }
}

// ---- improving

Task<void> Followers::Impl::improve(FollowedPtr followed) {
    auto& tree = followed->tree;
    const auto parent = tree.parent()->address;
    std::vector<Address> begin{parent};
    if (!tree.parent()->standing.parent.id.is_zero()) begin.push_back(tree.parent()->standing.parent);
    const auto others = co_await some_others(followed);
    begin.insert(begin.end(), others.begin(), others.end());
    if (!followed->known.empty()) begin.push_back(followed->known[env_.rng.below(followed->known.size())]);
    auto seen = co_await explore(followed, std::move(begin), kMostLooksToImprove);
    followed->improve_after = std::min<Duration>(followed->improve_after * 2, config_.improve_most);
    const auto jitter = 0.5 + env_.rng.unit();
    followed->improve_at = now() + std::chrono::duration_cast<Duration>(followed->improve_after * jitter);
    const auto at = std::ranges::find(seen, parent.id, [](const Seen& one) { return one.address.id; });
    if (followed->gone || at == seen.end() || !tree.parent() || tree.parent()->address.id != parent.id) co_return;
    tree.parent_measured(at->rtt);
    if (co_await is_better_top(followed, *at)) {
        take_the_top(*followed);
        co_return;
    }
    const double present = cost(*at);
    std::erase_if(seen, [&](const Seen& one) {
        const bool worth = followed->evicted ? one.address.id != parent.id : cost(one) < kGain * present;
        return !worth || !has_room(*followed, one) || !tree.eligible(one.address.id, one.view.standing);
    });
    const auto best = std::ranges::min_element(seen, {}, [](const Seen& one) { return cost(one); });
    if (best == seen.end()) co_return;
    if (co_await move(followed, *best)) ++counters_.moves;
}

// Nobody chooses the top: it is who began, or who was found first after a loss, and may sit at the end of a slow line.
// News of its branches crosses it on the way to each other, so a child that is much nearer to them takes its place.
Task<bool> Followers::Impl::is_better_top(FollowedPtr followed, Seen parent) {
    const auto top = parent.address.id;
    if (parent.view.standing.rank.depth != 0 || followed->tree.children().empty()) co_return false;
    auto siblings = std::move(parent.view.children);
    std::erase_if(siblings, [&](const Address& one) { return one.id == self(); });
    const auto seen = co_await look_at_all(followed, std::move(siblings));
    const auto& now_above = followed->tree.parent();
    if (followed->gone || !now_above || now_above->address.id != top) co_return false;
    // The ways from either to all branches, ours included, which is no way from us.
    std::size_t forks = 0;
    Duration from_us{};
    Duration from_top = parent.rtt / 2;
    for (const auto& one : seen) {
        if (one.view.standing.parent.id != top || one.view.children.empty()) continue;
        ++forks;
        from_us += one.rtt / 2;
        from_top += one.view.standing.delay;
    }
    co_return forks > 0 && static_cast<double>(from_us.count()) < kBetterTop* static_cast<double>(from_top.count());
}

/// With the next round: it ranks higher than our parent does, who hears of it and is below us. If that notice is
/// lost there are two trees until either looks around for others, a minute or two.
void Followers::Impl::take_the_top(Followed& followed) {
    const auto old = followed.tree.parent()->address;
    followed.tree.lose_parent(now());
    followed.tree.become_top();
    followed.look_at = now() + config_.digest_period;
    ++counters_.moves;
    tell_left(followed, old, {});
    followed.digest_wake->pulse();
}

Task<bool> Followers::Impl::move(FollowedPtr followed, Seen to) {
    auto& tree = followed->tree;
    tree.hold();
    auto verdict = co_await attach(followed, to.address, to.rtt);
    if (verdict == Verdict::not_higher && co_await next_round_begins(followed)) {
        verdict = co_await attach(followed, to.address, to.rtt);
    }
    if (tree.let_go()) followed->digest_wake->pulse();
    co_return verdict == Verdict::welcome;
}

/// True once our parent has a new round and others had the time to hear of it.
Task<bool> Followers::Impl::next_round_begins(FollowedPtr followed) {
    const auto& parent = followed->tree.parent();
    const auto until = now() + config_.digest_period * 5 / 4;
    const auto present = followed->tree.rank().round;
    while (!followed->gone && parent && parent->standing.rank.round <= present) {
        if (now() >= until || followed->seek) co_return false;
        co_await env_.clock.sleep_for(config_.digest_period / 16);
    }
    if (followed->gone || !parent) co_return false;
    co_await env_.clock.sleep_for(config_.digest_period / 8);
    co_return parent.has_value();
}

}  // namespace tapestry
