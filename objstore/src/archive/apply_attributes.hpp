// Owner, attributes, mode and time of what restore made, in the order that keeps all of them.
#pragma once

#include <string>

#include "base/local_tree.hpp"
#include "target_tree.hpp"

namespace objstore::archive {

/// Of an open file.
void apply_attributes(base::LocalFile& file, const Attributes& attributes, const std::string& path, bool privileged,
                      SharedWarnings& warnings);
/// Of a directory itself.
void apply_attributes(base::LocalDirectory& directory, const Attributes& attributes, const std::string& path,
                      bool privileged, SharedWarnings& warnings);
/// Of a link or special file, by name.
void apply_attributes(base::LocalDirectory& directory, const std::string& name, const Attributes& attributes,
                      const std::string& path, bool privileged, SharedWarnings& warnings);

}  // namespace objstore::archive
