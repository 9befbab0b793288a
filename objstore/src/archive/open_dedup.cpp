#include "open_dedup.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "base/error.hpp"
#include "objstore/error.hpp"

namespace objstore::archive {
namespace {

// From the newest snapshot of each host and set of paths: what only older ones hold is stored again if it comes back.
base::Task<base::Result<std::unique_ptr<DedupCache>>> rebuild(base::NodeEnv env, Session& session, std::string path,
                                                              bool with_file, DedupIndex& index) {
    index = DedupIndex{};
    std::unique_ptr<DedupCache> cache;
    if (with_file) {
        auto create = [&] { return DedupCache::create(env.disk, path, session.keys()); };
        auto created = co_await env.workers.run(std::move(create));
        if (created) cache = std::move(*created);  // else this backup goes without
    }
    std::map<base::Guid, CacheRecord> records;
    std::set<base::Guid> roots;
    std::map<std::pair<std::string, std::vector<std::string>>, const Snapshot*> newest;
    for (const auto& snapshot : session.snapshots()) newest[{snapshot.host, snapshot.paths}] = &snapshot;
    for (const auto& [key, snapshot] : newest) {
        if (!roots.insert(snapshot->root->id).second) continue;
        TreeCursor cursor{Tree{session.reader(), snapshot->root}};
        for (;;) {
            const auto read = co_await cursor.next_items();
            if (!read && is_isolated_damage(read.error().code()))
                break;  // what it still tells is as good as nothing to know
            if (!read) co_return read.error();
            const auto items = *read;
            if (items.empty()) break;
            for (const auto& item : items) {
                const auto* extent = std::get_if<Extent>(&item.value);
                if (const auto* xattr = std::get_if<XattrRecord>(&item.value))
                    extent = std::get_if<Extent>(&xattr->value);
                if (extent == nullptr || !extent->block || !extent->hash ||
                    extent->block->key_epoch != session.keys().epoch.epoch)
                    continue;
                auto& record = records[extent->block->id];
                record.block = *extent->block;
                record.chunks.push_back({extent->offset, static_cast<std::uint32_t>(extent->length), *extent->hash});
            }
        }
    }
    for (auto& [id, record] : records) {
        auto& chunks = record.chunks;
        std::sort(chunks.begin(), chunks.end(), [](const auto& a, const auto& b) { return a.offset < b.offset; });
        const auto same = [](const auto& a, const auto& b) { return a.offset == b.offset; };
        chunks.erase(std::unique(chunks.begin(), chunks.end(), same), chunks.end());
        const auto block =
            index.add_block(std::make_shared<const BlockRef>(record.block), DedupIndex::Presence::unknown);
        for (const auto& chunk : chunks) index.add(chunk.hash, {block, chunk.offset, chunk.length});
        if (!cache) continue;
        CacheSalt salt{};
        env.rng.fill(salt);
        auto append = [cache = cache.get(), &record, salt] { std::ignore = cache->append(record, salt); };
        co_await env.workers.run(std::move(append));
    }
    co_return cache;
}

}  // namespace

base::Task<base::Result<std::unique_ptr<DedupCache>>> open_dedup(base::NodeEnv env, Session& session, std::string path,
                                                                 bool dry_run, DedupIndex& index) {
    if (path.empty()) co_return std::unique_ptr<DedupCache>{};
    auto open = [&] { return DedupCache::open(env.disk, path, session.keys(), index); };
    auto opened = co_await env.workers.run(std::move(open));
    if (opened) co_return std::move(*opened);
    // Another backup has it: this one asks the volume, and keeps what it learns to itself.
    const bool busy = opened.error() == base::Errc::locked;
    if (!busy && !(opened.error() == base::Errc::not_found)) {
        env.log.write(base::Log::Level::warning, "archive", "rebuilding the cache: " + opened.error().message());
    }
    co_return co_await rebuild(env, session, path, !busy && !dry_run, index);
}

}  // namespace objstore::archive
