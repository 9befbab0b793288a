#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "bench/source_tree.hpp"
#include "bench/statistics.hpp"
#include "bench/workplace.hpp"
#include "recorded_io.hpp"

namespace tools {
namespace {

namespace fs = std::filesystem;
using testing::Scratch;
using testing::User;

std::string content(const fs::path& path) {
    std::ostringstream text;
    text << std::ifstream{path, std::ios::binary}.rdbuf();
    return text.str();
}

/// All of a tree as one text.
std::string picture(const std::string& root) {
    const auto tree = bench::read_source_tree(root).value();
    auto names = tree.files;
    std::sort(names.begin(), names.end());
    std::string text;
    for (const auto& name : names) text += name + "\n" + content(fs::path{root} / name);
    return text;
}

TEST(Bench, AMedianAndAQuantileAreThoseOfTheSortedValues) {
    const auto spread = bench::spread_of({5, 1, 9, 3, 7});
    EXPECT_EQ(spread.median, 5);
    EXPECT_EQ(spread.least, 1);
    EXPECT_EQ(spread.most, 9);
    EXPECT_EQ(bench::quantile({4, 1, 3, 2}, 0.99), 4);
    EXPECT_EQ(bench::quantile({4, 1, 3, 2}, 0.01), 1);
    EXPECT_EQ(bench::quantile({}, 0.5), 0);
}

TEST(Bench, TheSmallTreeIsOfAndrewsSizeAndTheSameForTheSameSeed) {
    const Scratch one, again, other;
    ASSERT_TRUE(bench::write_small_tree(one.path(), 7));
    ASSERT_TRUE(bench::write_small_tree(again.path(), 7));
    ASSERT_TRUE(bench::write_small_tree(other.path(), 8));
    const auto tree = bench::read_source_tree(one.path()).value();
    EXPECT_EQ(tree.files.size(), 70U);
    EXPECT_EQ(tree.directories.size(), 19U);
    EXPECT_GT(tree.bytes, 150'000U);
    EXPECT_LT(tree.bytes, 250'000U);
    EXPECT_EQ(picture(one.path()), picture(again.path()));
    EXPECT_NE(picture(one.path()), picture(other.path()));
}

TEST(Bench, TheFivePhasesAreMeasuredAndLeaveNothingBehind) {
    const Scratch one, two;
    User user;
    const auto plot = one.path("plot.svg");
    const auto outcome = user({"bench", "nfs", "--dir", one.path(), "--vs", two.path(), "--rounds", "2", "--warm",
                               "--compile", "grep -q main src/main/main.c", "--plot", plot, "--json"});
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    const auto document = outcome.json();
    EXPECT_EQ(document.at("files"), 70);
    ASSERT_EQ(document.at("systems").size(), 2U);
    for (const auto& system : document.at("systems")) {
        ASSERT_EQ(system.at("phases").size(), 5U);
        double total = 0;
        for (const auto& phase : system.at("phases")) {
            EXPECT_EQ(phase.at("seconds").at("rounds").size(), 2U);
            EXPECT_GT(phase.at("seconds").at("min").get<double>(), 0);
            EXPECT_GE(phase.at("durable_seconds").at("min").get<double>(), 0);
            total += phase.at("seconds").at("max").get<double>();
        }
        EXPECT_LE(system.at("total_seconds").at("max").get<double>(), total + 1e-9);
    }
    EXPECT_TRUE(content(plot).starts_with("<svg"));
    fs::remove(plot);
    EXPECT_TRUE(fs::is_empty(one.path()));
    EXPECT_TRUE(fs::is_empty(two.path()));
}

TEST(Bench, AProcessThatEndsInBetweenTakesNoTimeAway) {
    const bench::CpuSeconds before{{{1, 10}, 2.5}, {{2, 10}, 100}};
    const bench::CpuSeconds after{{{1, 10}, 3.0}, {{2, 99}, 0.25}};  // the second number belongs to another now
    EXPECT_DOUBLE_EQ(bench::cpu_seconds_between(before, after), 0.75);
}

TEST(Bench, WhatIsNotOursIsLeftAlone) {
    const Scratch scratch;
    const fs::path place = fs::path{scratch.path()} / "pelago-bench-nfs";
    fs::create_directory(place);
    std::ofstream{place / "letter"} << "keep";
    User user;
    const auto outcome = user({"bench", "nfs", "--dir", scratch.path()});
    EXPECT_EQ(outcome.code, 1);
    EXPECT_NE(outcome.err.find("is not empty; remove it, or give another directory"), std::string::npos) << outcome.err;
    EXPECT_EQ(content(place / "letter"), "keep");
}

TEST(Bench, ATreeThatCannotBeCompiledIsMeasuredInFourPhases) {
    const Scratch scratch, tree;
    std::ofstream{fs::path{tree.path()} / "letter"} << "no Makefile";
    User user;
    const auto outcome =
        user({"bench", "nfs", "--dir", scratch.path(), "--tree", tree.path(), "--rounds", "1", "--warm"});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_NE(outcome.out.find("phase 5 is left out: " + tree.path()), std::string::npos) << outcome.out;
    EXPECT_EQ(outcome.out.find("5 compile"), std::string::npos) << outcome.out;
}

TEST(Bench, ACompilationThatFailsEndsItWithItsLastWords) {
    const Scratch scratch;
    User user;
    const auto outcome = user({"bench", "nfs", "--dir", scratch.path(), "--rounds", "1", "--warm", "--compile",
                               "echo no such thing; exit 3"});
    EXPECT_EQ(outcome.code, 1);
    EXPECT_NE(outcome.err.find("ended with 3: no such thing"), std::string::npos) << outcome.err;
    EXPECT_TRUE(fs::is_empty(scratch.path()));
}

TEST(Bench, OperationsAreMeasuredOnEachDirectory) {
    const Scratch one, two;
    User user;
    const auto outcome = user({"bench", "mount", "--dir", one.path(), "--vs", two.path(), "--rounds", "2", "--warm",
                               "--operations", "8", "--bytes", "1M", "--entries", "10", "--json"});
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    const auto document = outcome.json();
    ASSERT_EQ(document.at("systems").size(), 2U);
    for (const auto& system : document.at("systems")) {
        ASSERT_EQ(system.at("operations").size(), 10U);
        for (const auto& operation : system.at("operations")) {
            EXPECT_GT(operation.at("p50").get<double>(), 0) << operation;
            EXPECT_GE(operation.at("p99"), operation.at("p50")) << operation;
        }
        EXPECT_EQ(system.at("operations").at(0).at("count"), 16);
    }
    EXPECT_TRUE(fs::is_empty(one.path()));
    EXPECT_TRUE(fs::is_empty(two.path()));
}

}  // namespace
}  // namespace tools
