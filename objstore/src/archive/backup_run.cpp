#include "backup_run.hpp"

#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <exception>
#include <set>
#include <tuple>

#include "objstore/error.hpp"
#include "past/error.hpp"

namespace objstore::archive {
namespace {

constexpr std::size_t kScanEntries = 1000;
constexpr std::size_t kScanDirectories = 64;
constexpr std::size_t kScannedAhead = 3;
constexpr std::size_t kStoredAgainAtOnce = 16;  // blocks
// A file that changes twice within one tick of its file system's clock (at most 10 ms) keeps its times the second time.
// Reading begins when everything that was there at the start is older than that.
constexpr auto kClockTick = std::chrono::milliseconds{20};
constexpr std::chrono::nanoseconds kClockSkew = std::chrono::minutes{10};  // of machines that set their clocks
constexpr unsigned kGenerationShift = 32;

}  // namespace

BackupRun::BackupRun(base::NodeEnv env, base::LocalTree& tree, Volume& volume, BackupOptions options,
                     ProgressFunction progress)
    : env_{env},
      tree_{tree},
      volume_{volume},
      options_{std::move(options)},
      progress_{std::move(progress)},
      started_{env.clock.now()},
      started_wall_ns_{env.clock.wall_ns()},
      scan_event_{env.executor},
      reading_event_{env.executor},
      group_{env.executor} {}

base::Task<base::Result<BackupReport>> BackupRun::run() {
    std::exception_ptr cancelled;
    std::optional<base::Error> error;
    try {
        if (auto done = co_await body(); !done) error = done.error();
    } catch (...) {
        cancelled = std::current_exception();
    }
    if (cancelled || error) {
        // Whatever runs on the belts refers to this object: nothing goes before they have stopped.
        co_await boost::asio::this_coro::reset_cancellation_state(boost::asio::disable_cancellation{});
        group_.cancel();
        co_await group_.join();
        if (packer_) co_await packer_->stop();
        if (cancelled) std::rethrow_exception(cancelled);
        co_return *error;
    }
    report_.duration = env_.clock.now() - started_;
    co_return std::move(report_);
}

base::Task<base::Result<void>> BackupRun::body() {
    BASE_CO_CHECK(co_await prepare());
    group_.spawn(scan());
    if (options_.estimate && !parent_snapshot_) group_.spawn(estimate());
    group_.spawn(place_all());
    BASE_CO_CHECK(co_await walk());
    co_await group_.join();
    if (place_error_) co_return *place_error_;
    co_return co_await finish();
}

base::Task<base::Result<void>> BackupRun::prepare() {
    scanner_.emplace(tree_, options_.paths, options_.scan);
    auto begin = [this] { return scanner_->begin(); };
    BASE_CO_CHECK(co_await env_.workers.run(std::move(begin)));
    for (auto& failure : scanner_->take_failures()) {
        report_.warnings.add(WarningKind::unreadable, std::move(failure.path), std::move(failure.error));
    }
    auto planned = describe();
    planned.root = std::make_shared<const BlockRef>();
    BASE_CO_CHECK(planned.check());  // now, not after hours of reading
    BASE_CO_TRY(session_, co_await volume_.begin(options_.wait));
    chunker_.emplace(session_->keys().epoch.gear);
    BASE_CO_CHECK(co_await open_parent());
    Directory root{kRootInode, parent_.by_number(kRootInode)};
    if (root.old != ParentIndex::kNone) parent_.file(root.old).claimed = true;
    directories_.emplace(Scanner::kRootId, root);
    co_return base::ok();
}

std::optional<Snapshot> choose_parent(const std::vector<Snapshot>& snapshots, const Snapshot& planned, GroupBy by) {
    const auto same = [&](const Snapshot& snapshot) {
        return (!by.host || snapshot.host == planned.host) && (!by.paths || snapshot.paths == planned.paths) &&
               (!by.tags || snapshot.tags == planned.tags);
    };
    std::optional<Snapshot> newest;
    for (const auto& snapshot : snapshots) {
        if (same(snapshot) && (!newest || !later(*newest, snapshot))) newest = snapshot;
    }
    return newest;
}

base::Task<base::Result<void>> BackupRun::open_parent() {
    if (options_.no_parent) co_return base::ok();
    if (options_.parent) {
        BASE_CO_TRY(auto named, find_snapshot(session_->snapshots(), *options_.parent));
        parent_snapshot_ = std::move(named);
    } else {
        parent_snapshot_ = choose_parent(session_->snapshots(), describe(), options_.group_by);
    }
    if (!parent_snapshot_) co_return base::ok();
    Tree tree{session_->reader(), parent_snapshot_->root};
    const auto usable = co_await load_usable(tree);
    if (!usable && is_isolated_damage(usable.error().code())) {
        report_.parent_lost = usable.error();
    } else if (!usable) {
        co_return usable.error();
    }
    if (!usable || !*usable) {
        parent_ = {};
        parent_snapshot_.reset();
        co_return base::ok();
    }
    parent_tree_ = std::move(tree);
    report_.parent = parent_snapshot_->id();
    if (parent_snapshot_->time_ns > started_wall_ns_ + kClockSkew.count()) {
        report_.parent_ahead_ns = parent_snapshot_->time_ns;
    }
    // Numbers of removed inodes are never given again: each generation has a range of its own.
    next_number_ = session_->generation() << kGenerationShift;
    shown_.total_files = parent_snapshot_->files;
    shown_.total_bytes = parent_snapshot_->bytes;
    co_return base::ok();
}

// A block that too few holders have: what one of them still has is put where it belongs. Errc::damaged if none has it.
base::Task<base::Result<void>> BackupRun::store_again(BlockName name) {
    auto& storage = session_->storage();
    const auto place = group_of(session_->tag().volume, name.group_bits, name.id);
    auto bytes = co_await storage.get(place, name.id, env_.clock.now() + ReaderConfig{}.get_timeout);
    if (!bytes && (bytes.error() == past::Errc::block_not_found || bytes.error() == past::Errc::corrupt_block)) {
        co_return base::Error{Errc::damaged, "block " + name.id.hex() + ": " + bytes.error().message()};
    }
    if (!bytes) co_return bytes.error();
    if (options_.dry_run) co_return base::ok();
    SealedBlock block;
    block.ref.id = name.id;
    block.ref.group_bits = name.group_bits;
    block.bytes = std::move(*bytes);
    moved_bytes_ += block.bytes.size();
    ++moved_blocks_;
    co_return co_await session_->writer().put(std::move(block));
}

// The same of blocks [from, ...) that hold contents, side by side: whose holders changed (a second machine joined) is
// not lost, and nothing has to be read for it. Where the holders do not answer, it is as good as lost.
base::Task<base::Result<void>> BackupRun::store_all_again(const std::vector<BlockName>& names, std::size_t from,
                                                          std::vector<bool>& held) {
    base::Semaphore some{env_.executor, kStoredAgainAtOnce};
    const auto thin = std::make_shared<Thin>();
    thin->held = held;
    for (auto i = from; i < names.size() && !thin->error && !thin->unreachable; ++i) {
        if (held[i]) continue;
        auto permit = co_await some.acquire();
        group_.spawn(store_one_again(names[i], i, thin, std::move(permit)));
    }
    co_await group_.join();
    if (thin->error) co_return *thin->error;
    held = std::move(thin->held);
    co_return base::ok();
}

base::Task<void> BackupRun::store_one_again(BlockName name, std::size_t index, std::shared_ptr<Thin> thin,
                                            base::Semaphore::Permit /*permit: until it is stored*/) {
    const auto stored = co_await store_again(name);
    if (stored) {
        thin->held[index] = true;
    } else if (stored.error() == past::Errc::holders_unreachable || stored.error() == base::Errc::timed_out) {
        thin->unreachable = true;
    } else if (!is_isolated_damage(stored.error().code())) {
        thin->error = stored.error();
    }
}

// Fills parent_ if a new version of the tree may be built upon this one: false if its names are ordered by a key of an
// earlier epoch, since a tree of the new epoch shares nothing with it. What the new snapshot takes over without reading
// counts only after a touch, like every dedup hit: a block that is gone would be missing in it too. A file that lost
// one is read again; a tree that lost a node is not used at all (Errc::damaged).
base::Task<base::Result<bool>> BackupRun::load_usable(Tree tree) {
    BASE_CO_TRY(const auto shape, co_await tree.shape());
    if (shape.name_epoch != session_->keys().epoch.epoch) co_return false;
    BASE_CO_TRY(parent_, co_await load_parent(tree));
    BASE_CO_TRY(auto names, co_await tree.nodes());
    const auto nodes = names.size();
    names.insert(names.end(), parent_.blocks().begin(), parent_.blocks().end());
    BASE_CO_TRY(auto held, co_await touch_blocks(env_, session_->storage(), session_->tag(), names));
    for (std::size_t i = 0; i < nodes; ++i) {
        if (!held[i]) BASE_CO_CHECK(co_await store_again(names[i]));
    }
    BASE_CO_CHECK(co_await store_all_again(names, nodes, held));
    const auto first_block = held.begin() + static_cast<std::ptrdiff_t>(nodes);
    report_.blocks_lost = static_cast<std::uint64_t>(std::count(first_block, held.end(), false));
    if (report_.blocks_lost > 0) parent_.lose({first_block, held.end()});
    co_return true;
}

// --- deduplication ---------------------------------------------------------------------------------------------------

base::Task<base::Result<void>> BackupRun::load_dedup() {
    dedup_loaded_ = true;
    Packer::Config config;
    config.zstd_level = options_.zstd_level;
    config.dry_run = options_.dry_run;
    if (!options_.cache_path.empty()) {
        auto open = [this] { return DedupCache::open(env_.disk, options_.cache_path, session_->keys(), index_); };
        auto opened = co_await env_.workers.run(std::move(open));
        if (opened) {
            cache_ = std::move(*opened);
        } else {
            // Another backup has it: this one asks the volume, and keeps what it learns to itself.
            const bool busy = opened.error() == base::Errc::locked;
            if (!busy && !(opened.error() == base::Errc::not_found)) {
                env_.log.write(base::Log::Level::warning, "archive",
                               "rebuilding the cache: " + opened.error().message());
            }
            BASE_CO_CHECK(co_await rebuild_dedup(!busy && !options_.dry_run));
        }
    }
    packer_ = std::make_unique<Packer>(env_, session_->storage(), session_->writer(), index_, cache_.get(), config);
    co_return base::ok();
}

// From the newest snapshot of each host and set of paths: what only older ones hold is stored again if it comes back.
base::Task<base::Result<void>> BackupRun::rebuild_dedup(bool with_file) {
    index_ = DedupIndex{};
    if (with_file) {
        auto create = [this] { return DedupCache::create(env_.disk, options_.cache_path, session_->keys()); };
        auto created = co_await env_.workers.run(std::move(create));
        if (created) cache_ = std::move(*created);  // else this backup goes without
    }
    std::map<base::Guid, CacheRecord> records;
    std::set<base::Guid> roots;
    std::map<std::pair<std::string, std::vector<std::string>>, const Snapshot*> newest;
    for (const auto& snapshot : session_->snapshots()) newest[{snapshot.host, snapshot.paths}] = &snapshot;
    for (const auto& [key, snapshot] : newest) {
        if (!roots.insert(snapshot->root->id).second) continue;
        TreeCursor cursor{Tree{session_->reader(), snapshot->root}};
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
                    extent->block->key_epoch != session_->keys().epoch.epoch)
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
            index_.add_block(std::make_shared<const BlockRef>(record.block), DedupIndex::Presence::unknown);
        for (const auto& chunk : chunks) index_.add(chunk.hash, {block, chunk.offset, chunk.length});
        if (!cache_) continue;
        CacheSalt salt{};
        env_.rng.fill(salt);
        auto append = [cache = cache_.get(), &record, salt] { std::ignore = cache->append(record, salt); };
        co_await env_.workers.run(std::move(append));
    }
    co_return base::ok();
}

