// Copies off their holders: kept because they passed by or because a holder had no room, told to the DOLR a group at a
// time, found there, and preferred where they are nearer.
#include <gmock/gmock.h>

#include "cache/block_cache.hpp"
#include "cluster.hpp"
#include "repair/misplaced.hpp"
#include "tapestry/error.hpp"

namespace past::test {
namespace {

const base::Guid kGroup = group_of(1);

ClusterOptions with_location() {
    ClusterOptions options;
    options.peers = 12;
    options.repair_after = 10min;
    pastry::Config overlay;
    overlay.heartbeat_interval = 3s;
    overlay.probe_timeout = 1s;
    options.peer.overlay = overlay;
    options.peer.config.misplaced_period = 2s;
    options.peer.config.misplaced_cached_for = 5s;
    return options;
}

class MisplacedTest : public testing::Test {
  protected:
    explicit MisplacedTest(ClusterOptions options = with_location()) : cluster_{world_, std::move(options)} {
        std::vector<std::size_t> order;
        for (const auto& node : cluster_.ring.nearest(kGroup, cluster_.nodes.size())) {
            for (std::size_t i = 0; i < cluster_.nodes.size(); ++i) {
                if (cluster_.handle(i).id() == node.id()) order.push_back(i);
            }
        }
        by_distance_ = std::move(order);
    }
    void put(std::uint64_t count) {
        std::vector<Block> blocks;
        for (std::uint64_t number = 1; number <= count; ++number) blocks.push_back(make_block(number));
        const auto outcome = cluster_.put(reader(0), kGroup, std::move(blocks), Wait::full);
        ASSERT_TRUE(outcome) << outcome.error().message();
        ASSERT_EQ(outcome->copies_stored, 3U);
    }
    base::Result<base::SharedBytes> get(std::size_t from, std::uint64_t number) {
        auto& machine = cluster_.machine(from);
        return *machine.run(cluster_.node(from).get(kGroup, make_block(number).id, cluster_.in(30s)));
    }
    std::size_t holder(std::size_t rank) const { return by_distance_[rank]; }
    /// Keeps nothing of the group.
    std::size_t reader(std::size_t number) const { return by_distance_[by_distance_.size() - 1 - number]; }
    void everybody_far_from_all_but_readers() {
        for (std::size_t a = 0; a < cluster_.nodes.size(); ++a) {
            for (std::size_t b = 0; b < a; ++b) {
                const bool near = (a == reader(0) && b == reader(1)) || (a == reader(1) && b == reader(0));
                world_.network().set_latency(cluster_.nodes[a], cluster_.nodes[b], near ? 1ms : 60ms);
            }
        }
    }

