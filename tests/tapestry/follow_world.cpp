#include "follow_world.hpp"

#include <algorithm>
#include <numeric>

#include "base/codec.hpp"
#include "base/error.hpp"
#include "base/membership.hpp"
#include "base/sim/wide_area.hpp"
#include "pastry/oracle.hpp"

namespace tapestry::testing {

namespace {

constexpr std::uint8_t kGenuine = 1;

base::SharedBytes news(std::uint64_t sequence, std::uint8_t mark, std::size_t bytes) {
    base::Writer out;
    out.u64(sequence).u8(mark);
    auto body = out.take();
    body.resize(std::max(bytes, body.size()), 0xAB);
    return body;
}

}  // namespace

base::SharedBytes signed_news(std::uint64_t sequence, std::size_t bytes) { return news(sequence, kGenuine, bytes); }
base::SharedBytes forged_news(std::uint64_t sequence) { return news(sequence, 0, 100); }

base::Result<std::uint64_t> verify_news(const base::Guid& /*object*/, base::ByteView body) {
    base::Reader in{body};
    const auto sequence = in.u64();
    if (in.u8() != kGenuine || !in.ok()) return base::Errc::bad_signature;
    return sequence;
}

std::size_t in_cycles(const std::vector<std::optional<NodeIndex>>& parents) {
    std::size_t caught = 0;
    for (auto at : parents) {
        for (std::size_t steps = 0; at && steps <= parents.size(); ++steps) at = parents[*at];
        if (at) ++caught;
    }
    return caught;
}

FollowWorld::Machine::Machine(FollowWorld& owner, NodeIndex index, base::NodeEnv& env_in)
    : env{env_in},
      ring{env, {owner.world.node(index).address(), {}}, owner.options.ring},
      dolr{env,
           ring,
           {owner.world.node(index).key(), owner.world.node(index).certificate().salt, owner.world.network_id()},
           [](const base::NodeId&) { return true; },
           owner.options.dolr},
      followers{env, dolr, [&owner](const base::NodeId& node) { return owner.members(node); }, owner.options.followers},
      tasks{env.executor} {
    if (owner.built_) tasks.spawn(come_back(owner, index));
}

base::Task<void> FollowWorld::Machine::come_back(FollowWorld& owner, NodeIndex index) {
    for (;;) {
        std::vector<base::Address> through;
        while (through.size() < 4) {
            const auto other = static_cast<NodeIndex>(env.rng.below(owner.world.size()));
            if (other != index) through.push_back(owner.world.node(other).address());
        }
        const auto joined = co_await ring.join(std::move(through), env.clock.now() + 20s);
        if (joined) break;
        co_await env.clock.sleep_for(1s);
    }
    dolr.start();
    if (owner.follows_[index]) owner.follow_now(index);
}

FollowWorld::FollowWorld(std::uint64_t seed, std::size_t machines, FollowWorldOptions options_in, bool near)
    : world{seed}, options{std::move(options_in)}, object{world.rng().guid()} {
    if (!near) world.network().use_latency_matrix(base::sim::wide_area_latencies(seed, machines));
    world.add_nodes(machines);
    std::vector<pastry::Node*> nodes;
    for (NodeIndex i = 0; i < machines; ++i) {
        auto& machine = world.node(i);
        index_of_[machine.id()] = i;
        nodes.push_back(
            &machine.start([this, i](base::NodeEnv& env) { return std::make_unique<Machine>(*this, i, env); }).ring);
    }
    pastry::testing::build_directly(nodes, [this](std::size_t a, std::size_t b) {
        return 2 * world.network().latency(static_cast<NodeIndex>(a), static_cast<NodeIndex>(b));
    });
    for (NodeIndex i = 0; i < machines; ++i) dolr(i).start(true);
    built_ = true;
    world.run_for(2s);
}

void FollowWorld::follow(NodeIndex index) {
    follows_[index] = true;
    follow_now(index);
}

void FollowWorld::follow_now(NodeIndex index) {
    const auto on_news = [this, index](const News& news) { taken_[news.sequence].emplace(index, world.now()); };
    if (!followers(index).follow(object, &verify_news, on_news)) std::abort();
}

void FollowWorld::unfollow(NodeIndex index) {
    follows_[index] = false;
    followers(index).unfollow(object);
}

void FollowWorld::follow_all(std::size_t count, base::Duration span, base::Duration settle) {
    std::vector<NodeIndex> order(count);
    std::iota(order.begin(), order.end(), NodeIndex{0});
    for (std::size_t i = count; i > 1; --i) std::swap(order[i - 1], order[world.rng().below(i)]);
    for (const auto index : order) {
        follow(index);
        if (span > base::Duration{}) world.run_for(span / static_cast<std::int64_t>(count));
    }
    world.run_for(settle);
}

void FollowWorld::restart(NodeIndex index) {
    world.node(index).restart();
    world.run_until([&] { return followers(index).place(object).has_value(); }, 1min);
}

base::Result<void> FollowWorld::post(NodeIndex index, std::uint64_t sequence, std::size_t bytes) {
    News news{sequence, signed_news(sequence, bytes)};
    auto posted = world.node(index).run(followers(index).post(object, std::move(news), world.now() + 30s));
    if (!posted) return base::Errc::stopped;
    return *posted;
}

std::vector<NodeIndex> FollowWorld::following() {
    std::vector<NodeIndex> all;
    for (const auto& [index, follows] : follows_) {
        if (follows && live(index)) all.push_back(index);
    }
    return all;
}

std::optional<NodeIndex> FollowWorld::parent_of(NodeIndex index) {
    if (!live(index)) return {};
    const auto place = followers(index).place(object);
    if (!place || !place->parent) return {};
    return index_of_.at(*place->parent);
}

std::vector<NodeIndex> FollowWorld::tops() {
    std::vector<NodeIndex> all;
    for (const auto index : following()) {
        const auto place = followers(index).place(object);
        if (place && place->top) all.push_back(index);
    }
    return all;
}

void FollowWorld::watch(base::Duration every) {
    world.after(every, [this, every] {
        std::vector<std::optional<NodeIndex>> parents(world.size());
        for (const auto index : following()) parents[index] = parent_of(index);
        ++watched;
        if (in_cycles(parents) > 0) ++cycles;
        watch(every);
    });
}

std::map<NodeIndex, base::TimePoint> FollowWorld::taken(std::uint64_t sequence) const {
    const auto found = taken_.find(sequence);
    return found == taken_.end() ? std::map<NodeIndex, base::TimePoint>{} : found->second;
}

std::size_t FollowWorld::lacking(std::uint64_t sequence) {
    std::size_t count = 0;
    for (const auto index : following()) {
        const auto newest = followers(index).newest(object);
        if (!newest || newest->sequence < sequence) ++count;
    }
    return count;
}

}  // namespace tapestry::testing
