#include "cli/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <limits>

namespace tools {

namespace {

/// Length of the well-formed UTF-8 sequence that `text` begins with; 0 if it does not begin with one.
std::size_t utf8_length(std::string_view text) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned lead = byte(0);
    const std::size_t length = lead < 0x80                   ? 1
                               : lead >= 0xC2 && lead < 0xE0 ? 2
                               : lead >= 0xE0 && lead < 0xF0 ? 3
                               : lead >= 0xF0 && lead < 0xF5 ? 4
                                                             : 0;
    if (length == 0 || text.size() < length) return 0;
    for (std::size_t i = 1; i < length; ++i) {
        if ((byte(i) & 0xC0U) != 0x80U) return 0;
    }
    if (lead == 0xE0 && byte(1) < 0xA0) return 0;  // overlong
    if (lead == 0xED && byte(1) > 0x9F) return 0;  // surrogates
    if (lead == 0xF0 && byte(1) < 0x90) return 0;  // overlong
    if (lead == 0xF4 && byte(1) > 0x8F) return 0;  // beyond U+10FFFF
    return length;
}

/// C1 controls (U+0080..U+009F) and the marks that reorder text are as dangerous as ESC.
bool is_control(std::string_view sequence) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(sequence[i]); };
    if (sequence.size() == 1) return byte(0) < 0x20 || byte(0) == 0x7F;
    if (sequence.size() == 2) return byte(0) == 0xC2 && byte(1) < 0xA0;
    if (sequence.size() == 3 && byte(0) == 0xE2) {
        return (byte(1) == 0x80 && (byte(2) >= 0xA8 && byte(2) <= 0xAE)) ||  // U+2028..U+202E
               (byte(1) == 0x81 && (byte(2) >= 0xA6 && byte(2) <= 0xA9));    // U+2066..U+2069
    }
    return false;
}

struct NumberAndUnit {
    double number = 0;
    std::string unit;
};

std::optional<NumberAndUnit> split_unit(std::string_view text) {
    NumberAndUnit out;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out.number);
    if (error != std::errc{} || !(out.number >= 0) || !std::isfinite(out.number)) return std::nullopt;
    std::string_view rest{end, static_cast<std::size_t>(text.data() + text.size() - end)};
    while (!rest.empty() && rest.front() == ' ') rest.remove_prefix(1);
    for (const char c : rest) out.unit.push_back(static_cast<char>(std::tolower(static_cast<unsigned char>(c))));
    return out;
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        std::size_t diagonal = row[0];
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t change = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
            diagonal = row[j];
            row[j] = std::min({row[j] + 1, row[j - 1] + 1, change});
        }
    }
    return row[b.size()];
}

}  // namespace

