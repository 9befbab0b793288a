#include "daemon/metrics.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/error.hpp"
#include "base/host/host_runtime.hpp"
#include "base/host/tcp_transport.hpp"

namespace tools {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

TEST(Metrics, EachFigureHasItsTypeAndWhatIsNotThereIsLeftOut) {
    const nlohmann::json status{
        {"uptime_s", 7},
        {"past", {{"blocks_short", 3}, {"puts", 12}}},
        {"store", {{"read_only", false}}},
        {"members", {{{"id", "0123456789abcdef"}, {"state", "here"}}, {{"id", "fe"}, {"state", "away"}}}}};
    const auto text = metrics_text(status);
    EXPECT_THAT(text, HasSubstr("\n# TYPE pelago_blocks_under_replicated gauge\npelago_blocks_under_replicated 3\n"));
    EXPECT_THAT(text, HasSubstr("\n# TYPE pelago_puts_total counter\npelago_puts_total 12\n"));
    EXPECT_THAT(text, HasSubstr("\npelago_read_only 0\n"));
    EXPECT_THAT(text, HasSubstr("\npelago_member_up{id=\"01234567\"} 1\npelago_member_up{id=\"fe\"} 0\n"));
    EXPECT_THAT(text, Not(HasSubstr("pelago_gets_total")));
}

/// Serves "page" on any port while a stranger talks to it from a thread of his own.
class MetricsPage : public testing::Test {
  protected:
    std::string ask(const std::string& request) {
        base::host::HostRuntime runtime{base::Log::Level::error, 1};
        std::string answer;
        auto serving = [&]() -> base::Task<base::Result<void>> {
            constexpr auto page = []() -> base::Task<base::Result<std::string>> {
                co_return std::string{"the page\n"};
            };
            BASE_CO_TRY(const auto server, MetricsServer::open(runtime.executor(), "127.0.0.1:0", page));
            const auto port = base::host::parse_host_port(server->endpoint())->port;
            bool done = false;
            std::thread stranger{[&] {
                answer = talk(port, request);
                boost::asio::post(runtime.executor(), [&done] { done = true; });
            }};
            while (!done) co_await runtime.clock().sleep_for(std::chrono::milliseconds{5});
            stranger.join();
            co_await server->stop();
            co_return base::ok();
        };
        EXPECT_TRUE(runtime.run(serving()));
        return answer;
    }

  private:
    static std::string talk(std::uint16_t port, const std::string& request) {
        using boost::asio::ip::tcp;
        boost::asio::io_context context;
        tcp::socket socket{context};
        boost::system::error_code error;
        socket.connect({boost::asio::ip::make_address("127.0.0.1"), port}, error);
        boost::asio::write(socket, boost::asio::buffer(request), error);
        std::string answer;
        boost::asio::read(socket, boost::asio::dynamic_buffer(answer), error);
        return answer;
    }
};

TEST_F(MetricsPage, IsAnsweredToGetOfMetricsAndNothingElse) {
    const auto page = ask("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_THAT(page, StartsWith("HTTP/1.1 200 OK\r\n"));
    EXPECT_THAT(page, HasSubstr("\r\n\r\nthe page\n"));
    EXPECT_THAT(ask("GET /metrics?name=x HTTP/1.1\r\nHost: x\r\n\r\n"), StartsWith("HTTP/1.1 200"));
    EXPECT_THAT(ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), StartsWith("HTTP/1.1 404"));
    EXPECT_THAT(ask("POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"), StartsWith("HTTP/1.1 405"));
}

TEST_F(MetricsPage, NonsenseAndEndlessHeadersEndTheConnection) {
    EXPECT_EQ(ask("\r\n\x01nonsense\r\n\r\n"), "");
    EXPECT_EQ(ask("GET /metrics HTTP/1.1\r\nX: " + std::string(1U << 20U, 'x')), "");
}

}  // namespace
}  // namespace tools
