// Times as people and programs write them; the half of text.hpp that knows time zones.
#include <fmt/format.h>

#include <charconv>
#include <chrono>
#include <ctime>

#include "cli/text.hpp"

namespace tools {

namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

std::string format(const std::tm& time, char separator) {
    return fmt::format("{:04}-{:02}-{:02}{}{:02}:{:02}:{:02}", std::int64_t{time.tm_year} + 1900, time.tm_mon + 1,
                       time.tm_mday, separator, time.tm_hour, time.tm_min, time.tm_sec);
}

/// A file system may hold a year that does not fit std::tm: then the seconds themselves.
std::string format(const base::Timestamp& time, std::tm* broken_down, char separator) {
    if (broken_down == nullptr) return fmt::format("@{}", time.seconds);
    return format(*broken_down, separator);
}

/// Takes `digits` digits, after the character `before` if that is not 0.
bool take(std::string_view& text, char before, std::size_t digits, int& out) {
    if (before != 0) {
        if (text.empty() || text.front() != before) return false;
        text.remove_prefix(1);
    }
    if (text.size() < digits) return false;
    const auto [end, error] = std::from_chars(text.data(), text.data() + digits, out);
    if (error != std::errc{} || end != text.data() + digits || out < 0) return false;
    text.remove_prefix(digits);
    return true;
}

bool in_range(const std::tm& time) {
    const std::chrono::year_month_day day{std::chrono::year{time.tm_year + 1900},
                                          std::chrono::month{static_cast<unsigned>(time.tm_mon + 1)},
                                          std::chrono::day{static_cast<unsigned>(time.tm_mday)}};
    return day.ok() && time.tm_mon >= 0 && time.tm_mon < 12 && time.tm_mday >= 1 && time.tm_mday <= 31 &&
           time.tm_hour < 24 && time.tm_min < 60 && time.tm_sec < 61;
}

/// ".123456789": what is after the point, in nanoseconds.
std::optional<std::int64_t> take_fraction(std::string_view& text) {
    if (text.empty() || text.front() != '.') return 0;
    text.remove_prefix(1);
    std::int64_t value = 0;
    std::size_t digits = 0;
    for (; digits < text.size() && text[digits] >= '0' && text[digits] <= '9'; ++digits) {
        if (digits < 9) value = value * 10 + (text[digits] - '0');
    }
    if (digits == 0) return std::nullopt;
    for (std::size_t i = digits; i < 9; ++i) value *= 10;
    text.remove_prefix(digits);
    return value;
}

/// Nullopt before 1677 and after 2262.
std::optional<std::int64_t> to_ns(std::int64_t seconds, std::int64_t fraction) {
    std::int64_t ns = 0;
    if (__builtin_mul_overflow(seconds, kSecond, &ns) || __builtin_add_overflow(ns, fraction, &ns)) return std::nullopt;
    return ns;
}

/// "Z" or "+hh:mm", in seconds east of Greenwich.
std::optional<std::int64_t> parse_zone(std::string_view text) {
    if (text == "Z" || text == "z") return 0;
    if (text.size() != 6) return std::nullopt;
    const int sign = text.front() == '+' ? 1 : text.front() == '-' ? -1 : 0;
    int hours = 0;
    int minutes = 0;
    text.remove_prefix(1);
    if (sign == 0 || !take(text, 0, 2, hours) || !take(text, ':', 2, minutes)) return std::nullopt;
    return sign * (hours * 3600 + minutes * 60);
}

}  // namespace

std::string rfc3339(base::Timestamp time) {
    const std::time_t seconds = time.seconds;
    std::tm parts{};
    return fmt::format("{}.{:09}Z", format(time, gmtime_r(&seconds, &parts), 'T'), time.nanoseconds);
}

std::string local_time(base::Timestamp time) {
    const std::time_t seconds = time.seconds;
    std::tm parts{};
    return format(time, localtime_r(&seconds, &parts), ' ');
}

std::optional<std::int64_t> parse_time(std::string_view text) {
    std::tm time{};
    if (!take(text, 0, 4, time.tm_year) || !take(text, '-', 2, time.tm_mon) || !take(text, '-', 2, time.tm_mday)) {
        return std::nullopt;
    }
    time.tm_year -= 1900;
    time.tm_mon -= 1;
    time.tm_isdst = -1;
    std::int64_t fraction = 0;
    if (!text.empty()) {
        if (text.front() != ' ' && text.front() != 'T') return std::nullopt;
        text.remove_prefix(1);
        if (!take(text, 0, 2, time.tm_hour) || !take(text, ':', 2, time.tm_min)) return std::nullopt;
        if (!text.empty() && text.front() == ':') {
            if (!take(text, ':', 2, time.tm_sec)) return std::nullopt;
            const auto parsed = take_fraction(text);
            if (!parsed) return std::nullopt;
            fraction = *parsed;
        }
    }
    if (!in_range(time)) return std::nullopt;
    if (text.empty()) return to_ns(std::mktime(&time), fraction);
    const auto zone = parse_zone(text);
    if (!zone) return std::nullopt;
    return to_ns(timegm(&time) - *zone, fraction);
}

}  // namespace tools
