if(TARGET base_sim)
  add_suite(past LABEL sim LINK past base_sim fmt::fmt)
  target_include_directories(past_test PRIVATE ${PROJECT_SOURCE_DIR}/past/src)
endif()
