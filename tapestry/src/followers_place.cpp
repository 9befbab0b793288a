// Finding a place in the tree, keeping it, and finding a better one.
#include <algorithm>

#include "codec_followers.hpp"
#include "followers_impl.hpp"

namespace tapestry {

using base::Address;
using base::Duration;
using base::NodeId;
using base::Result;
using base::Task;
using base::TimePoint;

namespace {

constexpr std::size_t kMostKnown = 32;
constexpr std::size_t kMostLooks = 24;  // to find a place
constexpr std::size_t kMostLooksToImprove = 12;
constexpr double kShareOfTheWayUp = 0.3;
constexpr double kHopMs = 1;
constexpr std::size_t kLooksAtOnce = 6;
constexpr std::size_t kMostHangs = 6;
constexpr double kGain = 0.9;  // of the present cost, to be worth a move

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
            co_await wait(followed->place_wake, next_due(*followed));
        }
    }
}

bool Followers::Impl::has_room(const Followed& followed, const Seen& seen) {
    return seen.view.room > 0 || (seen.view.yielding > 0 && !followed.tree.children().empty());
}

TimePoint Followers::Impl::next_due(const Followed& followed) const {
    const auto& tree = followed.tree;
    const auto own = tree.parent() ? std::min(*tree.silent_at(), followed.improve_at) : followed.look_at;
    return std::min(own, followed.compare_at);
}

void Followers::Impl::lose_parent(Followed& followed) {
    ++counters_.parents_lost;
    // Those right below a top that is gone are equals: chance says who becomes the next one. Others find, in a round or
    // two, somebody whose rank has risen since.
    const auto unit = env_.rng.unit();
    const double periods = followed.tree.rank().depth == 1 ? unit : 2 + unit;
    const auto patience = std::chrono::duration_cast<Duration>(config_.digest_period * periods);
    const auto& standing = followed.tree.parent()->standing;
    if (!standing.parent.id.is_zero()) followed.hints.push_back(standing.parent);
    followed.tree.lose_parent(now() + patience);
    followed.look_at = now();
    followed.look_after = config_.digest_period / 4;
    followed.place_wake->pulse();
}

/// Our parent gave our place to somebody with children; it keeps us until we have another.
void Followers::Impl::crowded_out(Followed& followed) {
    if (std::exchange(followed.crowded, true)) return;
    followed.improve_at = now();
    followed.place_wake->pulse();
}

