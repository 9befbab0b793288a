// Which files a command line means: --exclude and --include in all their forms, and lists of paths in files.
#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"
#include "cli/verbs.hpp"
#include "objstore/archive/patterns.hpp"

namespace CLI {
class App;
}

namespace tools {

/// --exclude, --iexclude, --exclude-file, --iexclude-file; or the same with another verb.
struct PatternOptions {
    std::vector<std::string> patterns;
    std::vector<std::string> patterns_any_case;
    std::vector<std::string> files;
    std::vector<std::string> files_any_case;

    /// `word`: "exclude" or "include"; `what`: how its help begins.
    void add_to(CLI::App& verb, const std::string& word, const std::string& what);
    /// Errc::usage names the pattern or file that is wrong.
    [[nodiscard]] base::Result<objstore::archive::Patterns> read() const;
};

/// --files-from, --files-from-verbatim and --files-from-raw.
struct PathListOptions {
    /// A path or pattern a line; blank lines and lines that begin with # are skipped, blanks around a line dropped.
    std::vector<std::string> lists;
    std::vector<std::string> verbatim;  ///< a path a line, whatever is in it
    std::vector<std::string> raw;       ///< paths that end with NUL, as find -print0 writes them

    void add_to(CLI::App& verb);
    /// "-" is standard input. A pattern that nothing matches is warned of.
    [[nodiscard]] base::Result<std::vector<std::string>> read(Context& context) const;
};

/// The files that a shell would put in place of `pattern`, sorted; names that begin with a dot are matched, too. A path
/// without '*', '?', '[' and '\' is itself, there or not.
[[nodiscard]] std::vector<std::string> expand_pattern(const std::string& pattern);

}  // namespace tools
