# Compiler cache, linker, warnings, hardening and sanitizers: the same for every target.
find_program(PELAGO_CCACHE ccache)
if(PELAGO_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # Paths relative to the tree and a sloppy view of precompiled headers let build folders share one cache.
  set(CMAKE_CXX_COMPILER_LAUNCHER
    ${CMAKE_COMMAND} -E env
    CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1
    CCACHE_SLOPPINESS=pch_defines,time_macros CCACHE_PCH_EXTSUM=1
    ${PELAGO_CCACHE})
endif()

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo)
endif()

if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  find_program(PELAGO_MOLD mold)
  if(PELAGO_MOLD)
    add_link_options(-fuse-ld=mold)
  endif()
  # These are wrong about coroutines and std::string in GCC 12 (gcc bugs 104475, 105329, 105562); clang checks the same code.
  add_compile_options(-fcoroutines -fpch-preprocess -Wno-mismatched-new-delete -Wno-array-bounds -Wno-restrict
                      -Wno-stringop-overflow -Wno-stringop-overread -Wno-maybe-uninitialized)
else()
  find_program(PELAGO_LLD ld.lld-19)
  if(PELAGO_LLD)
    add_link_options(--ld-path=${PELAGO_LLD})
  endif()
  add_compile_options(-Wno-unqualified-std-cast-call -Wno-deprecated-declarations)
endif()

add_compile_options(-Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Wold-style-cast -Wno-missing-field-initializers
                    -Werror=return-type -Werror=unused-result -fstack-protector-strong)
add_compile_definitions(BOOST_ASIO_NO_DEPRECATED _FILE_OFFSET_BITS=64)
option(PELAGO_WERROR "Warnings are errors" ON)
if(PELAGO_WERROR)
  add_compile_options(-Werror)
endif()
# Position-independent executables by flags of our own: CMake's give libraries and programs different ones, and then they
# could not share a precompiled header.
add_compile_options(-fPIE)
add_link_options(-pie -Wl,-z,relro,-z,now)
if(CMAKE_BUILD_TYPE STREQUAL "Release")
  add_compile_options(-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
endif()
# Assertions stay on in release builds (a wrong byte is worse than a stopped node).
string(REPLACE "-DNDEBUG" "" CMAKE_CXX_FLAGS_RELEASE "${CMAKE_CXX_FLAGS_RELEASE}")
string(REPLACE "-O3" "-O2" CMAKE_CXX_FLAGS_RELEASE "${CMAKE_CXX_FLAGS_RELEASE}")

set(PELAGO_SANITIZE "" CACHE STRING "Sanitizers, e.g. address,undefined or thread")
if(PELAGO_SANITIZE)
  add_compile_options(-fsanitize=${PELAGO_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${PELAGO_SANITIZE})
endif()
if(PELAGO_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
