// Publishing, finding and sending on whole meshes.
#include <gtest/gtest.h>

#include "announcing/announcement.hpp"
#include "mesh.hpp"
#include "messages.hpp"
#include "wire/codec.hpp"

namespace tapestry::testing {
namespace {

TEST(Mesh, WhatOneNodePublishesAllOthersFind) {
    Mesh mesh{1};
    mesh.add_directly(100);
    const auto object = mesh.world.rng().guid();
    mesh.dolr(3).publish({object});
    mesh.world.run_for(2s);
    for (NodeIndex from = 0; from < 100; ++from) {
        const auto found = mesh.locate(from, object);
        ASSERT_TRUE(found) << from << ": " << found.error().message();
        ASSERT_EQ(found->holders.size(), 1U);
        EXPECT_EQ(found->holders[0].holder.id, mesh.id(3));
    }
}

TEST(Mesh, NobodyPublishesItIsSaidOnlyByTheRootsTogether) {
    Mesh mesh{2};
    mesh.add_directly(50);
    const auto found = mesh.locate(7, mesh.world.rng().guid());
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error(), Errc::not_published);
}

TEST(Mesh, AMessageReachesAsManyDistinctReplicasAsAsked) {
    Mesh mesh{3};
    mesh.add_directly(60);
    const auto object = mesh.world.rng().guid();
    for (const NodeIndex holder : {4U, 20U, 33U, 51U}) mesh.dolr(holder).publish({object});
    mesh.world.run_for(2s);
    const auto reached = mesh.send(11, object, "hello", 3);
    ASSERT_TRUE(reached) << reached.error().message();
    EXPECT_EQ(*reached, 3U);
    std::set<NodeIndex> at;
    for (const auto& one : mesh.received) at.insert(one.at);
    EXPECT_EQ(at.size(), 3U);
    EXPECT_EQ(mesh.received.size(), 3U);
    EXPECT_EQ(mesh.received[0].text, "hello");
}

class HandingOut : public ::testing::Test {
  protected:
    void make(MeshOptions options) {
        mesh = std::make_unique<Mesh>(19, std::move(options));
        mesh->add_directly(40);
        object = mesh->world.rng().guid();
        mesh->dolr(kHolder).publish({object});
        mesh->world.run_for(2s);
    }
    /// Deliveries of 30 messages to a holder that does not answer: at most so many by one node at a time.
    std::size_t most_at_once(std::size_t bytes) {
        std::map<NodeIndex, std::size_t> by;
        mesh->world.network().set_liar(kHolder, [&by](base::sim::Letter& letter) {
            if (letter.to != kHolder || !letter.content) return;
            if (letter.content->service() != base::Service::tapestry) return;
            if (letter.content->verb() != static_cast<std::uint8_t>(Verb::deliver)) return;
            letter.drop = true;
            ++by[letter.from];
        });
        for (NodeIndex from = 10; from < 40; ++from) {
            mesh->world.node(from).spawn(
                [](Node& dolr, base::Guid to, std::size_t size, base::TimePoint deadline) -> base::Task<void> {
                    base::SharedBytes letter{base::Bytes(size)};
                    (void)co_await dolr.send_to_object(to, letter, 1, deadline);
                }(mesh->dolr(from), object, bytes, mesh->world.now() + 30s));
        }
        mesh->world.run_for(500ms);  // no question is asked a second time before that
        mesh->world.network().set_liar(kHolder, {});
        std::size_t most = 0;
        for (const auto& [node, count] : by) most = std::max(most, count);
        return most;
    }
    static constexpr NodeIndex kHolder = 4;
    std::unique_ptr<Mesh> mesh;
    base::Guid object;
};

TEST_F(HandingOut, OfManyMessagesOnlySoManyAreUnderWay) {
    make({});
    ASSERT_GT(most_at_once(100), 3U);
    MeshOptions few;
    few.dolr.max_deliveries = 3;
    make(few);
    EXPECT_EQ(most_at_once(100), 3U);
    EXPECT_TRUE(mesh->send(30, object, "later"));
}

TEST_F(HandingOut, OnlySoManyBytesAreUnderWay) {
    MeshOptions few;
    few.dolr.max_delivery_bytes = 1000;
    make(few);
    EXPECT_EQ(most_at_once(400), 2U);
    EXPECT_TRUE(mesh->send(30, object, "later"));
}

TEST_F(HandingOut, AMessageFindsWhomOnlyThoseBesideTheRootsKnow) {
    make({});
    const auto hidden = mesh->world.rng().guid();
    mesh->world.network().set_liar(kHolder, [](base::sim::Letter& letter) {
        if (letter.from != kHolder || !letter.content || letter.content->service() != base::Service::tapestry) return;
        if (letter.content->verb() == static_cast<std::uint8_t>(Verb::publish)) letter.drop = true;
    });
    mesh->dolr(kHolder).publish({hidden});
    const auto stamp = static_cast<std::uint64_t>(mesh->world.node(kHolder).env().clock.wall_ns());
    for (std::uint8_t root = 0; root < 2; ++root) {
        const auto said = Announcement::sign(mesh->identities[kHolder], {"h", root, stamp, 60s}, {&hidden, 1});
        const auto key = root_key(hidden, root);
        const auto beside = mesh->ring(mesh->root_of(key)).replica_set(key, 3).at(1);
        auto message = encode(std::vector<Parcel>{{.announcement = said, .range = {0, 1}, .last = true}});
        auto& env = mesh->world.node(30).env();
        ASSERT_TRUE(*mesh->world.node(30).run(
            env.transport.request(beside.address, std::move(message), mesh->world.now() + 3s)));
    }
    EXPECT_TRUE(mesh->send(30, hidden, "found you"));
    EXPECT_EQ(mesh->received.size(), 1U);
}

TEST(Mesh, AfterUnpublishNobodyFindsItAndTheRootsSaySo) {
    Mesh mesh{4};
    mesh.add_directly(60);
    const auto object = mesh.world.rng().guid();
    mesh.dolr(5).publish({object});
    mesh.world.run_for(2s);
    ASSERT_TRUE(mesh.locate(9, object));
    mesh.dolr(5).unpublish({object});
    mesh.world.run_for(2s);
    const auto found = mesh.locate(9, object);
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error(), Errc::not_published);
}