// --- walk ------------------------------------------------------------------------------------------------------------

base::Task<void> BackupRun::scan() {
    for (;;) {
        while (scanned_.size() >= kScannedAhead) co_await scan_event_.wait();
        auto job = [this] { return scanner_->next(kScanEntries, kScanDirectories); };
        auto listings = co_await env_.workers.run(std::move(job));
        for (auto& failure : scanner_->take_failures()) {
            const bool vanished = failure.error == base::Errc::not_found;
            report_.warnings.add(vanished ? WarningKind::vanished : WarningKind::unreadable, std::move(failure.path),
                                 std::move(failure.error));
        }
        if (listings.empty()) break;
        scanned_.push_back(std::move(listings));
        scan_event_.pulse();
    }
    scan_ended_ = true;
    scan_event_.pulse();
}

base::Task<void> BackupRun::estimate() {
    auto counter = std::make_shared<Scanner>(tree_, options_.paths, options_.scan);
    auto begin = [counter] { return counter->begin().has_value(); };
    if (!co_await env_.workers.run(std::move(begin))) co_return;
    for (;;) {
        auto job = [counter] { return counter->next(kScanEntries, kScanDirectories); };
        const auto listings = co_await env_.workers.run(std::move(job));
        if (listings.empty()) break;
        std::ignore = counter->take_failures();
        for (const auto& listing : listings) {
            for (const auto& entry : listing.entries) {
                if (entry.directory != 0) continue;
                ++shown_.total_files;
                if (entry.stat.type != base::FileType::regular) continue;
                shown_.total_bytes += std::min(entry.stat.size, entry.stat.allocated_bytes);
            }
        }
    }
}

