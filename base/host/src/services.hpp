// Who answers which service on this node.
#pragma once

#include <map>
#include <memory>

#include "base/log.hpp"
#include "base/transport.hpp"

namespace base::host {

class Services {
  public:
    explicit Services(Log& log) : log_{log} {}

    void serve(Service service, Transport::RequestHandler on_request, Transport::NotifyHandler on_notify);
    void clear() { handlers_.clear(); }

    /// The handler's answer. Errc::unsupported if there is none, stopped if it was cancelled, peer_failed (and a line
    /// in the log) if it threw.
    Task<Result<Message>> answer(Peer from, Message message);
    void deliver(const Peer& from, Message message);

  private:
    /// Shared, so that a handler which replaces itself runs on.
    struct Handlers {
        Transport::RequestHandler on_request;
        Transport::NotifyHandler on_notify;
    };
    [[nodiscard]] std::shared_ptr<const Handlers> find(Service service) const;

    Log& log_;
    std::map<Service, std::shared_ptr<const Handlers>> handlers_;
};

}  // namespace base::host
