// How many of the members of a record are enough, also after some of them were removed from the network for good.
//
// docs/formats/register.md#removed-members, docs/decisions/removal.md.
#pragma once

#include <algorithm>
#include <cstddef>

namespace past {

[[nodiscard]] constexpr std::size_t majority(std::size_t of) { return of / 2 + 1; }

/// Of a set of `size` members of which `removed` do not count any more; 0 if nobody is left, and then there is no
/// quorum. Two quorums of one set have a member in common, whatever removals each of them knew of, unless all the
/// members of one were removed: so it is half of the set, and not half of those that are left.
[[nodiscard]] constexpr std::size_t quorum(std::size_t size, std::size_t removed) {
    if (removed == 0) return majority(size);
    return std::min((size + 1) / 2, size - removed);
}

}  // namespace past
