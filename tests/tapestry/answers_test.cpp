// Who is answered, by what way, at what address; and that what is said twice happens once.
#include <gtest/gtest.h>

#include "announcing/announcement.hpp"
#include "mesh.hpp"
#include "wire/codec.hpp"

namespace tapestry::testing {
namespace {

TEST(Answers, FindTheirAskerAlthoughTheTwoCannotHearEachOther) {
    Mesh mesh{80};
    mesh.add_directly(60);
    const auto object = mesh.world.rng().guid();
    mesh.dolr(10).publish({object});
    mesh.world.run_for(2s);
    constexpr NodeIndex kAsker = 44;
    std::size_t cut = 0;
    for (NodeIndex node = 0; node < 60; ++node) {
        if (node == kAsker || node == 10 || mesh.dolr(node).pointers_to(object).empty()) continue;
        mesh.world.network().cut(kAsker, node);
        ++cut;
    }
    ASSERT_GT(cut, 3U);
    const auto found = mesh.locate(kAsker, object);
    ASSERT_TRUE(found) << found.error().message();
    EXPECT_EQ(found->holders.at(0).holder.id, mesh.id(10));
}

TEST(Answers, ThatAreLostAreAskedForAgain) {
    Mesh mesh{81};
    mesh.add_directly(60);
    const auto object = mesh.world.rng().guid();
    mesh.dolr(10).publish({object});
    mesh.world.run_for(2s);
    std::size_t lost = 0;
    for (NodeIndex node = 0; node < 60; ++node) {
        mesh.world.network().set_liar(node, [&lost](base::sim::Letter& letter) {
            if (!letter.content || letter.content->service() != base::Service::tapestry) return;
            if (letter.content->verb() != static_cast<std::uint8_t>(Verb::found) || lost == 2) return;
            if (letter.kind == base::sim::Letter::Kind::answer) return;
            letter.drop = true;
            ++lost;
        });
    }
    for (NodeIndex node = 0; node < 60; ++node) EXPECT_TRUE(mesh.locate(node, object)) << node;
    EXPECT_EQ(lost, 2U);
}

TEST(Answers, AMessageIsTakenOnceHoweverOftenItComes) {
    Mesh mesh{82};
    mesh.add_directly(20);
    const auto object = mesh.world.rng().guid();
    mesh.dolr(10).publish({object});
    for (int times = 0; times < 3; ++times) {
        base::SharedBytes letter{base::to_bytes("once")};
        auto message = encode(Deliver{object, 0, mesh.world.node(4).address(), 7}, letter);
        auto& env = mesh.world.node(3).env();
        const auto answer = *mesh.world.node(3).run(
            env.transport.request(mesh.world.node(10).address(), std::move(message), mesh.world.now() + 3s));
        ASSERT_TRUE(answer);
        EXPECT_TRUE(decode_delivered(*answer)->taken);
    }
    EXPECT_EQ(mesh.received.size(), 1U);
}

TEST(Answers, ASecondCopyIsTakenOnlyIfTheFirstIs) {
    for (const bool takes : {true, false}) {
        Mesh mesh{93};
        mesh.add_directly(20);
        const auto object = mesh.world.rng().guid();
        mesh.dolr(10).publish({object});
        std::size_t handled = 0;
        mesh.dolr(10).on_message([&](base::Guid, base::Address, base::SharedBytes) {
            return [](Mesh& world_of, std::size_t& count, bool yes) -> base::Task<bool> {
                ++count;
                co_await world_of.world.node(10).env().clock.sleep_for(1s);
                co_return yes;
            }(mesh, handled, takes);
        });
        std::vector<bool> said;
        for (const NodeIndex from : {3U, 4U}) {
            mesh.world.node(from).spawn(
                [](base::NodeEnv& env, Mesh& in, base::Guid what, std::vector<bool>& to) -> base::Task<void> {
                    base::SharedBytes letter{base::to_bytes("once")};
                    auto message = encode(Deliver{what, 0, in.world.node(4).address(), 7}, letter);
                    const auto answer = co_await env.transport.request(in.world.node(10).address(), std::move(message),
                                                                       env.clock.now() + 3s);
                    to.push_back(answer && decode_delivered(*answer)->taken);
                }(mesh.world.node(from).env(), mesh, object, said));
        }
        mesh.world.run_for(500ms);
        EXPECT_TRUE(said.empty());
        mesh.world.run_for(2s);
        EXPECT_EQ(said, (std::vector{takes, takes}));
        EXPECT_EQ(handled, 1U);
    }
}

TEST(Answers, WhoeverIsAskedForWhatItDoesNotHaveSignsThat) {
    Mesh mesh{83};
    mesh.add_directly(20);
    const auto object = mesh.world.rng().guid();
    for (const auto verb : {Verb::deliver, Verb::have}) {
        auto message = encode(Deliver{object, 1, mesh.world.node(3).address(), 7}, {}, verb);
        auto& env = mesh.world.node(3).env();
        const auto answer = *mesh.world.node(3).run(
            env.transport.request(mesh.world.node(10).address(), std::move(message), mesh.world.now() + 3s));
        ASSERT_TRUE(answer);
        const auto said = decode_delivered(*answer);
        ASSERT_TRUE(said && said->withdrawal);
        EXPECT_FALSE(said->taken);
        EXPECT_TRUE(said->withdrawal->verify(mesh.world.network_id()));
        EXPECT_TRUE(said->withdrawal->withdrawn());
        EXPECT_EQ(said->withdrawal->object(0), object);
        EXPECT_EQ(said->withdrawal->root(), 1U);
        EXPECT_GE(said->withdrawal->stamp(), said->born);
    }
}

TEST(Answers, NameTheHoldersInTheOrderOfTheAskersOwnDistances) {
    Mesh mesh{84};
    mesh.world.network().use_plane_latency(50us, 100us);
    mesh.add_directly(30);  // everybody knows everybody
    const auto object = mesh.world.rng().guid();
    for (const NodeIndex holder : {3U, 12U, 20U, 28U}) mesh.dolr(holder).publish({object});
    mesh.world.run_for(2s);
    std::size_t several = 0;
    for (NodeIndex from = 0; from < 30; ++from) {
        const auto found = mesh.locate(from, object);
        ASSERT_TRUE(found);
        std::vector<base::Duration> delays;
        for (const auto& location : found->holders) {
            if (location.holder.id == mesh.id(from)) continue;
            EXPECT_TRUE(location.measured);
            NodeIndex at = 0;
            while (mesh.id(at) != location.holder.id) ++at;
            EXPECT_EQ(location.delay, mesh.world.network().latency(from, at));
            delays.push_back(location.delay);
        }
        EXPECT_TRUE(std::ranges::is_sorted(delays));
        if (delays.size() > 1) ++several;
    }
    EXPECT_GT(several, 15U);
}

// Where who answered was never measured, it is half as far as its answer took: counted from the question that it
// answers, although others have been asked since.
TEST(Answers, ThatComeAfterASecondQuestionWasAskedShowHowFarTheyCame) {
    MeshOptions options;
    options.dolr.ask_next = 300ms;
    Mesh mesh{94, options};
    mesh.add_directly(200);
    const auto object = mesh.world.rng().guid();
    mesh.dolr(10).publish({object});
    mesh.world.run_for(2s);
    std::size_t estimated = 0;
    for (NodeIndex from = 20; from < 60; ++from) {
        for (NodeIndex other = 0; other < 200; ++other) {
            if (other != from) mesh.world.network().set_latency(from, other, 200ms);
        }
        const auto found = mesh.locate(from, object, true);
        ASSERT_TRUE(found) << from;
        const auto& location = found->holders.at(0);
        const auto& by = found->way.back().id;
        if (location.measured || by == mesh.id(from) || mesh.ring(from).rtt(by)) continue;
        ++estimated;
        EXPECT_GE(location.delay, 200ms) << from;
    }
    EXPECT_GT(estimated, 3U);
}

TEST(Answers, NameNoMoreReplicasThanWereAskedFor) {
    Mesh mesh{95};
    mesh.add_directly(40);
    const auto object = mesh.world.rng().guid();
    mesh.dolr(10).publish({object});
    mesh.world.run_for(2s);
    for (NodeIndex node = 0; node < 40; ++node) {
        mesh.world.network().set_liar(node, [&mesh](base::sim::Letter& letter) {
            if (letter.kind != base::sim::Letter::Kind::request || !letter.content) return;
            if (letter.content->service() != base::Service::tapestry) return;
            if (letter.content->verb() != static_cast<std::uint8_t>(Verb::found)) return;
            auto found = *decode_found(letter.content->header);
            for (NodeIndex other = 0; found.places.size() < kMaxPlaces; ++other) {
                found.places.push_back({mesh.world.node(other).address(), {}});
            }
            letter.content = encode(found);
        });
    }
    const auto reached = mesh.send(20, object, "to two", 2);
    ASSERT_TRUE(reached);
    EXPECT_EQ(*reached, 2U);
}

TEST(Answers, AboutAnotherRootThanWasAskedAreNone) {
    Mesh mesh{96};
    mesh.add_directly(40);
    const auto object = mesh.world.rng().guid();
    for (NodeIndex node = 0; node < 40; ++node) {
        mesh.world.network().set_liar(node, [node](base::sim::Letter& letter) {
            if (letter.from != node || letter.kind != base::sim::Letter::Kind::request || !letter.content) return;
            if (letter.content->service() != base::Service::tapestry) return;
            if (letter.content->verb() != static_cast<std::uint8_t>(Verb::found)) return;
            auto found = *decode_found(letter.content->header);
            found.root ^= 1U;
            letter.content = encode(found);
        });
    }
    auto from = mesh.random_live();
    while (from == mesh.root_of(object) || from == mesh.root_of(root_key(object, 1))) from = mesh.random_live();
    EXPECT_EQ(mesh.locate(from, object).error(), Errc::roots_unreachable);
}

TEST(Answers, OfNodesThatAreRevokedSpeakNobody) {
    Mesh mesh{85};
    mesh.add_directly(40);
    const auto object = mesh.world.rng().guid();
    mesh.dolr(10).publish({object});
    mesh.world.run_for(2s);
    ASSERT_TRUE(mesh.locate(20, object));
    mesh.members.erase(mesh.id(10));
    const auto found = mesh.locate(20, object);  // although its pointers are still there
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error(), Errc::roots_unreachable);
}

TEST(Answers, AnnouncementsForRootsThatNoObjectHasAreRefused) {
    Mesh mesh{86};
    mesh.add_directly(20);
    const auto object = mesh.world.rng().guid();
    std::vector<Parcel> parcels;
    for (std::uint8_t root = 0; root < kMaxRoots; ++root) {
        Announcement::Terms terms{"n3", root, std::uint64_t{1'000'000} + root, 60s};
        parcels.push_back(
            {.announcement = Announcement::sign(mesh.identities[3], terms, {&object, 1}), .range = {0, 1}});
    }
    auto message = encode(parcels);
    auto& env = mesh.world.node(3).env();
    ASSERT_TRUE(*mesh.world.node(3).run(
        env.transport.request(mesh.world.node(10).address(), std::move(message), mesh.world.now() + 3s)));
    EXPECT_EQ(mesh.dolr(10).status().refused, kMaxRoots - mesh.options.dolr.roots);
    EXPECT_LE(mesh.dolr(10).status().pointers, mesh.options.dolr.roots);
}

/// Objects of which `node` is that root: questions for them end there.
std::vector<base::Guid> objects_at(Mesh& mesh, NodeIndex node, unsigned root, std::size_t count) {
    std::vector<base::Guid> objects;
    while (objects.size() < count) {
        const auto object = mesh.world.rng().guid();
        if (mesh.root_of(root_key(object, root)) == node) objects.push_back(object);
    }
    return objects;
}

/// Everybody but node 3 gets what node 10 had announced before it began anew.
void show_what_node_10_forgot(Mesh& mesh, const std::vector<base::Guid>& objects) {
    std::vector<Parcel> parcels;
    for (const auto& object : objects) {
        Announcement::Terms terms{"n10", 0, 1'000'000 + parcels.size(), 60s};
        parcels.push_back({.announcement = Announcement::sign(mesh.identities[10], terms, {&object, 1}),
                           .range = {0, 1},
                           .last = true});
    }
    auto& env = mesh.world.node(3).env();
    for (const auto node : mesh.live_nodes()) {
        if (node == 3 || node == 10) continue;
        auto message = encode(parcels);
        EXPECT_TRUE(*mesh.world.node(3).run(
            env.transport.request(mesh.world.node(node).address(), std::move(message), mesh.world.now() + 3s)));
    }
}

void doubt_node_10(Mesh& mesh, const base::Guid& object, unsigned root) {
    const Find find{.object = object,
                    .root = root,
                    .asker = mesh.world.node(3).address(),
                    .number = 1,
                    .tried = {mesh.id(10)},
                    .doubt = true};
    mesh.ring(3).route(root_key(object, root), encode(find, {}));
    mesh.world.run_for(2s);
}

TEST(Answers, NobodyIsMadeALiarByQuestionsForRootsThatNoObjectHas) {
    Mesh mesh{88};
    mesh.add_directly(20);
    const auto objects = objects_at(mesh, 7, 5, 10);
    show_what_node_10_forgot(mesh, objects);
    for (const auto& object : objects) doubt_node_10(mesh, object, 5);
    for (const auto node : mesh.live_nodes()) {
        EXPECT_EQ(mesh.dolr(node).status().lies, 0U) << node;
        EXPECT_TRUE(mesh.dolr(node).believes(mesh.id(10))) << node;
    }
    for (const auto verb : {Verb::deliver, Verb::have}) {
        auto message = encode(Deliver{mesh.world.rng().guid(), 5, mesh.world.node(3).address(), 7}, {}, verb);
        auto& env = mesh.world.node(3).env();
        EXPECT_FALSE(*mesh.world.node(3).run(
            env.transport.request(mesh.world.node(10).address(), std::move(message), mesh.world.now() + 3s)));
    }
}

TEST(Answers, WhatIsDeniedIsTakenBackForTheRootThatItWasAnnouncedFor) {
    Mesh mesh{89};
    mesh.add_directly(20);
    std::set<unsigned> withdrawn;
    mesh.world.network().set_liar(10, [&](base::sim::Letter& letter) {
        if (letter.from != 10 || letter.kind != base::sim::Letter::Kind::answer || !letter.content) return;
        if (letter.content->verb() != static_cast<std::uint8_t>(Verb::deliver)) return;
        const auto said = decode_delivered(*letter.content);
        if (said && said->withdrawal) withdrawn.insert(said->withdrawal->root());
    });
    const auto objects = objects_at(mesh, 7, 1, 3);
    show_what_node_10_forgot(mesh, objects);
    for (const auto& object : objects) doubt_node_10(mesh, object, 1);
    EXPECT_EQ(withdrawn, std::set<unsigned>{0});
}

// Whoever hands a message out on the way finds out; those further on must not lead others to the holder again.
TEST(Answers, AWithdrawalThatADenialBringsGoesOnToTheRoot) {
    Mesh mesh{91};
    mesh.add_directly(150);  // more than know each other
    const auto object = objects_at(mesh, 7, 0, 1).front();
    show_what_node_10_forgot(mesh, {object});
    ASSERT_EQ(mesh.dolr(7).status().pointers, 1U);
    const auto key = root_key(object, 0);
    const auto live = mesh.live_nodes();
    const auto asker = std::ranges::find_if(live, [&](NodeIndex node) {
        const auto next = mesh.ring(node).next_hops(key, 1);
        return node != 3 && node != 7 && node != 10 && !next.empty() && next.front().node.id() != mesh.id(7);
    });
    ASSERT_NE(asker, live.end());
    Find find{.object = object, .root = 0, .asker = mesh.world.node(3).address(), .number = 1};
    find.send = true;
    find.message = 17;
    const base::SharedBytes text{base::to_bytes(base::as_bytes("are you there?"))};
    mesh.ring(*asker).route(key, encode(find, text));
    mesh.world.run_for(5s);
    EXPECT_EQ(mesh.dolr(*asker).status().denials, 1U);
    ++find.message;
    mesh.ring(7).route(key, encode(find, text));
    mesh.world.run_for(5s);
    EXPECT_EQ(mesh.dolr(7).status().denials, 0U) << "the root asked the holder again";
}

TEST(Answers, ThatNobodyHereUnderstandsMakeNoLiar) {
    Mesh mesh{90};
    mesh.add_directly(20);
    std::size_t garbled = 0;
    mesh.world.network().set_liar(10, [&](base::sim::Letter& letter) {
        if (letter.from != 10 || letter.kind != base::sim::Letter::Kind::answer || !letter.content) return;
        if (letter.content->verb() != static_cast<std::uint8_t>(Verb::deliver)) return;
        letter.content->payload = base::to_bytes("a withdrawal as a later version writes it");
        ++garbled;
    });
    const auto objects = objects_at(mesh, 7, 0, 10);
    show_what_node_10_forgot(mesh, objects);
    for (const auto& object : objects) doubt_node_10(mesh, object, 0);
    EXPECT_GE(garbled, 10U);
    for (const auto node : mesh.live_nodes()) EXPECT_EQ(mesh.dolr(node).status().lies, 0U) << node;
}

// A denial clears its signer of the lie only if it did sign it: else whoever lies adds any 64 bytes.
TEST(Answers, ADenialWhoseSignatureDoesNotVerifyIsOneThatWasNotSigned) {
    Mesh mesh{92};
    mesh.add_directly(20);
    std::size_t forged = 0;
    mesh.world.network().set_liar(10, [&](base::sim::Letter& letter) {
        if (letter.from != 10 || letter.kind != base::sim::Letter::Kind::answer || !letter.content) return;
        if (letter.content->verb() != static_cast<std::uint8_t>(Verb::deliver)) return;
        auto said = decode_delivered(*letter.content);
        if (!said || !said->withdrawal) return;
        auto bytes = base::to_bytes(said->withdrawal->sealed().view());
        bytes.back() ^= 1U;
        said->withdrawal = *Announcement::decode(std::move(bytes));
        EXPECT_FALSE(said->withdrawal->verify(mesh.world.network_id()));
        letter.content = encode(*said);
        ++forged;
    });
    const auto objects = objects_at(mesh, 7, 0, 10);
    show_what_node_10_forgot(mesh, objects);
    for (const auto& object : objects) doubt_node_10(mesh, object, 0);
    EXPECT_GE(forged, 2U);
    EXPECT_GE(mesh.dolr(7).status().lies, 1U);
    EXPECT_FALSE(mesh.dolr(7).believes(mesh.id(10)));
}

// The key and salt of a publisher are public: whoever likes can write an announcement in its name, but not sign it.
class InTheNameOfALiar : public ::testing::Test {
  protected:
    InTheNameOfALiar() {
        mesh.add_directly(20);
        mesh.world.network().set_liar(10, [](base::sim::Letter& letter) {
            if (letter.from != 10 || letter.kind != base::sim::Letter::Kind::answer || !letter.content) return;
            if (letter.content->verb() == static_cast<std::uint8_t>(Verb::deliver))
                letter.content = encode(Delivered{});
        });
        const auto objects = objects_at(mesh, kDeceived, 0, 4);
        show_what_node_10_forgot(mesh, objects);
        for (const auto& object : objects) doubt_node_10(mesh, object, 0);
    }
    /// The liar's, or what somebody wrote in its name.
    void tell(const base::Guid& object, bool forged) {
        Announcement::Terms terms{"n10", 0, static_cast<std::uint64_t>(mesh.world.node(3).env().clock.wall_ns()), 60s};
        auto said = Announcement::sign(mesh.identities[10], terms, {&object, 1});
        if (forged) {
            auto bytes = base::to_bytes(said.sealed().view());
            bytes.back() ^= 1U;
            said = *Announcement::decode(std::move(bytes));
        }
        auto message = encode(std::vector<Parcel>{{.announcement = said, .range = {0, 1}, .last = true}});
        auto& env = mesh.world.node(3).env();
        ASSERT_TRUE(*mesh.world.node(3).run(
            env.transport.request(mesh.world.node(kDeceived).address(), std::move(message), mesh.world.now() + 3s)));
    }
    static constexpr NodeIndex kDeceived = 7;
    Mesh mesh{91};
};

TEST_F(InTheNameOfALiar, NobodyMakesAnObjectUncertain) {
    ASSERT_FALSE(mesh.dolr(kDeceived).believes(mesh.id(10)));
    const auto object = objects_at(mesh, kDeceived, 0, 1)[0];
    tell(object, true);
    EXPECT_EQ(mesh.locate(5, object).error(), Errc::not_published);
}

TEST_F(InTheNameOfALiar, HeHimselfDoes) {
    const auto object = objects_at(mesh, kDeceived, 0, 1)[0];
    tell(object, false);
    EXPECT_EQ(mesh.locate(5, object).error(), Errc::roots_unreachable);
}

// Signed by a clock that was days ahead, kept by somebody, and shown again when the clock is right.
class FromTheFuture : public ::testing::Test {
  protected:
    FromTheFuture() { mesh.add_directly(100); }
    Announcement by_node_10(const base::Guid& object, base::Duration ahead) {
        const auto wall = mesh.world.node(3).env().clock.wall_ns() + ahead.count();
        Announcement::Terms terms{"n10", 0, static_cast<std::uint64_t>(wall), 750s};
        return Announcement::sign(mesh.identities[10], terms, {&object, 1});
    }
    void show(NodeIndex to, const Announcement& said, bool last) {
        auto message = encode(std::vector<Parcel>{{.announcement = said, .range = {0, 1}, .last = last}});
        auto& env = mesh.world.node(3).env();
        ASSERT_TRUE(*mesh.world.node(3).run(
            env.transport.request(mesh.world.node(to).address(), std::move(message), mesh.world.now() + 3s)));
        mesh.world.run_for(2s);
    }
    static constexpr NodeIndex kRoot = 7;
    Mesh mesh{93};
};

TEST_F(FromTheFuture, AnAnnouncementLocksItsPublisherOutNowhere) {
    const auto objects = objects_at(mesh, kRoot, 0, 3);
    show(kRoot, by_node_10(objects[0], 48h), true);
    mesh.dolr(10).publish({objects[1]});
    mesh.world.run_for(5s);
    EXPECT_EQ(mesh.dolr(kRoot).pointers_to(objects[1]), (std::vector{mesh.id(10)}));
    show(kRoot, by_node_10(objects[2], 23h), true);
    EXPECT_EQ(mesh.dolr(kRoot).pointers_to(objects[2]), (std::vector{mesh.id(10)})) << "clocks may differ by a day";
}

TEST_F(FromTheFuture, AnAnnouncementLeadsNobodyAstrayButTheRootIsNotCertainForALease) {
    const auto object = objects_at(mesh, kRoot, 0, 1)[0];
    const auto said = by_node_10(object, 48h);
    NodeIndex on_the_way = 11;
    while (mesh.ring(on_the_way).next_hops(object, 1)[0].node.id() == mesh.id(kRoot)) ++on_the_way;
    show(on_the_way, said, false);
    for (const auto node : mesh.live_nodes()) EXPECT_TRUE(mesh.dolr(node).pointers_to(object).empty()) << node;
    EXPECT_EQ(mesh.locate(5, object).error(), Errc::roots_unreachable);
    EXPECT_EQ(mesh.locate(5, mesh.world.rng().guid()).error(), Errc::not_published) << "of others it is";
    const auto sent = mesh.dolr(on_the_way).status().parcels_sent;
    for (int times = 0; times < 10; ++times) show(on_the_way, said, false);
    EXPECT_EQ(mesh.dolr(on_the_way).status().parcels_sent, sent) << "passed on once";
    mesh.world.run_for(mesh.options.dolr.lease);
    EXPECT_EQ(mesh.locate(5, object).error(), Errc::not_published);
}

TEST_F(FromTheFuture, APublisherIsHeardAsSoonAsItsClockIsRight) {
    const auto object = objects_at(mesh, kRoot, 0, 1)[0];
    mesh.world.node(10).step_wall_clock(48h);
    mesh.dolr(10).publish({object});
    EXPECT_EQ(mesh.published(10, {object}, 5s), (std::vector{object})) << "it should hear that nobody believes it";
    EXPECT_EQ(mesh.locate(5, object).error(), Errc::roots_unreachable);
    mesh.world.node(10).step_wall_clock(-48h);
    EXPECT_TRUE(mesh.published(10, {object}, 5s).empty());
    EXPECT_EQ(mesh.dolr(kRoot).pointers_to(object), (std::vector{mesh.id(10)}));
}

TEST(Answers, WhatIsNotSignedByItsPublisherIsNotTaken) {
    Mesh mesh{92};
    mesh.add_directly(20);
    const auto object = mesh.world.rng().guid();
    Announcement::Terms terms{"n10", 0, 1'000'000, 60s};
    auto bytes = base::to_bytes(Announcement::sign(mesh.identities[10], terms, {&object, 1}).sealed().view());
    bytes.back() ^= 1U;
    const auto forged = *Announcement::decode(std::move(bytes));
    auto message = encode(std::vector<Parcel>{{.announcement = forged, .range = {0, 1}}});
    auto& env = mesh.world.node(3).env();
    ASSERT_TRUE(*mesh.world.node(3).run(
        env.transport.request(mesh.world.node(7).address(), std::move(message), mesh.world.now() + 3s)));
    mesh.world.run_for(2s);
    EXPECT_EQ(mesh.dolr(7).status().refused, 1U);
    for (const auto node : mesh.live_nodes()) EXPECT_TRUE(mesh.dolr(node).pointers_to(object).empty()) << node;
}

// ---- who is dialled

/// Remembers what it was told to dial.
class RecordingTransport final : public base::Transport {
  public:
    explicit RecordingTransport(base::Transport& below) : below_{below} {}
    [[nodiscard]] const base::Address& self() const override { return below_.self(); }
    base::Task<base::Result<base::Message>> request(base::Address to, base::Message message,
                                                    base::TimePoint deadline) override {
        note(to, message);
        return below_.request(std::move(to), std::move(message), deadline);
    }
    void notify(const base::Address& to, base::Message message) override {
        note(to, message);
        below_.notify(to, std::move(message));
    }
    void serve(base::Service service, RequestHandler on_request, NotifyHandler on_notify) override {
        below_.serve(service, std::move(on_request), std::move(on_notify));
    }

