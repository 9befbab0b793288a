// TcpTransport between members: requests, answers, errors, limits, and the two channels.
#include <gmock/gmock.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "base/limits.hpp"
#include "base/task_group.hpp"
#include "members.hpp"

namespace host_test {
namespace {

using ::testing::HasSubstr;

TEST_F(TransportTest, MembersAnswerEachOther) {
    const auto a = open(10);
    const auto b = open(11);
    serve_echo(*b);
    const auto answer = ask(*a, b->self(), text_message("hello"));
    ASSERT_TRUE(answer) << answer.error().message();
    EXPECT_EQ(text_of(*answer), "hello");
}

TEST_F(TransportTest, TheHandlerSeesWhoAsksAndWhereTheyCanBeDialled) {
    const auto a = open(10);
    const auto b = open(11);
    std::vector<base::Peer> seen;
    b->serve(Service::pastry,
             [&seen](base::Peer from, Message message) -> Task<Result<Message>> {
                 seen.push_back(from);
                 co_return message;
             },
             {});
    ASSERT_TRUE(ask(*a, b->self(), text_message("x")));
    ASSERT_EQ(seen.size(), 1U);
    EXPECT_EQ(seen[0].address, a->self());
    ASSERT_NE(seen[0].certificate, nullptr);
    EXPECT_EQ(seen[0].certificate->id(), a->self().id);
}

TEST_F(TransportTest, PayloadsOfEverySizeArriveWhole) {
    const auto a = open(10);
    const auto b = open(11);
    serve_echo(*b);
    for (const std::size_t size : {std::size_t{1}, std::size_t{16384}, std::size_t{16385}, std::size_t{70000},
                                   base::kMaxBlockBytes, base::kMaxPayloadBytes}) {
        Bytes payload(size);
        for (std::size_t i = 0; i < size; ++i) payload[i] = static_cast<std::uint8_t>(i * 31 + i / 251);
        Message message{Service::pastry, 1, base::to_bytes("sized"), base::SharedBytes{payload}};
        const auto answer = ask(*a, b->self(), message);
        ASSERT_TRUE(answer) << size << ": " << answer.error().message();
        EXPECT_TRUE(std::ranges::equal(answer->payload.view(), payload)) << size;
    }
}

TEST_F(TransportTest, AMessageBeyondTheLimitsIsNotSent) {
    const auto a = open(10);
    const auto b = open(11);
    serve_echo(*b);
    EXPECT_EQ(ask(*a, b->self(), text_message("x", base::kMaxPayloadBytes + 1)).error(), Errc::bad_argument);
    EXPECT_TRUE(ask(*a, b->self(), text_message("x")));
}

TEST_F(TransportTest, ErrorsCrossTheWireAsThemselves) {
    const auto a = open(10);
    const auto b = open(11);
    b->serve(Service::pastry,
             [](base::Peer, Message) -> Task<Result<Message>> { co_return base::Error{Errc::no_space, "/data"}; }, {});
    const auto answer = ask(*a, b->self(), text_message("x"));
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error(), Errc::no_space);
    EXPECT_EQ(answer.error().detail(), "/data");
}

TEST_F(TransportTest, AServiceThatNobodyServesIsUnsupported) {
    const auto a = open(10);
    const auto b = open(11);
    EXPECT_EQ(ask(*a, b->self(), text_message("x")).error(), Errc::unsupported);
}

TEST_F(TransportTest, AHandlerThatThrowsIsOneFailedRequest) {
    const auto a = open(10);
    const auto b = open(11);
    b->serve(Service::pastry,
             [](base::Peer, Message message) -> Task<Result<Message>> {
                 if (text_of(message) == "throw") throw std::runtime_error{"a bug"};
                 co_return message;
             },
             {});
    EXPECT_EQ(ask(*a, b->self(), text_message("throw")).error(), Errc::peer_failed);
    EXPECT_TRUE(ask(*a, b->self(), text_message("go on")));
    EXPECT_EQ(log->count("a bug"), 1U);
}

TEST_F(TransportTest, ARequestToOurselvesNeedsNoNetwork) {
    const auto a = open(10);
    serve_echo(*a);
    EXPECT_TRUE(ask(*a, a->self(), text_message("me", 1 << 20)));
    EXPECT_EQ(a->stats().dials, 0U);
}

Task<Result<Message>> never(base::Clock& clock) {
    co_await clock.sleep_for(1h);
    co_return Errc::io_failed;
}

TEST_F(TransportTest, TheDeadlineEndsARequestToOthersAndToOurselves) {
    const auto a = open(10);
    const auto b = open(11);
    for (auto* transport : {a.get(), b.get()}) {
        transport->serve(Service::pastry, [this](base::Peer, Message) { return never(runtime.clock()); }, {});
    }
    EXPECT_EQ(ask(*a, b->self(), text_message("x"), 50ms).error(), Errc::timed_out);
    EXPECT_EQ(ask(*a, a->self(), text_message("x"), 50ms).error(), Errc::timed_out);
    EXPECT_EQ(ask(*a, b->self(), text_message("x"), -1ms).error(), Errc::timed_out);
}

TEST_F(TransportTest, NobodyThereIsUnreachableAndThenCostsNothingForAWhile) {
    const auto a = open(10);
    auto gone = open(11);
    const auto address = gone->self();
    gone.reset();
    pass(10ms);
    EXPECT_EQ(ask(*a, address, text_message("x")).error(), Errc::unreachable);
    const auto error = ask(*a, address, text_message("x")).error();
    EXPECT_EQ(error, Errc::unreachable);
    EXPECT_THAT(error.detail(), HasSubstr(address.endpoint));
    EXPECT_EQ(a->stats().dials, 1U);
}

TEST_F(TransportTest, APeerThatComesBackIsFoundAfterTheBackoff) {
    limits.longest_backoff = 250ms;
    const auto a = open(10);
    auto b = open(11);
    const auto address = b->self();
    b.reset();
    pass(10ms);
    EXPECT_FALSE(ask(*a, address, text_message("x")));
    auto again = options(11);
    again.listen = address.endpoint;
    b = open(again);
    serve_echo(*b);
    pass(300ms);
    EXPECT_TRUE(ask(*a, address, text_message("x")));
}

TEST_F(TransportTest, APeerThatDiesFailsAllRequestsUnderWay) {
    const auto a = open(10);
    auto b = open(11);
    b->serve(Service::pastry, [this](base::Peer, Message) { return never(runtime.clock()); }, {});
    std::vector<Errc> errors;
    base::TaskGroup tasks{runtime.executor()};
    const auto one = [](base::Transport& from, base::Address to, base::TimePoint deadline,
                        std::vector<Errc>& out) -> Task<void> {
        auto message = text_message("x");
        const auto answer = co_await from.request(std::move(to), std::move(message), deadline);
        if (!answer) out.push_back(static_cast<Errc>(answer.error().code().value()));
    };
    for (int i = 0; i < 5; ++i) tasks.spawn(one(*a, b->self(), in(1min), errors));
    pass(100ms);
    EXPECT_TRUE(errors.empty());
    b.reset();
    runtime.run(tasks.join());
    EXPECT_EQ(errors, std::vector<Errc>(5, Errc::unreachable));
}

TEST_F(TransportTest, MoreThanAWindowOfRequestsWaitsItsTurn) {
    const auto a = open(10);
    const auto b = open(11);
    std::size_t running = 0;
    std::size_t most = 0;
    const auto slow = [](base::Clock& clock, std::size_t& now, std::size_t& peak,
                         Message message) -> Task<Result<Message>> {
        peak = std::max(peak, ++now);
        co_await clock.sleep_for(20ms);
        --now;
        co_return message;
    };
    b->serve(Service::pastry,
             [&](base::Peer, Message message) { return slow(runtime.clock(), running, most, std::move(message)); }, {});
    int answered = 0;
    base::TaskGroup tasks{runtime.executor()};
    const auto one = [](base::Transport& from, base::Address to, base::TimePoint deadline, int& good) -> Task<void> {
        auto message = text_message("x");
        const auto answer = co_await from.request(std::move(to), std::move(message), deadline);
        good += answer ? 1 : 0;
    };
    for (int i = 0; i < 200; ++i) tasks.spawn(one(*a, b->self(), in(1min), answered));
    runtime.run(tasks.join());
    EXPECT_EQ(answered, 200);
    EXPECT_EQ(most, 64U);
}

TEST_F(TransportTest, WhatWaitsForAWindowIsLimitedToo) {
    limits.waiting_requests_per_peer = 10;
    const auto a = open(10);
    const auto b = open(11);
    b->serve(Service::pastry,
             [&](base::Peer, Message message) -> Task<Result<Message>> {
                 co_await runtime.clock().sleep_for(100ms);
                 co_return message;
             },
             {});
    int answered = 0;
    int busy = 0;
    base::TaskGroup tasks{runtime.executor()};
    const auto one = [](base::Transport& from, base::Address to, base::TimePoint deadline, int& good,
                        int& refused) -> Task<void> {
        auto message = text_message("x");
        const auto answer = co_await from.request(std::move(to), std::move(message), deadline);
        good += answer ? 1 : 0;
        refused += !answer && answer.error() == Errc::busy ? 1 : 0;
    };
    for (int i = 0; i < 80; ++i) tasks.spawn(one(*a, b->self(), in(1min), answered, busy));
    runtime.run(tasks.join());
    EXPECT_EQ(answered, 74);
    EXPECT_EQ(busy, 6);
}

TEST_F(TransportTest, NotifiesArriveAlsoTheOnesThatStartedTheDial) {
    const auto a = open(10);
    const auto b = open(11);
    std::vector<std::string> heard;
    b->serve(Service::pastry, {}, [&heard](const base::Peer&, Message message) { heard.push_back(text_of(message)); });
    a->notify(b->self(), text_message("one"));
    a->notify(b->self(), text_message("two"));
    pass(200ms);
    a->notify(b->self(), text_message("three"));
    pass(50ms);
    EXPECT_EQ(heard, (std::vector<std::string>{"one", "two", "three"}));
}

TEST_F(TransportTest, NotifiesToNobodyAreDroppedAndBounded) {
    const auto a = open(10);
    auto gone = open(11);
    const auto address = gone->self();
    gone.reset();
    for (int i = 0; i < 10'000; ++i) a->notify(address, text_message("x", 1000));
    pass(100ms);
    EXPECT_LE(a->stats().dials, 2U);
}

TEST_F(TransportTest, BulkTrafficDoesNotDelayControl) {
    const auto a = open(10);
    const auto b = open(11);
    serve_echo(*b);
    b->serve(Service::past, [](base::Peer, Message message) -> Task<Result<Message>> { co_return message; }, {});
    ASSERT_TRUE(ask(*a, b->self(), text_message("x")));
    base::TaskGroup tasks{runtime.executor()};
    const auto bulk = [](base::Transport& from, base::Address to, base::TimePoint deadline, int& good) -> Task<void> {
        Message message{Service::past, 1, {}, base::SharedBytes{Bytes(4 << 20)}};
        const auto answer = co_await from.request(std::move(to), std::move(message), deadline);
        good += answer ? 1 : 0;
    };
    int big = 0;
    for (int i = 0; i < 40; ++i) tasks.spawn(bulk(*a, b->self(), in(1min), big));
    ASSERT_TRUE(ask(*a, b->self(), text_message("probe")));
    EXPECT_LT(big, 20);  // the probe overtook most of 160 MiB
    runtime.run(tasks.join());
    EXPECT_EQ(big, 40);
    EXPECT_EQ(a->stats().connections, 2U);
}

TEST_F(TransportTest, AClientThatCannotBeDialledGetsLargeAnswersOnABulkConnectionOfItsOwn) {
    auto only_dials = options(10);
    only_dials.listen.clear();
    const auto a = open(only_dials);
    const auto b = open(11);
    EXPECT_EQ(a->self().endpoint, "");
    b->serve(Service::pastry,
             [](base::Peer, Message) -> Task<Result<Message>> { co_return text_message("big", 1 << 20); }, {});
    const auto answer = ask(*a, b->self(), text_message("small question"));
    ASSERT_TRUE(answer) << answer.error().message();
    EXPECT_EQ(answer->payload.size(), std::size_t{1} << 20);
    EXPECT_EQ(a->stats().dials, 2U);
    EXPECT_EQ(b->stats().dials, 0U);
}

TEST_F(TransportTest, SimultaneousDialsAreHarmless) {
    const auto a = open(10);
    const auto b = open(11);
    serve_echo(*a);
    serve_echo(*b);
    base::TaskGroup tasks{runtime.executor()};
    int good = 0;
    const auto one = [](base::Transport& from, base::Address to, base::TimePoint deadline, int& count) -> Task<void> {
        auto message = text_message("x", 100'000);
        const auto answer = co_await from.request(std::move(to), std::move(message), deadline);
        count += answer ? 1 : 0;
    };
    for (int i = 0; i < 10; ++i) {
        tasks.spawn(one(*a, b->self(), in(10s), good));
        tasks.spawn(one(*b, a->self(), in(10s), good));
    }
    runtime.run(tasks.join());
    EXPECT_EQ(good, 20);
}

TEST_F(TransportTest, IdleConnectionsSayGoodbyeAndComeBackWhenNeeded) {
    limits.idle_timeout = 300ms;
    limits.stall_window = 500ms;
    const auto a = open(10);
    const auto b = open(11);
    serve_echo(*b);
    ASSERT_TRUE(ask(*a, b->self(), text_message("x", 100'000)));
    EXPECT_GE(a->stats().connections, 1U);
    pass(1s);
    EXPECT_EQ(a->stats().connections, 0U);
    EXPECT_EQ(b->stats().connections, 0U);
    ASSERT_TRUE(ask(*a, b->self(), text_message("x")));
    EXPECT_EQ(a->stats().closed_for_cause + b->stats().closed_for_cause, 0U);
}

TEST_F(TransportTest, ALongRequestKeepsItsConnection) {
    limits.idle_timeout = 100ms;
    limits.stall_window = 250ms;
    limits.silence_timeout = 150ms;
    const auto a = open(10);
    const auto b = open(11);
    const auto late = [](base::Clock& clock, Message message) -> Task<Result<Message>> {
        co_await clock.sleep_for(800ms);
        co_return message;
    };
    b->serve(Service::pastry, [&](base::Peer, Message message) { return late(runtime.clock(), std::move(message)); },
             {});
    EXPECT_TRUE(ask(*a, b->self(), text_message("x")));
}

TEST_F(TransportTest, StopEndsRequestsAndHandlers) {
    const auto a = open(10);
    const auto b = open(11);
    b->serve(Service::pastry, [this](base::Peer, Message) { return never(runtime.clock()); }, {});
    base::TaskGroup tasks{runtime.executor()};
    std::vector<Errc> errors;
    const auto one = [](base::Transport& from, base::Address to, base::TimePoint deadline,
                        std::vector<Errc>& out) -> Task<void> {
        auto message = text_message("x");
        const auto answer = co_await from.request(std::move(to), std::move(message), deadline);
        if (!answer) out.push_back(static_cast<Errc>(answer.error().code().value()));
    };
    tasks.spawn(one(*a, b->self(), in(1min), errors));
    pass(100ms);
    runtime.run(a->stop());
    runtime.run(tasks.join());
    EXPECT_EQ(errors, std::vector<Errc>{Errc::stopped});
    runtime.run(b->stop());
    EXPECT_EQ(ask(*a, b->self(), text_message("x")).error(), Errc::stopped);
}

TEST_F(TransportTest, ATakenPortIsAClearError) {
    const auto a = open(10);
    auto taken = options(11);
    taken.listen = a->self().endpoint;
    const auto second =
        base::host::TcpTransport::open(runtime.executor(), runtime.clock(), runtime.rng(), *log, std::move(taken));
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error(), std::errc::address_in_use);
    EXPECT_THAT(second.error().detail(), HasSubstr("; choose another with --listen"));
}

TEST_F(TransportTest, EndpointsAreParsedStrictly) {
    using base::host::parse_host_port;
    EXPECT_EQ(parse_host_port("127.0.0.1:7400")->text(), "127.0.0.1:7400");
    EXPECT_EQ(parse_host_port("[::1]:7400")->text(), "[::1]:7400");
    EXPECT_EQ(parse_host_port("name.example:1")->host, "name.example");
    for (const auto* wrong : {"", ":", ":1", "host", "host:", "host:70000", "host:1x", "::1:7400", "[]:1", "a b:1"}) {
        EXPECT_EQ(parse_host_port(wrong).error(), Errc::bad_argument) << wrong;
    }
}

}  // namespace
}  // namespace host_test
