// What `forget` keeps, after restic's documentation of its --keep-... options ("Removing backup snapshots").
#include "objstore/archive/retention.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hpp"

namespace objstore::archive {
namespace {

using std::chrono::sys_days;
using testing::ElementsAre;
using testing::IsEmpty;

/// "2015-01-02 15:04" as if everybody lived at Greenwich.
std::int64_t at(const std::string& text) {
    const auto number = [&](std::size_t from, std::size_t length) { return std::stoi(text.substr(from, length)); };
    const std::chrono::year_month_day date{std::chrono::year{number(0, 4)},
                                           std::chrono::month{static_cast<unsigned>(number(5, 2))},
                                           std::chrono::day{static_cast<unsigned>(number(8, 2))}};
    std::int64_t seconds = sys_days{date}.time_since_epoch().count() * std::int64_t{86'400};
    if (text.size() > 10) seconds += number(11, 2) * 3600 + number(14, 2) * 60;
    return seconds * 1'000'000'000;
}

LocalTime greenwich(std::int64_t ns) {
    const std::chrono::sys_time<std::chrono::nanoseconds> time{std::chrono::nanoseconds{ns}};
    const auto day = std::chrono::floor<std::chrono::days>(time);
    const std::chrono::year_month_day date{day};
    const std::chrono::hh_mm_ss clock{time - day};
    return {int{date.year()},
            unsigned{date.month()},
            unsigned{date.day()},
            static_cast<unsigned>(clock.hours().count()),
            static_cast<unsigned>(clock.minutes().count()),
            static_cast<unsigned>(clock.seconds().count()),
            static_cast<std::uint32_t>(clock.subseconds().count())};
}

Snapshot snapshot(const std::string& time, std::vector<std::string> tags = {}) {
    Snapshot made;
    BlockRef root;
    root.sealed_bytes = 1;
    made.root = std::make_shared<const BlockRef>(root);
    made.host = "host";
    made.paths = {"/home"};
    made.tags = std::move(tags);
    made.time_ns = at(time);
    return made;
}

std::vector<Snapshot> snapshots(const std::vector<std::string>& times) {
    std::vector<Snapshot> made;
    for (const auto& time : times) made.push_back(snapshot(time));
    return made;
}

std::string text_of(std::int64_t ns) {
    const auto time = greenwich(ns);
    char text[32];
    std::snprintf(text, sizeof text, "%04d-%02u-%02u %02u:%02u", time.year, time.month, time.day, time.hour,
                  time.minute);
    return text;
}

/// Times of those that are kept, the newest first.
std::vector<std::string> kept(const RetentionPolicy& policy, std::vector<Snapshot> group,
                              const std::string& now = "2030-01-01") {
    std::vector<std::string> times;
    for (const auto& judged : apply_policy(policy, std::move(group), at(now), greenwich)) {
        if (judged.kept()) times.push_back(text_of(judged.snapshot.time_ns));
    }
    return times;
}

TEST(Retention, TheLastAreKeptHoweverOldTheyAre) {
    RetentionPolicy policy;
    policy.last = 2;
    EXPECT_THAT(kept(policy, snapshots({"2015-01-01 10:00", "2014-03-01 09:00", "2016-05-05 12:00"})),
                ElementsAre("2016-05-05 12:00", "2015-01-01 10:00"));
    policy.last = 9;
    EXPECT_EQ(kept(policy, snapshots({"2015-01-01 10:00", "2014-03-01 09:00"})).size(), 2U);
    policy.last = RetentionPolicy::kAll;
    EXPECT_EQ(kept(policy, snapshots({"2015-01-01 10:00", "2014-03-01 09:00"})).size(), 2U);
}

TEST(Retention, WhichAreTheLastTheVolumeCountsWhateverTheirTimesSay) {
    auto group = snapshots({"2029-01-01 10:00", "2014-03-01 09:00", "2016-05-05 12:00"});
    for (std::size_t i = 0; i < group.size(); ++i) group[i].sequence = i + 1;  // the first had a wrong clock
    RetentionPolicy policy;
    policy.last = 2;
    EXPECT_THAT(kept(policy, group), ElementsAre("2016-05-05 12:00", "2014-03-01 09:00"));
}

TEST(Retention, OfEachHourDayMonthAndYearTheNewestIsKept) {
    const auto group = [] {
        return snapshots({"2016-01-18 12:30", "2016-01-18 12:10", "2016-01-18 11:00", "2016-01-12 21:08",
                          "2016-01-12 20:00", "2015-11-22 10:20", "2015-11-08 20:00", "2014-08-10 10:20",
                          "2014-08-08 10:20"});
    };
    RetentionPolicy hourly, daily, monthly, yearly;
    hourly.hourly = 2;
    EXPECT_THAT(kept(hourly, group()), ElementsAre("2016-01-18 12:30", "2016-01-18 11:00"));
    daily.daily = 2;
    EXPECT_THAT(kept(daily, group()), ElementsAre("2016-01-18 12:30", "2016-01-12 21:08"));
    monthly.monthly = 3;
    EXPECT_THAT(kept(monthly, group()), ElementsAre("2016-01-18 12:30", "2015-11-22 10:20", "2014-08-10 10:20"));
    yearly.yearly = 2;
    EXPECT_THAT(kept(yearly, group()), ElementsAre("2016-01-18 12:30", "2015-11-22 10:20"));
}

TEST(Retention, WeeksAreThoseOfIso8601) {
    RetentionPolicy policy;
    policy.weekly = 2;
    // 2021-01-03 is a Sunday and belongs to week 53 of 2020, as does Monday, 2020-12-28.
    EXPECT_THAT(
        kept(policy, snapshots({"2021-01-04 10:00", "2021-01-03 10:00", "2020-12-28 10:00", "2020-12-20 10:00"})),
        ElementsAre("2021-01-04 10:00", "2021-01-03 10:00"));
}

TEST(Retention, DaysWithoutASnapshotDoNotCount) {
    RetentionPolicy policy;
    policy.daily = 3;
    EXPECT_THAT(
        kept(policy, snapshots({"2016-03-01 10:00", "2016-01-10 10:00", "2015-01-01 10:00", "2014-01-01 10:00"})),
        ElementsAre("2016-03-01 10:00", "2016-01-10 10:00", "2015-01-01 10:00"));
}

TEST(Retention, TheOldestIsKeptWhileACountIsLeft) {
    RetentionPolicy policy;
    policy.yearly = 3;
    EXPECT_THAT(kept(policy, snapshots({"2016-03-01 10:00", "2015-09-10 10:00", "2015-01-01 10:00"})),
                ElementsAre("2016-03-01 10:00", "2015-09-10 10:00", "2015-01-01 10:00"));
    policy.yearly = 2;
    EXPECT_THAT(kept(policy, snapshots({"2016-03-01 10:00", "2015-09-10 10:00", "2015-01-01 10:00"})),
                ElementsAre("2016-03-01 10:00", "2015-09-10 10:00"));
}

TEST(Retention, WithinCountsFromTheNewestThatIsNotInTheFuture) {
    RetentionPolicy policy;
    policy.within = *parse_span("1m2d");
    const auto group = snapshots({"2016-03-31 10:00", "2016-03-01 10:01", "2016-03-01 10:00", "2016-02-29 10:00"});
    // 31 March less a month is 31 February, which is 2 March 2016; less two days 29 February.
    EXPECT_THAT(kept(policy, group), ElementsAre("2016-03-31 10:00", "2016-03-01 10:01", "2016-03-01 10:00"));
    policy.within = *parse_span("1d");
    EXPECT_THAT(kept(policy, snapshots({"2016-03-30 10:00", "2016-03-29 11:00", "2016-03-29 10:00"}), "2020-01-01"),
                ElementsAre("2016-03-30 10:00", "2016-03-29 11:00"));
    EXPECT_THAT(kept(policy, snapshots({"2099-01-01 10:00", "2016-03-30 10:00", "2016-03-29 11:00"}), "2020-01-01"),
                ElementsAre("2099-01-01 10:00", "2016-03-30 10:00", "2016-03-29 11:00"));
}

TEST(Retention, OfADayWithinASpanTheNewestIsKept) {
    RetentionPolicy policy;
    policy.within_daily = *parse_span("3d");
    EXPECT_THAT(kept(policy, snapshots({"2016-03-10 12:00", "2016-03-10 10:00", "2016-03-09 12:00", "2016-03-07 11:00",
                                        "2016-03-01 10:00"})),
                ElementsAre("2016-03-10 12:00", "2016-03-09 12:00"));
}

TEST(Retention, TagsKeepWhatHasAllOfAList) {
    RetentionPolicy policy;
    policy.tags = {{"a", "b"}, {"c"}};
    std::vector<Snapshot> group{snapshot("2016-01-01", {"a"}), snapshot("2016-01-02", {"a", "b"}),
                                snapshot("2016-01-03", {"c", "x"}), snapshot("2016-01-04")};
    EXPECT_THAT(kept(policy, group), ElementsAre("2016-01-03 00:00", "2016-01-02 00:00"));
    policy.tags = {{""}};
    EXPECT_THAT(kept(policy, group), ElementsAre("2016-01-04 00:00"));
}

TEST(Retention, NamedSnapshotsStayWhateverThePolicySays) {
    RetentionPolicy policy;
    policy.last = 1;
    std::vector<Snapshot> group{snapshot("2016-01-01"), snapshot("2016-01-02"), snapshot("2016-01-03")};
    group[0].name = "before-upgrade";
    const auto judged = apply_policy(policy, group, at("2020-01-01"), greenwich);
    EXPECT_THAT(judged[0].reasons, ElementsAre("last snapshot"));
    EXPECT_THAT(judged[1].reasons, IsEmpty());
    EXPECT_THAT(judged[2].reasons, ElementsAre("named"));
}

TEST(Retention, ARuleUsesUpItsCountAlsoOnWhatAnotherKeeps) {
    RetentionPolicy policy;
    policy.last = 2;
    policy.daily = 2;
    const auto judged =
        apply_policy(policy, snapshots({"2016-01-03", "2016-01-02", "2016-01-01"}), at("2020-01-01"), greenwich);
    EXPECT_THAT(judged[0].reasons, ElementsAre("last snapshot", "daily snapshot"));
    EXPECT_THAT(judged[1].reasons, ElementsAre("last snapshot", "daily snapshot"));
    EXPECT_THAT(judged[2].reasons, IsEmpty());
}

TEST(Retention, SpansOfTimeAreReadAsResticWritesThem) {
    EXPECT_EQ(*parse_span("2y5m7d3h"), (Span{2, 5, 7, 3}));
    EXPECT_EQ(*parse_span("90d"), (Span{0, 0, 90, 0}));
    for (const auto* bad : {"", "d", "3", "3w", "1d1y", "1d1d", "-1d", "1.5d", "99999999999d", "1d "})
        EXPECT_EQ(parse_span(bad).error(), base::Errc::bad_argument) << bad;
}

TEST(Retention, GroupsAreWhatTheUserNames) {
    auto a = snapshot("2016-01-01", {"x"}), b = snapshot("2016-01-02"), c = snapshot("2016-01-03");
    b.host = "other";
    c.paths = {"/srv", "/home"};
    const std::vector<Snapshot> all{a, b, c};
    const auto groups = [&](const char* by) { return group_snapshots(all, *parse_group_by(by)).size(); };
    EXPECT_EQ(groups(""), 1U);
    EXPECT_EQ(groups("host"), 2U);
    EXPECT_EQ(groups("host,paths"), 3U);
    EXPECT_EQ(groups("tags"), 2U);
    EXPECT_EQ(parse_group_by("host,colour").error(), base::Errc::bad_argument);
}

TEST(Retention, NothingIsAPolicyThatKeepsNothing) {
    EXPECT_TRUE(RetentionPolicy{}.empty());
    RetentionPolicy policy;
    policy.within_yearly = *parse_span("1y");
    EXPECT_FALSE(policy.empty());
}

}  // namespace
}  // namespace objstore::archive
