// The names that a volume's owner key proves, and what an owner signs to give blocks up.
#include "base/codec.hpp"
#include "base/error.hpp"
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
    out.u8(at_once ? 2 : 1).guid(group).guid(tag.volume).u64(tag.generation).raw(owner).guid(name_digest);
    out.u32(static_cast<std::uint32_t>(blocks.size()));
    for (const auto& id : blocks) out.guid(id);
    return out.take();
}

base::Bytes BlockQuery::body() const {
    base::Writer out;
    out.u8(all ? 2 : 1).guid(group).guid(tag.volume).u64(tag.generation).raw(owner).guid(name_digest);
    return out.take();
}

base::Guid raw_name_digest() { return base::sha256(base::as_bytes("pelago raw")); }

base::Result<void> check_reclaim(const Reclaim& reclaim) {
    if (reclaim.blocks.empty() || reclaim.blocks.size() > kMaxBlocksPerRequest) {
        return base::Error{base::Errc::bad_argument, "a reclaim names 1 to 4096 blocks"};
    }
    if (volume_tag(volume_guid(reclaim.owner, reclaim.name_digest)) != reclaim.tag.volume) return Errc::not_owner;
    if (!base::verify_signature(reclaim.owner, "pelago reclaim", reclaim.body(), reclaim.signature)) {
        return Errc::not_owner;
    }
    return base::ok();
}

base::Result<void> check_query(const BlockQuery& query) {
    if (volume_tag(volume_guid(query.owner, query.name_digest)) != query.tag.volume) return Errc::not_owner;
    if (!base::verify_signature(query.owner, "pelago list", query.body(), query.signature)) return Errc::not_owner;
    return base::ok();
}

}  // namespace past
