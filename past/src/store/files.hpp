// The store's work on its Disk: blocking functions for Workers jobs. Each is given all it needs by value.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/disk.hpp"
#include "past/segment_store.hpp"
#include "store/format.hpp"

namespace past::store {

/// A record for the end of a segment, with the blocks it is about.
struct SegmentWrite {
    std::string directory;
    std::uint32_t number = 0;
    StoreId store{};
    std::shared_ptr<base::File> file;  ///< null: the segment is begun with this record
    std::uint64_t offset = 0;
    std::uint64_t ahead_bytes = 0;  ///< zeros to be written behind it, if there is room
    base::Bytes head;
    std::vector<base::SharedBytes> payloads;
    SegmentStore::Testing testing;
};
struct SegmentWritten {
    std::shared_ptr<base::File> file;
    std::uint64_t ahead_bytes = 0;  ///< that were written
    base::Result<void> result = base::ok();
    /// After no_space from a sync: what was synced before is safe, but nothing may be appended.
    bool give_up = false;
    std::optional<base::DiskSpace> space;
};
/// Durable if it succeeded. After no_space the segment ends where it did before; any other error is final.
SegmentWritten write_segment(base::Disk& disk, SegmentWrite write);

/// The log that is written to.
struct LogFile {
    std::uint32_t number = 0;
    std::shared_ptr<base::File> file;
    std::uint64_t end = 0;    ///< where the next record goes
    std::uint64_t ahead = 0;  ///< up to here it has been written, with zeros behind `end`
};
base::Result<void> append_log(base::File& file, std::uint64_t offset, const base::Bytes& record, bool skip_sync);
/// Zeros from `from` for `bytes`, synced.
base::Result<void> write_ahead(base::File& file, std::uint64_t from, std::uint64_t bytes);
/// A new log, durable with its name. An unused one of this number is replaced.
base::Result<LogFile> create_log(base::Disk& disk, const std::string& directory, std::uint32_t number,
                                 const StoreId& store, std::uint64_t ahead_bytes, const SegmentStore::Testing& testing);
/// Sorts, encodes, writes and syncs; returns its size. base::Errc::corrupt, and nothing is written: it would not read
/// back. Whoever deletes older generations relies on this.
base::Result<std::uint64_t> write_checkpoint(base::Disk& disk, const std::string& directory, std::uint32_t number,
                                             const StoreId& store, Checkpoint checkpoint);
/// Of a segment of this size. A cache: neither synced nor an error that matters. Returns its size.
base::Result<std::uint64_t> write_index(base::Disk& disk, const std::string& directory, std::uint32_t number,
                                        const StoreId& store, std::uint64_t segment_bytes,
                                        const std::vector<PutRecord>& records);
/// The same for a segment that nobody has the records of: they are read back. What lies behind them is cut off.
base::Result<std::uint64_t> index_segment(base::Disk& disk, const std::string& directory, std::uint32_t number,
                                          const StoreId& store, std::uint64_t segment_bytes);
base::Result<void> remove_segment(base::Disk& disk, const std::string& directory, std::uint32_t number);

struct BlockRead {
    std::shared_ptr<base::File> file;
    base::Result<base::SharedBytes> bytes = base::SharedBytes{};
    bool damaged = false;  ///< this copy is of no use: another length, other bytes, unreadable, no such file
};
/// One pread, one SHA-256; both once more before the copy counts as damaged.
BlockRead read_block(base::Disk& disk, const std::string& directory, std::uint32_t number,
                     std::shared_ptr<base::File> file, std::uint64_t offset, std::uint32_t length, const base::Guid& id,
                     bool skip_check);

}  // namespace past::store
