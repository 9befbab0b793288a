#include "objstore/archive/dedup_cache.hpp"

#include <algorithm>

#include "base/codec.hpp"
#include "base/crypto.hpp"

namespace objstore::archive {
namespace {

constexpr std::string_view kMagic = "PLGDEDUP";
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kHeaderBytes = 52;
constexpr std::size_t kRecordHead = 4 + sizeof(CacheSalt);
constexpr std::uint32_t kMaxRecordBytes = 1U << 20U;
constexpr std::size_t kMinChunkBytes = 1 + 1 + sizeof(ChunkHash);  // encoded
constexpr std::size_t kReadBytes = 4U << 20U;

base::Bytes header_of(const VolumeKeys& keys) {
    base::Writer out;
    out.raw(base::as_bytes(kMagic)).u32(kVersion).u32(keys.epoch.epoch).guid(keys.aguid);
    return out.u32(base::crc32c(out.view())).take();
}

base::Key record_key(const base::Key& key, base::ByteView salt) {
    return base::derive_key(key, "pelago dedup cache record", salt);
}

void encode_ref(base::Writer& out, const BlockRef& ref) {
    out.guid(ref.id).u32(ref.sealed_bytes).u8(static_cast<std::uint8_t>(ref.type)).u8(ref.group_bits);
    out.raw(ref.ref_key).raw(ref.body_key).u32(ref.key_epoch).u64(ref.birth);
}

BlockRef decode_ref(base::Reader& in) {
    BlockRef ref;
    ref.id = in.guid();
    ref.sealed_bytes = in.u32();
    ref.type = static_cast<BlockType>(in.u8());
    ref.group_bits = in.u8();
    ref.ref_key = in.array<32>();
    ref.body_key = in.array<32>();
    ref.key_epoch = in.u32();
    ref.birth = in.u64();
    if (ref.type != BlockType::data && ref.type != BlockType::pack) in.fail();
    if (ref.group_bits < kMinGroupBits || ref.group_bits > kMaxGroupBits) in.fail();
    return ref;
}

}  // namespace

base::Bytes CacheRecord::encode() const {
    base::Writer out;
    encode_ref(out, block);
    out.varint(chunks.size());
    std::uint32_t end = 0;
    for (const auto& chunk : chunks) {
        out.varint(chunk.offset - end).varint(chunk.length).raw(chunk.hash);
        end = chunk.offset + chunk.length;
    }
    return out.take();
}

base::Result<CacheRecord> CacheRecord::decode(base::ByteView bytes) {
    base::Reader in{bytes};
    CacheRecord record;
    record.block = decode_ref(in);
    const auto count = in.varint();
    if (!in.fits(count, kMinChunkBytes)) return base::Error{base::Errc::bad_format, "dedup cache record"};
    record.chunks.reserve(count);
    std::uint64_t end = 0;
    const std::uint64_t limit = in.ok() ? max_content_bytes(record.block.type) : 0;
    for (std::uint64_t i = 0; i < count && in.ok(); ++i) {
        const auto gap = in.varint();
        const auto length = in.varint();
        if (gap > limit || length > limit || end + gap + length > limit || length == 0) in.fail();
        record.chunks.push_back(
            {static_cast<std::uint32_t>(end + gap), static_cast<std::uint32_t>(length), in.array<sizeof(ChunkHash)>()});
        end += gap + length;
    }
    if (!in.complete()) return base::Error{base::Errc::bad_format, "dedup cache record"};
    return record;
}

DedupCache::DedupCache(const VolumeKeys& keys, std::unique_ptr<base::DirectoryLock> lock,
                       std::unique_ptr<base::File> file)
    : key_{base::derive_key(keys.epoch.chunk, "pelago dedup cache")},
      header_{header_of(keys)},
      lock_{std::move(lock)},
      file_{std::move(file)} {}

base::Result<std::unique_ptr<DedupCache>> DedupCache::open(base::Disk& disk, std::string path, const VolumeKeys& keys,
                                                           DedupIndex& index) {
    BASE_TRY(auto lock, disk.lock(path + ".lock"));
    BASE_TRY(auto file, disk.open(path, base::Disk::Mode::read_write));
    std::unique_ptr<DedupCache> cache{new DedupCache{keys, std::move(lock), std::move(file)}};
    BASE_CHECK(cache->load(index));
    return cache;
}

base::Result<std::unique_ptr<DedupCache>> DedupCache::create(base::Disk& disk, std::string path,
                                                             const VolumeKeys& keys) {
    for (auto slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1)) {
        BASE_CHECK(disk.make_directory(path.substr(0, slash)));
    }
    BASE_TRY(auto lock, disk.lock(path + ".lock"));
    BASE_TRY(auto file, disk.open(path, base::Disk::Mode::create));
    BASE_CHECK(file->truncate(0));
    std::unique_ptr<DedupCache> cache{new DedupCache{keys, std::move(lock), std::move(file)}};
    BASE_CHECK(cache->file_->write_at(0, base::ByteView{cache->header_}));
    cache->end_ = kHeaderBytes;
    return cache;
}

