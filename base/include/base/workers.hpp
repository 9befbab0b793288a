// A pool for what would keep an event loop waiting: hashing, compression, sealing, and every call on Disk and
// LocalTree.
#pragma once

#include <functional>
#include <optional>
#include <type_traits>
#include <utility>

#include "base/task.hpp"

namespace base {

/// On a host a pool of threads; in simulation inline, with a seeded virtual delay. Jobs must not touch what the node's
/// executor owns, except what is moved into them.
class Workers {
  public:
    using Job = std::move_only_function<void()>;

    virtual ~Workers() = default;
    /// How many jobs make progress at once; at least 1.
    [[nodiscard]] virtual unsigned parallelism() const noexcept = 0;
    /// Runs `job` on the pool; resumes on the caller's executor when it is done. An exception from the job comes out
    /// here. A cancelled caller is resumed only after the job has ended, so references in the job stay valid.
    virtual Task<void> run_job(Job job) = 0;

    /// The same for a job with a result. Name the lambda, then move it in (rule 9).
    template <class Function>
    Task<std::invoke_result_t<Function&>> run(Function function) {
        using Value = std::invoke_result_t<Function&>;
        if constexpr (std::is_void_v<Value>) {
            Job job{std::move(function)};
            co_await run_job(std::move(job));
        } else {
            std::optional<Value> value;
            Job job{[&value, function = std::move(function)]() mutable { value.emplace(function()); }};
            co_await run_job(std::move(job));
            co_return std::move(*value);
        }
    }
};

}  // namespace base
