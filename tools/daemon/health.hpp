// What needs looking after on a node, read from its status document.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "cli/exit_code.hpp"

namespace tools {

struct Trouble {
    ExitCode exit = ExitCode::fatal;
    std::string sentence;
};

/// Names of nodes in a status document, with commas between.
[[nodiscard]] std::string listed(const nlohmann::json& nodes);

/// The gravest first; nullopt if all is well. `status` is what the daemon answers to "status".
[[nodiscard]] std::optional<Trouble> diagnose(const nlohmann::json& status);

}  // namespace tools
