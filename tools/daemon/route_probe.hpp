// One message to the root of a key and the root's answer: what `pelago route` sends, and answers on every node.
#pragma once

#include <map>
#include <memory>

#include "base/env.hpp"
#include "base/task_group.hpp"
#include "pastry/kbr.hpp"

namespace tools {

class RouteProbe final : public pastry::Application {
  public:
    struct Arrival {
        pastry::NodeHandle root;
        unsigned hops = 0;
        base::Duration rtt{};  ///< there, hop by hop, and straight back
    };

    /// Serves Service::diagnostics; `on_request` answers what is asked there. Both outlive it.
    RouteProbe(base::NodeEnv env, pastry::Kbr& kbr, base::Transport::RequestHandler on_request);
    ~RouteProbe() override;

    /// base::Errc::timed_out if no answer came.
    base::Task<base::Result<Arrival>> send(base::Guid key, base::TimePoint deadline);

    void deliver(const base::Guid& key, const pastry::NodeHandle& origin, base::Message message,
                 unsigned hops) override;

  private:
    struct Waiting;
    void on_answer(const base::Peer& from, const base::Message& message);

    base::NodeEnv env_;
    pastry::Kbr& kbr_;
    std::map<std::uint64_t, std::shared_ptr<Waiting>> waiting_;
};

}  // namespace tools
