#include "base/disk.hpp"

#include "base/error.hpp"

namespace base {

Result<Bytes> read_file(Disk& disk, std::string_view path, std::uint64_t limit) {
    BASE_TRY(const auto file, disk.open(path, Disk::Mode::read));
    BASE_TRY(const auto size, file->size());
    if (size > limit) return Error{Errc::bad_format, std::string{path} + " is larger than it may be"};
    Bytes bytes(static_cast<std::size_t>(size));
    BASE_TRY(const auto length, file->read_at(0, bytes));
    if (length != bytes.size()) return Error{Errc::io_failed, std::string{path} + " ended early"};
    return bytes;
}

Result<void> replace_file(Disk& disk, std::string_view path, ByteView bytes) {
    const std::string beside = std::string{path} + ".new";
    {
        BASE_TRY(const auto file, disk.open(beside, Disk::Mode::create));
        BASE_CHECK(file->truncate(0));
        BASE_CHECK(file->write_at(0, bytes));
        BASE_CHECK(file->sync());
    }
    BASE_CHECK(disk.rename(beside, path));
    const auto slash = path.rfind('/');
    return disk.sync_directory(slash == std::string_view::npos ? std::string_view{} : path.substr(0, slash));
}

}  // namespace base
