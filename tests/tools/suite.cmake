add_suite(tools LABEL unit LINK pelago_tools nlohmann_json::nlohmann_json)
