add_suite(pastry LABEL unit TIMEOUT 900 LINK pastry base_sim)
target_include_directories(pastry_test PRIVATE ${PROJECT_SOURCE_DIR}/pastry/src)
