// One segment, read back: by its index file, else from its own bytes.
#include <fmt/format.h>

#include <algorithm>

#include "base/codec.hpp"
#include "base/error.hpp"
#include "base/hash.hpp"
#include "store/recovery.hpp"

namespace past::store {
namespace {

using base::Bytes;
using base::ByteView;
using base::Disk;
using base::File;
using base::Result;

constexpr std::size_t kWindow = 1U << 20U;

/// A file read through a window, so that many small records cost few reads.
class Window {
  public:
    Window(File& file, std::uint64_t size) : file_{file}, size_{size} {}

    [[nodiscard]] std::uint64_t size() const { return size_; }
    /// Up to `length` bytes at `offset`; fewer at the end of the file. Valid until the next call.
    Result<ByteView> at(std::uint64_t offset, std::size_t length) {
        const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(length, size_ - std::min(size_, offset)));
        if (offset < begin_ || offset + wanted > begin_ + bytes_.size()) {
            // Heads between payloads are far apart: reading a whole window for each would read the whole segment.
            const bool near = offset >= begin_ && offset < begin_ + bytes_.size() + kWindow / 8;
            const auto take = std::max(wanted, near ? kWindow : std::size_t{4096});
            bytes_.resize(static_cast<std::size_t>(std::min<std::uint64_t>(take, size_ - offset)));
            begin_ = offset;
            BASE_TRY(const auto got, file_.read_at(offset, bytes_));
            bytes_.resize(got);
        }
        const auto skip = static_cast<std::size_t>(offset - begin_);
        return ByteView{bytes_}.subspan(skip, std::min(wanted, bytes_.size() - skip));
    }

  private:
    File& file_;
    std::uint64_t size_;
    std::uint64_t begin_ = 0;
    Bytes bytes_;
};

/// The record at `offset`, or an error if there is none.
Result<PutRecord> record_at(Window& window, std::uint64_t offset, const StoreId& store, std::uint32_t segment) {
    const auto unit = static_cast<std::uint32_t>(offset / kUnit);
    BASE_TRY(auto head, window.at(offset, kPutHeadBytes));
    if (!peek_put(head) || head.size() < kPutHeadBytes) return base::Error{base::Errc::corrupt};
    base::Reader in{head.subspan(16)};
    // Cheap, and before anything large is read or summed: a block full of false heads must not make this slow.
    if (in.u32() != segment || in.u32() != unit) return base::Error{base::Errc::corrupt};
    BASE_TRY(const auto extent, peek_put(head));
    BASE_TRY(head, window.at(offset, extent.head_bytes));
    return decode_put(head, store, segment, unit);
}

/// Where the next whole record begins after `offset`; the size of the file if there is none.
Result<std::uint64_t> next_record(Window& window, std::uint64_t offset, const StoreId& store, std::uint32_t segment,
                                  std::uint64_t after) {
    while (offset < window.size()) {
        BASE_TRY(const auto part, window.at(offset, kWindow));
        if (part.empty()) break;
        const auto length = part.size();
        const auto found = find_magic(part, FileKind::segment, 0);
        if (found == length) {
            offset += length / kUnit * kUnit;
            if (length < kUnit) break;
            continue;
        }
        offset += found;
        const auto record = record_at(window, offset, store, segment);
        if (record && record->sequence > after) return offset;
        offset += kUnit;
    }
    return window.size();
}

Result<void> scan_segment(Window& window, const StoreId& store, SegmentFile& out, std::uint64_t& skipped) {
    std::uint64_t at = kFileHeaderBytes;
    std::uint64_t after = 0;
    out.bytes = kFileHeaderBytes;
    while (at < window.size()) {
        auto record = record_at(window, at, store, out.number);
        if (!record && record.error() != base::Errc::corrupt) return record.error();
        if (!record || record->sequence <= after) {
            BASE_TRY(at, next_record(window, at + kUnit, store, out.number, after));
            continue;
        }
        skipped += at - out.bytes;
        after = record->sequence;
        at += record->total_bytes();
        out.bytes = at;
        out.records.push_back(std::move(*record));
    }
    return base::ok();
}

/// Behind the last record, up to the last byte that is not zero: zeros are written ahead.
Result<std::uint64_t> torn_bytes(Window& window, std::uint64_t end) {
    std::uint64_t torn = 0;
    for (auto at = end; at < window.size();) {
        BASE_TRY(const auto part, window.at(at, kWindow));
        if (part.empty()) break;
        const auto last = std::find_if(part.rbegin(), part.rend(), [](std::uint8_t byte) { return byte != 0; });
        if (last != part.rend()) torn = at + static_cast<std::uint64_t>(part.rend() - last) - end;
        at += part.size();
    }
    return torn;
}

/// Blocks of the last record that do not match their ids; forgets the record if none does and it may never have been
/// complete.
Result<void> check_last(File& file, SegmentFile& out) {
    if (out.records.empty()) return base::ok();
    const auto& last = out.records.back();
    std::vector<Location> torn;
    std::size_t blocks = 0;
    for (const auto& batch : last.batches) {
        for (const auto& block : batch.blocks) {
            ++blocks;
            Bytes bytes(block.length);
            BASE_TRY(const auto got, file.read_at(std::uint64_t{block.unit} * kUnit, bytes));
            if (got != block.length || base::sha256(bytes) != block.id) torn.push_back({out.number, block.unit});
        }
    }
    if (torn.size() < blocks || out.complete) {
        out.torn = std::move(torn);
    } else {
        out.bytes = std::uint64_t{last.unit} * kUnit;
        out.records.pop_back();
    }
    return base::ok();
}

/// Cuts what is behind the last record and puts that record on the device once more.
Result<void> settle(File& file, std::uint64_t size, const SegmentFile& out) {
    if (size > out.bytes) BASE_CHECK(file.truncate(out.bytes));
    if (!out.records.empty()) {
        const auto from = std::uint64_t{out.records.back().unit} * kUnit;
        Bytes bytes(static_cast<std::size_t>(std::min(size, out.bytes) - from));
        BASE_TRY(const auto got, file.read_at(from, bytes));
        bytes.resize(got);
        BASE_CHECK(file.write_at(from, ByteView{bytes}));
    }
    return file.sync();
}

/// True if the index file could be used.
bool read_index(Disk& disk, const std::string& directory, const StoreId& store, std::uint64_t size, SegmentFile& out) {
    const auto path = file_name(directory, FileKind::index, out.number);
    const auto bytes = base::read_file(disk, path, 512U << 20U);
    if (!bytes) return false;
    const auto header = FileHeader::decode(*bytes);
    if (!header || header->kind != FileKind::index || header->number != out.number || header->store != store ||
        header->a != size)
        return false;
    std::vector<PutRecord> records;
    auto rest = ByteView{*bytes}.subspan(kFileHeaderBytes);
    std::uint64_t end = kFileHeaderBytes;
    while (!rest.empty()) {
        const auto extent = peek_put(rest);
        if (!extent || rest.size() < kPutHeadBytes) return false;
        const auto unit = base::Reader{rest.subspan(20)}.u32();
        auto record = decode_put(rest, store, out.number, unit);
        if (!record || std::uint64_t{unit} * kUnit < end) return false;
        end = std::uint64_t{unit} * kUnit + extent->total_bytes;
        rest = rest.subspan(static_cast<std::size_t>(extent->head_bytes));
        records.push_back(std::move(*record));
    }
    if (records.size() != header->b || end > size) return false;
    out.records = std::move(records);
    out.bytes = size;
    out.index_bytes = bytes->size();
    return true;
}

}  // namespace

