// How sizes, times and names look to people. Pure functions.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/timestamp.hpp"

namespace tools {

/// "0 B", "999 B", "1.50 KiB", "12.3 MiB", "456 GiB": three digits, powers of 1024.
[[nodiscard]] std::string human_size(std::uint64_t bytes);
/// "10 GiB", "1.5T", "4096": a number and an optional unit (K, M, G, T, with or without iB or B; powers of 1024).
[[nodiscard]] std::optional<std::uint64_t> parse_size(std::string_view text);
/// "1 234 567": in groups of three, a space between them.
[[nodiscard]] std::string human_count(std::uint64_t count);
/// "0:07", "12:34", "1:02:03".
[[nodiscard]] std::string human_duration(std::chrono::seconds duration);
/// "90s", "15m", "1h", "7d", or a bare number of seconds.
[[nodiscard]] std::optional<std::chrono::seconds> parse_duration(std::string_view text);
/// "1 file", "2 files"; irregular plurals in full.
[[nodiscard]] std::string plural(std::uint64_t count, std::string_view one, std::string_view many);

/// RFC 3339 in UTC with nanoseconds, for programs: "2026-11-20T13:14:15.123456789Z".
[[nodiscard]] std::string rfc3339(base::Timestamp time);
[[nodiscard]] inline std::string rfc3339(std::int64_t wall_ns) { return rfc3339(base::Timestamp::from_ns(wall_ns)); }
/// "2026-11-20 14:14:15" in the local time zone, for people.
[[nodiscard]] std::string local_time(base::Timestamp time);
[[nodiscard]] inline std::string local_time(std::int64_t wall_ns) {
    return local_time(base::Timestamp::from_ns(wall_ns));
}
/// Local "2026-11-20", "2026-11-20 14:14" and "2026-11-20 14:14:15", or RFC 3339 with Z or an offset;
/// between 1678 and 2261.
[[nodiscard]] std::optional<std::int64_t> parse_time(std::string_view text);

[[nodiscard]] bool is_utf8(std::string_view text);
/// A name as it may be shown on a terminal: control characters and bytes that are not UTF-8 come out as \x1b, so that
/// no file name can move the cursor or forge a line.
[[nodiscard]] std::string printable(std::string_view text);
/// How many columns `text` takes on a terminal: code points, not bytes. Requires: text is printable().
[[nodiscard]] std::size_t display_width(std::string_view text);
/// `text`, or its end after "...", so that it takes at most `columns`.
[[nodiscard]] std::string shorten(std::string_view text, std::size_t columns);

/// Columns as wide as their widest cell, two spaces apart.
class Table {
  public:
    enum class Align { left, right };
    explicit Table(std::vector<std::string> header, std::vector<Align> align = {});
    /// Cells are made printable().
    void add(std::vector<std::string> row);
    [[nodiscard]] bool empty() const { return rows_.size() == 1; }
    /// Lines without trailing spaces; header first.
    [[nodiscard]] std::string str() const;

  private:
    std::vector<Align> align_;
    std::vector<std::vector<std::string>> rows_;
};

/// The one of `words` that `typo` most likely stands for, if any is near enough to be worth a suggestion.
[[nodiscard]] std::optional<std::string> nearest_word(std::string_view typo, const std::vector<std::string>& words);

}  // namespace tools
