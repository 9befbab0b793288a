#include "daemon/metrics.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <list>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/host/tcp_transport.hpp"
#include "base/task_group.hpp"
#include "past/latency.hpp"

namespace tools {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using Tcp = asio::ip::tcp;

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t kMostConnections = 16;
constexpr std::size_t kMostRequestBytes = 8192;
constexpr std::chrono::seconds kPatience{10};  // for a request, and for taking the answer

struct Metric {
    const char* name;
    const char* type;
    const char* pointer;  // into the document
    const char* help;
};

constexpr std::array kMetrics{
    Metric{"pelago_uptime_seconds", "gauge", "/uptime_s", "Since the node was started"},
    Metric{"pelago_storage_peers", "gauge", "/storage_peers", "Storage members of the network"},
    Metric{"pelago_copies", "gauge", "/past/copies", "Copies of each block that there can be now"},
    Metric{"pelago_copies_wanted", "gauge", "/past/copies_wanted", "Copies of each block that the policy asks for"},
    Metric{"pelago_blocks", "gauge", "/store/blocks", "Blocks kept here"},
    Metric{"pelago_block_bytes", "gauge", "/store/block_bytes", "Their bytes"},
    Metric{"pelago_disk_bytes", "gauge", "/store/disk_bytes", "Files of the store, garbage included"},
    Metric{"pelago_capacity_bytes", "gauge", "/store/capacity_bytes", "What they may come to"},
    Metric{"pelago_reserve_bytes", "gauge", "/store/reserve_bytes", "Of that, kept for deletes and records"},
    Metric{"pelago_index_bytes", "gauge", "/store/index_bytes", "Memory of the index"},
    Metric{"pelago_unreadable_segments", "gauge", "/store/unreadable_segments", "Files of the store that fail to read"},
    Metric{"pelago_read_only", "gauge", "/store/read_only", "1: the disk failed, and the store takes nothing"},
    Metric{"pelago_blocks_whole", "gauge", "/past/blocks_whole", "Blocks that have all their copies"},
    Metric{"pelago_blocks_under_replicated", "gauge", "/past/blocks_short", "Blocks of which copies are missing"},
    Metric{"pelago_blocks_unchecked", "gauge", "/past/blocks_unchecked", "Blocks not compared since they changed"},
    Metric{"pelago_blocks_lost", "gauge", "/past/blocks_lost", "Blocks damaged here that wait for a good copy"},
    Metric{"pelago_repair_backlog_blocks", "gauge", "/past/backlog_blocks", "Blocks that this node has to send"},
    Metric{"pelago_repair_backlog_bytes", "gauge", "/repair/bytes", "Their bytes, by the average of what is kept here"},
    Metric{"pelago_repair_oldest_seconds", "gauge", "/past/oldest_short_s",
           "For how long copies have been missing somewhere; 0: none are"},
    Metric{"pelago_draining", "gauge", "/past/draining", "1: the node empties itself before it leaves"},
    Metric{"pelago_drain_left_blocks", "gauge", "/past/blocks_to_drain", "Blocks that are still to go to others"},
    Metric{"pelago_drain_left_bytes", "gauge", "/past/bytes_to_drain", "Their bytes"},
    Metric{"pelago_blocks_diverted", "gauge", "/past/blocks_diverted", "Blocks that neighbours keep for this node"},
    Metric{"pelago_blocks_for_others", "gauge", "/past/blocks_for_others", "Blocks kept for neighbours"},
    Metric{"pelago_volumes_without_majority", "gauge", "/past/registers_without_majority",
           "Volumes to which nothing can be added"},
    Metric{"pelago_pending_reclaims", "gauge", "/past/pending_reclaims", "Reclaims that wait for their grace"},
    Metric{"pelago_puts_total", "counter", "/past/puts", "Puts served"},
    Metric{"pelago_gets_total", "counter", "/past/gets", "Gets served"},
    Metric{"pelago_puts_refused_total", "counter", "/past/puts_refused", "Puts refused: full, busy, too few holders"},
    Metric{"pelago_cache_hits_total", "counter", "/past/cache_hits", "Gets answered from the cache"},
    Metric{"pelago_repaired_blocks_total", "counter", "/past/blocks_repaired", "Blocks sent to holders without them"},
    Metric{"pelago_repaired_bytes_total", "counter", "/past/bytes_repaired", "Their bytes"},
    Metric{"pelago_corrupt_blocks_total", "counter", "/past/corrupt_blocks", "Damaged blocks found here"},
    Metric{"pelago_wrong_blocks_total", "counter", "/past/wrong_blocks", "Wrong bytes that peers sent"},
    Metric{"pelago_scrub_started_timestamp_seconds", "gauge", "/past/scrub/began_s", "Beginning of the last scrub"},
    Metric{"pelago_scrub_completed_timestamp_seconds", "gauge", "/past/scrub/ended_s",
           "End of the last scrub that came to its end; 0: none"},
    Metric{"pelago_scrub_blocks", "gauge", "/past/scrub/blocks", "Blocks read in that scrub"},
    Metric{"pelago_scrub_damaged_blocks", "gauge", "/past/scrub/damaged", "Damaged blocks found in that scrub"},
    Metric{"pelago_objects_published", "gauge", "/location/published", "Objects announced by this node"},
    Metric{"pelago_pointers", "gauge", "/location/pointers", "Pointers to objects kept here"},
    Metric{"pelago_overlay_messages_sent_total", "counter", "/overlay/sent", "Messages of the overlay"},
    Metric{"pelago_overlay_messages_lost_total", "counter", "/overlay/lost", "Messages that no node took"},
    Metric{"pelago_syncs_total", "counter", "/process/syncs", "Syncs of this process's disks"},
    Metric{"pelago_written_bytes_total", "counter", "/process/written_bytes", "Bytes written to disk"},
    Metric{"pelago_messages_total", "counter", "/process/messages", "Frames sent on TCP connections"},
    Metric{"pelago_sent_bytes_total", "counter", "/process/sent_bytes", "Their bytes"},
};

constexpr const char* kRequestTimes = "pelago_request_duration_seconds";
constexpr const char* kMemberUp = "pelago_member_up";

http::response<http::string_body> answer_to(const http::request<http::empty_body>& request,
                                            const base::Result<std::string>& page) {
    http::response<http::string_body> answer{http::status::ok, request.version()};
    answer.set(http::field::content_type, "text/plain; version=0.0.4; charset=utf-8");
    answer.keep_alive(false);
    const auto path = request.target().substr(0, request.target().find('?'));
    if (request.method() != http::verb::get) {
        answer.result(http::status::method_not_allowed);
    } else if (path != "/metrics") {
        answer.result(http::status::not_found);
        answer.body() = "see /metrics\n";
    } else if (!page) {
        answer.result(http::status::internal_server_error);
        answer.body() = page.error().message() + "\n";
    } else {
        answer.body() = *page;
    }
    answer.prepare_payload();
    return answer;
}

/// Its buckets add up, as Prometheus wants them.
void add_request_times(std::string& out, const nlohmann::json& requests) {
    constexpr const char* kName = kRequestTimes;
    out += fmt::format("# HELP {0} Time of requests, by kind.\n# TYPE {0} histogram\n", kName);
    for (const auto& [kind, times] : requests.items()) {
        const auto& counts = times.at("counts");
        std::uint64_t sum = 0;
        for (std::size_t i = 0; i < counts.size(); ++i) {
            sum += counts[i].get<std::uint64_t>();
            const auto& bounds = past::LatencyHistogram::kBoundsMs;
            const auto bound = i < bounds.size() ? fmt::format("{}", bounds[i] / 1000.0) : std::string{"+Inf"};
            out += fmt::format("{}_bucket{{kind=\"{}\",le=\"{}\"}} {}\n", kName, kind, bound, sum);
        }
        out += fmt::format("{0}_sum{{kind=\"{1}\"}} {2}\n{0}_count{{kind=\"{1}\"}} {3}\n", kName, kind,
                           static_cast<double>(times.at("sum_us").get<std::uint64_t>()) / 1e6, sum);
    }
}

}  // namespace

