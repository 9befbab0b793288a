#include "objstore/archive/stats.hpp"

#include <memory>
#include <set>
#include <unordered_set>

#include "base/codec.hpp"
#include "base/hash.hpp"
#include "gc/walk.hpp"
#include "objstore/tree.hpp"

namespace objstore::archive {
namespace {

// What the items of one inode said of its content.
struct File {
    InodeNumber number = 0;
    bool regular = false;
    std::uint64_t size = 0;
    base::Writer content;
    std::vector<std::pair<base::Bytes, std::uint64_t>> chunks;  // name and length
};

class Count {
  public:
    Count(Volume& volume, StatsMode mode, std::function<void(const Stats&)> progress)
        : volume_{volume}, mode_{mode}, progress_{std::move(progress)} {}

    base::Task<base::Result<Stats>> run(std::vector<Snapshot> snapshots);

  private:
    base::Task<base::Result<void>> walk_blocks(const std::vector<Snapshot>& snapshots);
    base::Task<base::Result<void>> scan(Tree tree);
    void take(const Item& item);
    void take_extent(std::uint64_t offset, const Extent& extent);
    void finish_file();

    Volume& volume_;
    const StatsMode mode_;
    std::function<void(const Stats&)> progress_;
    File file_;
    std::unordered_set<base::Guid> contents_;
    Stats stats_;
};

base::Task<base::Result<Stats>> Count::run(std::vector<Snapshot> snapshots) {
    if (mode_ == StatsMode::raw_data) {
        BASE_CO_CHECK(co_await walk_blocks(snapshots));
        stats_.snapshots = snapshots.size();
        co_return stats_;
    }
    for (const auto& snapshot : snapshots) {
        Tree tree{volume_.reader(), snapshot.root};
        BASE_CO_CHECK(co_await scan(std::move(tree)));
        ++stats_.snapshots;
    }
    co_return stats_;
}

base::Task<base::Result<void>> Count::walk_blocks(const std::vector<Snapshot>& snapshots) {
    std::unordered_set<base::Guid> met;
    gc::WalkHooks hooks;
    hooks.meet = [&](const BlockRef& ref) {
        if (!met.insert(ref.id).second) return false;
        ++stats_.blobs;
        stats_.bytes += ref.sealed_bytes;
        if (progress_ && stats_.blobs % 256 == 0) progress_(stats_);
        return true;
    };
    std::vector<BlockRef> roots;
    for (const auto& snapshot : snapshots) roots.push_back(*snapshot.root);
    BASE_CO_CHECK(
        co_await gc::walk(volume_.env(), volume_.storage(), volume_.keys().tag, std::move(roots), std::move(hooks)));
    co_return base::ok();
}

base::Task<base::Result<void>> Count::scan(Tree tree) {
    TreeCursor cursor{std::move(tree)};
    for (;;) {
        BASE_CO_TRY(const auto items, co_await cursor.next_items());
        if (items.empty()) break;
        for (const auto& item : items) take(item);
        if (progress_) progress_(stats_);
    }
    finish_file();
    co_return base::ok();
}

void Count::take(const Item& item) {
    if (item.key.inode != file_.number) finish_file();
    file_.number = item.key.inode;
    if (const auto* inode = std::get_if<Inode>(&item.value)) {
        file_.regular = inode->type == base::FileType::regular;
        file_.size = file_.regular ? inode->size : 0;
    } else if (const auto* extent = std::get_if<Extent>(&item.value)) {
        if (mode_ != StatsMode::restore_size) take_extent(item.key.sub, *extent);
    } else if (std::holds_alternative<Entry>(item.value) && mode_ == StatsMode::restore_size) {
        ++stats_.files;
    }
}

void Count::take_extent(std::uint64_t offset, const Extent& extent) {
    if (!extent.block) return;
    base::Writer name;
    if (extent.hash) {
        name.raw(*extent.hash);
    } else {
        name.guid(extent.block->id).u32(extent.offset);
    }
    auto bytes = name.take();
    file_.content.u64(offset).u64(extent.length).raw(bytes);
    if (mode_ == StatsMode::blobs_per_file) file_.chunks.emplace_back(std::move(bytes), extent.length);
}

void Count::finish_file() {
    const auto file = std::exchange(file_, File{});
    if (!file.regular) return;
    if (mode_ == StatsMode::restore_size) {
        stats_.bytes += file.size;
        return;
    }
    base::Writer content;
    content.u64(file.size).raw(file.content.view());
    if (!contents_.insert(base::sha256({content.view()})).second) return;
    if (mode_ == StatsMode::files_by_contents) {
        ++stats_.files;
        stats_.bytes += file.size;
        return;
    }
    std::set<base::Bytes> chunks;
    if (!file.chunks.empty()) ++stats_.files;
    for (const auto& [name, length] : file.chunks) {
        if (!chunks.insert(name).second) continue;
        ++stats_.blobs;
        stats_.bytes += length;
    }
}

}  // namespace

base::Task<base::Result<Stats>> count_stats(Volume& volume, std::vector<Snapshot> snapshots, StatsMode mode,
                                            std::function<void(const Stats&)> progress) {
    const auto count = std::make_unique<Count>(volume, mode, std::move(progress));
    co_return co_await count->run(std::move(snapshots));
}

}  // namespace objstore::archive
