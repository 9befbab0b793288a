// What the tests of the archive stand on: virtual time, files and PAST in memory, one volume.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "base/sim/local_tree.hpp"
#include "base/sim/world.hpp"
#include "objstore/archive/backup.hpp"
#include "objstore/archive/listing.hpp"
#include "objstore/archive/restore.hpp"
#include "support/memory_storage.hpp"
#include "support/samples.hpp"

namespace objstore::archive::test {

using support::noise;
using support::owner_key;

/// Compresses about as source code does, and no two seeds share a chunk.
inline std::string prose(std::size_t size, std::uint32_t seed) {
    static constexpr const char* kWords[] = {"static ", "return ", "struct ", "int ",
                                             "(void) ", "->next",  ";\n",     "if (x) "};
    std::mt19937 random{seed};
    std::string text;
    while (text.size() < size) text += random() % 3 == 0 ? std::to_string(random() % 10'000) : kWords[random() % 8];
    text.resize(size);
    return text;
}

struct ArchiveWorld {
    explicit ArchiveWorld(std::uint64_t seed = 1) : world{seed}, env{world.env()} {
        // A second ago and ticking: nothing in the tree is so young that it could change unseen.
        const auto long_ago = env.clock.wall_ns() - 1'000'000'000;
        tree.set_time([this, long_ago] { return long_ago + ++ticks; });
        volume = world.run(Volume::create(env, storage, *high_water, owner_key(), "archive")).value();
    }

    BackupOptions options(std::vector<std::string> paths = {"/src"}) const {
        BackupOptions options;
        options.paths = std::move(paths);
        options.host = "host";
        options.user = "user";
        options.cache_path = "cache/dedup";
        return options;
    }
    base::Result<BackupReport> try_backup(BackupOptions options) {
        world.run_for(std::chrono::seconds{10});  // a later moment than the last backup's
        return world.run(archive::backup(env, tree, *volume, std::move(options)));
    }
    BackupReport backup(BackupOptions options) { return try_backup(std::move(options)).value(); }
    BackupReport backup() { return backup(options()); }

    base::Result<RestoreReport> try_restore(const Snapshot& snapshot, RestoreOptions options) {
        if (options.target.empty()) options.target = "/restored";
        return world.run(archive::restore(env, tree, *volume, snapshot, std::move(options)));
    }
    RestoreReport restore(const Snapshot& snapshot, RestoreOptions options = {}) {
        return try_restore(snapshot, std::move(options)).value();
    }
    std::vector<std::string> list(const Snapshot& snapshot, const std::string& path = "/src") {
        std::vector<std::string> paths;
        auto show = [&paths](const ListedFile& file) { paths.push_back(file.path); };
        world.run(list_files(*volume, snapshot, path, true, show)).value();
        return paths;
    }
    std::set<base::Guid> block_ids() const {
        std::set<base::Guid> ids;
        for (const auto& [id, stored] : storage.blocks()) ids.insert(id);
        return ids;
    }

    /// `files` of about 6 kB in directories of 20.
    void fill(const std::string& path, unsigned files, std::uint32_t seed = 1) {
        std::mt19937 random{seed};
        for (unsigned i = 0; i < files; ++i) {
            const auto name = path + "/d" + std::to_string(i / 20) + "/f" + std::to_string(i);
            tree.write(name, prose(500 + random() % 12'000, random()));
        }
    }

    base::sim::World world;
    base::NodeEnv env;
    std::int64_t ticks = 0;
    support::MemoryStorage storage{env.executor, verify_heartbeat};
    base::sim::LocalTree tree;
    std::unique_ptr<HighWater> high_water = make_disk_high_water(env, "marks");
    std::unique_ptr<Volume> volume;
};

}  // namespace objstore::archive::test
