#include "objstore/archive/retention.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <optional>
#include <set>
#include <utility>

#include "base/error.hpp"

namespace objstore::archive {
namespace {

using std::chrono::sys_days;

sys_days date_of(const LocalTime& time) {
    return std::chrono::year{time.year} / std::chrono::month{time.month} / std::chrono::day{time.day};
}

/// Year and week of ISO 8601: weeks begin on Mondays, the first of a year is the one with its first Thursday.
std::int64_t iso_week(const LocalTime& time) {
    const auto date = date_of(time);
    const auto days_since_monday = static_cast<int>(std::chrono::weekday{date}.iso_encoding()) - 1;
    const auto thursday = date + std::chrono::days{3 - days_since_monday};
    const auto year = std::chrono::year_month_day{thursday}.year();
    const auto first = sys_days{year / std::chrono::January / 1};
    return std::int64_t{int{year}} * 100 + (thursday - first).count() / 7 + 1;
}

using Bucket = std::int64_t (*)(const LocalTime&);

struct Rule {
    int count = 0;
    Span within;
    Bucket bucket = nullptr;
    std::string reason;
    std::optional<std::int64_t> last;

    /// Whether this one is the first of its bucket, or the last chance to reach further back.
    bool takes(const LocalTime& time, bool oldest) {
        const auto value = bucket(time);
        if (last == value && !oldest) return false;
        last = value;
        return true;
    }
};

std::vector<Rule> rules_of(const RetentionPolicy& policy) {
    const Bucket year = [](const LocalTime& time) { return std::int64_t{time.year}; };
    const Bucket month = [](const LocalTime& time) { return std::int64_t{time.year} * 100 + time.month; };
    const Bucket week = [](const LocalTime& time) { return iso_week(time); };
    const Bucket day = [](const LocalTime& time) {
        return (std::int64_t{time.year} * 100 + time.month) * 100 + time.day;
    };
    const Bucket hour = [](const LocalTime& time) {
        return ((std::int64_t{time.year} * 100 + time.month) * 100 + time.day) * 100 + time.hour;
    };
    return {
        {policy.hourly, {}, hour, "hourly snapshot", {}},        {policy.daily, {}, day, "daily snapshot", {}},
        {policy.weekly, {}, week, "weekly snapshot", {}},        {policy.monthly, {}, month, "monthly snapshot", {}},
        {policy.yearly, {}, year, "yearly snapshot", {}},        {0, policy.within_hourly, hour, "hourly within", {}},
        {0, policy.within_daily, day, "daily within", {}},       {0, policy.within_weekly, week, "weekly within", {}},
        {0, policy.within_monthly, month, "monthly within", {}}, {0, policy.within_yearly, year, "yearly within", {}}};
}

std::string text_of(const Span& span) {
    std::string text;
    const auto add = [&](int count, char unit) {
        if (count != 0) text += std::to_string(count) + unit;
    };
    add(span.years, 'y');
    add(span.months, 'm');
    add(span.days, 'd');
    add(span.hours, 'h');
    return text;
}

std::string text_of(const std::vector<std::string>& tags) {
    std::string text;
    for (const auto& tag : tags) text += (text.empty() ? "" : ", ") + tag;
    return "has tags [" + text + "]";
}

bool has_all(const Snapshot& snapshot, const std::vector<std::string>& tags) {
    return std::ranges::all_of(tags, [&](const std::string& tag) {
        // As in restic's filters: "" is what has no tags.
        return tag.empty() ? snapshot.tags.empty() : std::ranges::find(snapshot.tags, tag) != snapshot.tags.end();
    });
}

/// By the volume's count: a clock that was wrong once does not decide. `count` < 0: all of them.
std::set<base::Guid> last_of(std::vector<Snapshot> snapshots, int count) {
    std::ranges::sort(snapshots, later);
    if (count >= 0 && static_cast<std::size_t>(count) < snapshots.size())
        snapshots.resize(static_cast<std::size_t>(count));
    std::set<base::Guid> ids;
    for (const auto& snapshot : snapshots) ids.insert(snapshot.id());
    return ids;
}

}  // namespace

base::Result<Span> parse_span(std::string_view text) {
    Span span;
    const base::Error bad{base::Errc::bad_argument,
                          "'" + std::string{text} + "' is no span of time: years, months, days, hours, as in 2y5m7d3h"};
    const std::array<std::pair<char, int*>, 4> units{
        {{'y', &span.years}, {'m', &span.months}, {'d', &span.days}, {'h', &span.hours}}};
    auto unit = units.begin();
    for (auto rest = text; !rest.empty();) {
        int count = 0;
        const auto [end, problem] = std::from_chars(rest.data(), rest.data() + rest.size(), count);
        if (problem != std::errc{} || end == rest.data() + rest.size() || count < 0 || count > 100'000) return bad;
        unit = std::find_if(unit, units.end(), [letter = *end](const auto& one) { return one.first == letter; });
        if (unit == units.end()) return bad;
        *unit++->second = count;
        rest.remove_prefix(static_cast<std::size_t>(end + 1 - rest.data()));
    }
    if (text.empty()) return bad;
    return span;
}

LocalTime calendar_time(std::chrono::sys_seconds moment, std::uint32_t nanosecond) {
    using namespace std::chrono;  // NOLINT: a calendar's words
    const auto date = floor<days>(moment);
    const year_month_day calendar{date};
    const hh_mm_ss clock{moment - date};
    return {int{calendar.year()},
            unsigned{calendar.month()},
            unsigned{calendar.day()},
            static_cast<unsigned>(clock.hours().count()),
            static_cast<unsigned>(clock.minutes().count()),
            static_cast<unsigned>(clock.seconds().count()),
            nanosecond};
}

LocalTime before(const LocalTime& time, const Span& span) {
    using namespace std::chrono;  // NOLINT: a calendar's words
    const auto months_back = int{time.year} * 12 + static_cast<int>(time.month) - 1 - span.years * 12 - span.months;
    const auto year_number = months_back >= 0 ? months_back / 12 : (months_back - 11) / 12;
    const auto first =
        sys_days{year{year_number} / month{static_cast<unsigned>(months_back - year_number * 12) + 1} / 1};
    const auto moment = sys_seconds{first} + days{static_cast<int>(time.day) - 1 - span.days} +
                        hours{static_cast<int>(time.hour) - span.hours} + minutes{time.minute} + seconds{time.second};
    return calendar_time(moment, time.nanosecond);
}

bool RetentionPolicy::empty() const {
    const auto rules = rules_of(*this);
    const auto unused = [](const Rule& rule) { return rule.count == 0 && rule.within.empty(); };
    return last == 0 && tags.empty() && within.empty() && std::ranges::all_of(rules, unused);
}

std::vector<std::vector<std::string>> reasons_to_keep(const RetentionPolicy& policy, const std::vector<Moment>& moments,
                                                      std::int64_t now_ns, const ToLocalTime& to_local) {
    const auto latest = std::ranges::find_if(moments, [&](const Moment& one) { return one.time_ns < now_ns; });
    const auto latest_time = to_local(latest == moments.end() ? now_ns : latest->time_ns);
    const auto is_within = [&](const LocalTime& time, const Span& span) {
        return !span.empty() && before(latest_time, span) < time;
    };
    auto rules = rules_of(policy);
    std::vector<std::vector<std::string>> all;
    for (std::size_t i = 0; i < moments.size(); ++i) {
        auto& reasons = all.emplace_back();
        const auto time = to_local(moments[i].time_ns);
        const bool oldest = i + 1 == moments.size();
        if (is_within(time, policy.within)) reasons.push_back("within " + text_of(policy.within));
        if (moments[i].last) reasons.emplace_back("last snapshot");
        for (auto& rule : rules) {
            const bool applies = rule.count != 0 || is_within(time, rule.within);
            if (!applies || !rule.takes(time, oldest)) continue;
            if (rule.count > 0) --rule.count;
            reasons.push_back(rule.reason + (rule.within.empty() ? "" : " " + text_of(rule.within)));
        }
    }
    return all;
}

std::vector<Judged> apply_policy(const RetentionPolicy& policy, std::vector<Snapshot> group, std::int64_t now_ns,
                                 const ToLocalTime& to_local) {
    std::ranges::sort(group, [](const Snapshot& a, const Snapshot& b) {
        return a.time_ns != b.time_ns ? a.time_ns > b.time_ns : b.id() < a.id();
    });
    const auto last = last_of(group, policy.last);
    std::vector<Moment> moments;
    for (const auto& snapshot : group) moments.push_back({snapshot.time_ns, last.contains(snapshot.id())});
    const auto by_time = reasons_to_keep(policy, moments, now_ns, to_local);
    std::vector<Judged> judged;
    for (std::size_t i = 0; i < group.size(); ++i) {
        Judged one{std::move(group[i]), {}};
        if (!one.snapshot.name.empty()) one.reasons.emplace_back("named");  // it goes by its name only
        for (const auto& tags : policy.tags) {
            if (has_all(one.snapshot, tags)) one.reasons.push_back(text_of(tags));
        }
        one.reasons.insert(one.reasons.end(), by_time[i].begin(), by_time[i].end());
        judged.push_back(std::move(one));
    }
    return judged;
}

base::Result<GroupBy> parse_group_by(std::string_view text) {
    GroupBy by{false, false, false};
    while (!text.empty()) {
        const auto comma = std::min(text.find(','), text.size());
        const auto word = text.substr(0, comma);
        if (word == "host" || word == "hosts") {
            by.host = true;
        } else if (word == "path" || word == "paths") {
            by.paths = true;
        } else if (word == "tag" || word == "tags") {
            by.tags = true;
        } else {
            return base::Error{base::Errc::bad_argument,
                               "snapshots can be grouped by host, paths and tags, not by '" + std::string{word} + "'"};
        }
        text.remove_prefix(std::min(comma + 1, text.size()));
    }
    return by;
}

std::map<GroupKey, std::vector<Snapshot>> group_snapshots(std::vector<Snapshot> snapshots, GroupBy by) {
    std::map<GroupKey, std::vector<Snapshot>> groups;
    for (auto& snapshot : snapshots) {
        GroupKey key;
        if (by.host) key.host = snapshot.host;
        if (by.paths) key.paths = snapshot.paths;
        if (by.tags) key.tags = snapshot.tags;
        std::ranges::sort(key.paths);
        std::ranges::sort(key.tags);
        groups[std::move(key)].push_back(std::move(snapshot));
    }
    return groups;
}

}  // namespace objstore::archive
