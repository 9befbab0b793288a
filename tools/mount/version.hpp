// Which version of a volume a mount shows, and which directory of it.
#pragma once

#include <memory>
#include <string>

#include "base/result.hpp"
#include "base/task.hpp"
#include "objstore/live/history.hpp"
#include "objstore/live/working_tree.hpp"
#include "objstore/volume.hpp"

namespace tools {

/// `at` empty: the live tree, to work in. Else, to read: "latest", the digits that a snapshot's id begins with, the
/// name of a version of the live tree, or a time: then the newest of all these that is not younger.
[[nodiscard]] base::Task<base::Result<std::unique_ptr<objstore::WorkingTree>>> open_tree(base::NodeEnv env,
                                                                                         objstore::Volume& volume,
                                                                                         std::string at,
                                                                                         objstore::LiveConfig config);
/// Null if there is none of that name.
[[nodiscard]] const objstore::Snapshot* version_named(const objstore::History& history, const std::string& name);
/// The newest that is not younger; null if there is none.
[[nodiscard]] const objstore::Snapshot* newest_until(const std::vector<objstore::Snapshot>& versions,
                                                     std::int64_t time_ns);
/// The directory that `path` names in the tree ("" and "/": its root). No symbolic link is followed. Errors name it.
[[nodiscard]] base::Task<base::Result<objstore::InodeNumber>> find_directory(objstore::WorkingTree& tree,
                                                                             std::string path);

}  // namespace tools
