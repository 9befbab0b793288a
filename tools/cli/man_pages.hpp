// Man pages, of the same texts as --help.
#pragma once

#include <CLI/CLI.hpp>
#include <map>
#include <string>

namespace tools {

/// By file name: "pelago.1", "pelago-archive-backup.1" and so on, one for the program, each group and each verb.
[[nodiscard]] std::map<std::string, std::string> man_pages(const CLI::App& program);

}  // namespace tools
