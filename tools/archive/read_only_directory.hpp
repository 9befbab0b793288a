// What a tree that is only read answers to whoever would change it.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "base/error.hpp"
#include "base/local_tree.hpp"

namespace tools {

[[nodiscard]] inline base::Error only_read() { return base::Error{base::Errc::denied, "this tree is only read"}; }

class ReadOnlyFile : public base::LocalFile {
  public:
    base::Result<void> write_at(std::uint64_t, base::ByteView) final { return only_read(); }
    base::Result<void> truncate(std::uint64_t) final { return only_read(); }
    base::Result<void> set_xattr(const base::Xattr&) final { return only_read(); }
    base::Result<void> set_metadata(const base::Metadata&) final { return only_read(); }
};

class ReadOnlyDirectory : public base::LocalDirectory {
  public:
    base::Result<std::unique_ptr<LocalDirectory>> make_directory(std::string_view) final { return only_read(); }
    base::Result<std::unique_ptr<base::LocalFile>> create_file(std::string_view) final { return only_read(); }
    base::Result<std::unique_ptr<base::LocalFile>> reopen_file(std::string_view) final { return only_read(); }
    base::Result<void> make_symlink(std::string_view, std::string_view) final { return only_read(); }
    base::Result<void> make_link(std::string_view, LocalDirectory&, std::string_view) final { return only_read(); }
    base::Result<void> make_special(std::string_view, base::FileType, std::uint64_t) final { return only_read(); }
    base::Result<void> set_xattr(const base::Xattr&) final { return only_read(); }
    base::Result<void> remove_xattr(const std::string&) final { return only_read(); }
    base::Result<void> set_xattr(std::string_view, const base::Xattr&) final { return only_read(); }
    base::Result<void> set_metadata(const base::Metadata&) final { return only_read(); }
    base::Result<void> set_metadata(std::string_view, const base::Metadata&) final { return only_read(); }
    base::Result<void> remove(std::string_view) final { return only_read(); }
    base::Result<void> rename(std::string_view, std::string_view) final { return only_read(); }
};

class ReadOnlyTree : public base::LocalTree {
  public:
    base::Result<std::unique_ptr<base::LocalDirectory>> create(std::string_view) final { return only_read(); }
    /// Paths are the tree's own.
    base::Result<std::string> absolute(std::string_view path) final {
        return (std::filesystem::path{"/"} / path).lexically_normal().string();
    }
    [[nodiscard]] bool privileged() const final { return false; }
    [[nodiscard]] std::uint32_t user_id() const final { return 0; }
};

}  // namespace tools
