#include "daemon/health.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace tools {
namespace {

/// What a daemon answers when nothing needs looking after.
nlohmann::json all_well() {
    return {{"state", "active"},
            {"members", {{{"state", "here"}}, {{"state", "up"}}, {{"state", "away"}}}},
            {"store",
             {{"read_only", false},
              {"disk_bytes", 100},
              {"reserve_bytes", 10},
              {"capacity_bytes", 1000},
              {"index_bytes", 10},
              {"unreadable_segments", 0},
              {"max_index_bytes", 100}}},
            {"past",
             {{"live_holders", 5},
              {"min_copies", 2},
              {"blocks_short", 0},
              {"blocks_ours", 7},
              {"blocks_whole", 7},
              {"blocks_lost", 0},
              {"registers_without_majority", 0}}}};
}

std::optional<Trouble> after(const char* part, const char* name, const nlohmann::json& value) {
    auto status = all_well();
    if (part == nullptr) {
        status[name] = value;
    } else {
        status[part][name] = value;
    }
    return diagnose(status);
}

TEST(Health, NothingIsSaidOfANodeThatIsWell) { EXPECT_FALSE(diagnose(all_well())); }

TEST(Health, EachTroubleHasItsExitCodeAndItsSentence) {
    struct Case {
        const char* part;
        const char* name;
        nlohmann::json value;
        ExitCode exit;
        const char* words;
    };
    const std::vector<Case> cases{
        {nullptr, "state", "joining", ExitCode::unreachable, "not part of the ring"},
        {nullptr, "removed_by", "3f2a9c0177", ExitCode::unreachable,
         "node 3f2a9c01 says that this machine was removed"},
        {"store", "read_only", true, ExitCode::damage, "disk failed"},
        {"store", "unreadable_segments", 2, ExitCode::damage, "2 files of the store cannot be read"},
        {"past", "live_holders", 1, ExitCode::unreachable, "min-copies"},
        {"past", "blocks_lost", 1, ExitCode::damage, "1 block was damaged on this node's disk"},
        {"past", "blocks_lost", 3, ExitCode::damage, "3 blocks were damaged on this node's disk"},
        {"past", "registers_without_majority", 1, ExitCode::unreachable, "newest state of 1 volume are up"},
        {"past", "blocks_short", 3, ExitCode::partial, "3 blocks have fewer copies"},
        {"past", "blocks_short", 1, ExitCode::partial, "1 block has fewer copies"},
        {"past", "blocks_whole", 5, ExitCode::partial, "of 2 blocks it is not known yet"},
        {nullptr, "members", {{{"state", "silent"}}}, ExitCode::partial, "1 member does not answer"},
        {"store", "index_bytes", 100, ExitCode::no_space, "as many blocks"},
        {"store", "disk_bytes", 990, ExitCode::no_space, "full"},
    };
    for (const auto& one : cases) {
        const auto trouble = after(one.part, one.name, one.value);
        ASSERT_TRUE(trouble) << one.words;
        EXPECT_EQ(trouble->exit, one.exit) << one.words;
        EXPECT_NE(trouble->sentence.find(one.words), std::string::npos) << trouble->sentence;
    }
}

TEST(Health, WhyCopiesAreMissingIsNamed) {
    auto status = all_well();
    status["past"]["blocks_short"] = 7;
    EXPECT_NE(diagnose(status)->sentence.find("being made"), std::string::npos) << diagnose(status)->sentence;
    status["overlay"]["absent"] = {{{"id", "3f2a9c01ffff"}}};
    EXPECT_NE(diagnose(status)->sentence.find("away: 3f2a9c01"), std::string::npos) << diagnose(status)->sentence;
    status["past"]["refusing"] = {"0badcafe"};
    EXPECT_NE(diagnose(status)->sentence.find("0badcafe took nothing more"), std::string::npos);
}

TEST(Health, LostBlocksAreToldBeforeThoseThatAreShortOfCopies) {
    auto status = all_well();
    status["past"]["blocks_short"] = 7;
    status["past"]["blocks_lost"] = 1;
    EXPECT_EQ(diagnose(status)->exit, ExitCode::damage);
}

}  // namespace
}  // namespace tools
