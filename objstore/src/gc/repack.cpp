#include "objstore/gc/repack.hpp"

#include <algorithm>
#include <bitset>
#include <memory>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "gc/mark_set.hpp"
#include "live/keep_version.hpp"
#include "objstore/archive/dedup_cache.hpp"
#include "past/error.hpp"
#include "tree/load.hpp"
#include "volume/forest_edit.hpp"

namespace objstore::gc {
namespace {

constexpr std::size_t kGrains = 256;
constexpr std::size_t kGrainBytes = kPackBytes / kGrains;
constexpr std::size_t kSurelyFull = kPackBytes - kPackBytes / 8;
constexpr std::size_t kMostMeasured = 4096;  // packs that are read to learn how long they are
constexpr std::size_t kPrefetch = 8;
constexpr std::size_t kNodeCacheBytes = 32U << 20U;

/// How much of a pack is needed, about: a bit for every 4 KiB of which anything is.
struct PackUse {
    std::bitset<kGrains> used;
    std::uint32_t end = 0;      // of the last stretch
    std::uint32_t sealed = 0;   // its content is hardly shorter
    std::uint32_t content = 0;  // 0: not known
    BlockRefPtr ref;            // while its content may be longer than this tells
    bool stays = false;

    [[nodiscard]] std::uint64_t bytes() const { return std::max({end, sealed, content}); }
    [[nodiscard]] std::uint64_t used_bytes() const {
        return std::min<std::uint64_t>(bytes(), used.count() * kGrainBytes);
    }
    [[nodiscard]] std::uint64_t unused() const { return bytes() - used_bytes(); }
};

/// A stretch of a pack that something needs.
struct Piece {
    std::uint32_t offset = 0;
    std::uint32_t length = 0;
    std::optional<ChunkHash> hash;
};

struct OldPack {
    BlockRefPtr ref;
    std::vector<Piece> pieces;
    std::size_t tidied = 0;  // of them are sorted and each there once
    /// Ascending; each piece lies in one of these stretches.
    struct Stretch {
        std::uint32_t from = 0;
        std::uint32_t length = 0;
        BlockRefPtr block;  // where it is now; null: where it was
        std::uint32_t to = 0;
    };
    std::vector<Stretch> stretches;

    void tidy() {
        const auto key = [](const Piece& piece) { return std::tuple{piece.offset, piece.length, !piece.hash}; };
        std::ranges::sort(pieces, {}, key);
        const auto same = [](const Piece& a, const Piece& b) { return a.offset == b.offset && a.length == b.length; };
        pieces.erase(std::unique(pieces.begin(), pieces.end(), same), pieces.end());
        tidied = pieces.size();
    }
    void add(Piece piece) {
        pieces.push_back(piece);
        constexpr std::size_t kSome = 64;
        if (pieces.size() >= 2 * tidied + kSome) tidy();
    }
    void find_stretches() {
        tidy();
        for (const auto& piece : pieces) {
            const auto end = piece.offset + piece.length;
            if (!stretches.empty() && piece.offset < stretches.back().from + stretches.back().length) {
                auto& last = stretches.back();
                last.length = std::max(last.from + last.length, end) - last.from;
            } else {
                stretches.push_back({piece.offset, piece.length, nullptr, 0});
            }
        }
    }
};

/// The roots of snapshots become those of the same trees written again.
class ReplaceRoots final : public ForestEditor {
  public:
    ReplaceRoots(std::unordered_map<base::Guid, BlockRefPtr> roots, std::uint64_t stored_since)
        : roots_{std::move(roots)}, stored_since_{stored_since} {}

    base::Task<base::Result<std::optional<ForestEdit>>> edit(Tree forest, BlockWriter& /*writer*/) override {
        ForestEdit out;
        BASE_CO_TRY(auto items,
                    co_await forest.range(TreeKey::first(0, Kind::snapshot), TreeKey::behind(0, Kind::snapshot)));
        for (auto& item : items) {
            auto snapshot = snapshot_in(item);
            if (!snapshot) continue;
            const auto found = roots_.find(snapshot->root->id);
            if (found == roots_.end()) continue;
            if (!snapshot->first_root) snapshot->first_root = snapshot->root->id;
            snapshot->root = found->second;
            item.value = snapshot->encode();
            out.put.push_back(std::move(item));
        }
        replaced_ = std::max<std::uint64_t>(replaced_, out.put.size());
        if (out.put.empty()) co_return std::optional<ForestEdit>{};
        co_return std::optional{std::move(out)};
    }
    [[nodiscard]] std::uint64_t stored_since() const override { return stored_since_; }
    [[nodiscard]] std::uint64_t replaced() const { return replaced_; }

