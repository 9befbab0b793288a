#include <algorithm>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <cmath>

#include "incarnation.hpp"
#include "resume_later.hpp"
#include "world_state.hpp"

namespace base::sim {

namespace asio = boost::asio;

namespace {

/// The wait has no cancellation slot on purpose: it ends when the job has.
struct StartWork {
    template <class Handler>
    void operator()(Handler handler, NodeWorkers* workers, std::shared_ptr<NodeWorkers::Work> work) const {
        work->resume = resume_later(std::move(handler));
        workers->add(std::move(work));
    }
};

}  // namespace

unsigned NodeWorkers::parallelism() const noexcept { return std::max(1U, process_.node.options().workers); }

Task<void> NodeWorkers::run_job(Job job) {
    process_.require_alive();
    auto work = std::make_shared<Work>();
    work->job = std::move(job);
    co_await asio::async_initiate<const asio::use_awaitable_t<>, void(std::exception_ptr)>(
        StartWork{}, asio::use_awaitable, this, std::move(work));
}

void NodeWorkers::add(std::shared_ptr<Work> work) {
    waiting_.push_back(std::move(work));
    begin_next();
}

Duration NodeWorkers::job_time() {
    // Half to one and a half of the mean, so that jobs that begin together end in any order.
    const double mean = static_cast<double>(process_.node.options().job_time.count()) * process_.node.slowness_;
    return Duration{std::llround(mean * (0.5 + process_.rng.draw_unit()))};
}

void NodeWorkers::begin_next() {
    while (!waiting_.empty() && running_.size() < parallelism()) {
        auto work = std::move(waiting_.front());
        waiting_.pop_front();
        running_.push_back(work);
        ScheduledEvent begin;
        begin.owner = &process_;
        begin.callback = [this, work = std::move(work)] {
            try {
                work->job();
            } catch (...) {
                work->failure = std::current_exception();
            }
            work->job = nullptr;
            if (!process_.alive) return;  // it crashed in the job: whoever waits is ended with the process
            Duration disk_time{};
            if (process_.node.disk_) disk_time = process_.node.disk_->take_time();
            if (disk_time == Duration{}) return finish(work);
            ScheduledEvent end;
            end.owner = &process_;
            end.callback = [this, work] { finish(work); };
            const double slowed = static_cast<double>(disk_time.count()) * process_.node.slowness_;
            process_.world.queue.add(process_.world.now + Duration{std::llround(slowed)}, std::move(end));
        };
        process_.world.queue.add(process_.world.now + job_time(), std::move(begin));
    }
}

void NodeWorkers::finish(const std::shared_ptr<Work>& work) {
    std::erase(running_, work);
    work->resume(work->failure);
    begin_next();
}

std::size_t NodeWorkers::abort_all() {
    auto ended = std::exchange(running_, {});
    for (auto& work : std::exchange(waiting_, {})) ended.push_back(std::move(work));
    const auto cancelled = std::make_exception_ptr(boost::system::system_error{asio::error::operation_aborted});
    for (const auto& work : ended) {
        work->job = nullptr;
        work->resume(cancelled);
    }
    return ended.size();
}

}  // namespace base::sim