base::Task<base::Result<void>> BackupRun::walk() {
    for (;;) {
        while (scanned_.empty() && !scan_ended_) co_await scan_event_.wait();
        if (scanned_.empty()) break;
        auto listings = std::move(scanned_.front());
        scanned_.pop_front();
        scan_event_.pulse();
        for (auto& listing : listings) {
            take(listing);
            BASE_CO_CHECK(co_await queue_reads());
        }
        tell(&current_);
    }
    close_run();
    BASE_CO_CHECK(co_await queue_reads());
    reading_ended_ = true;
    reading_event_.pulse();
    co_return base::ok();
}

// --- read ------------------------------------------------------------------------------------------------------------

base::Task<base::Result<void>> BackupRun::queue_reads() {
    for (auto& batch : std::exchange(planned_, {})) {
        if (!dedup_loaded_) BASE_CO_CHECK(co_await load_dedup());
        while (reading_.size() >= options_.read_concurrency && !place_error_) co_await reading_event_.wait();
        if (place_error_) co_return *place_error_;
        reading_.push_back(batch);
        if (!batch->large) group_.spawn(read(batch));
        reading_event_.pulse();
    }
    co_return base::ok();
}

base::Task<void> BackupRun::read(BatchPtr batch) {
    co_await env_.clock.sleep_until(started_ + kClockTick);
    auto job = [this, &run = batch->run] { read_run(run, session_->keys().epoch); };
    co_await env_.workers.run(std::move(job));
    batch->done.set();
}

