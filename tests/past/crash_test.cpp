// One machine of a cluster dies at every write, sync and rename of what it does for others: a put, a delete, a copy
// that repair sends, blocks that it lets go. Afterwards it comes back, and the cluster has kept every word.
#include <fmt/format.h>

#include "cluster.hpp"
#include "owner.hpp"

namespace past::test {
namespace {

constexpr std::uint64_t kBlocks = 4;  // numbers 1 to 4, all at one place
constexpr std::size_t kDiverts = 3;   // the peer that is nearest to it

const base::Guid kGroup = group_of(1);

/// What is done while the machine may die, and by whom it is done; its promises are kept here, outside the cluster.
struct Story {
    std::function<void(std::size_t index, PeerProcess::Options&)> adjust;
    std::function<void(Cluster&)> prepare;
    std::function<std::size_t(Cluster&)> victim;
    std::function<void(Cluster&)> work;
    std::function<std::string(Cluster&)> check;  ///< "" = well, once everybody is back and all copies are made
};

struct Crash {
    std::uint64_t boundary = 0;
    sim::CrashSide side = sim::CrashSide::before;
    std::optional<sim::PowerLoss> loss;
};

ClusterOptions crash_options() {
    ClusterOptions options;
    options.repair_after = 5s;
    options.reclaim_grace = 5s;
    options.peer.config.check_period = 5s;
    options.peer.config.recheck_period = 1s;
    options.peer.config.quiet_period = 1s;
    options.peer.config.patience = 2s;
    options.peer.config.discard_grace = 3s;
    options.peer.config.review_period = 3s;
    options.peer.config.diverted_forgiveness = 3s;
    options.peer.config.keep_surplus = 0s;
    return options;
}

bool all_copies(Cluster& cluster) {
    for (std::uint64_t number = 1; number <= kBlocks; ++number) {
        if (cluster.copies(number) != 0 && cluster.copies(number) != 3) return false;
    }
    const auto sum = cluster.total();
    return cluster.whole() && sum.blocks_to_hand_over + sum.blocks_surplus == 0;
}

std::size_t index_of(Cluster& cluster, const pastry::NodeHandle& node) {
    for (std::size_t i = 0; i < cluster.nodes.size(); ++i) {
        if (cluster.handle(i).id() == node.id()) return i;
    }
    return cluster.nodes.size();
}

/// Of those alive, the one at this rank by distance from the group.
std::size_t nearest(Cluster& cluster, std::size_t rank) {
    return index_of(cluster, cluster.ring.nearest(kGroup, rank + 1)[rank]);
}

/// "" if all is well; `boundaries` of the victim's disk in this run.
std::string live_through(const Story& story, std::optional<Crash> crash, std::uint64_t& boundaries, bool& crashed) {
    sim::World world{1};
    auto options = crash_options();
    options.adjust = story.adjust;
    Cluster cluster{world, std::move(options)};
    story.prepare(cluster);
    const auto index = story.victim(cluster);
    auto& victim = cluster.machine(index);
    const auto begun = victim.disk().boundaries();
    if (crash) victim.crash_on_disk(begun + crash->boundary, crash->side, crash->loss);
    cluster.follow_deaths();
    story.work(cluster);
    boundaries = victim.disk().boundaries() - begun;
    crashed = victim.disk().crashed();
    world.run_for(12s);  // longer than repair_after: others have begun to do without it
    if (!victim.up()) victim.restart();
    victim.disk().cancel_crash();
    world.run_for(5s);
    if (!cluster.peer(index).failure.empty()) return "does not start: " + cluster.peer(index).failure;
    if (!world.run_until([&] { return all_copies(cluster); }, 30min)) {
        std::string state = "never comes to rest: copies";
        for (std::uint64_t number = 1; number <= kBlocks; ++number) state += fmt::format(" {}", cluster.copies(number));
        const auto sum = cluster.total();
        return state + fmt::format("; {} short, {} unchecked, {} to send, {} to hand over, {} diverted, {} for others",
                                   sum.blocks_short, sum.blocks_unchecked, sum.backlog_blocks, sum.blocks_to_hand_over,
                                   sum.blocks_diverted, sum.blocks_for_others);
    }
    world.run_for(1min);
    auto wrong = story.check(cluster);
    world.run_for(10s);
    return wrong;
}

std::string readable(Cluster& cluster, std::uint64_t number) {
    if (cluster.copies(number) != 3) {
        return fmt::format("block {} has {} copies; ", number, cluster.copies(number));
    }
    for (std::size_t i = 0; i < cluster.nodes.size(); ++i) {
        if (!cluster.machine(i).running()) continue;
        const auto bytes = cluster.machine(i).run(cluster.node(i).get(kGroup, make_block(number).id, cluster.in(30s)));
        if (!*bytes) return fmt::format("node {} does not get block {}; ", i, number);
    }
    return {};
}

void crash_everywhere(const Story& story, std::uint64_t least_boundaries) {
    std::uint64_t boundaries = 0;
    bool crashed = false;
    ASSERT_EQ(live_through(story, std::nullopt, boundaries, crashed), "") << "without any crash";
    EXPECT_GE(boundaries, least_boundaries) << "the story became too small to mean anything";
    std::uint64_t crashes = 0;
    for (std::uint64_t boundary = 1; boundary <= boundaries; ++boundary) {
        for (const auto side : sim::kCrashSides) {
            for (const std::optional<sim::PowerLoss> loss :
                 {std::optional<sim::PowerLoss>{}, std::optional{sim::PowerLoss::lost},
                  std::optional{sim::PowerLoss::torn}, std::optional{sim::PowerLoss::reordered}}) {
                std::uint64_t of_this_run = 0;
                const auto wrong = live_through(story, Crash{boundary, side, loss}, of_this_run, crashed);
                crashes += crashed ? 1 : 0;
                EXPECT_EQ(wrong, "") << "boundary " << boundary << ", " << to_string(side) << ", "
                                     << (loss ? to_string(*loss) : "killed");
            }
        }
    }
    EXPECT_GE(crashes, boundaries * sim::kCrashSides.size() * 4) << "every boundary is met";
    ::testing::Test::RecordProperty("crashes", static_cast<int>(crashes));
}

void put_all(Cluster& cluster) {
    std::vector<Block> blocks;
    for (std::uint64_t number = 1; number <= kBlocks; ++number) blocks.push_back(make_block(number));
    ASSERT_TRUE(cluster.put(nearest(cluster, 4), kGroup, std::move(blocks), Wait::full));
    ASSERT_TRUE(cluster.world.run_until([&] { return cluster.whole(); }, 2min));
}

TEST(CrashPoints, OfAHolderThatTakesAPut) {
    std::set<std::uint64_t> acknowledged;
    Story story;
    story.prepare = [&](Cluster&) { acknowledged.clear(); };
    story.victim = [](Cluster& cluster) { return nearest(cluster, 0); };
    story.work = [&](Cluster& cluster) {
        for (std::uint64_t number = 1; number <= kBlocks; ++number) {
            if (cluster.put(nearest(cluster, 4), kGroup, {make_block(number)}, Wait::majority)) {
                acknowledged.insert(number);
            }
        }
    };
    story.check = [&](Cluster& cluster) {
        std::string wrong;
        for (const auto number : acknowledged) wrong += readable(cluster, number);
        if (acknowledged.size() != kBlocks) wrong += "one death of three holders refused a put; ";
        return wrong;
    };
    crash_everywhere(story, 6);
}

/// What the nearest holder has no room for, a neighbour keeps: either may die.
Story diverted_put(std::set<std::uint64_t>& acknowledged) {
    Story story;
    story.adjust = [](std::size_t index, PeerProcess::Options& peer) {
        if (index == kDiverts) peer.config.divert_primary = -1.0;
    };
    story.prepare = [&acknowledged](Cluster& cluster) {
        acknowledged.clear();
        ASSERT_EQ(nearest(cluster, 0), kDiverts) << "another seed, another nearest: set kDiverts";
    };
    story.work = [&acknowledged](Cluster& cluster) {
        for (std::uint64_t number = 1; number <= kBlocks; ++number) {
            if (cluster.put(nearest(cluster, 3), kGroup, {make_block(number)}, Wait::majority)) {
                acknowledged.insert(number);
            }
        }
    };
    story.check = [&acknowledged](Cluster& cluster) {
        std::string wrong;
        for (const auto number : acknowledged) wrong += readable(cluster, number);
        if (acknowledged.size() != kBlocks) wrong += "one death of three holders refused a put; ";
        const auto sum = cluster.total();
        if (sum.blocks_diverted != sum.blocks_for_others) {
            wrong += fmt::format("{} diverted, {} kept for others; ", sum.blocks_diverted, sum.blocks_for_others);
        }
        return wrong;
    };
    return story;
}

TEST(CrashPoints, OfAHolderThatDivertsAPut) {
    std::set<std::uint64_t> acknowledged;
    auto story = diverted_put(acknowledged);
    story.victim = [](Cluster&) { return kDiverts; };
    crash_everywhere(story, 6);
}

TEST(CrashPoints, OfANodeThatKeepsWhatAnotherDiverts) {
    std::set<std::uint64_t> acknowledged;
    auto story = diverted_put(acknowledged);
    // Five peers, three holders: of the two others one keeps the first block.
    story.victim = [](Cluster& cluster) { return nearest(cluster, 4); };
    crash_everywhere(story, 8);
}

TEST(CrashPoints, OfANodeThatIsSentCopiesByRepair) {
    Story story;
    story.prepare = [](Cluster& cluster) { put_all(cluster); };
    story.victim = [](Cluster& cluster) { return nearest(cluster, 3); };
    story.work = [](Cluster& cluster) {
        cluster.kill(nearest(cluster, 2));  // for good: the fourth becomes the third
        cluster.world.run_for(20s);
    };
    story.check = [](Cluster& cluster) {
        std::string wrong;
        for (std::uint64_t number = 1; number <= kBlocks; ++number) {
            wrong += readable(cluster, number);
            for (const auto holder : cluster.holders_of(number)) {
                const auto tags = cluster.peer(holder).store->tags(make_block(number).id);
                if (tags != std::vector<Tag>{test_tag()}) wrong += "a copy lost its tag; ";
            }
        }
        return wrong;
    };
    crash_everywhere(story, 4);
}

TEST(CrashPoints, OfAHolderThatLetsGo) {
    Story story;
    story.prepare = [](Cluster& cluster) {
        put_all(cluster);
        cluster.world.run_for(10s);
    };
    story.victim = [](Cluster& cluster) { return nearest(cluster, 2); };
    story.work = [](Cluster& cluster) {
        const auto before = nearest(cluster, 2);
        while (nearest(cluster, 2) == before) cluster.add_peer();  // until one is nearer
        cluster.world.run_for(30s);
    };
    story.check = [](Cluster& cluster) {
        std::string wrong;
        for (std::uint64_t number = 1; number <= kBlocks; ++number) wrong += readable(cluster, number);
        return wrong;
    };
    crash_everywhere(story, 1);
}

TEST(CrashPoints, OfAHolderThatDeletes) {
    const Owner owner;
    bool removed = false;
    Story story;
    story.prepare = [&](Cluster& cluster) {
        removed = false;
        for (std::uint64_t number = 1; number <= kBlocks; ++number) {
            auto outcome = cluster.machine(0).run(cluster.node(0).put(
                kGroup, owner.tag(number <= 2 ? 5 : 6), {make_block(number)}, Wait::full, cluster.in(30s)));
            ASSERT_TRUE(*outcome);
        }
        ASSERT_TRUE(cluster.world.run_until([&] { return cluster.whole(); }, 2min));
    };
    story.victim = [](Cluster& cluster) { return nearest(cluster, 1); };
    story.work = [&](Cluster& cluster) {
        std::vector<base::Guid> ids;
        for (std::uint64_t number = 1; number <= kBlocks; ++number) ids.push_back(make_block(number).id);
        const auto from = nearest(cluster, 4);
        const auto done = cluster.machine(from).run(
            cluster.node(from).remove(owner.reclaim(kGroup, 5, std::move(ids)), cluster.in(30s)));
        removed = done->has_value();
        cluster.world.run_for(30s);  // the grace, and the deed
    };
    story.check = [&](Cluster& cluster) {
        std::string wrong;
        if (!removed) wrong += "one death of three holders refused a delete; ";
        for (std::uint64_t number = 1; number <= 2; ++number) {
            if (cluster.copies(number) != 0) wrong += fmt::format("deleted block {} is there; ", number);
        }
        for (std::uint64_t number = 3; number <= kBlocks; ++number) wrong += readable(cluster, number);
        return wrong;
    };
    crash_everywhere(story, 6);
}

}  // namespace
}  // namespace past::test
