// What a node remembers of its network survives every crash, and a token is spent once.
#include "base/network_directory.hpp"

#include <gtest/gtest.h>

#include "base/error.hpp"
#include "base/sim/crash_points.hpp"

namespace base {
namespace {

constexpr std::int64_t kNow = 1'000'000'000'000'000'000;
constexpr std::int64_t kDay = 86'400'000'000'000;

struct Founder {
    explicit Founder(sim::World& world) : env{world.add_node().env()} {}

    NetworkDirectory found() {
        return *NetworkDirectory::create(env.disk, env.rng, "home", SigningKey{env.rng.secret()}, env.rng.secret(), {},
                                         Policy{}, kNow);
    }
    NodeEnv& env;
};

Key joiner_key(std::uint8_t number) { return Key{number}; }
PublicKey joiner(std::uint8_t number) { return SigningKey{joiner_key(number)}.public_key(); }

TEST(NetworkDirectory, OpensAsItWasLeft) {
    sim::World world{1};
    Founder founder{world};
    const auto made = founder.found();
    const auto opened = NetworkDirectory::open(founder.env.disk);
    ASSERT_TRUE(opened);
    EXPECT_EQ(opened->network(), made.network());
    EXPECT_EQ(opened->certificate().encode(), made.certificate().encode());
    EXPECT_TRUE(opened->is_authority());
    EXPECT_EQ(opened->roster().members.size(), 1U);
}

TEST(NetworkDirectory, WhereNoNetworkWasJoinedThereIsNone) {
    sim::World world{1};
    Founder founder{world};
    EXPECT_EQ(NetworkDirectory::open(founder.env.disk).error(), Errc::not_found);
    founder.found();
    EXPECT_EQ(NetworkDirectory::create(founder.env.disk, founder.env.rng, "other", SigningKey{Key{1}}, Key{}, {},
                                       Policy{}, kNow)
                  .error(),
              Errc::exists);
}

TEST(NetworkDirectory, ATokenAdmitsOneMachineAndTheSameMachineAgain) {
    sim::World world{1};
    Founder founder{world};
    auto network = founder.found();
    const auto token = network.invite(founder.env.rng, "n0:1", kNow, kNow + kDay);
    ASSERT_TRUE(token);
    const auto first = network.admit(founder.env.rng, joiner(1), token->secret, {}, kNow);
    ASSERT_TRUE(first);
    const auto again = network.admit(founder.env.rng, joiner(1), token->secret, {}, kNow);
    ASSERT_TRUE(again);
    EXPECT_EQ(again->certificate.encode(), first->certificate.encode());
    EXPECT_EQ(network.admit(founder.env.rng, joiner(2), token->secret, {}, kNow).error(), Errc::denied);
    EXPECT_EQ(network.roster().storage_peers(), 2U);
}

TEST(NetworkDirectory, SerialsOfTheRosterRiseInTheOrderOfEnrolment) {
    sim::World world{1};
    Founder founder{world};
    auto network = founder.found();
    const auto first = *network.invite(founder.env.rng, "n0:1", kNow, kNow + kDay);
    const auto second = *network.invite(founder.env.rng, "n0:1", kNow, kNow + kDay);
    // The first joiner's certificate is issued, but its enrolment fails: the second one is enrolled before it.
    world.node(0).disk().fail(sim::DiskCall::rename, 2);
    EXPECT_FALSE(network.admit(founder.env.rng, joiner(1), first.secret, {}, kNow));
    const auto later = network.admit(founder.env.rng, joiner(2), second.secret, {}, kNow);
    ASSERT_TRUE(later);
    const auto again = network.admit(founder.env.rng, joiner(1), first.secret, {}, kNow);
    ASSERT_TRUE(again);
    EXPECT_LT(again->certificate.serial, later->certificate.serial);
    EXPECT_GT(network.roster().find(again->certificate.id())->serial,
              network.roster().find(later->certificate.id())->serial);
}

TEST(NetworkDirectory, UnknownAndExpiredTokensAreDenied) {
    sim::World world{1};
    Founder founder{world};
    auto network = founder.found();
    const auto token = network.invite(founder.env.rng, "n0:1", kNow, kNow + kDay);
    EXPECT_EQ(network.admit(founder.env.rng, joiner(1), Key{99}, {}, kNow).error(), Errc::denied);
    EXPECT_EQ(network.admit(founder.env.rng, joiner(1), token->secret, {}, kNow + 2 * kDay).error(), Errc::denied);
    EXPECT_EQ(network.roster().storage_peers(), 1U);
}

TEST(NetworkDirectory, OnlyTheAuthoritysNodeInvitesAdmitsAndChangesThePolicy) {
    sim::World world{1};
    Founder founder{world};
    auto network = founder.found();
    const auto token = *network.invite(founder.env.rng, "n0:1", kNow, kNow + kDay);
    auto& other = world.add_node().env();
    const auto key = *NetworkDirectory::prepare_join(other.disk, other.rng);
    const auto admission = *network.admit(founder.env.rng, key.public_key(), token.secret, {}, kNow);
    auto member = NetworkDirectory::finish_join(other.disk, token, admission, key, kNow);
    ASSERT_TRUE(member);
    EXPECT_EQ(member->invite(other.rng, "n1:1", kNow, kNow + kDay).error(), Errc::denied);
    EXPECT_EQ(member->change_policy(Policy{}).error(), Errc::denied);
    EXPECT_EQ(member->admit(other.rng, joiner(3), token.secret, {}, kNow).error(), Errc::denied);
    EXPECT_EQ(NetworkDirectory::open(other.disk)->network(), network.network());
}

TEST(NetworkDirectory, AJoinerKeepsNothingThatTheTokenDoesNotCoverFor) {
    sim::World world{1};
    Founder founder{world};
    auto network = founder.found();
    const auto token = *network.invite(founder.env.rng, "n0:1", kNow, kNow + kDay);
    auto& other = world.add_node().env();
    const auto key = *NetworkDirectory::prepare_join(other.disk, other.rng);
    const auto good = *network.admit(founder.env.rng, key.public_key(), token.secret, {}, kNow);

    auto forged_policy = good;
    forged_policy.policy.copies = 1;
    auto forged_roster = good;
    forged_roster.roster.members.clear();
    auto wrong_name = good;
    wrong_name.network_name = "elsewhere";
    auto others_certificate = good;
    others_certificate.certificate = network.certificate();
    for (const auto& bad : {forged_policy, forged_roster, wrong_name, others_certificate}) {
        EXPECT_FALSE(NetworkDirectory::finish_join(other.disk, token, bad, key, kNow));
        EXPECT_EQ(NetworkDirectory::open(other.disk).error(), Errc::not_found);
    }
    EXPECT_TRUE(NetworkDirectory::finish_join(other.disk, token, good, key, kNow));
}

TEST(NetworkDirectory, OnlyNewerStateThatTheAuthoritySignedIsAdopted) {
    sim::World world{1};
    Founder founder{world};
    auto network = founder.found();
    auto policy = network.policy();
    EXPECT_FALSE(*network.adopt(policy));
    policy.version += 1;
    EXPECT_EQ(network.adopt(policy).error(), Errc::bad_signature);
    auto roster = network.roster();
    roster.version += 1;
    EXPECT_EQ(network.adopt(roster).error(), Errc::bad_signature);
}

TEST(NetworkDirectory, ARottenFileIsNamedAndNeverBelieved) {
    sim::World world{1};
    Founder founder{world};
    founder.found();
    auto& disk = world.node(0).disk();
    for (const auto* file :
         {"network/identity", "network/node.key", "network/policy", "network/roster", "network/issuer"}) {
        disk.flip_bit(file, 5, 3);
        const auto opened = NetworkDirectory::open(founder.env.disk);
        ASSERT_FALSE(opened) << file;
        EXPECT_EQ(opened.error(), Errc::corrupt) << file;
        EXPECT_NE(opened.error().message().find(file), std::string::npos);
        disk.flip_bit(file, 5, 3);
    }
    EXPECT_TRUE(NetworkDirectory::open(founder.env.disk));
}

TEST(NetworkDirectory, AMissingFileIsDamageAndNoNetworkThatWasNeverJoined) {
    for (const auto* file : {"network/node.key", "network/policy", "network/roster"}) {
        sim::World world{1};
        Founder founder{world};
        founder.found();
        ASSERT_TRUE(founder.env.disk.remove(file));
        const auto opened = NetworkDirectory::open(founder.env.disk);
        ASSERT_FALSE(opened) << file;
        EXPECT_EQ(opened.error(), Errc::corrupt) << file;
        EXPECT_NE(opened.error().message().find(file), std::string::npos);
        const auto another = NetworkDirectory::create(founder.env.disk, founder.env.rng, "other", SigningKey{Key{1}},
                                                      Key{}, {}, Policy{}, kNow);
        EXPECT_EQ(another.error(), Errc::corrupt) << "nor is another made over it";
    }
}

// --- removing, and where the authority acts

/// Another member, with a disk of its own.
struct Guest {
    Guest(sim::World& world, NetworkDirectory& network, NodeEnv& issuer) : env{world.add_node().env()} {
        const auto token = *network.invite(issuer.rng, "n0:1", kNow, kNow + kDay);
        const auto key = *NetworkDirectory::prepare_join(env.disk, env.rng);
        const auto admission = *network.admit(issuer.rng, key.public_key(), token.secret, {}, kNow);
        directory.emplace(*NetworkDirectory::finish_join(env.disk, token, admission, key, kNow));
    }
    NodeEnv& env;
    std::optional<NetworkDirectory> directory;
};

TEST(NetworkDirectory, AMemberThatWasRemovedStaysListedAndCountsNoMore) {
    sim::World world{1};
    Founder founder{world};
    auto network = founder.found();
    const Guest guest{world, network, founder.env};
    const auto id = guest.directory->certificate().id();
    EXPECT_EQ(network.roster().storage_peers(), 2U);
    EXPECT_EQ(network.remove(network.certificate().id()).error(), Errc::bad_argument) << "itself";
    EXPECT_EQ(network.remove(NodeId{}).error(), Errc::not_found);
    const auto before = network.roster().version;
    ASSERT_TRUE(network.remove(id));
    ASSERT_TRUE(network.remove(id)) << "once more is no error, and no other version";
    EXPECT_EQ(network.roster().version, before + 1);
    EXPECT_EQ(network.roster().storage_peers(), 1U);
    const auto kept = NetworkDirectory::open(founder.env.disk);
    ASSERT_TRUE(kept);
    EXPECT_TRUE(kept->roster().removed(id));
    EXPECT_FALSE(guest.directory->was_removed());
    auto removed = *guest.directory;
    ASSERT_TRUE(removed.adopt(network.roster()));
    EXPECT_TRUE(removed.was_removed());
}

TEST(NetworkDirectory, AMemberDrainsAndTakesItBackAsLongAsEnoughAreLeft) {
    sim::World world{1};
    Founder founder{world};
    auto network = founder.found();
    const Guest first{world, network, founder.env};
    const auto id = first.directory->certificate().id();
    const auto refused = network.drain(id, true);
    EXPECT_EQ(refused.error(), Errc::denied) << "one would be left, and two copies are the least";
    EXPECT_NE(refused.error().message().find("min-copies"), std::string::npos) << refused.error().message();
    const Guest second{world, network, founder.env};
    const auto before = network.roster().version;
    ASSERT_TRUE(network.drain(id, true));
    ASSERT_TRUE(network.drain(id, true)) << "once more is no error, and no other version";
    EXPECT_EQ(network.roster().version, before + 1);
    EXPECT_EQ(network.drain(second.directory->certificate().id(), true).error(), Errc::denied) << "not both";
    EXPECT_TRUE(NetworkDirectory::open(founder.env.disk)->roster().draining(id));
    ASSERT_TRUE(network.drain(id, false));
    EXPECT_FALSE(network.roster().draining(id));
    EXPECT_EQ(network.drain(NodeId{}, true).error(), Errc::not_found);
    ASSERT_TRUE(network.drain(id, true));
    ASSERT_TRUE(network.remove(id));
    EXPECT_FALSE(network.roster().draining(id)) << "it is gone now";
    EXPECT_EQ(network.drain(id, true).error(), Errc::not_found);
    auto other = *second.directory;
    EXPECT_EQ(other.drain(other.certificate().id(), true).error(), Errc::denied) << "where the authority acts only";
}

TEST(NetworkDirectory, AMemberDoesNotJoinAgain) {
    sim::World world{1};
    Founder founder{world};
    auto network = founder.found();
    const Guest guest{world, network, founder.env};
    const auto was = guest.directory->certificate().id();
    const auto token = *network.invite(founder.env.rng, "n0:1", kNow, kNow + kDay);
    const auto key = *NetworkDirectory::prepare_join(guest.env.disk, guest.env.rng);
    const auto admission = *network.admit(founder.env.rng, key.public_key(), token.secret, {}, kNow);
    EXPECT_EQ(NetworkDirectory::finish_join(guest.env.disk, token, admission, key, kNow).error(), Errc::exists);
    EXPECT_EQ(NetworkDirectory::open(guest.env.disk)->certificate().id(), was);
}

TEST(NetworkDirectory, TheAuthorityActsOnOneMachineAtATime) {
    sim::World world{1};
    Founder founder{world};
    auto network = founder.found();
    Guest guest{world, network, founder.env};
    auto& other = *guest.directory;
    EXPECT_EQ(other.remove(network.certificate().id()).error(), Errc::denied) << "without the key";
    EXPECT_EQ(other.export_authority().error(), Errc::denied);
    auto damaged = *network.export_authority();
    damaged[20] ^= 1;
    EXPECT_EQ(other.import_authority(damaged).error(), Errc::corrupt);
    EXPECT_EQ(other.import_authority(to_bytes("nonsense")).error(), Errc::bad_format);
    ASSERT_TRUE(other.import_authority(*network.export_authority()));
    EXPECT_EQ(other.invite(guest.env.rng, "n1:1", kNow, kNow + kDay).error(), Errc::denied)
        << "not before it was agreed";

    const auto proposed = *other.propose_seat();
    auto forged = proposed;
    forged.members.pop_back();
    EXPECT_FALSE(*network.hand_over(forged)) << "nothing but the seat";
    forged = proposed;
    forged.signature[0] ^= 1;
    EXPECT_FALSE(network.hand_over(forged));
    const auto policy = *network.change_policy(Policy{});
    ASSERT_TRUE(*network.hand_over(proposed));
    EXPECT_FALSE(*network.hand_over(proposed)) << "it has nothing to hand over any more";
    EXPECT_EQ(network.change_policy(Policy{}).error(), Errc::denied);
    EXPECT_EQ(network.invite(founder.env.rng, "n0:1", kNow, kNow + kDay).error(), Errc::denied);
    ASSERT_TRUE(*other.adopt(proposed));
    ASSERT_TRUE(*other.adopt(policy));
    const Guest third{world, other, guest.env};
    EXPECT_EQ(other.roster().members.size(), 3U);
    for (const auto& member : other.roster().members) {
        const auto newest = third.directory->certificate().id();
        EXPECT_TRUE(member.id == newest || member.serial < other.roster().find(newest)->serial);
    }
}

TEST(NetworkDirectory, WhoRemovesTheMachineOfTheAuthorityActsInItsPlace) {
    sim::World world{1};
    Founder founder{world};
    auto network = founder.found();
    Guest guest{world, network, founder.env};
    auto& other = *guest.directory;
    ASSERT_TRUE(other.import_authority(*network.export_authority()));
    ASSERT_TRUE(other.remove(network.certificate().id()));
    EXPECT_TRUE(other.acts_here());
    // What the machine that is gone may still have signed is of less.
    (void)*network.change_policy(Policy{});
    const Guest late{world, network, founder.env};
    EXPECT_FALSE(*other.adopt(network.roster()));
    EXPECT_FALSE(*other.adopt(network.policy()));
    ASSERT_TRUE(*network.adopt(other.roster()));
    EXPECT_TRUE(network.was_removed());
    ASSERT_TRUE(other.change_policy(Policy{}));
}

TEST(NetworkDirectory, AMemberIsLookedForWhereItIsNow) {
    sim::World world{1};
    Founder founder{world};
    auto network = founder.found();
    const auto id = *Guid::from_prefix("ab");
    ASSERT_TRUE(network.remember_seeds({Address{*Guid::from_prefix("cd"), "c:1"}, Address{id, "old:1"}}));
    EXPECT_TRUE(*network.remember_seed(Address{id, "new:1"}));
    EXPECT_FALSE(*network.remember_seed(Address{id, "new:1"}));
    const auto kept = NetworkDirectory::open(founder.env.disk)->seeds();
    ASSERT_EQ(kept.size(), 2U);
    EXPECT_EQ(kept[0], (Address{id, "new:1"}));
}

// --- every crash point
// ------------------------------------------------------------------------------------------------

/// What the outside world was told before the crash.
struct Told {
    std::optional<Token> token;
    std::optional<Bytes> certificate;
    std::optional<std::uint64_t> policy_version;
};

Task<void> found_network(NodeEnv& env) {
    (void)*NetworkDirectory::create(env.disk, env.rng, "home", SigningKey{Key{1}}, Key{2}, {}, Policy{}, kNow);
    co_return;
}

Task<void> invite_and_admit(NodeEnv& env, Told& told) {
    auto network = *NetworkDirectory::open(env.disk);
    const auto token = network.invite(env.rng, "n0:1", kNow, kNow + kDay);
    if (!token) co_return;
    told.token = *token;
    const auto admission = network.admit(env.rng, joiner(1), token->secret, {}, kNow);
    if (!admission) co_return;
    told.certificate = admission->certificate.encode();
    const auto policy = network.change_policy(Policy{});
    if (policy) told.policy_version = policy->version;
}

Task<std::string> everything_told_is_true(NodeEnv& env, Told& told) {
    auto network = NetworkDirectory::open(env.disk);
    if (!network) co_return "cannot open: " + network.error().message();
    if (told.policy_version && network->policy().version < *told.policy_version) co_return "the policy went back";
    if (!told.token) co_return "";
    if (!told.certificate) {
        // Nobody was admitted as far as anybody knows: the token must still admit the one who asked.
        if (!network->admit(env.rng, joiner(1), told.token->secret, {}, kNow)) co_return "an unspent token is refused";
        co_return "";
    }
    const auto other = network->admit(env.rng, joiner(2), told.token->secret, {}, kNow);
    if (other) co_return "a spent token admitted a second machine";
    const auto again = network->admit(env.rng, joiner(1), told.token->secret, {}, kNow);
    if (!again || again->certificate.encode() != *told.certificate) co_return "the joiner got another certificate";
    if (network->roster().storage_peers() != 2) co_return "an admitted member is not in the roster";
    co_return "";
}

sim::CrashScenario admission(Told& told) {
    sim::CrashScenario scenario;
    scenario.setup = [](NodeEnv& env) { return found_network(env); };
    scenario.workload = [&told](NodeEnv& env) { return invite_and_admit(env, told); };
    scenario.check = [&told](NodeEnv& env) { return everything_told_is_true(env, told); };
    scenario.reset = [&told] { told = Told{}; };
    return scenario;
}

TEST(NetworkDirectory, NoCrashUnspendsATokenOrForgetsAMember) {
    Told told;
    const auto report = sim::for_each_crash_point(admission(told));
    EXPECT_TRUE(report.ok()) << report.text();
    EXPECT_GT(report.boundaries, 10U);
}

TEST(NetworkDirectory, NoFailingCallDoesEither) {
    Told told;
    const auto report = sim::for_each_failing_call(admission(told), Error{Errc::io_failed});
    EXPECT_TRUE(report.ok()) << report.text();
}

// The harness would notice: without its syncs the directory breaks its word.
TEST(NetworkDirectory, SkippedSyncsAreFound) {
    Told told;
    sim::CrashPlan plan;
    plan.faults.skip_every_sync = true;
    EXPECT_FALSE(sim::for_each_crash_point(admission(told), plan).ok());
    plan.faults = {};
    plan.faults.skip_every_directory_sync = true;
    EXPECT_FALSE(sim::for_each_crash_point(admission(told), plan).ok());
}

}  // namespace
}  // namespace base
