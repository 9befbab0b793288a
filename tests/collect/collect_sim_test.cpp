// Two hosts back up, forget and prune one volume, with contents that go and come back, while clients and peers die:
// whatever is listed can be read, and what nobody needs is given back (docs/decisions/garbage-collection.md).
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

#include "base/error.hpp"
#include "base/sim/campaign.hpp"
#include "collect/hosts.hpp"
#include "gc/walk.hpp"
#include "objstore/archive/backup.hpp"
#include "objstore/gc/prune.hpp"
#include "objstore/gc/repack.hpp"

namespace collect_test {
namespace {

using objstore::Snapshot;
namespace archive = objstore::archive;

constexpr std::size_t kFiles = 24;
constexpr std::uint32_t kContents = 30;  // so that nearly all that goes comes back

struct Counts {
    unsigned backups = 0, passed_by_twice = 0, forgets = 0, prunes = 0, killed = 0, failed = 0;
    std::uint64_t repacked = 0;
    std::uint64_t released = 0;
};

/// A command of its own process: it opens the volume, does one thing, and may be killed on the way.
enum class Verb { backup, forget, prune, prune_at_once };

Task<Result<void>> back_up(Host* host, Counts* counts) {
    BASE_CO_TRY(const auto volume, co_await open_volume(host));
    archive::BackupOptions options;
    options.paths = {"/src"};
    options.host = host->name;
    options.cache_path = host->name + "/dedup";
    const auto report = co_await archive::backup(host->env, host->tree, *volume, std::move(options));
    if (!report && report.error() == objstore::Errc::collected) ++counts->passed_by_twice;
    if (!report) co_return report.error();
    ++counts->backups;
    co_return base::ok();
}

Task<Result<void>> forget_one(Host* host, Counts* counts, std::uint64_t draw) {
    BASE_CO_TRY(const auto volume, co_await open_volume(host));
    BASE_CO_TRY(const auto snapshots, co_await volume->snapshots());
    if (snapshots.size() < 2) co_return base::ok();
    std::vector<base::Guid> ids{snapshots[draw % snapshots.size()].id()};
    BASE_CO_CHECK(co_await volume->forget(std::move(ids)));
    ++counts->forgets;
    co_return base::ok();
}

Task<Result<void>> collect(Host* host, Counts* counts, bool at_once) {
    BASE_CO_TRY(const auto volume, co_await open_volume(host));
    objstore::gc::RepackOptions all;
    all.max_unused = 0;
    all.cache_path = host->name + "/dedup";
    std::function<void(const objstore::gc::RepackProgress&)> quietly;
    BASE_CO_TRY(const auto repacked, co_await objstore::gc::repack(*volume, std::move(all), std::move(quietly)));
    counts->repacked += repacked.packs;
    objstore::gc::PruneOptions options;
    options.at_once = at_once;
    BASE_CO_TRY(const auto report, co_await objstore::gc::prune(*volume, options));
    ++counts->prunes;
    counts->released += report.blocks_released;
    co_return base::ok();
}

/// One after another, until one fails.
Task<void> run_commands(Host* host, Counts* counts, std::vector<Verb> verbs, std::uint64_t draw) {
    for (const auto verb : verbs) {
        Result<void> done = base::ok();
        switch (verb) {
            case Verb::backup: done = co_await back_up(host, counts); break;
            case Verb::forget: done = co_await forget_one(host, counts, draw++); break;
            case Verb::prune: done = co_await collect(host, counts, false); break;
            case Verb::prune_at_once: done = co_await collect(host, counts, true); break;
        }
        counts->failed += done ? 0 : 1;
        if (!done) break;
    }
}

class Story {
  public:
    Story(std::uint64_t seed, Planted planted)
        : world{seed}, cluster{world, cluster_options()}, random_{seed}, harm_{cluster} {
        for (std::size_t i = 0; i < 2; ++i) {
            hosts.push_back(std::make_unique<Host>("host" + std::to_string(i), world.env(), cluster.node(i), planted));
            auto& host = *hosts.back();
            host.tree.set_time([&host] { return ++host.ticks; });
            for (std::size_t file = 0; file < kFiles; ++file) change(host, file);
        }
    }