TEST(Mesh, ADeadReplicaIsDroppedAndTheNextTried) {
    for (const NodeIndex dead : {10U, 30U}) {
        Mesh mesh{5};
        mesh.add_directly(60);
        const auto object = mesh.world.rng().guid();
        for (const NodeIndex holder : {10U, 30U}) mesh.dolr(holder).publish({object});
        mesh.world.run_for(2s);
        mesh.world.node(dead).power_off();
        const auto reached = mesh.send(44, object, "still there");
        ASSERT_TRUE(reached) << reached.error().message();
        EXPECT_EQ(mesh.received.at(0).at, dead == 10U ? 30U : 10U);
    }
}

TEST(Mesh, ADeadHolderIsUnreachableNotUnpublished) {
    Mesh mesh{6};
    mesh.add_directly(60);
    const auto object = mesh.world.rng().guid();
    mesh.dolr(10).publish({object});
    mesh.world.run_for(2s);
    mesh.world.node(10).power_off();
    const auto reached = mesh.send(44, object, "anybody?");
    ASSERT_FALSE(reached);
    EXPECT_EQ(reached.error(), Errc::roots_unreachable);
}

TEST(Mesh, ABusyHolderIsNotADeadOne) {
    Mesh mesh{20};
    mesh.add_directly(60);
    const auto object = mesh.world.rng().guid();
    mesh.dolr(10).publish({object});
    mesh.world.run_for(2s);
    std::size_t refused = 0;
    mesh.world.network().set_liar(10, [&refused](base::sim::Letter& letter) {
        if (letter.from != 10 || letter.kind != base::sim::Letter::Kind::answer || !letter.content) return;
        if (letter.content->verb() != static_cast<std::uint8_t>(Verb::deliver)) return;
        letter.content = base::Errc::busy;
        ++refused;
    });
    EXPECT_FALSE(mesh.send(44, object, "a letter"));
    EXPECT_GT(refused, 0U);
    mesh.world.network().set_liar(10, {});
    EXPECT_TRUE(mesh.send(44, object, "a letter"));
    for (const auto node : mesh.live_nodes()) EXPECT_EQ(mesh.dolr(node).status().dead_pointers, 0U) << node;
}

