// What an owner gives up goes everywhere, whoever was away when he asked, and wherever copies lay by then.
#include <random>
#include <set>

#include "base/sim/campaign.hpp"
#include "owner.hpp"

namespace past::test {
namespace {

constexpr std::uint64_t kPlaces = 4;
constexpr std::uint64_t kBlocks = 60;

class Story {
  public:
    explicit Story(std::uint64_t seed) : world{seed}, cluster{world, options()}, random_{seed} {}

    static ClusterOptions options() {
        ClusterOptions options;
        options.peers = 6;
        options.reclaim_grace = 20s;
        options.peer.config.check_period = 10s;
        options.peer.config.keep_surplus = 30s;
        options.peer.config.surplus_check = 30s;
        return options;
    }

    /// Blocks come, are wanted anew and are given up, while peers die and come back.
    void go_on(unsigned rounds) {
        for (unsigned round = 0; round < rounds; ++round) {
            ++generation_;
            if (below(4) == 0) harm();
            const auto place = below(kPlaces);
            std::vector<Block> blocks;
            for (auto count = 1 + below(6); count > 0; --count) blocks.push_back(block_at(place, below(kBlocks)));
            if (world.run(cluster.node(0).put(place_of(place), owner.tag(generation_), blocks, Wait::majority,
                                              cluster.in(30s)))) {
                for (const auto& block : blocks) wanted.insert(block.id);
            }
            // Somebody uses blocks again, and may never say what for.
            std::vector<base::Guid> again;
            for (auto count = below(6); count > 0; --count) again.push_back(block_at(place, below(kBlocks)).id);
            if (!again.empty()) {
                const auto held =
                    world.run(cluster.node(0).touch(place_of(place), owner.tag(generation_), again, cluster.in(30s)));
                for (std::size_t i = 0; held && i < again.size(); ++i) {
                    if ((*held)[i] && below(2) == 0) wanted.insert(again[i]);
                }
            }
            if (below(2) == 0) give_some_up();
            if (below(3) == 0) collect();
            world.run_for(std::chrono::milliseconds{below(15'000)});
        }
    }
    void revive() {
        if (down_) cluster.restart(*std::exchange(down_, std::nullopt));
    }
    void give_some_up() {
        for (auto at = wanted.begin(); at != wanted.end();) at = below(3) == 0 ? wanted.erase(at) : std::next(at);
    }
    /// As a prune does: whatever the holders list under an older generation and nobody wants.
    void collect() {
        ++generation_;
        for (std::uint64_t place = 0; place < kPlaces; ++place) {
            BlockQuery query;
            query.place = place_of(place);
            query.tag = owner.tag(UINT64_MAX);
            query.owner = owner.key.public_key();
            query.name_digest = owner.name;
            query.signature = owner.key.sign("pelago list", query.body());
            const auto page = world.run(cluster.node(1).list(query, {}, cluster.in(30s)));
            if (!page) continue;
            std::vector<base::Guid> dead;
            for (const auto& block : page->blocks) {
                if (!wanted.contains(block.id) && block.generation < generation_) dead.push_back(block.id);
            }
            if (dead.empty()) continue;
            (void)world.run(
                cluster.node(1).remove(owner.reclaim(place_of(place), generation_ - 1, dead), cluster.in(30s)));
        }
    }
    /// Where each copy is that nobody wants.
    std::string garbage() {
        std::map<base::Guid, std::string> where;
        for (std::size_t i = 0; i < options().peers; ++i) {
            auto& peer = cluster.peer(i);
            for (const auto& place : peer.store->places()) {
                const auto holders = cluster.shared_ring->nearest(place.place, 3);
                const bool ours =
                    std::ranges::any_of(holders, [&](const auto& node) { return node.id() == cluster.handle(i).id(); });
                for (const auto& id : peer.store->list(place.place, base::Guid{}, SIZE_MAX)) {
                    if (wanted.contains(id)) continue;
                    auto& line = where[id];
                    line += " peer " + std::to_string(i) + (ours ? "" : " (off its place)");
                    for (const auto& tag : peer.store->tags(id)) line += " g" + std::to_string(tag.generation);
                }
            }
        }
        std::string text;
        for (const auto& [id, line] : where) text += "\n" + id.short_hex() + line;
        return text;
    }
    bool all_there() {
        return std::ranges::all_of(wanted, [&](const base::Guid& id) {
            std::size_t copies = 0;
            for (std::size_t i = 0; i < options().peers; ++i) copies += cluster.peer(i).store->has(id) ? 1 : 0;
            return copies >= 3;
        });
    }

    sim::World world;
    Cluster cluster;
    Owner owner;
    std::set<base::Guid> wanted;

  private:
    std::uint64_t below(std::uint64_t bound) { return random_() % bound; }
    static Block block_at(std::uint64_t place, std::uint64_t number) { return make_block(place * kBlocks + number); }
    void harm() {
        if (down_) return revive();
        down_ = 2 + below(4);
        if (below(2) == 0) {
            cluster.kill(*down_);
        } else {
            cluster.power_off(*down_);
        }
    }

    std::mt19937_64 random_;
    std::optional<std::size_t> down_;
    std::uint64_t generation_ = 1;
};

TEST(Garbage, OfWhatIsGivenUpNothingIsLeftAnywhere) {
    const auto campaign = sim::with_environment({.seeds = 20});
    for (auto seed = campaign.first_seed; seed < campaign.first_seed + campaign.seeds; ++seed) {
        Story story{seed};
        story.go_on(60);
        story.revive();
        story.world.run_for(3min);
        for (int i = 0; i < 2; ++i) {
            story.collect();
            story.world.run_for(5min);
        }
        EXPECT_EQ(story.garbage(), "") << "seed " << seed;
        EXPECT_TRUE(story.all_there()) << "seed " << seed;
    }
}

}  // namespace
}  // namespace past::test
