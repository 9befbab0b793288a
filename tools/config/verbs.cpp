// pelago config show
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "cli/families.hpp"
#include "cli/text.hpp"
#include "cli/verbs.hpp"

namespace tools {

namespace {

base::Result<ExitCode> show(Context& context) {
    if (context.console.output().json) {
        nlohmann::json document{{"files", context.settings.files()}, {"settings", nlohmann::json::object()}};
        for (const SettingSpec& spec : setting_specs()) {
            const auto& [text, source] = context.settings.value(spec.key);
            document["settings"][spec.key] = {{"value", text}, {"source", source}};
        }
        context.console.print_json(document);
        return ExitCode::done;
    }
    Table table{{"SETTING", "VALUE", "FROM"}};
    for (const SettingSpec& spec : setting_specs()) {
        const auto& [text, source] = context.settings.value(spec.key);
        table.add({spec.key, text.empty() ? "-" : text, source});
    }
    context.console.print(table.str());
    return ExitCode::done;
}

}  // namespace

void add_config_verbs(Verbs& verbs) {
    CLI::App& group = verbs.group("config", "Show the effective settings");
    verbs.add(
        group,
        {"show", "Print every setting, its value and its source", "config show",
         "Flags go before PELAGO_* variables, those before pelago.toml in $XDG_CONFIG_HOME/pelago (~/.config/pelago), "
         "and that before /etc/pelago/pelago.toml. PELAGO_CONFIG names one file instead."},
        show);
}

}  // namespace tools