  private:
    std::unordered_map<base::Guid, BlockRefPtr> roots_;
    std::uint64_t stored_since_;
    std::uint64_t replaced_ = 0;
};

class Repack {
  public:
    Repack(Volume& volume, RepackOptions options, std::function<void(const RepackProgress&)> progress)
        : volume_{volume}, options_{std::move(options)}, progress_{std::move(progress)} {}

    base::Task<base::Result<RepackReport>> run();

  private:
    using Packs = std::unordered_map<base::Guid, OldPack>;
    /// Told of each stretch of a pack that a leaf names. True: the leaf is to be remembered.
    using Meet = std::function<bool(const Extent&)>;

    static base::Task<base::Result<bool>> visit(Repack* self, BlockRefPtr ref, TreeNodePtr node, const Meet* meet);
    base::Task<base::Result<void>> visit_root(BlockRefPtr root, const Meet& meet);
    base::Task<base::Result<void>> measure(const Session& session);
    base::Task<base::Result<void>> measure_contents();
    void choose();
    base::Task<base::Result<void>> replace_batch(Session& session, std::unordered_set<base::Guid> chosen);
    base::Task<base::Result<void>> move(BlockWriter& writer);
    base::Task<base::Result<void>> close_pack(BlockWriter& writer);
    base::Task<void> tell_cache();
    static base::Task<base::Result<BlockRefPtr>> written_again(Repack* self, BlockWriter* writer, BlockRefPtr ref,
                                                               TreeNodePtr node);
    /// True if it lies elsewhere now.
    bool follow(Extent& extent) const;
    bool follow(Value& value) const;
    void tell(RepackProgress::Step step, std::uint64_t count) const {
        if (progress_) progress_({step, count});
    }

    Volume& volume_;
    const RepackOptions options_;
    std::function<void(const RepackProgress&)> progress_;
    std::shared_ptr<TreeState> trees_;
    MarkSet seen_{SIZE_MAX};
    std::uint64_t leaves_ = 0;
    std::unordered_map<base::Guid, PackUse> use_;
    std::vector<base::Guid> chosen_;  // to be replaced, the emptiest last
    RepackReport report_;

