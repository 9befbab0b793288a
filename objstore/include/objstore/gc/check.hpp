// Whether everything that snapshots name is there, and (on demand) whether it is what it should be.
//
// On the node's executor. The structure is read by the references sections alone; only what is hurt is looked at
// closer, to say which snapshots and files it costs.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "base/task.hpp"
#include "objstore/volume.hpp"

namespace objstore::gc {

/// Which blocks are read to their last byte.
struct ReadData {
    /// Part `part` (from 1) of `parts`, chosen by their ids: all parts together are everything.
    std::uint32_t part = 1;
    std::uint32_t parts = 1;
    /// Instead: a random share of them, or as many as come to these bytes.
    std::optional<double> share;
    std::optional<std::uint64_t> bytes;
};

struct CheckOptions {
    std::optional<ReadData> read_data;
    std::size_t most_named = 1000;  ///< paths a snapshot
};

struct BadBlock {
    base::Guid id;
    base::Error error;
};

/// What damage costs of one snapshot, or of one version of the live tree.
struct HurtSnapshot {
    Snapshot snapshot;
    std::string version;             ///< version_name() of one that is kept, "now" of the present; "": a snapshot
    bool unreadable = false;         ///< its tree lost a node: files may be missing that nothing tells of
    std::vector<std::string> paths;  ///< of files that lost a part, the first of them
    std::uint64_t files = 0;         ///< how many
};

struct CheckReport {
    std::uint64_t snapshots = 0;
    std::uint64_t blocks = 0;  ///< that snapshots need
    std::uint64_t bytes = 0;
    std::uint64_t nodes_read = 0;
    std::uint64_t blocks_read = 0;  ///< to their last byte
    std::uint64_t bytes_read = 0;
    std::uint64_t blocks_unneeded = 0;  ///< held, and needed by nothing: for a prune
    std::uint64_t bytes_unneeded = 0;
    std::vector<BadBlock> damaged;      ///< missing, or not what they should be
    std::vector<BadBlock> unreachable;  ///< whose holders do not answer: nothing is known of them
    std::vector<HurtSnapshot> hurt;
};

struct CheckProgress {
    enum class Step : std::uint8_t { trees, holders, data };
    Step step = Step::trees;
    std::uint64_t blocks = 0;
    std::uint64_t bytes = 0;  ///< read, of data
};

/// Errors: those of the volume's record; past::Errc::holders_unreachable where no holder of a group answers.
[[nodiscard]] base::Task<base::Result<CheckReport>> check(Volume& volume, CheckOptions options,
                                                          std::function<void(const CheckProgress&)> progress = {});

}  // namespace objstore::gc
