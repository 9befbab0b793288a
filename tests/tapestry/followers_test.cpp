// Followers on small rings: Attaching, telling, leaving, and what liars come to.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "base/error.hpp"
#include "follow_world.hpp"
#include "tapestry/error.hpp"
#include "wire/codec_followers.hpp"

namespace tapestry::testing {
namespace {

constexpr auto kPeriod = FollowersConfig{}.digest_period;

/// Twenty machines near each other, of which the first `count` follow.
struct Small : FollowWorld {
    explicit Small(std::uint64_t seed, std::size_t count, FollowWorldOptions with = {})
        : FollowWorld{seed, 20, std::move(with), true} {
        watch(200ms);
        follow_all(count, std::chrono::seconds{count}, 30s);
    }
    ~Small() { EXPECT_EQ(cycles, 0U); }
    /// One that is below another and has children.
    [[nodiscard]] NodeIndex fork() {
        for (const auto index : following()) {
            if (parent_of(index) && !followers(index).place(object)->children.empty()) return index;
        }
        std::abort();
    }
    [[nodiscard]] FollowersStatus status(NodeIndex index) { return followers(index).status(); }
    base::Result<base::Message> ask(NodeIndex from, NodeIndex to, base::Message message) {
        auto& machine = world.node(from);
        auto answer = machine.run(
            machine.env().transport.request(world.node(to).address(), std::move(message), world.now() + 10s));
        return std::move(*answer);
    }
};

TEST(Followers, AllHangInOneTree) {
    Small net{1, 20};
    EXPECT_EQ(net.tops().size(), 1U);
    for (const auto index : net.following()) {
        EXPECT_TRUE(net.parent_of(index) || net.followers(index).place(net.object)->top) << index;
    }
}

TEST(Followers, ALoneOneIsATop) {
    Small net{2, 1};
    EXPECT_EQ(net.tops().size(), 1U);
    EXPECT_TRUE(net.post(0, 1));
    EXPECT_EQ(net.taken(1).size(), 1U);
}

TEST(Followers, WhoBeginAtTheSameTimeComeToHangInOneTree) {
    FollowWorld net{3, 60, {}, true};
    net.watch(200ms);
    net.follow_all(60, 0s, 1min);
    EXPECT_EQ(net.tops().size(), 1U);
    EXPECT_TRUE(net.post(33, 1));
    net.world.run_for(2s);
    EXPECT_EQ(net.lacking(1), 0U);
    EXPECT_EQ(net.cycles, 0U);
    EXPECT_GT(net.watched, 250U);
}

TEST(Followers, NewsOfAnyReachesAllAndHardlyAnybodyTwice) {
    Small net{4, 20};
    for (std::uint64_t sequence = 1; sequence <= 20; ++sequence) {
        EXPECT_TRUE(net.post(static_cast<NodeIndex>(sequence - 1), sequence));
        net.world.run_for(1s);
        EXPECT_EQ(net.taken(sequence).size(), 20U) << sequence;
    }
    std::uint64_t sent = 0;
    std::uint64_t known = 0;
    for (NodeIndex i = 0; i < 20; ++i) {
        sent += net.status(i).news_sent;
        known += net.status(i).news_known;
    }
    EXPECT_LE(sent, 20U * 19U + known) << "a body for each edge of the tree, but where a comparison fetched it first";
    EXPECT_LE(known, 4U) << "a comparison or a move may cross a push";
}

TEST(Followers, WhoDoesNotFollowCanPost) {
    Small net{5, 10};
    EXPECT_TRUE(net.post(15, 1));
    net.world.run_for(1s);
    EXPECT_EQ(net.lacking(1), 0U);
    EXPECT_FALSE(net.followers(15).newest(net.object));
}

TEST(Followers, WhoPublishesTheNameAndDoesNotFollowPostsToThoseWhoDo) {
    Small net{5, 10};
    net.dolr(15).publish({net.object});
    EXPECT_TRUE(net.post(15, 1));
    net.world.run_for(2s);
    EXPECT_EQ(net.lacking(1), 0U);
}

TEST(Followers, WhereNobodyFollowsNobodyCanBeTold) {
    Small net{6, 0};
    EXPECT_EQ(net.post(15, 1).error(), Errc::not_published);
}

TEST(Followers, ANewcomerIsToldTheNewestAtOnce) {
    Small net{7, 10};
    EXPECT_TRUE(net.post(3, 5));
    net.world.run_for(1s);
    net.follow(12);
    net.world.run_for(3s);
    ASSERT_TRUE(net.followers(12).newest(net.object));
    EXPECT_EQ(net.followers(12).newest(net.object)->sequence, 5U);
}

TEST(Followers, ANewcomerWhoKnowsMoreTellsTheOthers) {
    FollowWorldOptions options;
    Small net{8, 10, options};
    net.world.network().partition({{12}});
    net.follow(12);
    net.world.run_for(1s);
    EXPECT_TRUE(net.post(12, 9));
    net.world.network().heal();
    net.world.run_for(1min);
    EXPECT_EQ(net.lacking(9), 0U);
}

TEST(Followers, OldNewsIsNoNews) {
    Small net{9, 10};
    EXPECT_TRUE(net.post(3, 5));
    net.world.run_for(1s);
    EXPECT_TRUE(net.post(4, 4)) << "there is newer: so be it";
    net.world.run_for(1s);
    EXPECT_TRUE(net.taken(4).empty());
    EXPECT_EQ(net.followers(4).newest(net.object)->sequence, 5U);
}

TEST(Followers, ForgedNewsIsRefusedAndWhoSendsItAgainAndAgainIsNotHeard) {
    Small net{10, 10};
    for (int i = 0; i < 3; ++i) {
        const auto answer = net.ask(15, 2, encode(Push{net.object, 7}, forged_news(7)));
        EXPECT_EQ(answer.error(), base::Errc::bad_signature);
    }
    EXPECT_EQ(net.ask(15, 2, encode(Push{net.object, 7}, signed_news(7))).error(), base::Errc::denied);
    EXPECT_EQ(net.status(2).news_forged, 3U);
    EXPECT_EQ(net.ask(15, 3, encode(Push{net.object, 8}, signed_news(9))).error(), base::Errc::bad_argument)
        << "not the sequence that it claims";
    net.world.run_for(1s);
    EXPECT_EQ(net.lacking(1), 10U) << "nobody believed any";
    net.world.run_for(11min);
    EXPECT_TRUE(net.ask(15, 2, encode(Push{net.object, 7}, signed_news(7)))) << "a penalty ends";
}

TEST(Followers, NewsThatIsTooLongIsRefused) {
    Small net{11, 3};
    EXPECT_EQ(net.post(0, 1, kMaxNewsBytes + 1).error(), base::Errc::bad_argument);
    EXPECT_EQ(net.ask(15, 2, encode(Push{net.object, 1}, signed_news(1, kMaxNewsBytes + 1))).error(),
              base::Errc::bad_format);
    EXPECT_TRUE(net.post(0, 1, kMaxNewsBytes));
    net.world.run_for(1s);
    EXPECT_EQ(net.lacking(1), 0U);
}

TEST(Followers, OnlyMembersHangAndPush) {
    Small net{12, 5};
    net.members = [&net](const base::NodeId& node) { return node != net.id(15); };
    EXPECT_EQ(net.ask(15, 2, encode(Push{net.object, 7}, signed_news(7))).error(), base::Errc::denied);
    EXPECT_EQ(net.ask(15, 2, encode(Attach{net.object, {}, 0, 0})).error(), base::Errc::denied);
}

TEST(Followers, TrueNewsIsTakenAlthoughALiarSaysAtTheSameTimeThatItIsOther) {
    Small net{27, 1};
    for (const NodeIndex from : {14U, 15U}) net.world.network().set_latency(from, 0, 10ms);
    std::map<NodeIndex, base::Result<base::Message>> answers;
    const auto tell = [](Small& to, NodeIndex from, std::uint64_t sequence, auto& said) -> base::Task<void> {
        auto message = encode(Push{to.object, sequence}, signed_news(7));
        auto answer = co_await to.world.node(from).env().transport.request(to.world.node(0).address(),
                                                                           std::move(message), to.world.now() + 10s);
        said.emplace(from, std::move(answer));
    };
    net.world.node(14).spawn(tell(net, 14, 9, answers));
    net.world.node(15).spawn(tell(net, 15, 7, answers));
    net.world.run_for(1s);
    EXPECT_EQ(answers.at(14).error(), base::Errc::bad_argument);
    ASSERT_TRUE(answers.at(15));
    EXPECT_TRUE(decode_pushed(*answers.at(15))->taken);
    EXPECT_EQ(net.followers(0).newest(net.object)->sequence, 7U);
}

TEST(Followers, WhoeverSendsWhatIsStillBeingVerifiedIsNotToldThatItIsThere) {
    Small net{27, 1};
    for (const NodeIndex from : {14U, 15U}) net.world.network().set_latency(from, 0, 10ms);
    std::vector<Pushed> said;
    const auto tell = [](Small& to, NodeIndex from, auto& all) -> base::Task<void> {
        auto message = encode(Push{to.object, 7}, forged_news(7));
        const auto answer = co_await to.world.node(from).env().transport.request(
            to.world.node(0).address(), std::move(message), to.world.now() + 10s);
        if (answer) all.push_back(*decode_pushed(*answer));
    };
    for (const NodeIndex from : {14U, 15U}) net.world.node(from).spawn(tell(net, from, said));
    net.world.run_for(1s);
    ASSERT_EQ(said.size(), 1U) << "the first got an error";
    EXPECT_FALSE(said[0].taken);
    EXPECT_EQ(said[0].sequence, 0U);
}

/// Requests and notices of Followers that come to `to` from anybody.
std::shared_ptr<std::size_t> count_letters(FollowWorld& net, NodeIndex to) {
    const auto count = std::make_shared<std::size_t>(0);
    net.world.network().set_liar(to, [count, to](base::sim::Letter& letter) {
        if (letter.to != to || letter.kind == base::sim::Letter::Kind::answer || !letter.content) return;
        if (letter.content->service() == base::Service::followers) ++*count;
    });
    return count;
}

TEST(Followers, WhoIsRevokedHearsNothingMore) {
    Small net{28, 10};
    const auto revoked = net.fork();
    net.members = [&net, revoked](const base::NodeId& node) { return node != net.id(revoked); };
    net.world.run_for(1s);
    const auto letters = count_letters(net, revoked);
    EXPECT_TRUE(net.post(net.tops().at(0), 1));
    net.world.run_for(1min);
    EXPECT_EQ(*letters, 0U);
    for (const auto index : net.following()) {
        if (index == revoked) continue;
        const auto children = net.followers(index).place(net.object)->children;
        EXPECT_EQ(std::ranges::count(children, net.id(revoked)), 0);
    }
    EXPECT_EQ(net.lacking(1), 1U) << "the revoked one";
}

TEST(Followers, NobodyIsDialledWhoIsNoMemberBecauseAnotherNamedIt) {
    Small net{29, 10};
    const NodeIndex stranger = 15;
    net.members = [&net](const base::NodeId& node) { return node != net.id(stranger); };
    const auto letters = count_letters(net, stranger);
    for (const auto index : net.following()) {
        net.world.network().set_liar(index, [index, address = net.world.node(stranger).address()](auto& letter) {
            if (letter.from != index || letter.kind != base::sim::Letter::Kind::answer || !letter.content) return;
            if (letter.content->service() != base::Service::followers) return;
            if (letter.content->verb() != static_cast<std::uint8_t>(FollowVerb::look)) return;
            if (auto view = decode_view(*letter.content)) {
                view->children.insert(view->children.begin(), address);
                *letter.content = encode(*view, letter.content->payload);
            }
        });
    }
    net.follow(12);
    net.world.run_for(1min);
    EXPECT_TRUE(net.parent_of(12));
    EXPECT_EQ(*letters, 0U);
}

TEST(Followers, PostingEndsAtItsDeadline) {
    Small net{30, 1};
    const NodeIndex poster = 15;
    net.world.network().clog(poster, 0);
    const auto deadline = net.world.now() + 1s;
    News news{1, signed_news(1)};
    const auto posted = *net.world.node(poster).run(net.followers(poster).post(net.object, std::move(news), deadline));
    EXPECT_EQ(posted.error(), base::Errc::timed_out) << "it was found, and did not answer";
    EXPECT_LE(net.world.now(), deadline);
}

TEST(Followers, ChildrenAreBoundedAndWhoIsRefusedHangsElsewhere) {
    FollowWorldOptions options;
    options.followers.max_children = 2;
    Small net{13, 20, options};
    net.world.run_for(2min);
    for (const auto index : net.following()) {
        EXPECT_LE(net.followers(index).place(net.object)->children.size(), 2U) << index;
    }
    EXPECT_EQ(net.tops().size(), 1U);
    EXPECT_TRUE(net.post(7, 1));
    net.world.run_for(1s);
    EXPECT_EQ(net.lacking(1), 0U);
}

TEST(Followers, OnePeerHangsBelowAnotherForSoManyObjectsOnly) {
    FollowWorldOptions options;
    options.followers.max_objects_per_peer = 2;
    FollowWorld net{14, 20, options, true};
    std::vector<base::Guid> objects;
    for (int i = 0; i < 6; ++i) objects.push_back(net.world.rng().guid());
    for (const auto& object : objects) EXPECT_TRUE(net.followers(1).follow(object, &verify_news, {}));
    net.world.run_for(5s);
    for (const auto& object : objects) EXPECT_TRUE(net.followers(2).follow(object, &verify_news, {}));
    net.world.run_for(1min);
    EXPECT_LE(net.followers(1).status().children, 2U);
    EXPECT_LE(net.followers(2).status().children, 2U);
    EXPECT_GE(net.followers(1).status().children + net.followers(2).status().children, 2U);
}

TEST(Followers, ObjectsFollowedAreBoundedAndFollowedOnce) {
    FollowWorldOptions options;
    options.followers.max_followed = 2;
    FollowWorld net{15, 5, options, true};
    auto& followers = net.followers(0);
    const auto object = net.world.rng().guid();
    EXPECT_TRUE(followers.follow(object, &verify_news, {}));
    EXPECT_EQ(followers.follow(object, &verify_news, {}).error(), base::Errc::exists);
    EXPECT_TRUE(followers.follow(net.world.rng().guid(), &verify_news, {}));
    EXPECT_EQ(followers.follow(net.world.rng().guid(), &verify_news, {}).error(), base::Errc::busy);
    followers.unfollow(object);
    EXPECT_TRUE(followers.follow(net.world.rng().guid(), &verify_news, {}));
}

TEST(Followers, WhoLeavesSaysSoAndItsChildrenFindAnotherPlaceAtOnce) {
    Small net{16, 20};
    const auto top = net.tops().at(0);
    const auto leaver = net.fork();
    net.unfollow(leaver);
    net.world.run_for(3s);  // less than a period
    EXPECT_TRUE(net.post(top, 1));
    net.world.run_for(1s);
    EXPECT_EQ(net.following().size(), 19U);
    EXPECT_EQ(net.lacking(1), 0U);
    EXPECT_EQ(net.ask(top, leaver, encode(Look{net.object, {}, 0, false})).error(), base::Errc::not_found);
}

TEST(Followers, WhenAParentDiesItsChildrenHangElsewhereAfterTwoDigests) {
    Small net{17, 20};
    const auto top = net.tops().at(0);
    const auto dead = net.fork();
    net.world.node(dead).power_off();
    EXPECT_TRUE(net.post(top, 1));
    net.world.run_for(2 * kPeriod + 10s);
    EXPECT_EQ(net.lacking(1), 0U);
    EXPECT_EQ(net.tops().size(), 1U);
}

TEST(Followers, WhenTheTopDiesAnotherIsFound) {
    Small net{18, 20};
    net.world.node(net.tops().at(0)).power_off();
    net.world.run_for(2 * kPeriod + 20s);
    EXPECT_EQ(net.tops().size(), 1U);
    EXPECT_TRUE(net.post(net.following().at(0), 1));
    net.world.run_for(1s);
    EXPECT_EQ(net.lacking(1), 0U);
}

TEST(Followers, WhoComesBackKnowsNothingAndHangsBelowNobodyThatIsBelowIt) {
    Small net{19, 20};
    for (int i = 0; i < 4; ++i) {
        const auto top = net.tops().at(0);
        net.world.node(top).kill();
        net.restart(top);
        net.world.run_for(2 * kPeriod + 20s);
        // If all that it finds still take it for their parent it is a top of its own, until a comparison (one a
        // minute).
        EXPECT_TRUE(net.world.run_until([&] { return net.tops().size() == 1; }, FollowersConfig{}.compare_period)) << i;
    }
    EXPECT_TRUE(net.post(0, 1));
    net.world.run_for(1s);
    EXPECT_EQ(net.lacking(1), 0U);
}

TEST(Followers, LostDigestsAndNewsAreMadeUpFor) {
    Small net{20, 20};
    net.world.network().set_loss(0.2);
    for (std::uint64_t sequence = 1; sequence <= 10; ++sequence) {
        EXPECT_TRUE(net.post(static_cast<NodeIndex>(sequence), sequence));
        net.world.run_for(3 * kPeriod);
        EXPECT_EQ(net.lacking(sequence), 0U) << sequence;
    }
}

TEST(Followers, SlowReceiversAreSentTheNewestOnly) {
    Small net{21, 2};
    const NodeIndex slow = net.tops().at(0) == 0 ? 1 : 0;
    net.world.network().clog_node(slow);
    for (std::uint64_t sequence = 1; sequence <= 50; ++sequence) EXPECT_TRUE(net.post(1 - slow, sequence));
    net.world.run_for(1s);
    net.world.network().unclog_node(slow);
    net.world.run_for(10s);
    EXPECT_EQ(net.lacking(50), 0U);
    EXPECT_LE(net.status(1 - slow).news_sent, 4U);
}

TEST(Followers, WhoTakesNewsAndSaysThatItHasNoneIsSentItOnce) {
    Small net{26, 2};
    const NodeIndex liar = net.tops().at(0) == 0 ? 1 : 0;
    net.world.network().set_liar(liar, [liar](base::sim::Letter& letter) {
        if (letter.from != liar || letter.kind != base::sim::Letter::Kind::answer || !letter.content) return;
        if (letter.content->service() != base::Service::followers) return;
        if (letter.content->verb() != static_cast<std::uint8_t>(FollowVerb::push)) return;
        *letter.content = encode(Pushed{true, 0});
    });
    EXPECT_TRUE(net.post(1 - liar, 1));
    net.world.run_for(2 * kPeriod);
    EXPECT_EQ(net.status(1 - liar).news_sent, 1U);
    EXPECT_TRUE(net.post(1 - liar, 2));
    net.world.run_for(2 * kPeriod);
    EXPECT_EQ(net.status(1 - liar).news_sent, 2U) << "the next it is sent like anybody";
}

TEST(Followers, AParentThatKeepsNewsBackIsFoundOutAndLeft) {
    FollowWorldOptions options;
    options.followers.compare_period = 15s;
    Small net{22, 20, options};
    const auto liar = net.fork();
    const auto kept_from = net.followers(liar).place(net.object)->children;
    net.world.network().set_liar(liar, [liar](base::sim::Letter& letter) {
        if (letter.from != liar || letter.kind != base::sim::Letter::Kind::request || !letter.content) return;
        if (letter.content->verb() == static_cast<std::uint8_t>(FollowVerb::push)) letter.drop = true;
        if (letter.content->verb() != static_cast<std::uint8_t>(FollowVerb::digest)) return;
        auto digest = decode_digest(*letter.content);
        if (!digest) return;
        digest->standing.sequence = 0;  // "there is nothing new"
        *letter.content = encode(*digest);
    });
    for (std::uint64_t sequence = 1; sequence <= 12; ++sequence) {
        EXPECT_TRUE(net.post(net.tops().at(0), sequence));
        net.world.run_for(20s);
    }
    const auto place = *net.followers(liar).place(net.object);
    for (const auto& child : place.children) {
        EXPECT_EQ(std::ranges::find(kept_from, child), kept_from.end()) << "they know it";
    }
    net.world.run_for(1min);
    EXPECT_EQ(net.lacking(12), 0U) << "who came to it since finds out too";
    std::uint64_t missing = 0;
    for (const auto index : net.following()) missing += net.status(index).found_missing;
    EXPECT_GE(missing, kept_from.size());
}

/// Says of itself, whenever it says how it stands, that its round is so much higher.
std::function<void(base::sim::Letter&)> boaster(NodeIndex liar, std::uint64_t rounds) {
    return [liar, rounds](base::sim::Letter& letter) {
        if (letter.from != liar || !letter.content) return;
        auto& message = *letter.content;
        if (message.service() != base::Service::followers) return;
        const auto boast = [&](Standing& standing) { standing.rank.round += rounds; };
        if (letter.kind == base::sim::Letter::Kind::answer) {
            if (auto reply = decode_attach_reply(message); reply && message.verb() == 2) {
                boast(reply->view.standing);
                message = encode(*reply, message.payload);
            } else if (auto view = decode_view(message); view && message.verb() == 1) {
                boast(view->standing);
                message = encode(*view, message.payload);
            }
        } else if (auto digest = decode_digest(message); digest && message.verb() == 3) {
            boast(digest->standing);
            message = encode(*digest);
        } else if (auto look = decode_look(message); look && message.verb() == 1) {
            if (look->rank.round > 0) look->rank.round += rounds;
            message = encode(*look);
        }
    };
}

TEST(Followers, NobodyHangsBelowWhoBoastsOfAnEndlessRound) {
    Small net{23, 10};
    net.world.network().set_liar(15, boaster(15, std::uint64_t{1} << 40U));
    net.follow(15);
    net.world.run_for(2min);
    EXPECT_TRUE(net.followers(15).place(net.object)->children.empty());
    EXPECT_TRUE(net.post(3, 1));
    net.world.run_for(1s);
    EXPECT_EQ(net.lacking(1), 0U);
}

TEST(Followers, WhoSkipsRoundsIsATopLikeAnyOtherAndCanDie) {
    Small net{23, 10};
    net.world.network().set_liar(15, boaster(15, 1U << 20U));
    net.follow(15);
    net.world.run_for(2min);
    EXPECT_TRUE(net.post(3, 1));
    net.world.run_for(1s);
    EXPECT_EQ(net.lacking(1), 0U);
    net.world.node(15).power_off();
    net.world.run_for(1min);
    EXPECT_EQ(net.tops().size(), 1U);
    EXPECT_TRUE(net.post(4, 2));
    net.world.run_for(1s);
    EXPECT_EQ(net.lacking(2), 0U);
}

// Stories of strangers make a top look around ever more seldom; a child that leaves it for a place above it is none.
TEST(Followers, AChildThatTookTheTopIsSoughtByTheOldOneAlthoughStrangersToldStories) {
    Small net{23, 10};
    const auto top = net.tops().at(0);
    std::size_t sought = 0;
    net.world.network().set_liar(15, [&](base::sim::Letter& letter) {
        if (letter.to != 15 || letter.from != top || letter.kind != base::sim::Letter::Kind::request) return;
        if (!letter.content || letter.content->service() != base::Service::followers) return;
        if (letter.content->verb() == static_cast<std::uint8_t>(FollowVerb::look)) ++sought;
    });
    const Rank higher{net.followers(top).place(net.object)->round + 1000, net.id(15), 0};
    const auto tell = [&] { ASSERT_TRUE(net.ask(15, top, encode(Look{net.object, higher, 0, false}))); };
    net.world.run_for(2min);
    for (std::size_t times = 0; times < 200 && sought < 2; ++times) {
        tell();
        net.world.run_for(1s);
    }
    tell();
    net.world.run_for(2s);
    ASSERT_EQ(sought, 2U) << "not each time";
    ASSERT_TRUE(net.ask(15, top, encode(Attach{net.object, {}, 0, 0})));
    ASSERT_EQ(std::ranges::count(net.followers(top).place(net.object)->children, net.id(15)), 1);
    net.world.node(15).env().transport.notify(net.world.node(top).address(), encode(Leave{net.object, higher, {}}));
    net.world.run_for(1s);
    EXPECT_EQ(sought, 3U);
}

TEST(Followers, ADigestOfAStrangerChangesNothing) {
    Small net{24, 10};
    const NodeIndex victim = net.tops().at(0) == 0 ? 1 : 0;
    const auto before = net.parent_of(victim);
    Standing standing{.rank = {1'000'000, net.id(15), 0}, .sequence = 99, .hash = net.object};
    const auto answer = net.ask(15, victim, encode(Digest{net.object, standing, true}));
    ASSERT_TRUE(answer);
    EXPECT_FALSE(decode_digested(*answer)->yours);
    net.world.run_for(1s);
    EXPECT_EQ(net.parent_of(victim), before);
}

TEST(Followers, HostileBytesAreAnErrorAndNothingElse) {
    Small net{25, 5};
    for (std::uint8_t verb = 0; verb < 8; ++verb) {
        EXPECT_FALSE(net.ask(15, 2, {base::Service::followers, verb, base::to_bytes("\xFF\xFF nonsense")}));
    }
    EXPECT_GE(net.status(2).refused, 4U);
}

// Each side goes on by itself, and they meet again: whatever either learnt both know.
TEST(Followers, TreesOfAPartitionMeetAgain) {
    FollowWorld net{26, 60, {}, true};
    net.watch(200ms);
    net.follow_all(60, 30s, 1min);
    std::vector<NodeIndex> side;
    for (NodeIndex i = 0; i < 25; ++i) side.push_back(i);
    net.world.network().partition({side});
    net.world.run_for(2min);
    EXPECT_EQ(net.tops().size(), 2U) << "a tree on each side";
    EXPECT_TRUE(net.post(3, 5));
    EXPECT_TRUE(net.post(40, 7));
    net.world.run_for(2s);
    EXPECT_EQ(net.lacking(5), 0U);
    EXPECT_EQ(net.lacking(7), 25U);
    net.world.network().heal();
    net.world.run_for(1min);
    EXPECT_EQ(net.tops().size(), 1U);
    EXPECT_EQ(net.lacking(7), 0U);
    EXPECT_EQ(net.cycles, 0U);
}

}  // namespace
}  // namespace tapestry::testing
