// What this program is.
#pragma once

#include <nlohmann/json_fwd.hpp>

namespace tools {

/// Version and compiler, as --version and 'version' print them with --json.
[[nodiscard]] nlohmann::json version_document();

}  // namespace tools