// --- place -----------------------------------------------------------------------------------------------------------

base::Task<void> BackupRun::place_all() {
    for (;;) {
        while (reading_.empty() && !reading_ended_) co_await reading_event_.wait();
        if (reading_.empty()) break;
        auto batch = reading_.front();
        base::Result<void> placed = base::ok();
        if (batch->large) {
            auto item = std::move(*batch->large);
            placed = co_await place_large(std::move(item));
        } else {
            co_await batch->done.wait();
            placed = co_await place_run(batch->run);
        }
        reading_.pop_front();
        if (!placed) place_error_ = placed.error();
        reading_event_.pulse();
        if (!placed) break;
    }
}

base::Task<base::Result<void>> BackupRun::place_run(Run& run) {
    std::vector<ChunkHash> hashes;
    for (const auto& outcome : run.outcomes) {
        for (const auto& chunk : outcome.chunks) hashes.push_back(chunk.hash);
        for (const auto& xattr : outcome.xattrs) {
            if (xattr.chunk) hashes.push_back(xattr.chunk->hash);
        }
    }
    BASE_CO_CHECK(co_await packer_->confirm(std::move(hashes)));
    for (std::size_t i = 0; i < run.items.size(); ++i) {
        const auto& item = run.items[i];
        auto& outcome = run.outcomes[i];
        if (outcome.grown) continue;
        store_inode(item, outcome, run.buffer);
        if (item.stat.type != base::FileType::directory) ++shown_.files;
        if (outcome.lost) continue;
        for (const auto& chunk : outcome.chunks) {
            const auto place = packer_->place(chunk, run.buffer, false);
            changes_.put_extent(item.number, {chunk.file_offset, place, chunk.hash});
        }
        report_.bytes_read += outcome.data_bytes;
        shown_.bytes += outcome.data_bytes;
    }
    BASE_CO_CHECK(co_await packer_->settle());
    current_ = run.items.back().path();
    tell(&current_);
    for (std::size_t i = 0; i < run.items.size(); ++i) {
        if (!run.outcomes[i].grown) continue;
        auto item = std::move(run.items[i]);
        BASE_CO_CHECK(co_await place_large(std::move(item)));
    }
    co_return base::ok();
}

