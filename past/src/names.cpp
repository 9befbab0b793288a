// The names that a volume's owner key proves, and what an owner signs to give blocks up.
#include "base/codec.hpp"
#include "base/hash.hpp"
#include "past/storage.hpp"

namespace past {

base::Guid volume_guid(const base::PublicKey& owner, const base::Guid& name_digest) {
    return base::sha256({base::as_bytes("pelago volume"), owner, name_digest.view()});
}

base::Guid volume_tag(const base::Guid& aguid) { return base::sha256({base::as_bytes("pelago tag"), aguid.view()}); }

// Layout: docs/formats/volume.md, section "Reclaim". The owner and the name digest are signed too: they prove the tag.
base::Bytes Reclaim::body() const {
    base::Writer out;
    out.u8(1).guid(place).guid(tag.volume).u64(tag.generation).raw(owner).guid(name_digest);
    out.u32(static_cast<std::uint32_t>(blocks.size()));
    for (const auto& id : blocks) out.guid(id);
    return out.take();
}

}  // namespace past
