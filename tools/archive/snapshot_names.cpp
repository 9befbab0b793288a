#include "archive/snapshot_names.hpp"

#include <fmt/format.h>

#include <array>
#include <ctime>
#include <map>
#include <set>

#include "base/limits.hpp"
#include "cli/verbs.hpp"

namespace tools {

namespace {

constexpr std::string_view kLatest = "latest";
constexpr std::string_view kLetters = "iIuhtT";

/// A host's or a tag's text as one name of a directory.
std::string as_name(std::string text) {
    if (text.empty() || text == ".") return "_";
    if (text == "..") return "__";
    for (char& c : text) c = c == '/' || c == '\0' ? '_' : c;
    if (text.size() > base::kMaxNameBytes) text.resize(base::kMaxNameBytes);
    return text;
}

/// The path without empty names, "." and "..".
std::string cleaned(std::string_view path) {
    std::string out;
    while (!path.empty()) {
        const auto slash = path.find('/');
        const auto name = path.substr(0, slash);
        path = slash == std::string_view::npos ? std::string_view{} : path.substr(slash + 1);
        if (name.empty() || name == ".") continue;
        out += (out.empty() ? "" : "/") + as_name(std::string{name});
    }
    return out;
}

std::string directory_of(const std::string& path) {
    const auto slash = path.rfind('/');
    return slash == std::string::npos ? std::string{} : path.substr(0, slash);
}

/// Of a template: what stands before the name that holds the first %.
std::string fixed_part(const std::string& path) { return cleaned(directory_of(path.substr(0, path.find('%')))); }

std::string filled(std::string_view path, const objstore::Snapshot& snapshot, const std::string& id,
                   const std::string& tag, const std::string& time) {
    std::string out;
    for (std::size_t i = 0; i < path.size(); ++i) {
        if (path[i] != '%' || i + 1 == path.size()) {
            out += path[i];
            continue;
        }
        constexpr std::size_t kShort = 8;
        switch (path[++i]) {
            case 'i': out += id.substr(0, kShort); break;
            case 'I': out += id; break;
            case 'u': out += as_name(snapshot.user); break;
            case 'h': out += as_name(snapshot.host); break;
            case 't': out += as_name(tag); break;
            case 'T': out += time; break;
        }
    }
    return cleaned(out);
}

struct Piece {
    std::string_view example;
    std::string (*write)(const std::tm&);
};

std::string zone(const std::tm& time, std::string_view between, bool z_for_utc) {
    const auto minutes = time.tm_gmtoff / 60;
    if (minutes == 0 && z_for_utc) return "Z";
    const auto away = minutes < 0 ? -minutes : minutes;
    return fmt::format("{}{:02}{}{:02}", minutes < 0 ? '-' : '+', away / 60, between, away % 60);
}

std::string by_strftime(const std::tm& time, const char* format) {
    std::array<char, 64> text{};
    return {text.data(), std::strftime(text.data(), text.size(), format, &time)};
}

/// The longer before the shorter that they begin with.
constexpr std::array kPieces{
    Piece{"2006", [](const std::tm& t) { return fmt::format("{:04}", t.tm_year + 1900L); }},
    Piece{"January", [](const std::tm& t) { return by_strftime(t, "%B"); }},
    Piece{"Jan", [](const std::tm& t) { return by_strftime(t, "%b"); }},
    Piece{"Monday", [](const std::tm& t) { return by_strftime(t, "%A"); }},
    Piece{"Mon", [](const std::tm& t) { return by_strftime(t, "%a"); }},
    Piece{"MST", [](const std::tm& t) { return std::string{t.tm_zone}; }},
    Piece{"Z07:00", [](const std::tm& t) { return zone(t, ":", true); }},
    Piece{"Z0700", [](const std::tm& t) { return zone(t, "", true); }},
    Piece{"-07:00", [](const std::tm& t) { return zone(t, ":", false); }},
    Piece{"-0700", [](const std::tm& t) { return zone(t, "", false); }},
    Piece{"01", [](const std::tm& t) { return fmt::format("{:02}", t.tm_mon + 1); }},
    Piece{"02", [](const std::tm& t) { return fmt::format("{:02}", t.tm_mday); }},
    Piece{"03", [](const std::tm& t) { return fmt::format("{:02}", (t.tm_hour + 11) % 12 + 1); }},
    Piece{"04", [](const std::tm& t) { return fmt::format("{:02}", t.tm_min); }},
    Piece{"05", [](const std::tm& t) { return fmt::format("{:02}", t.tm_sec); }},
    Piece{"06", [](const std::tm& t) { return fmt::format("{:02}", t.tm_year % 100); }},
    Piece{"15", [](const std::tm& t) { return fmt::format("{:02}", t.tm_hour); }},
    Piece{"PM", [](const std::tm& t) { return std::string{t.tm_hour < 12 ? "AM" : "PM"}; }},
};

}  // namespace

std::string time_like(std::int64_t time_ns, std::string_view example) {
    const std::time_t seconds = base::Timestamp::from_ns(time_ns).seconds;
    std::tm time{};
    if (localtime_r(&seconds, &time) == nullptr) return std::to_string(seconds);
    std::string out;
    while (!example.empty()) {
        const auto found =
            std::ranges::find_if(kPieces, [&](const Piece& piece) { return example.starts_with(piece.example); });
        const bool known = found != kPieces.end();
        out += known ? found->write(time) : std::string{example.front()};
        example.remove_prefix(known ? found->example.size() : 1);
    }
    return out;
}

base::Result<void> check(const SnapshotNaming& naming) {
    for (const auto& path : naming.paths) {
        const auto refuse = [&](const std::string& why) {
            return usage_error("path template '" + path + "' " + why + "; it may hold %i %I %u %h %t %T");
        };
        bool tells_apart = false;
        for (std::size_t at = path.find('%'); at != std::string::npos; at = path.find('%', at + 2)) {
            const auto letter = path.substr(at + 1, 1);
            if (letter.empty() || kLetters.find(letter) == std::string_view::npos)
                return refuse("has an unknown '%" + letter + "'");
            tells_apart = tells_apart || letter == "i" || letter == "I" || letter == "T";
        }
        if (!tells_apart) return refuse("gives all snapshots one name");
    }
    if (cleaned(naming.time).empty()) return usage_error("time template '" + naming.time + "' names nothing");
    return base::ok();
}

std::vector<fusefs::SnapshotName> name_snapshots(const SnapshotNaming& naming, const objstore::SnapshotFilter& filter,
                                                 const std::vector<objstore::Snapshot>& snapshots) {
    std::vector<fusefs::SnapshotName> names;
    std::set<std::string> taken;
    struct Newest {
        std::size_t snapshot = 0;
        std::string name;
    };
    std::map<std::string, Newest> newest;  // by directory
    for (const auto& path : naming.paths) names.push_back({fixed_part(path), std::nullopt, {}});
    for (std::size_t i = 0; i < snapshots.size(); ++i) {
        const auto& snapshot = snapshots[i];
        if (!matches(snapshot, filter)) continue;
        const auto id = snapshot.id().hex();
        const auto time = time_like(snapshot.time_ns, naming.time);
        for (const auto& path : naming.paths) {
            auto tags = path.find("%t") == std::string::npos ? std::vector<std::string>{""} : snapshot.tags;
            for (const auto& tag : tags) {
                const auto wanted = filled(path, snapshot, id, tag, time);
                auto name = wanted;
                for (unsigned n = 1; !taken.insert(name).second; ++n) name = wanted + "-" + std::to_string(n);
                names.push_back({name, i, {}});
                const auto directory = directory_of(name);
                if (!path.substr(path.rfind('/') + 1).contains("%T")) continue;
                auto& best = newest.try_emplace(directory, Newest{i, name}).first->second;
                if (later(snapshot, snapshots[best.snapshot])) best = {i, name};
            }
        }
    }
    for (const auto& [directory, best] : newest) {
        const auto skip = directory.empty() ? 0 : directory.size() + 1;
        names.push_back(
            {directory + (directory.empty() ? "" : "/") + std::string{kLatest}, std::nullopt, best.name.substr(skip)});
    }
    return names;
}

}  // namespace tools
