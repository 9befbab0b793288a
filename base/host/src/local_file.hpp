// Files of the user's tree by descriptor.
#pragma once

#include <memory>
#include <string>

#include "base/local_tree.hpp"
#include "unique_fd.hpp"

namespace base::host {

/// Of an entry of an open directory, never of what a link names; of the descriptor itself if `name` is empty.
[[nodiscard]] Result<FileStat> stat_of(int directory, const std::string& name, const std::string& path);

/// Owner, then mode (a change of owner clears the set-id bits), then time.
[[nodiscard]] Result<void> set_metadata_of(int descriptor, const Metadata& metadata, const std::string& path);
/// The same for an entry of an open directory, without following a link; the mode of a symbolic link is left alone,
/// since Linux keeps none.
[[nodiscard]] Result<void> set_metadata_of(int directory, const std::string& name, const Metadata& metadata,
                                           const std::string& path);

/// `path` is for errors only.
[[nodiscard]] std::unique_ptr<LocalFile> make_local_file(UniqueFd descriptor, std::string path);

}  // namespace base::host