base::Result<void> DedupCache::load(DedupIndex& index) {
    const base::Error damaged{base::Errc::corrupt, "dedup cache"};
    BASE_TRY(const auto size, file_->size());
    base::Bytes buffer;  // bytes [base_at, base_at + buffer.size()) of the file
    std::uint64_t base_at = 0;
    // A view of [at, at + length) of the file, or nothing if it ends before that.
    const auto view = [&](std::uint64_t at, std::size_t length) -> base::Result<base::ByteView> {
        if (at + length > size) return base::ByteView{};
        if (at < base_at || at + length > base_at + buffer.size()) {
            buffer.resize(std::min<std::uint64_t>(std::max(length, kReadBytes), size - at));
            base_at = at;
            BASE_TRY(const auto read, file_->read_at(at, buffer));
            if (read != buffer.size()) return base::Error{base::Errc::corrupt, "dedup cache"};
        }
        return base::ByteView{buffer}.subspan(at - base_at, length);
    };

    BASE_TRY(const auto head, view(0, kHeaderBytes));
    if (!std::equal(head.begin(), head.end(), header_.begin(), header_.end())) return damaged;
    std::uint64_t at = kHeaderBytes;
    while (at < size) {
        BASE_TRY(const auto record_head, view(at, kRecordHead));
        if (record_head.empty()) break;
        base::Reader in{record_head};
        const auto length = in.u32();
        const auto salt = in.array<sizeof(CacheSalt)>();
        // What a crash leaves behind is short or zero. A record that is all there and does not open has rotted.
        if (length == 0) break;
        if (length > kMaxRecordBytes) return damaged;
        BASE_TRY(const auto sealed, view(at + kRecordHead, length));
        if (sealed.empty()) break;
        const auto plain = base::open_once(record_key(key_, salt), header_, sealed);
        const bool last = at + kRecordHead + length == size;
        if (!plain && last) break;
        if (!plain) return damaged;
        BASE_TRY(auto record, CacheRecord::decode(*plain));
        const auto block =
            index.add_block(std::make_shared<const BlockRef>(record.block), DedupIndex::Presence::unknown);
        for (const auto& chunk : record.chunks) index.add(chunk.hash, {block, chunk.offset, chunk.length});
        at += kRecordHead + length;
    }
    if (at < size) BASE_CHECK(file_->truncate(at));
    end_ = at;
    return base::ok();
}

base::Result<void> DedupCache::append(const CacheRecord& record, const CacheSalt& salt) {
    const auto sealed = base::seal_once(record_key(key_, salt), header_, record.encode());
    base::Writer head;
    head.u32(static_cast<std::uint32_t>(sealed.size())).raw(salt);
    const std::array<base::ByteView, 2> parts{head.view(), sealed};
    const std::lock_guard guard{mutex_};
    if (failed_ || sealed.size() > kMaxRecordBytes) return base::ok();
    if (auto written = file_->write_at(end_, std::span<const base::ByteView>{parts}); !written) {
        failed_ = true;
        return written;
    }
    end_ += head.size() + sealed.size();
    return base::ok();
}

base::Result<void> DedupCache::sync() {
    const std::lock_guard guard{mutex_};
    if (failed_) return base::ok();
    auto synced = file_->sync();
    failed_ = !synced;
    return synced;
}

}  // namespace objstore::archive
