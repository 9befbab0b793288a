// The joiner's side of admission, for `network join` and the development cluster.
#pragma once

#include "base/host/host_runtime.hpp"
#include "base/network_directory.hpp"

namespace tools {

/// Dials the token's issuer, proves a key made for this, and keeps what it is given on `disk`. Can be repeated with the
/// same token after a break. Both references outlive the task.
[[nodiscard]] base::Task<base::Result<base::NetworkDirectory>> join_network(base::host::HostRuntime& runtime,
                                                                            base::Disk& disk, base::Token token,
                                                                            base::NetworkDirectory::Wish wish);

}  // namespace tools
