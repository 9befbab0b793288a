add_suite(store LABEL unit LINK past base_sim fmt::fmt)
target_include_directories(store_test PRIVATE ${PROJECT_SOURCE_DIR}/past/src)  # its formats are tested byte by byte