    std::vector<base::Address> answered;  ///< Verb::found went there
    std::set<std::string> endpoints;      ///< of whatever

  private:
    void note(const base::Address& to, const base::Message& message) {
        endpoints.insert(to.endpoint);
        const bool found =
            message.service() == base::Service::tapestry && message.verb() == static_cast<std::uint8_t>(Verb::found);
        if (found) answered.push_back(to);
    }
    base::Transport& below_;
};

struct Recorded {
    Recorded(base::sim::Node& machine, base::NodeEnv env_in, const Identity& identity,
             const std::set<base::NodeId>& members)
        : transport{env_in.transport},
          env{env_in.executor, env_in.clock, env_in.rng, transport, env_in.disk, env_in.workers, env_in.log},
          ring{env, {machine.address(), {}}},
          dolr{env, ring, identity, [&members](const base::NodeId& node) { return members.contains(node); }} {}
    RecordingTransport transport;
    base::NodeEnv env;
    pastry::Node ring;
    Node dolr;
};

class Dialling : public ::testing::Test {
  protected:
    Dialling() {
        std::vector<pastry::Node*> rings;
        for (NodeIndex i = 0; i < kNodes; ++i) {
            base::Key seed{};
            seed[0] = static_cast<std::uint8_t>(i + 1);
            const Identity identity{base::SigningKey{seed}, base::Key{}, world.network_id()};
            base::sim::NodeOptions options;
            options.id = base::node_id(identity.key.public_key(), identity.salt);
            auto& machine = world.add_node(options);
            members.insert(machine.id());
            machine.start([this, &machine, identity](base::NodeEnv& env) {
                return std::make_unique<Recorded>(machine, env, identity, members);
            });
            rings.push_back(&at(i).ring);
        }
        pastry::testing::build_directly(rings, [](std::size_t, std::size_t) { return 20ms; });
        for (NodeIndex i = 0; i < kNodes; ++i) at(i).dolr.start(true);
        at(7).dolr.publish({object});
        world.run_for(2s);
    }

