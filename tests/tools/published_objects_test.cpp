// What commands publish on a node, beside what the node publishes of its own accord.
#include "daemon/published_objects.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/membership.hpp"
#include "base/sim/world.hpp"
#include "pastry/alone.hpp"

namespace tools {
namespace {

using namespace std::chrono_literals;

class Lines final : public base::Log {
  public:
    void write(Level /*level*/, const char* /*channel*/, std::string text) override { all.push_back(std::move(text)); }
    [[nodiscard]] bool enabled(Level /*level*/) const noexcept override { return true; }
    std::vector<std::string> all;
};

/// A node in a network of one.
struct Machine {
    Machine(base::sim::Node& machine, base::NodeEnv env_in, const base::Guid& network)
        : env{env_in.executor, env_in.clock, env_in.rng, env_in.transport, env_in.disk, env_in.workers, log},
          ring{env, {machine.address(), {}}},
          location{env, ring, {machine.key(), machine.certificate().salt, network}, [](const auto&) { return true; }},
          objects{env, location} {
        location.start(true);
    }
    Lines log;
    base::NodeEnv env;
    pastry::Alone ring;
    tapestry::Node location;
    PublishedObjects objects;
};

class Published : public ::testing::Test {
  protected:
    Published() {
        auto& node = world.add_node({});
        node.start(
            [this, &node](base::NodeEnv& env) { return std::make_unique<Machine>(node, env, world.network_id()); });
    }
    Machine& here() { return world.node(0).root<Machine>(); }
    base::Result<nlohmann::json> publish(const base::Guid& what) {
        return *world.node(0).run(here().objects.publish(what, world.now() + 20s));
    }
    base::Result<nlohmann::json> unpublish(const base::Guid& what) {
        return *world.node(0).run(here().objects.unpublish(what, world.now() + 20s));
    }
    base::Result<unsigned> send(const base::Guid& what) {
        base::SharedBytes letter{base::to_bytes("a letter")};
        return *world.node(0).run(here().location.send_to_object(what, letter, 1, world.now() + 20s));
    }

    base::sim::World world{1};
    const base::Guid object = *base::Guid::from_prefix("4378");
};

TEST_F(Published, IsTakenBackAsOftenAsSomebodyAsks) {
    ASSERT_TRUE(publish(object));
    ASSERT_TRUE(publish(object)) << "once more is fine";
    EXPECT_TRUE(unpublish(object));
    EXPECT_TRUE(unpublish(object)) << "somebody may not have heard it";
    EXPECT_EQ(here().location.said(object), tapestry::Said::withdrawn);
    EXPECT_EQ(unpublish(world.rng().guid()).error(), base::Errc::not_found);
}

TEST_F(Published, WhatTheNodePublishesOfItsOwnAccordNoCommandTakesBackOrListensTo) {
    here().location.publish({object});
    EXPECT_EQ(unpublish(object).error(), base::Errc::not_found);
    EXPECT_EQ(publish(object).error(), base::Errc::exists);
    EXPECT_TRUE(send(object));
    EXPECT_TRUE(here().log.all.empty());
    EXPECT_EQ(here().location.said(object), tapestry::Said::published);
}

TEST_F(Published, WhoWaitsWhileAnotherCommandSaysTheContraryIsToldSo) {
    std::optional<base::Result<nlohmann::json>> said;
    const auto wait = [](Machine& machine, base::Guid what, base::TimePoint deadline,
                         std::optional<base::Result<nlohmann::json>>& to) -> base::Task<void> {
        to = co_await machine.objects.publish(what, deadline);
    };
    world.node(0).spawn(wait(here(), object, world.now() + 20s, said));
    world.run_until([&] { return here().location.said(object) == tapestry::Said::published; }, 1s);
    EXPECT_TRUE(unpublish(object));
    world.run_for(20s);
    ASSERT_TRUE(said);
    EXPECT_EQ(said->error(), base::Errc::busy);
}

TEST_F(Published, MessagesAreWrittenDownButNotWithoutEnd) {
    ASSERT_TRUE(publish(object));
    for (int i = 0; i < 1000; ++i) ASSERT_TRUE(send(object));
    EXPECT_EQ(here().log.all.size(), 100U);
    EXPECT_NE(here().log.all[0].find("a letter"), std::string::npos);
    world.run_for(1min);
    ASSERT_TRUE(send(object));
    ASSERT_EQ(here().log.all.size(), 102U);
    EXPECT_EQ(here().log.all[100], "900 more messages came for published objects");
}

}  // namespace
}  // namespace tools
