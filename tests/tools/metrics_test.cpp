#include "daemon/metrics.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <fstream>
#include <list>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
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

TEST(Metrics, RequestsAreAHistogramByKindWhoseBucketsAddUp) {
    const nlohmann::json status{
        {"past",
         {{"requests", {{"put", {{"counts", {1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 1}}, {"sum_us", 12'500'000}}}}}}}};
    const auto text = metrics_text(status);
    EXPECT_THAT(text, HasSubstr("\n# TYPE pelago_request_duration_seconds histogram\n"));
    EXPECT_THAT(text, HasSubstr("_bucket{kind=\"put\",le=\"0.001\"} 1\n"));
    EXPECT_THAT(text, HasSubstr("_bucket{kind=\"put\",le=\"0.02\"} 3\n"));
    EXPECT_THAT(text, HasSubstr("_bucket{kind=\"put\",le=\"10\"} 3\n"));
    EXPECT_THAT(text, HasSubstr("_bucket{kind=\"put\",le=\"+Inf\"} 4\n"));
    EXPECT_THAT(text, HasSubstr("_sum{kind=\"put\"} 12.5\n"));
    EXPECT_THAT(text, HasSubstr("_count{kind=\"put\"} 4\n"));
}

/// The names of a text that begin like ours.
std::set<std::string> names_in(const std::string& text) {
    static const std::regex kName{"pelago_[a-z_]+"};
    std::set<std::string> names;
    for (std::sregex_iterator at{text.begin(), text.end(), kName}; at != std::sregex_iterator{}; ++at) {
        names.insert(at->str());
    }
    return names;
}

// A panel that asks for what nobody exports is empty for ever, and nobody notices.
TEST(Metrics, TheDashboardAsksForNothingThatIsNotExported) {
    std::ifstream file{PELAGO_DOCS_DIR "/grafana.json"};
    const auto dashboard = nlohmann::json::parse(file);
    std::set<std::string> asked;
    for (const auto& panel : dashboard.at("panels")) {
        for (const auto& target : panel.value("targets", nlohmann::json::array())) {
            asked.merge(names_in(target.at("expr").get<std::string>()));
        }
    }
    EXPECT_GE(asked.size(), 15U);
    for (auto name : asked) {
        for (const auto* suffix : {"_bucket", "_sum", "_count"}) {
            const bool of_histogram = name == std::string{"pelago_request_duration_seconds"} + suffix;
            if (of_histogram) name = "pelago_request_duration_seconds";
        }
        EXPECT_TRUE(metric_names().contains(name)) << name;
    }
}

/// Serves "page" on any port while a stranger talks to it from a thread of his own.
class MetricsPage : public testing::Test {
  protected:
    /// `idle`: others that connected before and say nothing.
    std::string ask(const std::string& request, std::size_t idle = 0) {
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
                answer = talk(port, request, idle);
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
    static std::string talk(std::uint16_t port, const std::string& request, std::size_t idle) {
        using boost::asio::ip::tcp;
        boost::asio::io_context context;
        boost::system::error_code error;
        std::list<tcp::socket> others;
        for (std::size_t i = 0; i < idle; ++i) {
            others.emplace_back(context).connect({boost::asio::ip::make_address("127.0.0.1"), port}, error);
        }
        tcp::socket socket{context};
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

TEST_F(MetricsPage, WhoeverConnectsAndSaysNothingKeepsNobodyOut) {
    const auto began = std::chrono::steady_clock::now();
    EXPECT_THAT(ask("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 40), HasSubstr("the page\n"));
    EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds{5}) << "it waited until they were tired";
}

TEST_F(MetricsPage, NonsenseAndEndlessHeadersEndTheConnection) {
    EXPECT_EQ(ask("\r\n\x01nonsense\r\n\r\n"), "");
    EXPECT_EQ(ask("GET /metrics HTTP/1.1\r\nX: " + std::string(1U << 20U, 'x')), "");
}

}  // namespace
}  // namespace tools
