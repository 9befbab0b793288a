// How a door wakes the coroutine that waits for it: posted to the waiter's own executor, never called inline.
#pragma once

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/post.hpp>
#include <exception>
#include <functional>
#include <utility>

namespace base::sim {

template <class Handler>
[[nodiscard]] std::move_only_function<void(std::exception_ptr)> resume_later(Handler handler) {
    return [handler = std::move(handler)](std::exception_ptr error) mutable {
        auto executor = boost::asio::get_associated_executor(handler);
        boost::asio::post(executor, [handler = std::move(handler), error]() mutable { std::move(handler)(error); });
    };
}

}  // namespace base::sim
