// What a command asks the daemon besides blocks: small JSON questions over the local socket.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "base/result.hpp"
#include "base/task.hpp"
#include "base/transport.hpp"
#include "session/data_directory.hpp"

namespace tools {

constexpr std::uint8_t kControlVerb = 200;  ///< of Service::local; below are past's
constexpr std::size_t kMaxControlBytes = 64U << 10U;

[[nodiscard]] base::Message control_request(const std::string& question, const nlohmann::json& arguments);
/// One question, one answer. Errors: what the daemon answered; Errc::no_node if none runs.
[[nodiscard]] base::Task<base::Result<nlohmann::json>> ask_daemon(base::Transport& daemon, base::Clock& clock,
                                                                  std::string question, nlohmann::json arguments,
                                                                  base::Duration timeout);
/// The same from a command: opens the socket of the data directory, asks, and closes it.
[[nodiscard]] base::Result<nlohmann::json> ask_daemon(const DataDirectory& directory, const std::string& question,
                                                      const nlohmann::json& arguments,
                                                      base::Duration timeout = std::chrono::seconds{30});

/// The daemon's side: a table of questions.
class ControlTable {
  public:
    using Answer = std::function<base::Task<base::Result<nlohmann::json>>(nlohmann::json arguments)>;
    void add(std::string question, Answer answer);
    /// Errc::unsupported for a question that this version does not know.
    base::Task<base::Result<base::Message>> handle(base::Message message);
    /// The answer itself; likewise.
    base::Task<base::Result<nlohmann::json>> ask(std::string question, nlohmann::json arguments);

  private:
    std::map<std::string, Answer> answers_;
};

}  // namespace tools
