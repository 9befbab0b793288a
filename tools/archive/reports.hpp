// What backup and restore say while they run and when they are done.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "cli/console.hpp"
#include "cli/exit_code.hpp"
#include "cli/progress.hpp"
#include "objstore/archive/report.hpp"
#include "objstore/archive/rewrite.hpp"
#include "objstore/snapshot.hpp"

namespace tools {

/// Draws what the archive reports.
[[nodiscard]] objstore::archive::ProgressFunction show_progress(Progress& progress);

/// One warning a kind: "12 files could not be read, the first is /x: permission denied".
void print_warnings(Console& console, const objstore::archive::Warnings& warnings);
/// "lost a part of its content"
[[nodiscard]] const char* describe(objstore::archive::LeftOut why);
/// done, damage (4) where stored bytes were bad, or partial (3).
[[nodiscard]] ExitCode exit_code_of(const objstore::archive::Warnings& warnings);

[[nodiscard]] nlohmann::json to_json(const objstore::archive::Warnings& warnings);
[[nodiscard]] nlohmann::json to_json(const objstore::Snapshot& snapshot);

}  // namespace tools
