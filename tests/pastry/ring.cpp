#include "ring.hpp"

#include <algorithm>
#include <set>

#include "base/codec.hpp"

namespace pastry::testing {
namespace {

NodeHandle handle_of(base::sim::Node& machine) {
    return {.address = machine.address(), .failure_domain = machine.certificate().failure_domain};
}

}  // namespace

Member::Member(Ring& ring, NodeIndex index, base::NodeEnv& env, const Config& config)
    : node{env, handle_of(ring.world.node(index)), config}, ring_{ring}, index_{index} {
    node.attach(base::Service::past, this);
}

void Member::deliver(const base::Guid& key, const NodeHandle& /*origin*/, base::Message message, unsigned hops) {
    ring_.delivered(index_, key, message, hops);
}

void Member::update(const NodeHandle& other, bool joined) { heard_of[other.id()] = joined; }

Ring::Ring(std::uint64_t seed, Config config, base::sim::WorldOptions options)
    : world{seed, std::move(options)}, config_{config} {}

void Ring::add(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
        auto& machine = world.add_node();
        machine.start([this, index = machine.index()](base::NodeEnv& env) {
            return std::make_unique<Member>(*this, index, env, config_);
        });
    }
}

void Ring::add_directly(std::size_t count) {
    add(count);
    std::vector<Node*> nodes;
    for (NodeIndex i = 0; i < size(); ++i) nodes.push_back(&node(i));
    build_directly(nodes, [this](std::size_t a, std::size_t b) {
        return 2 * world.network().latency(static_cast<NodeIndex>(a), static_cast<NodeIndex>(b));
    });
}

base::Result<void> Ring::join_one(NodeIndex index, std::vector<base::Address> seeds, base::Duration within) {
    auto result = world.node(index).run(node(index).join(std::move(seeds), world.now() + within));
    if (!result) return base::Error{base::Errc::stopped};
    return *result;
}

bool Ring::join(std::size_t count, std::size_t at_once) {
    bool all = true;
    if (size() == 0) {
        add(1);
        node(0).found();
        --count;
    }
    while (count > 0) {
        const auto batch = std::min(count, at_once);
        const auto seeds = live_nodes();
        const auto first = static_cast<NodeIndex>(size());
        add(batch);
        for (NodeIndex i = first; i < size(); ++i) {
            std::vector<base::Address> through{world.node(seeds[world.rng().below(seeds.size())]).address()};
            auto joining = [](Node& joiner, std::vector<base::Address> by, base::TimePoint until) -> base::Task<void> {
                (void)co_await joiner.join(std::move(by), until);
            };
            world.node(i).spawn(joining(node(i), std::move(through), world.now() + std::chrono::minutes{5}));
        }
        all = world.run_until(
                  [&] {
                      for (NodeIndex i = first; i < size(); ++i) {
                          if (!node(i).active()) return false;
                      }
                      return true;
                  },
                  std::chrono::minutes{5}) &&
              all;
        count -= batch;
    }
    return all;
}

std::vector<NodeIndex> Ring::live_nodes() {
    std::vector<NodeIndex> out;
    for (NodeIndex i = 0; i < size(); ++i) {
        if (live(i)) out.push_back(i);
    }
    return out;
}

NodeIndex Ring::random_live() {
    for (;;) {
        const auto index = static_cast<NodeIndex>(world.rng().below(size()));
        if (live(index)) return index;
    }
}

void Ring::power_off(double share) {
    auto wanted = static_cast<std::size_t>(share * static_cast<double>(live_nodes().size()));
    for (; wanted > 0; --wanted) world.node(random_live()).power_off();
}

std::uint64_t Ring::send(NodeIndex from, const base::Guid& key) {
    const auto number = next_number_++;
    ++sent_;
    sent_at_[number] = world.now();
    base::Writer writer;
    writer.u64(number);
    node(from).route(key, base::Message{base::Service::past, 200, writer.take()});
    return number;
}

void Ring::send_many(std::size_t count, base::Duration span) {
    for (std::size_t i = 0; i < count; ++i) {
        world.after(span * static_cast<std::int64_t>(i) / static_cast<std::int64_t>(count), [this] {
            auto from = random_live();
            for (int tries = 0; tries < 1000 && !node(from).active(); ++tries) from = random_live();
            if (node(from).active()) send(from, world.rng().guid());
        });
    }
    world.run_for(span);
}

void Ring::delivered(NodeIndex at, const base::Guid& key, const base::Message& message, unsigned hops) {
    base::Reader reader{message.header};
    const auto number = reader.u64();
    const auto root = true_root(key, at);
    deliveries_.push_back({.number = number,
                           .key = key,
                           .at = at,
                           .hops = hops,
                           .took = world.now() - sent_at_[number],
                           .consistent = root == at});
}

void Ring::forget_deliveries() {
    deliveries_.clear();
    sent_at_.clear();
    sent_ = 0;
}

Ring::Tally Ring::tally() const {
    Tally tally{.sent = sent_};
    std::set<std::uint64_t> numbers;
    for (const auto& each : deliveries_) {
        if (!numbers.insert(each.number).second) ++tally.twice;
        if (!each.consistent) ++tally.inconsistent;
        tally.mean_hops += each.hops;
        tally.most_hops = std::max(tally.most_hops, each.hops);
    }
    tally.arrived = numbers.size();
    if (!deliveries_.empty()) tally.mean_hops /= static_cast<double>(deliveries_.size());
    return tally;
}

std::optional<NodeIndex> Ring::true_root(const base::Guid& key, std::optional<NodeIndex> from) {
    std::optional<NodeIndex> best;
    for (NodeIndex i = 0; i < size(); ++i) {
        if (!live(i) || world.node(i).paused() || !node(i).active()) continue;
        if (from && *from != i && !world.network().connected(*from, i)) continue;
        if (!best || base::closer(key, world.node(i).id(), world.node(*best).id())) best = i;
    }
    return best;
}

std::size_t Ring::wrong_leaf_sets() { return wrong_leaf_sets_among(live_nodes()); }

std::size_t Ring::wrong_leaf_sets_among(const std::vector<NodeIndex>& nodes) {
    std::vector<base::NodeId> ids;
    for (const auto index : nodes) ids.push_back(world.node(index).id());
    std::ranges::sort(ids);
    std::size_t wrong = 0;
    for (const auto index : nodes) {
        const auto self = std::ranges::lower_bound(ids, world.node(index).id()) - ids.begin();
        const auto count = static_cast<std::ptrdiff_t>(ids.size());
        std::set<base::NodeId> expected;
        const auto reach = std::min<std::ptrdiff_t>(static_cast<std::ptrdiff_t>(config_.leaf_set_per_side), count - 1);
        for (std::ptrdiff_t step = 1; step <= reach; ++step) {
            expected.insert(ids[static_cast<std::size_t>((self + step) % count)]);
            expected.insert(ids[static_cast<std::size_t>((self + count - step) % count)]);
        }
        std::set<base::NodeId> actual;
        for (const auto& neighbour : node(index).neighbours()) actual.insert(neighbour.id());
        if (actual != expected) ++wrong;
    }
    return wrong;
}

std::uint64_t Ring::notices_sent() {
    std::uint64_t sum = 0;
    for (const auto index : live_nodes()) sum += node(index).status().sent;
    return sum;
}

}  // namespace pastry::testing