base::Task<void> BackupRun::read_segment(std::shared_ptr<LargeReader> reader, std::shared_ptr<SegmentAhead> ahead) {
    auto next = [reader] { return reader->next(); };
    ahead->segment = co_await env_.workers.run(std::move(next));
    ahead->done.set();
}

base::Task<base::Result<void>> BackupRun::place_large(SourceItem item) {
    co_await env_.clock.sleep_until(started_ + kClockTick);
    const auto reader = std::make_shared<LargeReader>(std::move(item), *chunker_, session_->keys().epoch);
    auto open = [reader] { reader->open(); };
    co_await env_.workers.run(std::move(open));
    current_ = reader->item().path();
    std::vector<TreeChanges::Stretch> stretches;
    auto ahead = std::make_shared<SegmentAhead>(env_.executor);
    bool last = reader->outcome().lost;
    if (!last) group_.spawn(read_segment(reader, ahead));
    while (!last) {
        co_await ahead->done.wait();
        const auto segment = std::move(ahead->segment);
        last = segment.last;
        if (!last) {
            ahead = std::make_shared<SegmentAhead>(env_.executor);
            group_.spawn(read_segment(reader, ahead));
        }
        std::vector<ChunkHash> hashes;
        for (const auto& chunk : segment.chunks) hashes.push_back(chunk.hash);
        BASE_CO_CHECK(co_await packer_->confirm(std::move(hashes)));
        for (const auto& chunk : segment.chunks) {
            const auto place = packer_->place(chunk, segment.buffer, true);
            stretches.push_back({chunk.file_offset, place, chunk.hash});
            report_.bytes_read += chunk.length;
            shown_.bytes += chunk.length;
        }
        BASE_CO_CHECK(co_await packer_->settle());
        tell(&current_);
    }
    if (!reader->outcome().lost) {
        auto close = [reader] { reader->close(); };
        co_await env_.workers.run(std::move(close));
        for (const auto& stretch : stretches) changes_.put_extent(reader->item().number, stretch);
    }
    ++shown_.files;
    store_inode(reader->item(), reader->outcome(), reader->attribute_buffer());
    co_return base::ok();
}

void BackupRun::tell(const std::string* current) {
    if (!progress_) return;
    shown_.current = current;
    progress_(shown_);
}

// --- the end ---------------------------------------------------------------------------------------------------------

base::Task<base::Result<void>> BackupRun::finish() {
    shown_.ending = true;
    tell(nullptr);
    lose_other_names();
    erase_unclaimed();
    if (packer_) BASE_CO_CHECK(co_await packer_->finish());
    if (packer_) report_.bytes_new = packer_->totals().bytes_new;
    if (options_.dry_run) {
        if (packer_) report_.bytes_stored = packer_->totals().bytes_sealed;
        if (packer_) report_.blocks_stored = packer_->totals().blocks;
        co_return base::ok();
    }
    BASE_CO_TRY(auto root, co_await write_tree());
    co_return co_await commit(std::move(root));
}

