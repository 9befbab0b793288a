// Sequences of questions: iterative look-ups, join, and the search for a ring that we lost touch with.
//
// Routed messages go recursively, hop by hop; what an asker waits for goes iteratively, because then it is the asker
// who sees which node is silent, measures each hop, and needs no state on the way.
#include <algorithm>
#include <set>
#include <utility>

#include "base/error.hpp"
#include "codec.hpp"
#include "node_impl.hpp"
#include "pastry/error.hpp"

namespace pastry {
namespace {

constexpr base::Duration kPause = std::chrono::milliseconds{250};  // before everything is tried again
constexpr std::size_t kMaxSeeds = 64;

NodeHandle handle_of(base::Address address) { return {.address = std::move(address), .failure_domain = {}}; }

}  // namespace

// Asks node after node, each nearer to the key, until one answers that it is the root. A silent node is excluded and
// the next best one, of the last answer or an earlier one, asked in its place.
base::Task<base::Result<Node::Impl::Walk>> Node::Impl::walk(Lookup question, std::vector<NodeHandle> start,
                                                            base::TimePoint deadline) {
    Walk walk;
    base::Error last_error = Errc::no_route;
    std::set<base::NodeId> asked{self_.id()};
    std::ranges::reverse(start);  // the best last
    std::vector<NodeHandle> frontier{start};
    std::size_t excluded_before = question.exclude.size();
    while (walk.hops.size() < config_.max_hops && now() < deadline) {
        if (frontier.empty()) {
            // From the beginning, now that they can be told whom to leave out.
            if (question.exclude.size() == excluded_before) break;
            excluded_before = question.exclude.size();
            frontier = start;
            asked = {self_.id()};
            asked.insert(question.exclude.begin(), question.exclude.end());
        }
        const NodeHandle node = std::move(frontier.back());
        frontier.pop_back();
        if (!asked.insert(node.id()).second) continue;

        const auto begun = now();
        auto message = encode(question);
        auto answer = co_await env_.transport.request(node.address, std::move(message),
                                                      std::min(deadline, begun + config_.request_timeout));
        if (!answer) {
            last_error = answer.error();
            const bool silent = last_error == base::Errc::unreachable || last_error == base::Errc::timed_out;
            if (silent) perform(router_.suspect(now(), {node.id()}));
            if (question.exclude.size() < kMaxExcluded) question.exclude.push_back(node.id());
            continue;
        }
        auto reply = decode_lookup_reply(answer->header);
        if (!reply) {
            last_error = reply.error();
            continue;
        }
        walk.hops.push_back(
            {.node = node, .prefix_length = node.id().common_prefix(question.key), .rtt = now() - begun});
        walk.rows.insert(walk.rows.end(), reply->rows.begin(), reply->rows.end());
        question.first_row = static_cast<std::uint32_t>(
            std::max<std::size_t>(question.first_row, node.id().common_prefix(question.key)));
        if (reply->root) {
            walk.root = std::move(*reply);
            co_return walk;
        }
        frontier.insert(frontier.end(), reply->next.rbegin(), reply->next.rend());
    }
    if (now() >= deadline) co_return base::Errc::timed_out;
    co_return last_error;
}

// The root may be in doubt for a while (it died, or is joining): asked again until the deadline.
base::Task<base::Result<Node::Impl::Walk>> Node::Impl::find_root(base::Guid key, std::size_t count,
                                                                 base::TimePoint deadline) {
    const auto wanted = static_cast<std::uint32_t>(std::min(count, kMaxReplicas));
    for (;;) {
        if (stopped_) co_return base::Errc::stopped;
        const Lookup here{.key = key, .count = wanted};
        base::Error error = Errc::not_active;
        auto local = router_.answer(here);
        if (local && local->root && (wanted == 0 || !local->replicas.empty())) {
            Walk walk;
            walk.root = std::move(*local);
            walk.hops.push_back({.node = self_, .prefix_length = self_.id().common_prefix(key)});
            co_return walk;
        }
        if (visits_ || (local && !local->root)) {
            Lookup question{.key = key, .count = wanted};
            auto start = visits_ ? members_to_ask() : std::move(local->next);
            auto found = co_await walk(std::move(question), std::move(start), deadline);
            if (found && visits_) remember_met(*found);
            if (found && (wanted == 0 || !found->root.replicas.empty())) co_return found;
            if (!found) error = found.error();
        } else if (!local) {
            error = local.error();
        }
        if (now() + kPause >= deadline) {
            if (error == Errc::not_active) co_return error;
            co_return base::Errc::timed_out;
        }
        co_await env_.clock.sleep_for(kPause);
    }
}

base::Task<base::Result<base::Duration>> Node::Impl::ping(NodeHandle node, base::TimePoint deadline) {
    const auto begun = now();
    auto message = encode_ping();
    BASE_CO_CHECK(co_await env_.transport.request(node.address, std::move(message), deadline));
    co_return now() - begun;
}

// ---- join

base::Task<base::Result<void>> Node::Impl::join(std::vector<base::Address> seeds, base::TimePoint deadline,
                                                IfAllWait if_all) {
    std::erase_if(seeds, [&](const auto& seed) { return seed.id == self_.id() || seed.endpoint.empty(); });
    remember_seeds(seeds);
    base::Error last_error = Errc::join_failed;
    auto pause = kPause;
    for (;;) {
        std::vector<base::NodeId> waiting;  // seeds that are up and not part of a ring either
        const auto present = seeds_;        // more may be named meanwhile
        for (const auto& seed : present) {
            if (router_.active()) break;
            auto handle = handle_of(seed);
            auto entered = co_await enter_through(std::move(handle), deadline);
            if (entered) break;
            last_error = entered.error();
            if (last_error == Errc::not_active) waiting.push_back(seed.id);
        }
        if (router_.active()) {
            rearm_merge(config_.heartbeat_interval);
            co_return base::ok();
        }
        const bool first = std::ranges::all_of(waiting, [&](const auto& id) { return self_.id() < id; });
        if (if_all == IfAllWait::found && !waiting.empty() && first && router_.phase() == Router::Phase::idle) {
            found();
            co_return base::ok();
        }
        if (now() + pause >= deadline || stopped_) break;
        co_await env_.clock.sleep_for(pause);
        pause = std::min(2 * pause, config_.request_timeout);
    }
    co_return base::Error{Errc::join_failed, last_error.message()};
}

// Pastry, section 2.4: routing tables from the nodes on the way to our own key, the leaf set from the root.
base::Task<base::Result<void>> Node::Impl::enter_through(NodeHandle seed, base::TimePoint deadline) {
    Lookup question{.key = self_.id(), .join = true};
    question.exclude.push_back(self_.id());  // they may still remember an earlier life of ours
    std::vector<NodeHandle> start;
    start.push_back(std::move(seed));
    BASE_CO_TRY(auto walk, co_await this->walk(std::move(question), std::move(start), deadline));
    std::vector<NodeHandle> near{std::move(walk.root.leaf_set)};
    near.push_back(walk.hops.back().node);
    for (const auto& hop : walk.hops) walk.rows.push_back(hop.node);
    perform(router_.join(now(), near, walk.rows));
    // Every member of the leaf set may need all its probes, twice over, and the ends a few rounds more.
    const auto patience = 3 * config_.probe_timeout * (config_.probe_retries + 2);
    const bool entered = co_await wait_until_active(std::min(deadline, now() + patience));
    if (!entered) co_return Errc::join_failed;
    co_return base::ok();
}

base::Task<bool> Node::Impl::wait_until_active(base::TimePoint deadline) {
    const auto timer = env_.clock.schedule(deadline, [weak = std::weak_ptr{alive_}] {
        if (const auto alive = weak.lock()) (*alive)->phase_changed_.pulse();
    });
    while (router_.phase() == Router::Phase::joining && now() < deadline) co_await phase_changed_.wait();
    env_.clock.cancel(timer);
    co_return router_.active();
}

// ---- a ring that we lost touch with

void Node::Impl::remember_seeds(const std::vector<base::Address>& seeds) {
    for (const auto& seed : seeds) {
        if (seeds_.size() < kMaxSeeds && std::ranges::find(seeds_, seed) == seeds_.end()) seeds_.push_back(seed);
    }
}

void Node::Impl::contact(base::Address member) {
    if (stopped_ || member.id == self_.id() || member.endpoint.empty()) return;
    std::erase_if(seeds_, [&](const auto& seed) { return seed.id == member.id; });
    seeds_.insert(seeds_.begin(), member);
    if (seeds_.size() > kMaxSeeds) seeds_.pop_back();
    if (router_.active()) tasks_.spawn(merge_through(handle_of(std::move(member))));
}

void Node::Impl::visit(const std::vector<base::Address>& members) {
    visits_ = true;
    remember_seeds(members);
}

std::vector<NodeHandle> Node::Impl::members_to_ask() const {
    std::vector<NodeHandle> members;
    for (const auto& seed : seeds_) members.push_back(handle_of(seed));
    return members;
}

/// Who answered comes first the next time, and who is named by it is asked where all others are silent.
void Node::Impl::remember_met(const Walk& walk) {
    std::vector<NodeHandle> met;
    for (const auto& hop : walk.hops) met.push_back(hop.node);
    met.insert(met.end(), walk.root.replicas.begin(), walk.root.replicas.end());
    for (auto node = met.rbegin(); node != met.rend(); ++node) {
        if (node->id() == self_.id()) continue;
        std::erase_if(seeds_, [&](const auto& seed) { return seed.id == node->id(); });
        seeds_.insert(seeds_.begin(), node->address);
    }
    if (seeds_.size() > kMaxSeeds) seeds_.resize(kMaxSeeds);
}

std::vector<NodeHandle> Node::Impl::known_peers(std::size_t limit) const {
    if (visits_) return members_to_ask();
    auto peers = router_.leaves().members();
    router_.table().for_each(0, [&](const RoutingTable::Entry& entry) {
        const bool twice = std::ranges::any_of(peers, [&](const auto& p) { return p.id() == entry.node.id(); });
        if (!twice && peers.size() < limit) peers.push_back(entry.node);
    });
    if (peers.size() > limit) peers.resize(limit);
    return peers;
}

void Node::Impl::rearm_merge(base::Duration pause) {
    if (seeds_.empty() || stopped_) return;
    if (merge_timer_ != 0) env_.clock.cancel(merge_timer_);
    merge_pause_ = pause;
    const auto jitter = base::Duration{static_cast<std::int64_t>(env_.rng.below(1024)) * (pause.count() / 2048)};
    merge_timer_ = env_.clock.schedule(now() + pause * 3 / 4 + jitter, [this] { look_for_lost_ring(); });
}

// FreePastry's answer to partitions: join to our own key through somebody remembered from before. If the answer comes
// from nodes that we do not know, two rings meet there, and their leaf sets grow together.
void Node::Impl::look_for_lost_ring() {
    merge_timer_ = 0;
    if (router_.active() && tasks_.running() == 0) {
        for (std::size_t tried = 0; tried < seeds_.size(); ++tried) {
            const auto& seed = seeds_[merge_turn_++ % seeds_.size()];
            if (router_.leaves().contains(seed.id)) continue;  // in touch
            tasks_.spawn(merge_through(handle_of(seed)));
            break;
        }
    }
    rearm_merge(std::min(2 * merge_pause_, config_.merge_interval));
}

base::Task<void> Node::Impl::merge_through(NodeHandle peer) {
    Lookup question{.key = self_.id(), .join = true};
    question.exclude.push_back(self_.id());
    std::vector<NodeHandle> start;
    start.push_back(std::move(peer));
    const auto deadline = now() + 4 * config_.request_timeout;
    auto met = co_await walk(std::move(question), std::move(start), deadline);
    if (!met) co_return;
    std::vector<NodeHandle> near{std::move(met->root.leaf_set)};
    near.push_back(met->hops.back().node);
    perform(router_.learn(now(), near));
}

}  // namespace pastry
