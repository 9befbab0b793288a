#include "archive/reports.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "cli/text.hpp"

namespace tools {

using objstore::archive::WarningKind;
using objstore::archive::Warnings;

namespace {

constexpr std::size_t kMostNamed = 10;  // of a kind
constexpr std::size_t kLongPath = 400;

/// Both ends of a path that would fill a screen.
std::string shortened(const std::string& path) {
    if (path.size() <= kLongPath) return path;
    return path.substr(0, kLongPath / 2) + " ... " + path.substr(path.size() - kLongPath / 2);
}

std::string text_of(const base::Error& error) { return error.code() ? error.message() : std::string{}; }

}  // namespace

objstore::archive::ProgressFunction show_progress(Progress& progress) {
    return [&progress](const objstore::archive::Progress& now) {
        ProgressState state;
        state.files_done = now.files;
        state.bytes_done = now.bytes;
        state.bytes_passed_over = now.passed_over;
        if (now.total_files > 0) state.files_total = now.total_files;
        if (now.total_bytes > 0) state.bytes_total = now.total_bytes;
        if (now.current != nullptr) state.current = *now.current;
        if (now.ending) state.current = "storing the last blocks and all copies";
        progress.update(state);
    };
}

void print_warnings(Console& console, const Warnings& warnings) {
    for (const auto& [kind, entry] : warnings.kinds()) {
        // Of what has one cause the first will do; what is lost is named, all of it where details were asked for.
        const std::size_t most = console.output().verbose > 0 ? entry.first.size()
                                 : named_one_by_one(kind)     ? kMostNamed
                                                              : 1;
        const auto shown = std::min(most, entry.first.size());
        for (std::size_t i = 0; i < shown; ++i) {
            const auto& [path, error] = entry.first[i];
            const auto more = entry.count - shown;
            std::string text = shortened(path);
            if (i + 1 == shown && more > 0) text += " and " + human_count(more) + " more";
            text += std::string{": "} + describe(kind);
            if (error.code()) text += " (" + error.message() + ")";
            console.warn(text);
        }
    }
}

ExitCode exit_code_of(const Warnings& warnings) {
    if (warnings.count(WarningKind::damaged) > 0 || warnings.count(WarningKind::differs) > 0) return ExitCode::damage;
    return warnings.partial() ? ExitCode::partial : ExitCode::done;
}

nlohmann::json to_json(const Warnings& warnings) {
    auto list = nlohmann::json::array();
    for (const auto& [kind, entry] : warnings.kinds()) {
        auto paths = nlohmann::json::array();  // the first hundred
        for (const auto& named : entry.first) paths.push_back(named.path);
        list.push_back({{"what", describe(kind)},
                        {"count", entry.count},
                        {"first_path", entry.first.front().path},
                        {"first_error", text_of(entry.first.front().error)},
                        {"paths", paths}});
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
    object["summary"] = {{"total_files_processed", snapshot.files},
                         {"total_bytes_processed", snapshot.bytes},
                         {"data_added_packed", snapshot.added_bytes}};
    if (snapshot.parent) object["parent"] = snapshot.parent->hex();
    if (snapshot.original) object["original"] = snapshot.original->hex();
    return object;
}

}  // namespace tools
