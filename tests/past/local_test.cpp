// A command and the daemon on its machine: the same Storage on both sides of a socket.
#include "past/local.hpp"
#include "base/error.hpp"
#include "cluster.hpp"

namespace past::test {
namespace {

/// The daemon's end: hands the verbs of PAST to a LocalServer, as tools/daemon does.
struct Daemon {
    Daemon(base::NodeEnv env, Node& node)
        : server{env, node,
                 [&node](base::Guid group, base::TimePoint deadline) { return node.holders(group, deadline); }} {
        env.transport.serve(base::Service::local,
                            [this](base::Peer, base::Message message) -> base::Task<base::Result<base::Message>> {
                                if (!LocalServer::owns(message.verb())) return refuse();
                                return server.handle(std::move(message));
                            },
                            {});
    }
    static base::Task<base::Result<base::Message>> refuse() { co_return base::Errc::unsupported; }
    LocalServer server;
};

struct DaemonAndCommand {
    static ClusterOptions of(std::size_t peers) {
        ClusterOptions options;
        options.peers = peers;
        return options;
    }
    explicit DaemonAndCommand(std::size_t peers = 5) : cluster{world, of(peers)} {}

    sim::World world{1};
    Cluster cluster;
    Daemon daemon{cluster.machine(0).env(), cluster.node(0)};
    LocalClient client{world.env().transport, world.env().clock, cluster.machine(0).address()};
};

TEST(Local, ACommandSeesWhatTheNodeSees) {
    DaemonAndCommand s;
    const auto deadline = s.cluster.in(30s);
    const auto put =
        s.world.run(s.client.put(group_of(1), test_tag(), {make_block(1), make_block(2)}, Wait::full, deadline));
    ASSERT_TRUE(put) << put.error().message();
    EXPECT_EQ(put->copies_stored, 3U);
    const auto bytes = s.world.run(s.client.get(group_of(1), make_block(2).id, deadline));
    ASSERT_TRUE(bytes) << bytes.error().message();
    EXPECT_EQ(base::sha256(*bytes), make_block(2).id);
    EXPECT_EQ(s.world.run(s.client.get(group_of(1), make_block(3).id, deadline)).error(), Errc::block_not_found);
    const auto held =
        s.world.run(s.client.touch(group_of(1), test_tag(), {make_block(1).id, make_block(3).id}, deadline));
    EXPECT_EQ(*held, (std::vector<bool>{true, false}));
    EXPECT_FALSE(s.world.run(s.client.read_record(group_of(9), deadline))->has_value());
    ASSERT_TRUE(s.world.run(s.client.write_record(group_of(9), 0, make_record(1, "a"), deadline)));
    EXPECT_EQ(s.world.run(s.client.write_record(group_of(9), 0, make_record(1, "b"), deadline)).error(),
              Errc::conflict);
    const auto record = s.world.run(s.client.read_record(group_of(9), deadline));
    ASSERT_TRUE(record && *record);
    EXPECT_EQ((*record)->body, make_record(1, "a").body);
    const auto shown = s.world.run(s.client.read_any_record(group_of(9), deadline));
    ASSERT_TRUE(shown) << shown.error().message();
    EXPECT_EQ(shown->record.body, record->value().body);
    EXPECT_TRUE(shown->agreed());
    const auto holders = s.world.run(s.client.holders(group_of(1), deadline));
    ASSERT_TRUE(holders);
    EXPECT_EQ(holders->size(), 3U);
    Reclaim unsigned_reclaim;
    unsigned_reclaim.blocks = {make_block(1).id};
    EXPECT_EQ(s.world.run(s.client.remove(unsigned_reclaim, deadline)).error(), Errc::not_owner);
}

TEST(Local, ARecordIsGivenBackToANetworkOfOneOnly) {
    for (const std::size_t peers : {1U, 5U}) {
        DaemonAndCommand s{peers};
        const auto deadline = s.cluster.in(30s);
        const auto done = s.world.run(s.client.restore_record(group_of(9), make_record(7, "seen"), deadline));
        if (peers > 1) {
            ASSERT_FALSE(done);
            EXPECT_EQ(done.error(), Errc::kept_by_others);
            EXPECT_FALSE(s.world.run(s.client.read_record(group_of(9), deadline))->has_value());
            continue;
        }
        ASSERT_TRUE(done) << done.error().message();
        EXPECT_EQ((*s.world.run(s.client.read_record(group_of(9), deadline)))->body, make_record(7, "seen").body);
        EXPECT_TRUE(s.world.run(s.client.write_record(group_of(9), 7, make_record(8, "next"), deadline)));
    }
}

TEST(Local, TheDaemonDoesNotTakeACommandsWordForAnId) {
    DaemonAndCommand s;
    auto block = make_block(1);
    block.id = make_block(2).id;
    const auto put = s.world.run(s.client.put(group_of(1), test_tag(), {block}, Wait::full, s.cluster.in(30s)));
    ASSERT_FALSE(put);
    EXPECT_EQ(put.error(), Errc::corrupt_block);
}

TEST(Local, ADeadDaemonIsUnreachable) {
    DaemonAndCommand s;
    s.cluster.kill(0);
    EXPECT_EQ(s.world.run(s.client.get(group_of(1), make_block(1).id, s.cluster.in(5s))).error(),
              base::Errc::unreachable);
}

}  // namespace
}  // namespace past::test
