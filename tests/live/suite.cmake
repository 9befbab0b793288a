add_suite(live LABEL sim LINK objstore base_sim)
target_include_directories(live_test PRIVATE ${PROJECT_SOURCE_DIR}/objstore/src)
