// A directory that is held open: whoever may rename what leads to it, or put a symbolic link there, cannot make it
// another.
#pragma once

#include <string>
#include <string_view>

#include "base/result.hpp"

namespace tools {

class Directory {
  public:
    /// `path` is absolute, as realpath(3) gives it: a symbolic link in it is an error by now.
    [[nodiscard]] static base::Result<Directory> open(const std::string& path);
    /// One that lies in it; a symbolic link is an error.
    [[nodiscard]] base::Result<Directory> enter(const std::string& name) const;

    ~Directory();
    Directory(Directory&& other) noexcept;
    Directory& operator=(Directory&& other) noexcept;
    Directory(const Directory&) = delete;
    Directory& operator=(const Directory&) = delete;

    /// A path for system calls while it is open: only what lies below `name` can be another's doing.
    [[nodiscard]] std::string at(std::string_view name) const;
    /// Nobody else may write into it, or could have made it.
    [[nodiscard]] bool is_ours_alone() const;
    /// The error with what people call the directory in the place of what at() does.
    [[nodiscard]] base::Error in_words(const base::Error& error) const;
    [[nodiscard]] std::string path_of(std::string_view name) const;

  private:
    Directory(int descriptor, std::string path) : descriptor_{descriptor}, path_{std::move(path)} {}

    int descriptor_;
    std::string path_;
};

}  // namespace tools
