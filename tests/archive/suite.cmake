if(TARGET base_sim AND TARGET objstore)
  add_suite(archive LABEL unit LINK objstore base_sim fmt::fmt)
  target_include_directories(archive_test PRIVATE ${PROJECT_SOURCE_DIR}/objstore/src)
endif()

add_executable(archive_engine ${CMAKE_CURRENT_SOURCE_DIR}/archive/engine/engine_main.cpp)
target_include_directories(archive_engine PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(archive_engine PRIVATE objstore base_host)
pelago_use_pch(archive_engine)
