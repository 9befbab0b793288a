// A mesh in which a tenth of the certified members does what it can: floods, publishes what it does not hold, shows
// again what others said once, speaks for the revoked, answers what it was not asked.
#include <gtest/gtest.h>

#include <cstdio>
#include <memory>

#include "mesh.hpp"
#include "wire/codec.hpp"

namespace tapestry::testing {
namespace {

constexpr NodeIndex kNodes = 100;
constexpr NodeIndex kFirstHonest = 10;

MeshOptions small_tables() {
    MeshOptions options;
    options.dolr.max_pointers = 4000;
    options.dolr.max_pointer_bytes = 2U << 20U;
    return options;
}

class HostileMesh : public ::testing::Test {
  protected:
    struct Claim {
        base::Guid object;
        NodeIndex holder = 0;
    };

    HostileMesh() { mesh.add_directly(kNodes); }

    NodeIndex some_honest() {
        for (;;) {
            const auto index = mesh.random_live();
            if (index >= kFirstHonest) return index;
        }
    }

    void honest_nodes_publish(std::size_t each) {
        for (NodeIndex node = kFirstHonest; node < kNodes; ++node) {
            for (std::size_t i = 0; i < each; ++i) {
                claims.push_back({mesh.world.rng().guid(), node});
                mesh.dolr(node).publish({claims.back().object});
            }
        }
    }

    void every(base::Duration pause, std::function<void()> act) {
        mesh.world.after(pause, [this, pause, act] {
            act();
            every(pause, act);
        });
    }

