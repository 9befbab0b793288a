// The transport of a network of one: there is nobody to talk to but ourselves.
#pragma once

#include <map>

#include "base/transport.hpp"

namespace tools {

class LoneTransport final : public base::Transport {
  public:
    explicit LoneTransport(base::Address self) : self_{std::move(self)} {}
    /// Before anything is sent or served: the store that knows who we are is opened first.
    void become(base::Address self) { self_ = std::move(self); }

    [[nodiscard]] const base::Address& self() const override { return self_; }
    /// To ourselves it is a call; anybody else is unreachable.
    base::Task<base::Result<base::Message>> request(base::Address to, base::Message message,
                                                    base::TimePoint deadline) override;
    void notify(const base::Address& to, base::Message message) override;
    void serve(base::Service service, RequestHandler on_request, NotifyHandler on_notify) override;

  private:
    struct Handlers {
        RequestHandler on_request;
        NotifyHandler on_notify;
    };
    base::Address self_;
    std::map<base::Service, Handlers> handlers_;
};

}  // namespace tools
