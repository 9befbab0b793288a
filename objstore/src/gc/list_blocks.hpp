// What the holders of a volume's blocks have of it, group by group.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "objstore/volume.hpp"

namespace objstore::gc {

/// The ids whose first `bits` bits are `number`.
struct Slice {
    unsigned bits = 0;  ///< at most 8
    std::uint32_t number = 0;

    [[nodiscard]] bool holds(const base::Guid& id) const {
        return bits == 0 || (std::uint32_t{id.bytes()[0]} >> (8 - bits)) == number;
    }
};

/// Given the blocks of a group, up to 4096 at a time; none twice. Several groups at a time.
using PageFunction =
    std::function<base::Task<base::Result<void>>(base::Guid group, std::vector<past::TaggedBlock> blocks)>;

/// All blocks of the volume in the slice: groups of k bits for each k up to `least_bits`, and on until there are none.
/// `all`: also what reclaims wait to take. Returns of how many groups
/// a holder did not answer. Errors: those of past::Storage::list() and of `page`.
[[nodiscard]] base::Task<base::Result<unsigned>> list_blocks(Volume& volume, unsigned least_bits, Slice slice,
                                                             PageFunction page, bool all);

}  // namespace objstore::gc
