// One volume over a PAST in memory, and what it warned of.
#pragma once

#include <gtest/gtest.h>

#include "objstore/volume.hpp"
#include "objstore/world.hpp"

namespace objstore::test {

class WarningsKept final : public base::Log {
  public:
    void write(Level level, const char* /*channel*/, std::string text) override {
        if (level >= Level::warning) texts.push_back(std::move(text));
    }
    [[nodiscard]] bool enabled(Level level) const noexcept override { return level >= Level::warning; }
    std::vector<std::string> texts;
};

class VolumeTest : public testing::Test {
  protected:
    base::sim::World world_{1};
    WarningsKept warnings_;
    base::NodeEnv env_{world_.env().executor, world_.env().clock,   world_.env().rng, world_.env().transport,
                       world_.env().disk,     world_.env().workers, warnings_};
    support::MemoryStorage storage_{env_.executor, verify_heartbeat};
    std::unique_ptr<HighWater> marks_ = make_disk_high_water(env_, "volumes/seen");
    base::SigningKey owner_ = owner_key();
    base::Guid aguid_ = VolumeKeys::of_owner(owner_, "photos").aguid;

    std::unique_ptr<Volume> create(std::string name = "photos") {
        auto made = world_.run(Volume::create(env_, storage_, *marks_, owner_, std::move(name)));
        EXPECT_TRUE(made) << made.error().message();
        return made ? *std::move(made) : nullptr;
    }
    base::Result<std::unique_ptr<Volume>> open(std::string name = "photos") {
        return world_.run(Volume::open(env_, storage_, *marks_, owner_, std::move(name)));
    }
    /// A small tree, written in the session.
    static base::Task<base::Result<BlockRefPtr>> write_tree(Session& session, std::uint64_t number) {
        TreeUpdate update{session.writer(), TreeShape{}};
        Item item;
        item.key = TreeKey::first(kRootInode, Kind::inode);
        item.value = some_inode(number);
        BASE_CO_CHECK(co_await update.put(std::move(item)));
        co_return co_await update.finish();
    }
    static Snapshot snapshot_of(BlockRefPtr root, std::uint64_t number, std::string host) {
        Snapshot snapshot;
        snapshot.root = std::move(root);
        snapshot.host = std::move(host);
        snapshot.time_ns = static_cast<std::int64_t>(number);
        return snapshot;
    }
    static base::Task<base::Result<CommitOutcome>> back_up(Volume& volume, std::uint64_t number, std::string host) {
        BASE_CO_TRY(const auto session, co_await volume.begin());
        BASE_CO_TRY(auto root, co_await write_tree(*session, number));
        auto snapshot = snapshot_of(std::move(root), number, std::move(host));
        co_return co_await volume.commit(*session, std::move(snapshot));
    }
    std::vector<std::string> hosts(Volume& volume) {
        EXPECT_TRUE(world_.run(volume.refresh()));
        auto listed = world_.run(volume.snapshots());
        EXPECT_TRUE(listed) << listed.error().message();
        std::vector<std::string> out;
        for (const auto& snapshot : *listed) out.push_back(snapshot.host);
        return out;
    }
};

}  // namespace objstore::test
