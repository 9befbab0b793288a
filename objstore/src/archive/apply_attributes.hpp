// Owner, attributes, mode and time of what restore made, in the order that keeps all of them.
#pragma once

#include <string>

#include "base/local_tree.hpp"
#include "target_tree.hpp"

namespace objstore::archive {

/// Of an open file.
void apply_attributes(base::LocalFile& file, const Attributes& attributes, const std::string& path, bool privileged,
                      SharedWarnings& warnings);
/// Of a file that stays: its owner, as far as we can give it.
void set_owner(base::LocalFile& file, const Attributes& attributes, const std::string& path, bool privileged,
               SharedWarnings& warnings);
/// Of a directory itself. Attributes that the snapshot does not have are removed.
void apply_attributes(base::LocalDirectory& directory, const Attributes& attributes, const std::string& path,
                      bool privileged, SharedWarnings& warnings);
/// Of a link or special file, by name.
void apply_attributes(base::LocalDirectory& directory, const std::string& name, const Attributes& attributes,
                      const std::string& path, bool privileged, SharedWarnings& warnings);

/// Whether apply_attributes() would change nothing: owner, attributes, mode and time are those of the snapshot, or as
/// near to them as we can make them.
[[nodiscard]] bool has_attributes(base::LocalFile& file, const base::FileStat& stat, const Attributes& attributes,
                                  const TargetTree& tree);
/// The same of a link or special file.
[[nodiscard]] bool has_attributes(base::LocalDirectory& directory, const std::string& name, const base::FileStat& stat,
                                  const Attributes& attributes, const TargetTree& tree);

}  // namespace objstore::archive