    sim::World world_{1};
    Cluster cluster_;
    std::vector<std::size_t> by_distance_;
};

TEST_F(MisplacedTest, WhatPassedByIsReadAgainWithoutAskingAnybody) {
    put(5);
    ASSERT_TRUE(get(reader(0), 1));
    const auto before = cluster_.node(reader(0)).status();
    ASSERT_TRUE(get(reader(0), 1));
    const auto after = cluster_.node(reader(0)).status();
    EXPECT_EQ(after.cache_hits, before.cache_hits + 1);
    EXPECT_EQ(after.requests_sent, before.requests_sent);
    EXPECT_EQ(after.blocks_cached, 1U);
    EXPECT_EQ(after.blocks, 0U) << "a cached block is nobody's copy";
}

// PAST section 4: a copy that is nearer than the holders is found and preferred.
TEST_F(MisplacedTest, ACachedCopyThatIsNearerIsFoundAndPreferred) {
    everybody_far_from_all_but_readers();
    put(20);
    for (std::uint64_t number = 1; number <= 20; ++number) ASSERT_TRUE(get(reader(0), number));
    world_.run_for(5s);  // it is told
    EXPECT_EQ(cluster_.node(reader(0)).status().groups_published, 1U);
    ASSERT_TRUE(get(reader(1), 1)) << "the first of a place asks the holders, and the DOLR beside";
    world_.run_for(10s);
    EXPECT_EQ(cluster_.node(reader(1)).status().groups_published, 1U) << "it keeps some of the place itself by now";
    const auto begun = world_.now();
    for (std::uint64_t number = 2; number <= 20; ++number) ASSERT_TRUE(get(reader(1), number)) << number;
    EXPECT_EQ(cluster_.node(reader(1)).status().gets_of_misplaced, 19U);
    EXPECT_LT(world_.now() - begun, 19 * 120ms) << "the holders are a round trip of 120 ms away";
}

TEST_F(MisplacedTest, WhereNoHolderCanBeReachedACachedCopyStillServes) {
    put(3);
    ASSERT_TRUE(get(reader(0), 2));
    world_.run_for(5s);
    for (std::size_t rank = 0; rank < 3; ++rank) cluster_.machine(holder(rank)).kill();
    world_.run_for(30s);
    EXPECT_TRUE(get(reader(1), 2));
    EXPECT_EQ(get(reader(1), 3).error(), Errc::holders_unreachable) << "nobody kept it; that is not 'not found'";
}

TEST_F(MisplacedTest, ACopyHolderThatNeverHasWhatIsAskedIsAskedNoMore) {
    everybody_far_from_all_but_readers();
    put(40);
    ASSERT_TRUE(get(reader(0), 1));
    world_.run_for(5s);
    ASSERT_TRUE(get(reader(1), 2));
    world_.run_for(1s);
    std::size_t asked = 0;
    const auto copy_holder = cluster_.nodes[reader(0)];
    world_.network().set_liar(copy_holder, [&asked, copy_holder, by = cluster_.nodes[reader(1)]](sim::Letter& letter) {
        if (letter.from != by || letter.to != copy_holder || letter.kind != sim::Letter::Kind::request) return;
        if (letter.content && letter.content->service() == base::Service::past) ++asked;
    });
    for (std::uint64_t number = 3; number <= 40; ++number) {
        ASSERT_TRUE(get(reader(1), number)) << number;
        world_.run_for(500ms);
    }
    EXPECT_GE(asked, 2 * 4U) << "four misses each time that the DOLR was asked again, every five seconds";
    EXPECT_LE(asked, 6 * 4U);
    EXPECT_EQ(cluster_.node(reader(1)).status().gets_of_misplaced, 0U);
}

/// Remembers who was said to have been asked in vain, and who was found.
class RecordingDolr final : public tapestry::Dolr {
  public:
    explicit RecordingDolr(tapestry::Dolr& below) : below_{below} {}
    void publish(const std::vector<base::Guid>& objects) override { below_.publish(objects); }
    void unpublish(const std::vector<base::Guid>& objects) override { below_.unpublish(objects); }
    base::Task<std::vector<base::Guid>> published(std::vector<base::Guid> objects, base::TimePoint deadline) override {
        return below_.published(std::move(objects), deadline);
    }
    base::Task<base::Result<tapestry::Located>> locate(base::Guid object, base::TimePoint deadline,
                                                       bool trace) override {
        return below_.locate(object, deadline, trace);
    }
    base::Task<base::Result<tapestry::Located>> locate_others(base::Guid object, std::vector<base::NodeId> failed_now,
                                                              base::TimePoint deadline) override {
        ++asked;
        failed.insert(failed_now.begin(), failed_now.end());
        if (unreachable) co_return tapestry::Errc::roots_unreachable;
        auto located = co_await below_.locate_others(object, std::move(failed_now), deadline);
        if (located) {
            for (const auto& location : located->holders) found.push_back(location.holder.id);
        }
        co_return located;
    }
    base::Task<base::Result<std::vector<tapestry::Location>>> other_holders(base::Guid object,
                                                                            std::vector<base::NodeId> known,
                                                                            base::TimePoint deadline) override {
        return below_.other_holders(object, std::move(known), deadline);
    }
    base::Task<base::Result<unsigned>> send_to_object(base::Guid object, base::SharedBytes message, unsigned replicas,
                                                      base::TimePoint deadline) override {
        return below_.send_to_object(object, std::move(message), replicas, deadline);
    }
    void on_message(OnMessage handler) override { below_.on_message(std::move(handler)); }

    std::set<base::NodeId> failed;
    std::vector<base::NodeId> found;
    std::size_t asked = 0;
    bool unreachable = false;

