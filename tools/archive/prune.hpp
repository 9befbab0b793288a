// Giving back the room of what no snapshot needs: for `prune` and `forget --prune`.
#pragma once

#include <cstdint>
#include <optional>

#include "cli/verbs.hpp"
#include "objstore/gc/repack.hpp"
#include "volume/access.hpp"

namespace tools {

struct PruneRequest {
    bool at_once = false;  ///< whatever the network's policy says; a store of its own never waits
    bool dry_run = false;
    /// Infinite: packs stay as they are.
    double max_unused = objstore::gc::RepackOptions{}.max_unused;
    std::optional<std::uint64_t> up_to;  ///< as in objstore::gc::PruneOptions
    bool only_words = false;             ///< another result was printed: with --json nothing is
};

/// Does it and says what came of it.
[[nodiscard]] base::Result<ExitCode> prune_volume(Context& context, VolumeAccess& access, PruneRequest request);

}  // namespace tools
