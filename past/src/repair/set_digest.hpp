// The digest of a set of blocks (docs/formats/wire.md#past): exclusive or of SHA-256(id) over it.
#pragma once

#include "base/guid.hpp"
#include "base/hash.hpp"

namespace past {

/// Puts `id` into the set or takes it out.
inline void toggle(base::Guid& digest, const base::Guid& id) {
    auto bytes = digest.bytes();
    const auto other = base::sha256(id.view()).bytes();
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] ^= other[i];
    digest = base::Guid{bytes};
}
/// Takes a set out that is in `digest`, or puts it in.
inline void toggle_all(base::Guid& digest, const base::Guid& set) {
    auto bytes = digest.bytes();
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] ^= set.bytes()[i];
    digest = base::Guid{bytes};
}

}  // namespace past
