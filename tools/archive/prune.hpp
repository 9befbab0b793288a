// Giving back the room of what no snapshot needs: for `prune` and `forget --prune`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "cli/verbs.hpp"
#include "volume/access.hpp"

namespace tools {

constexpr double kMaxUnused = 0.05;

struct PruneRequest {
    bool at_once = false;  ///< whatever the network's policy says; a store of its own never waits
    bool dry_run = false;
    double max_unused = kMaxUnused;      ///< as in objstore::gc::RepackOptions; infinite: packs stay as they are
    std::optional<std::uint64_t> up_to;  ///< as in objstore::gc::PruneOptions
    bool only_words = false;             ///< another result was printed: with --json nothing is
};

/// The value of --max-unused: "5%" or "unlimited".
[[nodiscard]] base::Result<double> parse_max_unused(const std::string& text);
/// Does it and says what came of it.
[[nodiscard]] base::Result<ExitCode> prune_volume(Context& context, VolumeAccess& access, PruneRequest request);

}  // namespace tools