std::set<std::string> metric_names() {
    std::set<std::string> names{kRequestTimes, kMemberUp};
    for (const auto& metric : kMetrics) names.insert(metric.name);
    return names;
}

std::string metrics_text(const nlohmann::json& status) {
    std::string out;
    for (const auto& metric : kMetrics) {
        const nlohmann::json::json_pointer pointer{metric.pointer};
        if (!status.contains(pointer)) continue;
        const auto& value = status.at(pointer);
        if (!value.is_number() && !value.is_boolean()) continue;
        const auto shown = value.is_boolean() ? std::string{value.get<bool>() ? "1" : "0"} : value.dump();
        out += fmt::format("# HELP {0} {1}.\n# TYPE {0} {2}\n{0} {3}\n", metric.name, metric.help, metric.type, shown);
    }
    if (const nlohmann::json::json_pointer requests{"/past/requests"}; status.contains(requests)) {
        add_request_times(out, status.at(requests));
    }
    constexpr const char* kUp = kMemberUp;
    out += fmt::format("# HELP {0} 1 if the storage member answers.\n# TYPE {0} gauge\n", kUp);
    for (const auto& member : status.value("members", nlohmann::json::array())) {
        const auto state = member.value("state", std::string{});
        out += fmt::format("{}{{id=\"{}\"}} {}\n", kUp, member.value("id", std::string{}).substr(0, 8),
                           state == "here" || state == "up" ? 1 : 0);
    }
    return out;
}

