// Checkpoints and logs, read back.
#include <fmt/format.h>

#include <algorithm>

#include "base/error.hpp"
#include "store/recovery.hpp"

namespace past::store {
namespace {

using base::Bytes;
using base::ByteView;
using base::Disk;
using base::Result;

constexpr std::uint64_t kMaxStateFile = 4ULL << 30U;

struct Scan {
    std::vector<OpsRecord> records;
    std::uint64_t end = kFileHeaderBytes;
    std::uint64_t last_begin = 0;  ///< of the last record; 0 if there is none
    std::uint64_t skipped = 0, torn = 0;
};

/// The records of a log, in order. What does not verify and is followed by something that does was damaged; the rest is
/// an unfinished write or zeros.
Scan scan_log(ByteView bytes, const StoreId& store, std::uint32_t number, std::uint64_t after) {
    Scan scan;
    std::size_t at = kFileHeaderBytes;
    while (at + kOpsHeadBytes <= bytes.size()) {
        auto record = decode_ops(bytes.subspan(at), store, number, static_cast<std::uint32_t>(at / kUnit));
        if (record && record->sequence > after) {
            scan.skipped += at - scan.end;
            after = record->sequence;
            scan.last_begin = at;
            at += peek_ops(bytes.subspan(at))->total_bytes;
            scan.end = at;
            scan.records.push_back(std::move(*record));
        } else {
            at = find_magic(bytes, FileKind::log, at + kUnit);
        }
    }
    const auto rest = bytes.subspan(std::min<std::size_t>(scan.end, bytes.size()));
    const auto last = std::find_if(rest.rbegin(), rest.rend(), [](std::uint8_t byte) { return byte != 0; });
    scan.torn = static_cast<std::uint64_t>(rest.rend() - last);
    return scan;
}

struct Collector {
    StateFiles& out;
    std::uint64_t sequence = 0;