Result<SegmentFile> read_segment(Disk& disk, base::Log& log, const std::string& directory, Access access,
                                 const StoreId& store, std::uint32_t number, bool last, std::uint64_t complete_up_to,
                                 SegmentStore::Damage& damage) {
    SegmentFile out;
    out.number = number;
    const auto path = file_name(directory, FileKind::segment, number);
    BASE_TRY(out.file, disk.open(path, access == Access::full ? Disk::Mode::read_write : Disk::Mode::read));
    BASE_TRY(const auto size, out.file->size());
    Bytes header_bytes(kFileHeaderBytes);
    BASE_TRY(const auto got, out.file->read_at(0, header_bytes));
    header_bytes.resize(got);
    const auto header = FileHeader::decode(header_bytes);
    if (!header && header.error() == base::Errc::unsupported) return header.error().with(path);
    const bool mine = header && header->kind == FileKind::segment && header->number == number && header->store == store;

    if (mine && read_index(disk, directory, store, size, out)) {
        out.file.reset();
        return out;
    }
    if (!last) ++damage.index_files;
    Window window{*out.file, size};
    std::uint64_t skipped = mine || size == 0 ? 0 : kFileHeaderBytes;
    BASE_CHECK(scan_segment(window, store, out, skipped));
    out.foreign = header && !mine;
    if (out.records.empty() && !mine) skipped = last && !out.foreign ? 0 : size;  // begun, and never synced
    out.complete = !last || (!out.records.empty() && out.records.back().sequence <= complete_up_to);
    // Its heads could be read, so what is in it is known: a payload that the device does not give costs only itself.
    const auto checked = check_last(*out.file, out);
    if (!checked && !(checked.error() == base::Errc::io_failed)) return checked.error();
    if (skipped > 0) {
        damage.skipped_bytes += skipped;
        log.write(base::Log::Level::error, "past", fmt::format("{}: damaged, {} B skipped", path, skipped));
    }
    BASE_TRY(const auto torn, torn_bytes(window, out.bytes));
    damage.torn_bytes += torn;
    damage.corrupt_blocks += out.torn.size();
    out.appendable = mine && checked && access == Access::full;
    if (out.appendable) BASE_CHECK(settle(*out.file, size, out));
    return out;
}

Result<std::uint64_t> index_segment(Disk& disk, const std::string& directory, std::uint32_t number,
                                    const StoreId& store, std::uint64_t segment_bytes) {
    BASE_TRY(auto file, disk.open(file_name(directory, FileKind::segment, number), Disk::Mode::read_write));
    BASE_TRY(const auto size, file->size());
    if (size > segment_bytes) BASE_CHECK(file->truncate(segment_bytes));
    Window window{*file, segment_bytes};
    SegmentFile found;
    found.number = number;
    std::uint64_t skipped = 0;
    BASE_CHECK(scan_segment(window, store, found, skipped));
    if (skipped > 0 || found.bytes != segment_bytes) return base::Error{base::Errc::corrupt};
    return write_index(disk, directory, number, store, segment_bytes, found.records);
}

}  // namespace past::store
