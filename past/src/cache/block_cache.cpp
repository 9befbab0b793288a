#include "cache/block_cache.hpp"

#include <algorithm>

#include "base/hash.hpp"
#include "base/limits.hpp"

namespace past {

using base::Guid;
using base::Task;

namespace {

constexpr std::string_view kDirectory = "cache";

struct Found {
    Guid group;
    Guid id;
    std::uint64_t bytes = 0;
};

std::string path_of(const Guid& group, const Guid& id) {
    return std::string{kDirectory} + "/" + id.hex() + "." + group.hex();
}

/// Whatever is in the directory and looks like a block.
std::vector<Found> list_blocks(base::Disk& disk) {
    std::vector<Found> found;
    const auto files = disk.list(kDirectory);
    if (!files) return found;
    for (const auto& entry : *files) {
        const auto dot = entry.name.find('.');
        if (dot == std::string::npos) continue;
        const auto id = Guid::from_hex(entry.name.substr(0, dot));
        const auto group = Guid::from_hex(entry.name.substr(dot + 1));
        if (!id || !group) continue;
        const auto file = disk.open(path_of(*group, *id), base::Disk::Mode::read);
        if (!file) continue;
        if (const auto size = (*file)->size()) found.push_back({*group, *id, *size});
    }
    return found;
}

base::Result<void> write_block(base::Disk& disk, const std::string& path, base::ByteView bytes) {
    BASE_CHECK(disk.make_directory(kDirectory));
    BASE_TRY(const auto file, disk.open(path, base::Disk::Mode::create));
    BASE_CHECK(file->truncate(0));
    return file->write_at(0, bytes);
}

}  // namespace

Task<void> BlockCache::load() {
    auto& disk = context_.env.disk;
    auto job = [&disk] { return list_blocks(disk); };
    const auto found = co_await context_.env.workers.run(std::move(job));
    std::vector<std::string> unwanted;
    for (const auto& [group, id, bytes] : found) {
        if (const auto known = groups_of_.find(id);
            known != groups_of_.end()) {  // of another group, or written just now
            if (known->second != group) unwanted.push_back(path_of(group, id));
            continue;
        }
        forget(policy_.insert(id, bytes));
        if (policy_.contains(id)) {
            groups_of_[id] = group;
            ++blocks_of_[group];
        } else {
            unwanted.push_back(path_of(group, id));
        }
    }
    co_await remove_files(std::move(unwanted));
}

Task<std::optional<base::SharedBytes>> BlockCache::get(Guid id) {
    const auto at = groups_of_.find(id);
    if (at == groups_of_.end()) co_return std::nullopt;
    policy_.touch(id);
    if (const auto written = being_written_.find(id); written != being_written_.end()) co_return written->second;
    auto& disk = context_.env.disk;
    auto job = [&disk, path = path_of(at->second, id), id]() -> std::optional<base::SharedBytes> {
        auto bytes = base::read_file(disk, path, base::kMaxBlockBytes);
        if (!bytes || base::sha256(*bytes) != id) return std::nullopt;
        return base::SharedBytes{std::move(*bytes)};
    };
    auto bytes = co_await context_.env.workers.run(std::move(job));
    if (!bytes) drop(id);
    co_return bytes;
}

void BlockCache::offer(Guid group, Guid id, base::SharedBytes bytes) {
    if (group == id) return;  // a raw block: its owner may remove it, and nobody reads more of its group
    if (has(id) || writing_bytes_ + bytes.size() > context_.config.max_cache_writes_bytes) return;
    const auto evicted = policy_.insert(id, bytes.size());
    forget(evicted);
    if (!policy_.contains(id)) return;
    groups_of_[id] = group;
    ++blocks_of_[group];
    writing_bytes_ += bytes.size();
    context_.work.spawn(write(group, id, std::move(bytes)));
}

Task<void> BlockCache::write(Guid group, Guid id, base::SharedBytes bytes) {
    const auto size = bytes.size();
    being_written_[id] = bytes;
    auto& disk = context_.env.disk;
    auto job = [&disk, path = path_of(group, id), bytes] { return write_block(disk, path, bytes); };
    const auto written = co_await context_.env.workers.run(std::move(job));
    writing_bytes_ -= size;
    being_written_.erase(id);
    if (!written || !has(id)) {  // no room after all, or evicted while it was written
        drop(id);
        co_await remove_files(std::vector<std::string>(1, path_of(group, id)));
    }
}

void BlockCache::drop(const Guid& id) {
    policy_.erase(id);
    forget({id});
}

void BlockCache::fit(std::uint64_t limit_bytes) { forget(policy_.set_limit(limit_bytes)); }

void BlockCache::forget(const std::vector<Guid>& evicted) {
    std::vector<std::string> paths;
    for (const auto& id : evicted) {
        const auto at = groups_of_.find(id);
        if (at == groups_of_.end()) continue;
        paths.push_back(path_of(at->second, id));
        if (--blocks_of_[at->second] == 0) blocks_of_.erase(at->second);
        groups_of_.erase(at);
    }
    if (!paths.empty()) context_.work.spawn(remove_files(std::move(paths)));
}

Task<void> BlockCache::remove_files(std::vector<std::string> paths) {
    auto& disk = context_.env.disk;
    auto job = [&disk, paths = std::move(paths)] {
        for (const auto& path : paths) (void)disk.remove(path);
    };
    co_await context_.env.workers.run(std::move(job));
}

void BlockCache::add_groups(std::set<Guid>& groups) const {
    for (const auto& [group, count] : blocks_of_) groups.insert(groups.end(), group);
}

}  // namespace past
