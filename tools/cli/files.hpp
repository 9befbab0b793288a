// Small files that a user names: keys, passphrases, settings. Everything else goes through the doors.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace tools {

/// Nullopt if there is no such file. Errc::bad_argument above `limit` bytes; std::errc::is_a_directory. Errors name the
/// path.
[[nodiscard]] base::Result<std::optional<base::Bytes>> read_small_file(const std::string& path, std::size_t limit);
/// What errno says: "cannot list /x: Permission denied".
[[nodiscard]] base::Error failed_call(const std::string& what);

/// Mode 0600, complete and durable when it returns, or not there at all. Errc::exists if the name is taken. Here and
/// below: symbolic links are followed, and what root makes in another user's directory is that user's.
[[nodiscard]] base::Result<void> write_new_file(const std::string& path, base::ByteView bytes);
/// The old bytes or the new ones, whatever crashes when. Mode 0600, durable.
[[nodiscard]] base::Result<void> replace_small_file(const std::string& path, base::ByteView bytes);
/// The same, if what is there (at most `limit` bytes) `is_as_before`: of two that change it at the same moment the
/// second gets Errc::busy, and changes nothing.
[[nodiscard]] base::Result<void> change_small_file(const std::string& path, std::size_t limit,
                                                   const std::function<bool(base::ByteView)>& is_as_before,
                                                   base::ByteView bytes);
/// With its parents, mode 0700.
[[nodiscard]] base::Result<void> make_directories(const std::string& path);
/// What root makes for an ordinary user is that user's: gives the open `file` to the owner of `path`, or, where that is
/// not there, of the directory that it would lie in.
void give_to_owner(int file, const std::string& path);
/// A new directory that goes with all that is in it, mode 0700.
class TemporaryDirectory {
  public:
    /// In `parent`, which is made if it is not there; its name begins with `prefix`.
    [[nodiscard]] static base::Result<std::unique_ptr<TemporaryDirectory>> make(const std::string& parent,
                                                                                const std::string& prefix);
    ~TemporaryDirectory();
    TemporaryDirectory(const TemporaryDirectory&) = delete;
    TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
    [[nodiscard]] const std::string& path() const { return path_; }

  private:
    explicit TemporaryDirectory(std::string path) : path_{std::move(path)} {}
    std::string path_;
};
/// Hard links of the file; 0 if there is no such file.
[[nodiscard]] std::uint64_t names_of(const std::string& path);
/// Permission bits; nullopt if there is no such file.
[[nodiscard]] std::optional<std::uint32_t> mode_of(const std::string& path);

[[nodiscard]] std::string join_path(std::string_view directory, std::string_view name);
[[nodiscard]] std::string parent_path(std::string_view path);

}  // namespace tools
