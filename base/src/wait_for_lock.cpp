#include "base/wait_for_lock.hpp"

#include "base/error.hpp"

namespace base {

namespace {

constexpr std::chrono::milliseconds kPoll{20};

}  // namespace

Task<Result<std::unique_ptr<DirectoryLock>>> wait_for_lock(NodeEnv env, std::string path, TimePoint deadline) {
    for (;;) {
        auto lock = env.disk.lock(path);
        if (lock || !(lock.error() == Errc::locked) || env.clock.now() >= deadline) co_return lock;
        co_await env.clock.sleep_for(kPoll);
    }
}

}  // namespace base
