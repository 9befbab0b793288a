#include "base/host/clone_probe.hpp"

#include "base/error.hpp"
#include "dial.hpp"

namespace base::host {

Task<bool> is_ourselves(Executor executor, Clock& clock, TrustedNetwork network, SigningKey key,
                        Certificate certificate, std::string endpoint, TimePoint deadline) {
    const TlsContext tls{TlsContext::Side::client, key, &certificate};
    // What the other side proves decides; it ends the handshake when it sees its own key.
    const auto proven = std::make_shared<bool>(false);
    DialRequest request;
    request.endpoint = std::move(endpoint);
    request.alpn = kMemberAlpn;
    request.deadline = deadline;
    request.check = [network, &clock, us = certificate.id(), proven](const X509Identity& identity,
                                                                     std::string_view) -> Result<void> {
        BASE_TRY(const auto member, check_member(identity, network, clock.wall_ns()));
        *proven = member.id() == us;
        return ok();
    };
    const auto greeted = co_await dial_stream(executor, clock, tls, std::move(request));
    if (greeted) greeted->stream->close();
    co_return *proven;
}

}  // namespace base::host
