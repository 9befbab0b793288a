// Names of the owner's volumes that were used on this machine. A volume's name is part of its key and is told to
// nobody, so there is no list of them anywhere else; on a new machine a name is learnt again when it is first used.
#pragma once

#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/disk.hpp"
#include "base/env.hpp"
#include "base/result.hpp"
#include "base/task.hpp"

namespace tools {

/// Errc::usage unless `name` can be a volume's: 1 to 255 bytes, no control characters, no surrounding blanks.
[[nodiscard]] base::Result<void> check_volume_name(std::string_view name);

/// Sorted. A name a line; lines that can be none are skipped. Pure.
[[nodiscard]] std::vector<std::string> parse_names(base::ByteView text);
/// From the client's disk, the default volume's included.
[[nodiscard]] base::Result<std::vector<std::string>> known_names(base::Disk& disk);
/// Durable when it returns; does nothing if it is known already. Of several commands at once none loses another's name:
/// they wait for each other. base::Errc::locked after some seconds.
[[nodiscard]] base::Task<base::Result<void>> remember_name(base::NodeEnv env, std::string name);

}  // namespace tools
