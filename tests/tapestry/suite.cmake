if(TARGET base_sim)
  add_suite(tapestry LABEL sim LINK tapestry base_sim fmt::fmt)
  target_include_directories(tapestry_test PRIVATE ${PROJECT_SOURCE_DIR}/tapestry/src)
endif()