// It cannot withdraw by itself: what it signs when it is asked is what takes its pointers away.
TEST(Mesh, APublisherThatDoesNotHaveItLosesItsPointers) {
    Mesh mesh{7};
    mesh.add_directly(60);
    const auto object = mesh.world.rng().guid();
    mesh.dolr(10).publish({object});
    mesh.world.run_for(2s);
    mesh.member(10).denies = true;
    mesh.world.network().set_liar(10, [](base::sim::Letter& letter) {
        if (letter.from != 10 || !letter.content || letter.content->service() != base::Service::tapestry) return;
        if (letter.content->verb() == static_cast<std::uint8_t>(Verb::publish)) letter.drop = true;
    });
    EXPECT_FALSE(mesh.send(44, object, "give"));
    mesh.world.run_for(2s);
    for (unsigned root = 0; root < mesh.options.dolr.roots; ++root) {
        EXPECT_TRUE(mesh.dolr(mesh.root_of(root_key(object, root))).pointers_to(object).empty()) << root;
    }
}

TEST(Mesh, WhoeverIsOnlyAskedForgetsWhatHasEndedToo) {
    Mesh mesh{21};
    mesh.add_directly(20);
    auto object = mesh.world.rng().guid();
    while (mesh.root_of(object) != 7) object = mesh.world.rng().guid();
    const auto said = Announcement::sign(mesh.identities[10], {"h", 0, 1'000'000, 5s}, {&object, 1});
    auto message = encode(std::vector<Parcel>{{.announcement = said, .range = {0, 1}, .last = true}});
    auto& env = mesh.world.node(3).env();
    ASSERT_TRUE(*mesh.world.node(3).run(
        env.transport.request(mesh.world.node(7).address(), std::move(message), mesh.world.now() + 3s)));
    mesh.world.run_for(10s);
    ASSERT_EQ(mesh.dolr(7).status().pointers, 1U);
    EXPECT_FALSE(mesh.locate(3, object));
    EXPECT_EQ(mesh.dolr(7).status().pointers, 0U);
}

TEST(Mesh, ANewcomerKnowsWhatItIsTheRootOf) {
    Mesh mesh{8};
    mesh.add_directly(40);
    std::vector<base::Guid> objects;
    for (int i = 0; i < 400; ++i) objects.push_back(mesh.world.rng().guid());
    mesh.dolr(3).publish(objects);
    mesh.world.run_for(2s);
    ASSERT_TRUE(mesh.join(20));
    mesh.world.run_for(10s);
    std::size_t at_newcomers = 0;
    for (const auto& object : objects) {
        const auto root = mesh.root_of(object);
        if (root == 3) continue;  // the publisher itself
        EXPECT_EQ(mesh.dolr(root).pointers_to(object).size(), 1U) << root;
        if (root >= 40) ++at_newcomers;
    }
    EXPECT_GT(at_newcomers, 50U);
}

TEST(Mesh, WhenARootDiesItsNeighbourKnows) {
    Mesh mesh{9};
    mesh.add_directly(60);
    std::vector<base::Guid> objects;
    for (int i = 0; i < 200; ++i) objects.push_back(mesh.world.rng().guid());
    mesh.dolr(3).publish(objects);
    mesh.world.run_for(2s);
    for (NodeIndex dead = 20; dead < 30; ++dead) mesh.world.node(dead).power_off();
    mesh.world.run_for(1min);
    for (std::size_t i = 0; i < objects.size(); ++i) {
        const auto found = mesh.locate(mesh.random_live(), objects[i]);
        EXPECT_TRUE(found) << i << ": " << found.error().message();
    }
}

TEST(Published, MeansThatEverybodyFindsItAtOnce) {
    Mesh mesh{10};
    mesh.add_directly(200);
    std::vector<base::Guid> objects;
    for (int i = 0; i < 20; ++i) objects.push_back(mesh.world.rng().guid());
    mesh.dolr(3).publish(objects);
    EXPECT_TRUE(mesh.published(3, objects).empty());
    for (const auto& object : objects) {
        for (unsigned root = 0; root < mesh.options.dolr.roots; ++root) {
            const auto at = mesh.root_of(root_key(object, root));
            EXPECT_EQ(mesh.dolr(at).pointers_to(object).size(), at == 3 ? 0U : 1U);
        }
        EXPECT_TRUE(mesh.locate(mesh.random_live(), object));
    }
    mesh.dolr(3).unpublish(objects);
    EXPECT_TRUE(mesh.published(3, objects).empty());
    for (const auto& object : objects) {
        for (unsigned root = 0; root < mesh.options.dolr.roots; ++root) {
            EXPECT_TRUE(mesh.dolr(mesh.root_of(root_key(object, root))).pointers_to(object).empty());
        }
    }
}

