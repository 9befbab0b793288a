if(TARGET base_sim AND TARGET objstore)
  add_suite(collect LABEL sim LINK objstore past tapestry base_sim fmt::fmt
            SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/past/cluster.cpp)
  target_include_directories(collect_test PRIVATE ${PROJECT_SOURCE_DIR}/past/src ${PROJECT_SOURCE_DIR}/objstore/src)
endif()
