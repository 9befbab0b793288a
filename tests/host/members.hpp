// A network of this test's own, its members, and several transports on one event loop.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/host/host_runtime.hpp"
#include "base/host/tcp_transport.hpp"
#include "base/host/tls_identity.hpp"

namespace host_test {

using namespace std::chrono_literals;
using base::Bytes;
using base::Errc;
using base::Message;
using base::Result;
using base::Service;
using base::Task;

constexpr std::int64_t kDayNs = 86'400'000'000'000;

inline base::SigningKey key_of(std::uint8_t seed) {
    base::Key bytes{};
    bytes.fill(seed);
    return base::SigningKey{bytes};
}

/// Remembers its lines.
class ListLog final : public base::Log {
  public:
    void write(Level, const char* channel, std::string text) override {
        const std::lock_guard lock{mutex_};
        lines_.push_back(std::string{channel} + ": " + text);
    }
    [[nodiscard]] bool enabled(Level level) const noexcept override { return level >= Level::info; }
    [[nodiscard]] std::vector<std::string> lines() const {
        const std::lock_guard lock{mutex_};
        return lines_;
    }
    [[nodiscard]] std::size_t count(std::string_view part) const {
        std::size_t found = 0;
        for (const auto& line : lines()) found += line.find(part) != line.npos ? 1U : 0U;
        return found;
    }

  private:
    mutable std::mutex mutex_;
    std::vector<std::string> lines_;
};

struct Network {
    explicit Network(std::uint8_t seed = 1, std::string name = "test")
        : authority{key_of(seed)}, id{base::network_id(authority.public_key(), name)} {}

    [[nodiscard]] base::host::TrustedNetwork trusted() const { return {id, authority.public_key()}; }

    [[nodiscard]] base::Certificate issue(const base::SigningKey& key, std::int64_t not_before_ns,
                                          std::int64_t not_after_ns) const {
        base::Certificate certificate;
        certificate.network = id;
        certificate.key = key.public_key();
        certificate.salt.fill(7);
        certificate.serial = 1;
        certificate.not_before_ns = not_before_ns;
        certificate.not_after_ns = not_after_ns;
        certificate.signature = authority.sign("pelago certificate", certificate.body());
        return certificate;
    }
    [[nodiscard]] base::Certificate issue(const base::SigningKey& key) const {
        const auto now = base::host::HostClock{boost::asio::system_executor{}}.wall_ns();
        return issue(key, now - kDayNs, now + kDayNs);
    }

    base::SigningKey authority;
    base::Guid id;
};

class TransportTest : public ::testing::Test {
  protected:
    [[nodiscard]] base::host::TcpOptions options(std::uint8_t seed) const {
        const auto key = key_of(seed);
        return {.listen = "127.0.0.1:0",
                .advertise = {},
                .network = network.trusted(),
                .key = key,
                .certificate = network.issue(key),
                .limits = limits};
    }
    [[nodiscard]] std::unique_ptr<base::host::TcpTransport> open(base::host::TcpOptions with) {
        auto opened =
            base::host::TcpTransport::open(runtime.executor(), runtime.clock(), runtime.rng(), *log, std::move(with));
        EXPECT_TRUE(opened) << opened.error().message();
        return std::move(*opened);
    }
    [[nodiscard]] std::unique_ptr<base::host::TcpTransport> open(std::uint8_t seed) { return open(options(seed)); }
    [[nodiscard]] base::TimePoint in(base::Duration time) { return runtime.clock().now() + time; }

    /// Lets the loop run for a while.
    void pass(base::Duration time) { runtime.run(runtime.clock().sleep_for(time)); }
    [[nodiscard]] Result<Message> ask(base::Transport& from, base::Address to, Message message,
                                      base::Duration within = 5s) {
        return runtime.run(from.request(std::move(to), std::move(message), in(within)));
    }

    Network network;
    base::host::ConnectionLimits limits;
    ListLog* log = new ListLog;
    base::host::HostRuntime runtime{std::unique_ptr<base::Log>{log}, 2};
};

inline Message text_message(std::string_view text, std::size_t payload = 0, std::uint8_t verb = 1) {
    return Message{Service::pastry, verb, base::to_bytes(text), base::SharedBytes{Bytes(payload, 0x5A)}};
}
inline std::string text_of(const Message& message) { return std::string{base::as_text(message.header)}; }

/// Answers with what it was sent.
inline void serve_echo(base::Transport& transport) {
    transport.serve(Service::pastry, [](base::Peer, Message message) -> Task<Result<Message>> { co_return message; },
                    {});
}

}  // namespace host_test
