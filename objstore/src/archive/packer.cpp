#include "packer.hpp"

#include <algorithm>

namespace objstore::archive {
namespace {

constexpr std::uint64_t kSyncCacheBytes = 8U << 20U;
// Blocks stored one after another tend to be asked for one after another: they are touched together.
constexpr std::uint32_t kTouchAhead = 256;

}  // namespace

Packer::Packer(base::NodeEnv env, past::Storage& storage, BlockWriter& writer, DedupIndex& index, DedupCache* cache,
               Config config)
    : env_{env},
      storage_{storage},
      writer_{writer},
      index_{index},
      cache_{cache},
      config_{config},
      context_{writer.context()},
      sealing_{env.executor, env.workers.parallelism() + 2},
      group_{env.executor} {
    context_.zstd_level = config.zstd_level;
}

base::Task<base::Result<void>> Packer::confirm(std::vector<ChunkHash> hashes) {
    std::vector<std::uint32_t> doubtful;
    for (const auto& hash : hashes) {
        const auto known = index_.find(hash);
        if (known && index_.presence(known->block) == DedupIndex::Presence::unknown) doubtful.push_back(known->block);
    }
    std::sort(doubtful.begin(), doubtful.end());
    std::uint32_t covered = 0;  // blocks below this are asked about already
    std::vector<std::uint32_t> blocks;
    std::vector<BlockName> names;
    for (const auto first : doubtful) {
        const auto end = std::min<std::uint64_t>(std::uint64_t{first} + kTouchAhead, index_.blocks());
        for (auto block = std::max(first, covered); block < end; ++block) {
            if (index_.presence(block) != DedupIndex::Presence::unknown) continue;
            blocks.push_back(block);
            names.push_back({index_.block(block)->id, index_.block(block)->group_bits});
        }
        covered = std::max(covered, static_cast<std::uint32_t>(end));
    }
    if (blocks.empty()) co_return base::ok();
    BASE_CO_TRY(const auto held, co_await touch_blocks(env_, storage_, writer_.tag(), std::move(names)));
    for (std::size_t i = 0; i < blocks.size(); ++i) {
        index_.set_presence(blocks[i], held[i] ? DedupIndex::Presence::here : DedupIndex::Presence::gone);
    }
    co_return base::ok();
}

ChunkLocation Packer::place(const ReadChunk& chunk, const Buffer& buffer, bool of_large_file) {
    const auto known = index_.find(chunk.hash);
    if (known && known->length == chunk.length && index_.presence(known->block) == DedupIndex::Presence::here) {
        ++totals_.chunks_known;
        totals_.bytes_known += chunk.length;
        return *known;
    }
    ++totals_.chunks_new;
    totals_.bytes_new += chunk.length;
    Slice slice{buffer, chunk.buffer_offset, chunk.length, chunk.hash};
    ChunkLocation place{.length = chunk.length};
    if (of_large_file && chunk.length >= kOwnBlockBytes) {
        Draft draft;
        draft.type = BlockType::data;
        draft.block = index_.add_block(nullptr, DedupIndex::Presence::here);
        draft.bytes = chunk.length;
        draft.slices.push_back(std::move(slice));
        place.block = draft.block;
        closed_.push_back(std::move(draft));
    } else {
        const bool full = pack_ && (pack_->bytes + chunk.length > kPackBytes || pack_->slices.size() >= kPackChunks);
        if (full) close_pack();
        if (!pack_) {
            pack_ = Draft{};
            pack_->block = index_.add_block(nullptr, DedupIndex::Presence::here);
        }
        place.block = pack_->block;
        place.offset = static_cast<std::uint32_t>(pack_->bytes);
        pack_->bytes += chunk.length;
        pack_->slices.push_back(std::move(slice));
    }
    index_.add(chunk.hash, place);
    return place;
}

void Packer::close_pack() {
    if (!pack_) return;
    closed_.push_back(std::move(*pack_));
    pack_.reset();
}

base::Task<base::Result<void>> Packer::settle() {
    for (auto& draft : std::exchange(closed_, {})) {
        auto permit = co_await sealing_.acquire();
        if (error_) co_return *error_;
        group_.spawn(seal(std::move(draft), std::move(permit)));
    }
    co_return base::ok();
}

base::Task<base::Result<void>> Packer::finish() {
    close_pack();
    BASE_CO_CHECK(co_await settle());
    co_await group_.join();
    if (error_) co_return *error_;
    if (unsynced_bytes_ > 0) co_await sync_cache();
    co_return base::ok();
}

base::Task<void> Packer::stop() {
    group_.cancel();
    co_await group_.join();
}

base::Task<void> Packer::seal(Draft draft, base::Semaphore::Permit /*permit: until the writer has taken the block*/) {
    CacheSalt salt{};
    env_.rng.fill(salt);
    const auto block = draft.block;
    const auto plain_bytes = draft.bytes;
    auto job = [this, salt, draft = std::move(draft)]() mutable { return seal_draft(std::move(draft), salt); };
    auto sealed = co_await env_.workers.run(std::move(job));
    if (!sealed) {
        if (!error_) error_ = sealed.error();
        co_return;
    }
    index_.set_block(block, std::make_shared<const BlockRef>(sealed->ref));
    ++totals_.blocks;
    totals_.bytes_sealed += sealed->ref.sealed_bytes;
    totals_.bytes_packed += plain_bytes;
    if (config_.dry_run) co_return;
    unsynced_bytes_ += sealed->ref.sealed_bytes;
    if (unsynced_bytes_ >= kSyncCacheBytes) co_await sync_cache();
    auto block_to_put = std::move(*sealed);
    auto put = co_await writer_.put(std::move(block_to_put));
    if (!put && !error_) error_ = put.error();
}

// On the pool. The cache learns of the block before the storage does: a backup that is killed in between asks for it by
// touch, in vain, and stores it then; the other way round it would send it again although it is there.
base::Result<SealedBlock> Packer::seal_draft(Draft draft, CacheSalt salt) const {
    base::Bytes joined_bytes;
    base::ByteView content;
    const auto& first = draft.slices.front();
    std::size_t end = first.offset;
    const bool in_one_piece = std::all_of(draft.slices.begin(), draft.slices.end(), [&](const Slice& slice) {
        const bool follows = slice.buffer == first.buffer && slice.offset == end;
        end = slice.offset + slice.length;
        return follows;
    });
    if (in_one_piece) {
        content = base::ByteView{*first.buffer}.subspan(first.offset, draft.bytes);
    } else {
        joined_bytes.reserve(draft.bytes);
        for (const auto& slice : draft.slices) {
            const auto part = base::ByteView{*slice.buffer}.subspan(slice.offset, slice.length);
            joined_bytes.insert(joined_bytes.end(), part.begin(), part.end());
        }
        content = joined_bytes;
    }
    BlockContent what;
    what.packed = content;
    BASE_TRY(auto sealed, seal_block(context_, draft.type, {}, what));
    if (cache_ == nullptr || config_.dry_run) return sealed;
    CacheRecord record;
    record.block = sealed.ref;
    std::uint32_t offset = 0;
    for (const auto& slice : draft.slices) {
        record.chunks.push_back({offset, slice.length, slice.hash});
        offset += slice.length;
    }
    std::ignore = cache_->append(record, salt);  // a cache that cannot be written is as good as none
    return sealed;
}

base::Task<void> Packer::sync_cache() {
    unsynced_bytes_ = 0;
    if (cache_ == nullptr || config_.dry_run) co_return;
    auto job = [cache = cache_] { std::ignore = cache->sync(); };
    co_await env_.workers.run(std::move(job));
}

}  // namespace objstore::archive
