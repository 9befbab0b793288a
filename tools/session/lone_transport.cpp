#include "session/lone_transport.hpp"

#include "base/error.hpp"

namespace tools {

base::Task<base::Result<base::Message>> LoneTransport::request(base::Address to, base::Message message,
                                                               base::TimePoint /*deadline*/) {
    if (to.id != self_.id) co_return base::Error{base::Errc::unreachable, "peer " + to.id.short_hex()};
    const auto found = handlers_.find(message.service());
    if (found == handlers_.end() || !found->second.on_request) co_return base::Errc::unsupported;
    const RequestHandler handler = found->second.on_request;  // a copy: serve() may replace it meanwhile
    base::Peer from{self_, nullptr};
    co_return co_await handler(std::move(from), std::move(message));
}

void LoneTransport::notify(const base::Address& to, base::Message message) {
    const auto found = handlers_.find(message.service());
    if (to.id != self_.id || found == handlers_.end() || !found->second.on_notify) return;
    const NotifyHandler handler = found->second.on_notify;
    handler(base::Peer{self_, nullptr}, std::move(message));
}

void LoneTransport::serve(base::Service service, RequestHandler on_request, NotifyHandler on_notify) {
    if (on_request || on_notify) {
        handlers_[service] = {std::move(on_request), std::move(on_notify)};
    } else {
        handlers_.erase(service);
    }
}

}  // namespace tools
