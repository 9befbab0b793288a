// Who gets in and who does not: every way of not being a member ends in the handshake.
#include <gmock/gmock.h>

#include "raw_peer.hpp"

namespace host_test {
namespace {

using base::host::TlsContext;
using ::testing::HasSubstr;

class HandshakeTest : public TransportTest {
  protected:
    /// A node of our network shows `certificate`; both directions are tried.
    void expect_refused(const base::Certificate& certificate, std::uint8_t seed, const std::string& reason) {
        const auto a = open(10);
        auto odd_options = options(seed);
        odd_options.certificate = certificate;
        const auto odd = open(odd_options);
        serve_echo(*a);
        serve_echo(*odd);

        const auto dialled = ask(*a, odd->self(), text_message("x"));
        EXPECT_EQ(dialled.error(), Errc::not_a_member);
        EXPECT_THAT(dialled.error().detail(), HasSubstr(reason));

        const auto accepted = ask(*odd, a->self(), text_message("x"));
        EXPECT_EQ(accepted.error(), Errc::not_a_member);
        EXPECT_THAT(accepted.error().detail(), HasSubstr("does not accept our certificate"));
        pass(50ms);
        EXPECT_EQ(a->stats().connections, 0U);
        EXPECT_EQ(a->stats().refused, 2U);
        EXPECT_GE(log->count("refused"), 2U);
    }
};

TEST_F(HandshakeTest, AMemberOfAnotherNetworkIsRefused) {
    const Network other{2};
    expect_refused(other.issue(key_of(11)), 11, "another network");
}

TEST_F(HandshakeTest, AForgedCertificateIsRefused) {
    auto forged = network.issue(key_of(11));
    forged.capacity_bytes = 1 << 30;
    expect_refused(forged, 11, "did not sign");
}

TEST_F(HandshakeTest, AnExpiredCertificateIsRefused) {
    const auto now = runtime.clock().wall_ns();
    expect_refused(network.issue(key_of(11), now - 9 * kDayNs, now - 2 * kDayNs), 11, "expired");
}

TEST_F(HandshakeTest, ACertificateThatIsNotYetValidIsRefused) {
    const auto now = runtime.clock().wall_ns();
    expect_refused(network.issue(key_of(11), now + 2 * kDayNs, now + 9 * kDayNs), 11, "not valid yet");
}

TEST_F(HandshakeTest, ARemovedMemberIsRefusedAndToldAndItsConnectionsEnd) {
    bool removed = false;
    const auto id = network.issue(key_of(11)).id();
    auto knowing = options(10);
    knowing.removed = [&](const base::NodeId& node) { return removed && node == id; };
    const auto a = open(knowing);
    auto b = open(11);
    serve_echo(*a);
    serve_echo(*b);
    ASSERT_TRUE(ask(*b, a->self(), text_message("x")));
    removed = true;
    pass(3s);
    EXPECT_EQ(a->stats().connections, 0U);
    EXPECT_EQ(ask(*a, b->self(), text_message("x")).error(), Errc::removed);
    const auto told = ask(*b, a->self(), text_message("x"));
    EXPECT_EQ(told.error(), Errc::removed);
    EXPECT_THAT(told.error().detail(), HasSubstr("this node was removed"));
    EXPECT_GE(log->count("it was removed from the network"), 1U);
}

TEST_F(HandshakeTest, WhoMovedIsDialledWhereItIsNow) {
    const auto a = open(10);
    auto b = open(11);
    serve_echo(*b);
    ASSERT_TRUE(ask(*a, b->self(), text_message("x")));
    const auto before = b->self();
    runtime.run(b->stop());
    b = open(11);
    serve_echo(*b);
    base::Address heard;
    a->serve(Service::pastry, {}, [&](const base::Peer& from, Message) { heard = from.address; });
    ASSERT_NE(before.endpoint, b->self().endpoint);
    ASSERT_TRUE(ask(*a, b->self(), text_message("x")));
    b->notify(a->self(), text_message("y"));
    pass(50ms);
    EXPECT_EQ(heard, b->self()) << "not where it was when we first heard of it";
    EXPECT_TRUE(ask(*a, {b->self().id, {}}, text_message("x")));
}

TEST_F(HandshakeTest, ADayOfSlackCoversWrongClocks) {
    const auto now = runtime.clock().wall_ns();
    const auto a = open(10);
    auto late = options(11);
    late.certificate = network.issue(key_of(11), now - 9 * kDayNs, now - kDayNs / 2);
    const auto b = open(late);
    serve_echo(*b);
    EXPECT_TRUE(ask(*a, b->self(), text_message("x")));
}

TEST_F(HandshakeTest, AnotherNodeAtTheAddressIsNoAnswer) {
    const auto a = open(10);
    const auto b = open(11);
    const auto c = open(12);
    serve_echo(*b);
    const auto answer = ask(*a, {c->self().id, b->self().endpoint}, text_message("x"));
    EXPECT_EQ(answer.error(), Errc::unreachable);
    EXPECT_THAT(answer.error().detail(), HasSubstr("another node"));
    EXPECT_TRUE(ask(*a, b->self(), text_message("x")));
}

TEST_F(HandshakeTest, ACertificateOverSomebodyElsesKeyIsRefused) {
    const auto a = open(10);
    const auto stolen = network.issue(key_of(11));
    const TlsContext tls{TlsContext::Side::client, key_of(66), &stolen};
    EXPECT_EQ(dial_raw(runtime, a->self(), tls).error(), Errc::not_a_member);
    pass(50ms);
    EXPECT_EQ(log->count("over another key"), 1U);
}

TEST_F(HandshakeTest, NoMembershipCertificateIsRefused) {
    const auto a = open(10);
    const TlsContext tls{TlsContext::Side::client, key_of(66), nullptr};
    EXPECT_EQ(dial_raw(runtime, a->self(), tls).error(), Errc::not_a_member);
    pass(50ms);
    EXPECT_EQ(log->count("no membership certificate"), 1U);
}

TEST_F(HandshakeTest, OurOwnKeyFromOutsideIsRefused) {
    const auto a = open(10);
    const auto twin = network.issue(key_of(10));
    const TlsContext tls{TlsContext::Side::client, key_of(10), &twin};
    EXPECT_EQ(dial_raw(runtime, a->self(), tls).error(), Errc::not_a_member);
    pass(50ms);
    EXPECT_EQ(log->count("second node with our own key"), 1U);
}

TEST_F(HandshakeTest, ForeignTlsClientsAreRefused) {
    const auto a = open(10);
    EXPECT_FALSE((ForeignClient{.alpn = "pelago/1", .rsa = true}.gets_in(runtime, a->port())));
    EXPECT_FALSE((ForeignClient{.alpn = "pelago/1"}.gets_in(runtime, a->port())));
    EXPECT_FALSE((ForeignClient{.alpn = "h2"}.gets_in(runtime, a->port())));
    EXPECT_FALSE((ForeignClient{.alpn = ""}.gets_in(runtime, a->port())));
    EXPECT_FALSE((ForeignClient{.alpn = "pelago/1", .newest = TLS1_2_VERSION}.gets_in(runtime, a->port())));
    EXPECT_EQ(a->stats().connections, 0U);
    EXPECT_EQ(a->stats().refused, 5U);
    EXPECT_EQ(a->stats().unproven, 0U);
}

TEST_F(HandshakeTest, PlainGarbageIsRefused) {
    const auto a = open(10);
    for (const std::string_view text : {"GET / HTTP/1.0\r\n\r\n", "SSH-2.0-OpenSSH_9.2\r\n", "\x16\x03\x01\xff\xff"}) {
        const auto socket = connect_tcp(a->port());
        ASSERT_EQ(::send(socket.get(), text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
        ::shutdown(socket.get(), SHUT_WR);
        pass(50ms);
    }
    EXPECT_EQ(a->stats().refused, 3U);
    EXPECT_EQ(a->stats().unproven, 0U);
}

TEST_F(HandshakeTest, ARefusalIsLoggedOnceNotAThousandTimes) {
    const auto a = open(10);
    const TlsContext tls{TlsContext::Side::client, key_of(66), nullptr};
    for (int i = 0; i < 20; ++i) EXPECT_FALSE(dial_raw(runtime, a->self(), tls));
    pass(50ms);
    EXPECT_EQ(a->stats().refused, 20U);
    EXPECT_EQ(log->count("refused"), 1U);
}

TEST_F(HandshakeTest, WhoeverSaysNothingIsShownTheDoorInTime) {
    limits.handshake_timeout = 200ms;
    const auto a = open(10);
    const auto socket = connect_tcp(a->port());
    pass(50ms);
    EXPECT_EQ(a->stats().unproven, 1U);
    pass(300ms);
    EXPECT_EQ(a->stats().unproven, 0U);
    EXPECT_EQ(log->count("no handshake in time"), 1U);
}

TEST_F(HandshakeTest, AProvenPeerThatNeverGreetsIsShownTheDoorToo) {
    limits.handshake_timeout = 200ms;
    const auto a = open(10);
    const auto certificate = network.issue(key_of(11));
    const TlsContext tls{TlsContext::Side::client, key_of(11), &certificate};
    boost::asio::ip::tcp::socket socket{runtime.executor()};
    socket.connect({boost::asio::ip::make_address("127.0.0.1"), a->port()});
    const auto stream = make_tls_stream(std::move(socket), tls, no_check(), base::host::kMemberAlpn);
    ASSERT_TRUE(runtime.run(stream->handshake()));
    EXPECT_TRUE(is_closed_within(runtime, *stream, 2s));
    EXPECT_EQ(a->stats().unproven, 0U);
}

TEST_F(HandshakeTest, OneAddressCannotFillTheDoorstep) {
    limits.unproven_per_address = 4;
    const auto a = open(10);
    std::vector<base::host::UniqueFd> sockets;
    for (int i = 0; i < 10; ++i) sockets.push_back(connect_tcp(a->port()));
    pass(100ms);
    EXPECT_EQ(a->stats().unproven, 4U);
    sockets.clear();
    pass(100ms);
    EXPECT_EQ(a->stats().unproven, 0U);
    const auto b = open(11);
    serve_echo(*a);
    EXPECT_TRUE(ask(*b, a->self(), text_message("x")));
}

// --- Joining

class JoinTest : public HandshakeTest {
  protected:
    Result<Message> join(const base::Address& issuer, Message request) {
        return runtime.run(base::host::request_join(runtime.executor(), runtime.clock(), joiner, network.trusted(),
                                                    issuer, std::move(request), in(5s)));
    }
    static Message join_message(std::size_t payload = 0) {
        return Message{Service::membership, 1, base::to_bytes("let me in"), base::SharedBytes{Bytes(payload)}};
    }
    base::SigningKey joiner = key_of(77);
};

TEST_F(JoinTest, AStrangerThatProvesItsKeyMayAskOnce) {
    const auto a = open(10);
    std::vector<base::PublicKey> seen;
    a->serve_joins([&seen](base::PublicKey key, Message message) -> Task<Result<Message>> {
        seen.push_back(key);
        co_return Message{Service::membership, 1, std::move(message.header), base::SharedBytes{Bytes(1 << 20)}};
    });
    const auto answer = join(a->self(), join_message());
    ASSERT_TRUE(answer) << answer.error().message();
    EXPECT_EQ(text_of(*answer), "let me in");
    EXPECT_EQ(answer->payload.size(), std::size_t{1} << 20);
    EXPECT_EQ(seen, std::vector{joiner.public_key()});
    pass(50ms);
    EXPECT_EQ(a->stats().connections, 0U);
    EXPECT_EQ(a->stats().unproven, 0U);
}

TEST_F(JoinTest, TheIssuersRefusalComesBackAsItself) {
    const auto a = open(10);
    a->serve_joins([](base::PublicKey, Message) -> Task<Result<Message>> {
        co_return base::Error{Errc::denied, "this token is spent"};
    });
    for (int i = 0; i < 3; ++i) {
        const auto answer = join(a->self(), join_message());
        EXPECT_EQ(answer.error(), Errc::denied);
        EXPECT_EQ(answer.error().detail(), "this token is spent");
    }
    EXPECT_EQ(log->count("this token is spent"), 1U);
}

TEST_F(JoinTest, WhereNobodyIssuesStrangersAreRefused) {
    const auto a = open(10);
    EXPECT_EQ(join(a->self(), join_message()).error(), Errc::not_a_member);
}

TEST_F(JoinTest, AnythingElseThanAJoinRequestIsNotServed) {
    const auto a = open(10);
    int asked = 0;
    a->serve_joins([&asked](base::PublicKey, Message message) -> Task<Result<Message>> {
        ++asked;
        co_return message;
    });
    serve_echo(*a);
    a->serve(Service::membership, [](base::Peer, Message message) -> Task<Result<Message>> { co_return message; }, {});
    EXPECT_EQ(join(a->self(), text_message("not this service")).error(), Errc::unreachable);
    EXPECT_EQ(join(a->self(), join_message(70'000)).error(), Errc::unreachable);
    EXPECT_EQ(asked, 0);
}

TEST_F(JoinTest, ASecondRequestOnTheSameConnectionIsNotServed) {
    const auto a = open(10);
    int asked = 0;
    a->serve_joins([&asked](base::PublicKey, Message message) -> Task<Result<Message>> {
        ++asked;
        co_return message;
    });
    const TlsContext tls{TlsContext::Side::client, joiner, nullptr};
    auto greeted = dial_raw(runtime, a->self(), tls, base::host::kJoinAlpn);
    ASSERT_TRUE(greeted) << greeted.error().message();
    for (int i = 1; i <= 2; ++i) {
        static_cast<void>(runtime.run(
            write_frame(*greeted->stream, base::host::Frame{base::host::FrameType::request, 1, join_message()})));
    }
    EXPECT_TRUE(is_closed_within(runtime, *greeted->stream, 2s));
    EXPECT_EQ(asked, 1);
}

TEST_F(JoinTest, AnIssuerThatIsNotTheOneInTheTokenIsNotTold) {
    const auto a = open(10);
    const auto b = open(11);
    int asked = 0;
    for (auto* node : {a.get(), b.get()}) {
        node->serve_joins([&asked](base::PublicKey, Message message) -> Task<Result<Message>> {
            ++asked;
            co_return message;
        });
    }
    EXPECT_EQ(join({b->self().id, a->self().endpoint}, join_message()).error(), Errc::unreachable);
    const Network other{2};
    auto foreign = options(12);
    foreign.certificate = other.issue(key_of(12));
    const auto c = open(foreign);
    EXPECT_EQ(join(c->self(), join_message()).error(), Errc::not_a_member);
    EXPECT_EQ(asked, 0);
}

}  // namespace
}  // namespace host_test
