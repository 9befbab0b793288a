// What the tests of this layer stand on: virtual time, a PAST in memory, the keys of one volume.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/rng.hpp"
#include "base/sim/world.hpp"
#include "objstore/heartbeat.hpp"
#include "objstore/tree.hpp"
#include "objstore/volume.hpp"
#include "support/memory_storage.hpp"

namespace objstore::test {

inline base::SigningKey owner_key(std::uint8_t number = 1) {
    base::Key seed{};
    seed.fill(number);
    return base::SigningKey{seed};
}

inline SealContext seal_context(const VolumeKeys& keys, std::uint64_t birth = 1) {
    SealContext context;
    context.dedup_key = keys.epoch.dedup;
    context.volume_tag = keys.tag;
    context.birth = birth;
    return context;
}

struct VolumeWorld {
    explicit VolumeWorld(std::uint64_t seed = 1) : world{seed}, env{world.env()} {}

    base::sim::World world;
    base::NodeEnv env;
    support::MemoryStorage storage{env.executor, verify_heartbeat};
    VolumeKeys keys = VolumeKeys::of_owner(owner_key(), "test");
    BlockReader reader{env, storage, keys.tag};
    BlockWriter writer{env, storage, seal_context(keys), past::Tag{keys.tag, 1}};
};

/// A reference to a block that nobody ever stored: for trees that only name it.
inline BlockRefPtr some_block(std::uint64_t number) {
    BlockRef ref;
    ref.id = base::sha256(base::as_bytes("block " + std::to_string(number)));
    ref.sealed_bytes = 1000;
    ref.type = BlockType::pack;
    ref.body_key = base::sha256(base::as_bytes("key " + std::to_string(number))).bytes();
    ref.birth = number % 7;
    return std::make_shared<const BlockRef>(ref);
}

inline Inode some_inode(std::uint64_t number) {
    Inode inode;
    inode.mode = 0644;
    inode.uid = 1000;
    inode.gid = 1000;
    inode.size = number * 37 % 100'000;
    const auto time_ns = 1'700'000'000'000'000'000 + static_cast<std::int64_t>(number * 1'000'003);
    inode.mtime = base::Timestamp::from_ns(time_ns);
    inode.ctime = base::Timestamp::from_ns(time_ns + 17);
    inode.source_device = 42;
    inode.source_inode = 1000 + number;
    return inode;
}

}  // namespace objstore::test
