// Extended attributes by descriptor, or by name below one, with the same code.
#pragma once

#include <string>
#include <vector>

#include "base/local_tree.hpp"
#include "base/result.hpp"

namespace base::host {

/// Where attributes are read or set: an open descriptor, or a path whose last link is not followed.
class XattrTarget {
  public:
    /// `path` is for errors only.
    static XattrTarget of_descriptor(int descriptor, std::string path);
    /// The entry `name` of an open directory, through /proc/self/fd: the only way to reach links, fifos and devices,
    /// which cannot be opened, without following a name twice.
    static XattrTarget of_entry(int directory, std::string_view name, std::string path);

    /// Sorted by name. Attributes that vanish meanwhile are left out; a file system without any gives none.
    [[nodiscard]] Result<std::vector<Xattr>> read() const;
    [[nodiscard]] Result<void> set(const Xattr& xattr) const;
    /// It need not be there.
    [[nodiscard]] Result<void> remove(const std::string& name) const;
    /// What a default ACL of the directory gave to what was just made in it, and a directory passes on.
    [[nodiscard]] Result<void> remove_inherited(bool directory) const;

  private:
    XattrTarget(int descriptor, std::string place, std::string path);
    [[nodiscard]] ssize_t list_into(char* out, std::size_t size) const;
    [[nodiscard]] ssize_t get_into(const char* name, std::uint8_t* out, std::size_t size) const;

    int descriptor_;     // -1: by place_
    std::string place_;  // below /proc/self/fd
    std::string path_;
};

}  // namespace base::host
