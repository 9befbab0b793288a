// One atomic change of a volume's live tree, and the one function that applies it to a version or says what conflicts.
//
// The unit that is ordered (OceanStore's update, Coulouris et al. section 10.6.2): made against a base version, it holds
// what it read there and what it leaves behind. On the base itself it is a set of edits; on a later version it is
// merged: docs/decisions/live-tree.md has the rules.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/guid.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "objstore/records.hpp"
#include "objstore/tree.hpp"

namespace objstore {

/// What statfs tells.
struct LiveCounts {
    std::uint64_t files = 0;  ///< everything that is not a directory
    std::uint64_t directories = 0;
    std::uint64_t bytes = 0;  ///< of file sizes
};

}  // namespace objstore
