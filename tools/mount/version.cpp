#include "mount/version.hpp"

#include <unistd.h>

#include <algorithm>

#include "cli/text.hpp"
#include "cli/verbs.hpp"
#include "objstore/error.hpp"

namespace tools {

namespace {

/// Among the snapshots and the kept versions.
base::Task<base::Result<objstore::Snapshot>> find_version(objstore::Volume& volume, std::string at) {
    BASE_CO_TRY(auto all, co_await volume.snapshots());
    BASE_CO_TRY(const auto history, co_await objstore::read_history(volume));
    if (const auto* version = version_named(history, at)) co_return *version;
    const auto time = parse_time(at);
    if (!time) co_return objstore::find_snapshot(all, at);
    all.insert(all.end(), history.versions.begin(), history.versions.end());
    const auto* newest = newest_until(all, *time);
    if (newest == nullptr) co_return base::Error{objstore::Errc::no_such_snapshot, "none is as old as " + at};
    co_return *newest;
}

}  // namespace

const objstore::Snapshot* version_named(const objstore::History& history, const std::string& name) {
    const auto found = std::ranges::find(history.versions, name, objstore::version_name);
    return found == history.versions.end() ? nullptr : &*found;
}

const objstore::Snapshot* newest_until(const std::vector<objstore::Snapshot>& versions, std::int64_t time_ns) {
    const objstore::Snapshot* newest = nullptr;
    for (const auto& each : versions) {
        if (each.time_ns <= time_ns && (newest == nullptr || each.time_ns >= newest->time_ns)) newest = &each;
    }
    return newest;
}

base::Task<base::Result<std::unique_ptr<objstore::WorkingTree>>> open_tree(base::NodeEnv env, objstore::Volume& volume,
                                                                           std::string at,
                                                                           objstore::LiveConfig config) {
    if (at.empty()) co_return co_await objstore::WorkingTree::open(env, volume, ::geteuid(), ::getegid(), config);
    BASE_CO_TRY(auto snapshot, co_await find_version(volume, std::move(at)));
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
