// What this process has asked of its disks and its network since it began.
#pragma once

#include <atomic>
#include <cstdint>

namespace base::host {

/// One of each a process; any thread. They only grow.
struct Counters {
    std::atomic<std::uint64_t> syncs{0};  ///< fdatasync and fsync of directories, by HostDisk
    std::atomic<std::uint64_t> written_bytes{0};
    std::atomic<std::uint64_t> messages{0};    ///< frames sent on TCP connections, answers among them
    std::atomic<std::uint64_t> sent_bytes{0};  ///< of those, without TLS
};
[[nodiscard]] Counters& counters();

}  // namespace base::host
