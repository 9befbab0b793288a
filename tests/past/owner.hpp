// Whose blocks they are: tags them, and signs what is to be forgotten.
#pragma once

#include "cluster.hpp"

namespace past::test {

struct Owner {
    base::SigningKey key{base::Key{7}};
    base::Guid name = base::sha256(base::as_bytes("holiday"));
    [[nodiscard]] Tag tag(std::uint64_t generation) const {
        return {volume_tag(volume_guid(key.public_key(), name)), generation};
    }
    [[nodiscard]] Reclaim reclaim(const base::Guid& group, std::uint64_t generation,
                                  std::vector<base::Guid> ids) const {
        Reclaim reclaim;
        reclaim.group = group;
        reclaim.tag = tag(generation);
        reclaim.owner = key.public_key();
        reclaim.name_digest = name;
        reclaim.blocks = std::move(ids);
        reclaim.at_once = name == raw_name_digest();
        reclaim.signature = key.sign("pelago reclaim", reclaim.body());
        return reclaim;
    }
};

}  // namespace past::test
