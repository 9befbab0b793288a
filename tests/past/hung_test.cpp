// Peers that hang: their connections stay, nothing comes. What that costs a caller the first time, and the second.
#include "base/error.hpp"
#include "cluster.hpp"

namespace past::test {
namespace {

const base::Guid kKey = place_of(4711);

/// Five peers, of which two hang.
class Hung : public ::testing::Test {
  protected:
    void begin(ClusterOptions options) { cluster_.emplace(world_, std::move(options)); }
    void hang(std::vector<std::size_t> peers) {
        for (const auto peer : peers) cluster_->machine(peer).pause();
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

}  // namespace
}  // namespace past::test
