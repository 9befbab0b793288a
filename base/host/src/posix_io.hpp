// Whole reads and writes over system calls that may be interrupted or fall short.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "unique_fd.hpp"

namespace base::host {

/// The call again as long as a signal interrupts it.
template <class Call>
auto retry_interrupted(Call call) {
    for (;;) {
        const auto result = call();
        if (result != -1 || errno != EINTR) return result;
    }
}

/// The present errno as an Error about `path`, with the system's own words where ours are vaguer.
[[nodiscard]] Error errno_error(std::string_view path);
[[nodiscard]] Error errno_error(std::string_view path, int value);

/// Fewer bytes only at the end of the file.
[[nodiscard]] Result<std::size_t> read_fully(int descriptor, std::uint64_t offset, std::span<std::uint8_t> out,
                                             const std::string& path);
[[nodiscard]] Result<void> write_fully(int descriptor, std::uint64_t offset, std::span<const ByteView> parts,
                                       const std::string& path);

struct DirectoryEntry {
    std::string name;
    unsigned char type = 0;  ///< DT_*, DT_UNKNOWN on some file systems
};
/// Without "." and "..", in the order of the file system. Takes the descriptor of an open, readable directory.
[[nodiscard]] Result<std::vector<DirectoryEntry>> read_directory(UniqueFd directory, const std::string& path);

}  // namespace base::host
