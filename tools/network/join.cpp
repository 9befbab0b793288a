#include "network/join.hpp"

#include "base/host/tcp_transport.hpp"
#include "base/membership_service.hpp"

namespace tools {

namespace {
constexpr std::chrono::seconds kJoinTimeout{30};
}

base::Task<base::Result<base::NetworkDirectory>> join_network(base::host::HostRuntime& runtime, base::Disk& disk,
                                                              base::Token token, base::NetworkDirectory::Wish wish) {
    BASE_CO_TRY(const auto key, base::NetworkDirectory::prepare_join(disk, runtime.rng()));
    base::JoinRequest join;
    join.token_secret = token.secret;
    join.wish = wish;
    base::host::TrustedNetwork network;
    network.network = token.network;
    network.authority = token.authority;
    base::Address issuer;
    issuer.id = token.issuer;
    issuer.endpoint = token.issuer_endpoint;
    auto request = join.encode();
    BASE_CO_TRY(const auto answer,
                co_await base::host::request_join(runtime.executor(), runtime.clock(), key, network, std::move(issuer),
                                                  std::move(request), runtime.clock().now() + kJoinTimeout));
    BASE_CO_TRY(const auto admission, base::decode_admission(answer.payload));
    co_return base::NetworkDirectory::finish_join(disk, token, admission, key, runtime.clock().wall_ns());
}

}  // namespace tools