    // Of one batch.
    Packs old_;
    MarkSet touched_{SIZE_MAX};  // nodes that lead to any of them
    std::vector<OldPack*> in_order_;
    base::Bytes filling_;
    std::vector<std::pair<OldPack*, std::size_t>> filled_;  // stretches in it
    std::unordered_map<base::Guid, BlockRefPtr> again_;     // nodes that were written again
    std::vector<archive::CacheRecord> records_;
};

const Extent* extent_of(const Value& value) {
    if (const auto* extent = std::get_if<Extent>(&value)) return extent;
    const auto* xattr = std::get_if<XattrRecord>(&value);
    return xattr != nullptr ? std::get_if<Extent>(&xattr->value) : nullptr;
}

// Post-order, each node once, however many trees share it.
base::Task<base::Result<bool>> Repack::visit(Repack* self, BlockRefPtr ref, TreeNodePtr node, const Meet* meet) {
    bool touched = false;
    if (node->leaf()) {
        for (const auto& item : node->items) {
            const auto* extent = extent_of(item.value);
            const bool packed = extent != nullptr && extent->block && extent->block->type == BlockType::pack;
            if (packed && (*meet)(*extent)) touched = true;
        }
        if (++self->leaves_ % 64 == 0) self->tell(RepackProgress::Step::look, self->leaves_);
    }
    for (std::size_t i = 0; i < node->children.size(); ++i) {
        const auto child = node->children[i].ref;
        if (self->seen_.insert(child->id)) {
            for (auto ahead = i + 1; ahead < std::min(i + kPrefetch, node->children.size()); ++ahead) {
                const auto& next = node->children[ahead].ref;
                if (!self->seen_.contains(next->id)) self->trees_->reader.prefetch(next);
            }
            BASE_CO_TRY(auto below, co_await load_child(self->trees_, node, i));
            BASE_CO_TRY(const bool one, co_await visit(self, child, std::move(below), meet));
            touched = touched || one;
        } else if (self->touched_.contains(child->id)) {
            touched = true;
        }
    }
    if (touched) self->touched_.insert(ref->id);
    co_return touched;
}

base::Task<base::Result<void>> Repack::visit_root(BlockRefPtr root, const Meet& meet) {
    if (!seen_.insert(root->id)) co_return base::ok();
    BASE_CO_TRY(auto node, co_await load_node(trees_, root, std::nullopt));
    BASE_CO_TRY(const bool touched, co_await visit(this, std::move(root), std::move(node), &meet));
    std::ignore = touched;
    co_return base::ok();
}

base::Task<base::Result<void>> Repack::measure(const Session& session) {
    bool stays =
        true;  // those of the live tree and its kept versions: moving them would change each file for its mounts
    const Meet meet = [&](const Extent& extent) {
        auto& use = use_[extent.block->id];
        const auto end = extent.offset + static_cast<std::uint32_t>(extent.length);
        use.sealed = extent.block->sealed_bytes;
        use.end = std::max(use.end, end);
        use.stays = use.stays || stays;
        use.ref = !use.stays && use.bytes() < kSurelyFull ? extent.block : nullptr;
        for (auto grain = extent.offset / kGrainBytes; grain <= (end - 1) / kGrainBytes; ++grain)
            use.used.set(std::min(grain, kGrains - 1));
        return false;
    };
    const Tree forest{volume_.reader(), session.pinned().forest};
    BASE_CO_TRY(const auto roots, co_await roots_of_versions(volume_.reader(), forest));
    for (const auto& root : roots) BASE_CO_CHECK(co_await visit_root(root, meet));
    stays = false;
    seen_ = MarkSet{SIZE_MAX};  // what snapshots share with it is looked at again: it costs no more than its leaves
    for (const auto& snapshot : session.snapshots()) BASE_CO_CHECK(co_await visit_root(snapshot.root, meet));
    co_return base::ok();
}

// Compressed bytes and what is needed do not tell how long a pack was that lost its end: of the largest it is read.
base::Task<base::Result<void>> Repack::measure_contents() {
    std::vector<PackUse*> doubtful;
    for (auto& [id, use] : use_) {
        if (use.ref) doubtful.push_back(&use);
    }
    std::ranges::sort(doubtful, std::greater<>{}, &PackUse::sealed);
    for (std::size_t i = 0; i < doubtful.size(); ++i) {
        const auto ref = std::exchange(doubtful[i]->ref, nullptr);
        if (i >= kMostMeasured) continue;
        for (auto ahead = i + 1; ahead < std::min({i + kPrefetch, doubtful.size(), kMostMeasured}); ++ahead)
            volume_.reader().prefetch(doubtful[ahead]->ref);
        const auto opened = co_await volume_.reader().read(ref);
        if (!opened && !(opened.error() == Errc::damaged)) co_return opened.error();
        if (opened) doubtful[i]->content = static_cast<std::uint32_t>((*opened)->packed.size());
    }
    co_return base::ok();
}

void Repack::choose() {
    std::uint64_t used = 0, unused = 0;
    std::vector<std::pair<double, base::Guid>> candidates;
    for (const auto& [id, use] : use_) {
        used += use.used_bytes();
        unused += use.unused();
        if (use.stays || use.unused() == 0) continue;
        candidates.emplace_back(static_cast<double>(use.unused()) / static_cast<double>(use.bytes()), id);
    }
    std::ranges::sort(candidates, std::greater<>{});
    for (const auto& [share, id] : candidates) {
        if (static_cast<double>(unused) <= options_.max_unused * static_cast<double>(used)) break;
        const auto& use = use_.at(id);
        unused -= use.unused();
        report_.bytes_unused += use.unused();
        chosen_.push_back(id);
    }
    std::ranges::reverse(chosen_);
    report_.bytes_unused_left = unused;
}

base::Task<base::Result<RepackReport>> Repack::run() {
    trees_ = std::make_shared<TreeState>(volume_.reader(), nullptr, std::make_shared<NodeCache>(kNodeCacheBytes));
    BASE_CO_TRY(auto session, co_await volume_.begin(past::Wait::full));
    BASE_CO_CHECK(co_await measure(*session));
    BASE_CO_CHECK(co_await measure_contents());
    choose();
    if (options_.dry_run) {
        report_.packs = chosen_.size();
        for (const auto& id : chosen_) report_.bytes_moved += use_.at(id).used_bytes();
        co_return std::move(report_);
    }
    while (!chosen_.empty()) {
        std::unordered_set<base::Guid> batch;
        for (std::uint64_t bytes = 0; !chosen_.empty() && bytes < options_.batch_bytes; chosen_.pop_back()) {
            bytes += use_.at(chosen_.back()).used_bytes();
            batch.insert(chosen_.back());
        }
        BASE_CO_CHECK(co_await replace_batch(*session, std::move(batch)));
        if (chosen_.empty()) break;
        BASE_CO_TRY(session, co_await volume_.begin(past::Wait::full));
    }
    co_return std::move(report_);
}

base::Task<base::Result<void>> Repack::replace_batch(Session& session, std::unordered_set<base::Guid> chosen) {
    old_.clear();
    in_order_.clear();
    again_.clear();
    seen_ = touched_ = MarkSet{SIZE_MAX};
    const Meet meet = [&](const Extent& extent) {
        if (!chosen.contains(extent.block->id)) return false;
        auto& pack = old_[extent.block->id];
        if (!pack.ref) in_order_.push_back(&pack);
        pack.ref = extent.block;
        pack.add({extent.offset, static_cast<std::uint32_t>(extent.length), extent.hash});
        return true;
    };
    for (const auto& snapshot : session.snapshots()) BASE_CO_CHECK(co_await visit_root(snapshot.root, meet));
    BASE_CO_CHECK(co_await move(session.writer()));

    std::unordered_map<base::Guid, BlockRefPtr> roots;
    for (const auto& snapshot : session.snapshots()) {
        if (!touched_.contains(snapshot.root->id)) continue;
        BASE_CO_TRY(auto node, co_await load_node(trees_, snapshot.root, std::nullopt));
        BASE_CO_TRY(auto root, co_await written_again(this, &session.writer(), snapshot.root, std::move(node)));
        if (root->id != snapshot.root->id) roots.emplace(snapshot.root->id, std::move(root));
    }
    BASE_CO_TRY(const auto copies, co_await session.writer().flush());
    // The old packs have theirs.
    if (copies.copies_stored < copies.copies_possible) co_return past::Errc::too_few_copies;
    // What is named beside what was written here is what the state that the session began with names.
    ReplaceRoots editor{std::move(roots), session.generation()};
    BASE_CO_CHECK(co_await volume_.edit_forest(editor, ForestCheck::whole, past::Wait::full));
    report_.snapshots = std::max(report_.snapshots, editor.replaced());
    co_await tell_cache();
    co_return base::ok();
}

// In the order in which trees name them, so that what is read together stays together.
base::Task<base::Result<void>> Repack::move(BlockWriter& writer) {
    for (std::size_t i = 0; i < in_order_.size(); ++i) {
        auto& pack = *in_order_[i];
        for (auto ahead = i + 1; ahead < std::min(i + kPrefetch, in_order_.size()); ++ahead)
            volume_.reader().prefetch(in_order_[ahead]->ref);
        const auto opened = co_await volume_.reader().read(pack.ref);
        if (!opened && opened.error() == Errc::damaged) {
            ++report_.packs_unreadable;  // what it costs is for `check` to say
            continue;
        }
        if (!opened) co_return opened.error();
        const auto content = (*opened)->packed.view();
        pack.find_stretches();
        ++report_.packs;
        tell(RepackProgress::Step::move, report_.packs);
        for (std::size_t number = 0; number < pack.stretches.size(); ++number) {
            auto& stretch = pack.stretches[number];
            if (std::uint64_t{stretch.from} + stretch.length > content.size())
                continue;  // no tree that is right says so
            if (!filling_.empty() && filling_.size() + stretch.length > kPackBytes)
                BASE_CO_CHECK(co_await close_pack(writer));
            stretch.to = static_cast<std::uint32_t>(filling_.size());
            const auto bytes = content.subspan(stretch.from, stretch.length);
            filling_.insert(filling_.end(), bytes.begin(), bytes.end());
            filled_.emplace_back(&pack, number);
            report_.bytes_moved += stretch.length;
        }
    }
    co_return co_await close_pack(writer);
}

base::Task<base::Result<void>> Repack::close_pack(BlockWriter& writer) {
    if (filling_.empty()) co_return base::ok();
    auto content = std::exchange(filling_, {});
    BASE_CO_TRY(const auto block, co_await writer.write(BlockType::pack, {}, std::move(content)));
    archive::CacheRecord record;
    record.block = *block;
    for (const auto& [pack, number] : std::exchange(filled_, {})) {
        auto& stretch = pack->stretches[number];
        stretch.block = block;
        for (auto piece = std::ranges::lower_bound(pack->pieces, stretch.from, {}, &Piece::offset);
             piece != pack->pieces.end() && piece->offset < stretch.from + stretch.length; ++piece) {
            if (!piece->hash) continue;
            record.chunks.push_back({stretch.to + (piece->offset - stretch.from), piece->length, *piece->hash});
        }
    }
    if (!options_.cache_path.empty()) records_.push_back(std::move(record));
    co_return base::ok();
}

bool Repack::follow(Extent& extent) const {
    if (!extent.block) return false;
    const auto found = old_.find(extent.block->id);
    if (found == old_.end()) return false;
    const auto& stretches = found->second.stretches;
    auto stretch = std::ranges::upper_bound(stretches, extent.offset, {}, &OldPack::Stretch::from);
    if (stretch == stretches.begin()) return false;
    --stretch;
    const bool inside = extent.offset + extent.length <= std::uint64_t{stretch->from} + stretch->length;
    if (!stretch->block || !inside) return false;
    extent.block = stretch->block;
    extent.offset = stretch->to + (extent.offset - stretch->from);
    return true;
}

bool Repack::follow(Value& value) const {
    if (auto* const extent = std::get_if<Extent>(&value)) return follow(*extent);
    auto* const xattr = std::get_if<XattrRecord>(&value);
    auto* const stored = xattr != nullptr ? std::get_if<Extent>(&xattr->value) : nullptr;
    return stored != nullptr && follow(*stored);
}

// Nodes end where they ended: where that is no part of the format, and what is shared stays shared.
base::Task<base::Result<BlockRefPtr>> Repack::written_again(Repack* self, BlockWriter* writer, BlockRefPtr ref,
                                                            TreeNodePtr node) {
    if (!self->touched_.contains(ref->id)) co_return ref;
    if (const auto done = self->again_.find(ref->id); done != self->again_.end()) co_return done->second;
    TreeNode copy = *node;
    bool changed = false;
    for (auto& item : copy.items) changed = self->follow(item.value) || changed;
    for (std::size_t i = 0; i < copy.children.size(); ++i) {
        const auto child = node->children[i].ref;
        if (!self->touched_.contains(child->id)) continue;
        BASE_CO_TRY(auto below, co_await load_child(self->trees_, node, i));
        BASE_CO_TRY(auto moved, co_await written_again(self, writer, child, std::move(below)));
        changed = changed || moved->id != child->id;
        copy.children[i].ref = std::move(moved);
    }
    auto result = ref;
    if (changed) {
        auto encoded = encode_node(copy);
        BASE_CO_TRY(result, co_await writer->write(ref->type, std::move(encoded.blocks), std::move(encoded.packed),
                                                   std::move(encoded.raw)));
        ++self->report_.nodes_written;
        self->tell(RepackProgress::Step::trees, self->report_.nodes_written);
    }
    self->again_.emplace(ref->id, result);
    co_return result;
}

// A cache that cannot be opened or written costs later backups some room, and is no reason to fail.
base::Task<void> Repack::tell_cache() {
    auto records = std::exchange(records_, {});
    if (records.empty()) co_return;
    std::vector<archive::CacheSalt> salts(records.size());
    for (auto& salt : salts) volume_.env().rng.fill(salt);
    auto job = [&disk = volume_.env().disk, path = options_.cache_path, keys = volume_.keys(),
                records = std::move(records), salts = std::move(salts)] {
        archive::DedupIndex known;
        const auto cache = archive::DedupCache::open(disk, path, keys, known);
        if (!cache) return;
        for (std::size_t i = 0; i < records.size(); ++i) {
            if (!(*cache)->append(records[i], salts[i])) return;
        }
        std::ignore = (*cache)->sync();
    };
    co_await volume_.env().workers.run(std::move(job));
}

}  // namespace

base::Task<base::Result<RepackReport>> repack(Volume& volume, RepackOptions options,
                                              std::function<void(const RepackProgress&)> progress) {
    const auto run = std::make_unique<Repack>(volume, std::move(options), std::move(progress));
    co_return co_await run->run();
}

}  // namespace objstore::gc
