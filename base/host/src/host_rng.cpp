#include "base/host/host_rng.hpp"

#include <sys/random.h>

#include <cerrno>
#include <system_error>

namespace base::host {

void HostRng::fill(std::span<std::uint8_t> out) {
    while (!out.empty()) {
        const ssize_t got = ::getrandom(out.data(), out.size(), 0);
        if (got < 0 && errno == EINTR) continue;
        // Only a kernel before 3.17 or a sandbox that forbids the call: never go on with predictable keys.
        if (got < 0) throw std::system_error{errno, std::generic_category(), "getrandom"};
        out = out.subspan(static_cast<std::size_t>(got));
    }
}

}  // namespace base::host
