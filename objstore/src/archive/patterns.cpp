#include "objstore/archive/patterns.hpp"

#include <algorithm>
#include <optional>

#include "base/byte_order_mark.hpp"
#include "base/limits.hpp"

namespace objstore::archive {
namespace {

constexpr std::string_view kAnyDepth = "**";

// A character as people count them: a code point of UTF-8, or else a byte by itself.
struct Character {
    char32_t value = 0;
    std::size_t length = 1;
};

// Of text that is not empty. A byte that is no part of valid UTF-8 is unlike every code point.
Character first_character(std::string_view text) {
    constexpr char32_t kByte = 0x110000;  // the first number that is no code point
    const auto byte = [text](std::size_t at) { return static_cast<unsigned char>(text[at]); };
    const unsigned head = byte(0);
    const std::size_t length = head < 0x80 ? 1 : head >= 0xF0 ? 4 : head >= 0xE0 ? 3 : 2;
    if (length == 1) return {head, 1};
    const Character alone{kByte + head, 1};
    if (head < 0xC2 || head > 0xF4 || text.size() < length) return alone;
    char32_t value = head & (0xFFU >> (length + 1));
    for (std::size_t at = 1; at < length; ++at) {
        if ((byte(at) & 0xC0U) != 0x80) return alone;
        value = (value << 6U) | (byte(at) & 0x3FU);
    }
    const bool overlong = (length == 3 && value < 0x800) || (length == 4 && value < 0x10000);
    const bool surrogate = value >= 0xD800 && value < 0xE000;
    return overlong || surrogate || value > 0x10FFFF ? alone : Character{value, length};
}

char32_t folded(char32_t c, bool ignore_case) { return ignore_case && c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c; }

struct Set {
    bool matched = false;
    std::size_t length = 0;  // of the whole "[...]"
};

// `glob` begins with '['. Nullopt if it is never closed.
std::optional<Set> match_set(std::string_view glob, char32_t c, bool ignore_case) {
    std::size_t at = 1;
    const bool negated = at < glob.size() && (glob[at] == '!' || glob[at] == '^');
    if (negated) ++at;
    const auto take = [&] {
        if (glob[at] == '\\' && at + 1 < glob.size()) ++at;
        const auto next = first_character(glob.substr(at));
        at += next.length;
        return next.value;
    };
    bool found = false;
    for (bool first = true; at < glob.size() && (first || glob[at] != ']'); first = false) {
        const auto low = take();
        auto high = low;
        if (at + 1 < glob.size() && glob[at] == '-' && glob[at + 1] != ']') {
            ++at;
            high = take();
        }
        const auto in = [low, high](char32_t x) { return low <= x && x <= high; };
        const auto lower = folded(c, ignore_case);
        const auto upper = ignore_case && c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c;
        found = found || in(c) || in(lower) || in(upper);
    }
    if (at >= glob.size()) return std::nullopt;
    return Set{found != negated, at + 1};
}

// Every '[' is closed, and no '\' is the last character.
bool well_formed(std::string_view glob) {
    for (std::size_t at = 0; at < glob.size();) {
        if (glob[at] == '\\') {
            if (at + 1 == glob.size()) return false;
            at += 2;
        } else if (glob[at] == '[') {
            const auto set = match_set(glob.substr(at), U'x', false);
            if (!set) return false;
            at += set->length;
        } else {
            ++at;
        }
    }
    return true;
}

// How many bytes of `glob` stand for `c`; zero if they do not. `glob` is not empty and does not begin with '*'.
std::size_t match_one(std::string_view glob, char32_t c, bool ignore_case) {
    if (glob[0] == '?') return 1;
    if (glob[0] == '[') {
        const auto set = match_set(glob, c, ignore_case);
        return set && set->matched ? set->length : 0;
    }
    const std::size_t escape = glob[0] == '\\' && glob.size() > 1 ? 1 : 0;
    const auto wanted = first_character(glob.substr(escape));
    return folded(wanted.value, ignore_case) == folded(c, ignore_case) ? escape + wanted.length : 0;
}

using Parts = std::span<const std::string>;

bool parts_match(Parts parts, Patterns::Path path, bool ignore_case) {
    // Iterative, as for '*' within a name: only the last "**" needs to be tried again, so hostile patterns stay
    // quadratic.
    std::size_t part = 0;
    std::size_t at = 0;
    std::optional<std::size_t> star_part;
    std::size_t star_at = 0;
    while (at < path.size()) {
        if (part < parts.size() && parts[part] == kAnyDepth) {
            star_part = part++;
            star_at = at;
        } else if (part < parts.size() && glob_matches(parts[part], path[at], ignore_case)) {
            ++part;
            ++at;
        } else if (star_part) {
            part = *star_part + 1;
            at = ++star_at;
        } else {
            return false;
        }
    }
    while (part < parts.size() && parts[part] == kAnyDepth) ++part;
    return part == parts.size();
}

// Could a longer path that begins with `directory` match?
bool prefix_may_match(Parts parts, Patterns::Path directory, bool ignore_case) {
    for (std::size_t at = 0; at < directory.size(); ++at) {
        if (at >= parts.size()) return false;
        if (parts[at] == kAnyDepth) return true;
        if (!glob_matches(parts[at], directory[at], ignore_case)) return false;
    }
    return directory.size() < parts.size();
}

}  // namespace

bool glob_matches(std::string_view glob, std::string_view name, bool ignore_case) {
    std::size_t in_glob = 0;
    std::size_t in_name = 0;
    std::optional<std::size_t> star;
    std::size_t star_name = 0;
    while (in_name < name.size()) {
        if (in_glob < glob.size() && glob[in_glob] == '*') {
            star = in_glob++;
            star_name = in_name;
            continue;
        }
        const auto next = first_character(name.substr(in_name));
        const auto used = in_glob < glob.size() ? match_one(glob.substr(in_glob), next.value, ignore_case) : 0;
        if (used > 0) {
            in_glob += used;
            in_name += next.length;
        } else if (star) {
            in_glob = *star + 1;
            star_name += first_character(name.substr(star_name)).length;
            in_name = star_name;
        } else {
            return false;
        }
    }
    while (in_glob < glob.size() && glob[in_glob] == '*') ++in_glob;
    return in_glob == glob.size();
}

base::Result<void> Patterns::add(std::string_view text, bool ignore_case) {
    const auto refuse = [text](const char* why) {
        return base::Error{base::Errc::bad_argument, "pattern \"" + std::string{text} + "\" " + why};
    };
    auto rest = text;
    Pattern pattern{.ignore_case = ignore_case};
    if (rest.starts_with('!')) {
        pattern.negated = true;
        rest.remove_prefix(1);
    } else if (rest.starts_with("\\!") || rest.starts_with("\\#")) {
        rest.remove_prefix(1);
    }
    if (rest.size() > base::kMaxPathBytes) return refuse("is longer than a path can be");
    pattern.anchored = rest.starts_with('/');
    pattern.only_directories = rest.ends_with('/') && !rest.ends_with("\\/");
    if (!pattern.anchored) pattern.parts.emplace_back(kAnyDepth);
    while (!rest.empty()) {
        const auto slash = std::min(rest.find('/'), rest.size());
        const auto part = rest.substr(0, slash);
        rest.remove_prefix(std::min(slash + 1, rest.size()));
        if (part.empty() || part == ".") continue;
        if (part == "..") return refuse("contains \"..\", which no path in an archive has");
        if (!well_formed(part)) return refuse("has a '[' that is not closed, or ends in '\\'");
        if (part == kAnyDepth && !pattern.parts.empty() && pattern.parts.back() == kAnyDepth) continue;
        pattern.parts.emplace_back(part);
    }
    if (!pattern.anchored && pattern.parts.size() == 1 && text != kAnyDepth) return refuse("matches nothing");
    patterns_.push_back(std::move(pattern));
    return base::ok();
}

base::Result<void> Patterns::add_lines(std::string_view text, bool ignore_case) {
    constexpr std::string_view kBlanks = " \t\r";
    text = base::without_byte_order_mark(text);
    for (std::size_t number = 1; !text.empty(); ++number) {
        const auto end = std::min(text.find('\n'), text.size());
        auto line = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        line.remove_prefix(std::min(line.find_first_not_of(kBlanks), line.size()));
        line.remove_suffix(line.size() - std::min(line.find_last_not_of(kBlanks) + 1, line.size()));
        if (line.empty() || line.starts_with('#')) continue;
        if (auto added = add(line, ignore_case); !added) {
            return std::move(added).error().with("line " + std::to_string(number));
        }
    }
    return base::ok();
}

bool Patterns::matches(Path path, bool directory) const {
    const auto hit = std::find_if(patterns_.rbegin(), patterns_.rend(), [&](const Pattern& pattern) {
        return (directory || !pattern.only_directories) && parts_match(pattern.parts, path, pattern.ignore_case);
    });
    return hit != patterns_.rend() && !hit->negated;
}

bool Patterns::may_match_below(Path directory) const {
    return std::any_of(patterns_.begin(), patterns_.end(), [&](const Pattern& pattern) {
        return !pattern.negated && prefix_may_match(pattern.parts, directory, pattern.ignore_case);
    });
}

}  // namespace objstore::archive
