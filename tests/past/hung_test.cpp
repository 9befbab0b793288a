// Peers that hang: their connections stay, nothing comes. What that costs a caller the first time, and the second.
#include "base/error.hpp"
#include "cluster.hpp"

namespace past::test {
namespace {

const base::Guid kKey = group_of(4711);

/// Five peers, of which two hang.
class Hung : public ::testing::Test {
  protected:
    void begin(ClusterOptions options) { cluster_.emplace(world_, std::move(options)); }
    void hang(std::vector<std::size_t> peers) {
        for (const auto peer : peers) cluster_->machine(peer).pause();
    }
    /// The peers by their distance from the place of block 1.
    std::vector<std::size_t> ranked() {
        std::vector<std::size_t> by_rank;
        for (const auto& node : cluster_->ring.nearest(group_of(1), 5)) {
            std::size_t index = 0;
            while (cluster_->handle(index).id() != node.id()) ++index;
            by_rank.push_back(index);
        }
        return by_rank;
    }
    template <class Action>
    base::Duration time_of(Action action) {
        const auto begun = world_.now();
        action();
        return world_.now() - begun;
    }
    void write(std::size_t from, std::uint64_t sequence) {
        auto record = make_record(sequence, "record");
        const auto done = *cluster_->machine(from).run(
            cluster_->node(from).write_record(kKey, sequence - 1, std::move(record), cluster_->in(30s)));
        EXPECT_TRUE(done) << sequence << ": " << done.error().message();
    }
    void read(std::size_t from, std::uint64_t sequence) {
        const auto found = *cluster_->machine(from).run(cluster_->node(from).read_record(kKey, cluster_->in(30s)));
        ASSERT_TRUE(found && *found) << sequence;
        EXPECT_EQ((*found)->sequence, sequence);
    }

