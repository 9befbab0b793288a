// What differs between two states of a volume, shown as 'archive diff' and 'volume diff' do.
#pragma once

#include <string>

#include "cli/verbs.hpp"
#include "objstore/snapshot.hpp"
#include "volume/access.hpp"

namespace tools {

struct Compared {
    objstore::Snapshot snapshot;
    std::string name;   ///< for programs
    std::string shown;  ///< for people: "snapshot 40dc1520"
};

/// Errors begin with "cannot compare".
[[nodiscard]] base::Result<ExitCode> show_difference(Context& context, const VolumeAccess& access, Compared before,
                                                     Compared after, bool metadata);

}  // namespace tools
