#include "objstore/keys.hpp"

#include <array>

#include "base/codec.hpp"
#include "past/storage.hpp"

namespace objstore {
namespace {

// 63 bits: a readdir offset is a signed number, and 0 means the beginning.
std::uint64_t name_hash(const base::Key& key, std::string_view label, std::uint64_t inode, std::string_view name) {
    base::Writer head;
    head.raw(base::as_bytes(label)).u64(inode);
    const auto digest = base::hmac_sha256(key, {head.view(), base::as_bytes(name)});
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < 8; ++i) value = (value << 8U) | digest[i];
    value >>= 1U;
    return value == 0 ? 1 : value;
}

}  // namespace

EpochKeys::EpochKeys(std::uint32_t number, const base::Key& secret)
    : epoch{number},
      dedup{base::derive_key(secret, "pelago dedup key")},
      chunk{base::derive_key(secret, "pelago chunk key")},
      gear{base::derive_key(secret, "pelago gear key")},
      name{base::derive_key(secret, "pelago name key")},
      pointer{base::derive_key(secret, "pelago pointer key")} {}

EpochKeys::~EpochKeys() {
    for (auto* key : {&dedup, &chunk, &gear, &name, &pointer}) base::wipe(*key);
}

VolumeKeys VolumeKeys::of_owner(const base::SigningKey& owner, std::string_view name) {
    VolumeKeys keys;
    keys.aguid = past::volume_guid(owner.public_key(), name_digest(name));
    keys.tag = past::volume_tag(keys.aguid);
    base::Writer context;
    context.guid(keys.aguid).u32(0);
    auto secret = base::derive_key(owner.seed(), "pelago epoch key", context.view());
    keys.epoch = EpochKeys{0, secret};
    base::wipe(secret);
    return keys;
}

base::Guid name_digest(std::string_view volume_name) {
    return base::sha256({base::as_bytes("pelago volume name"), base::as_bytes(volume_name)});
}

ChunkHash chunk_hash(const EpochKeys& keys, base::ByteView plaintext) {
    const auto digest = base::hmac_sha256(keys.chunk, {plaintext});
    ChunkHash out;
    std::copy_n(digest.begin(), out.size(), out.begin());
    return out;
}

std::uint64_t entry_hash(const EpochKeys& keys, std::uint64_t directory, std::string_view name) {
    return name_hash(keys.name, "entry", directory, name);
}

std::uint64_t xattr_hash(const EpochKeys& keys, std::uint64_t inode, std::string_view name) {
    return name_hash(keys.name, "xattr", inode, name);
}

}  // namespace objstore