namespace {

struct Connection {
    explicit Connection(boost::beast::tcp_stream stream_in) : stream{std::move(stream_in)} {}

    boost::beast::tcp_stream stream;
    bool answering = false;
};

}  // namespace

struct MetricsServer::State : std::enable_shared_from_this<State> {
    State(base::Executor executor, Page made) : acceptor{executor}, page{std::move(made)}, work{executor} {}

    static base::Task<void> accept(std::shared_ptr<State> self) {
        for (;;) {
            auto [error, socket] = co_await self->acceptor.async_accept(kAwait);
            if (error == asio::error::operation_aborted) co_return;
            if (error) {  // out of descriptors, or the other end is gone
                asio::steady_timer timer{self->acceptor.get_executor(), std::chrono::milliseconds{100}};
                co_await timer.async_wait(kAwait);
                continue;
            }
            if (!self->makes_room()) continue;  // it is closed
            auto connection = std::make_shared<Connection>(boost::beast::tcp_stream{std::move(socket)});
            self->connections.push_back(connection);
            self->work.spawn(serve(self, std::move(connection)));
        }
    }

    /// Of those that have asked nothing yet the oldest goes, so that idle ones keep nobody out. False if all are being
    /// answered.
    bool makes_room() {
        if (connections.size() < kMostConnections) return true;
        const auto idle = std::ranges::find(connections, false, &Connection::answering);
        if (idle == connections.end()) return false;
        (*idle)->stream.cancel();
        connections.erase(idle);
        return true;
    }

    static base::Task<void> serve(std::shared_ptr<State> self, std::shared_ptr<Connection> connection) {
        struct AtEnd {
            State& state;
            const std::shared_ptr<Connection>& connection;
            ~AtEnd() { state.connections.remove(connection); }
        } const at_end{*self, connection};
        auto& stream = connection->stream;
        boost::beast::flat_buffer buffer{kMostRequestBytes};
        http::request_parser<http::empty_body> request;
        request.header_limit(kMostRequestBytes);
        stream.expires_after(kPatience);
        const auto [error, size] = co_await http::async_read(stream, buffer, request, kAwait);
        if (error) co_return;
        connection->answering = true;
        const auto page = co_await self->page();
        const auto answer = answer_to(request.get(), page);
        stream.expires_after(kPatience);
        co_await http::async_write(stream, answer, kAwait);
        boost::system::error_code ignored;
        stream.socket().shutdown(Tcp::socket::shutdown_send, ignored);
    }

    Tcp::acceptor acceptor;
    Page page;
    std::list<std::shared_ptr<Connection>> connections;  // the oldest first
    base::TaskGroup work;
};

base::Result<std::unique_ptr<MetricsServer>> MetricsServer::open(base::Executor executor, const std::string& listen,
                                                                 Page page) {
    BASE_TRY(const auto where, base::host::parse_host_port(listen));
    boost::system::error_code error;
    const auto address = asio::ip::make_address(where.host, error);
    if (error) return base::Error{base::Errc::bad_argument, "'" + where.host + "' is no address"};
    auto state = std::make_shared<State>(std::move(executor), std::move(page));
    const Tcp::endpoint endpoint{address, where.port};
    state->acceptor.open(endpoint.protocol(), error);
    if (!error) state->acceptor.set_option(Tcp::acceptor::reuse_address(true), error);
    if (!error) state->acceptor.bind(endpoint, error);
    if (!error) state->acceptor.listen(Tcp::acceptor::max_listen_connections, error);
    if (error == asio::error::address_in_use)
        return base::Error{base::Errc::exists,
                           "port " + std::to_string(where.port) + " on " + where.host + " is in use"};
    if (error) return base::Error{base::Errc::io_failed, "cannot listen on " + listen + ": " + error.message()};
    state->work.spawn(State::accept(state));
    return std::unique_ptr<MetricsServer>{new MetricsServer{std::move(state)}};
}

MetricsServer::MetricsServer(std::shared_ptr<State> state) : state_{std::move(state)} {}

MetricsServer::~MetricsServer() = default;

base::Task<void> MetricsServer::stop() {
    boost::system::error_code ignored;
    state_->acceptor.close(ignored);
    state_->work.cancel();
    co_await state_->work.join();
}

std::string MetricsServer::endpoint() const {
    boost::system::error_code ignored;
    const auto local = state_->acceptor.local_endpoint(ignored);
    const auto host = local.address().to_string();
    return (local.address().is_v6() ? "[" + host + "]" : host) + ":" + std::to_string(local.port());
}

}  // namespace tools
