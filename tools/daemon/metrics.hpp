// The node's figures for Prometheus, over plain HTTP: GET /metrics. Nothing secret is in them, and nothing can be
// changed through it; it listens only where it is told to.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <set>
#include <string>

#include "base/result.hpp"
#include "base/task.hpp"

namespace tools {

/// Prometheus text format 0.0.4, of the document that the node answers to "status".
[[nodiscard]] std::string metrics_text(const nlohmann::json& status);

/// All that may be in it; of a histogram the name without its suffixes.
[[nodiscard]] std::set<std::string> metric_names();

class MetricsServer {
  public:
    /// Makes the page anew for each request.
    using Page = std::function<base::Task<base::Result<std::string>>()>;

    /// `listen`: "127.0.0.1:9480"; port 0 for any. base::Errc::exists if the port is in use.
    static base::Result<std::unique_ptr<MetricsServer>> open(base::Executor executor, const std::string& listen,
                                                             Page page);
    /// Requires: stop(), or an executor that does not run any more.
    ~MetricsServer();
    MetricsServer(const MetricsServer&) = delete;
    MetricsServer& operator=(const MetricsServer&) = delete;

    [[nodiscard]] std::string endpoint() const;
    /// Ends its connections; no page is asked for afterwards.
    base::Task<void> stop();

  private:
    struct State;
    explicit MetricsServer(std::shared_ptr<State> state);
    std::shared_ptr<State> state_;
};

}  // namespace tools
