add_suite(fuse LABEL sim LINK fuse base_sim)
target_include_directories(fuse_test PRIVATE ${PROJECT_SOURCE_DIR}/fuse/src)
