// Coroutines: Task<T> is Asio's awaitable in production and in simulation alike.
//
// House rules for GCC 12 (CONTRIBUTING.md, rule 9): name it, then move it. No braces, no capturing lambda and no ?:
// over awaitables inside a co_await expression. A coroutine takes values, or references to what outlives it.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

namespace base {

template <class T>
using Task = boost::asio::awaitable<T>;
using Executor = boost::asio::any_io_executor;

}  // namespace base
