add_suite(objstore LABEL unit LINK objstore base_sim)
target_include_directories(objstore_test PRIVATE ${PROJECT_SOURCE_DIR}/objstore/src)
target_compile_definitions(objstore_test PRIVATE PELAGO_GOLDEN_DIR="${PROJECT_SOURCE_DIR}/tests/golden")
