#include "volume/known_names.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hpp"
#include "base/sim/world.hpp"

namespace tools {
namespace {

using ::testing::ElementsAre;

class KnownNames : public ::testing::Test {
  protected:
    base::Result<void> remember(const std::string& name) { return *node_.run(remember_name(node_.env(), name)); }
    std::vector<std::string> names() { return *known_names(node_.disk()); }

    base::sim::World world_{1};
    base::sim::Node& node_{world_.add_node()};
};

TEST_F(KnownNames, AreSortedKeptAndNeverTwice) {
    for (const auto* name : {"photos", "letters", "photos"}) ASSERT_TRUE(remember(name));
    EXPECT_THAT(names(), ElementsAre("archive", "letters", "photos"));
    node_.kill();
    node_.restart();
    EXPECT_THAT(names(), ElementsAre("archive", "letters", "photos"));
}

TEST_F(KnownNames, ACommandWaitsForAnotherThatIsWritingAndKeepsItsName) {
    auto lock = node_.disk().lock("volumes.lock");
    ASSERT_TRUE(lock);
    std::optional<base::Result<void>> done;
    node_.spawn([](base::NodeEnv env, std::optional<base::Result<void>>& out) -> base::Task<void> {
        auto result = co_await remember_name(env, "photos");
        out.emplace(std::move(result));
    }(node_.env(), done));
    world_.run_for(std::chrono::seconds{1});
    EXPECT_FALSE(done);
    ASSERT_TRUE(base::replace_file(node_.disk(), "volumes", base::as_bytes("letters\n")));
    lock->reset();
    world_.run_for(std::chrono::seconds{1});
    ASSERT_TRUE(done);
    EXPECT_TRUE(*done);
    EXPECT_THAT(names(), ElementsAre("archive", "letters", "photos"));
}

TEST_F(KnownNames, WhoeverHangsWithTheLockHoldsNobodyUpForEver) {
    ASSERT_TRUE(remember("letters"));
    const auto lock = node_.disk().lock("volumes.lock");
    ASSERT_TRUE(lock);
    EXPECT_EQ(remember("photos").error(), base::Errc::locked);
    EXPECT_TRUE(remember("letters")) << "nothing is to be written";
}

}  // namespace
}  // namespace tools
