# One precompiled header for the tree: the standard library and Asio, which cost most of a translation unit. It saves
# time only; every source includes what it uses (the lint test compiles public headers alone, without it).
option(PELAGO_PCH "Use a precompiled header" ON)
if(PELAGO_PCH)
  file(WRITE ${CMAKE_BINARY_DIR}/pch.cpp "")
  add_library(pelago_pch STATIC ${CMAKE_BINARY_DIR}/pch.cpp)
  target_link_libraries(pelago_pch PUBLIC Boost::headers Threads::Threads)
  target_precompile_headers(pelago_pch PRIVATE
    <algorithm> <array> <chrono> <cstdint> <deque> <functional> <map> <memory> <optional> <span> <string>
    <string_view> <system_error> <unordered_map> <utility> <variant> <vector>
    <boost/asio/any_io_executor.hpp> <boost/asio/awaitable.hpp> <boost/asio/co_spawn.hpp> <boost/asio/detached.hpp>
    <boost/asio/use_awaitable.hpp> <boost/asio/io_context.hpp> <boost/asio/post.hpp> <boost/asio/steady_timer.hpp>
    <boost/asio/this_coro.hpp> <boost/system/result.hpp>)
endif()
function(pelago_use_pch target)
  if(PELAGO_PCH)
    target_precompile_headers(${target} REUSE_FROM pelago_pch)
    target_link_libraries(${target} PRIVATE Boost::headers)
  endif()
endfunction()
