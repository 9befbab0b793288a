# Measures; no test runs it except tools/check --bench. Build: ninja stack_sim_bench
add_executable(stack_sim_bench EXCLUDE_FROM_ALL ${CMAKE_CURRENT_SOURCE_DIR}/bench/stack_sim_bench.cpp
  ${CMAKE_CURRENT_SOURCE_DIR}/past/cluster.cpp ${CMAKE_CURRENT_SOURCE_DIR}/past/records.cpp)
target_include_directories(stack_sim_bench PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(stack_sim_bench PRIVATE past tapestry base_sim GTest::gtest)
pelago_use_pch(stack_sim_bench)

# PAST's storage management and caching in models without a network. Build: ninja past_storage_bench past_caching_bench
add_executable(past_storage_bench EXCLUDE_FROM_ALL ${CMAKE_CURRENT_SOURCE_DIR}/bench/past_storage_bench.cpp
  ${CMAKE_CURRENT_SOURCE_DIR}/past/storage_sim.cpp)
target_include_directories(past_storage_bench PRIVATE ${CMAKE_CURRENT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/past/src)
target_link_libraries(past_storage_bench PRIVATE past)
pelago_use_pch(past_storage_bench)
# What moves while a cluster changes, at full length. Build: ninja change_bench
add_executable(change_bench EXCLUDE_FROM_ALL ${CMAKE_CURRENT_SOURCE_DIR}/bench/change_bench.cpp
  ${CMAKE_CURRENT_SOURCE_DIR}/past/change.cpp ${CMAKE_CURRENT_SOURCE_DIR}/past/cluster.cpp
  ${CMAKE_CURRENT_SOURCE_DIR}/past/records.cpp)
target_include_directories(change_bench PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(change_bench PRIVATE past tapestry base_sim GTest::gtest)
pelago_use_pch(change_bench)

add_executable(past_caching_bench EXCLUDE_FROM_ALL ${CMAKE_CURRENT_SOURCE_DIR}/bench/past_caching_bench.cpp
  ${CMAKE_CURRENT_SOURCE_DIR}/past/caching_sim.cpp ${CMAKE_CURRENT_SOURCE_DIR}/past/storage_sim.cpp
  ${CMAKE_CURRENT_SOURCE_DIR}/pastry/ring.cpp)
target_include_directories(past_caching_bench PRIVATE ${CMAKE_CURRENT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/past/src)
target_link_libraries(past_caching_bench PRIVATE past base_sim)
pelago_use_pch(past_caching_bench)
