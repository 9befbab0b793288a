// One acceptor by itself, as the proof in docs/formats/register.md takes it to be.
#include "cluster.hpp"
#include "pastry/alone.hpp"
#include "registers/registers.hpp"

namespace past::test {
namespace {

class AcceptorTest : public ::testing::Test {
  protected:
    AcceptorTest() {
        SegmentStore::Config config;
        config.capacity_bytes = 1U << 30U;
        store = **machine.run(SegmentStore::open(machine.env(), std::move(config)));
        pastry::NodeHandle self{{base::node_id(base::SigningKey{base::Key{9}}.public_key(), {}), ""}, ""};
        kbr = std::make_unique<pastry::Alone>(machine.env(), std::move(self));
        context = std::make_unique<Context>(machine.env(), *kbr, *store, membership, &verify_record, Config{});
        genesis.emplace(context->self());
        genesis->replace({});  // it is the only one
        acceptor.emplace(*context, *genesis);
    }
    ~AcceptorTest() override { machine.run(store->close()); }

    static Ballot ballot(std::uint64_t counter) {
        Ballot out;
        out.counter = counter;
        return out;
    }
    RegisterValue value(std::uint64_t sequence) {
        RegisterValue out;
        out.record = make_record(sequence, "some");
        out.members = {{context->self(), ""}};
        return out;
    }
    bool promises(std::uint64_t counter) {
        PrepareRequest request;
        request.key = kKey;
        request.ballot = ballot(counter);
        return (*machine.run(acceptor->prepare(std::move(request))))->done;
    }
    bool accepts(std::uint64_t counter, std::uint64_t sequence) {
        AcceptRequest request;
        request.key = kKey;
        request.ballot = ballot(counter);
        request.value = value(sequence);
        return (*machine.run(acceptor->accept(std::move(request))))->done;
    }
    void learns(std::uint64_t counter, std::uint64_t sequence) {
        RegisterState state;
        state.promised = state.accepted = ballot(counter);
        state.value = value(sequence);
        ASSERT_TRUE(*machine.run(acceptor->learn(kKey, std::move(state))));
    }
    RegisterState state() { return acceptor->state(kKey)->state; }

    static inline const base::Guid kKey = group_of(4711);
    sim::World world{1};
    sim::Node& machine = world.add_node();
    MembershipView membership;
    std::unique_ptr<SegmentStore> store;
    std::unique_ptr<pastry::Alone> kbr;
    std::unique_ptr<Context> context;
    std::optional<Genesis> genesis;
    std::optional<Acceptor> acceptor;
};

TEST_F(AcceptorTest, WhatATeacherAcceptedBelowAPromiseTakesThePromiseNotBack) {
    ASSERT_TRUE(promises(50));
    learns(10, 1);
    EXPECT_EQ(state().promised.counter, 50U);
    EXPECT_FALSE(state().value) << "a proposer was told, by that promise, that we had accepted nothing";
    EXPECT_FALSE(promises(49));
    EXPECT_FALSE(accepts(49, 1));
    EXPECT_FALSE(accepts(10, 1));
    EXPECT_TRUE(accepts(50, 1));
}

TEST_F(AcceptorTest, WhatATeacherAcceptedAboveAPromiseIsTakenOverLikeAProposersOwnMessage) {
    ASSERT_TRUE(promises(50));
    learns(60, 3);
    EXPECT_EQ(state().promised.counter, 60U);
    EXPECT_EQ(state().accepted.counter, 60U);
    ASSERT_TRUE(state().value);
    EXPECT_EQ(state().value->record.sequence, 3U);
    EXPECT_FALSE(promises(59));
    learns(55, 2);
    EXPECT_EQ(state().value->record.sequence, 3U) << "an older one changes nothing";
    EXPECT_TRUE(promises(70));
    learns(65, 4);
    EXPECT_EQ(state().accepted.counter, 60U) << "a proposer was told, by the promise of 70, that we had accepted 60";
    EXPECT_EQ(state().value->record.sequence, 3U);
    EXPECT_EQ(state().promised.counter, 70U);
}

}  // namespace
}  // namespace past::test