std::string human_size(std::uint64_t bytes) {
    constexpr std::array kUnits{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    if (bytes < 1024) return fmt::format("{} B", bytes);
    auto value = static_cast<double>(bytes);
    std::size_t unit = 0;
    while (value >= 1023.5 && unit + 1 < kUnits.size()) {
        value /= 1024;
        ++unit;
    }
    const int digits = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
    return fmt::format("{:.{}f} {}", value, digits, kUnits[unit]);
}

std::optional<std::uint64_t> parse_size(std::string_view text) {
    const auto parsed = split_unit(text);
    if (!parsed) return std::nullopt;
    std::string unit = parsed->unit;
    double factor = 1;
    if (!unit.empty() && unit != "b") {
        constexpr std::string_view kPrefixes = "kmgtpe";
        const auto power = kPrefixes.find(unit.front());
        if (power == std::string_view::npos) return std::nullopt;
        unit.erase(0, 1);
        if (!unit.empty() && unit != "b" && unit != "ib") return std::nullopt;
        factor = std::exp2(10.0 * static_cast<double>(power + 1));
    }
    const double bytes = parsed->number * factor;
    if (bytes >= 18446744073709551615.0) return std::nullopt;
    return static_cast<std::uint64_t>(bytes);
}

std::string human_count(std::uint64_t count) {
    std::string text = std::to_string(count);
    for (auto i = static_cast<std::ptrdiff_t>(text.size()) - 3; i > 0; i -= 3) {
        text.insert(static_cast<std::size_t>(i), 1, ' ');
    }
    return text;
}

std::string human_duration(std::chrono::seconds duration) {
    const auto seconds = std::max<std::int64_t>(0, duration.count());
    if (seconds < 3600) return fmt::format("{}:{:02}", seconds / 60, seconds % 60);
    return fmt::format("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
}

/// As human_duration() writes it: M:SS or H:MM:SS.
static std::optional<std::chrono::seconds> parse_clock(std::string_view text) {
    std::int64_t total = 0;
    for (int part = 0; part < 3; ++part) {
        const auto end = std::min(text.find(':'), text.size());
        const auto digits = text.substr(0, end);
        std::int64_t number = 0;
        const auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
        const bool whole = error == std::errc{} && stop == digits.data() + digits.size() && number >= 0;
        if (!whole || digits.size() > 6 || (part > 0 && (digits.size() != 2 || number > 59))) return std::nullopt;
        total = total * 60 + number;
        if (end == text.size()) return std::chrono::seconds{total};
        text.remove_prefix(end + 1);
    }
    return std::nullopt;
}

std::optional<std::chrono::seconds> parse_duration(std::string_view text) {
    if (text.find(':') != std::string_view::npos) return parse_clock(text);
    const auto parsed = split_unit(text);
    if (!parsed) return std::nullopt;
    double factor = 0;
    if (parsed->unit.empty() || parsed->unit == "s") factor = 1;
    if (parsed->unit == "m" || parsed->unit == "min") factor = 60;
    if (parsed->unit == "h") factor = 3600;
    if (parsed->unit == "d") factor = 86400;
    const double seconds = parsed->number * factor;
    if (factor == 0 || seconds > 1e10) return std::nullopt;
    return std::chrono::seconds{static_cast<std::int64_t>(seconds)};
}

std::string plural(std::uint64_t count, std::string_view one, std::string_view many) {
    return human_count(count) + " " + std::string{count == 1 ? one : many};
}

bool is_utf8(std::string_view text) {
    while (!text.empty()) {
        const auto length = utf8_length(text);
        if (length == 0) return false;
        text.remove_prefix(length);
    }
    return true;
}

std::string printable(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    while (!text.empty()) {
        const std::size_t length = utf8_length(text);
        if (length == 0 || is_control(text.substr(0, length))) {
            const std::size_t bytes = std::max<std::size_t>(length, 1);
            for (std::size_t i = 0; i < bytes; ++i)
                out += fmt::format("\\x{:02x}", static_cast<unsigned char>(text[i]));
            text.remove_prefix(bytes);
        } else {
            out.append(text.substr(0, length));
            text.remove_prefix(length);
        }
    }
    return out;
}

std::size_t display_width(std::string_view text) {
    return static_cast<std::size_t>(
        std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

std::string shorten(std::string_view text, std::size_t columns) {
    std::size_t width = display_width(text);
    if (width <= columns) return std::string{text};
    if (columns <= 3) return std::string(columns, '.');
    while (width > columns - 3) {
        text.remove_prefix(std::max<std::size_t>(utf8_length(text), 1));
        --width;
    }
    return "..." + std::string{text};
}

Table::Table(std::vector<std::string> header, std::vector<Align> align) : align_{std::move(align)} {
    align_.resize(header.size(), Align::left);
    rows_.push_back(std::move(header));
}

void Table::add(std::vector<std::string> row) {
    row.resize(align_.size());
    for (auto& cell : row) cell = printable(cell);
    rows_.push_back(std::move(row));
}

std::string Table::str() const {
    std::vector<std::size_t> widths(align_.size());
    for (const auto& row : rows_) {
        for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], display_width(row[i]));
    }
    std::string out;
    for (const auto& row : rows_) {
        std::string line;
        for (std::size_t i = 0; i < row.size(); ++i) {
            const std::string padding(widths[i] - display_width(row[i]), ' ');
            if (i > 0) line += "  ";
            line += align_[i] == Align::left ? row[i] + padding : padding + row[i];
        }
        line.erase(line.find_last_not_of(' ') + 1);
        out += line + "\n";
    }
    return out;
}

std::optional<std::string> nearest_word(std::string_view typo, const std::vector<std::string>& words) {
    std::size_t best = std::numeric_limits<std::size_t>::max();
    std::optional<std::string> found;
    for (const auto& word : words) {
        const bool prefix = typo.size() >= 2 && word.starts_with(typo);
        const std::size_t distance = prefix ? 1 : edit_distance(typo, word);
        if (distance < best && (prefix || distance <= std::max<std::size_t>(1, word.size() / 3))) {
            best = distance;
            found = word;
        }
    }
    return found;
}

}  // namespace tools