    Recorded& at(NodeIndex index) { return world.node(index).root<Recorded>(); }

    /// A question in somebody's name.
    void ask_as(base::Address asker) {
        Find find{.object = object, .asker = std::move(asker), .number = 1};
        at(3).ring.route(root_key(object, 0), encode(find, {}));
        world.run_for(10s);
    }
    std::vector<base::Address> answered() {
        std::vector<base::Address> all;
        for (NodeIndex i = 0; i < kNodes; ++i) {
            const auto& here = at(i).transport.answered;
            all.insert(all.end(), here.begin(), here.end());
            EXPECT_FALSE(at(i).transport.endpoints.contains("203.0.113.9:1")) << i;
        }
        return all;
    }

    static constexpr NodeIndex kNodes = 20;
    base::sim::World world{87};
    std::set<base::NodeId> members;
    const base::Guid object = *base::Guid::from_prefix("4378");
};

TEST_F(Dialling, AMemberIsAnsweredWhereItIsNotWhereAQuestionSays) {
    ask_as({world.node(11).id(), "203.0.113.9:1"});
    const auto all = answered();
    ASSERT_EQ(all.size(), 1U);
    EXPECT_EQ(all[0], world.node(11).address());
}

TEST_F(Dialling, WhoeverIsNoMemberIsAnsweredOverItsOwnConnectionOrNotAtAll) {
    const auto client = world.rng().guid();
    ask_as({client, "203.0.113.9:1"});
    const auto all = answered();
    ASSERT_EQ(all.size(), 1U);
    EXPECT_EQ(all[0], (base::Address{client, ""}));
}

}  // namespace
}  // namespace tapestry::testing
