// Messages between a command and the daemon of the same machine and user: the frames of TcpTransport over a Unix
// socket.
#pragma once

#include <memory>
#include <string>

#include "base/host/tcp_transport.hpp"
#include "base/log.hpp"
#include "base/rng.hpp"
#include "base/transport.hpp"

namespace base::host {

/// The daemon's end. Who may connect: processes of our own user, root, and, if they are to, members of our group. Their
/// Peer has a zero id and no certificate.
class LocalServer {
  public:
    /// Makes the socket, mode 0600 (0660 for our group); one that nobody listens on any more is replaced. Errc::exists
    /// if somebody does.
    [[nodiscard]] static Result<std::unique_ptr<LocalServer>> open(Executor executor, Clock& clock, Rng& rng, Log& log,
                                                                   std::string path, ConnectionLimits limits = {},
                                                                   bool for_group = false);
    /// Closes everything and removes the socket.
    ~LocalServer();

    /// As Transport::serve.
    void serve(Service service, Transport::RequestHandler on_request, Transport::NotifyHandler on_notify);
    /// As TcpTransport::stop.
    Task<void> stop();

    struct Impl;

  private:
    explicit LocalServer(std::shared_ptr<Impl> impl);
    std::shared_ptr<Impl> impl_;
};

/// A command's end. The address of request() and notify() is ignored; self() is zero. Connects when first used:
/// Errc::unreachable "no node is running here" if nobody listens, Errc::denied if we may not.
[[nodiscard]] std::unique_ptr<Transport> connect_local(Executor executor, Clock& clock, Rng& rng, std::string path,
                                                       ConnectionLimits limits = {});

}  // namespace base::host
