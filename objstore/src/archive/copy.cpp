#include "objstore/archive/copy.hpp"

#include <algorithm>
#include <exception>

#include <boost/asio/this_coro.hpp>

#include "copy_run.hpp"
#include "objstore/error.hpp"
#include "open_dedup.hpp"

namespace objstore::archive {
namespace {

constexpr std::size_t kPrefetch = 8;  // blocks

bool is_name(Kind kind) { return kind == Kind::entry || kind == Kind::xattr; }

/// Of a file's content or an attribute's value; null if there is none.
template <class AnyValue>
auto* extent_of(AnyValue& value) {
    auto* const xattr = std::get_if<XattrRecord>(&value);
    return xattr != nullptr ? std::get_if<Extent>(&xattr->value) : std::get_if<Extent>(&value);
}

/// What such a record names is sealed under the keys of its own volume. Conflicts are the live tree's, and their files
/// are in the tree like any other; what others say nobody knows here, so that nothing is lost unseen.
base::Result<void> may_be_left_out(const Item& item) {
    if (item.key.kind == Kind::conflict) return base::ok();
    return base::Error{base::Errc::unsupported,
                       "its tree has records of a later version of pelago; copy it with that version"};
}

base::Guid origin_of(const Snapshot& snapshot) { return snapshot.original.value_or(snapshot.id()); }

/// Copies of one snapshot, be they whole or not.
bool same_origin(const Snapshot& a, const Snapshot& b) {
    return origin_of(a) == origin_of(b) && a.time_ns == b.time_ns && a.host == b.host && a.user == b.user &&
           a.paths == b.paths && a.tags == b.tags;
}

bool same_counts(const Snapshot& a, const Snapshot& b) {
    return a.files == b.files && a.directories == b.directories && a.bytes == b.bytes && a.partial == b.partial;
}

}  // namespace

std::optional<Snapshot> find_copy(const Snapshot& snapshot, std::span<const Snapshot> others) {
    const auto is_copy = [&](const Snapshot& other) {
        return same_origin(snapshot, other) && same_counts(snapshot, other);
    };
    const auto found = std::ranges::find_if(others, is_copy);
    return found != others.end() ? std::optional{*found} : std::nullopt;
}

base::Task<base::Result<CopyReport>> CopyRun::run() {
    std::exception_ptr cancelled;
    std::optional<base::Error> error;
    try {
        if (auto done = co_await body(); !done) error = done.error();
    } catch (...) {
        cancelled = std::current_exception();
    }
    if (packer_ && (cancelled || error)) {
        co_await boost::asio::this_coro::reset_cancellation_state(boost::asio::disable_cancellation{});
        co_await packer_->stop();
    }
    if (cancelled) std::rethrow_exception(cancelled);
    if (error) co_return *error;
    co_return std::move(report_);
}

base::Task<base::Result<void>> CopyRun::body() {
    BASE_CO_TRY(session_, co_await state_.to.begin(state_.options.wait));
    if (auto there = find_copy(snapshot_, session_->snapshots())) {
        report_.snapshot = std::move(*there);
        report_.was_there = true;
        co_return base::ok();
    }
    BASE_CO_CHECK(co_await open_index());
    BASE_CO_CHECK(co_await choose_base());
    for (;;) {
        BASE_CO_TRY(const bool whole, co_await collect());
        const auto lost = state_.lost.size();
        if (whole) BASE_CO_CHECK(co_await read_all());
        if (whole && state_.lost.size() == lost) break;
        BASE_CO_CHECK(co_await leave_out_losses());
    }
    BASE_CO_CHECK(co_await packer_->finish());
    report_.bytes_new = packer_->totals().bytes_new;
    BASE_CO_TRY(auto root, co_await write_tree());
    co_return co_await commit(std::move(root));
}

// Every session begins with new doubts: what an earlier one counted on may have been collected since.
base::Task<base::Result<void>> CopyRun::open_index() {
    auto& index = state_.index;
    if (!state_.index_loaded) {
        BASE_CO_TRY(state_.cache, co_await open_dedup(state_.env, *session_, state_.options.cache_path, false, index));
        state_.index_loaded = true;
    }
    for (std::uint32_t block = 0; block < index.blocks(); ++block) {
        const bool sealed = index.block(block) != nullptr;
        index.set_presence(block, sealed ? DedupIndex::Presence::unknown : DedupIndex::Presence::gone);
    }
    Packer::Config config;
    config.zstd_level = state_.options.zstd_level;
    packer_ = std::make_unique<Packer>(state_.env, session_->storage(), session_->writer(), index, state_.cache.get(),
                                       config);
    co_return base::ok();
}

// --- what differs from what was copied before ------------------------------------------------------------------------

// The newest before this one, of the same host and paths, that has a whole copy.
base::Task<base::Result<void>> CopyRun::choose_base() {
    if (!state_.snapshots) {
        BASE_CO_TRY(state_.snapshots, co_await state_.from.snapshots());
    }
    const Snapshot* newest = nullptr;
    std::optional<Snapshot> copy;
    for (const auto& one : *state_.snapshots) {
        const bool fits = one.host == snapshot_.host && one.paths == snapshot_.paths && !later(one, snapshot_) &&
                          one.id() != snapshot_.id();
        if (!fits || (newest != nullptr && later(*newest, one))) continue;
        auto found = find_copy(one, session_->snapshots());
        if (!found) continue;
        newest = &one;
        copy = std::move(found);
    }
    if (newest == nullptr) co_return base::ok();
    const Tree made{session_->reader(), copy->root};
    if (!state_.sound.contains(copy->id())) {
        const auto sound = co_await is_sound(made);
        if (!sound && !is_isolated_damage(sound.error().code())) co_return sound.error();
        if (!sound || !*sound) co_return base::ok();
        state_.sound.insert(copy->id());
    }
    base_.emplace(Base{Tree{state_.from.reader(), newest->root}, made, copy->id()});
    const auto compared = co_await compare();
    if (compared) co_return base::ok();
    base_.reset();
    changed_.clear();
    erased_.clear();
    if (!is_isolated_damage(compared.error().code())) co_return compared.error();
    co_return base::ok();
}

// All that the new tree would take over from it is there, and its names are ordered by the present key.
base::Task<base::Result<bool>> CopyRun::is_sound(Tree copy) {
    BASE_CO_TRY(const auto shape, co_await copy.shape());
    if (shape.name_epoch != session_->keys().epoch.epoch) co_return false;
    BASE_CO_TRY(auto names, co_await copy.nodes());
    std::set<base::Guid> met;
    TreeCursor cursor{copy};
    for (;;) {
        BASE_CO_TRY(const auto items, co_await cursor.next_items());
        if (items.empty()) break;
        for (const auto& item : items) {
            const auto* extent = extent_of(item.value);
            if (extent == nullptr || !extent->block || !met.insert(extent->block->id).second) continue;
            names.push_back({extent->block->id, extent->block->group_bits});
        }
    }
    BASE_CO_TRY(const auto held, co_await touch_blocks(state_.env, session_->storage(), session_->tag(), names));
    co_return std::ranges::all_of(held, [](bool one) { return one; });
}

base::Task<base::Result<void>> CopyRun::compare() {
    const Tree tree{state_.from.reader(), snapshot_.root};
    std::set<std::pair<InodeNumber, Kind>>
        groups;  // of names: where they lie depends on keys, so all of one go together
    const TreeDifference sink = [&](const Item* before, const Item* after) {
        const auto& key = after != nullptr ? after->key : before->key;
        if (is_name(key.kind)) {
            groups.emplace(key.inode, key.kind);
        } else if (after != nullptr) {
            changed_.push_back(*after);
        } else {
            auto behind = key;
            ++behind.tie;
            erased_.emplace_back(key, behind);
        }
    };
    BASE_CO_CHECK(co_await diff_trees(base_->before, tree, sink));
    for (const auto& [inode, kind] : groups) {
        const auto from = TreeKey::first(inode, kind), to = TreeKey::behind(inode, kind);
        BASE_CO_TRY(auto items, co_await tree.range(from, to));
        std::ranges::move(items, std::back_inserter(changed_));
        erased_.emplace_back(from, to);
    }
    std::ranges::sort(changed_, {}, &Item::key);
    std::ranges::sort(erased_);
    co_return base::ok();
}

// Something of it is lost. Which files that hurts is found out, and the rest copied, whatever was copied before.
base::Task<base::Result<void>> CopyRun::leave_out_losses() {
    base_.reset();
    changed_.clear();
    erased_.clear();
    std::vector<std::pair<std::string, LeftOut>> told;
    auto tell = [&told](const std::string& path, LeftOut why) { told.emplace_back(path, why); };
    kept_ = std::make_unique<KeptFiles>(state_.from, snapshot_, Patterns{}, state_.lost, std::move(tell));
    BASE_CO_CHECK(co_await kept_->find(true));
    report_.left_out = kept_->left_out();
    left_out_ = std::move(told);
    co_return base::ok();
}

// --- contents --------------------------------------------------------------------------------------------------------

void CopyRun::rewind() {
    at_end_ = false;
    cursor_.reset();
    const bool in_memory = base_ || (kept_ && kept_->salvage());
    if (!in_memory) cursor_.emplace(Tree{state_.from.reader(), snapshot_.root});
}

base::Task<base::Result<std::span<const Item>>> CopyRun::next_items() {
    if (cursor_) co_return co_await cursor_->next_items();
    const std::span<const Item> all = base_ ? std::span<const Item>{changed_} : kept_->salvage()->items;
    co_return std::exchange(at_end_, true) ? std::span<const Item>{} : all;
}

// False: something of what is needed is lost, and it was not known yet.
base::Task<base::Result<bool>> CopyRun::collect() {
    state_.pieces.begin();
    shown_.total_bytes = shown_.bytes;
    rewind();
    for (;;) {
        const auto items = co_await next_items();
        if (!items && !kept_ && is_isolated_damage(items.error().code())) co_return false;
        if (!items) co_return items.error();
        if (items->empty()) break;
        for (const auto& item : *items) {
            if (std::holds_alternative<Opaque>(item.value)) BASE_CO_CHECK(may_be_left_out(item));
            if (kept_ && !kept_->is_kept(item)) continue;
            const auto* extent = extent_of(item.value);
            if (extent == nullptr || !extent->block) continue;
            if (state_.lost.contains(extent->block->id)) co_return false;
            state_.pieces.want(*extent);
        }
    }
    co_return true;
}

bool CopyRun::is_here(const CopyPiece& piece) const {
    if (!piece.named) return false;
    const auto known = state_.index.find(piece.hash);
    return known && known->length == piece.length && state_.index.presence(known->block) == DedupIndex::Presence::here;
}

// Those that have to be read: what is known by its name, and there, needs not.
base::Task<base::Result<std::vector<std::uint32_t>>> CopyRun::choose_blocks() {
    auto& pieces = state_.pieces;
    std::vector<ChunkHash> known;
    for (const auto number : pieces.wanted()) {
        for (const auto& piece : pieces.block(number).pieces) {
            if (piece.wanted && piece.named) known.push_back(piece.hash);
        }
    }
    BASE_CO_CHECK(co_await packer_->confirm(std::move(known)));
    std::vector<std::uint32_t> out;
    for (const auto number : pieces.wanted()) {
        bool needed = false;
        for (const auto& piece : pieces.block(number).pieces) {
            if (!piece.wanted || is_here(piece)) continue;
            needed = true;
            shown_.total_bytes += piece.length;
        }
        if (needed) out.push_back(number);
    }
    co_return out;
}

base::Task<base::Result<void>> CopyRun::read_all() {
    auto& reader = state_.from.reader();
    BASE_CO_TRY(const auto numbers, co_await choose_blocks());
    for (std::size_t i = 0; i < numbers.size(); ++i) {
        auto& block = state_.pieces.block(numbers[i]);
        for (auto ahead = i + 1; ahead < std::min(i + kPrefetch, numbers.size()); ++ahead)
            reader.prefetch(state_.pieces.block(numbers[ahead]).ref);
        auto opened = co_await reader.read(block.ref);
        if (!opened && !is_isolated_damage(opened.error().code())) co_return opened.error();
        if (!opened) {
            state_.lost.insert(block.ref->id);
            continue;
        }
        ++report_.blocks_read;
        BASE_CO_CHECK(co_await place(block, std::move(*opened)));
    }
    co_return base::ok();
}

base::Task<base::Result<void>> CopyRun::place(CopyBlock& block, std::shared_ptr<const OpenedBlock> opened) {
    std::vector<bool> skip;
    for (const auto& piece : block.pieces) skip.push_back(is_here(piece));
    auto take = [&] { return take_pieces(block, *opened, session_->keys().epoch, skip); };
    const auto taken = co_await state_.env.workers.run(std::move(take));
    if (!taken) {
        state_.lost.insert(block.ref->id);
        co_return base::ok();
    }
    std::vector<ChunkHash> hashes;
    for (const auto& chunk : taken->chunks) hashes.push_back(chunk.hash);
    BASE_CO_CHECK(co_await packer_->confirm(std::move(hashes)));
    for (const auto& chunk : taken->chunks) {
        const bool of_large_file = block.ref->type == BlockType::data || chunk.length > kPackBytes;
        packer_->place(chunk, taken->buffer, of_large_file);
        report_.bytes_read += chunk.length;
        shown_.bytes += chunk.length;
    }
    tell();
    co_return co_await packer_->settle();
}

void CopyRun::tell() {
    if (state_.progress) state_.progress(shown_);
}

// --- the tree --------------------------------------------------------------------------------------------------------

base::Task<base::Result<BlockRefPtr>> CopyRun::write_tree() {
    shown_.ending = true;
    tell();
    TreeShape shape;
    shape.name_epoch = session_->keys().epoch.epoch;
    auto update = base_ ? TreeUpdate{session_->writer(), base_->copy} : TreeUpdate{session_->writer(), shape};
    if (kept_) next_made_ = kept_->made().begin();
    rewind();
    for (;;) {
        BASE_CO_TRY(const auto items, co_await next_items());
        if (items.empty()) break;
        for (const auto& item : items) {
            const bool other_group = !names_.empty() && (names_.front().key.inode != item.key.inode ||
                                                         names_.front().key.kind != item.key.kind);
            if (other_group) BASE_CO_CHECK(co_await put_names(update));
            BASE_CO_CHECK(co_await put_made(update, item.key.inode));
            if (std::holds_alternative<Opaque>(item.value)) continue;  // may_be_left_out()
            if (kept_ && !kept_->is_kept(item)) continue;
            auto copy = item;
            if (auto* extent = extent_of(copy.value)) BASE_CO_CHECK(follow(*extent));
            const auto& keys = session_->keys().epoch;
            if (const auto* entry = std::get_if<Entry>(&copy.value)) {
                copy.key.sub = entry_hash(keys, copy.key.inode, entry->name);
            } else if (const auto* xattr = std::get_if<XattrRecord>(&copy.value)) {
                copy.key.sub = xattr_hash(keys, copy.key.inode, xattr->name);
            } else {
                BASE_CO_CHECK(co_await put(update, std::move(copy)));
                continue;
            }
            names_.push_back(std::move(copy));
        }
    }
    BASE_CO_CHECK(co_await put_names(update));
    BASE_CO_CHECK(co_await put_made(update, UINT64_MAX));
    for (; next_erased_ < erased_.size(); ++next_erased_) {
        const auto [from, to] = erased_[next_erased_];
        BASE_CO_CHECK(co_await update.erase(from, to));
    }
    co_return co_await update.finish();
}

base::Task<base::Result<void>> CopyRun::put(TreeUpdate& update, Item item) {
    for (; next_erased_ < erased_.size() && erased_[next_erased_].first <= item.key; ++next_erased_) {
        const auto [from, to] = erased_[next_erased_];
        BASE_CO_CHECK(co_await update.erase(from, to));
    }
    co_return co_await update.put(std::move(item));
}

base::Task<base::Result<void>> CopyRun::put_names(TreeUpdate& update) {
    auto names = std::exchange(names_, {});
    std::ranges::sort(names, {}, [](const Item& item) { return std::pair{item.key.sub, item.key.tie}; });
    for (std::size_t i = 0; i < names.size(); ++i) {
        const bool same_place = i > 0 && names[i].key.sub == names[i - 1].key.sub;
        names[i].key.tie = same_place ? names[i - 1].key.tie + 1 : 0;
    }
    for (auto& item : names) {
        auto next = item;
        BASE_CO_CHECK(co_await put(update, std::move(next)));
    }
    co_return base::ok();
}

base::Task<base::Result<void>> CopyRun::put_made(TreeUpdate& update, InodeNumber up_to) {
    for (; kept_ && next_made_ != kept_->made().end() && next_made_->first <= up_to; ++next_made_) {
        Item inode{TreeKey::first(next_made_->first, Kind::inode), next_made_->second};
        BASE_CO_CHECK(co_await put(update, std::move(inode)));
    }
    co_return base::ok();
}

base::Result<void> CopyRun::follow(Extent& extent) const {
    if (!extent.block) return base::ok();
    const auto* piece = state_.pieces.find(extent);
    const auto place = piece != nullptr && piece->named ? state_.index.find(piece->hash) : std::nullopt;
    if (!place) return base::Error{Errc::damaged, "block " + extent.block->id.hex()};  // the tree is not what it was
    extent.block = state_.index.block(place->block);
    extent.offset = place->offset;
    extent.hash = piece->hash;
    return base::ok();
}

base::Task<base::Result<void>> CopyRun::commit(BlockRefPtr root) {
    for (const auto& [path, why] : left_out_) {
        if (state_.options.on_left_out) state_.options.on_left_out(path, why);
    }
    auto next = snapshot_;
    next.root = std::move(root);
    next.first_root.reset();
    next.name.clear();  // it would be looked for in the past of a live tree that it is not of
    next.original = origin_of(snapshot_);
    next.parent = base_ ? std::optional{base_->id} : std::nullopt;
    if (kept_) kept_->count(next);
    next.partial += report_.left_out;
    // States of another volume say nothing here: it comes where its time puts it.
    next.sequence = 0;
    for (const auto& other : session_->snapshots()) {
        if (other.time_ns <= next.time_ns) next.sequence = std::max(next.sequence, other.sequence);
        // The same losses as last time.
        if (!same_origin(other, next) || !same_counts(other, next) || other.root->id != next.root->id) continue;
        report_.snapshot = other;
        report_.was_there = true;
        co_return base::ok();
    }
    BASE_CO_TRY(report_.copies, co_await session_->writer().flush());
    report_.bytes_stored = session_->writer().totals().bytes;
    next.added_bytes = report_.bytes_stored;
    BASE_CO_TRY(auto outcome, co_await state_.to.commit(*session_, std::move(next)));
    report_.snapshot = std::move(outcome.snapshot);
    report_.copies = outcome.copies;
    if (report_.left_out == 0) state_.sound.insert(report_.snapshot.id());
    co_return base::ok();
}

Copier::Copier(base::NodeEnv env, Volume& from, Volume& to, CopyOptions options, ProgressFunction progress)
    : state_{std::make_unique<State>(
          State{env, from, to, std::move(options), std::move(progress), {}, {}, {}, {}, {}, {}, {}})} {}

Copier::~Copier() = default;

base::Task<base::Result<CopyReport>> Copier::copy(Snapshot snapshot) {
    auto run = std::make_unique<CopyRun>(*state_, snapshot);
    auto report = co_await run->run();
    if (report || !(report.error() == Errc::collected)) co_return report;
    // A prune took what this one counted on. Another finds out what is left, and stores the rest again.
    state_->sound.clear();
    run = std::make_unique<CopyRun>(*state_, snapshot);
    co_return co_await run->run();
}

}  // namespace objstore::archive
