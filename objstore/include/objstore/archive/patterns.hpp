// Which paths a user means: the patterns of --exclude, --include and exclude files, in restic's reading of them.
//
// A pattern without a leading slash matches at any depth ("*.o", "build/tmp"); with one it is anchored at the root
// ("/home/*/.cache"). '*', '?' and '[a-z]', '[!a-z]' stay within a name, "**" stands for any number of directories, '\'
// takes the next character as it is, a trailing slash matches directories only, and a leading '!' takes back what an
// earlier pattern matched. What matches a directory holds for everything below it. Names are bytes; '?' and a set stand
// for one character where they are UTF-8, for one byte where they are not. Plain values.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/error.hpp"
#include "base/result.hpp"

namespace objstore::archive {

class Patterns {
  public:
    /// Names from the root down: {"home", "ann", "x.o"} is /home/ann/x.o.
    using Path = std::span<const std::string_view>;

    /// base::Errc::bad_argument for a pattern that can match nothing or has an unclosed '['.
    base::Result<void> add(std::string_view pattern, bool ignore_case = false);
    /// One pattern a line; blank lines and lines that begin with '#' are skipped, blanks around a pattern are dropped.
    base::Result<void> add_lines(std::string_view text, bool ignore_case = false);

    [[nodiscard]] bool empty() const { return patterns_.empty(); }
    /// True if the last pattern that matches exactly this path is not a '!' one. The caller decides about what lies
    /// below.
    [[nodiscard]] bool matches(Path path, bool directory) const;
    /// True if something below this directory could match: false spares the walk of what cannot.
    [[nodiscard]] bool may_match_below(Path directory) const;

  private:
    struct Pattern {
        std::vector<std::string> parts;  // "**" is a part of its own
        bool anchored = false;
        bool only_directories = false;
        bool negated = false;
        bool ignore_case = false;
    };
    std::vector<Pattern> patterns_;
};

/// One name against one part of a pattern. For tests.
[[nodiscard]] bool glob_matches(std::string_view glob, std::string_view name, bool ignore_case);

}  // namespace objstore::archive
