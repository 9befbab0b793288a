// Where the code of one simulated process runs: a queue that the world empties, and that a dead process no longer has.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/execution.hpp>
#include <boost/asio/execution_context.hpp>
#include <functional>
#include <utility>

namespace base::sim {

struct Incarnation;

/// In the world's ready queue, in the name of this process.
void post_to(Incarnation& process, std::move_only_function<void()> function);
[[nodiscard]] bool runs_now(const Incarnation& process);
[[nodiscard]] boost::asio::execution_context& context_of(Incarnation& process);

/// Like io_context's: dispatch() from inside the process runs at once, post() never does.
class NodeExecutor {
    using Blocking = boost::asio::execution::blocking_t;

  public:
    explicit NodeExecutor(Incarnation& process, bool never_inline = false) noexcept
        : process_{&process}, never_inline_{never_inline} {}

    [[nodiscard]] boost::asio::execution_context& query(boost::asio::execution::context_t) const noexcept {
        return context_of(*process_);
    }
    [[nodiscard]] Blocking query(Blocking) const noexcept {
        return never_inline_ ? Blocking{Blocking::never} : Blocking{Blocking::possibly};
    }
    [[nodiscard]] NodeExecutor require(Blocking::never_t) const noexcept { return NodeExecutor{*process_, true}; }
    [[nodiscard]] NodeExecutor require(Blocking::possibly_t) const noexcept { return NodeExecutor{*process_, false}; }

    template <class Function>
    void execute(Function&& function) const {
        if (!never_inline_ && runs_now(*process_)) {
            std::decay_t<Function> local{std::forward<Function>(function)};
            std::move(local)();
            return;
        }
        post_to(*process_, [function = std::forward<Function>(function)]() mutable { std::move(function)(); });
    }

    friend bool operator==(const NodeExecutor& a, const NodeExecutor& b) noexcept {
        return a.process_ == b.process_ && a.never_inline_ == b.never_inline_;
    }

  private:
    Incarnation* process_;
    bool never_inline_;
};

}  // namespace base::sim
