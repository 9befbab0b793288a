#include "suspension.hpp"

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace base {

namespace asio = boost::asio;

void Suspension::abort() { complete(asio::error::operation_aborted); }

void Suspension::complete(boost::system::error_code error) {
    if (!handler_) return;
    unlink();
    // Posted, never called inline: the caller is in the middle of its own work, possibly inside a cancellation signal.
    asio::post(executor_, [handler = std::exchange(handler_, nullptr), error]() mutable { handler(error); });
}

void Suspension::register_sleeper() {
    auto& context = asio::query(executor_, asio::execution::context);
    if (asio::has_service<Sleepers>(context)) asio::use_service<Sleepers>(context).asleep_.push_front(*this);
}

std::size_t Sleepers::abort_all() {
    std::size_t count = 0;
    for (; !asleep_.empty(); ++count) static_cast<Suspension&>(asleep_.front()).abort();
    return count;
}

Task<void> suspend(std::shared_ptr<Suspension> self, std::function<void()> on_cancel) {
    self->executor_ = co_await asio::this_coro::executor;
    auto start = [&self, &on_cancel](auto handler) {
        auto slot = asio::get_associated_cancellation_slot(handler);
        if (slot.is_connected()) {
            slot.assign([weak = std::weak_ptr{self}, on_cancel](asio::cancellation_type) {
                const auto sleeper = weak.lock();
                if (!sleeper || !sleeper->sleeping()) return;
                if (on_cancel) on_cancel();
                sleeper->abort();
            });
        }
        self->handler_ = [handler = std::move(handler)](boost::system::error_code error) mutable {
            std::move(handler)(error);
        };
        self->register_sleeper();
    };
    co_await asio::async_initiate<const asio::use_awaitable_t<>, void(boost::system::error_code)>(start,
                                                                                                  asio::use_awaitable);
}

}  // namespace base