TEST(Published, WhatIsWithdrawnWhileALongListIsStillBeingAnnouncedStaysWithdrawn) {
    Mesh mesh{16};
    mesh.add_directly(20);
    std::vector<base::Guid> objects;
    for (int i = 0; i < 20'000; ++i) objects.push_back(mesh.world.rng().guid());
    const auto last = std::ranges::max(objects);
    mesh.dolr(3).publish(objects);
    mesh.world.run_for(mesh.options.dolr.gather + 10ms);
    mesh.dolr(3).unpublish({last});
    EXPECT_TRUE(mesh.published(3, {last}).empty());
    mesh.world.run_for(10s);
    EXPECT_EQ(mesh.dolr(3).status().published, objects.size() - 1);
    for (const auto node : mesh.live_nodes()) EXPECT_TRUE(mesh.dolr(node).pointers_to(last).empty()) << node;
    EXPECT_TRUE(mesh.locate(9, std::ranges::min(objects)));
}

TEST(Published, HoldsForEachOfMoreHoldersThanAnybodyRemembers) {
    Mesh mesh{17};
    mesh.add_directly(60);
    const auto object = mesh.world.rng().guid();
    constexpr NodeIndex kHolders = 20;
    for (NodeIndex holder = 0; holder < kHolders; ++holder) {
        mesh.dolr(holder).publish({object});
        EXPECT_TRUE(mesh.published(holder, {object}, 5s).empty()) << holder;
    }
    for (NodeIndex holder = 0; holder < kHolders; ++holder) {
        mesh.dolr(holder).unpublish({object});
        EXPECT_TRUE(mesh.published(holder, {object}, 5s).empty()) << holder;
        for (unsigned root = 0; root < mesh.options.dolr.roots; ++root) {
            const auto known = mesh.dolr(mesh.root_of(root_key(object, root))).pointers_to(object);
            EXPECT_EQ(std::ranges::count(known, mesh.id(holder)), 0) << holder;
        }
    }
}

TEST(Published, AWithdrawalThatARootDidNotHearIsSaidAgainWithTheNextRepublish) {
    Mesh mesh{17};
    mesh.add_directly(40);
    auto object = mesh.world.rng().guid();
    while (mesh.root_of(object) == 3) object = mesh.world.rng().guid();
    const auto root = mesh.root_of(object);
    mesh.dolr(3).publish({object});
    mesh.world.run_for(2s);
    ASSERT_EQ(mesh.dolr(root).pointers_to(object).size(), 1U);
    mesh.world.network().set_liar(root, [root](base::sim::Letter& letter) {
        if (letter.to != root || letter.kind != base::sim::Letter::Kind::request || !letter.content) return;
        if (letter.content->service() != base::Service::tapestry) return;
        if (letter.content->verb() == static_cast<std::uint8_t>(Verb::publish)) letter.drop = true;
    });
    mesh.dolr(3).unpublish({object});
    EXPECT_EQ(mesh.published(3, {object}, 5s), std::vector{object});
    mesh.world.run_for(1min);
    mesh.world.network().set_liar(root, {});
    ASSERT_EQ(mesh.dolr(root).pointers_to(object).size(), 1U);
    EXPECT_EQ(mesh.dolr(3).said(object), Said::withdrawn);
    mesh.world.run_for(mesh.options.dolr.republish_period);  // much less than a lease
    EXPECT_TRUE(mesh.dolr(root).pointers_to(object).empty());
    mesh.world.run_for(2 * mesh.options.dolr.lease);
    EXPECT_EQ(mesh.dolr(3).said(object), Said::nothing);
}

TEST(Published, WhatIsTakenBackWhileItsRootsHearOfItIsConfirmedWhenTheyHeardThat) {
    Mesh mesh{18};
    mesh.add_directly(40);
    auto object = mesh.world.rng().guid();
    while (mesh.root_of(object) == 3) object = mesh.world.rng().guid();
    mesh.dolr(3).publish({object});
    mesh.world.after(1ms, [&] { mesh.dolr(3).unpublish({object}); });
    EXPECT_TRUE(mesh.published(3, {object}).empty());
    EXPECT_TRUE(mesh.dolr(mesh.root_of(object)).pointers_to(object).empty());
}

TEST(Published, WhatIsTakenBackASecondTimeIsSaidASecondTime) {
    Mesh mesh{19};
    mesh.add_directly(40);
    const auto object = mesh.world.rng().guid();
    mesh.dolr(3).publish({object});
    mesh.dolr(3).unpublish({object});
    EXPECT_TRUE(mesh.published(3, {object}).empty());
    const auto before = mesh.dolr(3).status().parcels_sent;
    mesh.dolr(3).unpublish({object});
    mesh.world.run_for(2s);
    EXPECT_GT(mesh.dolr(3).status().parcels_sent, before);
    mesh.dolr(3).unpublish({mesh.world.rng().guid()});  // of what was never published nothing is said
    const auto then = mesh.dolr(3).status().parcels_sent;
    mesh.world.run_for(2s);
    EXPECT_EQ(mesh.dolr(3).status().parcels_sent, then);
}

TEST(Published, NamesWhatDidNotArrive) {
    Mesh mesh{11};
    mesh.add_directly(60);
    std::vector<base::Guid> objects;
    while (objects.size() < 2) {  // both roots of the first elsewhere than those of the second
        const auto object = mesh.world.rng().guid();
        const auto root = mesh.root_of(root_key(object, 1));
        if (root != 3 && root != 9 && (root == 20) == objects.empty() && mesh.root_of(object) != 20) {
            objects.push_back(object);
        }
    }
    for (NodeIndex other = 0; other < 60; ++other) {
        if (other != 20) mesh.world.network().cut(20, other);
    }
    mesh.dolr(3).publish(objects);
    EXPECT_EQ(mesh.published(3, objects, 5s), std::vector{objects[0]});  // nobody has taken node 20's place yet
    EXPECT_TRUE(mesh.published(3, objects, 2min).empty());
}

TEST(Published, FindsAnotherWayWhereNodesHaveJustDied) {
    Mesh mesh{12};
    mesh.add_directly(200);
    const auto object = mesh.world.rng().guid();
    for (unsigned root = 0; root < mesh.options.dolr.roots; ++root) {
        const auto key = root_key(object, root);
        for (const auto& hop : mesh.ring(3).next_hops(key, 2)) {
            if (hop.node.id() == mesh.id(3) || hop.node.id() == mesh.id(mesh.root_of(key))) continue;
            for (NodeIndex node = 0; node < 200; ++node) {
                if (mesh.id(node) == hop.node.id() && mesh.live(node)) mesh.world.node(node).power_off();
            }
        }
    }
    ASSERT_LT(mesh.live_nodes().size(), 200U);
    mesh.dolr(3).publish({object});
    EXPECT_TRUE(mesh.published(3, {object}).empty());
}

TEST(Published, NothingHasArrivedFromANodeThatIsPartOfNoRing) {
    Mesh mesh{13};
    mesh.add_directly(5);
    const auto outside = mesh.add(identity_of(mesh.world.network_id(), "1"));
    mesh.dolr(outside).start();
    const auto object = mesh.world.rng().guid();
    mesh.dolr(outside).publish({object});
    EXPECT_EQ(mesh.published(outside, {object}, 5s), std::vector{object});
}

/// What one node sends of its announcements.
class Passing : public ::testing::Test {
  protected:
    using Act = std::function<void(base::sim::Letter&, const std::vector<Parcel>&)>;
    void on_each_publish(const Act& act) {
        mesh.world.network().set_liar(kPublisher, [this, act](base::sim::Letter& letter) {
            if (letter.from != kPublisher || letter.kind != base::sim::Letter::Kind::request || !letter.content) return;
            if (letter.content->service() != base::Service::tapestry) return;
            if (letter.content->verb() != static_cast<std::uint8_t>(Verb::publish)) return;
            const auto parcels = decode_publish(*letter.content);
            ASSERT_TRUE(parcels);
            ++sent;
            act(letter, *parcels);
        });
    }
    static constexpr NodeIndex kPublisher = 3;
    Mesh mesh{18};
    std::size_t sent = 0;
};

TEST_F(Passing, WhatTheNextHopDoesNotUnderstandIsOfferedToNobodyElse) {
    mesh.add_directly(100);
    on_each_publish([](base::sim::Letter& letter, const auto&) { letter.content->header.resize(1); });
    mesh.dolr(kPublisher).publish({mesh.world.rng().guid()});
    mesh.world.run_for(1min);
    EXPECT_GE(sent, 2U);
    EXPECT_LE(sent, 2 * (1 + mesh.options.dolr.backups_told));
    EXPECT_EQ(mesh.dolr(kPublisher).status().parcels_lost, 2U);
}

TEST_F(Passing, AnotherNextHopIsTriedButTheBackupsAreToldOnce) {
    mesh.add_directly(100);
    std::map<std::pair<NodeIndex, unsigned>, std::size_t> besides;
    std::size_t dropped = 0;
    on_each_publish([&](base::sim::Letter& letter, const std::vector<Parcel>& parcels) {
        for (const auto& parcel : parcels) {
            if (parcel.last) ++besides[{letter.to, parcel.announcement.root()}];
            letter.drop = letter.drop || (!parcel.last && dropped < 2);
        }
        if (letter.drop) ++dropped;
    });
    const auto object = mesh.world.rng().guid();
    mesh.dolr(kPublisher).publish({object});
    mesh.world.run_for(20s);
    EXPECT_EQ(dropped, 2U);
    EXPECT_FALSE(besides.empty());
    for (const auto& [who, times] : besides) EXPECT_EQ(times, 1U) << who.first;
    for (unsigned root = 0; root < mesh.options.dolr.roots; ++root) {
        EXPECT_EQ(mesh.dolr(mesh.root_of(root_key(object, root))).pointers_to(object).size(), 1U);
    }
}

TEST_F(Passing, TheDelayOfAHopThatDidNotAnswerIsNotCounted) {
    mesh.world.network().use_plane_latency(50us, 100us);
    mesh.add_directly(100);
    std::size_t dropped = 0;
    on_each_publish([&](base::sim::Letter& letter, const std::vector<Parcel>& parcels) {
        for (const auto& parcel : parcels) {
            EXPECT_EQ(parcel.hops, 1U);
            EXPECT_LE(parcel.delay, mesh.world.network().latency(kPublisher, letter.to) + 1us);
            letter.drop = letter.drop || (!parcel.last && dropped < 4);
        }
        if (letter.drop) ++dropped;
    });
    mesh.dolr(kPublisher).publish({mesh.world.rng().guid()});
    mesh.world.run_for(20s);
    EXPECT_EQ(dropped, 4U);
    EXPECT_GE(sent, 6U);
}

/// What of 4,000 objects a node gave up that reaches nobody for a moment and may keep so many bytes meanwhile.
std::uint64_t lost_where_waiting_may_take(std::size_t bytes) {
    MeshOptions options;
    options.dolr.max_waiting_bytes = bytes;
    Mesh mesh{19, options};
    mesh.add_directly(100);
    mesh.world.network().set_liar(3, [](base::sim::Letter& letter) {
        if (letter.from == 3 && letter.content && letter.content->service() == base::Service::tapestry) {
            letter.drop = true;
        }
    });
    std::vector<base::Guid> objects;
    for (int i = 0; i < 4000; ++i) objects.push_back(mesh.world.rng().guid());
    mesh.dolr(3).publish(objects);
    mesh.world.run_for(20s);  // every other next hop was tried once
    return mesh.dolr(3).status().parcels_lost;
}

TEST(Mesh, WhatFindsNoWayWaitsByItsBytesHoweverFewParcelsItIs) {
    EXPECT_EQ(lost_where_waiting_may_take(1U << 20U), 0U);
    EXPECT_GT(lost_where_waiting_may_take(100U << 10U), 0U);
}

TEST(Mesh, WhoeverTriedAHolderInVainIsGivenAnotherAndThePointerIsLookedInto) {
    Mesh mesh{14};
    mesh.add_directly(100);
    const auto object = mesh.world.rng().guid();
    for (const NodeIndex holder : {10U, 30U}) mesh.dolr(holder).publish({object});
    mesh.world.run_for(2s);
    mesh.world.node(10).power_off();
    const auto other = mesh.locate_others(50, object, {mesh.id(10)});
    ASSERT_TRUE(other) << other.error().message();
    ASSERT_EQ(other->holders.size(), 1U);
    EXPECT_EQ(other->holders[0].holder.id, mesh.id(30));
    mesh.world.run_for(5s);
    const auto again = mesh.locate(50, object);  // the same way: it does not lead to the dead one any more
    ASSERT_TRUE(again);
    for (const auto& location : again->holders) EXPECT_EQ(location.holder.id, mesh.id(30));
    mesh.world.node(30).power_off();
    const auto nobody = mesh.locate_others(50, object, {mesh.id(10), mesh.id(30)});
    ASSERT_FALSE(nobody);
    EXPECT_EQ(nobody.error(), Errc::roots_unreachable);
}

TEST(Mesh, AHolderThatAsksForOthersIsNotNamedToItself) {
    Mesh mesh{22};
    mesh.add_directly(60);
    const auto object = mesh.world.rng().guid();
    for (const NodeIndex holder : {10U, 30U}) mesh.dolr(holder).publish({object});
    mesh.world.run_for(2s);
    const auto here = mesh.locate(10, object);
    ASSERT_TRUE(here);
    EXPECT_EQ(here->holders.at(0).holder.id, mesh.id(10));
    const auto other = mesh.locate_others(10, object, {});
    ASSERT_TRUE(other) << other.error().message();
    ASSERT_EQ(other->holders.size(), 1U);
    EXPECT_EQ(other->holders[0].holder.id, mesh.id(30));
    mesh.dolr(30).unpublish({object});
    mesh.world.run_for(2s);
    EXPECT_EQ(mesh.locate_others(10, object, {}).error(), Errc::not_published) << "by anybody else";
}

TEST(Mesh, WhatAHolderDoesNotHaveAnyMoreItWithdraws) {
    Mesh mesh{15};
    mesh.add_directly(60);
    const auto object = mesh.world.rng().guid();
    mesh.dolr(10).publish({object});
    mesh.world.run_for(2s);
    mesh.member(10).denies = true;
    EXPECT_FALSE(mesh.send(44, object, "give"));
    mesh.world.run_for(2s);
    EXPECT_EQ(mesh.dolr(10).status().published, 0U);
    const auto found = mesh.locate(44, object);
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error(), Errc::not_published);
    for (const auto node : mesh.live_nodes()) EXPECT_TRUE(mesh.dolr(node).believes(mesh.id(10)));
}

