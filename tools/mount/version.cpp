#include "mount/version.hpp"

#include <unistd.h>

#include "cli/text.hpp"
#include "cli/verbs.hpp"
#include "objstore/error.hpp"

namespace tools {

namespace {

/// Snapshots are sorted by time.
base::Result<objstore::Snapshot> snapshot_at(const std::vector<objstore::Snapshot>& snapshots, const std::string& at) {
    const auto time = parse_time(at);
    if (!time) return objstore::find_snapshot(snapshots, at);
    const objstore::Snapshot* newest = nullptr;
    for (const auto& each : snapshots) {
        if (each.time_ns <= *time) newest = &each;
    }
    if (newest == nullptr) return base::Error{objstore::Errc::no_such_snapshot, "none is as old as " + at};
    return *newest;
}

}  // namespace

base::Task<base::Result<std::unique_ptr<objstore::WorkingTree>>> open_tree(base::NodeEnv env, objstore::Volume& volume,
                                                                           std::string at,
                                                                           objstore::LiveConfig config) {
    if (at.empty()) co_return co_await objstore::WorkingTree::open(env, volume, ::geteuid(), ::getegid(), config);
    BASE_CO_TRY(const auto snapshots, co_await volume.snapshots());
    BASE_CO_TRY(auto snapshot, snapshot_at(snapshots, at));
    co_return co_await objstore::WorkingTree::open_version(env, volume, std::move(snapshot.root), config);
}

base::Task<base::Result<objstore::InodeNumber>> find_directory(objstore::WorkingTree& tree, std::string path) {
    auto at = objstore::kRootInode;
    std::size_t begin = 0;
    while (begin < path.size()) {
        const auto end = std::min(path.find('/', begin), path.size());
        std::string name = path.substr(begin, end - begin);
        begin = end + 1;
        if (name.empty() || name == ".") continue;
        const auto entry = co_await tree.lookup(at, std::move(name));
        if (!entry) co_return entry.error().with("cannot use subdir=" + path);
        if (entry->type != base::FileType::directory) co_return usage_error("subdir=" + path + " is no directory");
        at = entry->inode;
    }
    co_return at;
}

}  // namespace tools
