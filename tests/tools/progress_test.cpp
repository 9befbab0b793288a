#include "cli/progress.hpp"

#include <gtest/gtest.h>

#include "recorded_io.hpp"

namespace tools {
namespace {

using namespace std::chrono_literals;
using testing::RecordedIo;
using testing::User;

ProgressState state(std::uint64_t done, std::optional<std::uint64_t> total) {
    ProgressState out;
    out.bytes_done = done;
    out.bytes_total = total;
    out.files_done = 3;
    return out;
}

TEST(Progress, ABarSaysRateAmountAndTimeLeft) {
    EXPECT_EQ(progress_line(state(512 << 20, 1ULL << 30U), 64 << 20, 8s, 100),
              "[############............]  50 %  512 MiB of 1.00 GiB  64.0 MiB/s  0:08 left  3 files");
}

TEST(Progress, WithoutATotalThereIsNoBar) {
    EXPECT_EQ(progress_line(state(1 << 20, {}), 1 << 20, 65s, 100), "[1:05]  1.00 MiB  1.00 MiB/s  3 files");
}

TEST(Progress, ATotalThatWasPassedIsNone) {
    EXPECT_EQ(progress_line(state(3 << 20, 2 << 20), 1 << 20, 65s, 100), "[1:05]  3.00 MiB  1.00 MiB/s  3 files");
}

TEST(Progress, NoTimeIsLeftWhereItIsLessThanASecond) {
    EXPECT_EQ(progress_line(state((1 << 20) - 10, 1 << 20), 1 << 20, 8s, 100).find("left"), std::string::npos);
    EXPECT_EQ(progress_line(state(1 << 20, 1 << 20), 1 << 20, 8s, 100).find("left"), std::string::npos);
}

TEST(Progress, ALineNeverWraps) {
    auto long_state = state(1, 2);
    long_state.current = std::string(500, 'x');
    for (const unsigned columns : {10U, 40U, 79U, 200U}) {
        EXPECT_LE(progress_line(long_state, 1, 1s, columns).size(), columns);
    }
}

struct Watched {
    explicit Watched(OutputOptions output, bool terminal) : io{environment(terminal)}, console{io, output} {}
    static Environment environment(bool terminal) {
        Environment out;
        out.err_is_terminal = terminal;
        return out;
    }
    void go(int quarter_seconds = 20) {
        auto now = std::chrono::steady_clock::time_point{};
        Progress progress{console, "backup", [&now] { return now; }};
        for (int i = 1; i <= quarter_seconds; ++i) {
            now += 250ms;
            progress.update(state(static_cast<std::uint64_t>(i), 20));
        }
    }
    RecordedIo io;
    Console console;
};

TEST(Progress, OnATerminalItIsDrawnAndWipedAtTheEnd) {
    Watched watched{{}, true};
    watched.go();
    EXPECT_TRUE(watched.io.err_.starts_with("\r["));
    EXPECT_TRUE(watched.io.err_.ends_with("\r\x1b[K"));
    EXPECT_EQ(watched.io.out_, "");
}

TEST(Progress, APipeGetsAPlainLineEveryTenSeconds) {
    Watched watched{{}, false};
    watched.go(100);
    EXPECT_TRUE(watched.io.err_.starts_with("[")) << watched.io.err_;
    EXPECT_EQ(std::ranges::count(watched.io.err_, '\n'), 2) << watched.io.err_;
    EXPECT_EQ(watched.io.err_.find_first_of("\r\x1b"), std::string::npos);
    EXPECT_EQ(watched.io.out_, "");
}

TEST(Progress, QuietIsQuiet) {
    OutputOptions output;
    output.quiet = true;
    for (const bool terminal : {true, false}) {
        Watched watched{output, terminal};
        watched.go(100);
        EXPECT_EQ(watched.io.err_ + watched.io.out_, "");
    }
}

TEST(Progress, JsonGetsAnObjectASecond) {
    OutputOptions output;
    output.json = true;
    Watched watched{output, true};
    watched.go();
    EXPECT_EQ(std::ranges::count(watched.io.out_, '\n'), 5);
    const auto first = nlohmann::json::parse(watched.io.out_.substr(0, watched.io.out_.find('\n')));
    EXPECT_EQ(first.at("message_type"), "status");
    EXPECT_EQ(first.at("bytes_done"), 4);
    EXPECT_EQ(first.at("total_bytes"), 20);
    EXPECT_DOUBLE_EQ(first.at("percent_done"), 0.2);
    EXPECT_EQ(watched.io.err_, "");
}

TEST(Progress, ATickDrawsTheLastStateAgainWhileTheWorkWaits) {
    User user;
    user.environment.err_is_terminal = true;
    RecordedIo io{user.environment};
    Console console{io, {}};
    auto now = std::chrono::steady_clock::time_point{};
    Progress progress{console, "backup", [&now] { return now; }};
    progress.update(state(1 << 20, {}));
    EXPECT_EQ(io.err_, "");
    now += 3s;
    progress.tick();
    EXPECT_NE(io.err_.find("1.00 MiB"), std::string::npos) << io.err_;
}

}  // namespace
}  // namespace tools
