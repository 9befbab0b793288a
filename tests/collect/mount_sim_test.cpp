// Two mounts write, replace, copy and remove files of one volume while it is pruned over and over, and mounts, prunes
// and peers die: what was committed is there, and what is open can be read (docs/decisions/garbage-collection.md).
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "base/error.hpp"
#include "base/sim/campaign.hpp"
#include "collect/hosts.hpp"
#include "gc/walk.hpp"
#include "objstore/gc/prune.hpp"
#include "objstore/live/working_tree.hpp"

namespace collect_test {
namespace {

using objstore::InodeNumber;
using objstore::WorkingTree;

constexpr std::size_t kBytes = 30'000;    // of each file: a block of its own in a pack
constexpr std::uint32_t kContents = 12;   // so that what goes comes back
constexpr std::size_t kNames = 8;         // of each mount
constexpr std::size_t kOpenUnlinked = 3;  // at most, of each mount

objstore::LiveConfig live_config() {
    objstore::LiveConfig config;
    config.flush_after = 3s;
    config.refresh_every = 3s;
    config.stream_bytes = 20'000;  // content goes ahead of its commit
    return config;
}

struct Counts {
    unsigned writes = 0, copies = 0, commits = 0, refused = 0, prunes = 0, killed = 0, open_reads = 0;
    std::uint64_t released = 0;
};

/// What is wrong is told once.
struct Verdict {
    std::string wrong;
    void say(const std::string& what) {
        if (wrong.empty()) wrong = what;
    }
};

/// The number of the content, if these are its bytes.
std::optional<std::uint32_t> number_of(const base::Bytes& bytes) {
    for (std::uint32_t number = 0; number < kContents; ++number) {
        if (bytes == noise(kBytes, number)) return number;
    }
    return std::nullopt;
}

Task<Result<base::Bytes>> read_file(WorkingTree* tree, InodeNumber inode) {
    BASE_CO_TRY(const auto pieces, co_await tree->read(inode, 0, UINT64_MAX / 2));
    base::Bytes bytes;
    for (const auto& piece : pieces) {
        if (piece.bytes.empty()) {
            bytes.resize(bytes.size() + piece.length);
        } else {
            bytes.insert(bytes.end(), piece.bytes.begin(), piece.bytes.end());
        }
    }
    co_return bytes;
}

/// Holders that do not answer pass; damage does not.
bool passes(const base::Error& error) {
    return !(error == objstore::Errc::damaged) && !(error == past::Errc::block_not_found);
}

/// What each name of one mount may hold: what the last commit left, and what was done since.
using Expected = std::map<std::string, std::set<std::optional<std::uint32_t>>>;

struct Mount {
    Mount(Host& on, Counts& counted, Verdict& verdict, std::uint64_t seed)
        : host{on}, counts{counted}, told{verdict}, random{seed} {
        for (std::size_t i = 0; i < kNames; ++i) expected[host.name + "-" + std::to_string(i)] = {std::nullopt};
    }
    std::uint64_t below(std::uint64_t bound) { return random() % bound; }
    std::string some_name() { return host.name + "-" + std::to_string(below(kNames)); }

