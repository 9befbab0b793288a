// A proven member that breaks the rules of the frames loses that connection, and nobody else loses anything.
#include "base/limits.hpp"
#include "raw_peer.hpp"

namespace host_test {
namespace {

using base::host::Frame;
using base::host::FrameHeader;
using base::host::FrameType;
using base::host::TlsContext;

class AbuseTest : public TransportTest {
  protected:
    void SetUp() override {
        limits.stall_window = 300ms;
        victim = open(10);
        friendly = open(11);
        serve_echo(*victim);
        ASSERT_TRUE(ask(*friendly, victim->self(), text_message("before")));
        auto greeted = dial_raw(runtime, victim->self(), tls);
        ASSERT_TRUE(greeted) << greeted.error().message();
        stream = greeted->stream;
        reader = std::move(greeted->reader);
        pass(20ms);
        ASSERT_EQ(victim->stats().connections, 2U);
    }
    bool write(const Bytes& bytes) { return write_raw(runtime, *stream, bytes); }
    void expect_closed(bool for_cause = true) {
        EXPECT_TRUE(is_closed_within(runtime, *stream, 5s));
        pass(20ms);
        EXPECT_EQ(victim->stats().connections, 1U);
        EXPECT_EQ(victim->stats().closed_for_cause, for_cause ? 1U : 0U);
        EXPECT_TRUE(ask(*friendly, victim->self(), text_message("after")));
    }
    static Bytes head(FrameType type, std::uint32_t header, std::uint32_t payload) {
        return FrameHeader{type, 0x0201, 7, header, payload}.encode();
    }

