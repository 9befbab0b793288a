if(TARGET base_sim)
  add_suite(tapestry LABEL sim LINK tapestry base_sim fmt::fmt)
  if(PELAGO_SANITIZE)
    # Thousands of nodes ten times slower tell the sanitizers nothing that fifty nodes do not.
    set_tests_properties(tapestry PROPERTIES ENVIRONMENT "GTEST_FILTER=-TapestryPaper.*:Dissemination.*")
  endif()
  target_compile_definitions(tapestry_test PRIVATE PELAGO_GOLDEN_DIR="${PROJECT_SOURCE_DIR}/tests/golden")
  target_include_directories(tapestry_test PRIVATE ${PROJECT_SOURCE_DIR}/tapestry/src)
endif()
