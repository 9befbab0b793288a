#include "cli/text.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>

namespace tools {
namespace {

using testing::Optional;

TEST(Text, SizesHaveThreeDigits) {
    EXPECT_EQ(human_size(0), "0 B");
    EXPECT_EQ(human_size(1023), "1023 B");
    EXPECT_EQ(human_size(1024), "1.00 KiB");
    EXPECT_EQ(human_size(1536), "1.50 KiB");
    EXPECT_EQ(human_size(12'900'000), "12.3 MiB");
    EXPECT_EQ(human_size(1024 * 1024 - 1), "1.00 MiB");
    EXPECT_EQ(human_size(500ULL << 30U), "500 GiB");
    EXPECT_EQ(human_size(~0ULL), "16.0 EiB");
}

TEST(Text, SizesAreReadInTheUnitsPeopleWrite) {
    EXPECT_THAT(parse_size("4096"), Optional(4096ULL));
    EXPECT_THAT(parse_size("10G"), Optional(10ULL << 30U));
    EXPECT_THAT(parse_size("10 GiB"), Optional(10ULL << 30U));
    EXPECT_THAT(parse_size("1.5mb"), Optional(3ULL << 19U));
    for (const auto* bad : {"", "G", "-1", "10X", "10GG", "1e30", "nan", "inf", "99999999999E"}) {
        EXPECT_FALSE(parse_size(bad)) << bad;
    }
}

TEST(Text, DurationsAreReadInTheUnitsPeopleWrite) {
    using namespace std::chrono_literals;
    EXPECT_THAT(parse_duration("90"), Optional(90s));
    EXPECT_THAT(parse_duration("15m"), Optional(900s));
    EXPECT_THAT(parse_duration("7d"), Optional(std::chrono::seconds{604800}));
    for (const auto* bad : {"", "m", "-5s", "3 fortnights", "1e99", ":", "1:", "1:5", "1:60", "1:00:00:00", "-1:00"})
        EXPECT_FALSE(parse_duration(bad)) << bad;
    for (const auto printed : {7s, 90s, 3600s, 90061s})
        EXPECT_THAT(parse_duration(human_duration(printed)), Optional(printed));
}

TEST(Text, CountsAreGroupedAndNounsAgree) {
    EXPECT_EQ(human_count(7), "7");
    EXPECT_EQ(human_count(1234567), "1 234 567");
    EXPECT_EQ(plural(1, "file", "files"), "1 file");
    EXPECT_EQ(plural(2000, "entry", "entries"), "2 000 entries");
}

TEST(Text, NoFileNameMovesTheCursor) {
    EXPECT_EQ(printable("plain name"), "plain name");
    EXPECT_EQ(printable("a\x1b[2Jb\n"), "a\\x1b[2Jb\\x0a");
    EXPECT_EQ(printable("caf\xc3\xa9"), "caf\xc3\xa9");
    EXPECT_EQ(printable("caf\xe9"), "caf\\xe9");
    EXPECT_EQ(printable("\xc2\x9b"), "\\xc2\\x9b") << "a C1 control";
    EXPECT_EQ(printable("\xe2\x80\xae"), "\\xe2\\x80\\xae") << "right-to-left override";
    EXPECT_EQ(printable("\xc0\xaf"), "\\xc0\\xaf") << "overlong";
}

TEST(Text, TablesAlignByCharactersNotBytes) {
    Table table{{"NAME", "SIZE"}, {Table::Align::left, Table::Align::right}};
    table.add({"caf\xc3\xa9", "1"});
    table.add({"x", "12345"});
    EXPECT_EQ(table.str(), "NAME   SIZE\ncaf\xc3\xa9      1\nx     12345\n");
}

TEST(Text, ALongNameKeepsItsEnd) {
    EXPECT_EQ(shorten("/a/very/long/path/file.txt", 11), "...file.txt");
    EXPECT_EQ(shorten("short", 11), "short");
}

TEST(Text, TimesGoBothWaysInUtc) {
    EXPECT_EQ(rfc3339(0), "1970-01-01T00:00:00.000000000Z");
    EXPECT_EQ(rfc3339(-1), "1969-12-31T23:59:59.999999999Z");
    EXPECT_THAT(parse_time("2026-11-20T13:14:15.5Z"), Optional(1795180455500000000LL));
    EXPECT_THAT(parse_time("2026-11-20T14:14:15+01:00"), Optional(1795180455000000000LL));
    EXPECT_EQ(rfc3339(*parse_time("2026-11-20T13:14:15Z")), "2026-11-20T13:14:15.000000000Z");
    for (const auto* bad :
         {"", "yesterday", "2026-13-01", "2026-11-20T25:00", "2026-11-20 12:00:00 pm", "2026-11-20T1:2"}) {
        EXPECT_FALSE(parse_time(bad)) << bad;
    }
}

TEST(Text, ATimeThatNanosecondsCannotHoldIsNotReadAsAnother) {
    for (const auto* text : {"1600-01-01", "1600-01-01T00:00:00Z", "2300-01-01 00:00:00", "9999-12-31T23:59:59Z"}) {
        EXPECT_FALSE(parse_time(text)) << text;
    }
    EXPECT_TRUE(parse_time("1678-01-01T00:00:00Z"));
    EXPECT_TRUE(parse_time("2261-12-31T23:59:59Z"));
}

TEST(Text, TimesThatNanosecondsCannotHoldHaveTheirYear) {
    EXPECT_EQ(rfc3339(base::Timestamp{10'413'792'000, 0}), "2300-01-01T00:00:00.000000000Z");
    EXPECT_EQ(rfc3339(base::Timestamp{15'032'385'535, 999'999'999}), "2446-05-10T22:38:55.999999999Z");
    EXPECT_EQ(rfc3339(base::Timestamp{-2'147'483'648, 1}), "1901-12-13T20:45:52.000000001Z");
    EXPECT_EQ(local_time(base::Timestamp{10'413'900'000, 0}).substr(0, 7), "2300-01");
    EXPECT_EQ(local_time(base::Timestamp{INT64_MAX, 0}), "@9223372036854775807") << "no calendar goes so far";
}

TEST(Text, LocalTimesAreReadAsTheyAreShown) {
    const auto time = *parse_time("2026-11-20 14:14:15");
    EXPECT_EQ(local_time(time), "2026-11-20 14:14:15");
}

TEST(Text, ATypoFindsTheNearestWordButNoFarOne) {
    const std::vector<std::string> words{"backup", "restore", "snapshots", "ls"};
    EXPECT_THAT(nearest_word("bakcup", words), Optional(std::string{"backup"}));
    EXPECT_THAT(nearest_word("snap", words), Optional(std::string{"snapshots"}));
    EXPECT_FALSE(nearest_word("frobnicate", words));
}

}  // namespace
}  // namespace tools