base::Task<base::Result<BlockRefPtr>> BackupRun::write_tree() {
    if (changes_.empty() && parent_snapshot_) co_return parent_snapshot_->root;
    TreeShape shape;
    shape.name_epoch = session_->keys().epoch.epoch;
    auto update = parent_tree_ ? TreeUpdate{session_->writer(), *parent_tree_} : TreeUpdate{session_->writer(), shape};
    co_return co_await changes_.apply(update, index_);
}

// What is known before the first file is read.
Snapshot BackupRun::describe() const {
    Snapshot snapshot;
    snapshot.host = options_.host;
    snapshot.user = options_.user;
    snapshot.paths = recorded_paths();
    snapshot.tags = options_.tags;
    std::sort(snapshot.tags.begin(), snapshot.tags.end());
    snapshot.tags.erase(std::unique(snapshot.tags.begin(), snapshot.tags.end()), snapshot.tags.end());
    snapshot.time_ns = options_.time_ns.value_or(started_wall_ns_);
    if (session_) snapshot.sequence = session_->generation();
    snapshot.program_version = options_.program_version;
    return snapshot;
}

// A list of thousands of files does not fit a snapshot's record: then the directories they lie in, or those above.
std::vector<std::string> BackupRun::recorded_paths() const {
    auto paths = scanner_->paths();
    const auto too_many = [&paths] {
        std::size_t bytes = 0;
        for (const auto& path : paths) bytes += path.size() + 2;
        return paths.size() > kMaxSnapshotPaths || bytes > kMaxSnapshotBytes / 2;
    };
    while (too_many()) {
        for (auto& path : paths) path.resize(std::max<std::size_t>(1, path.rfind('/')));
        std::sort(paths.begin(), paths.end());
        paths.erase(std::unique(paths.begin(), paths.end()), paths.end());
    }
    return paths;
}

base::Task<base::Result<void>> BackupRun::commit(BlockRefPtr root) {
    if (!scanner_->reached() && report_.warnings.count() > 0) {
        const auto& first = report_.warnings.kinds().begin()->second.first.front();
        co_return base::Error{first.error.code(), first.path + ", and nothing else was named"};
    }
    if (const auto lost = report_.warnings.kinds().find(WarningKind::unreadable);
        options_.all_or_nothing && lost != report_.warnings.kinds().end()) {
        co_return lost->second.first.front().error;
    }
    report_.skipped = options_.skip_if_unchanged && parent_snapshot_ && root->id == parent_snapshot_->root->id;
    if (report_.skipped) co_return base::ok();
    BASE_CO_TRY(report_.copies, co_await session_->writer().flush());
    const auto totals = session_->writer().totals();
    report_.bytes_stored = totals.bytes - moved_bytes_;
    report_.blocks_stored = totals.blocks - moved_blocks_;
    auto snapshot = describe();
    snapshot.root = std::move(root);
    const auto& files = report_.files;
    const auto& directories = report_.directories;
    snapshot.parent = report_.parent;
    snapshot.files = files.added + files.changed + files.unchanged;
    snapshot.directories = directories.added + directories.changed + directories.unchanged;
    snapshot.bytes = report_.bytes;
    snapshot.added_bytes = report_.bytes_stored;
    snapshot.partial = report_.warnings.count(WarningKind::unreadable);
    BASE_CO_TRY(auto outcome, co_await volume_.commit(*session_, std::move(snapshot)));
    report_.snapshot = std::move(outcome.snapshot);
    report_.copies = outcome.copies;
    co_return base::ok();
}

base::Task<base::Result<BackupReport>> backup(base::NodeEnv env, base::LocalTree& tree, Volume& volume,
                                              BackupOptions options, ProgressFunction progress) {
    auto run = std::make_unique<BackupRun>(env, tree, volume, options, progress);
    auto report = co_await run->run();
    if (report || !(report.error() == Errc::collected)) co_return report;
    // A prune took what this one counted on. Another finds out what is left, and stores the rest again.
    run.reset();
    run = std::make_unique<BackupRun>(env, tree, volume, std::move(options), std::move(progress));
    co_return co_await run->run();
}

}  // namespace objstore::archive