// Which of a publisher's two times is the right one only others know: what it says must be taken by either.
TEST(Clocks, WhoseClockWasSetBackByDaysIsFoundAllTheTime) {
    constexpr auto kDays = std::chrono::hours{72};
    for (const auto before : {std::chrono::hours{0}, kDays}) {
        Mesh mesh{94};
        mesh.add_directly(12);
        auto& publisher = mesh.world.node(3);
        publisher.set_clock({.wall_offset = before});
        const auto object = mesh.world.rng().guid();
        const auto withdrawn = mesh.world.rng().guid();
        mesh.dolr(3).publish({object, withdrawn});
        mesh.world.run_for(1min);
        publisher.set_clock({.wall_offset = before - kDays});
        mesh.world.run_for(1min);
        mesh.dolr(3).unpublish({withdrawn});
        const auto next_publish = 6min;  // what was said by a clock that was ahead nobody took
        if (before.count() > 0) mesh.world.run_for(next_publish);
        for (int minute = 0; minute < 40; ++minute) {
            const auto found = mesh.locate(static_cast<NodeIndex>(4 + minute % 8), object);
            EXPECT_TRUE(found) << before.count() << " h, after " << minute << " min: " << found.error().message();
            mesh.world.run_for(1min);
        }
        EXPECT_FALSE(mesh.locate(7, withdrawn));
    }
}

}  // namespace
}  // namespace tapestry::testing
