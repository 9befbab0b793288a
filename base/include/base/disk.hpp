// A node's own directory as every layer sees it: the host's file system, or the simulator's, which tears, loses what
// was not synced (directory entries too), flips bits and fills up.
//
// Calls block: make them from a Workers job. All are thread safe, except that one File is used by one thread at a time
// for writing. Paths are relative to the node's directory, with '/' between names; "..", empty names and absolute paths
// are refused with Errc::bad_argument.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace base {

class File {
  public:
    virtual ~File() = default;
    /// Fills `out` from `offset`; fewer bytes only at the end of the file. Returns how many.
    virtual Result<std::size_t> read_at(std::uint64_t offset, std::span<std::uint8_t> out) = 0;
    /// Writes the parts one after another. After an error an unknown part of the range may have changed.
    virtual Result<void> write_at(std::uint64_t offset, std::span<const ByteView> parts) = 0;
    Result<void> write_at(std::uint64_t offset, ByteView bytes) { return write_at(offset, std::span{&bytes, 1}); }
    /// Data and size are on stable storage when this returns. After a failed sync what was written since the last good
    /// one may be lost even if a later sync succeeds: give the file up (Rebello et al. 2020).
    virtual Result<void> sync() = 0;
    virtual Result<std::uint64_t> size() = 0;
    virtual Result<void> truncate(std::uint64_t size) = 0;
};

/// Held by this process until destroyed, or until the process dies.
class DirectoryLock {
  public:
    virtual ~DirectoryLock() = default;
};

struct DiskSpace {
    std::uint64_t total_bytes = 0;
    std::uint64_t free_bytes = 0;  ///< that this process may still fill
};

class Disk {
  public:
    enum class Mode {
        read,        ///< must exist
        read_write,  ///< must exist
        create,      ///< made if absent, mode 0600; its name is durable after sync_directory()
        create_new,  ///< Errc::exists if present
    };
    struct Entry {
        std::string name;
        bool directory = false;
    };

    virtual ~Disk() = default;
    virtual Result<std::unique_ptr<File>> open(std::string_view path, Mode mode) = 0;
    /// Replaces `to` in one step. Durable after sync_directory() of both parents.
    virtual Result<void> rename(std::string_view from, std::string_view to) = 0;
    virtual Result<void> remove(std::string_view path) = 0;
    /// Done already is success. Mode 0700. Its name is durable after sync_directory() of its parent.
    virtual Result<void> make_directory(std::string_view path) = 0;
    virtual Result<void> sync_directory(std::string_view path) = 0;  ///< "" is the node's directory itself
    /// Sorted by name.
    virtual Result<std::vector<Entry>> list(std::string_view path) = 0;
    virtual Result<DiskSpace> space() = 0;
    /// Errc::locked while another process (or another holder in this one) has it. On an open file, never a pid file.
    /// Where nothing can be written, several may have it, but nobody who writes there by another way.
    virtual Result<std::unique_ptr<DirectoryLock>> lock(std::string_view path) = 0;
};

/// Whole file, at most `limit` bytes (else Errc::bad_format, before anything is read).
[[nodiscard]] Result<Bytes> read_file(Disk& disk, std::string_view path, std::uint64_t limit);
/// The file holds either its old bytes or `bytes`, whatever crashes when: written beside, synced, renamed, directory
/// synced. When it returns the new bytes are durable.
[[nodiscard]] Result<void> replace_file(Disk& disk, std::string_view path, ByteView bytes);

}  // namespace base
