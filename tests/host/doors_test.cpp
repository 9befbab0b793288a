// Clock, random, workers, log and the runtime over them.
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <atomic>
#include <csignal>
#include <set>
#include <thread>

#include "base/error.hpp"
#include "base/host/host_runtime.hpp"
#include "base/task_group.hpp"
#include "members.hpp"
#include "refusal_log.hpp"
#include "scratch.hpp"

namespace host_test {
namespace {

using base::host::HostRuntime;
using ::testing::HasSubstr;

class DoorsTest : public ::testing::Test {
  protected:
    void pass(base::Duration time) { runtime.run(runtime.clock().sleep_for(time)); }
    HostRuntime runtime{std::make_unique<ListLog>(), 4};
};

TEST_F(DoorsTest, TimersFireInOrderAndOnce) {
    auto& clock = runtime.clock();
    std::vector<int> fired;
    const auto now = clock.now();
    clock.schedule(now + 30ms, [&] { fired.push_back(3); });
    clock.schedule(now + 10ms, [&] { fired.push_back(1); });
    clock.schedule(now + 10ms, [&] { fired.push_back(2); });
    const auto never = clock.schedule(now + 20ms, [&] { fired.push_back(99); });
    EXPECT_TRUE(clock.cancel(never));
    EXPECT_FALSE(clock.cancel(never));
    pass(60ms);
    EXPECT_EQ(fired, (std::vector{1, 2, 3}));
}

TEST_F(DoorsTest, ACallbackMaySetAndCancelTimers) {
    auto& clock = runtime.clock();
    int count = 0;
    base::Clock::TimerId second = 0;
    clock.schedule(clock.now(), [&] {
        ++count;
        clock.schedule(clock.now(), [&] { ++count; });
        clock.cancel(second);
    });
    second = clock.schedule(clock.now() + 1ms, [&] { count += 100; });
    EXPECT_EQ(count, 0);
    pass(30ms);
    EXPECT_EQ(count, 2);
}

TEST_F(DoorsTest, TenThousandTimersThatNeverFireAreCheap) {
    auto& clock = runtime.clock();
    std::vector<base::Clock::TimerId> timers;
    for (int i = 0; i < 10'000; ++i) timers.push_back(clock.schedule(clock.now() + 1h, [] { FAIL(); }));
    for (const auto timer : timers) EXPECT_TRUE(clock.cancel(timer));
    EXPECT_EQ(std::set(timers.begin(), timers.end()).size(), timers.size());
    pass(1ms);
}

TEST_F(DoorsTest, ASleepBeyondAllTimeDoesNotOverflow) {
    auto& clock = runtime.clock();
    const auto timer = clock.schedule(base::TimePoint::max(), [] { FAIL(); });
    pass(5ms);
    EXPECT_TRUE(clock.cancel(timer));
}

TEST_F(DoorsTest, RandomBytesDiffer) {
    EXPECT_NE(runtime.rng().secret(), runtime.rng().secret());
    EXPECT_LT(runtime.rng().below(10), 10U);
}

TEST_F(DoorsTest, JobsRunElsewhereAndComeBack) {
    const auto work = [](HostRuntime& on) -> Task<std::thread::id> {
        auto job = [] { return std::this_thread::get_id(); };
        const auto where = co_await on.workers().run(std::move(job));
        EXPECT_NE(where, std::this_thread::get_id());
        co_return where;
    };
    const auto outer = [](HostRuntime& on, Task<std::thread::id> inner) -> Task<void> {
        const auto here = std::this_thread::get_id();
        co_await std::move(inner);
        EXPECT_EQ(std::this_thread::get_id(), here);
        static_cast<void>(on);
    };
    EXPECT_TRUE(runtime.run(outer(runtime, work(runtime))));
}

TEST_F(DoorsTest, AnExceptionOfAJobComesOut) {
    const auto work = [](HostRuntime& on) -> Task<void> {
        base::Workers::Job job = [] { throw std::runtime_error{"broken"}; };
        co_await on.workers().run_job(std::move(job));
    };
    EXPECT_THROW(runtime.run(work(runtime)), std::runtime_error);
}

TEST_F(DoorsTest, ACancelledCallerResumesOnlyAfterItsJobHasEnded) {
    std::atomic<bool> ended{false};
    bool resumed_after = false;
    const auto work = [](HostRuntime& on, std::atomic<bool>& done, bool& after) -> Task<void> {
        base::Workers::Job job = [&done] {
            std::this_thread::sleep_for(100ms);
            done = true;
        };
        try {
            co_await on.workers().run_job(std::move(job));
        } catch (const boost::system::system_error&) {
        }
        after = done;
    };
    base::TaskGroup tasks{runtime.executor()};
    tasks.spawn(work(runtime, ended, resumed_after));
    const auto cancel = [](base::TaskGroup& group, base::Clock& clock) -> Task<void> {
        co_await clock.sleep_for(10ms);
        group.cancel();
        co_await group.join();
    };
    runtime.run(cancel(tasks, runtime.clock()));
    EXPECT_TRUE(resumed_after);
}

// Who owns what jobs use lets it go only then: a coroutine that nobody waits for may have left one behind.
TEST_F(DoorsTest, JobsThatNobodyWaitsForCanBeWaitedFor) {
    std::atomic<int> ended{0};
    const auto leave = [](HostRuntime& on, std::atomic<int>& done) -> Task<void> {
        base::Workers::Job job = [&done] {
            std::this_thread::sleep_for(50ms);
            ++done;
        };
        co_await on.workers().run_job(std::move(job));
    };
    const auto soon = [](base::Clock& clock) -> Task<void> { co_await clock.sleep_for(5ms); };
    base::TaskGroup tasks{runtime.executor()};
    for (int i = 0; i < 8; ++i) tasks.spawn(leave(runtime, ended));
    runtime.run(soon(runtime.clock()));
    EXPECT_LT(ended, 8);
    runtime.workers().wait_for_jobs();
    EXPECT_EQ(ended, 8);
    runtime.workers().wait_for_jobs();  // there are none
    runtime.run(tasks.join());
}

TEST_F(DoorsTest, ManyJobsFromManyCoroutines) {
    std::atomic<int> sum{0};
    const auto work = [](HostRuntime& on, std::atomic<int>& total) -> Task<void> {
        for (int i = 0; i < 50; ++i) {
            base::Workers::Job job = [&total] { ++total; };
            co_await on.workers().run_job(std::move(job));
        }
    };
    base::TaskGroup tasks{runtime.executor()};
    for (int i = 0; i < 40; ++i) tasks.spawn(work(runtime, sum));
    runtime.run(tasks.join());
    EXPECT_EQ(sum, 2000);
}

TEST_F(DoorsTest, AResultComesOutOfRun) {
    const auto work = [](int value) -> Task<Result<int>> {
        if (value < 0) co_return base::Error{Errc::bad_argument, "negative"};
        co_return value * 2;
    };
    EXPECT_EQ(*runtime.run(work(21)), 42);
    EXPECT_EQ(runtime.run(work(-1)).error(), Errc::bad_argument);
}

TEST_F(DoorsTest, TheFirstSignalCancelsAndIsAnError) {
    bool cleaned_up = false;
    const auto work = [](HostRuntime& on, bool& cleaned) -> Task<Result<int>> {
        struct CleanUp {
            bool& done;
            ~CleanUp() { done = true; }
        };
        const CleanUp clean_up{cleaned};
        ::raise(SIGTERM);
        co_await on.clock().sleep_for(1min);
        co_return 1;
    };
    ::signal(SIGTERM, SIG_DFL);
    EXPECT_EQ(runtime.run(work(runtime, cleaned_up)).error(), Errc::interrupted);
    EXPECT_TRUE(cleaned_up);
    EXPECT_TRUE(runtime.interrupted());
}

TEST_F(DoorsTest, ASignalThatIsIgnoredStaysIgnored) {
    const auto work = [](HostRuntime& on) -> Task<Result<int>> {
        ::raise(SIGTERM);
        ::raise(SIGINT);
        co_await on.clock().sleep_for(20ms);
        co_return 1;
    };
    for (const int signal : {SIGINT, SIGTERM}) ::signal(signal, SIG_IGN);
    EXPECT_EQ(runtime.run(work(runtime)).value(), 1);
    EXPECT_FALSE(runtime.interrupted());
    for (const int signal : {SIGINT, SIGTERM}) ::signal(signal, SIG_DFL);
}

Task<void> ignore_cancellation(base::Clock& clock) {
    for (;;) {
        try {
            co_await clock.sleep_for(1min);
        } catch (const boost::system::system_error&) {
            ::raise(SIGINT);
        }
    }
}

void run_until_killed() {
    ::signal(SIGINT, SIG_DFL);
    HostRuntime runtime{base::Log::Level::error, 1};
    runtime.clock().schedule(runtime.clock().now() + 10ms, [] { ::raise(SIGINT); });
    runtime.run(ignore_cancellation(runtime.clock()));
}

TEST(RuntimeDeathTest, TheSecondSignalEndsTheProcessAtOnce) {
    ::testing::FLAGS_gtest_death_test_style = "threadsafe";
    EXPECT_EXIT(run_until_killed(), ::testing::ExitedWithCode(130), "");
}

TEST(HostLogTest, LinesArePlainPrivateAndCannotBeForged) {
    const Scratch scratch;
    {
        auto log = base::host::HostLog::to_file(scratch.path("log"));
        ASSERT_TRUE(log);
        (*log)->write(base::Log::Level::info, "pastry", "a peer says \"x\nerror base: forged\"");
        (*log)->write(base::Log::Level::debug, "pastry", "not wanted");
        (*log)->write(base::Log::Level::error, "past", "{} is no format here");
    }
    const auto text = scratch.read("log");
    EXPECT_THAT(text, HasSubstr("Z info pastry: a peer says \"x\\x0aerror base: forged\"\n"));
    EXPECT_THAT(text, HasSubstr("Z error past: {} is no format here\n"));
    EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2);
    struct stat status{};
    ASSERT_EQ(::stat(scratch.path("log").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777U, 0600U);
    EXPECT_EQ(base::host::HostLog::to_file(scratch.path("no/such/dir")).error(), Errc::not_found);
}

TEST(RefusalLogTest, OneLineAnHourAndThenTheCount) {
    ListLog log;
    base::host::RefusalLog refusals{log};
    base::TimePoint now{};
    for (int i = 0; i < 1000; ++i) refusals.note(now += 1s, "expired", "node 1234");
    refusals.note(now, "expired", "node 5678");
    EXPECT_EQ(log.lines().size(), 2U);
    refusals.note(now + 1h, "expired", "node 1234");
    ASSERT_EQ(log.lines().size(), 3U);
    EXPECT_THAT(log.lines()[2], HasSubstr("999 times more"));
}

TEST(RefusalLogTest, AFloodOfNewSourcesIsCountedNotListed) {
    ListLog log;
    base::host::RefusalLog refusals{log};
    base::TimePoint now{};
    for (int i = 0; i < 100'000; ++i) refusals.note(now, "forged", "address " + std::to_string(i));
    EXPECT_EQ(log.lines().size(), base::host::RefusalLog::kMaxEntries + 1);
    refusals.note(now + 2h, "forged", "address 1");
    EXPECT_THAT(log.lines().at(base::host::RefusalLog::kMaxEntries + 1), HasSubstr("99744 further"));
}

}  // namespace
}  // namespace host_test
