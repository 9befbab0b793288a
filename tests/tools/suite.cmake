add_suite(tools LABEL unit LINK pelago_tools base_sim nlohmann_json::nlohmann_json)
target_compile_definitions(tools_test PRIVATE PELAGO_GOLDEN_DIR="${PROJECT_SOURCE_DIR}/tests/golden"
                                                 PELAGO_DOCS_DIR="${PROJECT_SOURCE_DIR}/docs")
