// Files of a snapshot in one stream, one after the other, for whoever writes them elsewhere: standard output, a tar.
//
// On the node's executor; what takes the stream is called on Workers, one call at a time.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/env.hpp"
#include "base/local_tree.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "objstore/archive/report.hpp"
#include "objstore/snapshot.hpp"
#include "objstore/volume.hpp"

namespace objstore::archive {

struct DumpedFile {
    std::string path;  ///< in the snapshot: "/home/ann/x"
    Inode inode;
    std::string target;      ///< of a symlink
    std::string first_name;  ///< path of an earlier file of which this is another name, else empty
    std::vector<base::Xattr> xattrs;
};

class DumpSink {
  public:
    virtual ~DumpSink() = default;
    /// Followed by the content, of a regular file that is no other name of one: inode.size bytes, holes as zeros. An
    /// error ends the dump, here and below.
    virtual base::Result<void> begin(const DumpedFile& file) = 0;
    virtual base::Result<void> write(base::ByteView bytes) = 0;
};

struct DumpReport {
    std::uint64_t files = 0;  ///< everything that is not a directory
    std::uint64_t directories = 0;
    std::uint64_t bytes = 0;
    Warnings warnings;  ///< what is damaged and was left out
};

/// `path`, and if it is a directory everything below it: parents first, files of a directory before its directories. Of
/// a file above kDumpWindowBytes damage shows only when a part of it was written: Errc::damaged naming it, and the dump
/// ends. Other errors: no_such_path; holders_unreachable; those of the sink.
[[nodiscard]] base::Task<base::Result<DumpReport>> dump(base::NodeEnv env, Volume& volume, Snapshot snapshot,
                                                        std::string path, DumpSink& sink,
                                                        ProgressFunction progress = {});

constexpr std::uint64_t kDumpWindowBytes = 16U << 20U;

}  // namespace objstore::archive
