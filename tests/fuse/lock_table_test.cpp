#include "lock_table.hpp"

#include <gtest/gtest.h>

#include "base/sim/world.hpp"

namespace fusefs {
namespace {

constexpr NodeId kFile = 7;

class LockTableTest : public testing::Test {
  protected:
    base::sim::World world_{1};
    LockTable table_{world_.env().executor, 1000, LockTable::Deadlocks::refused};

    static Lock lock(Lock::Type type, std::uint64_t start, std::uint64_t end, std::uint64_t owner) {
        Lock made;
        made.type = type;
        made.start = start;
        made.end = end;
        made.owner = owner;
        made.pid = static_cast<std::uint32_t>(owner);
        return made;
    }
    base::Result<void> set(const Lock& wanted, bool wait = false, NodeId node = kFile) {
        return world_.run(table_.set(node, wanted, wait));
    }
    static base::Task<void> take(LockTable* table, NodeId node, Lock wanted, base::Result<void>* result) {
        *result = co_await table->set(node, wanted, true);
    }
    static constexpr auto kRead = Lock::Type::read;
    static constexpr auto kWrite = Lock::Type::write;
    static constexpr auto kNone = Lock::Type::none;
};

TEST_F(LockTableTest, ReadersShareAndAWriterIsAlone) {
    EXPECT_TRUE(set(lock(kRead, 0, 99, 1)));
    EXPECT_TRUE(set(lock(kRead, 50, 149, 2)));
    EXPECT_EQ(set(lock(kWrite, 120, 130, 3)).error(),
              std::make_error_condition(std::errc::resource_unavailable_try_again));
    EXPECT_TRUE(set(lock(kWrite, 150, 160, 3)));
    const auto found = table_.conflict(kFile, lock(kRead, 155, 155, 1));
    ASSERT_TRUE(found);
    EXPECT_EQ(found->pid, 3U);
    EXPECT_FALSE(table_.conflict(kFile, lock(kWrite, 155, 155, 3))) << "one's own";
}

TEST_F(LockTableTest, GivingBackTheMiddleLeavesBothEnds) {
    EXPECT_TRUE(set(lock(kWrite, 0, UINT64_MAX, 1)));
    EXPECT_TRUE(set(lock(kNone, 100, 199, 1)));
    EXPECT_TRUE(table_.conflict(kFile, lock(kRead, 99, 99, 2)));
    EXPECT_FALSE(table_.conflict(kFile, lock(kWrite, 100, 199, 2)));
    EXPECT_TRUE(table_.conflict(kFile, lock(kRead, 200, 200, 2)));
}

TEST_F(LockTableTest, ALockOfTheSameOwnerTakesThePlaceOfWhatHeHadThere) {
    EXPECT_TRUE(set(lock(kWrite, 0, 99, 1)));
    EXPECT_TRUE(set(lock(kRead, 50, 99, 1)));
    EXPECT_FALSE(table_.conflict(kFile, lock(kRead, 50, 99, 2)));
    EXPECT_TRUE(table_.conflict(kFile, lock(kRead, 0, 50, 2)));
}

TEST_F(LockTableTest, ManyNeighboursBecomeOne) {
    for (std::uint64_t at = 0; at < 5000; ++at) ASSERT_TRUE(set(lock(kWrite, at, at, 1))) << at;
    const auto found = table_.conflict(kFile, lock(kRead, 4000, 4000, 2));
    ASSERT_TRUE(found);
    EXPECT_EQ(found->start, 0U);
    EXPECT_EQ(found->end, 4999U);
}

TEST_F(LockTableTest, MoreLocksThanTheLimitAreRefused) {
    for (std::uint64_t at = 0; at < 1000; ++at) ASSERT_TRUE(set(lock(kWrite, at * 2, at * 2, 1)));
    EXPECT_EQ(set(lock(kWrite, 5000, 5000, 1)).error(), std::make_error_condition(std::errc::no_lock_available));
}

TEST_F(LockTableTest, WhoWaitsGetsTheLockWhenItIsGivenBack) {
    EXPECT_TRUE(set(lock(kWrite, 0, 9, 1)));
    base::Result<void> result = base::Error{std::make_error_code(std::errc::io_error)};
    base::TaskGroup group{world_.env().executor};
    group.spawn(take(&table_, kFile, lock(kWrite, 5, 5, 2), &result));
    world_.run_for(std::chrono::seconds{5});
    EXPECT_FALSE(result);
    EXPECT_TRUE(table_.release(kFile, 1));
    world_.run(group.join());
    EXPECT_TRUE(result);
    EXPECT_TRUE(table_.conflict(kFile, lock(kRead, 5, 5, 1)));
}

TEST_F(LockTableTest, WhoStopsWaitingLeavesNothingBehind) {
    EXPECT_TRUE(set(lock(kWrite, 0, 9, 1)));
    base::Result<void> result = base::ok();
    {
        base::TaskGroup group{world_.env().executor};
        group.spawn(take(&table_, kFile, lock(kWrite, 5, 5, 2), &result));
        world_.run_for(std::chrono::seconds{1});
        group.cancel();
        world_.run(group.join());
    }
    EXPECT_TRUE(table_.release(kFile, 1));
    EXPECT_FALSE(table_.locked(kFile));
    EXPECT_FALSE(table_.release(kFile, 2));
}

TEST_F(LockTableTest, MoreWhoWaitThanTheLimitAreRefused) {
    EXPECT_TRUE(set(lock(kWrite, 0, 9, 1)));
    std::vector<base::Result<void>> results(LockTable::kMaxWaiters, base::ok());
    base::TaskGroup group{world_.env().executor};
    for (std::size_t i = 0; i < results.size(); ++i) {
        group.spawn(take(&table_, kFile, lock(kRead, 0, 9, i + 2), &results[i]));
    }
    world_.run_for(std::chrono::seconds{1});
    EXPECT_EQ(set(lock(kWrite, 5, 5, 9999), true).error(), std::make_error_condition(std::errc::no_lock_available));
    EXPECT_TRUE(set(lock(kWrite, 10, 10, 9999), true)) << "nothing is in the way";
    EXPECT_TRUE(set(lock(kNone, 0, 9, 1), true)) << "giving back is never refused";
    world_.run(group.join());
    EXPECT_TRUE(table_.conflict(kFile, lock(kWrite, 0, 9, 1)));
}

TEST_F(LockTableTest, TwoWhoWaitForEachOtherAreToldOfIt) {
    EXPECT_TRUE(set(lock(kWrite, 0, 0, 1)));
    EXPECT_TRUE(set(lock(kWrite, 0, 0, 2), false, kFile + 1));
    base::Result<void> first = base::ok();
    base::TaskGroup group{world_.env().executor};
    group.spawn(take(&table_, kFile + 1, lock(kWrite, 0, 0, 1), &first));
    world_.run_for(std::chrono::seconds{1});
    EXPECT_EQ(set(lock(kWrite, 0, 0, 2), true).error(),
              std::make_error_condition(std::errc::resource_deadlock_would_occur));
    table_.release(kFile + 1, 2);
    world_.run(group.join());
    EXPECT_TRUE(first);
}

}  // namespace
}  // namespace fusefs
