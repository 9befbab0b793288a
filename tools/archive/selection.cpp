#include "archive/selection.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <iterator>

#include "base/byte_order_mark.hpp"
#include "base/error.hpp"
#include "cli/files.hpp"
#include "cli/verbs.hpp"

namespace tools {

namespace {

constexpr std::size_t kLargestList = 256U << 20U;
constexpr std::size_t kLargestPatternFile = 16U << 20U;

base::Result<base::Bytes> read_list(Io& io, const std::string& path) {
    if (path == "-") {
        auto bytes = io.read_input(kLargestList);
        if (!bytes) return bytes.error().with("cannot read the list of paths");
        return bytes;
    }
    auto bytes = read_small_file(path, kLargestList);
    if (!bytes) return bytes.error().with("cannot read the list of paths");
    if (!*bytes) return usage_error("cannot read the list of paths " + path + ": no such file");
    return std::move(**bytes);
}

std::vector<std::string> split(std::string_view text, char end) {
    std::vector<std::string> out;
    while (!text.empty()) {
        const auto at = text.find(end);
        if (at != 0) out.emplace_back(text.substr(0, at));
        text = at == std::string_view::npos ? std::string_view{} : text.substr(at + 1);
    }
    return out;
}

std::string_view trimmed(std::string_view line) {
    constexpr std::string_view kBlanks = " \t\r";
    const auto from = line.find_first_not_of(kBlanks);
    if (from == std::string_view::npos) return {};
    return line.substr(from, line.find_last_not_of(kBlanks) - from + 1);
}

bool is_pattern(std::string_view text) { return text.find_first_of("*?[\\") != std::string_view::npos; }

/// `base`: what stands before `rest`, which has no slash in front.
void expand(const std::string& base, std::string_view rest, std::vector<std::string>& out) {
    namespace fs = std::filesystem;
    const auto slash = rest.find('/');
    const std::string part{rest.substr(0, slash)};
    const auto behind = slash == std::string_view::npos ? std::string_view{} : rest.substr(slash + 1);
    const bool last = slash == std::string_view::npos || behind.empty();
    const auto go_on = [&](const std::string& path) {
        if (!last) return expand(path + "/", behind, out);
        std::error_code ignored;
        if (fs::symlink_status(path, ignored).type() != fs::file_type::not_found) out.push_back(path);
    };
    if (!is_pattern(part)) return go_on(base + part);
    std::vector<std::string> names;
    std::error_code failed;
    for (fs::directory_iterator at{base.empty() ? "." : base, failed}, end; !failed && at != end;
         at.increment(failed)) {
        auto name = at->path().filename().string();
        if (objstore::archive::glob_matches(part, name, false)) names.push_back(std::move(name));
    }
    std::ranges::sort(names);
    for (const auto& name : names) go_on(base + name);
}

}  // namespace

void PatternOptions::add_to(CLI::App& verb, const std::string& word, const std::string& what) {
    // One value an occurrence: `--exclude '*.o' src` must not take src for a pattern.
    const auto one = [](CLI::Option* option) {
        option->type_size(1)->expected(1)->take_all()->allow_extra_args(false);
    };
    const std::string letter = word == "exclude" ? "-e,--" : "-i,--";
    one(verb.add_option(letter + word, patterns, what + " this pattern (again for more)")->type_name("PATTERN"));
    one(verb.add_option("--i" + word, patterns_any_case, "The same, upper and lower case alike")->type_name("PATTERN"));
    one(verb.add_option("--" + word + "-file", files, what + " the patterns of this file, one a line")
            ->type_name("FILE"));
    one(verb.add_option("--i" + word + "-file", files_any_case, "The same, upper and lower case alike")
            ->type_name("FILE"));
}

base::Result<objstore::archive::Patterns> PatternOptions::read() const {
    objstore::archive::Patterns out;
    const auto add_all = [&](const std::vector<std::string>& all, bool ignore_case) -> base::Result<void> {
        for (const auto& pattern : all) {
            if (const auto added = out.add(pattern, ignore_case); !added) {
                return usage_error("cannot use the pattern '" + pattern + "': " + added.error().message());
            }
        }
        return base::ok();
    };
    const auto add_files = [&](const std::vector<std::string>& all, bool ignore_case) -> base::Result<void> {
        for (const auto& path : all) {
            const auto bytes = read_small_file(path, kLargestPatternFile);
            if (!bytes) return bytes.error().with("cannot read patterns");
            if (!*bytes) return usage_error("cannot read patterns from " + path + ": no such file");
            if (const auto added = out.add_lines(base::as_text(**bytes), ignore_case); !added) {
                return usage_error("cannot use the patterns of " + path + ": " + added.error().message());
            }
        }
        return base::ok();
    };
    BASE_CHECK(add_files(files, false));
    BASE_CHECK(add_files(files_any_case, true));
    BASE_CHECK(add_all(patterns, false));
    BASE_CHECK(add_all(patterns_any_case, true));
    return out;
}

void PathListOptions::add_to(CLI::App& verb) {
    const auto one = [](CLI::Option* option) {
        option->type_size(1)->expected(1)->take_all()->allow_extra_args(false);
    };
    one(verb.add_option("--files-from", lists,
                        "Back up what this file names, too, a path or pattern a line; - is standard input")
            ->type_name("FILE"));
    one(verb.add_option("--files-from-verbatim", verbatim, "The same, paths only, taken as they are")
            ->type_name("FILE"));
    one(verb.add_option("--files-from-raw", raw, "The same, each ended by NUL (find -print0)")->type_name("FILE"));
}

base::Result<std::vector<std::string>> PathListOptions::read(Context& context) const {
    std::vector<std::string> out;
    const auto take = [&out](std::vector<std::string> paths) {
        std::ranges::move(paths, std::back_inserter(out));
        return !paths.empty();
    };
    for (const auto& path : lists) {
        BASE_TRY(const auto bytes, read_list(context.io, path));
        for (const auto& line : split(base::without_byte_order_mark(base::as_text(bytes)), '\n')) {
            const auto text = trimmed(line);
            if (text.empty() || text.front() == '#') continue;
            if (!take(expand_pattern(std::string{text}))) context.console.warn("nothing matches " + std::string{text});
        }
    }
    for (const auto& path : verbatim) {
        BASE_TRY(const auto bytes, read_list(context.io, path));
        take(split(base::as_text(bytes), '\n'));
    }
    for (const auto& path : raw) {
        BASE_TRY(const auto bytes, read_list(context.io, path));
        take(split(base::as_text(bytes), '\0'));
    }
    return out;
}

std::vector<std::string> expand_pattern(const std::string& pattern) {
    if (!is_pattern(pattern)) return {pattern};
    std::vector<std::string> out;
    const auto from = std::min(pattern.find_first_not_of('/'), pattern.size());
    expand(pattern.substr(0, from > 0 ? 1 : 0), std::string_view{pattern}.substr(from), out);
    return out;
}

}  // namespace tools