    /// Publishes without end, many in one announcement.
    void flood(NodeIndex flooder, std::size_t ids) {
        every(10s, [this, flooder, ids] {
            std::vector<base::Guid> objects;
            for (std::size_t i = 0; i < ids; ++i) objects.push_back(mesh.world.rng().guid());
            mesh.dolr(flooder).publish(objects);
        });
    }
    /// The same, one in each announcement, sent to anybody.
    void pester(NodeIndex flooder, std::size_t ids) {
        every(10s, [this, flooder, ids] {
            std::vector<Parcel> parcels;
            for (std::size_t i = 0; i < ids; ++i) {
                const auto stamp = static_cast<std::uint64_t>(mesh.world.node(flooder).env().clock.wall_ns()) + i;
                const auto object = mesh.world.rng().guid();
                parcels.push_back({.announcement = Announcement::sign(mesh.identities[flooder],
                                                                      {"evil", 0, stamp, kMaxLease}, {&object, 1}),
                                   .range = {0, 1},
                                   .last = true});
            }
            send_raw(flooder, some_honest(), encode(parcels));
        });
    }
    /// Says of everything that it has it; asked for it, says no, and signs nothing.
    void lie(NodeIndex liar) {
        mesh.member(liar).denies = true;
        mesh.world.network().set_liar(liar, [liar](base::sim::Letter& letter) {
            if (letter.from != liar || letter.kind != base::sim::Letter::Kind::answer || !letter.content) return;
            if (letter.content->service() != base::Service::tapestry) return;
            if (letter.content->verb() == static_cast<std::uint8_t>(Verb::deliver))
                letter.content = encode(Delivered{});
        });
        every(30s, [this, liar] {
            std::vector<base::Guid> objects;
            for (const auto& claim : claims) objects.push_back(claim.object);
            mesh.dolr(liar).publish(objects);
        });
    }
    /// Keeps what passes by, and shows it again to anybody.
    void replay(NodeIndex replayer) {
        auto kept = std::make_shared<std::vector<Parcel>>();
        mesh.world.network().set_liar(replayer, [kept, replayer](base::sim::Letter& letter) {
            if (letter.to != replayer || letter.kind != base::sim::Letter::Kind::request || !letter.content) return;
            if (letter.content->service() != base::Service::tapestry) return;
            if (letter.content->verb() != static_cast<std::uint8_t>(Verb::publish)) return;
            const auto parcels = decode_publish(*letter.content);
            if (!parcels) return;
            for (const auto& parcel : *parcels) {
                if (!parcel.announcement.withdrawn() && kept->size() < 20'000) kept->push_back(parcel);
            }
        });
        every(2s, [this, kept, replayer] {
            if (kept->empty()) return;
            std::vector<Parcel> some;
            for (int i = 0; i < 20; ++i) {
                auto parcel = (*kept)[mesh.world.rng().below(kept->size())];
                parcel.last = mesh.world.rng().below(2) == 0;
                parcel.age = {};
                some.push_back(std::move(parcel));
            }
            send_raw(replayer, some_honest(), encode(some));
        });
    }
    /// Passes every question on, swallows those of which it is the root, and tells who asks, by the number that it saw,
    /// that the other root, which was not asked by that, has it from the forger, and that nobody else publishes it.
    class Forger final : public pastry::Application {
      public:
        Forger(HostileMesh& owner, NodeIndex self) : owner_{owner}, self_{self} {}
        void deliver(const base::Guid& /*key*/, const pastry::NodeHandle& /*origin*/, base::Message message,
                     unsigned /*hops*/) override {
            answer(message);
        }
        bool forward(const base::Guid& /*key*/, base::Message& message, const pastry::NodeHandle& /*next*/) override {
            answer(message);
            return true;
        }

      private:
        void answer(const base::Message& message) {
            const auto find = decode_find(message.header);
            if (message.verb() != static_cast<std::uint8_t>(Verb::find) || !find) return;
            Found found{.number = find->number, .root = find->root ^ 1U, .last = true, .certain = true};
            found.places.push_back({owner_.mesh.world.node(self_).address(), {}});
            const auto& asker = find->asker.id;
            for (NodeIndex node = kFirstHonest; node < kNodes; ++node) {
                if (owner_.mesh.id(node) == asker) owner_.send_raw(self_, node, encode(found));
            }
            ++owner_.tally.forged;
        }
        HostileMesh& owner_;
        NodeIndex self_;
    };
    void forge(NodeIndex forger) {
        forgers.push_back(std::make_unique<Forger>(*this, forger));
        mesh.ring(forger).attach(base::Service::tapestry, forgers.back().get());
    }

    void send_raw(NodeIndex from, NodeIndex to, base::Message message) {
        if (!mesh.live(from)) return;
        mesh.world.node(from).spawn([](base::NodeEnv& env, base::Address whom, base::Message what) -> base::Task<void> {
            (void)co_await env.transport.request(std::move(whom), std::move(what), env.clock.now() + 3s);
        }(mesh.world.node(from).env(), mesh.world.node(to).address(), std::move(message)));
    }

    struct Tally {
        std::size_t asked = 0;
        std::size_t at_once = 0;
        std::size_t honest = 0;    // answers in which an honest holder is
        std::size_t invented = 0;  // holders that never said so
        std::size_t forged = 0;    // answers for another root than was asked
        std::size_t sent = 0;
        std::size_t taken = 0;
    };

    void honest_nodes_ask(base::Duration span, std::size_t times) {
        for (std::size_t i = 0; i < times; ++i) {
            mesh.world.after(span * static_cast<std::int64_t>(i) / static_cast<std::int64_t>(times), [this, i] {
                const auto claim = claims[mesh.world.rng().below(claims.size())];
                const auto from = some_honest();
                if (from == claim.holder || !mesh.live(claim.holder)) return;
                mesh.world.node(from).spawn(i % 2 == 0 ? ask(from, claim) : give(from, claim));
            });
        }
        mesh.world.run_for(span + 30s);
    }
    /// As an application does: whoever does not have it is left out, and more asked for.
    base::Task<void> ask(NodeIndex from, Claim claim) {
        ++tally.asked;
        std::vector<base::NodeId> failed;
        for (int times = 0; times < 4; ++times) {
            const auto deadline = mesh.world.now() + 20s;
            const auto found = co_await mesh.dolr(from).locate_others(claim.object, failed, deadline);
            if (!found) co_return;
            for (const auto& location : found->holders) {
                const auto& id = location.holder.id;
                if (id == mesh.id(claim.holder)) {
                    ++tally.honest;
                    if (times == 0) ++tally.at_once;
                    co_return;
                }
                const bool may_say_so = std::ranges::any_of(liars, [&](NodeIndex liar) { return mesh.id(liar) == id; });
                if (!may_say_so) ++tally.invented;
                failed.push_back(id);
            }
        }
    }
    base::Task<void> give(NodeIndex from, Claim claim) {
        ++tally.sent;
        base::SharedBytes letter{base::to_bytes("a letter")};
        const auto reached = co_await mesh.dolr(from).send_to_object(claim.object, letter, 1, mesh.world.now() + 20s);
        if (reached) ++tally.taken;
    }

    std::vector<std::unique_ptr<Forger>> forgers;  // outlive the rings
    Mesh mesh{70, small_tables()};
    std::vector<Claim> claims;
    std::vector<NodeIndex> liars;
    Tally tally;
};

TEST_F(HostileMesh, WhatHonestNodesHoldStaysFound) {
    honest_nodes_publish(5);
    mesh.world.run_for(10s);
    for (const NodeIndex flooder : {0U, 1U}) flood(flooder, 1000);
    pester(2, 100);
    liars = {3, 4, 5};
    for (const auto liar : liars) lie(liar);
    for (const NodeIndex replayer : {6U, 7U}) replay(replayer);
    for (const NodeIndex forger : {8U, 9U}) forge(forger);
    honest_nodes_ask(6min, 4000);
    std::size_t most_pointers = 0;
    std::size_t most_bytes = 0;
    std::size_t guilty = 0;
    std::size_t innocent = 0;
    for (NodeIndex node = kFirstHonest; node < kNodes; ++node) {
        const auto status = mesh.dolr(node).status();
        most_pointers = std::max(most_pointers, status.pointers);
        most_bytes = std::max(most_bytes, status.pointer_bytes);
        for (NodeIndex other = 0; other < kNodes; ++other) {
            if (mesh.dolr(node).believes(mesh.id(other))) continue;
            ++(std::ranges::count(liars, other) > 0 ? guilty : innocent);
        }
    }
    std::printf(
        "located %zu of %zu, %zu at once; sent %zu, taken %zu; %zu answers forged; at most %zu pointers and %zu bytes "
        "a node; a liar "
        "is refused at %.0f nodes of %u\n",
        tally.honest, tally.asked, tally.at_once, tally.sent, tally.taken, tally.forged, most_pointers, most_bytes,
        static_cast<double>(guilty) / static_cast<double>(liars.size()), kNodes - kFirstHonest);
    EXPECT_EQ(tally.honest, tally.asked);
    EXPECT_EQ(tally.taken, tally.sent);
    EXPECT_EQ(tally.invented, 0U) << "nobody was believed who answered what he was not asked";
    EXPECT_GT(tally.forged, 50U);
    EXPECT_EQ(most_pointers, mesh.options.dolr.max_pointers) << "the floods should fill the tables";
    EXPECT_LE(most_bytes, mesh.options.dolr.max_pointer_bytes);
    EXPECT_EQ(innocent, 0U);
    EXPECT_GT(guilty, liars.size() * 30);
}

// Somebody beside the way hears it early and is faster to the next hop.
TEST_F(HostileMesh, ACopyThatWasSentAheadToBeInTheWayIsNot) {
    for (int times = 0; times < 60; ++times) {
        const auto object = mesh.world.rng().guid();
        const auto publisher = some_honest();
        const auto root = mesh.root_of(object);
        const auto way = mesh.ring(publisher).next_hops(object, 1);
        ASSERT_FALSE(way.empty());
        NodeIndex next = 0;
        while (mesh.id(next) != way.front().node.id()) ++next;
        if (root == publisher || root == next) continue;
        const std::chrono::seconds lease{750};
        const auto stamp = static_cast<std::uint64_t>(mesh.world.node(publisher).env().clock.wall_ns());
        const auto said = Announcement::sign(mesh.identities[publisher], {"h", 0, stamp, lease}, {&object, 1});
        const Parcel good{.announcement = said, .range = {0, 1}, .hops = 1, .confirm = true};
        auto bad = good;
        bad.hops = times % 3 == 0 ? kMaxHops : 1;
        bad.age = times % 3 == 1 ? lease - 1s : base::Duration{};
        bad.confirm = times % 3 != 2;
        std::size_t confirmed = 0;
        mesh.world.network().set_liar(publisher, [&confirmed, publisher](base::sim::Letter& letter) {
            if (letter.to != publisher || letter.kind != base::sim::Letter::Kind::request || !letter.content) return;
            if (letter.content->service() != base::Service::tapestry) return;
            if (letter.content->verb() == static_cast<std::uint8_t>(Verb::arrived)) ++confirmed;
        });
        send_raw(0, next, encode({bad}));
        mesh.world.run_for(100ms);
        send_raw(publisher, next, encode({good}));
        mesh.world.run_for(5s);
        EXPECT_EQ(mesh.dolr(root).pointers_to(object).size(), 1U) << times;
        if (mesh.ring(root).find(mesh.id(publisher))) {  // else it is told along the ring
            EXPECT_GE(confirmed, 1U) << times;
            tally.at_once += times % 3 == 2 ? 1 : 0;
        }
        mesh.world.network().set_liar(publisher, {});
        ++tally.taken;
    }
    EXPECT_GT(tally.taken, 5U) << "more hops than one";
    EXPECT_GT(tally.at_once, 0U) << "some of which are to be confirmed";
}

// Withdrawn, dead, revoked; and two members go on showing what these said once.
TEST_F(HostileMesh, WhatSomebodySaidOnceIsNotBroughtBackByShowingItAgain) {
    for (const NodeIndex replayer : {6U, 7U}) replay(replayer);
    honest_nodes_publish(2);
    mesh.world.run_for(30s);
    std::vector<Claim> over;
    for (const auto& claim : claims) {
        if (claim.holder >= 40) continue;
        over.push_back(claim);
        if (claim.holder < 20) mesh.dolr(claim.holder).unpublish({claim.object});
        if (claim.holder < 20 || !mesh.live(claim.holder)) continue;
        if (claim.holder < 30) mesh.world.node(claim.holder).power_off();
        if (claim.holder >= 30) mesh.members.erase(mesh.id(claim.holder));
    }
    mesh.world.run_for(mesh.options.dolr.lease * 5 / 4);
    std::size_t astray = 0;
    for (const auto& claim : over) {
        for (unsigned root = 0; root < mesh.options.dolr.roots; ++root) {
            const auto at = mesh.root_of(root_key(claim.object, root));
            const auto known = at == claim.holder ? 0 : mesh.dolr(at).pointers_to(claim.object).size();
            EXPECT_EQ(known, 0U) << "holder " << claim.holder << ", root " << at;
        }
        auto from = some_honest();
        while (from < 40) from = some_honest();
        auto found = mesh.locate(from, claim.object);
        if (found) {  // a node that never heard anything newer of the holder; it looks for itself when told
            ++astray;
            found = mesh.locate_others(from, claim.object, {mesh.id(claim.holder)});
            ASSERT_FALSE(found);
            mesh.world.run_for(5s);
            found = mesh.locate(from, claim.object);
        }
        ASSERT_FALSE(found);
        EXPECT_EQ(found.error(), Errc::not_published);
    }
    std::printf("of %zu such objects %zu led somebody astray, once\n", over.size(), astray);
    EXPECT_LT(astray, over.size() / 4);
}

}  // namespace
}  // namespace tapestry::testing