/// Somebody stands so in a tree. If that is another tree and ranks higher, we belong there.
void Followers::Impl::heard_of_tree(Followed& followed, const Rank& rank, const Address& whom) {
    if (rank.round == 0 || whom.endpoint.empty()) return;
    if (rank.same_tree(followed.tree.rank()) || rank <= followed.tree.rank()) return;
    if (now() < followed.sought_at + config_.digest_period / 4) return;
    followed.sought_at = now();
    followed.hints.push_back(whom);
    followed.seek = true;
    followed.place_wake->pulse();
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

Task<void> Followers::Impl::find_place(FollowedPtr followed) {
    auto& tree = followed->tree;
    tree.hold();
    auto begin = std::exchange(followed->hints, {});
    const auto others = co_await some_others(followed);
    begin.insert(begin.end(), others.begin(), others.end());
    for (std::size_t i = 0; i < 4 && !followed->known.empty(); ++i) {
        begin.push_back(followed->known[env_.rng.below(followed->known.size())]);
    }
    auto seen = co_await explore(followed, std::move(begin), kMostLooks);
    const bool has_place = tree.placed();
    std::erase_if(seen, [&](const Seen& one) {
        const auto& there = one.view.standing;
        return !tree.may_hang_below(one.address.id, there) || (has_place && there.rank.same_tree(tree.rank()));
    });
    std::ranges::stable_sort(seen, {}, [](const Seen& one) { return cost(one); });
    seen.resize(std::min(seen.size(), kMostHangs));
    for (const auto& one : seen) {
        const auto verdict = co_await hang(followed, one.address, one.rtt);
        if (followed->gone || verdict == Verdict::welcome) break;
    }
    if (tree.let_go()) followed->digest_wake->pulse();
    if (!tree.placed() && now() >= tree.patient_until()) {
        tree.become_top();
        followed->look_after = config_.digest_period / 2;
        followed->digest_wake->pulse();
    }
    const auto jitter = 0.5 + env_.rng.unit();
    followed->look_at = now() + std::chrono::duration_cast<Duration>(followed->look_after * jitter);
    if (tree.top()) followed->look_after = std::min<Duration>(followed->look_after * 2, config_.compare_period);
}

Task<std::vector<Address>> Followers::Impl::some_others(FollowedPtr followed) {
    std::vector<NodeId> known;
    if (followed->tree.parent()) known.push_back(followed->tree.parent()->address.id);
    for (const auto& [id, child] : followed->tree.children()) known.push_back(id);
    const auto found = co_await dolr_.locate_others(followed->object, std::move(known), now() + config_.locate_timeout);
    std::vector<Address> others;
    if (found) {
        for (const auto& location : *found) others.push_back(location.holder);
    }
    co_return others;
}

// From where we begin on to parents and children of what is near, until nothing better turns up.
Task<std::vector<Followers::Impl::Seen>> Followers::Impl::explore(FollowedPtr followed, std::vector<Address> begin,
                                                                  std::size_t most) {
    struct Candidate {
        Address address;
        Duration near{};  ///< how far from us its neighbour is that told of it
    };
    std::vector<Candidate> waiting;
    for (auto& address : begin) waiting.push_back({std::move(address), {}});
    std::set<NodeId> met{self()};
    for (const auto& [id, child] : followed->tree.children()) met.insert(id);
    for (const auto& [id, until] : followed->avoided) {
        if (now() < until) met.insert(id);
    }
    std::vector<Seen> all;
    double best = 0;
    for (std::size_t looks = 0; looks < most && !followed->gone;) {
        std::vector<Address> batch;
        std::ranges::stable_sort(waiting, {}, &Candidate::near);
        for (const auto& candidate : waiting) {
            if (batch.size() == kLooksAtOnce || looks == most) break;
            if (!met.insert(candidate.address.id).second) continue;
            batch.push_back(candidate.address);
            ++looks;
        }
        if (batch.empty()) break;
        std::erase_if(waiting, [&](const Candidate& candidate) { return met.contains(candidate.address.id); });
        std::vector<std::optional<Seen>> seen(batch.size());
        base::TaskGroup group{env_.executor};
        for (std::size_t i = 0; i < batch.size(); ++i) group.spawn(look_into(followed, batch[i], &seen[i]));
        co_await group.join();
        double better = best;
        for (auto& one : seen) {
            if (!one) continue;
            auto near = one->view.children;
            for (std::size_t i = near.size(); i > 1; --i) std::swap(near[i - 1], near[env_.rng.below(i)]);
            if (!one->view.standing.parent.id.is_zero()) near.insert(near.begin(), one->view.standing.parent);
            for (auto& address : near) waiting.push_back({std::move(address), one->rtt});
            const bool usable =
                followed->tree.eligible(one->address.id, one->view.standing) && has_room(*followed, *one);
            if (usable && (better == 0 || cost(*one) < better)) better = cost(*one);
            all.push_back(std::move(*one));
        }
        if (best > 0 && better > 0.95 * best) break;
        best = better;
    }
    co_return all;
}

Task<void> Followers::Impl::look_into(FollowedPtr followed, Address at, std::optional<Seen>* seen) {
    const auto began = now();
    auto message = encode(Look{followed->object, followed->tree.rank(), followed->newest.sequence, false});
    const auto answer = co_await call(at, std::move(message));
    auto view = answer ? decode_view(*answer) : Result<View>{answer.error()};
    if (!view) {
        std::erase_if(followed->known, [&](const Address& one) { return one.id == at.id; });
        co_return;
    }
    remember(*followed, at);
    *seen = Seen{std::move(at), std::move(*view), now() - began};
}

/// What was answered; nullopt: nothing. After `welcome` we hang there.
Task<std::optional<Verdict>> Followers::Impl::hang(FollowedPtr followed, Address to, Duration rtt) {
    auto& tree = followed->tree;
    auto message = encode(Hang{followed->object, tree.rank(), followed->newest.sequence,
                               static_cast<std::uint32_t>(tree.children().size())});
    const auto answer = co_await call(to, std::move(message));
    auto hung = answer ? decode_hung(*answer) : Result<Hung>{answer.error()};
    if (!hung) co_return std::nullopt;
    if (hung->verdict != Verdict::welcome) co_return hung->verdict;
    auto& standing = hung->view.standing;
    if (followed->gone || !tree.may_hang_below(to.id, standing)) {
        tell_left(*followed, to, {});
        co_return Verdict::not_higher;
    }
    const auto sequence = standing.sequence;
    const auto old = tree.parent() ? tree.parent()->address : Address{};
    tree.hang_below(now(), to, std::move(standing), rtt);
    if (!old.id.is_zero() && old.id != to.id) tell_left(*followed, old, to);
    followed->withheld = 0;
    followed->crowded = false;
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
    const double present = cost(*at);
    std::erase_if(seen, [&](const Seen& one) {
        const bool worth = followed->crowded ? one.address.id != parent.id : cost(one) < kGain * present;
        return !worth || !has_room(*followed, one) || !tree.eligible(one.address.id, one.view.standing);
    });
    const auto best = std::ranges::min_element(seen, {}, [](const Seen& one) { return cost(one); });
    if (best == seen.end()) co_return;
    if (co_await move(followed, *best)) ++counters_.moves;
}

Task<bool> Followers::Impl::move(FollowedPtr followed, Seen to) {
    auto& tree = followed->tree;
    tree.hold();
    auto verdict = co_await hang(followed, to.address, to.rtt);
    if (verdict == Verdict::not_higher && co_await next_round_begins(followed)) {
        verdict = co_await hang(followed, to.address, to.rtt);
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
