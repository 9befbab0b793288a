// Replica diversion between nodes: nine peers, of which the nearest to the group has its neighbours keep its copies.
#pragma once

#include "messages_of.hpp"
#include "owner.hpp"

namespace past::test {

constexpr std::uint64_t kGroupNumber = 1;
inline const base::Guid kGroup = group_of(kGroupNumber);

inline ClusterOptions quick_options() {
    ClusterOptions options;
    options.peers = 9;
    options.repair_after = 30s;
    options.peer.config.check_period = 5s;
    options.peer.config.recheck_period = 1s;
    options.peer.config.quiet_period = 1s;
    options.peer.config.patience = 3s;
    options.peer.config.discard_grace = 5s;
    options.peer.config.keep_surplus = 0s;
    options.peer.config.review_period = 5s;
    options.peer.config.diverted_forgiveness = 10s;
    return options;
}

/// Nine peers; the nearest to the group keeps nothing itself as long as a neighbour takes it.
class Diversion : public testing::Test {
  protected:
    explicit Diversion(ClusterOptions options = quick_options()) {
        // Who is nearest is known once the peers have their ids: those follow from the seed.
        {
            sim::World probe{1};
            Cluster first{probe, options};
            full_ = nearest(first, 0);
        }
        options.adjust = [full = full_](std::size_t index, PeerProcess::Options& peer) {
            if (index == full) peer.config.divert_primary = -1.0;
        };
        world_ = std::make_unique<sim::World>(1);
        cluster_ = std::make_unique<Cluster>(*world_, options);
    }
    static std::size_t nearest(Cluster& cluster, std::size_t rank) {
        const auto id = cluster.ring.nearest(kGroup, rank + 1)[rank].id();
        for (std::size_t i = 0; i < cluster.nodes.size(); ++i) {
            if (cluster.handle(i).id() == id) return i;
        }
        return cluster.nodes.size();
    }
    base::Result<PutOutcome> put(std::uint64_t first, std::uint64_t count) {
        std::vector<Block> blocks;
        for (auto number = first; number < first + count; ++number) blocks.push_back(make_block(number));
        return cluster_->put(reader(), kGroup, std::move(blocks), Wait::full);
    }
    base::Result<base::SharedBytes> get(std::uint64_t number) {
        auto& peer = cluster_->machine(reader());
        return *peer.run(cluster_->node(reader()).get(kGroup, make_block(number).id, cluster_->in(30s)));
    }
    /// A peer that keeps nothing of the group, unless it is diverted there: the farthest of those that are up.
    std::size_t reader() {
        const auto up = cluster_->ring.nearest(kGroup, cluster_->nodes.size());
        return nearest(*cluster_, up.size() - 1);
    }
    /// Who has the copies that the full one diverted.
    std::set<std::size_t> diversion_hosts() {
        std::set<std::size_t> diversion_hosts;
        for (std::size_t i = 0; i < cluster_->nodes.size(); ++i) {
            if (cluster_->machine(i).running() && cluster_->node(i).status().blocks_for_others > 0)
                diversion_hosts.insert(i);
        }
        return diversion_hosts;
    }
    bool at_rest(std::size_t copies = 3) {
        for (const auto number : numbers_) {
            if (cluster_->copies(number) != copies) return false;
        }
        const auto sum = cluster_->total();
        return cluster_->whole() && sum.blocks_to_hand_over == 0 && sum.blocks_diverted == sum.blocks_for_others;
    }
    bool comes_to_rest(std::size_t copies = 3) {
        return world_->run_until([&] { return at_rest(copies); }, 30min);
    }
    void put_some() {
        const auto outcome = put(1, 10);
        ASSERT_TRUE(outcome) << outcome.error().message();
        EXPECT_EQ(outcome->copies_stored, 3U);
        for (std::uint64_t number = 1; number <= 10; ++number) numbers_.insert(number);
        ASSERT_EQ(cluster_->node(full_).status().blocks_diverted, 10U);
        ASSERT_FALSE(diversion_hosts().empty());
    }

    /// From where the full one is, which nobody has noticed; the holder after it is there.
    void hang_all_but(std::set<std::size_t> some) {
        some.insert({full_, nearest(*cluster_, 1)});
        for (std::size_t i = 0; i < cluster_->nodes.size(); ++i) {
            if (!some.contains(i)) world_->network().cut(cluster_->nodes[full_], cluster_->nodes[i]);
        }
    }
    base::Result<base::Message> store_at_full(std::uint64_t first, std::uint64_t count,
                                              const base::Guid& group = kGroup) {
        StoreRequest request{group, {test_tag()}, {}, {}, Cause::put};
        base::Bytes payload;
        for (auto number = first; number < first + count; ++number) {
            const auto block = make_block(number);
            request.ids.push_back(block.id);
            request.lengths.push_back(static_cast<std::uint32_t>(block.bytes.size()));
            payload.insert(payload.end(), block.bytes.view().begin(), block.bytes.view().end());
        }
        return ask_as(*cluster_, nearest(*cluster_, 1), full_, Verb::store, encode(request),
                      base::SharedBytes{std::move(payload)});
    }

    std::size_t full_ = 0;
    std::unique_ptr<sim::World> world_;
    std::unique_ptr<Cluster> cluster_;
    std::set<std::uint64_t> numbers_;
};

}  // namespace past::test
