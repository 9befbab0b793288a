#include "objstore/archive/rewrite.hpp"

#include <algorithm>
#include <memory>

#include "kept_files.hpp"

namespace objstore::archive {
namespace {

class Rewrite {
  public:
    Rewrite(Volume& volume, Snapshot snapshot, RewriteOptions options)
        : volume_{volume},
          snapshot_{std::move(snapshot)},
          options_{std::move(options)},
          tree_{volume.reader(), snapshot_.root},
          kept_{volume, snapshot_, options_.excludes, options_.lost, options_.on_left_out} {}

    base::Task<base::Result<RewriteReport>> run();

  private:
    base::Task<base::Result<BlockRefPtr>> write(Session& session);
    base::Task<base::Result<void>> erase_others(TreeUpdate& update);
    base::Task<base::Result<void>> put_kept(TreeUpdate& update);

    Volume& volume_;
    const Snapshot snapshot_;
    const RewriteOptions options_;
    Tree tree_;
    KeptFiles kept_;
};

base::Task<base::Result<RewriteReport>> Rewrite::run() {
    BASE_CO_CHECK(co_await kept_.find(!options_.lost.empty()));
    RewriteReport report;
    report.left_out = kept_.left_out();
    const bool same = report.left_out == 0 && !options_.host && !options_.time_ns;
    if (same || options_.dry_run) co_return report;
    BASE_CO_TRY(const auto session, co_await volume_.begin(past::Wait::full));
    auto next = snapshot_;
    BASE_CO_TRY(next.root, co_await write(*session));
    next.first_root.reset();
    if (!next.original) next.original = snapshot_.id();
    next.host = options_.host.value_or(next.host);
    next.time_ns = options_.time_ns.value_or(next.time_ns);
    kept_.count(next);
    next.added_bytes = session->writer().totals().bytes;
    next.tags.insert(next.tags.end(), options_.tags.begin(), options_.tags.end());
    std::sort(next.tags.begin(), next.tags.end());
    next.tags.erase(std::unique(next.tags.begin(), next.tags.end()), next.tags.end());
    BASE_CO_TRY(auto committed, co_await volume_.commit(*session, std::move(next)));
    report.snapshot = std::move(committed.snapshot);
    co_return report;
}

base::Task<base::Result<BlockRefPtr>> Rewrite::write(Session& session) {
    if (kept_.salvage()) {
        TreeShape shape;
        shape.name_epoch = session.keys().epoch.epoch;
        if (const auto had = co_await tree_.shape()) shape = *had;
        TreeUpdate update{session.writer(), shape};
        BASE_CO_CHECK(co_await put_kept(update));
        co_return co_await update.finish();
    }
    TreeUpdate update{session.writer(), tree_};
    BASE_CO_CHECK(co_await erase_others(update));
    co_return co_await update.finish();
}

base::Task<base::Result<void>> Rewrite::put_kept(TreeUpdate& update) {
    auto made = kept_.made().begin();
    const auto put_made = [](InodeNumber number, const Inode& inode) {
        return Item{TreeKey::first(number, Kind::inode), inode};
    };
    for (const auto& item : kept_.salvage()->items) {
        for (; made != kept_.made().end() && made->first <= item.key.inode; ++made) {
            auto inode = put_made(made->first, made->second);
            BASE_CO_CHECK(co_await update.put(std::move(inode)));
        }
        if (!kept_.is_kept(item)) continue;
        auto copy = item;
        BASE_CO_CHECK(co_await update.put(std::move(copy)));
    }
    for (; made != kept_.made().end(); ++made) {
        auto inode = put_made(made->first, made->second);
        BASE_CO_CHECK(co_await update.put(std::move(inode)));
    }
    co_return base::ok();
}

base::Task<base::Result<void>> Rewrite::erase_others(TreeUpdate& update) {
    TreeCursor cursor{tree_};
    auto made = kept_.made().begin();
    for (;;) {
        BASE_CO_TRY(const auto items, co_await cursor.next_items());
        if (items.empty()) break;
        for (const auto& item : items) {
            if (made != kept_.made().end() && made->first == item.key.inode) {
                BASE_CO_CHECK(
                    co_await update.erase(TreeKey::first(made->first), TreeKey::first(made->first, Kind::entry)));
                Item inode{TreeKey::first(made->first, Kind::inode), made->second};
                BASE_CO_CHECK(co_await update.put(std::move(inode)));
                ++made;
            }
            const bool replaced = kept_.made().contains(item.key.inode) && item.key.kind != Kind::entry;
            if (!replaced && !kept_.is_kept(item)) BASE_CO_CHECK(co_await update.erase(item.key));
        }
    }
    co_return base::ok();
}

}  // namespace

base::Task<base::Result<RewriteReport>> rewrite(Volume& volume, Snapshot snapshot, RewriteOptions options) {
    const auto run = std::make_unique<Rewrite>(volume, std::move(snapshot), std::move(options));
    co_return co_await run->run();
}

}  // namespace objstore::archive
