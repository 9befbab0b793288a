# Programs that measure; no test runs them except tools/check --bench. Build: ninja ring_bench
add_executable(ring_bench EXCLUDE_FROM_ALL ${CMAKE_CURRENT_SOURCE_DIR}/bench/ring_bench.cpp
  ${CMAKE_CURRENT_SOURCE_DIR}/pastry/ring.cpp)
target_include_directories(ring_bench PRIVATE ${CMAKE_CURRENT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/pastry/src)
target_link_libraries(ring_bench PRIVATE pastry base_sim)
pelago_use_pch(ring_bench)

add_executable(mesh_bench EXCLUDE_FROM_ALL ${CMAKE_CURRENT_SOURCE_DIR}/bench/mesh_bench.cpp
  ${CMAKE_CURRENT_SOURCE_DIR}/tapestry/mesh.cpp ${CMAKE_CURRENT_SOURCE_DIR}/tapestry/workload.cpp)
target_include_directories(mesh_bench PRIVATE ${CMAKE_CURRENT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/tapestry/src)
target_link_libraries(mesh_bench PRIVATE tapestry base_sim fmt::fmt)
pelago_use_pch(mesh_bench)
