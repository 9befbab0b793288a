#include "base/task_group.hpp"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <stdexcept>

namespace base {
namespace {

namespace asio = boost::asio;

/// Runs a coroutine to its end; rethrows what it throws.
void run(asio::io_context& io, Task<void> task) {
    std::exception_ptr failure;
    asio::co_spawn(io, std::move(task), [&failure](std::exception_ptr error) { failure = error; });
    io.restart();
    io.run();
    if (failure) std::rethrow_exception(failure);
}

Task<void> yield() { co_await asio::post(asio::use_awaitable); }

Task<void> count_to(int& counter, int limit) {
    for (int i = 0; i < limit; ++i) {
        co_await yield();
        ++counter;
    }
}

Task<void> wait_for(Event& event, int& woken) {
    co_await event.wait();
    ++woken;
}

Task<void> fail_after_a_while() {
    co_await yield();
    throw std::runtime_error{"a bug"};
}

Task<void> join(TaskGroup& group) { co_await group.join(); }

TEST(TaskGroup, JoinWaitsForEveryTask) {
    asio::io_context io;
    TaskGroup group{io.get_executor()};
    int counter = 0;
    group.spawn(count_to(counter, 3));
    group.spawn(count_to(counter, 5));
    run(io, join(group));
    EXPECT_EQ(counter, 8);
    EXPECT_EQ(group.running(), 0U);
}

TEST(TaskGroup, JoinRethrowsTheFirstFailureAfterTheOthersEnded) {
    asio::io_context io;
    TaskGroup group{io.get_executor()};
    int counter = 0;
    group.spawn(fail_after_a_while());
    group.spawn(count_to(counter, 10));
    EXPECT_THROW(run(io, join(group)), std::runtime_error);
    EXPECT_EQ(counter, 10);
}

TEST(TaskGroup, CancelWakesSleepersAndIsNoFailure) {
    asio::io_context io;
    TaskGroup group{io.get_executor()};
    Event never{io.get_executor()};
    int woken = 0;
    group.spawn(wait_for(never, woken));
    asio::post(io, [&] { group.cancel(); });
    run(io, join(group));
    EXPECT_EQ(woken, 0);
}

TEST(TaskGroup, MayBeCancelledFromOutsideTheLoopWhileItsTaskIsAboutToEnd) {
    asio::io_context io;
    Event event{io.get_executor()};
    int woken = 0;
    {
        TaskGroup group{io.get_executor()};
        group.spawn(wait_for(event, woken));
        io.poll();
        event.set();
    }
    io.restart();
    io.poll();  // what the group left behind must not be called into once the task has ended
    EXPECT_LE(woken, 1);
}

TEST(TaskGroup, ACancelledJoinCancelsItsTasksAndStillWaitsForThem) {
    asio::io_context io;
    TaskGroup outer{io.get_executor()};
    TaskGroup inner{io.get_executor()};
    Event never{io.get_executor()};
    int woken = 0;
    inner.spawn(wait_for(never, woken));
    outer.spawn(join(inner));
    asio::post(io, [&] { asio::post(io, [&] { outer.cancel(); }); });
    run(io, join(outer));
    EXPECT_EQ(inner.running(), 0U);
    EXPECT_EQ(woken, 0);
}

TEST(Event, SetWakesAllAndLetsLaterWaitersThrough) {
    asio::io_context io;
    Event event{io.get_executor()};
    int woken = 0;
    TaskGroup group{io.get_executor()};
    group.spawn(wait_for(event, woken));
    group.spawn(wait_for(event, woken));
    io.poll();
    EXPECT_EQ(woken, 0);
    event.set();
    group.spawn(wait_for(event, woken));
    run(io, join(group));
    EXPECT_EQ(woken, 3);
}

Task<void> hold(Semaphore& semaphore, std::size_t permits, Event& until, std::vector<int>& order, int name) {
    const auto permit = co_await semaphore.acquire(permits);
    order.push_back(name);
    co_await until.wait();
}

TEST(Semaphore, GivesPermitsInOrderOfAskingAndNeverMoreThanItHas) {
    asio::io_context io;
    Semaphore semaphore{io.get_executor(), 3};
    Event first{io.get_executor()};
    Event rest{io.get_executor()};
    std::vector<int> order;
    TaskGroup group{io.get_executor()};
    group.spawn(hold(semaphore, 2, first, order, 1));
    group.spawn(hold(semaphore, 2, rest, order, 2));  // must wait
    group.spawn(hold(semaphore, 1, rest, order, 3));  // would fit, but may not overtake
    io.poll();
    EXPECT_EQ(order, (std::vector{1}));
    first.set();
    io.restart();
    io.poll();
    EXPECT_EQ(order, (std::vector{1, 2, 3}));
    rest.set();
    run(io, join(group));
    EXPECT_EQ(semaphore.available(), 3U);
}

TEST(Semaphore, ACancelledWaiterMakesRoomForThoseBehind) {
    asio::io_context io;
    Semaphore semaphore{io.get_executor(), 2};
    Event until{io.get_executor()};
    std::vector<int> order;
    TaskGroup holder{io.get_executor()};
    TaskGroup big{io.get_executor()};
    holder.spawn(hold(semaphore, 1, until, order, 1));
    io.poll();
    big.spawn(hold(semaphore, 2, until, order, 2));
    io.restart();
    io.poll();
    holder.spawn(hold(semaphore, 1, until, order, 3));
    io.restart();
    io.poll();
    EXPECT_EQ(order, (std::vector{1}));
    big.cancel();
    io.restart();
    io.poll();
    EXPECT_EQ(order, (std::vector{1, 3}));
    until.set();
    run(io, join(holder));
}

}  // namespace
}  // namespace base
