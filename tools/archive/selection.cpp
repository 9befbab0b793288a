#include "archive/selection.hpp"

#include <CLI/CLI.hpp>

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

void split(std::string_view text, char end, bool comments, std::vector<std::string>& out) {
    if (comments) text = base::without_byte_order_mark(text);
    while (!text.empty()) {
        const auto at = text.find(end);
        std::string_view item = text.substr(0, at);
        text = at == std::string_view::npos ? std::string_view{} : text.substr(at + 1);
        if (comments && item.ends_with('\r')) item.remove_suffix(1);
        if (item.empty() || (comments && item.front() == '#')) continue;
        out.emplace_back(item);
    }
}

}  // namespace

void PatternOptions::add_to(CLI::App& verb, const std::string& word, const std::string& what) {
    // One value an occurrence: `--exclude '*.o' src` must not take src for a pattern.
    const auto one = [](CLI::Option* option) {
        option->type_size(1)->expected(1)->take_all()->allow_extra_args(false);
    };
    one(verb.add_option("--" + word, patterns, what + " this pattern (again for more)")->type_name("PATTERN"));
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
    one(verb.add_option("--files-from", lists, "Back up the paths of this file too, one a line; - is standard input")
            ->type_name("FILE"));
    one(verb.add_option("--files-from-raw", raw, "The same, each ended by NUL (find -print0)")->type_name("FILE"));
}

base::Result<std::vector<std::string>> PathListOptions::read(Io& io) const {
    std::vector<std::string> out;
    for (const auto& path : lists) {
        BASE_TRY(const auto bytes, read_list(io, path));
        split(base::as_text(bytes), '\n', true, out);
    }
    for (const auto& path : raw) {
        BASE_TRY(const auto bytes, read_list(io, path));
        split(base::as_text(bytes), '\0', false, out);
    }
    return out;
}

}  // namespace tools
