// The forest of one state: its snapshots, and what else it lists, however much of it can still be read.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "objstore/volume.hpp"

namespace objstore {

struct Forest {
    std::vector<Snapshot> snapshots;  // sorted by time
    std::vector<Item> others;         // sorted by key: no snapshots, or of a later format; a new list takes them over
    std::optional<ForestDamage> damage;
};

/// The root, else its spare copy, else whatever is left of them and of the states before. With those a snapshot that
/// was forgotten since may come back: better than to lose one that was not. What cannot be read now may come back too,
/// so no list is made without it.
[[nodiscard]] base::Task<base::Result<Forest>> read_forest(BlockReader& reader, VolumeState state);

/// The first 16 of the id of the snapshot that has this key.
[[nodiscard]] std::string digits_of(const TreeKey& key);

}  // namespace objstore
