// The keys of a volume: all of them follow from the owner's key and the volume's name.
//
// Format: docs/formats/volume.md, section "Keys". Plain values; any thread.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/bytes.hpp"
#include "base/crypto.hpp"
#include "base/guid.hpp"
#include "base/hash.hpp"
#include "objstore/records.hpp"

namespace objstore {

/// The secrets of one key epoch. Epoch 0 follows from the owner's key, so that its file alone recovers everything;
/// later epochs are drawn and wrapped to the readers that remain.
struct EpochKeys {
    std::uint32_t epoch = 0;
    base::Key dedup{};    ///< seals blocks: equal content gives equal bytes, and nobody outside can test a guess
    base::Key chunk{};    ///< names chunks of plaintext, for deduplication
    base::Key gear{};     ///< chunk boundaries
    base::Key name{};     ///< hashes of directory entries and xattr names: the order of a directory
    base::Key pointer{};  ///< opens the root pointer of a heartbeat

    EpochKeys() = default;
    EpochKeys(std::uint32_t epoch, const base::Key& secret);
    EpochKeys(const EpochKeys&) = default;
    EpochKeys& operator=(const EpochKeys&) = default;
    ~EpochKeys();  ///< wipes
};

/// What a reader and writer of a volume holds.
struct VolumeKeys {
    base::Guid aguid;
    base::Guid tag;   ///< volume_tag(aguid): what storage nodes see
    EpochKeys epoch;  ///< of the newest key epoch: what is sealed from now on

    /// Epoch 0 of the owner's volume of this name (at most kMaxNameBytes).
    static VolumeKeys of_owner(const base::SigningKey& owner, std::string_view name);
};

/// SHA-256("pelago volume name", name): stands for the name where it must not be seen.
[[nodiscard]] base::Guid name_digest(std::string_view volume_name);

/// First 16 bytes of HMAC-SHA-256(chunk key, plaintext): the name of a chunk within a key epoch.
[[nodiscard]] ChunkHash chunk_hash(const EpochKeys& keys, base::ByteView plaintext);
/// First 63 bits of HMAC-SHA-256(name key, "entry", directory, name), never 0: the place of a directory entry, and its
/// readdir offset.
[[nodiscard]] std::uint64_t entry_hash(const EpochKeys& keys, std::uint64_t directory, std::string_view name);
/// The same over "xattr", inode, name.
[[nodiscard]] std::uint64_t xattr_hash(const EpochKeys& keys, std::uint64_t inode, std::string_view name);

}  // namespace objstore
