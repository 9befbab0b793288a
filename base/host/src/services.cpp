#include "services.hpp"

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>

#include "base/error.hpp"

namespace base::host {

void Services::serve(Service service, Transport::RequestHandler on_request, Transport::NotifyHandler on_notify) {
    if (!on_request && !on_notify) {
        handlers_.erase(service);
        return;
    }
    Handlers handlers{std::move(on_request), std::move(on_notify)};
    handlers_[service] = std::make_shared<const Handlers>(std::move(handlers));
}

std::shared_ptr<const Services::Handlers> Services::find(Service service) const {
    const auto found = handlers_.find(service);
    return found == handlers_.end() ? nullptr : found->second;
}

Task<Result<Message>> Services::answer(Peer from, Message message) {
    const auto handlers = find(message.service());
    if (!handlers || !handlers->on_request) {
        co_return Error{Errc::unsupported, "service " + std::to_string(message.kind >> 8U)};
    }
    // A bug in one handler is one failed request, not the end of the node.
    std::string failure;
    try {
        co_return co_await handlers->on_request(std::move(from), std::move(message));
    } catch (const boost::system::system_error& error) {
        if (error.code() == boost::asio::error::operation_aborted) throw;
        failure = error.what();
    } catch (const std::exception& error) {
        failure = error.what();
    }
    log_.write(Log::Level::error, "base", "a request handler failed: " + failure);
    co_return Error{Errc::peer_failed, "internal error"};
}

void Services::deliver(const Peer& from, Message message) {
    if (const auto handlers = find(message.service()); handlers && handlers->on_notify) {
        handlers->on_notify(from, std::move(message));
    }
}

}  // namespace base::host
