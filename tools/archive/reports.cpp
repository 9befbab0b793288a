#include "archive/reports.hpp"

#include <nlohmann/json.hpp>

#include "cli/text.hpp"

namespace tools {

using objstore::archive::WarningKind;
using objstore::archive::Warnings;

objstore::archive::ProgressFunction show_progress(Progress& progress) {
    return [&progress](const objstore::archive::Progress& now) {
        ProgressState state;
        state.files_done = now.files;
        state.bytes_done = now.bytes;
        if (now.total_files > 0) state.files_total = now.total_files;
        if (now.total_bytes > 0) state.bytes_total = now.total_bytes;
        if (now.current != nullptr) state.current = *now.current;
        if (now.ending) state.current = "storing the last blocks and all copies";
        progress.update(state);
    };
}

void print_warnings(Console& console, const Warnings& warnings) {
    for (const auto& [kind, entry] : warnings.kinds()) {
        std::string text = entry.path;
        if (entry.count > 1) text += " and " + human_count(entry.count - 1) + " more";
        text += std::string{": "} + describe(kind);
        if (entry.error.code()) text += " (" + entry.error.message() + ")";
        console.warn(text);
    }
}

ExitCode exit_code_of(const Warnings& warnings) {
    if (warnings.count(WarningKind::damaged) > 0 || warnings.count(WarningKind::differs) > 0) return ExitCode::damage;
    return warnings.partial() ? ExitCode::partial : ExitCode::done;
}

nlohmann::json to_json(const Warnings& warnings) {
    auto list = nlohmann::json::array();
    for (const auto& [kind, entry] : warnings.kinds()) {
        list.push_back({{"what", describe(kind)},
                        {"count", entry.count},
                        {"first_path", entry.path},
                        {"first_error", entry.error.code() ? entry.error.message() : ""}});
    }
    return list;
}

nlohmann::json to_json(const objstore::Snapshot& snapshot) {
    const std::string id = snapshot.id().hex();
    nlohmann::json object{{"id", id},
                          {"short_id", id.substr(0, 8)},
                          {"time", rfc3339(snapshot.time_ns)},
                          {"hostname", snapshot.host},
                          {"username", snapshot.user},
                          {"paths", snapshot.paths},
                          {"tags", snapshot.tags},
                          {"files", snapshot.files},
                          {"directories", snapshot.directories},
                          {"bytes", snapshot.bytes},
                          {"bytes_added", snapshot.added_bytes},
                          {"unreadable_files", snapshot.partial},
                          {"program_version", snapshot.program_version}};
    if (snapshot.parent) object["parent"] = snapshot.parent->hex();
    return object;
}

}  // namespace tools
