#include "base/host/host_workers.hpp"

#include <pthread.h>
#include <sched.h>

#include <atomic>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <deque>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace base::host {

namespace asio = boost::asio;

namespace {

unsigned usable_cores() {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (::sched_getaffinity(0, sizeof set, &set) != 0) return 1;
    return static_cast<unsigned>(CPU_COUNT(&set));
}

/// Signals belong to the loop's thread.
class BlockedSignals {
  public:
    BlockedSignals() {
        sigset_t all;
        sigfillset(&all);
        ::pthread_sigmask(SIG_BLOCK, &all, &before_);
    }
    ~BlockedSignals() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
    BlockedSignals(const BlockedSignals&) = delete;
    BlockedSignals& operator=(const BlockedSignals&) = delete;

  private:
    sigset_t before_{};
};

}  // namespace

struct HostWorkers::Pool {
    explicit Pool(unsigned count) {
        const BlockedSignals blocked;
        threads.reserve(count);
        try {
            for (unsigned i = 0; i < count; ++i) threads.emplace_back([this] { work(); });
        } catch (const std::system_error&) {
            if (!threads.empty()) return;  // a limit: those that there are do the work
            throw;
        }
    }

    ~Pool() {
        {
            const std::lock_guard lock{mutex};
            stopping = true;
        }
        wake.notify_all();
        for (auto& thread : threads) thread.join();
    }
    Pool(const Pool&) = delete;
    Pool& operator=(const Pool&) = delete;

    void push(Job task) {
        under_way.fetch_add(1, std::memory_order_relaxed);
        bool seen = false;
        {
            const std::lock_guard lock{mutex};
            if (queue.empty()) jobs_follow = std::chrono::steady_clock::now() - idle_since < kWatch;
            queue.push_back(std::move(task));
            waiting.store(queue.size(), std::memory_order_relaxed);
            seen = watched && queue.size() == 1;
        }
        if (!seen) wake.notify_one();
    }

    void work() {
        ::pthread_setname_np(::pthread_self(), "pelago-worker");
        std::unique_lock lock{mutex};
        for (;;) {
            wake.wait(lock, [this] { return stopping || !queue.empty(); });
            if (queue.empty()) return;
            auto task = std::move(queue.front());
            queue.pop_front();
            waiting.store(queue.size(), std::memory_order_relaxed);
            lock.unlock();
            task();
            task = nullptr;
            if (under_way.fetch_sub(1) == 1) under_way.notify_all();
            lock.lock();
            if (!queue.empty()) continue;
            idle_since = std::chrono::steady_clock::now();
            if (jobs_follow && !watched && !stopping) watch(lock);
        }
    }

    /// Waking a thread takes longer than many a job: of the idle workers, one keeps looking for a moment before it
    /// sleeps. Jobs that come one after the other, as cold reads do, then cost one wake-up instead of two. Where the
    /// last one came later than that, as behind a sync, it sleeps at once.
    void watch(std::unique_lock<std::mutex>& lock) {
        watched = true;
        lock.unlock();
        const auto until = std::chrono::steady_clock::now() + kWatch;
        while (waiting.load(std::memory_order_relaxed) == 0 && std::chrono::steady_clock::now() < until) {
            for (int i = 0; i < 16; ++i) asm volatile("pause" ::: "memory");
        }
        lock.lock();
        watched = false;
    }

    static constexpr std::chrono::microseconds kWatch{50};
    std::mutex mutex;
    std::condition_variable wake;
    std::deque<Job> queue;
    std::atomic<std::size_t> waiting = 0;  // the queue's length, for the one who looks without the lock
    std::atomic<unsigned> under_way = 0;   // queued or running
    std::chrono::steady_clock::time_point idle_since{};
    bool jobs_follow = false;  // the last job came within kWatch of that
    bool watched = false;      // somebody looks, and will look once more under the lock
    bool stopping = false;
    std::vector<std::thread> threads;
};

namespace {

/// Queues the job. Its completion goes back to the executor of the coroutine that waits, which is kept from running out
/// of work until then. The wait has no cancellation slot on purpose: it ends when the job has.
struct StartJob {
    template <class Handler, class Pool>
    void operator()(Handler handler, Pool* pool, Workers::Job job) const {
        auto executor = asio::prefer(asio::get_associated_executor(handler), asio::execution::outstanding_work.tracked);
        pool->push([job = std::move(job), handler = std::move(handler), executor = std::move(executor)]() mutable {
            std::exception_ptr failure;
            try {
                job();
            } catch (...) {
                failure = std::current_exception();
            }
            job = nullptr;
            asio::post(executor, [handler = std::move(handler), failure]() mutable { std::move(handler)(failure); });
        });
    }
};

}  // namespace

HostWorkers::HostWorkers(unsigned threads)
    : pool_{std::make_unique<Pool>(threads != 0 ? threads : std::max(2U, usable_cores()))} {}

HostWorkers::~HostWorkers() = default;

unsigned HostWorkers::parallelism() const noexcept { return static_cast<unsigned>(pool_->threads.size()); }

void HostWorkers::wait_for_jobs() noexcept {
    for (auto jobs = pool_->under_way.load(); jobs != 0; jobs = pool_->under_way.load()) pool_->under_way.wait(jobs);
}

bool HostWorkers::leave_a_core() const noexcept {
    static const unsigned cores = usable_cores();
    const auto jobs = pool_->under_way.load(std::memory_order_relaxed);
    return jobs > 0 && jobs < cores;
}

Task<void> HostWorkers::run_job(Job job) {
    return asio::async_initiate<const asio::use_awaitable_t<>, void(std::exception_ptr)>(
        StartJob{}, asio::use_awaitable, pool_.get(), std::move(job));
}

}  // namespace base::host
