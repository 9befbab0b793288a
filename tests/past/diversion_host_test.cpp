// Who keeps copies in another's stead: what others make of it while it is away, hangs, or becomes a holder itself.
#include "diversion_world.hpp"

namespace past::test {
namespace {

constexpr std::uint64_t kBlocks = 10;

/// Nine peers. The nearest to the group diverts all that it is to hold, and all of it to one neighbour.
class DiversionHost : public testing::Test {
  protected:
    DiversionHost() {
        auto options = quick_options();
        options.repair_after = 5min;
        options.peer.config.diverted_forgiveness = Config{}.diverted_forgiveness;
        {  // who is how near follows from the seed
            sim::World probe{1};
            Cluster first{probe, options};
            for (std::size_t rank = 0; rank < options.peers; ++rank) by_rank_.push_back(index_of(first, rank));
        }
        full_ = by_rank_[0];
        diversion_host_ = by_rank_[3];
        options.adjust = [this](std::size_t index, PeerProcess::Options& peer) {
            if (index == full_) peer.config.divert_primary = -1.0;
            if (index != diversion_host_) return;
            peer.store.capacity_bytes *= 2;  // so it has most room
            peer.config.repair_floor_bytes_per_second = 100;
        };
        cluster_ = std::make_unique<Cluster>(world_, options);
    }
    void SetUp() override {
        std::vector<Block> blocks;
        for (std::uint64_t number = 1; number <= kBlocks; ++number) blocks.push_back(make_block(number));
        ASSERT_TRUE(cluster_->put(by_rank_[8], kGroup, blocks, Wait::full));
        ASSERT_EQ(cluster_->node(full_).status().blocks_diverted, kBlocks);
        ASSERT_EQ(cluster_->node(diversion_host_).status().blocks_for_others, kBlocks);
        ASSERT_TRUE(world_.run_until([&] { return cluster_->whole(); }, 1min));
        world_.run_for(10s);  // a review at least
    }
    static std::size_t index_of(Cluster& cluster, std::size_t rank) {
        const auto node = cluster.ring.nearest(kGroup, rank + 1)[rank];
        std::size_t index = 0;
        while (cluster.handle(index) != node) ++index;
        return index;
    }
    void put_on_disk(std::size_t peer, std::uint64_t first, std::uint64_t count) {
        std::vector<Block> blocks;
        for (auto number = first; number < first + count; ++number) blocks.push_back(make_block(number));
        auto& store = *cluster_->peer(peer).store;
        ASSERT_TRUE(*cluster_->machine(peer).run(store.put(kGroup, test_tag(), std::move(blocks))));
    }
    std::uint64_t bytes_moved() {
        const auto sum = cluster_->total();
        return sum.bytes_repaired + sum.bytes_handed_over;
    }
    bool each_holder_says_short(std::uint64_t blocks) {
        const auto holders = std::span{by_rank_}.first(3);
        return std::ranges::all_of(
            holders, [&](std::size_t holder) { return cluster_->node(holder).status().blocks_short == blocks; });
    }
    /// How many of the blocks `peer` has on its own disk.
    std::uint64_t on_disk(std::size_t peer, std::uint64_t first = 1) {
        std::uint64_t count = 0;
        for (auto number = first; number < first + kBlocks; ++number) {
            count += cluster_->peer(peer).store->has(make_block(number).id) ? 1 : 0;
        }
        return count;
    }

    /// Of one that the diversion host has nothing to do with.
    std::uint64_t number_of_group(const std::function<bool(const std::vector<pastry::NodeHandle>&)>& is_wanted) {
        for (std::uint64_t number = 2;; ++number) {
            const auto holders = cluster_->ring.nearest(group_of(number), 3);
            if (is_wanted(holders) && std::ranges::find(holders, cluster_->handle(diversion_host_)) == holders.end())
                return number;
        }
    }