  private:
    tapestry::Dolr& below_;
};

TEST_F(MisplacedTest, ACopyHolderThatNeverHasWhatIsAskedIsNamedToTheDolrWhenItIsAskedAgain) {
    everybody_far_from_all_but_readers();
    put(40);
    ASSERT_TRUE(get(reader(0), 1));
    world_.run_for(5s);
    RecordingDolr dolr{*cluster_.machine(reader(1)).root<PeerProcess>().location};
    cluster_.node(reader(1)).use(&dolr);
    for (std::uint64_t number = 2; number <= 30; ++number) {
        ASSERT_TRUE(get(reader(1), number)) << number;
        world_.run_for(500ms);
        EXPECT_TRUE(number > 4 || dolr.failed.empty());
    }
    const auto copy_holder = cluster_.handle(reader(0)).id();
    EXPECT_EQ(dolr.failed, std::set{copy_holder});
    EXPECT_GE(dolr.found.size(), 1U);
    EXPECT_EQ(std::ranges::count(dolr.found, copy_holder), std::ssize(dolr.found)) << "never the reader itself";
    cluster_.node(reader(1)).use(nullptr);
}

TEST_F(MisplacedTest, WhereTheDolrCannotTellThoseKnownBeforeAreAskedStill) {
    everybody_far_from_all_but_readers();
    put(20);
    for (std::uint64_t number = 1; number <= 20; ++number) ASSERT_TRUE(get(reader(0), number));
    world_.run_for(5s);
    RecordingDolr dolr{*cluster_.machine(reader(1)).root<PeerProcess>().location};
    cluster_.node(reader(1)).use(&dolr);
    ASSERT_TRUE(get(reader(1), 1));
    world_.run_for(1s);
    dolr.unreachable = true;
    for (std::uint64_t number = 2; number <= 20; ++number) {
        ASSERT_TRUE(get(reader(1), number)) << number;
        world_.run_for(3s);
    }
    EXPECT_EQ(cluster_.node(reader(1)).status().gets_of_misplaced, 19U);
    cluster_.node(reader(1)).use(nullptr);
}

TEST_F(MisplacedTest, AQuestionThatBeginsWhenTheDolrIsGoneIsNotAsked) {
    auto& peer = cluster_.peer(reader(0));
    auto& machine = cluster_.machine(reader(0));
    Context context{machine.env(), *peer.kbr, *peer.store, peer.membership, &verify_record, Config{}};
    MisplacedCopies misplaced{context};
    RecordingDolr dolr{*machine.root<PeerProcess>().location};
    misplaced.use(&dolr);
    EXPECT_TRUE(misplaced.known(kGroup).empty());  // asks behind it
    misplaced.use(nullptr);
    world_.run_for(5s);
    EXPECT_EQ(dolr.asked, 0U);
    misplaced.use(&dolr);
    EXPECT_TRUE(misplaced.known(kGroup).empty());
    world_.run_for(5s);
    EXPECT_EQ(dolr.asked, 1U) << "once there is one";
    misplaced.use(nullptr);
}

ClusterOptions long_known() {
    auto options = with_location();
    options.peers = 40;  // so that not everybody may have taken writes for a dead holder
    options.peer.config.misplaced_cached_for = 1h;
    return options;
}

class LongKnown : public MisplacedTest {
  protected:
    LongKnown() : MisplacedTest{long_known()} {}
};

TEST_F(LongKnown, ACopyHolderThatMissedOtherBlocksIsStillTheLastResort) {
    everybody_far_from_all_but_readers();
    put(20);
    for (std::uint64_t number = 1; number <= 2; ++number) ASSERT_TRUE(get(reader(0), number));
    world_.run_for(5s);
    RecordingDolr dolr{*cluster_.machine(reader(1)).root<PeerProcess>().location};
    cluster_.node(reader(1)).use(&dolr);
    for (std::uint64_t number = 3; number <= 20; ++number) {
        ASSERT_TRUE(get(reader(1), number)) << number;
        world_.run_for(100ms);
    }
    EXPECT_EQ(cluster_.node(reader(1)).status().gets_of_misplaced, 0U);
    for (std::size_t rank = 0; rank < 3; ++rank) cluster_.machine(holder(rank)).kill();
    world_.run_for(30s);
    const auto before = dolr.asked;
    EXPECT_TRUE(get(reader(1), 1));
    EXPECT_EQ(dolr.asked, before + 1) << "after four misses it is no more asked before the holders";
    EXPECT_TRUE(dolr.failed.empty());
    cluster_.node(reader(1)).use(nullptr);
}

TEST_F(MisplacedTest, TheCacheOutlivesItsProcessAndBelievesNoByte) {
    put(3);
    for (std::uint64_t number = 1; number <= 3; ++number) ASSERT_TRUE(get(reader(0), number));
    world_.run_for(1s);
    auto& machine = cluster_.machine(reader(0));
    machine.kill();
    const auto path = "cache/" + make_block(2).id.hex() + "." + kGroup.hex();
    machine.disk().flip_bit(path, 500, 3);
    machine.restart();
    world_.run_for(2min);
    EXPECT_EQ(cluster_.node(reader(0)).status().blocks_cached, 3U);
    for (std::uint64_t number = 1; number <= 3; ++number) ASSERT_TRUE(get(reader(0), number));
    EXPECT_EQ(cluster_.node(reader(0)).status().cache_hits, 2U);
    world_.run_for(1s);
    ASSERT_TRUE(get(reader(0), 2));
    EXPECT_EQ(cluster_.node(reader(0)).status().cache_hits, 3U) << "a good copy took its place";
}

TEST_F(MisplacedTest, AFullDiskCostsTheCacheAndNothingElse) {
    put(3);
    cluster_.machine(reader(0)).disk().set_capacity(1);
    for (std::uint64_t number = 1; number <= 3; ++number) EXPECT_TRUE(get(reader(0), number));
    world_.run_for(10s);
    EXPECT_EQ(cluster_.node(reader(0)).status().blocks_cached, 0U);
    EXPECT_TRUE(get(reader(0), 1));
}

ClusterOptions a_small_cache() {
    auto options = with_location();
    options.peer.config.max_cache_bytes = 42'000;  // ten pages
    return options;
}

class SmallCache : public MisplacedTest {
  protected:
    SmallCache() : MisplacedTest{a_small_cache()} {}
};

TEST_F(SmallCache, IsNeverLargerThanItMayBe) {
    put(40);
    for (std::uint64_t number = 1; number <= 40; ++number) {
        ASSERT_TRUE(get(reader(0), number));
        EXPECT_LE(cluster_.node(reader(0)).status().bytes_cached, 42'000U);
    }
    world_.run_for(5s);
    auto& disk = cluster_.machine(reader(0)).env().disk;
    const auto files = disk.list("cache");
    ASSERT_TRUE(files);
    EXPECT_EQ(files->size(), 10U) << "what was evicted is gone from the disk";
}

TEST_F(SmallCache, CountsWholePages) {
    for (std::uint64_t number = 1; number <= 20; ++number) {
        ASSERT_TRUE(cluster_.put(reader(0), kGroup, {make_block(number, 4'500)}, Wait::full));
        const auto id = make_block(number, 4'500).id;
        auto& machine = cluster_.machine(reader(0));
        ASSERT_TRUE(*machine.run(cluster_.node(reader(0)).get(kGroup, id, cluster_.in(30s))));
    }
    world_.run_for(5s);
    EXPECT_EQ(cluster_.node(reader(0)).status().blocks_cached, 5U) << "of two pages each";
}

TEST_F(SmallCache, OfTwoFilesOfABlockOneGoes) {
    put(2);
    for (std::uint64_t number = 1; number <= 2; ++number) ASSERT_TRUE(get(reader(0), number));
    world_.run_for(1s);
    auto& machine = cluster_.machine(reader(0));
    const auto twin = "cache/" + make_block(2).id.hex() + "." + group_of(2).hex();
    ASSERT_TRUE(machine.env().disk.open(twin, base::Disk::Mode::create));
    machine.kill();
    machine.restart();
    world_.run_for(2min);
    EXPECT_EQ(cluster_.node(reader(0)).status().blocks_cached, 2U);
    EXPECT_EQ(machine.env().disk.list("cache")->size(), 2U);
}

TEST_F(SmallCache, WhatIsOfferedAtOnceIsBoundedBeforeItsWritesBegin) {
    auto& peer = cluster_.peer(reader(0));
    auto& machine = cluster_.machine(reader(0));
    Config config;
    config.max_cache_writes_bytes = 3'500;
    Context context{machine.env(), *peer.kbr, *peer.store, peer.membership, &verify_record, config};
    BlockCache cache{context};
    cache.fit(1U << 20U);
    for (std::uint64_t number = 1; number <= 10; ++number) {
        cache.offer(kGroup, make_block(number).id, make_block(number).bytes);
    }
    EXPECT_EQ(cache.blocks(), 3U);
    world_.run_for(1s);
    cache.offer(kGroup, make_block(11).id, make_block(11).bytes);
    EXPECT_EQ(cache.blocks(), 4U) << "once these are written";
    world_.run_for(1s);
}

TEST_F(SmallCache, OfAnEarlierRunWhatIsNotAdmittedAnyMoreGoes) {
    put(5);
    for (std::uint64_t number = 1; number <= 5; ++number) ASSERT_TRUE(get(reader(0), number));
    world_.run_for(5s);
    ASSERT_EQ(cluster_.node(reader(0)).status().blocks_cached, 5U);
    cluster_.options.peer.config.max_cache_bytes = 5'000;  // half of it is less than a page
    cluster_.machine(reader(0)).kill();
    cluster_.machine(reader(0)).restart();
    world_.run_for(2min);
    EXPECT_EQ(cluster_.node(reader(0)).status().blocks_cached, 0U);
    const auto files = cluster_.machine(reader(0)).env().disk.list("cache");
    ASSERT_TRUE(files);
    EXPECT_TRUE(files->empty());
}

ClusterOptions no_cache() {
    auto options = with_location();
    options.peer.config.max_cache_bytes = 0;
    return options;
}

class NoCache : public MisplacedTest {
  protected:
    NoCache() : MisplacedTest{no_cache()} {}
};

TEST_F(NoCache, KeepsNothingAndTellsNobody) {
    put(5);
    for (std::uint64_t number = 1; number <= 5; ++number) ASSERT_TRUE(get(reader(0), number));
    world_.run_for(10s);
    const auto status = cluster_.node(reader(0)).status();
    EXPECT_EQ(status.blocks_cached, 0U);
    EXPECT_EQ(status.groups_published, 0U);
    EXPECT_FALSE(cluster_.machine(reader(0)).env().disk.list("cache"));
}

ClusterOptions a_full_holder() {
    auto options = with_location();
    options.peers = 40;
    ClusterOptions probe = options;
    std::size_t full = 0;
    {
        sim::World world{1};
        Cluster cluster{world, std::move(probe)};
        const auto id = cluster.ring.nearest(kGroup, 1)[0].id();
        for (std::size_t i = 0; i < cluster.nodes.size(); ++i) {
            if (cluster.handle(i).id() == id) full = i;
        }
    }
    options.adjust = [full](std::size_t index, PeerProcess::Options& peer) {
        if (index == full) peer.config.divert_primary = -1.0;
    };
    return options;
}

class DivertedCopies : public MisplacedTest {
  protected:
    DivertedCopies() : MisplacedTest{a_full_holder()} {}
};

TEST_F(DivertedCopies, AreFoundThoughNobodyIsLeftWhoPointsToThem) {
    put(5);
    ASSERT_EQ(cluster_.node(holder(0)).status().blocks_diverted, 5U);
    ASSERT_TRUE(get(reader(1), 1));
    world_.run_for(5s);
    EXPECT_EQ(cluster_.node(reader(1)).status().groups_published, 1U) << "the reader itself keeps one of them";
    for (std::size_t rank = 0; rank < 3; ++rank) cluster_.machine(holder(rank)).kill();
    world_.run_for(30s);
    for (std::uint64_t number = 1; number <= 5; ++number) EXPECT_TRUE(get(reader(1), number)) << number;
}

}  // namespace
}  // namespace past::test
