// Policy and roster reach every member, whatever the network does, and nobody goes back.
#include "base/membership_service.hpp"

#include "base/codec.hpp"
#include "base/sim/testing.hpp"

namespace base {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kMembers = 12;
constexpr std::int64_t kNow = 1'700'000'000'000'000'000;

/// A member without a ring: it gossips with three others by number.
struct Member {
    Member(NodeEnv& env, NetworkDirectory directory_in, std::vector<Address> others)
        : directory{std::move(directory_in)},
          service{env, directory, [others = std::move(others)] { return others; }, {}} {}
    NetworkDirectory directory;
    MembershipService service;
};

/// A member that says ten times a second that it has later versions than anybody, and never shows them.
struct Boaster {
    Boaster(NodeEnv& env_in, std::vector<Address> others_in)
        : env{env_in}, others{std::move(others_in)}, tasks{env.executor} {
        env.transport.serve(
            Service::membership, [this](Peer, Message) { return never(); }, [](const Peer&, Message) {});
        tasks.spawn(boast());
    }
    Task<Result<Message>> never() {
        co_await env.clock.sleep_for(1h);
        co_return Errc::busy;
    }
    Task<void> boast() {
        for (std::uint64_t version = 1000;; ++version) {
            Writer out;
            out.u64(version).u64(version);
            for (const auto& other : others) {
                env.transport.notify(other,
                                     Message{Service::membership, 2, Bytes{out.view().begin(), out.view().end()}});
            }
            co_await env.clock.sleep_for(100ms);
        }
    }
    NodeEnv& env;
    std::vector<Address> others;
    TaskGroup tasks;
};

struct Village {
    explicit Village(sim::World& world_in) : world{world_in} {
        world.add_nodes(kMembers);
        auto& first = world.node(0).env();
        auto authority = *NetworkDirectory::create(first.disk, first.rng, "village", SigningKey{first.rng.secret()},
                                                   first.rng.secret(), {}, Policy{}, kNow);
        for (NodeIndex i = 1; i < kMembers; ++i) {
            auto& env = world.node(i).env();
            const auto token = *authority.invite(first.rng, "n0", kNow, kNow * 2);
            const auto key = *NetworkDirectory::prepare_join(env.disk, env.rng);
            const auto admission = *authority.admit(first.rng, key.public_key(), token.secret, {}, kNow);
            (void)*NetworkDirectory::finish_join(env.disk, token, admission, key, kNow);
        }
        for (NodeIndex i = 0; i < kMembers; ++i) {
            std::vector<Address> others;
            for (NodeIndex step : {1U, 3U, 5U}) others.push_back(world.node((i + step) % kMembers).address());
            world.node(i).start([others](NodeEnv& env) {
                return std::make_unique<Member>(env, *NetworkDirectory::open(env.disk), others);
            });
        }
    }

    using NodeIndex = sim::NodeIndex;
    Member& member(NodeIndex i) { return world.node(i).root<Member>(); }
    [[nodiscard]] bool all_know(std::uint64_t policy, std::uint64_t roster) {
        for (NodeIndex i = 0; i < kMembers; ++i) {
            if (!world.node(i).running()) return false;
            const auto& known = member(i).directory;
            if (known.policy().version < policy || known.roster().version < roster) return false;
        }
        return true;
    }

    sim::World& world;
};

SIMULATION(ThePolicyAndRosterReachEveryMember, .seeds = 20) {
    Village village{world};
    auto& authority = village.member(0).directory;
    const auto policy = authority.change_policy(Policy{.copies = 4});
    ASSERT_TRUE(policy);
    village.member(0).service.spread();
    EXPECT_TRUE(world.run_until([&] { return village.all_know(policy->version, authority.roster().version); }, 10min));
}

SIMULATION(TheyArriveThroughLossKillsAndPartitions, .seeds = 20) {
    Village village{world};
    world.harm(sim::Loss{.share = 0.2}, sim::Kill{.every = 40s, .leave_at_least = 4}, sim::Partition{});
    std::uint64_t version = 0;
    for (int change = 0; change < 5; ++change) {
        world.run_for(1min);
        if (!world.node(0).running()) continue;
        const auto policy = village.member(0).directory.change_policy(Policy{.copies = 5});
        ASSERT_TRUE(policy);
        EXPECT_GT(policy->version, version);  // the authority's own disk never goes back
        version = policy->version;
        village.member(0).service.spread();
    }
    world.stop_harm();
    EXPECT_TRUE(world.run_until([&] { return village.all_know(version, 0); }, 30min));
}

SIMULATION(WhoClaimsVersionsThatNeverComeHoldsNobodyUp, .seeds = 5) {
    Village village{world};
    constexpr sim::NodeIndex liar = kMembers - 1;
    world.node(liar).kill();
    std::vector<Address> others;
    for (sim::NodeIndex i = 0; i < liar; ++i) others.push_back(world.node(i).address());
    world.node(liar).start([others](NodeEnv& env) { return std::make_unique<Boaster>(env, others); });
    world.run_for(1min);
    const auto policy = village.member(0).directory.change_policy(Policy{.copies = 4});
    ASSERT_TRUE(policy);
    village.member(0).service.spread();
    const auto all_know = [&] {
        for (sim::NodeIndex i = 0; i < liar; ++i) {
            if (village.member(i).directory.policy().version < policy->version) return false;
        }
        return true;
    };
    EXPECT_TRUE(world.run_until(all_know, 10s));
}

SIMULATION(AMemberThatChangesItsMindForEverIsToldToWait, .seeds = 5) {
    Village village{world};
    world.run_for(10s);
    const auto& roster = village.member(0).directory.roster();
    const auto drain = [&](sim::NodeIndex i, bool on) {
        return *world.node(i).run(village.member(i).service.drain(on));
    };
    for (int change = 0; change < 4; ++change) {
        const auto done = drain(0, change % 2 == 0);
        ASSERT_TRUE(done) << change << ": " << done.error().message();
    }
    const auto version = roster.version;
    for (int change = 0; change < 100; ++change) {
        const auto refused = drain(0, true);
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error(), Errc::busy);
        EXPECT_NE(refused.error().message().find("try again in"), std::string::npos) << refused.error().message();
    }
    EXPECT_EQ(roster.version, version);
    EXPECT_TRUE(drain(0, false)) << "what is so already is no change";
    world.run_for(61s);
    EXPECT_TRUE(drain(0, true));
}

}  // namespace
}  // namespace base
