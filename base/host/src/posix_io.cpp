#include "posix_io.hpp"

#include <dirent.h>
#include <limits.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <system_error>

#include "base/error.hpp"

namespace base::host {

Error errno_error(std::string_view path, int value) {
    const auto code = from_errno(value);
    std::string detail{path};
    if (value == EMFILE) {
        detail += " (too many open files; raise 'ulimit -n')";
    } else if (value == EFBIG) {
        detail += " (no file may be larger there: 'ulimit -f', or the file system)";
    } else if (code == Errc::io_failed || code == Errc::bad_argument || code == Errc::busy) {
        detail += " (" + std::generic_category().message(value) + ")";
    }
    return Error{code, std::move(detail)};
}

Error errno_error(std::string_view path) { return errno_error(path, errno); }

Result<std::size_t> read_fully(int descriptor, std::uint64_t offset, std::span<std::uint8_t> out,
                               const std::string& path) {
    std::size_t done = 0;
    while (done < out.size()) {
        const auto rest = out.subspan(done);
        const auto got = retry_interrupted(
            [&] { return ::pread(descriptor, rest.data(), rest.size(), static_cast<off_t>(offset + done)); });
        if (got < 0) return errno_error(path);
        if (got == 0) break;
        done += static_cast<std::size_t>(got);
    }
    return done;
}

Result<void> write_fully(int descriptor, std::uint64_t offset, std::span<const ByteView> parts,
                         const std::string& path) {
    std::size_t begun = 0;  // bytes of parts.front() that are written
    std::array<iovec, 64> vectors{};
    while (!parts.empty()) {
        if (begun == parts.front().size()) {
            parts = parts.subspan(1);
            begun = 0;
            continue;
        }
        const std::size_t count = std::min<std::size_t>(parts.size(), vectors.size());
        for (std::size_t i = 0; i < count; ++i) {
            const auto part = i == 0 ? parts[i].subspan(begun) : parts[i];
            vectors[i] = {const_cast<std::uint8_t*>(part.data()), part.size()};
        }
        const auto wrote = retry_interrupted(
            [&] { return ::pwritev(descriptor, vectors.data(), static_cast<int>(count), static_cast<off_t>(offset)); });
        if (wrote < 0) return errno_error(path);
        if (wrote == 0) return Error{Errc::io_failed, path};  // never for a regular file with something to write
        offset += static_cast<std::uint64_t>(wrote);
        for (auto left = static_cast<std::size_t>(wrote); left > 0;) {
            const auto step = std::min(left, parts.front().size() - begun);
            begun += step;
            left -= step;
            if (begun == parts.front().size()) {
                parts = parts.subspan(1);
                begun = 0;
            }
        }
    }
    return ok();
}

Result<std::vector<DirectoryEntry>> read_directory(UniqueFd directory, const std::string& path) {
    const auto close = [](DIR* stream) { ::closedir(stream); };
    const std::unique_ptr<DIR, decltype(close)> stream{::fdopendir(directory.get()), close};
    if (!stream) return errno_error(path);
    static_cast<void>(directory.release());
    std::vector<DirectoryEntry> entries;
    for (;;) {
        errno = 0;
        const dirent* entry = ::readdir(stream.get());
        if (entry == nullptr) break;
        const std::string_view name{entry->d_name};
        if (name != "." && name != "..") entries.push_back({std::string{name}, entry->d_type});
    }
    if (errno != 0) return errno_error(path);
    return entries;
}

}  // namespace base::host