    Host& host;
    Counts& counts;
    Verdict& told;
    std::mt19937_64 random;
    Expected expected;
    std::map<std::string, std::optional<std::uint32_t>> now;
    std::vector<std::pair<InodeNumber, std::uint32_t>> unlinked;  // that are open
    // Of its process; what was under way may end a moment after it.
    std::vector<std::unique_ptr<Volume>> volumes;
    std::unique_ptr<WorkingTree> tree;
    std::unique_ptr<base::TaskGroup> background;
};

Task<Result<void>> put_file(Mount* mount, WorkingTree* tree, std::string name, std::uint32_t content) {
    objstore::NewInode what;
    what.mode = 0644;
    const auto made_as = name + ".new";
    BASE_CO_TRY(const auto inode, co_await tree->create(objstore::kRootInode, made_as, what));
    const auto bytes = noise(kBytes, content);
    BASE_CO_CHECK(co_await tree->write(inode, 0, bytes));
    mount->expected[name].insert(content);
    mount->now[name] = content;
    BASE_CO_CHECK(co_await tree->rename(objstore::kRootInode, made_as, objstore::kRootInode, name));
    ++mount->counts.writes;
    co_return base::ok();
}

/// By reference: from a file that still has a name, or from one that is open only.
Task<Result<void>> copy_file(Mount* mount, WorkingTree* tree, InodeNumber from, std::uint32_t content,
                             std::string name) {
    objstore::NewInode what;
    what.mode = 0644;
    const auto made_as = name + ".new";
    BASE_CO_TRY(const auto inode, co_await tree->create(objstore::kRootInode, made_as, what));
    BASE_CO_CHECK(co_await tree->copy_range(from, 0, inode, 0, kBytes));
    mount->expected[name].insert(content);
    mount->now[name] = content;
    BASE_CO_CHECK(co_await tree->rename(objstore::kRootInode, made_as, objstore::kRootInode, name));
    ++mount->counts.copies;
    co_return base::ok();
}

Task<Result<void>> one_operation(Mount* mount, WorkingTree* tree) {
    const auto name = mount->some_name();
    const auto content = static_cast<std::uint32_t>(mount->below(kContents));
    const auto held = mount->now[name];
    switch (mount->below(10)) {
        case 0:
        case 1:
        case 2: co_return co_await put_file(mount, tree, name, content);
        case 3: {  // in place
            if (!held) co_return base::ok();
            BASE_CO_TRY(const auto entry, co_await tree->lookup(objstore::kRootInode, name));
            const auto bytes = noise(kBytes, content);
            mount->expected[name].insert(content);
            BASE_CO_CHECK(co_await tree->write(entry.inode, 0, bytes));
            mount->now[name] = content;
            co_return base::ok();
        }
        case 4: {
            if (!held) co_return base::ok();
            BASE_CO_TRY(const auto entry, co_await tree->lookup(objstore::kRootInode, name));
            const bool stays_open = mount->unlinked.size() < kOpenUnlinked;
            if (stays_open) tree->pin(entry.inode);
            mount->expected[name].insert(std::nullopt);
            BASE_CO_CHECK(co_await tree->unlink(objstore::kRootInode, name));
            mount->now[name] = std::nullopt;
            if (stays_open) mount->unlinked.emplace_back(entry.inode, *held);
            co_return base::ok();
        }
        case 5: {
            const auto other = mount->some_name();
            if (!held || other == name) co_return base::ok();
            BASE_CO_TRY(const auto entry, co_await tree->lookup(objstore::kRootInode, name));
            co_return co_await copy_file(mount, tree, entry.inode, *held, other);
        }
        case 6: {
            if (mount->unlinked.empty() || mount->below(3) > 0) co_return base::ok();
            const auto [inode, was] = mount->unlinked.back();
            co_return co_await copy_file(mount, tree, inode, was, name);
        }
        case 7: {
            for (const auto& [inode, was] : mount->unlinked) {
                const auto bytes = co_await read_file(tree, inode);
                ++mount->counts.open_reads;
                if (!bytes && passes(bytes.error())) continue;
                if (!bytes) mount->told.say("an open file without a name: " + bytes.error().message());
                if (bytes && *bytes != noise(kBytes, was)) mount->told.say("an open file changed");
            }
            co_return base::ok();
        }
        default: {
            const auto before = mount->now;
            const auto done = co_await tree->commit();
            if (!done && done.error() == objstore::Errc::collected) ++mount->counts.refused;
            if (!done) co_return base::ok();
            ++mount->counts.commits;
            for (auto& [file, contents] : mount->expected) {
                const auto at = before.find(file);
                contents = {at == before.end() ? std::nullopt : at->second};
                if (mount->now[file] != *contents.begin()) contents.insert(mount->now[file]);
            }
            co_return base::ok();
        }
    }
}

Task<Result<void>> look_at_all(Mount* mount, WorkingTree* tree) {
    for (auto& [name, contents] : mount->expected) {
        const auto entry = co_await tree->lookup(objstore::kRootInode, name);
        std::optional<std::uint32_t> seen;
        if (entry) {
            const auto bytes = co_await read_file(tree, entry->inode);
            if (!bytes && passes(bytes.error())) co_return bytes.error();
            if (!bytes) mount->told.say(name + ": " + bytes.error().message());
            seen = bytes ? number_of(*bytes) : std::nullopt;
            if (bytes && !seen) mount->told.say(name + " is a mixture");
        } else if (!(entry.error().code() == std::errc::no_such_file_or_directory)) {
            co_return entry.error();
        }
        if (!contents.contains(seen)) mount->told.say(name + " is not what was committed");
        contents = {seen};
        mount->now[name] = seen;
    }
    co_return base::ok();
}

/// A mount from its beginning until it is killed.
Task<void> live_on(Mount* mount) {
    mount->unlinked.clear();
    auto volume = co_await open_volume(&mount->host);
    if (!volume) co_return;
    mount->volumes.push_back(std::move(*volume));
    auto opened = co_await WorkingTree::open(mount->host.env, *mount->volumes.back(), 0, 0, live_config());
    if (!opened) co_return;
    mount->tree = std::move(*opened);
    auto* const tree = mount->tree.get();
    if (!co_await look_at_all(mount, tree)) co_return;
    mount->background = std::make_unique<base::TaskGroup>(mount->host.env.executor);
    mount->background->spawn(tree->run());
    for (;;) {
        const auto done = co_await one_operation(mount, tree);
        if (!done && !passes(done.error())) mount->told.say("a mount met damage: " + done.error().message());
        co_await mount->host.env.clock.sleep_for(std::chrono::milliseconds{mount->below(1500)});
    }
}

Task<void> prune_on(Host* host, Counts* counts) {
    for (;;) {
        const auto volume = co_await open_volume(host);
        if (volume) {
            const auto report = co_await objstore::gc::prune(**volume, {});
            counts->prunes += report ? 1 : 0;
            counts->released += report ? report->blocks_released : 0;
        }
        co_await host->env.clock.sleep_for(std::chrono::milliseconds{host->env.rng.below(8000)});
    }
}

std::string tell(std::uint64_t seed, Planted planted, Counts& counts) {
    sim::World world{seed};
    past::test::Cluster cluster{world, cluster_options()};
    Harm harm{cluster};
    std::mt19937_64 random{seed};
    Verdict verdict;
    std::vector<std::unique_ptr<Host>> hosts;
    std::vector<std::unique_ptr<Mount>> mounts;
    for (std::size_t i = 0; i < 3; ++i) {
        hosts.push_back(std::make_unique<Host>("host" + std::to_string(i), world.env(), cluster.node(i % 2), planted));
        if (i < 2) mounts.push_back(std::make_unique<Mount>(*hosts[i], counts, verdict, random()));
    }
    for (int round = 0; round < 5 && verdict.wrong.empty(); ++round) {
        std::vector<std::unique_ptr<base::TaskGroup>> running;
        const auto begin = [&](Task<void> task) {
            running.push_back(std::make_unique<base::TaskGroup>(world.env().executor));
            running.back()->spawn(std::move(task));
        };
        for (auto& mount : mounts) begin(live_on(mount.get()));
        begin(prune_on(hosts[2].get(), &counts));
        for (int step = 0; step < 3; ++step) {
            if (random() % 3 == 0) harm.strike(random());
            world.run_for(std::chrono::milliseconds{8'000 + random() % 16'000});
            // One of them dies; the mounts begin anew with the round.
            if (random() % 3 == 0) running[random() % running.size()]->cancel();
        }
        counts.killed += static_cast<unsigned>(running.size());
        for (auto& group : running) group->cancel();
        for (auto& group : running) world.run(group->join());
        for (auto& mount : mounts) {
            if (mount->background) mount->background->cancel();
            if (mount->background) world.run(mount->background->join());
            mount->background.reset();
            mount->tree.reset();
        }
        world.run_for(1s);
    }
    harm.revive();
    world.run_for(3min);
    for (auto& mount : mounts) {
        const auto volume = world.run(open_volume(&mount->host));
        if (!volume) return "the volume does not open: " + volume.error().message();
        const auto tree = world.run(WorkingTree::open(world.env(), **volume, 0, 0, live_config()));
        if (!tree) return "the live tree does not open: " + tree.error().message();
        const auto looked = world.run(look_at_all(mount.get(), tree->get()));
        if (!looked) return looked.error().message();
    }
    // Conflicts, histories, whatever: all that the state leads to is there.
    const auto volume = world.run(open_volume(hosts[0].get()));
    if (!volume) return volume.error().message();
    std::map<base::Guid, objstore::BlockRef> needed;
    objstore::gc::WalkHooks hooks;
    hooks.meet = [&needed](const objstore::BlockRef& ref) { return needed.emplace(ref.id, ref).second; };
    const auto walked = world.run(objstore::gc::walk((*volume)->env(), (*volume)->storage(), (*volume)->keys().tag,
                                                     (*volume)->roots(), std::move(hooks)));
    if (!walked) return "a tree: " + walked.error().message();
    for (const auto& [id, ref] : needed) {
        const auto placement_group = objstore::group_of((*volume)->keys().tag, ref.group_bits, id);
        const auto read = world.run((*volume)->storage().get(placement_group, id, world.now() + 60s));
        if (!read) return "block " + id.short_hex() + ": " + read.error().message();
    }
    return verdict.wrong;
}

TEST(CollectingBesideMounts, WhatWasCommittedIsThereAndWhatIsOpenCanBeRead) {
    Counts counts;
    const auto campaign = sim::with_environment({.seeds = 10});
    for (auto seed = campaign.first_seed; seed < campaign.first_seed + campaign.seeds; ++seed) {
        EXPECT_EQ(tell(seed, Planted::nothing, counts), "") << "seed " << seed << ": PELAGO_SEED=" << seed;
    }
    std::printf(
        "%u files written, %u copied, %u commits, %u refused, %u prunes, %llu blocks released, %u killed, %u reads of "
        "open files without a name\n",
        counts.writes, counts.copies, counts.commits, counts.refused, counts.prunes,
        static_cast<unsigned long long>(counts.released), counts.killed, counts.open_reads);
    if (campaign.seeds < 10) return;
    EXPECT_GT(counts.commits, 20 * campaign.seeds);
    EXPECT_GT(counts.released, 50 * campaign.seeds) << "nothing was at stake";
    EXPECT_GT(counts.open_reads, 10 * campaign.seeds);
    EXPECT_EQ(counts.refused, 0U) << "the grace is long enough for a mount to keep what it needs";
}

/// How many of five seeds go wrong.
unsigned noticed(Planted planted) {
    unsigned wrong = 0;
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
        Counts counts;
        wrong += tell(seed, planted, counts).empty() ? 0 : 1;
    }
    return wrong;
}

TEST(CollectingBesideMounts, AReclaimThatTakesWhatMountsJustWroteIsNoticed) {
    EXPECT_GE(noticed(Planted::reclaims_whatever_the_generation), 1U);
}

TEST(CollectingBesideMounts, AMountThatDoesNotKeepWhatIsOpenIsNoticed) {
    EXPECT_GE(noticed(Planted::dedup_without_touch), 1U);
}

}  // namespace
}  // namespace collect_test
