#include "store/files.hpp"

#include <algorithm>
#include <array>

#include "base/error.hpp"
#include "base/hash.hpp"
#include "past/error.hpp"

namespace past::store {
namespace {

using base::Bytes;
using base::ByteView;
using base::Disk;
using base::File;
using base::Result;

constexpr std::array<std::uint8_t, kUnit> kZeros{};

/// Head, payloads and zeros as they follow one another on disk, without copying a payload.
std::vector<ByteView> gather(ByteView header, const SegmentWrite& write) {
    std::vector<ByteView> parts;
    parts.reserve(3 + write.payloads.size() * 2);
    if (!header.empty()) parts.push_back(header);
    parts.push_back(write.head);
    for (const auto& payload : write.payloads) {
        if (!payload.empty()) parts.push_back(payload.view());
        const auto pad = payload_span(static_cast<std::uint32_t>(payload.size())) - payload.size();
        if (pad > 0) parts.push_back(ByteView{kZeros}.first(pad));
    }
    return parts;
}

/// From `offset`. What is written ahead is no reason to refuse a put.
Result<void> write_record(File& file, std::uint64_t offset, ByteView header, const SegmentWrite& write,
                          SegmentWritten& out) {
    auto parts = gather(header, write);
    if (write.ahead_bytes > 0) {
        const Bytes zeros(write.ahead_bytes);
        auto with_zeros = parts;
        with_zeros.push_back(zeros);
        const auto done = file.write_at(offset, with_zeros);
        if (done) out.ahead_bytes = write.ahead_bytes;
        if (done || !(done.error() == base::Errc::no_space)) return done;
        BASE_CHECK(file.truncate(offset));
    }
    return file.write_at(offset, parts);
}

Bytes file_header(FileKind kind, std::uint32_t number, const StoreId& store) {
    FileHeader header;
    header.kind = kind;
    header.number = number;
    header.store = store;
    return header.encode();
}

Result<void> begin_segment(Disk& disk, SegmentWrite& write, SegmentWritten& out) {
    const auto path = file_name(write.directory, FileKind::segment, write.number);
    BASE_TRY(auto file, disk.open(path, Disk::Mode::create_new));
    const auto header = file_header(FileKind::segment, write.number, write.store);
    const auto undo = [&](const base::Error& error) -> Result<void> {
        file.reset();
        if (!disk.remove(path) && error == base::Errc::no_space) return base::Error{base::Errc::io_failed, path};
        return error;
    };
    if (auto done = write_record(*file, 0, header, write, out); !done) return undo(done.error());
    if (!write.testing.skip_segment_sync) {
        if (auto done = file->sync(); !done) return undo(done.error());
    }
    if (!write.testing.skip_directory_sync) {
        if (auto done = disk.sync_directory(write.directory + "/segments"); !done) return undo(done.error());
    }
    out.file = std::move(file);
    return base::ok();
}

Result<void> append_segment(SegmentWrite& write, SegmentWritten& out) {
    auto& file = *write.file;
    auto done = write_record(file, write.offset, {}, write, out);
    if (done && !write.testing.skip_segment_sync) {
        done = file.sync();
        out.give_up = !done;
    }
    if (done || done.error() != base::Errc::no_space) return done;
    // Refused for want of room: nobody may find half of it later.
    out.ahead_bytes = 0;
    BASE_CHECK(file.truncate(write.offset));
    return done;
}

}  // namespace

SegmentWritten write_segment(Disk& disk, SegmentWrite write) {
    SegmentWritten out;
    out.file = write.file;
    out.result = write.file ? append_segment(write, out) : begin_segment(disk, write, out);
    if (auto space = disk.space(); space) out.space = *space;
    return out;
}

Result<void> append_log(File& file, std::uint64_t offset, const Bytes& record, bool skip_sync) {
    BASE_CHECK(file.write_at(offset, ByteView{record}));
    if (skip_sync) return base::ok();
    if (auto done = file.sync(); !done) {
        // Even for want of room: what a failed sync left on the device is unknown, and this file has no other copy.
        return base::Error{base::Errc::io_failed, done.error().message()};
    }
    return base::ok();
}

Result<void> write_ahead(File& file, std::uint64_t from, std::uint64_t bytes) {
    const Bytes zeros(bytes);
    BASE_CHECK(file.write_at(from, ByteView{zeros}));
    return file.sync();
}

Result<LogFile> create_log(Disk& disk, const std::string& directory, std::uint32_t number, const StoreId& store,
                           std::uint64_t ahead_bytes, const SegmentStore::Testing& testing) {
    const auto path = file_name(directory, FileKind::log, number);
    LogFile log;
    log.number = number;
    const auto make = [&]() -> Result<void> {
        BASE_TRY(log.file, disk.open(path, Disk::Mode::create));
        BASE_CHECK(log.file->truncate(0));
        auto bytes = file_header(FileKind::log, number, store);
        log.end = bytes.size();
        bytes.resize(bytes.size() + padded(ahead_bytes));
        log.ahead = bytes.size();
        BASE_CHECK(log.file->write_at(0, ByteView{bytes}));
        BASE_CHECK(log.file->sync());
        return testing.skip_directory_sync ? base::ok() : disk.sync_directory(directory + "/state");
    };
    if (auto made = make(); !made) {
        log.file.reset();
        (void)disk.remove(path);  // it would only take up room
        return made.error();
    }
    return log;
}

Result<std::uint64_t> write_checkpoint(Disk& disk, const std::string& directory, std::uint32_t number,
                                       const StoreId& store, Checkpoint checkpoint) {
    for (auto& [segment, blocks] : checkpoint.segments) {
        std::sort(blocks.begin(), blocks.end(), [](const auto& a, const auto& b) { return a.unit < b.unit; });
    }
    const bool too_many =
        std::ranges::any_of(checkpoint.tag_sets, [](const auto& set) { return set.size() > UINT16_MAX; });
    if (too_many) return base::Error{base::Errc::corrupt, "a checkpoint has no room for so many tags of one block"};
    const auto bytes = checkpoint.encode(store, number);
    checkpoint = {};
    if (auto again = Checkpoint::decode(bytes, store, number); !again) {
        return std::move(again).error().with("a new checkpoint does not read back");
    }
    BASE_CHECK(base::replace_file(disk, file_name(directory, FileKind::checkpoint, number), bytes));
    return std::uint64_t{bytes.size()};
}

Result<std::uint64_t> write_index(Disk& disk, const std::string& directory, std::uint32_t number, const StoreId& store,
                                  std::uint64_t segment_bytes, const std::vector<PutRecord>& records) {
    FileHeader header;
    header.kind = FileKind::index;
    header.number = number;
    header.store = store;
    header.a = segment_bytes;
    header.b = records.size();
    auto bytes = header.encode();
    for (const auto& record : records) {
        const auto head = record.encode(store);
        bytes.insert(bytes.end(), head.begin(), head.end());
    }
    BASE_TRY(auto file, disk.open(file_name(directory, FileKind::index, number), Disk::Mode::create));
    BASE_CHECK(file->truncate(0));
    BASE_CHECK(file->write_at(0, ByteView{bytes}));
    return std::uint64_t{bytes.size()};
}

Result<void> remove_segment(Disk& disk, const std::string& directory, std::uint32_t number) {
    // The blocks first: an index file without its segment is cleared away when the store is opened.
    BASE_CHECK(disk.remove(file_name(directory, FileKind::segment, number)));
    if (auto gone = disk.remove(file_name(directory, FileKind::index, number));
        !gone && gone.error() != base::Errc::not_found)
        return gone;
    return disk.sync_directory(directory + "/segments");
}

BlockRead read_block(Disk& disk, const std::string& directory, std::uint32_t number, std::shared_ptr<File> file,
                     std::uint64_t offset, std::uint32_t length, const base::Guid& id, bool skip_check) {
    BlockRead out;
    out.file = std::move(file);
    if (!out.file) {
        auto opened = disk.open(file_name(directory, FileKind::segment, number), Disk::Mode::read);
        if (!opened) {
            out.damaged = opened.error() == base::Errc::not_found;
            out.bytes = opened.error();
            return out;
        }
        out.file = std::move(*opened);
    }
    // A drop is for good, and a controller or a cable that failed once may do better: only two bad reads are damage.
    Bytes bytes(length);
    const auto reads_well = [&] {
        const auto got = out.file->read_at(offset, bytes);
        return got && *got == length && (skip_check || base::sha256(bytes) == id);
    };
    out.damaged = !reads_well() && !reads_well();
    if (out.damaged) {
        out.bytes = base::Error{Errc::corrupt_block, id.hex()};
    } else {
        out.bytes = base::SharedBytes{std::move(bytes)};
    }
    return out;
}

}  // namespace past::store
