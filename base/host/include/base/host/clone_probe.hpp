// Does another process have our identity? A copied data directory runs as the same member twice.
#pragma once

#include <string>

#include "base/clock.hpp"
#include "base/host/tls_identity.hpp"
#include "base/membership.hpp"
#include "base/task.hpp"

namespace base::host {

/// True if whoever answers at `endpoint` proves to be the member that this key and certificate are.
[[nodiscard]] Task<bool> is_ourselves(Executor executor, Clock& clock, TrustedNetwork network, SigningKey key,
                                      Certificate certificate, std::string endpoint, TimePoint deadline);

}  // namespace base::host
