// A fixed pool of threads for what would keep the event loop waiting.
#pragma once

#include <memory>

#include "base/workers.hpp"

namespace base::host {

class HostWorkers final : public Workers {
  public:
    /// 0 threads means as many as this process may use cores, at least 2: jobs also wait for disks.
    explicit HostWorkers(unsigned threads = 0);
    /// Runs what is queued, then joins: jobs hold references into the coroutines that wait for them. Destroy it before
    /// the io_context that those coroutines live on.
    ~HostWorkers() override;
    HostWorkers(const HostWorkers&) = delete;
    HostWorkers& operator=(const HostWorkers&) = delete;

    [[nodiscard]] unsigned parallelism() const noexcept override;
    Task<void> run_job(Job job) override;
    /// Blocks until no job is queued or running: what they refer to may go then. Not from a job.
    void wait_for_jobs() noexcept;
    /// True while jobs are under way and at least one core has none. Any thread.
    [[nodiscard]] bool leave_a_core() const noexcept;

  private:
    struct Pool;
    std::unique_ptr<Pool> pool_;
};

}  // namespace base::host