    /// Both hosts at once, command after command, and a peer that dies and comes back now and then.
    void go_on(unsigned rounds) {
        for (unsigned round = 0; round < rounds; ++round) {
            if (below(4) == 0) harm_.strike(random_());
            base::TaskGroup commands{world.env().executor};
            for (auto& host : hosts) {
                for (auto changes = below(4); changes > 0; --changes) change(*host, below(kFiles));
                std::vector<Verb> verbs;
                for (auto commands_left = 1 + below(5); commands_left > 0; --commands_left) {
                    const auto draw = below(10);
                    verbs.push_back(draw < 4   ? Verb::backup
                                    : draw < 7 ? Verb::forget
                                    : draw < 9 ? Verb::prune
                                               : Verb::prune_at_once);
                }
                commands.spawn(run_commands(host.get(), &counts, std::move(verbs), random_()));
            }
            if (below(3) == 0) {
                world.run_for(std::chrono::milliseconds{below(10'000)});
                counts.killed += commands.running() > 0 ? 1 : 0;
                commands.cancel();
            }
            world.run(commands.join());
            world.run_for(std::chrono::milliseconds{below(15'000)});
        }
    }

    /// Everybody is up and nothing is under way.
    void settle() {
        harm_.revive();
        world.run_for(3min);
    }

    /// "" if each snapshot that is listed can be read to its last byte.
    std::string check() {
        auto& host = *hosts[0];
        const auto volume = world.run(open_volume(&host));
        if (!volume) return "the volume does not open: " + volume.error().message();
        const auto snapshots = world.run((*volume)->snapshots());
        if (!snapshots || (*volume)->damage()) return "the list of snapshots is damaged";
        for (const auto& snapshot : *snapshots) {
            const auto read = world.run(read_all(volume->get(), snapshot));
            if (!read) return "snapshot of " + snapshot.host + ": " + read.error().message();
        }
        listed = snapshots->size();
        return "";
    }

    /// Ids of all blocks that any peer holds.
    std::set<base::Guid> held() {
        std::set<base::Guid> ids;
        for (std::size_t i = 0; i < kPeers; ++i) {
            const auto& store = *cluster.peer(i).store;
            for (const auto& summary : store.groups()) {
                for (const auto& id : store.list(summary.group, base::Guid{}, SIZE_MAX)) ids.insert(id);
            }
        }
        return ids;
    }
    /// The first leaves what was stored since the newest state, and copies off their places that nobody lists: these
    /// hear of reclaims, or come to their holders, when they are compared, every ten minutes. The second takes the
    /// rest.
    Result<void> prune_all() {
        for (int i = 0; i < 2; ++i) {
            BASE_CHECK(world.run(collect(hosts[0].get(), &counts, false)));
            world.run_for(25min);
        }
        return base::ok();
    }
    /// Ids of all blocks that the newest state leads to.
    std::set<base::Guid> needed() {
        const auto volume = world.run(open_volume(hosts[0].get())).value();
        std::set<base::Guid> ids;
        objstore::gc::WalkHooks hooks;
        hooks.meet = [&ids](const objstore::BlockRef& ref) { return ids.insert(ref.id).second; };
        const auto walked = world.run(objstore::gc::walk(volume->env(), volume->storage(), volume->keys().tag,
                                                         volume->roots(), std::move(hooks)));
        EXPECT_TRUE(walked);
        return ids;
    }
    /// Where each block is that is held and not needed, and under which generations.
    std::string garbage(const std::set<base::Guid>& needed) {
        std::string text;
        const auto volume = world.run(open_volume(hosts[0].get())).value();
        text += "state " + std::to_string(volume->state().sequence) + ", collected up to " +
                std::to_string(volume->state().collected);
        std::map<base::Guid, std::string> where;
        for (std::size_t i = 0; i < kPeers; ++i) {
            auto& peer = cluster.peer(i);
            for (const auto& summary : peer.store->groups()) {
                const auto holders = cluster.shared_ring->nearest(summary.group, 3);
                const bool ours =
                    std::ranges::any_of(holders, [&](const auto& node) { return node.id() == cluster.handle(i).id(); });
                for (const auto& id : peer.store->list(summary.group, base::Guid{}, SIZE_MAX)) {
                    if (needed.contains(id)) continue;
                    auto& line = where[id];
                    line += " peer " + std::to_string(i) + (ours ? "" : " (off its place)");
                    for (const auto& tag : peer.store->tags(id)) line += " g" + std::to_string(tag.generation);
                }
            }
        }
        for (const auto& [id, line] : where) text += "\n" + id.short_hex() + line;
        return text;
    }

    sim::World world;
    past::test::Cluster cluster;
    std::vector<std::unique_ptr<Host>> hosts;
    Counts counts;
    std::size_t listed = 0;

  private:
    std::uint64_t below(std::uint64_t bound) { return random_() % bound; }

    void change(Host& host, std::size_t file) {
        const auto content = static_cast<std::uint32_t>(below(kContents));
        host.tree.write("/src/d" + std::to_string(file % 3) + "/f" + std::to_string(file),
                        noise(20'000 + content * 500, content));
    }

    static Task<Result<void>> read_all(Volume* volume, Snapshot snapshot) {
        objstore::TreeCursor cursor{objstore::Tree{volume->reader(), snapshot.root}};
        for (;;) {
            BASE_CO_TRY(const auto items, co_await cursor.next_items());
            if (items.empty()) co_return base::ok();
            for (const auto& item : items) {
                const auto* extent = std::get_if<objstore::Extent>(&item.value);
                if (extent == nullptr || !extent->block) continue;
                BASE_CO_TRY(const auto block, co_await volume->reader().read(extent->block));
                const auto bytes = block->packed.view();
                const bool there = extent->offset + extent->length <= bytes.size();
                const bool right = there && extent->hash &&
                                   *extent->hash == objstore::chunk_hash(volume->keys().epoch,
                                                                         bytes.subspan(extent->offset, extent->length));
                if (!right) co_return base::Error{objstore::Errc::damaged, "an extent names other bytes"};
            }
        }
    }

    std::mt19937_64 random_;
    Harm harm_;
};

std::string tell(std::uint64_t seed, Planted planted, Counts* counts = nullptr) {
    Story story{seed, planted};
    for (int act = 0; act < 3; ++act) {
        story.go_on(8);
        story.settle();
        auto wrong = story.check();
        if (counts != nullptr) *counts = story.counts;
        if (!wrong.empty()) return wrong;
    }
    if (planted != Planted::nothing) return "";
    if (auto pruned = story.prune_all(); !pruned) return "the last prune: " + pruned.error().message();
    auto wrong = story.check();
    if (!wrong.empty()) return "after the last prune: " + wrong;
    const auto held = story.held(), needed = story.needed();
    if (!std::ranges::includes(held, needed)) return "less is held than is needed";
    if (held.size() > needed.size()) return "garbage is left: " + story.garbage(needed);
    return "";
}

TEST(Collecting, WhatIsListedCanBeReadWhoeverIsKilledWhen) {
    Counts all;
    const auto campaign = sim::with_environment({.seeds = 20});
    for (auto seed = campaign.first_seed; seed < campaign.first_seed + campaign.seeds; ++seed) {
        Counts counts;
        EXPECT_EQ(tell(seed, Planted::nothing, &counts), "") << "seed " << seed << ": PELAGO_SEED=" << seed;
        all.backups += counts.backups;
        all.passed_by_twice += counts.passed_by_twice;
        all.forgets += counts.forgets;
        all.prunes += counts.prunes;
        all.killed += counts.killed;
        all.failed += counts.failed;
        all.repacked += counts.repacked;
        all.released += counts.released;
    }
    std::printf(
        "%u backups, %u that prunes took blocks of twice, %u forgets, %u prunes, %llu blocks released, %llu packs "
        "replaced, %u killed, %u failed\n",
        all.backups, all.passed_by_twice, all.forgets, all.prunes, static_cast<unsigned long long>(all.released),
        static_cast<unsigned long long>(all.repacked), all.killed, all.failed);
    if (campaign.seeds < 10) return;
    EXPECT_GT(all.backups, 15 * campaign.seeds);
    EXPECT_GT(all.released, 100 * campaign.seeds) << "nothing was at stake";
    EXPECT_GT(all.repacked, 5 * campaign.seeds);
    EXPECT_GT(all.killed, campaign.seeds);
}

/// How many of ten seeds go wrong.
unsigned noticed(Planted planted) {
    unsigned wrong = 0;
    for (std::uint64_t seed = 1; seed <= 10; ++seed) wrong += tell(seed, planted).empty() ? 0 : 1;
    return wrong;
}

TEST(Collecting, AReclaimThatTakesWhatSessionsUnderWayNeedIsNoticed) {
    EXPECT_GE(noticed(Planted::reclaims_whatever_the_generation), 1U);
}

TEST(Collecting, ABlockThatIsUsedAgainWithoutATouchIsNoticed) { EXPECT_GE(noticed(Planted::dedup_without_touch), 5U); }

}  // namespace
}  // namespace collect_test
