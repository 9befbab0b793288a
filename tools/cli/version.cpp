#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "cli/families.hpp"
#include "cli/verbs.hpp"
#include "cli/version.hpp"

namespace tools {

nlohmann::json version_document() { return {{"version", PELAGO_VERSION}, {"compiler", __VERSION__}}; }

namespace {

base::Result<ExitCode> print_version(Context& context) {
    if (context.console.output().json) {
        context.console.print_json(version_document());
    } else {
        context.console.print("pelago " PELAGO_VERSION "\n");
    }
    return ExitCode::done;
}

}  // namespace

void add_version_verb(Verbs& verbs) { verbs.add({"version", "Print the version", "version"}, print_version); }

}  // namespace tools