    sim::World world_{1};
    std::vector<std::size_t> by_rank_;
    std::unique_ptr<Cluster> cluster_;
    std::size_t full_ = 0, diversion_host_ = 0;
};

TEST_F(DiversionHost, ThatIsAwayMakesNobodyLetGoOfACopy) {
    cluster_->kill(diversion_host_);
    const auto surplus = by_rank_[4];
    put_on_disk(surplus, 1, kBlocks);
    world_.run_for(4min);
    EXPECT_EQ(on_disk(surplus), kBlocks) << "there are two others";
    EXPECT_TRUE(
        world_.run_until([&] { return on_disk(surplus) == 0 || cluster_->node(surplus).status().blocks == 0; }, 10min))
        << "once the holder was given them again, and has another keeper";
    for (std::uint64_t number = 1; number <= kBlocks; ++number) EXPECT_GE(cluster_->copies(number), 3U);
}

TEST_F(DiversionHost, ThatIsAwayHasCopiesThatAreShortUntilItIsBackAndNothingMoves) {
    const auto before = bytes_moved();
    cluster_->kill(diversion_host_);
    EXPECT_TRUE(world_.run_until([&] { return each_holder_says_short(kBlocks); }, 10s));
    world_.run_for(4min);
    EXPECT_TRUE(each_holder_says_short(kBlocks));
    cluster_->restart(diversion_host_);
    EXPECT_TRUE(world_.run_until([&] { return cluster_->whole(); }, 30s));
    world_.run_for(5min);
    EXPECT_TRUE(cluster_->whole());
    EXPECT_EQ(bytes_moved(), before);
}

// Far away there is no ring that would notice.
TEST_F(DiversionHost, ThatOnlyHangsIsFoundOutByTwoReviews) {
    cluster_->machine(diversion_host_).pause();
    world_.run_for(3s);
    EXPECT_TRUE(each_holder_says_short(0));
    EXPECT_TRUE(world_.run_until([&] { return each_holder_says_short(kBlocks); }, 45s));
    cluster_->machine(diversion_host_).resume();
    EXPECT_TRUE(world_.run_until([&] { return cluster_->whole(); }, 45s));
}

TEST_F(DiversionHost, ThatHangsDoesNotHoldUpTheRepairOfOtherGroups) {
    const auto other = number_of_group([&](const auto& holders) { return holders[0] == cluster_->handle(full_); });
    cluster_->machine(diversion_host_).pause();
    const auto loser = by_rank_[2];
    std::vector<base::Guid> ids;
    for (std::uint64_t number = 1; number <= kBlocks; ++number) ids.push_back(make_block(number).id);
    ASSERT_TRUE(*cluster_->machine(loser).run(cluster_->peer(loser).store->discard(ids)));
    world_.run_for(8s);  // it is to send them, and must ask for each
    auto& store = *cluster_->peer(full_).store;
    const std::vector<Block> alone{make_block(401)};
    ASSERT_TRUE(*cluster_->machine(full_).run(store.put(group_of(other), test_tag(), alone)));
    EXPECT_TRUE(world_.run_until([&] { return cluster_->copies(401) == 3; }, 25s));
}

/// Of the requests that a peer gets, those that store something.
std::optional<StoreRequest> store_request(const sim::Letter& letter) {
    const bool stores = letter.kind == sim::Letter::Kind::request && letter.content &&
                        letter.content->verb() == static_cast<std::uint8_t>(Verb::store);
    if (!stores) return std::nullopt;
    return *decode<StoreRequest>(letter.content->header);
}

// Until the one for whom it keeps them has stopped to count them, which may take as long as that one is away.
TEST_F(DiversionHost, ThatBecomesAHolderIsSentAllButWhatItKeeps) {
    for (const auto holder : std::span{by_rank_}.first(3)) put_on_disk(holder, 101, kBlocks);
    std::set<base::Guid> kept;
    for (std::uint64_t number = 1; number <= kBlocks; ++number) kept.insert(make_block(number).id);
    std::size_t in_vain = 0;
    world_.network().set_liar(cluster_->nodes[diversion_host_], [&](sim::Letter& letter) {
        const auto request = store_request(letter);
        if (!request || letter.to != cluster_->nodes[diversion_host_]) return;
        in_vain += std::ranges::any_of(request->ids, [&](const auto& id) { return kept.contains(id); }) ? 1 : 0;
    });
    cluster_->kill(by_rank_[1]);
    world_.run_for(4min);
    world_.network().cut(cluster_->nodes[full_], cluster_->nodes[diversion_host_]);
    EXPECT_TRUE(world_.run_until([&] { return on_disk(diversion_host_, 101) == kBlocks; }, 2min));
    world_.run_for(1min);
    EXPECT_EQ(cluster_->node(diversion_host_).status().blocks_for_others, kBlocks);
    EXPECT_EQ(in_vain, 0U);
    world_.network().heal();
    EXPECT_TRUE(world_.run_until([&] { return cluster_->node(diversion_host_).status().blocks == 2 * kBlocks; }, 2min));
    EXPECT_EQ(cluster_->node(diversion_host_).status().blocks_for_others, 0U) << "they are its own now";
    EXPECT_EQ(in_vain, 0U);
}

base::Task<void> keep_asking(Cluster* cluster, std::size_t peer, base::TimePoint until) {
    const auto missing = make_block(999).id;
    while (cluster->world.now() < until) (void)co_await cluster->node(peer).get(kGroup, missing, until);
}

TEST_F(DiversionHost, TakesWhatRepairBroughtAfterItsClients) {
    std::vector<Cause> causes;
    world_.network().set_liar(cluster_->nodes[diversion_host_], [&](sim::Letter& letter) {
        const auto request = store_request(letter);
        if (request && letter.to == cluster_->nodes[diversion_host_]) causes.push_back(request->cause);
    });
    const auto store = [&](std::size_t from, std::size_t to, std::uint64_t number, Cause cause) {
        const StoreRequest request{kGroup, {test_tag()}, {make_block(number).id}, {1000}, cause};
        const auto before = world_.now();
        EXPECT_TRUE(ask_as(*cluster_, from, to, Verb::store, encode(request), make_block(number).bytes));
        return world_.now() - before;
    };
    std::uint64_t number = 201;
    for (const auto cause : {Cause::put, Cause::repair, Cause::handover}) store(by_rank_[1], full_, number++, cause);
    EXPECT_EQ(causes, (std::vector{Cause::diversion, Cause::diverted_repair, Cause::diverted_repair}));

    cluster_->machine(by_rank_[1]).pause();  // so a client's question lasts
    cluster_->machine(diversion_host_).spawn(keep_asking(cluster_.get(), diversion_host_, cluster_->in(1min)));
    world_.run_for(1s);
    store(full_, diversion_host_, number++, Cause::diverted_repair);  // the next is not before the floor allows it
    EXPECT_LT(store(full_, diversion_host_, number++, Cause::diversion), 1s);
    EXPECT_GT(store(full_, diversion_host_, number++, Cause::diverted_repair), 5s);
}

}  // namespace
}  // namespace past::test
