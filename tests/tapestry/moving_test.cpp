// Pointers when the ring changes, and what a root asks those beside it.
#include <gtest/gtest.h>

#include <iostream>
#include <map>

#include "announcing/announcement.hpp"
#include "base/membership.hpp"
#include "mesh.hpp"
#include "pastry/alone.hpp"
#include "wire/codec.hpp"

namespace tapestry::testing {
namespace {

bool is_request(const base::sim::Letter& letter, Verb verb) {
    return letter.kind == base::sim::Letter::Kind::request && letter.content &&
           letter.content->service() == base::Service::tapestry &&
           letter.content->verb() == static_cast<std::uint8_t>(verb);
}

std::vector<base::Guid> some_objects(Mesh& mesh, std::size_t count) {
    std::vector<base::Guid> objects;
    for (std::size_t i = 0; i < count; ++i) objects.push_back(mesh.world.rng().guid());
    return objects;
}

/// Of these objects: those of which one of the nodes from `first` on is the root, each root knowing it.
std::size_t known_at_roots_from(Mesh& mesh, NodeIndex first, const std::vector<base::Guid>& objects) {
    std::size_t known = 0;
    for (const auto& object : objects) {
        const auto root = mesh.root_of(object);
        if (root < first) continue;
        EXPECT_EQ(mesh.dolr(root).pointers_to(object).size(), 1U) << root;
        ++known;
    }
    return known;
}

TEST(Moving, AnAnnouncementThatSaysThatItCameFromVeryFarIsHandedOnLikeAnyOther) {
    Mesh mesh{90};
    mesh.add_directly(5);
    const auto publisher = identity_of(mesh.world.network_id(), "1");  // in no ring: root of nothing
    mesh.members.insert(base::node_id(publisher.key.public_key(), publisher.salt));
    const auto objects = some_objects(mesh, 200);
    std::vector<Parcel> parcels;
    for (const auto& object : objects) {
        const auto stamp = static_cast<std::uint64_t>(mesh.world.node(3).env().clock.wall_ns());
        parcels.push_back({.announcement = Announcement::sign(publisher, {"p", 0, stamp, 700s}, {&object, 1}),
                           .range = {0, 1},
                           .hops = kMaxWay,
                           .last = true});
    }
    for (NodeIndex to = 0; to < 5; ++to) {
        auto& transport = mesh.world.node(3).env().transport;
        ASSERT_TRUE(*mesh.world.node(3).run(
            transport.request(mesh.world.node(to).address(), encode(parcels), mesh.world.now() + 3s)));
    }
    for (int newcomers = 0; newcomers < 10; ++newcomers) {
        ASSERT_TRUE(mesh.join(1));
        mesh.world.run_for(5s);
    }
    EXPECT_GT(known_at_roots_from(mesh, 5, objects), 50U);
}

TEST(Moving, WhatANewcomerRefusesDoesNotKeepTheRestFromIt) {
    Mesh mesh{91};
    mesh.add_directly(2);
    mesh.dolr(1).publish(some_objects(mesh, 20'000));
    mesh.world.run_for(10s);
    const auto newcomer = mesh.add(identity_of(mesh.world.network_id(), "8"));
    std::optional<std::uint64_t> refused;  // and of what is not handed over nothing arrives
    mesh.world.network().set_liar(newcomer, [&, newcomer](base::sim::Letter& letter) {
        if (letter.to != newcomer || !is_request(letter, Verb::publish)) return;
        const auto parcels = decode_publish(*letter.content);
        ASSERT_TRUE(parcels);
        if (!refused && !parcels->front().last) refused = parcels->front().announcement.stamp();
        const bool holds_it =
            std::ranges::any_of(*parcels, [&](const Parcel& parcel) { return parcel.announcement.stamp() == refused; });
        if (holds_it || parcels->front().last) letter.answer = base::Result<base::Message>{base::Errc::bad_format};
    });
    const auto through = mesh.world.node(0).address();
    ASSERT_TRUE(*mesh.world.node(newcomer).run(mesh.ring(newcomer).join({through}, mesh.world.now() + 1min)));
    mesh.dolr(newcomer).start();
    mesh.world.run_for(20s);
    EXPECT_TRUE(refused);
    EXPECT_GT(mesh.dolr(newcomer).status().pointers, 500U);
}

TEST(Moving, NewcomersSideBySideKnowWhatIsTheirsAtOnceAndAreGivenItOnce) {
    Mesh mesh{93};
    mesh.add_directly(20);
    const auto objects = some_objects(mesh, 400);
    for (const auto& object : objects) mesh.dolr(mesh.root_of(object) == 3 ? 4 : 3).publish({object});
    mesh.world.run_for(2s);
    std::size_t asked = 0;
    for (NodeIndex old = 0; old < 20; ++old) {
        mesh.world.network().set_liar(old, [&asked, old](base::sim::Letter& letter) {
            if (letter.to == old && is_request(letter, Verb::hand_over)) ++asked;
        });
    }
    ASSERT_TRUE(mesh.join_together(40, 20s));
    EXPECT_GT(known_at_roots_from(mesh, 20, objects), 200U);
    for (int i = 0; i < 50; ++i) {
        const auto found = mesh.locate(mesh.random_live(), mesh.world.rng().guid());
        ASSERT_FALSE(found);
        EXPECT_EQ(found.error(), Errc::not_published);
    }
    EXPECT_LE(asked, 100U) << "two old neighbours each, and a few that did not know the newcomer yet";
}

TEST(Moving, AfterAllCameUpTogetherNobodyWaitsForAnOlderOne) {
    Mesh mesh{94};
    mesh.come_up_together(50);
    mesh.world.run_for(10s);
    const auto object = mesh.world.rng().guid();
    const auto found = mesh.locate(7, object);
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error(), Errc::not_published);
    mesh.dolr(9).publish({object});
    EXPECT_TRUE(mesh.published(9, {object}).empty());
    EXPECT_TRUE(mesh.locate(7, object));
}

/// Those that node 1 publishes and node 0 has to tell others of.
std::vector<base::Guid> publish_at_the_other(Mesh& mesh, std::size_t count) {
    auto objects = some_objects(mesh, count);
    std::erase_if(objects, [&](const auto& object) {
        return mesh.root_of(object) != 0 || mesh.root_of(root_key(object, 1)) != 0;
    });
    mesh.dolr(1).publish(objects);
    mesh.world.run_for(20s);
    return objects;
}

TEST(Moving, ANewcomerBehindASlowLineIsGivenEverythingAndNotAllAtOnce) {
    Mesh mesh{95};
    mesh.add_directly(2);
    const auto objects = publish_at_the_other(mesh, 200'000);
    ASSERT_EQ(mesh.dolr(0).status().pointers, 2 * objects.size());
    const auto newcomer = mesh.add(identity_of(mesh.world.network_id(), "8"));
    mesh.world.network().set_bandwidth(newcomer, 400'000);
    std::size_t under_way = 0;
    std::size_t most = 0;
    mesh.world.network().set_liar(0, [&, newcomer](base::sim::Letter& letter) {
        if (letter.to == newcomer && is_request(letter, Verb::publish)) most = std::max(most, ++under_way);
        if (letter.from != newcomer || letter.kind != base::sim::Letter::Kind::answer || !letter.content) return;
        if (letter.content->service() != base::Service::tapestry) return;
        if (letter.content->verb() == static_cast<std::uint8_t>(Verb::publish)) --under_way;
    });
    const auto through = mesh.world.node(0).address();
    ASSERT_TRUE(*mesh.world.node(newcomer).run(mesh.ring(newcomer).join({through}, mesh.world.now() + 1min)));
    mesh.dolr(newcomer).start();
    mesh.world.run_for(1min);
    EXPECT_EQ(mesh.dolr(newcomer).status().pointers, 2 * objects.size());
    EXPECT_LE(most, 2U) << "one that hands over, one that tells who is to keep it";
}

TEST(Moving, AHandOverThatTakesLongerThanTheNewcomerWaitsIsNotBegunAgain) {
    MeshOptions options;
    options.dolr.quiet_period = 15s;
    Mesh mesh{105, std::move(options)};
    mesh.add_directly(2);
    const auto objects = publish_at_the_other(mesh, 100'000);
    const auto newcomer = mesh.add(identity_of(mesh.world.network_id(), "8"));
    std::map<std::uint64_t, unsigned> handed_over;  // by stamp
    std::map<std::uint64_t, unsigned> refused;
    mesh.world.network().set_liar(newcomer, [&, newcomer](base::sim::Letter& letter) {
        if (letter.to != newcomer || !is_request(letter, Verb::publish)) return;
        const auto parcels = decode_publish(*letter.content);
        if (!parcels || parcels->front().last) return;
        const auto stamp = parcels->front().announcement.stamp();
        if (++refused[stamp] % 3 != 0) {
            letter.answer =
                base::Result<base::Message>{base::Errc::busy};  // at once, and after 15 s; not after 30 s more
        } else {
            ++handed_over[stamp];
        }
    });
    const auto through = mesh.world.node(0).address();
    ASSERT_TRUE(*mesh.world.node(newcomer).run(mesh.ring(newcomer).join({through}, mesh.world.now() + 1min)));
    mesh.dolr(newcomer).start();
    const auto before = mesh.world.now();
    mesh.world.run_for(4min);
    EXPECT_GE(handed_over.size() * 45s, 90s);
    for (const auto& [stamp, times] : handed_over) EXPECT_EQ(times, 1U);
    const auto none = mesh.locate(newcomer, mesh.world.rng().guid());
    EXPECT_EQ(none.error(), Errc::not_published) << "it knows that it was given everything";
    EXPECT_LT(mesh.world.now() - before, mesh.options.dolr.republish_period);
}

TEST(Moving, WhoeverForgotWhatItWasHandedIsHandedItAgain) {
    Mesh mesh{107};
    mesh.add_directly(1);
    mesh.dolr(0).publish(some_objects(mesh, 20));
    ASSERT_TRUE(mesh.join(1));
    mesh.world.run_for(5s);
    const auto handed_over_to_a_process_born_at = [&](std::uint64_t born) {
        const auto before = mesh.dolr(0).status().parcels_sent;
        auto& transport = mesh.world.node(1).env().transport;
        EXPECT_TRUE(*mesh.world.node(1).run(
            transport.request(mesh.world.node(0).address(), encode_hand_over(born), mesh.world.now() + 3s)));
        return mesh.dolr(0).status().parcels_sent - before;
    };
    EXPECT_GT(handed_over_to_a_process_born_at(5), 0U);
    EXPECT_EQ(handed_over_to_a_process_born_at(5), 0U);
    EXPECT_GT(handed_over_to_a_process_born_at(6), 0U);
}

TEST(Moving, AWithdrawalIsHandedOnWithItsAgeAndNotWhenItHasNothingLeftToUndo) {
    Mesh mesh{106};
    mesh.add_directly(2);
    const auto publisher = identity_of(mesh.world.network_id(), "1");
    mesh.members.insert(base::node_id(publisher.key.public_key(), publisher.salt));
    const auto objects = some_objects(mesh, 50);
    std::vector<Parcel> parcels;
    const auto lease = std::chrono::duration_cast<std::chrono::seconds>(mesh.options.dolr.lease);
    for (const auto& object : objects) {
        const auto stamp = static_cast<std::uint64_t>(mesh.world.node(0).env().clock.wall_ns());
        parcels.push_back({.announcement = Announcement::sign(publisher, {"p", 0, stamp, 0s}, {&object, 1}),
                           .range = {0, 1},
                           .last = true,
                           .age = lease - 60s});
    }
    auto& transport = mesh.world.node(1).env().transport;
    ASSERT_TRUE(*mesh.world.node(1).run(
        transport.request(mesh.world.node(0).address(), encode(parcels), mesh.world.now() + 3s)));
    std::size_t told = 0;
    const auto join = [&] {
        const auto newcomer = static_cast<NodeIndex>(mesh.world.size());
        mesh.world.network().set_liar(0, [&, newcomer](base::sim::Letter& letter) {
            if (letter.to != newcomer || !is_request(letter, Verb::publish)) return;
            const auto some = decode_publish(*letter.content);
            ASSERT_TRUE(some);
            for (const auto& parcel : *some) {
                ++told;
                EXPECT_GE(parcel.age, lease - 60s);
                EXPECT_LT(parcel.age, lease);
            }
        });
        EXPECT_TRUE(mesh.join(1));
        mesh.world.run_for(5s);
    };
    join();
    EXPECT_GT(told, 10U);
    told = 0;
    mesh.world.run_for(60s);
    join();
    EXPECT_EQ(told, 0U);
}

TEST(Moving, WhatIsLostOnItsWayToWhoShouldKeepItIsSentAgain) {
    Mesh mesh{96};
    mesh.add_directly(2);
    const auto objects = publish_at_the_other(mesh, 1000);
    const auto newcomer = mesh.add(identity_of(mesh.world.network_id(), "8"));
    std::size_t lost = 0;
    mesh.world.network().set_liar(newcomer, [&, newcomer](base::sim::Letter& letter) {
        if (letter.to != newcomer || !is_request(letter, Verb::publish)) return;
        const auto parcels = decode_publish(*letter.content);
        if (!parcels || !parcels->front().last || lost == 1) return;
        letter.drop = true;
        ++lost;
    });
    const auto through = mesh.world.node(0).address();
    ASSERT_TRUE(*mesh.world.node(newcomer).run(mesh.ring(newcomer).join({through}, mesh.world.now() + 1min)));
    mesh.dolr(newcomer).start();
    mesh.world.run_for(20s);
    EXPECT_EQ(lost, 1U);
    for (const auto& object : objects) EXPECT_EQ(mesh.dolr(newcomer).pointers_to(object).size(), 1U);
}

/// So many nodes of one ring; each publishes ten objects.
struct Busy : Mesh {
    explicit Busy(std::uint64_t seed, std::size_t count) : Mesh{seed} {
        add_directly(count);
        for (NodeIndex node = 0; node < count; ++node) dolr(node).publish(some_objects(*this, 10));
        world.run_for(5s);
    }
    /// Announcements, with the range of their objects that is meant, and bytes: all that was sent so far.
    std::pair<std::size_t, std::size_t> sent() {
        std::pair<std::size_t, std::size_t> all{0, 0};
        for (const auto node : live_nodes()) {
            all.first += dolr(node).status().parcels_sent;
            all.second += dolr(node).status().bytes_sent;
        }
        return all;
    }
};

TEST(Moving, ADepartureCostsAsMuchAsTheDepartedKeptHoweverManyNoticeIt) {
    Busy mesh{98, 100};
    const auto kept = mesh.dolr(50).status().pointers;
    mesh.world.node(50).power_off();
    const auto before = mesh.sent();
    mesh.world.run_for(1min);
    const auto after = mesh.sent();
    const auto parcels = after.first - before.first;
    std::cout << "one of 100 died that kept " << kept << " pointers: " << parcels << " parcels, "
              << after.second - before.second << " bytes\n";
    EXPECT_GT(parcels, kept / 3);
    EXPECT_LT(parcels, 2 * kept);
}

TEST(Moving, AnArrivalCostsAsMuchAsTheNewcomerIsToKeep) {
    Busy mesh{99, 100};
    const auto before = mesh.sent();
    ASSERT_TRUE(mesh.join(1));
    mesh.world.run_for(1min);
    const auto after = mesh.sent();
    const auto kept = mesh.dolr(100).status().pointers;
    const auto parcels = after.first - before.first;
    std::cout << "one joined 100 and keeps " << kept << " pointers: " << parcels << " parcels, "
              << after.second - before.second << " bytes\n";
    EXPECT_LT(parcels, 4 * kept) << "handed over, told as to one of those beside a root, passed on";
}

TEST(Moving, OneThatSwallowsWhatItIsSentKeepsNobodyElseWaiting) {
    MeshOptions options;
    options.dolr.root_backups = 3;  // everybody keeps everything
    Mesh mesh{100, std::move(options)};
    mesh.add_directly(2);
    const auto objects = publish_at_the_other(mesh, 1000);
    const auto through = mesh.world.node(0).address();
    const auto enter = [&](std::string_view digits) {
        const auto newcomer = mesh.add(identity_of(mesh.world.network_id(), digits));
        EXPECT_TRUE(*mesh.world.node(newcomer).run(mesh.ring(newcomer).join({through}, mesh.world.now() + 1min)));
        return newcomer;
    };
    const auto deaf = enter("1");
    mesh.world.network().set_liar(deaf, [deaf](base::sim::Letter& letter) {
        if (letter.to == deaf && is_request(letter, Verb::publish)) letter.drop = true;
    });
    for (const auto* digits : {"8", "c"}) {
        const auto newcomer = enter(digits);
        mesh.world.run_for(2s);
        std::size_t known = 0;
        for (const auto& object : objects) known += mesh.dolr(newcomer).pointers_to(object).size();
        EXPECT_GT(known, objects.size() / 2) << digits;
    }
}

TEST(Moving, WhoComesWhileOneIsBeingToldDoesNotKeepTheRestFromIt) {
    MeshOptions options;
    options.dolr.root_backups = 3;
    options.dolr.quiet_period = 2s;
    Mesh mesh{108, std::move(options)};
    mesh.add_directly(2);
    const auto objects = publish_at_the_other(mesh, 100'000);
    const auto through = mesh.world.node(0).address();
    const auto slow = mesh.add(identity_of(mesh.world.network_id(), "1"));
    std::size_t refused = 0;
    mesh.world.network().set_liar(slow, [&, slow](base::sim::Letter& letter) {
        if (letter.to != slow || !is_request(letter, Verb::publish) || ++refused > 2) return;
        letter.answer = base::Result<base::Message>{base::Errc::busy};
    });
    for (const auto newcomer : {slow, mesh.add(identity_of(mesh.world.network_id(), "8"))}) {
        ASSERT_TRUE(*mesh.world.node(newcomer).run(mesh.ring(newcomer).join({through}, mesh.world.now() + 1min)));
        mesh.world.run_for(3s);
    }
    mesh.world.run_for(30s);
    EXPECT_GT(refused, 2U);
    EXPECT_EQ(mesh.dolr(slow).status().pointers, 2 * objects.size());
}

// Nobody keeps pointers for the publisher itself: it was the root, and told those beside it, of which there were none.
TEST(Moving, WhatOneAlonePublishedIsFoundByWhoeverJoinsIt) {
    Mesh mesh{101};
    mesh.add_directly(1);
    const auto objects = some_objects(mesh, 60);
    mesh.dolr(0).publish(objects);
    mesh.world.run_for(2s);
    for (NodeIndex newcomer = 1; newcomer < 4; ++newcomer) {
        ASSERT_TRUE(mesh.join(1));
        for (const auto& object : objects) {
            const auto found = mesh.locate(newcomer, object);
            EXPECT_TRUE(found) << newcomer << ": " << found.error().message();
        }
    }
    mesh.world.run_for(5s);
    EXPECT_GT(known_at_roots_from(mesh, 1, objects), 20U);
}

TEST(Moving, APublisherHandsOverWhatItWasTheRootOfItself) {
    MeshOptions options;
    options.dolr.quiet_period = 20s;  // long before anybody is told unasked
    Mesh mesh{102, std::move(options)};
    mesh.add_directly(1);
    const auto objects = some_objects(mesh, 60);
    mesh.dolr(0).publish(objects);
    mesh.world.run_for(2s);
    ASSERT_TRUE(mesh.join(1));
    mesh.world.run_for(2s);
    EXPECT_GT(known_at_roots_from(mesh, 1, objects), 5U);
}

TEST(Moving, APublisherThatIsAskedAsOneBesideARootNamesItself) {
    Mesh mesh{104};
    mesh.add_directly(1);
    const auto asker = mesh.add(identity_of(mesh.world.network_id(), "8"));
    const auto object = mesh.world.rng().guid();
    mesh.dolr(0).publish({object});
    auto& env = mesh.world.node(asker).env();
    const auto answer = *mesh.world.node(asker).run(
        env.transport.request(mesh.world.node(0).address(), encode_neighbour_query(object), mesh.world.now() + 3s));
    ASSERT_TRUE(answer);
    const auto parcels = decode_publish(*answer);
    ASSERT_TRUE(parcels);
    ASSERT_EQ(parcels->size(), mesh.options.dolr.roots);
    for (const auto& parcel : *parcels) {
        EXPECT_EQ(parcel.announcement.publisher().id, mesh.id(0));
        EXPECT_TRUE(parcel.announcement.verify(mesh.world.network_id()));
    }
}

TEST(Moving, APublisherTellsThoseWhoComeToStandBesideItsRoots) {
    Mesh mesh{103};
    mesh.add_directly(1);
    const auto objects = some_objects(mesh, 60);
    mesh.dolr(0).publish(objects);
    mesh.world.run_for(2s);
    for (NodeIndex newcomer = 1; newcomer < 3; ++newcomer) {
        ASSERT_TRUE(mesh.join(1));
        mesh.world.run_for(5s);
    }
    for (const auto& object : objects) {
        for (NodeIndex node = 1; node < 3; ++node) EXPECT_EQ(mesh.dolr(node).pointers_to(object).size(), 1U) << node;
    }
}

TEST(Moving, WhoAnswersNonsenseBesideARootHasNotSaidThatNobodyPublishesIt) {
    Mesh mesh{92};
    mesh.add_directly(50);
    const auto object = mesh.world.rng().guid();
    for (NodeIndex node = 0; node < 50; ++node) {
        mesh.world.network().set_liar(node, [node](base::sim::Letter& letter) {
            if (letter.from != node || letter.kind != base::sim::Letter::Kind::answer || !letter.content) return;
            if (letter.content->service() != base::Service::tapestry) return;
            if (letter.content->verb() == static_cast<std::uint8_t>(Verb::neighbour_query)) {
                letter.content->header = base::to_bytes("\xFF\xFF nonsense");
            }
        });
    }
    const auto found = mesh.locate(7, object);
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error(), Errc::roots_unreachable);
}

/// A ring of one that may be in doubt who is near a key.
class DoubtfulKbr final : public pastry::Kbr {
  public:
    DoubtfulKbr(base::NodeEnv env, pastry::NodeHandle self) : alone_{env, std::move(self)} {}
    [[nodiscard]] const pastry::NodeHandle& self() const override { return alone_.self(); }
    void attach(base::Service service, pastry::Application* application) override {
        alone_.attach(service, application);
    }
    void route(const base::Guid& key, base::Message message, std::optional<pastry::NodeHandle> hint) override {
        alone_.route(key, std::move(message), std::move(hint));
    }
    [[nodiscard]] std::vector<pastry::NextHop> next_hops(const base::Guid& key, std::size_t count) const override {
        return alone_.next_hops(key, count);
    }
    [[nodiscard]] std::vector<pastry::NodeHandle> replica_set(const base::Guid& key, std::size_t count) const override {
        return in_doubt ? std::vector<pastry::NodeHandle>{} : alone_.replica_set(key, count);
    }
    base::Task<base::Result<std::vector<pastry::NodeHandle>>> find_replica_set(base::Guid key, std::size_t count,
                                                                               base::TimePoint deadline) override {
        return alone_.find_replica_set(key, count, deadline);
    }
    [[nodiscard]] std::vector<pastry::NodeHandle> neighbours() const override { return {}; }
    [[nodiscard]] std::vector<pastry::AbsentNode> absent() const override { return {}; }
    [[nodiscard]] bool active() const override { return true; }

    bool in_doubt = false;

  private:
    pastry::Alone alone_;
};

class InDoubt : public ::testing::Test {
  protected:
    struct Machine {
        Machine(base::sim::Node& machine, base::NodeEnv& env, const base::Guid& network)
            : kbr{env, {machine.address(), {}}},
              dolr{env, kbr, {machine.key(), machine.certificate().salt, network}, [](const auto&) { return true; }} {}
        DoubtfulKbr kbr;
        Node dolr;
    };
    InDoubt() {
        auto& node = world.add_node({});
        node.start(
            [this, &node](base::NodeEnv& env) { return std::make_unique<Machine>(node, env, world.network_id()); });
    }
    Machine& here() { return world.node(0).root<Machine>(); }
    base::Error locate() {
        return world.node(0).run(here().dolr.locate(world.rng().guid(), world.now() + 30s, false))->error();
    }
    base::Result<base::Message> ask_beside() {
        auto& node = world.node(0);
        return *node.run(
            node.env().transport.request(node.address(), encode_neighbour_query(world.rng().guid()), world.now() + 3s));
    }
    base::sim::World world{97};
};

TEST_F(InDoubt, WhoIsBesideARootTheRootSaysOfNothingThatNobodyPublishesIt) {
    here().dolr.start(true);
    EXPECT_EQ(locate(), Errc::not_published);
    here().kbr.in_doubt = true;
    EXPECT_EQ(locate(), Errc::roots_unreachable);
}

TEST_F(InDoubt, WhoIsBesideANewcomerItHasNotTakenOverFromAll) {
    here().kbr.in_doubt = true;
    here().dolr.start();
    world.run_for(5s);
    EXPECT_EQ(ask_beside().error(), base::Errc::busy);
    here().kbr.in_doubt = false;
    world.run_for(1s);
    EXPECT_TRUE(ask_beside());
}

}  // namespace
}  // namespace tapestry::testing