    void blocks(StateFiles::Step::Kind kind, const Tag& tag, const std::vector<Location>& blocks) {
        const auto op = static_cast<std::uint32_t>(out.ops.size());
        out.ops.push_back({kind, tag, sequence});
        for (const auto& block : blocks) {
            out.changes.push_back({block, static_cast<std::uint32_t>(out.changes.size()), op});
            out.last_segment = std::max(out.last_segment, block.segment);
        }
    }
    void operator()(const TagOp& op) { blocks(StateFiles::Step::Kind::tag, op.tag, op.blocks); }
    void operator()(const UntagOp& op) { blocks(StateFiles::Step::Kind::untag, op.tag, op.blocks); }
    void operator()(const DropOp& op) { blocks(StateFiles::Step::Kind::drop, {}, op.blocks); }
    void operator()(RecordOp& op) { out.base.records[op.key] = std::move(op.value); }
};

/// The newest checkpoint that verifies; returns its number, 0 if none does.
Result<std::uint32_t> load_checkpoint(Disk& disk, base::Log& log, const std::string& directory, const StoreId& store,
                                      StateFiles& out) {
    for (auto at = out.checkpoints.rbegin(); at != out.checkpoints.rend(); ++at) {
        const auto path = file_name(directory, FileKind::checkpoint, at->first);
        const auto bytes = base::read_file(disk, path, kMaxStateFile);
        if (!bytes && bytes.error() == base::Errc::io_failed) out.unreadable = bytes.error();
        auto decoded = bytes ? Checkpoint::decode(*bytes, store, at->first) : Result<Checkpoint>{bytes.error()};
        if (decoded) {
            out.base = std::move(*decoded);
            return at->first;
        }
        if (decoded.error() == base::Errc::unsupported) return decoded.error().with(path);
        log.write(base::Log::Level::warning, "past",
                  path + (bytes ? " is damaged" : " cannot be read") + "; an older one is used");
        out.odd = true;
    }
    return 0;
}

/// Puts the last record on the device once more and cuts what follows: see docs/formats/store.md, "Opening", 4.
Result<void> settle_log(const Scan& scan, ByteView bytes, LogFile& log) {
    BASE_CHECK(log.file->truncate(std::min<std::uint64_t>(scan.end, bytes.size())));
    const auto from = scan.last_begin == 0 ? 0 : scan.last_begin;
    BASE_CHECK(log.file->write_at(from, bytes.subspan(from, scan.end - from)));
    log.end = log.ahead = scan.end;
    return log.file->sync();
}

Result<void> read_log(Disk& disk, base::Log& log, const std::string& directory, Access access, const StoreId& store,
                      std::uint32_t number, bool last, StateFiles& out, SegmentStore::Damage& damage) {
    const auto path = file_name(directory, FileKind::log, number);
    auto bytes = base::read_file(disk, path, kMaxStateFile);
    if (!bytes && bytes.error() == base::Errc::io_failed) bytes = base::read_file(disk, path, kMaxStateFile);
    if (!bytes) return bytes.error().with(path);
    const auto header = FileHeader::decode(*bytes);
    if (!header && header.error() == base::Errc::unsupported) return header.error().with(path);
    const bool mine = header && header->kind == FileKind::log && header->number == number && header->store == store;

    auto scan = scan_log(*bytes, store, number, out.last_sequence);
    if (scan.skipped > 0 || (!mine && (!last || !scan.records.empty()))) {
        damage.skipped_bytes += scan.skipped;
        damage.state_lost = damage.state_lost || scan.skipped > 0 || scan.records.empty();
        out.odd = true;
        const auto what = scan.skipped > 0 ? fmt::format("damaged, {} B skipped", scan.skipped)
                                           : std::string{"its beginning is damaged"};
        log.write(base::Log::Level::error, "past",
                  fmt::format("{}: {}; operations that were in it may be lost", path, what));
    }
    damage.torn_bytes += scan.torn;
    for (auto& record : scan.records) {
        out.last_sequence = record.sequence;
        for (auto& op : record.ops) std::visit(Collector{out, record.sequence}, op);
    }
    if (last && !mine && scan.records.empty()) out.unused_log = number;
    if (!last || !mine || bytes->size() < scan.end || access == Access::read) return base::ok();
    out.log.number = number;
    BASE_TRY(out.log.file, disk.open(path, Disk::Mode::read_write));
    return settle_log(scan, *bytes, out.log);
}

Result<void> list_files(Disk& disk, const std::string& directory, StateFiles& out) {
    BASE_TRY(const auto entries, disk.list(directory + "/state"));
    for (const auto& entry : entries) {
        for (auto kind : {FileKind::log, FileKind::checkpoint}) {
            const auto number = number_in(entry.name, kind);
            if (number == 0) continue;
            BASE_TRY(const auto file, disk.open(file_name(directory, kind, number), Disk::Mode::read));
            BASE_TRY(const auto size, file->size());
            (kind == FileKind::log ? out.logs : out.checkpoints)[number] = size;
        }
    }
    return base::ok();
}

}  // namespace

Result<StateFiles> read_state_files(Disk& disk, base::Log& log, const std::string& directory, Access access,
                                    const StoreId& store, SegmentStore::Damage& damage) {
    StateFiles out;
    BASE_CHECK(list_files(disk, directory, out));
    BASE_TRY(const auto base, load_checkpoint(disk, log, directory, store, out));
    if (!out.base.segments.empty()) out.last_segment = out.base.segments.rbegin()->first;
    out.last_sequence = out.base.sequence;

    // Log n holds what happened after checkpoint n; without any checkpoint the story begins with log 1.
    auto expected = std::max<std::uint32_t>(base, 1);
    const bool young = out.logs.empty() && out.checkpoints.empty();
    bool gap = !young && !out.logs.contains(expected);
    for (auto at = out.logs.lower_bound(expected); at != out.logs.end(); ++at) {
        gap = gap || at->first != expected;
        expected = at->first + 1;
        const bool last = std::next(at) == out.logs.end();
        BASE_CHECK(read_log(disk, log, directory, access, store, at->first, last, out, damage));
    }
    // What the device may yet give is not given up.
    if (gap && out.unreadable)
        return base::Error{base::Errc::io_failed,
                           out.unreadable->detail() + "; if that lasts, move the file away to go on without it"};
    if (gap) {
        damage.state_lost = out.odd = true;
        log.write(base::Log::Level::error, "past", directory + "/state: a log is missing; operations in it are lost");
    }
    std::sort(out.changes.begin(), out.changes.end(),
              [](const auto& a, const auto& b) { return std::tie(a.block, a.order) < std::tie(b.block, b.order); });
    out.oldest_needed = base > 1 ? base - 1 : 1;
    return out;
}

}  // namespace past::store
