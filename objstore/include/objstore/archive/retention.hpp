// Which snapshots `forget` keeps, and which versions of a live tree (live/history.hpp): restic's --keep-... options, as
// restic means them. Pure functions of their arguments.
//
// A group's snapshots are looked at from the newest to the oldest. Of each hour (day, week, month, year) the newest is
// kept, for as many of them as there are snapshots in; the oldest of all is kept, too, while such a count is not used
// up.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "objstore/snapshot.hpp"

namespace objstore::archive {

/// As a wall clock and a calendar show it where the user is.
struct LocalTime {
    int year = 1970;
    unsigned month = 1;
    unsigned day = 1;
    unsigned hour = 0;
    unsigned minute = 0;
    unsigned second = 0;
    std::uint32_t nanosecond = 0;
    friend auto operator<=>(const LocalTime&, const LocalTime&) = default;
};
/// In the proleptic Gregorian calendar of the clock that `moment` was read from.
[[nodiscard]] LocalTime calendar_time(std::chrono::sys_seconds moment, std::uint32_t nanosecond);

using ToLocalTime = std::function<LocalTime(std::int64_t ns)>;

/// "2y5m7d3h": years, months, days, hours, each at most once and in this order.
struct Span {
    int years = 0;
    int months = 0;
    int days = 0;
    int hours = 0;
    [[nodiscard]] bool empty() const { return years == 0 && months == 0 && days == 0 && hours == 0; }
    friend bool operator==(const Span&, const Span&) = default;
};
[[nodiscard]] base::Result<Span> parse_span(std::string_view text);
/// That much earlier by the calendar: a month before 31 March is 3 March (31 February), as restic has it.
[[nodiscard]] LocalTime before(const LocalTime& time, const Span& span);

struct RetentionPolicy {
    static constexpr int kAll = -1;
    int last = 0, hourly = 0, daily = 0, weekly = 0, monthly = 0, yearly = 0;  ///< 0: none; kAll: however many
    /// Before the newest snapshot that is not in the future.
    Span within, within_hourly, within_daily, within_weekly, within_monthly, within_yearly;
    std::vector<std::vector<std::string>> tags;  ///< keeps what has all the tags of one of them

    [[nodiscard]] bool empty() const;
};

/// Something that may be kept.
struct Moment {
    std::int64_t time_ns = 0;
    bool last = false;  ///< one of the RetentionPolicy::last
};
/// Why each of them is kept, in restic's words, tags aside; none: it goes. Requires: the newest first.
[[nodiscard]] std::vector<std::vector<std::string>> reasons_to_keep(const RetentionPolicy& policy,
                                                                    const std::vector<Moment>& moments,
                                                                    std::int64_t now_ns, const ToLocalTime& to_local);

struct Judged {
    Snapshot snapshot;
    std::vector<std::string> reasons;  ///< in restic's words; none: it goes
    [[nodiscard]] bool kept() const { return !reasons.empty(); }
};
/// The newest first.
[[nodiscard]] std::vector<Judged> apply_policy(const RetentionPolicy& policy, std::vector<Snapshot> group,
                                               std::int64_t now_ns, const ToLocalTime& to_local);

/// What the snapshots of a group have in common.
struct GroupBy {
    bool host = true;
    bool paths = true;
    bool tags = false;
};
/// "host,paths,tags" in any order, or "" for one group of all. base::Errc::bad_argument for other words.
[[nodiscard]] base::Result<GroupBy> parse_group_by(std::string_view text);
struct GroupKey {
    std::string host;
    std::vector<std::string> paths;
    std::vector<std::string> tags;
    friend auto operator<=>(const GroupKey&, const GroupKey&) = default;
};
[[nodiscard]] std::map<GroupKey, std::vector<Snapshot>> group_snapshots(std::vector<Snapshot> snapshots, GroupBy by);

}  // namespace objstore::archive
