#include "base/sim/harm.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/sim/world.hpp"

namespace base::sim {

namespace {

/// Exponential with this mean, at most ten times it.
Duration some_time(World& world, Duration mean) {
    const double share = std::min(10.0, -std::log(1.0 - world.rng().unit()));
    return Duration{std::max<std::int64_t>(1, std::llround(share * static_cast<double>(mean.count())))};
}

std::vector<NodeIndex> victims(World& world) {
    std::vector<NodeIndex> nodes;
    for (NodeIndex i = 0; i < world.size(); ++i) {
        if (world.node(i).running() && !world.node(i).paused()) nodes.push_back(i);
    }
    return nodes;
}

std::optional<NodeIndex> some_victim(World& world, std::size_t leave_at_least) {
    const auto nodes = victims(world);
    if (nodes.size() <= leave_at_least) return std::nullopt;
    return nodes[world.rng().below(nodes.size())];
}

void restart_later(World& world, NodeIndex node, Duration delay) {
    world.after(delay, [&world, node] {
        if (!world.node(node).up()) world.node(node).restart();
    });
}

/// A random subset: often one, seldom more than half.
std::vector<NodeIndex> some_nodes(World& world) {
    auto nodes = victims(world);
    if (nodes.empty()) return nodes;
    const auto most = std::max<std::size_t>(1, nodes.size() / 2);
    const auto count = world.rng().below(2) == 0 ? 1 : 1 + world.rng().below(most);
    for (std::size_t i = 0; i < count; ++i) std::swap(nodes[i], nodes[i + world.rng().below(nodes.size() - i)]);
    nodes.resize(count);
    return nodes;
}

void shuffle(World& world, std::vector<NodeIndex>& nodes) {
    for (std::size_t i = nodes.size(); i > 1; --i) std::swap(nodes[i - 1], nodes[world.rng().below(i)]);
}

}  // namespace

Task<void> inflict(World& world, Kill harm) {
    for (;;) {
        co_await world.env().clock.sleep_for(some_time(world, harm.every));
        const auto node = some_victim(world, harm.leave_at_least);
        if (!node) continue;
        world.node(*node).kill();
        world.count_harm("kill");
        restart_later(world, *node, some_time(world, harm.down_for));
    }
}

Task<void> inflict(World& world, PowerOff harm) {
    for (;;) {
        co_await world.env().clock.sleep_for(some_time(world, harm.every));
        const auto node = some_victim(world, harm.leave_at_least);
        if (!node) continue;
        const auto loss = kPowerLosses[world.rng().below(kPowerLosses.size())];
        world.node(*node).power_off(loss);
        world.count_harm("power-off");
        restart_later(world, *node, some_time(world, harm.down_for));
    }
}

Task<void> inflict(World& world, Partition harm) {
    for (;;) {
        co_await world.env().clock.sleep_for(some_time(world, harm.every));
        const auto smaller = some_nodes(world);
        if (smaller.empty()) continue;
        world.count_harm(harm.one_way ? "one-way partition" : "partition");
        if (harm.one_way) {
            for (const NodeIndex from : smaller) {
                for (NodeIndex to = 0; to < world.size(); ++to) {
                    if (std::find(smaller.begin(), smaller.end(), to) == smaller.end()) {
                        world.network().cut_one_way(from, to);
                    }
                }
            }
        } else {
            world.network().partition({smaller});
        }
        co_await world.env().clock.sleep_for(some_time(world, harm.lasts));
        if (!harm.one_way) {
            world.network().heal_partition();
            continue;
        }
        for (const NodeIndex from : smaller) {
            for (NodeIndex to = 0; to < world.size(); ++to) world.network().mend(from, to);
        }
    }
}

Task<void> inflict(World& world, Loss harm) {
    world.network().set_loss(harm.share);
    world.network().set_duplication(harm.duplicated);
    world.network().set_reordering(harm.reordered, std::chrono::seconds{1});
    world.count_harm("loss");
    co_return;
}

Task<void> inflict(World& world, SwizzleClog harm) {
    for (;;) {
        co_await world.env().clock.sleep_for(some_time(world, harm.every));
        auto nodes = some_nodes(world);
        if (nodes.empty()) continue;
        world.count_harm("swizzle-clog");
        const Duration pause = harm.lasts / static_cast<std::int64_t>(nodes.size());
        for (const NodeIndex node : nodes) {
            world.network().clog_node(node);
            co_await world.env().clock.sleep_for(some_time(world, pause));
        }
        shuffle(world, nodes);
        for (const NodeIndex node : nodes) {
            world.network().unclog_node(node);
            co_await world.env().clock.sleep_for(some_time(world, pause));
        }
    }
}

Task<void> inflict(World& world, SlowNode harm) {
    for (;;) {
        co_await world.env().clock.sleep_for(some_time(world, harm.every));
        const auto victim = some_victim(world, 0);
        if (!victim) continue;
        auto& node = world.node(*victim);
        if (harm.slowness > 0) {
            world.count_harm("slow node");
            node.set_slowness(harm.slowness);
        } else {
            world.count_harm("stopped node");
            node.pause();
        }
        co_await world.env().clock.sleep_for(some_time(world, harm.lasts));
        node.set_slowness(1);
        node.resume();
    }
}

Task<void> inflict(World& world, Flap harm) {
    const auto victim = some_victim(world, 0);
    if (!victim) co_return;
    for (;;) {
        co_await world.env().clock.sleep_for(harm.period / 2);
        if (world.node(*victim).up()) {
            world.node(*victim).kill();
            world.count_harm("flap");
        }
        co_await world.env().clock.sleep_for(harm.period / 2);
        if (!world.node(*victim).up()) world.node(*victim).restart();
    }
}

Task<void> inflict(World& world, ClockSteps harm) {
    for (;;) {
        co_await world.env().clock.sleep_for(some_time(world, harm.every));
        const auto victim = some_victim(world, 0);
        if (!victim) continue;
        const double share = world.rng().unit() * 2 - 1;
        world.node(*victim).step_wall_clock(Duration{std::llround(share * static_cast<double>(harm.most.count()))});
        world.count_harm("clock step");
    }
}

}  // namespace base::sim