    base::Certificate certificate = network.issue(key_of(20));
    TlsContext tls{TlsContext::Side::client, key_of(20), &certificate};
    std::unique_ptr<base::host::TcpTransport> victim;
    std::unique_ptr<base::host::TcpTransport> friendly;
    std::shared_ptr<base::host::TlsStream> stream;
    std::unique_ptr<base::host::FrameReader> reader;
};

TEST_F(AbuseTest, AnUnknownFrameType) {
    auto bytes = head(FrameType::request, 0, 0);
    bytes[4] = 99;
    write(bytes);
    expect_closed();
}

TEST_F(AbuseTest, ALengthBeyondTheLimit) {
    write(head(FrameType::request, 10, base::kMaxPayloadBytes + 1));
    expect_closed();
}

TEST_F(AbuseTest, AHeaderLongerThanItsFrame) {
    auto bytes = head(FrameType::request, 10, 0);
    bytes[16] = 11;
    write(bytes);
    expect_closed();
}

TEST_F(AbuseTest, AllZeroes) {
    write(Bytes(4096));
    expect_closed();
}

TEST_F(AbuseTest, ASecondHello) {
    const auto hello = base::host::Hello{}.encode();
    auto bytes = head(FrameType::hello, static_cast<std::uint32_t>(hello.size()), 0);
    bytes.insert(bytes.end(), hello.begin(), hello.end());
    write(bytes);
    expect_closed();
}

TEST_F(AbuseTest, AFrameThatIsCutOff) {
    write(head(FrameType::request, 100, 100'000));
    stream->close();
    expect_closed(/*for_cause=*/false);
}

TEST_F(AbuseTest, AFrameThatNeverEnds) {
    write(head(FrameType::request, 100, 100'000));
    bool open = true;
    for (int i = 0; i < 200 && open; ++i) {
        pass(20ms);
        open = write(Bytes(1));
    }
    EXPECT_FALSE(open);
    stream->close();
    expect_closed();
}

TEST_F(AbuseTest, HalfAFrameHeader) {
    write(Bytes(3));
    expect_closed();
}

TEST_F(AbuseTest, AnswersThatNobodyAskedForAreDropped) {
    write(head(FrameType::response, 0, 0));
    write(head(FrameType::error, 0, 0));
    pass(50ms);
    EXPECT_EQ(victim->stats().connections, 2U);
}

TEST_F(AbuseTest, AMalformedErrorIsABadAnswer) {
    Bytes garbage(10, 0xFF);
    std::optional<Errc> outcome;
    // The victim asks us; we answer with nonsense.
    const auto ask_us = [](base::Transport& from, base::NodeId to, base::TimePoint deadline,
                           std::optional<Errc>& out) -> Task<void> {
        auto message = text_message("?");
        base::Address address{to, ""};
        const auto answer = co_await from.request(std::move(address), std::move(message), deadline);
        if (!answer) out = static_cast<Errc>(answer.error().code().value());
    };
    base::TaskGroup tasks{runtime.executor()};
    tasks.spawn(ask_us(*victim, certificate.id(), in(5s), outcome));
    auto asked = runtime.run(reader->next(base::kMaxFrameBytes));
    ASSERT_TRUE(asked) << asked.error().message();
    auto bytes = FrameHeader{FrameType::error, 0, asked->head.id, 10, 0}.encode();
    bytes.insert(bytes.end(), garbage.begin(), garbage.end());
    write(bytes);
    runtime.run(tasks.join());
    EXPECT_EQ(outcome, Errc::bad_format);
}

TEST_F(AbuseTest, AFloodOfRequestsIsAnsweredBusy) {
    victim->serve(Service::pastry,
                  [this](base::Peer, Message) -> Task<Result<Message>> {
                      co_await runtime.clock().sleep_for(200ms);
                      co_return Message{};
                  },
                  {});
    Bytes flood;
    for (std::uint64_t id = 1; id <= 100; ++id) {
        const auto one = FrameHeader{FrameType::request, 0x0201, id, 0, 0}.encode();
        flood.insert(flood.end(), one.begin(), one.end());
    }
    write(flood);
    int busy = 0;
    for (int i = 0; i < 100; ++i) {
        const auto frame = runtime.run(reader->next(base::kMaxFrameBytes));
        ASSERT_TRUE(frame);
        if (frame->head.type != FrameType::error) continue;
        const auto error = base::host::decode_error(frame->message.header);
        ASSERT_TRUE(error);
        EXPECT_EQ(*error, Errc::busy);
        ++busy;
    }
    EXPECT_EQ(busy, 36);
}

TEST_F(AbuseTest, WhoReadsSlowlyIsAnsweredWithinItsWindowAndInTheEndWhole) {
    limits.in_flight_bytes_per_peer = 8U << 20U;
    limits.stall_window = 1min;
    auto careful = open(30);
    std::size_t looked_up = 0;
    careful->serve(Service::past,
                   [&](base::Peer, Message) -> Task<Result<Message>> {
                       ++looked_up;
                       co_return Message{Service::past, 1, {}, base::SharedBytes{Bytes(base::kMaxBlockBytes)}};
                   },
                   {});
    auto greeted = dial_raw(runtime, careful->self(), tls);
    ASSERT_TRUE(greeted);
    Bytes questions;
    for (std::uint64_t id = 1; id <= 64; ++id) {
        const auto one = FrameHeader{FrameType::request, 0x0401, id, 0, 0}.encode();
        questions.insert(questions.end(), one.begin(), one.end());
    }
    ASSERT_TRUE(write_raw(runtime, *greeted->stream, questions));
    pass(300ms);
    EXPECT_GT(looked_up, 0U);
    EXPECT_LE(looked_up, 14U) << "8 MiB, and what the sockets took";
    std::size_t answers = 0;
    while (answers < 64) {
        const auto frame = runtime.run(greeted->reader->next(base::kMaxFrameBytes));
        ASSERT_TRUE(frame) << frame.error().message();
        answers += frame->head.type == FrameType::response ? 1 : 0;
    }
}

TEST_F(AbuseTest, TlsRecordsAreFullHoweverAMessageIsCut) {
    constexpr std::uint64_t kOverhead = 22;  // of a record: header, tag, type
    const auto sent = [&](const std::vector<std::size_t>& sizes) {
        std::vector<Bytes> held;
        for (std::size_t i = 0; i < sizes.size(); i += 3) {  // frames: head, header, payload
            const auto header = i + 1 < sizes.size() ? sizes[i + 1] : 0,
                       payload = i + 2 < sizes.size() ? sizes[i + 2] : 0;
            held.push_back(FrameHeader{FrameType::notify, 0x0201, 0, static_cast<std::uint32_t>(header),
                                       static_cast<std::uint32_t>(payload)}
                               .encode());
            if (header > 0) held.emplace_back(header);
            if (payload > 0) held.emplace_back(payload);
        }
        const std::vector<base::ByteView> parts{held.begin(), held.end()};
        const auto before = stream->bytes_written();
        EXPECT_TRUE(runtime.run(stream->write(parts)));
        return stream->bytes_written() - before;
    };
    const std::size_t frame = FrameHeader::kBytes;
    EXPECT_EQ(sent({frame, 150, 4096}), frame + 150 + 4096 + kOverhead);
    EXPECT_EQ(sent({frame, 150, 16384 - 150 - frame}), 16384 + kOverhead);
    EXPECT_EQ(sent({frame, 150, 65536}), frame + 150 + 65536 + 5 * kOverhead);
    EXPECT_EQ(sent({frame, 150, 4096, frame, 150, 4096, frame}), 3 * frame + 2 * (150 + 4096) + kOverhead);
}

TEST_F(AbuseTest, APeerThatStopsAnsweringIsPingedAndGivenUp) {
    limits.silence_timeout = 200ms;
    auto impatient = open(30);
    auto greeted = dial_raw(runtime, impatient->self(), tls);
    ASSERT_TRUE(greeted);
    pass(20ms);
    const auto answer = ask(*impatient, {certificate.id(), ""}, text_message("anybody there?"), 1min);
    EXPECT_EQ(answer.error(), Errc::unreachable);
}

TEST_F(AbuseTest, APeerThatDoesNotReadIsGivenUp) {
    const auto big = [](base::Transport& from, base::NodeId to, base::TimePoint deadline, int& failed) -> Task<void> {
        Message message{Service::past, 1, {}, base::SharedBytes{Bytes(base::kMaxPayloadBytes)}};
        base::Address address{to, ""};
        const auto answer = co_await from.request(std::move(address), std::move(message), deadline);
        if (!answer && answer.error() == Errc::unreachable) ++failed;
    };
    limits.bulk_wait = 50ms;
    auto patient = open(30);
    auto greeted = dial_raw(runtime, patient->self(), tls);
    ASSERT_TRUE(greeted);
    pass(20ms);
    base::TaskGroup tasks{runtime.executor()};
    int failed = 0;
    for (int i = 0; i < 8; ++i) tasks.spawn(big(*patient, certificate.id(), in(1min), failed));
    runtime.run(tasks.join());
    EXPECT_EQ(failed, 8);
}

}  // namespace
}  // namespace host_test