    sim::World world_{1};
    std::optional<Cluster> cluster_;
};

// What nobody notices: the ring believes that all are well, as it does for a while after each hang.
TEST_F(Hung, MembersOfARegisterThatMayBeDoneWithoutAreNotWaitedFor) {
    begin({});
    write(0, 1);
    hang({3, 4});
    for (std::uint64_t sequence = 2; sequence <= 6; ++sequence) {
        const std::size_t writer = sequence % 3;
        EXPECT_LT(time_of([&] { write(writer, sequence); }), 1s) << sequence;
        EXPECT_LT(time_of([&] { read((writer + 1) % 3, sequence); }), 1s) << sequence;
    }
}

// A writer that was outbid learns the greater ballot from those who answer, and does not wait for those known to be
// away.
TEST_F(Hung, AWriterThatOthersOutbidTriesAgainWithoutThem) {
    begin({});
    write(0, 1);
    hang({3, 4});
    for (const std::size_t peer : {3U, 4U}) cluster_->ring.leave(cluster_->handle(peer), world_.now());
    for (std::uint64_t counter = 100; counter < 103; ++counter) {
        for (const std::size_t member : {1U, 2U}) {
            PrepareRequest request;
            request.key = kKey;
            request.ballot.counter = counter;
            base::Message message{base::Service::past, static_cast<std::uint8_t>(Verb::prepare), encode(request)};
            auto& from = cluster_->machine(0);
            const auto promised = from.run(from.env().transport.request(cluster_->machine(member).address(),
                                                                        std::move(message), cluster_->in(5s)));
            ASSERT_TRUE(*promised);
        }
        const std::uint64_t sequence = counter - 98;
        EXPECT_LT(time_of([&] { write(0, sequence); }), 1s) << sequence;
    }
}

/// Over Pastry with the times of a node on the Internet: a neighbour is looked after every 30 s.
ClusterOptions over_pastry() {
    ClusterOptions options;
    options.peer.overlay = pastry::Config{};
    options.peer.config.repair = false;
    return options;
}

// Whoever owes a command an answer is looked after by the ring; once it is known to hang nobody waits for it.
TEST_F(Hung, PeersCostTheFirstCommandsSomeSecondsAndTheNextOnesNone) {
    begin(over_pastry());
    for (std::uint64_t number = 1; number <= 10; ++number) ASSERT_TRUE(cluster_->put(0, number));
    write(0, 1);
    hang({3, 4});
    const std::vector<base::Guid> ids{make_block(1).id};
    const auto everything = [&](std::uint64_t round) {
        for (std::uint64_t number = 1; number <= 10; ++number) EXPECT_TRUE(cluster_->get(0, number)) << number;
        for (std::uint64_t number = 1; number <= 10; ++number) {
            const auto outcome = cluster_->put(1, 10 * round + number);
            EXPECT_TRUE(outcome && outcome->copies_stored == 3) << number;
        }
        auto task = cluster_->node(2).touch(group_of(1), test_tag(), ids, cluster_->in(30s));
        EXPECT_TRUE(*cluster_->machine(2).run(std::move(task)));
        write(0, 1 + round);
        read(1, 1 + round);
    };
    EXPECT_LT(time_of([&] { everything(1); }), 22s) << "ten for each that hangs: once";
    EXPECT_LT(time_of([&] { everything(2); }), 2s);
}

// What hung holders have counts for nothing, so it is stored again: a backup goes on.
TEST_F(Hung, WhatOnlyHungHoldersHaveIsNotThere) {
    begin({});
    const auto by_rank = ranked();
    ASSERT_TRUE(cluster_->put(0, 1));
    hang({by_rank[0], by_rank[1]});
    const auto touch = [&](std::size_t from) {
        auto task = cluster_->node(from).touch(group_of(1), test_tag(), {make_block(1).id}, cluster_->in(30s));
        return *cluster_->machine(from).run(std::move(task));
    };
    const auto held = touch(by_rank[3]);
    ASSERT_TRUE(held) << held.error().message();
    EXPECT_FALSE(held->front());
    EXPECT_TRUE(cluster_->put(by_rank[3], 1, Wait::majority));
    EXPECT_TRUE(touch(by_rank[3])->front()) << "two that answer have it: a holder and who stands in for one";
    EXPECT_TRUE(touch(by_rank[2])) << "a holder itself, whom no other holder answers, but who can hear stand-ins";
    hang({by_rank[2]});
    EXPECT_TRUE(touch(by_rank[3])) << "stand-ins answer";
    hang({by_rank[4]});
    EXPECT_EQ(touch(by_rank[3]).error(), Errc::holders_unreachable) << "alone";
}

// A spare that hangs as well, and was found out while the holder before it was waited for.
TEST_F(Hung, ASpareThatIsKnownToHangGetsNoSecondTimeOut) {
    begin({});
    const auto by_rank = ranked();
    const std::vector<std::size_t> hung{by_rank[0], by_rank[3]};  // a holder, and the first who would stand in for one
    hang(hung);
    for (const auto peer : hung) {
        const auto gone = cluster_->handle(peer);
        world_.after(3s, [this, gone] { cluster_->ring.leave(gone, world_.now()); });
    }
    EXPECT_LT(time_of([&] { EXPECT_EQ(cluster_->put(by_rank[1], 1)->copies_stored, 3U); }), 6s);
}

TEST_F(Hung, WhoOnlyIsSlowIsNotDeclaredDead) {
    begin(over_pastry());
    const auto slow = cluster_->nodes[3];
    for (std::size_t i = 0; i < 5; ++i) {
        if (i != 3) world_.network().set_latency(cluster_->nodes[i], slow, 1200ms);
    }
    for (std::uint64_t number = 1; number <= 20; ++number) EXPECT_TRUE(cluster_->put(0, number)) << number;
    for (std::size_t i = 0; i < 3; ++i) EXPECT_TRUE(cluster_->peer(i).kbr->absent().empty()) << i;
}

}  // namespace
}  // namespace past::test
