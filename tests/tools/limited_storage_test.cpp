#include "session/limited_storage.hpp"

#include <gtest/gtest.h>

#include "base/hash.hpp"
#include "base/sim/world.hpp"
#include "past/passing_storage.hpp"
#include "support/memory_storage.hpp"

namespace tools {
namespace {

using base::Bytes;
using base::Guid;
using base::Task;
using namespace std::chrono_literals;

constexpr std::size_t kBlockBytes = 100'000;
constexpr std::uint8_t kBlocks = 10;

past::Block block(std::uint8_t number) {
    Bytes bytes(kBlockBytes, number);
    return {base::sha256(bytes), std::move(bytes)};
}

class LimitedStorageTest : public testing::Test {
  protected:
    Task<double> store_all(past::Storage* storage) {
        const auto began = env.clock.now();
        for (std::uint8_t i = 0; i < kBlocks; ++i) {
            std::vector<past::Block> blocks;
            blocks.push_back(block(i));
            const auto put = co_await storage->put(Guid{}, past::Tag{}, std::move(blocks), past::Wait::majority,
                                                   env.clock.now() + 1s);
            EXPECT_TRUE(put.has_value());
        }
        co_return std::chrono::duration<double>(env.clock.now() - began).count();
    }
    Task<double> read_all(past::Storage* storage) {
        const auto began = env.clock.now();
        for (std::uint8_t i = 0; i < kBlocks; ++i) {
            const auto got = co_await storage->get(Guid{}, block(i).id, env.clock.now() + 1s);
            EXPECT_TRUE(got && got->size() == kBlockBytes);
        }
        co_return std::chrono::duration<double>(env.clock.now() - began).count();
    }
    std::unique_ptr<past::Storage> limited(RateLimits limits) { return limit_rates(below, env.clock, limits); }

    base::sim::World world{1};
    base::NodeEnv env{world.env()};
    support::MemoryStorage below{env.executor, {}};
};

// A second's worth goes at once, and so does whatever is begun while some of it is left.
TEST_F(LimitedStorageTest, BlocksAreStoredAtTheRateAndReadAsFastAsItGoes) {
    const auto storage = limited({.upload = 200'000, .download = {}});
    EXPECT_NEAR(world.run(store_all(storage.get())), 3.5, 0.1);
    EXPECT_LT(world.run(read_all(storage.get())), 0.1);
}

TEST_F(LimitedStorageTest, BlocksAreReadAtTheRateAndStoredAsFastAsItGoes) {
    const auto storage = limited({.upload = {}, .download = 200'000});
    EXPECT_LT(world.run(store_all(storage.get())), 0.1);
    EXPECT_NEAR(world.run(read_all(storage.get())), 3.5, 0.1);
}

/// Says what deadline came through.
class DeadlineStorage final : public past::PassingStorage {
  public:
    DeadlineStorage(past::Storage& below, base::Clock& clock) : PassingStorage{below}, clock_{clock} {}
    Task<base::Result<past::PutOutcome>> put(Guid group, past::Tag tag, std::vector<past::Block> blocks,
                                             past::Wait wait, base::TimePoint deadline) override {
        left.push_back(deadline - clock_.now());
        return PassingStorage::put(group, tag, std::move(blocks), wait, deadline);
    }
    std::vector<base::Duration> left;

  private:
    base::Clock& clock_;
};

TEST_F(LimitedStorageTest, WhatWaitsForTheRateHasAllItsTimeAfterwards) {
    DeadlineStorage watched{below, env.clock};
    const auto storage = limit_rates(watched, env.clock, {.upload = 10'000, .download = {}});
    world.run(store_all(storage.get()));
    ASSERT_EQ(watched.left.size(), kBlocks);
    for (const auto left : watched.left) EXPECT_EQ(left, base::Duration{1s});
}

}  // namespace
}  // namespace tools
