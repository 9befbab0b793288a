# One precompiled header for the tree: the standard library and Asio, which cost most of a translation unit. It saves
# time only; every source includes what it uses (tools/check compiles the public headers alone, without it).
option(PELAGO_PCH "Use a precompiled header" ON)
if(PELAGO_PCH)
  file(WRITE ${CMAKE_BINARY_DIR}/pch.cpp "")
  add_library(pelago_pch STATIC ${CMAKE_BINARY_DIR}/pch.cpp)
  target_link_libraries(pelago_pch PUBLIC Boost::headers Threads::Threads)
  set(pch_headers
    <algorithm> <array> <chrono> <cstdint> <deque> <functional> <map> <memory> <optional> <span> <string>
    <string_view> <system_error> <unordered_map> <utility> <variant> <vector>
    <boost/asio/any_io_executor.hpp> <boost/asio/awaitable.hpp> <boost/asio/co_spawn.hpp> <boost/asio/detached.hpp>
    <boost/asio/use_awaitable.hpp> <boost/asio/io_context.hpp> <boost/asio/post.hpp> <boost/asio/steady_timer.hpp>
    <boost/asio/this_coro.hpp> <boost/system/result.hpp>)
  target_precompile_headers(pelago_pch PRIVATE ${pch_headers})
  # What the header was made of, for the compiler cache (CCACHE_PCH_EXTSUM): its own bytes differ in every build folder.
  # Flags need not be named, every object's own are part of its key.
  foreach(suffix gch pch)
    file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/CMakeFiles/pelago_pch.dir/cmake_pch.hxx.${suffix}.sum
         CONTENT "${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION} boost ${Boost_VERSION} ${pch_headers}\n")
  endforeach()
endif()
function(pelago_use_pch target)
  if(PELAGO_PCH)
    target_precompile_headers(${target} REUSE_FROM pelago_pch)
    target_link_libraries(${target} PRIVATE Boost::headers)
  endif()
endfunction()
